//! Peers that claim not to have processed a change: such a claim is not believed, in whatever protocol it is made.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::body::Bytes;
use hyper::http::{Method, Request, Response};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::plan;

/// Fate of a change that has arrived completely.
#[derive(Clone, Copy, Debug)]
struct Disclaims {
    how: How,
    /// True if the change is made nevertheless.
    effect: bool,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// The stream is reset with this code: `REFUSED_STREAM` says that the change was not processed, and no other says that it
    /// was.
    Stream(Reason),
    /// GOAWAY with a last stream below that of the change.
    Connection,
}

/// One source behind HTTP/2 over TLS; its first change is disclaimed.
struct Peer {
    disclaims: Disclaims,
    is_there: bool,
    /// Requests that arrived completely, in order.
    requests: Vec<Method>,
}

/// GOAWAY: no stream above 0 was processed, without an error. source: RFC 9113, 4.1 and 6.8.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Peer {
    fn serve(lab: &Lab, runtime: &Runtime, disclaims: Disclaims) -> (String, Arc<Mutex<Self>>) {
        let peer = Arc::new(Mutex::new(Self { disclaims, is_there: false, requests: Vec::new() }));
        let acceptor = TlsAcceptor::from(Arc::new(certified(lab)));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&peer);
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(talk(acceptor.clone(), stream, Arc::clone(&shared)));
            }
        });
        (endpoint, peer)
    }

    fn answer(&mut self, method: &Method) -> Option<String> {
        self.requests.push(method.clone());
        let n_changes = self.requests.iter().filter(|known| *known == Method::PUT).count();
        if *method == Method::PUT {
            self.is_there |= n_changes > 1 || self.disclaims.effect;
            return (n_changes > 1).then(|| "{}".to_owned());
        }
        let state = if self.is_there { "stopped" } else { "syncing" };
        Some(format!(r#"{{"id":"vm-00001","state":"{state}","migration_cycle":"syncing"}}"#))
    }
}

/// Serves HTTP/2 through a pipe, so that a frame that the library would never send can be inserted.
async fn talk(acceptor: TlsAcceptor, stream: TcpStream, peer: Arc<Mutex<Peer>>) -> Option<()> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let (goes_away, mut away) = mpsc::channel(1);
    tokio::spawn(speak(near, peer, goes_away));
    let (mut from_near, mut from_far) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            n = stream.read(&mut from_far) => match n.ok()? {
                0 => return None,
                n => far.write_all(&from_far[..n]).await.ok()?,
            },
            n = far.read(&mut from_near) => match n.ok()? {
                0 => return None,
                n => stream.write_all(&from_near[..n]).await.ok()?,
            },
            Some(()) = away.recv() => {
                stream.write_all(&GOAWAY).await.ok()?;
                stream.flush().await.ok()?;
            }
        }
    }
}

async fn speak(stream: DuplexStream, peer: Arc<Mutex<Peer>>, goes_away: mpsc::Sender<()>) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted.ok()?;
        tokio::spawn(take(request, respond, Arc::clone(&peer), goes_away.clone()));
    }
    poll_fn(|context| connection.poll_closed(context)).await.ok()
}

async fn take(
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: Arc<Mutex<Peer>>,
    goes_away: mpsc::Sender<()>,
) -> Option<()> {
    // Read completely: the disclaimed change was sent to its last byte.
    while let Some(chunk) = request.body_mut().data().await {
        chunk.ok()?;
    }
    let (answer, how) = {
        let mut peer = peer.lock().unwrap();
        (peer.answer(request.method()), peer.disclaims.how)
    };
    match (answer, how) {
        (Some(text), _) => {
            let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
            respond.send_response(head, false).ok()?.send_data(text.into(), true).ok()
        }
        (None, How::Stream(reason)) => {
            respond.send_reset(reason);
            Some(())
        }
        (None, How::Connection) => {
            goes_away.send(()).await.ok()?;
            // The stream stays open until the client gives up on it.
            std::future::pending().await
        }
    }
}

/// Makes a certificate of our own CA for this machine; the CA's certificate is in `ca.pem`.
fn certified(lab: &Lab) -> ServerConfig {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    lab.write("ca.pem", &issuer.pem());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[test]
fn a_change_that_left_whole_and_was_disclaimed_counts_as_sent_and_is_looked_at_first() {
    let _machine = shared();
    let runtime = Runtime::new().unwrap();
    // The way of disclaiming, and the outcome of the attempt.
    for (how, called, says) in [
        (
            How::Stream(Reason::REFUSED_STREAM),
            "disclaimed",
            "disclaimed: the server says that it did not look at the request",
        ),
        (How::Connection, "disclaimed", "disclaimed: the server says that it did not look at the request"),
        (How::Stream(Reason::CANCEL), "lost", "answer lost"),
        (How::Stream(Reason::NO_ERROR), "lost", "answer lost"),
        (How::Stream(Reason::INTERNAL_ERROR), "lost", "answer lost"),
        (How::Stream(Reason::ENHANCE_YOUR_CALM), "lost", "answer lost"),
        (How::Stream(Reason::HTTP_1_1_REQUIRED), "lost", "answer lost"),
    ] {
        for effect in [true, false] {
            let lab = Lab::new();
            lab.write("plan.csv", &plan(1, "stopped,syncing"));
            let disclaims = Disclaims { how, effect };
            let (endpoint, peer) = Peer::serve(&lab, &runtime, disclaims);
            let args = ["run", "plan.csv", "--yes", "--no-progress", "--ca-bundle", "ca.pem", "--rate", "off"];
            lab.cutover(&[&args[..], &["--endpoint", &endpoint]].concat()).exits(0);
            let requests = peer.lock().unwrap().requests.clone();
            let (get, put) = (Method::GET, Method::PUT);
            let expected = if effect { vec![&get, &put, &get] } else { vec![&get, &put, &get, &put, &get] };
            assert_eq!(requests.iter().collect::<Vec<_>>(), expected, "{disclaims:?}");
            let n_changes = expected.iter().filter(|method| **method == put).count();
            let journal = lab.journal();
            let row = journal.ends_in("vm-00001", "applied");
            assert_eq!(usize::try_from(row.attempts).unwrap(), n_changes, "{disclaims:?}");
            let outcomes =
                |outcome: &str| journal.count(&format!("SELECT count(*) FROM v_attempt WHERE outcome = '{outcome}'"));
            assert_eq!((outcomes(called), outcomes("unsent")), (1, 0), "{disclaims:?}");
            let story = lab.cutover(&["explain", "vm-00001"]).exits(0).stdout;
            assert!(story.contains(says), "{disclaims:?}: {story}");
        }
    }
}

/// A 429 that says that a request was not processed is no more than a peer's claim, either.
#[test]
fn a_change_that_was_told_to_wait_and_made_all_the_same_was_not_there_already() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "cutovering,cutovering"));
    let served = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 429\neffect = true\n");
    lab.launch(&served, &["run", "plan.csv", "--max-throttle", "1s"]).exits(4);
    let was = before_and_after(&lab);
    lab.cutover(&["rollback"]).says("it was sent, and will be again");
    lab.launch(&served, &["resume"]).exits(0);
    assert_eq!(served.changes().len(), 1);
    lab.journal().ends_in("vm-00001", "applied");
    // A state that the change caused is not taken for the one before it, and a rollback is possible.
    assert_eq!(before_and_after(&lab), was.replace("nothing", "cutovering"));
    lab.cutover(&["rollback", "-o", "back.csv"]).exits(0);
    let back = std::fs::read_to_string(lab.path("back.csv")).unwrap();
    assert!(back.contains("vm-00001") && back.contains(was.split(' ').next().unwrap()), "{back}");
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn what_others_did_to_a_row_that_was_told_to_wait_is_not_what_was_before() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "cutovering,cutovering"));
    let served = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 429\n");
    lab.launch(&served, &["run", "plan.csv", "--max-throttle", "1s"]).exits(4);
    let was = before_and_after(&lab);
    served.move_to("vm-00001", "error", "syncing");
    lab.launch(&served, &["resume"]).exits(1);
    assert_eq!(served.changes().len(), 1);
    lab.journal().ends_in("vm-00001", "overtaken");
    assert_eq!(before_and_after(&lab), was.replace("nothing", "error"));
    // Opened again by name, the row is taken from its present state, and the state before the first request is kept.
    lab.launch(&served, &["retry", "--only", "overtaken"]).exits(0);
    lab.journal().ends_in("vm-00001", "applied");
    assert_eq!(before_and_after(&lab), was.replace("nothing", "cutovering"));
    lab.cutover(&["rollback", "-o", "back.csv"]).exits(0);
    lab.cutover(&["audit", "verify"]).exits(0);
}

fn before_and_after(lab: &Lab) -> String {
    let states = "before_copystate || ' ' || coalesce(after_copystate, 'nothing')";
    lab.journal().text(&format!("SELECT {states} FROM v_row WHERE source_id = 'vm-00001'"))
}
