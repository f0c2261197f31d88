//! Every way of not being sent, over real sockets: TLS servers, proxies and names that do not resolve.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming as Body};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

const NAME: &str = "sms.example.test";

fn settings(ca_bundle: Option<&NamedTempFile>) -> TransportSettings {
    TransportSettings {
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(10),
        read_timeout: None,
        ca_bundle: ca_bundle.map(|file| file.path().to_owned()),
        leaves_within: None,
    }
}

async fn get(endpoint: &str, settings: &TransportSettings) -> Result<Incoming, Outcome> {
    let transport = Transport::new(endpoint.parse().unwrap(), settings).unwrap();
    transport.send(Outgoing::bare("GET", "/".to_owned())).await
}

#[track_caller]
fn unsent(outcome: Result<Incoming, Outcome>) -> String {
    match outcome.unwrap_err() {
        Outcome::Unsent { cause } => cause,
        other => panic!("{other}"),
    }
}

/// Makes a CA, and a certificate by it for a name, valid until a year.
fn certified(name: &str, until: i32) -> (NamedTempFile, ServerConfig) {
    _ = rustls::crypto::ring::default_provider().install_default();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let bundle = NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), issuer.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (bundle, config)
}

/// Starts a TLS server that answers with the version of HTTP that it was asked in.
async fn serve(mut config: ServerConfig, offers: &[&[u8]]) -> SocketAddr {
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answer = service_fn(|request: hyper::Request<Body>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(version))))
                });
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = TokioIo::new(stream);
                if is_h2 {
                    _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, answer)
                        .await;
                } else {
                    _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, answer).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_1_1_where_not() {
    for (offers, version) in
        [(&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let (bundle, config) = certified("127.0.0.1", 2099);
        let address = serve(config, offers).await;
        let answer = get(&format!("https://{address}"), &settings(Some(&bundle))).await.unwrap();
        let super::Body::Whole(body) = answer.body else { panic!() };
        assert_eq!(String::from_utf8(body).unwrap(), version);
    }
}

#[tokio::test]
async fn a_stream_that_the_server_ends_may_have_been_looked_at_whatever_it_says() {
    for (ends, is_disclaimed) in [
        (Ends::Stream(h2::Reason::REFUSED_STREAM), true),
        (Ends::Stream(h2::Reason::INTERNAL_ERROR), false),
        (Ends::Stream(h2::Reason::CANCEL), false),
        (Ends::Connection(h2::Reason::NO_ERROR), false),
        (Ends::Connection(h2::Reason::ENHANCE_YOUR_CALM), false),
    ] {
        let (bundle, mut config) = certified("127.0.0.1", 2099);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                // The request was sent completely.
                assert!(request.body().is_end_stream());
                match ends {
                    Ends::Stream(reason) => respond.send_reset(reason),
                    Ends::Connection(reason) => connection.abrupt_shutdown(reason),
                }
            }
        });
        let outcome = get(&format!("https://{address}"), &settings(Some(&bundle))).await.unwrap_err();
        match outcome {
            Outcome::Disclaimed { .. } => assert!(is_disclaimed, "{outcome}"),
            Outcome::Lost { status: None, .. } => assert!(!is_disclaimed, "{outcome}"),
            other => panic!("{other}"),
        }
    }
}

/// Ways in which a server ends a request.
#[derive(Clone, Copy)]
enum Ends {
    Stream(h2::Reason),
    Connection(h2::Reason),
}

#[tokio::test]
async fn a_new_connection_is_made_where_one_is_asked_for_and_is_not_kept() {
    let ports = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::clone(&ports);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let answer = service_fn(|_: hyper::Request<Body>| {
                    seen.lock().unwrap().push(peer.port());
                    async { Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new()))) }
                });
                _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    let transport = Transport::new(format!("http://{address}").parse().unwrap(), &settings(None)).unwrap();
    let (kept, new) = (Connection::Any, Connection::New);
    for connection in [kept, kept, new, new, kept] {
        transport.send_over(connection, Outgoing::bare("GET", "/".to_owned()), None).await.unwrap();
    }
    let ports = ports.lock().unwrap();
    assert_eq!((ports[1], ports[4]), (ports[0], ports[0]), "{ports:?}");
    assert_eq!(ports.iter().collect::<std::collections::HashSet<_>>().len(), 3, "{ports:?}");
}

#[tokio::test]
async fn an_answer_that_stops_coming_ends_by_the_read_timeout_and_not_by_the_whole_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    });
    let hasty = TransportSettings { read_timeout: Some(Duration::from_millis(200)), ..settings(None) };
    let answer = get(&format!("http://{address}"), &hasty).await.unwrap();
    let super::Body::CutOff { cause } = answer.body else { panic!() };
    assert!(cause.contains("nothing more of it within 200ms"), "{cause}");
}

#[tokio::test]
async fn what_a_certificate_lacks_is_named_and_nothing_was_sent() {
    let (bundle, config) = certified("127.0.0.1", 2099);
    let address = serve(config, &[]).await;
    let unknown = unsent(get(&format!("https://{address}"), &settings(None)).await);
    assert!(unknown.starts_with("TLS: ") && unknown.contains("--ca-bundle"), "{unknown}");
    assert!(get(&format!("https://{address}"), &settings(Some(&bundle))).await.is_ok());
    let (bundle, config) = certified("another.example.test", 2099);
    let address = serve(config, &[]).await;
    let other = unsent(get(&format!("https://{address}"), &settings(Some(&bundle))).await);
    assert!(other.starts_with("TLS: ") && other.contains("not valid for"), "{other}");
    let (bundle, config) = certified("127.0.0.1", 2021);
    let address = serve(config, &[]).await;
    let expired = unsent(get(&format!("https://{address}"), &settings(Some(&bundle))).await);
    assert!(expired.starts_with("TLS: ") && expired.contains("expired"), "{expired}");
}

/// Bound of a request that is about to leave: a machine that takes the run over waits for longer.
#[tokio::test]
async fn a_request_that_has_to_leave_in_time_does_or_is_never_sent() {
    let in_time = |bundle| TransportSettings { leaves_within: Some(Duration::from_millis(300)), ..settings(bundle) };
    // Somebody who takes the connection and says nothing, so that TLS does not come about.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let began = std::time::Instant::now();
    let cause = unsent(get(&format!("https://{}", silent.local_addr().unwrap()), &in_time(None)).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{cause}");
    // A connection of its own: on one that is shared it may wait for other answers.
    let (bundle, config) = certified("127.0.0.1", 2099);
    let address = serve(config, &[b"h2", b"http/1.1"]).await;
    let answer = get(&format!("https://{address}"), &in_time(Some(&bundle))).await.unwrap();
    let super::Body::Whole(body) = answer.body else { panic!() };
    assert_eq!(String::from_utf8(body).unwrap(), "HTTP/1.1");
}

/// Whoever is stopped while it connects finds the connection made when it wakes.
#[tokio::test]
async fn a_request_whose_time_is_over_when_its_connection_stands_writes_nothing() {
    let (bundle, config) = certified("127.0.0.1", 2099);
    let tls = serve(config, &[]).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let came = plain.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let mut bytes = Vec::new();
        plain.accept().await.unwrap().0.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    for url in [format!("https://{tls}"), format!("http://{came}")] {
        let transport = Transport::new(url.parse().unwrap(), &settings(Some(&bundle))).unwrap();
        let put = |leaves_by| Outgoing {
            body: b"{}".to_vec().into(),
            leaves_by: Some(leaves_by),
            ..Outgoing::bare("PUT", "/".to_owned())
        };
        let late = transport.send(put(since_boot().saturating_sub(Duration::from_millis(1)))).await;
        assert!(unsent(late).starts_with("it did not leave within "));
        if url.starts_with("https") {
            assert_eq!(transport.send(put(since_boot() + Duration::from_mins(1))).await.unwrap().status, 200);
        }
    }
    assert_eq!(heard.await.unwrap(), b"", "not even a part of its head");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_matter_of_dns() {
    let cause = unsent(get("https://no-such-host.invalid", &settings(None)).await);
    assert!(cause.starts_with("DNS: "), "{cause}");
}

#[test]
fn a_ca_bundle_that_is_none_is_refused_by_its_name() {
    let bad = NamedTempFile::new().unwrap();
    for (text, says) in
        [("", "has no certificate"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "")]
    {
        std::fs::write(bad.path(), text).unwrap();
        let made = Transport::new("https://sms.example.test".parse().unwrap(), &settings(Some(&bad)));
        let error = made.unwrap_err().to_string();
        assert!(error.contains(says) && !error.is_empty(), "{error}");
    }
    let missing = TransportSettings { ca_bundle: Some("/nowhere/ca.pem".into()), ..settings(None) };
    let error = Transport::new("https://sms.example.test".parse().unwrap(), &missing).unwrap_err().to_string();
    assert!(error.starts_with("the CA bundle `/nowhere/ca.pem` cannot be read"), "{error}");
}

/// Starts a proxy that gives this answer to the request for a tunnel and, if it is a success, tunnels to this address.
async fn proxy(answer: &'static str, to: Option<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            assert!(head.starts_with(format!("CONNECT {NAME}:443 ").as_bytes()));
            stream.write_all(answer.as_bytes()).await.unwrap();
            if let Some(to) = to {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut far).await });
            }
        }
    });
    address
}

/// Runs one case in a process of its own: this test, started again, since the environment belongs to the process.
fn through(proxy: &str, no_proxy: &str, bundle: Option<&NamedTempFile>) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "transport::tests::one_request_by_the_environment", "--nocapture"]);
    command.env("HTTPS_PROXY", proxy).env("NO_PROXY", no_proxy).env("TRANSPORT_CASE", "1");
    if let Some(bundle) = bundle {
        command.env("TRANSPORT_CA", bundle.path());
    }
    let ran = command.output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split("ENDED ").nth(1)).unwrap_or_else(|| panic!("{text}"));
    line.to_owned()
}

#[tokio::test]
async fn one_request_by_the_environment() {
    if std::env::var_os("TRANSPORT_CASE").is_none() {
        return;
    }
    let ca_bundle = std::env::var_os("TRANSPORT_CA").map(PathBuf::from);
    let settings = TransportSettings { ca_bundle, ..settings(None) };
    match get(&format!("https://{NAME}"), &settings).await {
        Ok(answer) => println!("ENDED {}", answer.status),
        Err(outcome) => println!("ENDED {outcome}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_gone_through_and_its_failures_are_its_own() {
    let (bundle, config) = certified(NAME, 2099);
    let server = serve(config, &[b"h2"]).await;
    let good = proxy("HTTP/1.1 200 OK\r\n\r\n", Some(server)).await;
    let wants_user = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", None).await;
    let refuses = proxy("HTTP/1.1 502 Bad Gateway\r\n\r\n", None).await;
    let ended = tokio::task::spawn_blocking(move || {
        let by = |proxy: SocketAddr| through(&format!("http://me:hunter2@{proxy}"), "", Some(&bundle));
        [
            by(good),
            by(wants_user),
            by(refuses),
            through("http://me:hunter2@127.0.0.1:1", "", Some(&bundle)),
            through("http://me:hunter2@no-such-proxy.invalid:3128", "", Some(&bundle)),
            through(&format!("http://{good}"), "example.test", Some(&bundle)),
            through(&format!("http://{good}"), "", None),
        ]
    });
    let ended = ended.await.unwrap();
    let expected = [
        "200".to_owned(),
        format!("not sent: the proxy {wants_user} wants a user and a password (407)"),
        format!("not sent: the proxy {refuses} would not connect to the endpoint"),
        "not sent: the proxy 127.0.0.1:1 could not be reached: connection refused".to_owned(),
        "not sent: the proxy of HTTPS_PROXY cannot be found: DNS: ".to_owned(),
        "not sent: DNS: ".to_owned(),
        "not sent: TLS: ".to_owned(),
    ];
    for (ended, expected) in ended.iter().zip(&expected) {
        assert!(ended.starts_with(expected.as_str()), "{ended}\n{expected}");
        assert!(!ended.contains("hunter2"), "{ended}");
    }
}
