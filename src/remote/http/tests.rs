//! Every ending of a request, over real sockets: what was not sent, what is lost, and what an answer says.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::*;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::remote::service::{LAST_OFFSET, Listed, Page};
use crate::transport::settings::TransportSettings;

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(200);

/// Actions of a server on one connection.
#[derive(Clone)]
enum Does {
    ResetAtOnce,
    ReadThenReset,
    ReadThenClose,
    Hang,
    /// Answers, and closes without having announced it.
    Answer(Vec<u8>),
    /// Answers, and then leaves the connection open.
    AnswerAndHang(Vec<u8>),
}

fn answers(text: impl AsRef<[u8]>) -> Does {
    Does::Answer(text.as_ref().to_vec())
}

struct ScriptedServer {
    address: SocketAddr,
    /// The requests that were read in full, in order.
    requests: mpsc::UnboundedReceiver<String>,
    /// One message for each connection that was closed.
    closed: mpsc::UnboundedReceiver<()>,
}

/// Starts a server whose n-th connection does the n-th action, and every later one the last.
async fn server(script: Vec<Does>) -> ScriptedServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (request_seen, requests) = mpsc::unbounded_channel();
    let (close_done, closed) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let does = script[n.min(script.len() - 1)].clone();
            let (request_seen, close_done) = (request_seen.clone(), close_done.clone());
            tokio::spawn(async move {
                act(&mut stream, does, &request_seen).await;
                drop(stream);
                _ = close_done.send(());
            });
        }
    });
    ScriptedServer { address, requests, closed }
}

async fn act(stream: &mut TcpStream, does: Does, request_seen: &mpsc::UnboundedSender<String>) {
    let reset = |stream: &TcpStream| SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    if let Does::ResetAtOnce = does {
        return reset(stream);
    }
    let Some(request) = read_request(stream).await else { return };
    _ = request_seen.send(request);
    match does {
        Does::ResetAtOnce | Does::ReadThenReset => reset(stream),
        Does::ReadThenClose => (),
        Does::Hang => std::future::pending().await,
        // The client may hang up on us while we write.
        Does::Answer(bytes) => _ = stream.write_all(&bytes).await,
        Does::AnswerAndHang(bytes) => {
            _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
    }
}

/// Reads one request with its body; `None` if the client went away or does not speak HTTP.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn http(endpoint: &str, timeout: Duration) -> Http {
    let credentials = Credentials::token(&SecretString::from("s3cret"), "a test").unwrap();
    let settings = TransportSettings {
        timeout,
        connect_timeout: Duration::from_secs(10),
        read_timeout: None,
        ca_bundle: None,
        leaves_within: None,
    };
    let transport = Transport::new(endpoint.parse().unwrap(), &settings).unwrap();
    Http::new(transport, Arc::new(credentials))
}

fn vm() -> SourceId {
    SourceId::new("vm-1").unwrap()
}

fn stopped() -> TargetState {
    TargetState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("syncing")) }
}

async fn put_within(timeout: Duration, does: Does) -> Reply {
    let server = server(vec![does]).await;
    http(&format!("http://{}", server.address), timeout).put(&vm(), &stopped(), Connection::Any).await
}

async fn put(does: Does) -> Outcome {
    put_within(PATIENT, does).await.outcome
}

fn lost(status: Option<u16>, cause: &str) -> Outcome {
    Outcome::Lost { status, code: None, cause: cause.to_owned() }
}

#[tokio::test]
async fn a_refused_port_is_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let http = http(&format!("http://{address}"), PATIENT);
    let unsent = Outcome::Unsent { cause: "connection refused".to_owned() };
    assert_eq!(http.put(&vm(), &stopped(), Connection::Any).await.outcome, unsent);
    assert_eq!(http.show(&vm(), Connection::Any).await.value, SourceShown::Failed(unsent.clone()));
    assert_eq!(http.page(0, Connection::Any).await.value, Listed::Failed(unsent));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_tls_is_unsent() {
    let server = server(vec![answers("HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
    // A handshake is not a request: nobody answers it, and the timeout ends it.
    let outcome =
        http(&format!("https://{}", server.address), HASTY).put(&vm(), &stopped(), Connection::Any).await.outcome;
    assert_eq!(outcome, Outcome::Unsent { cause: "connect timeout: no connection within 180ms".to_owned() });
}

#[tokio::test]
async fn a_failed_handshake_is_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let outcome = http(&format!("https://{address}"), PATIENT).put(&vm(), &stopped(), Connection::Any).await.outcome;
    assert!(matches!(&outcome, Outcome::Unsent { cause } if cause.starts_with("TLS: ")), "{outcome}");
}

#[tokio::test]
async fn a_reset_before_a_byte_is_unsent_or_lost_and_nothing_else() {
    for _ in 0..20 {
        let outcome = put(Does::ResetAtOnce).await;
        let cause = outcome.message().unwrap_or_default();
        assert!(matches!(outcome, Outcome::Unsent { .. } | Outcome::Lost { status: None, .. }), "{outcome}");
        assert!(!cause.contains("http://") && !cause.contains("error sending"), "{outcome}");
    }
}

#[tokio::test]
async fn what_ends_after_the_request_was_read_is_lost() {
    assert_eq!(put(Does::ReadThenReset).await, lost(None, "connection reset"));
    assert_eq!(put(Does::ReadThenClose).await, lost(None, "the connection was closed before the answer was there"));
    assert_eq!(put_within(HASTY, Does::Hang).await.outcome, lost(None, "no answer within 200ms"));
    let garbage = put(answers("220 smtp.example.com ESMTP\r\n")).await;
    assert!(
        matches!(&garbage, Outcome::Lost { cause, .. } if cause.starts_with("the answer is not HTTP")),
        "{garbage}"
    );
    let head_only = put(answers("HTTP/1.1 200 OK\r\nContent-")).await;
    assert_eq!(head_only, lost(None, "the connection was closed before the answer was there"));
}

#[tokio::test]
async fn half_a_body_is_lost() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":";
    let Outcome::Lost { status: Some(200), cause, .. } = put(answers(half)).await else { panic!() };
    assert!(cause.starts_with("the answer was cut off: "), "{cause}");
    let outcome = put_within(HASTY, Does::AnswerAndHang(half.into())).await.outcome;
    assert_eq!(outcome, lost(Some(200), "the answer was cut off: no answer within 200ms"));
    let chunk = put(answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")).await;
    assert!(matches!(chunk, Outcome::Lost { status: Some(200), .. }), "{chunk}");
}

#[tokio::test]
async fn success_comes_in_many_shapes() {
    for (status, answer) in [
        (200, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (200, "HTTP/1.1 200 OK\r\n\r\n{ }"),
        (200, "HTTP/1.0 200 OK\r\n\r\n"),
        (204, "HTTP/1.1 204 No Content\r\n\r\n"),
        (200, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\ndone"),
        (200, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
        (200, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{ }"),
    ] {
        assert_eq!(put(answers(answer)).await, Outcome::Accepted { status }, "{answer}");
    }
}

#[tokio::test]
async fn a_page_for_people_is_not_success() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><title>Sign in</title></html>";
    assert_eq!(put(answers(page)).await, lost(Some(200), "the answer is a page: Sign in"));
}

#[tokio::test]
async fn an_answer_over_a_mebibyte_is_not_read_to_its_end() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n".to_vec();
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 2 << 20]].concat();
    for bytes in [announced, endless] {
        // The server keeps the connection open: a client that waits for the end runs into the timeout.
        let outcome = put(Does::AnswerAndHang(bytes)).await;
        assert_eq!(outcome, lost(Some(200), "the answer is too large"));
    }
    let all = [b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n".as_slice(), &vec![b' '; 1 << 20]].concat();
    assert_eq!(put(Does::Answer(all)).await, Outcome::Accepted { status: 200 });
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = server(vec![answers("HTTP/1.1 200 OK\r\n\r\n")]).await;
    for status in [301, 302, 307, 308] {
        let to = format!("HTTP/1.1 {status} X\r\nLocation: http://{}/x\r\n\r\n", elsewhere.address);
        let cause = "redirected to 127.0.0.1; redirects are not followed";
        assert_eq!(put(answers(to)).await, lost(Some(status), cause));
    }
    assert!(elsewhere.requests.try_recv().is_err());
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_does_not_cost_the_next_request() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut server = server(vec![answers(ok)]).await;
    let http = http(&format!("http://{}", server.address), PATIENT);
    for _ in 0..3 {
        assert_eq!(http.put(&vm(), &stopped(), Connection::Any).await.outcome, Outcome::Accepted { status: 200 });
        server.closed.recv().await.unwrap();
        // Yielding polls the sockets, so that the client sees what has already arrived.
        for _ in 0..10 {
            yield_now().await;
        }
    }
    drop(http);
    assert_eq!(server.requests.len(), 3, "each request was sent once");
}

#[tokio::test]
async fn a_change_leaves_as_the_vendors_own_client_sends_it() {
    let mut server = server(vec![answers("HTTP/1.1 200 OK\r\nX-Request-Id: r-1\r\n\r\n")]).await;
    let http = http(&format!("http://{}", server.address), PATIENT);
    let reply = http.put(&SourceId::new("a b%2F☃+~._-").unwrap(), &stopped(), Connection::Any).await;
    assert_eq!(reply.request_id.as_deref(), Some("r-1"));
    let request = server.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "PUT /v3/sources/a%20b%252F%E2%98%83%2B~._-/changestate HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    let agent = format!("user-agent: cutover/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "accept: application/json",
            "content-length: 50",
            "content-type: application/json",
            &host,
            &agent,
            "x-auth-token: s3cret"
        ]
    );
    assert_eq!(body, r#"{"copystate":"stopped","migrationcycle":"syncing"}"#);
}

#[tokio::test]
async fn reads_ask_by_id_and_by_page() {
    let shown = r#"{"id":"vm-1","state":"stopped","migration_cycle":"syncing"}"#;
    let page = format!(r#"{{"count":1,"source_servers":[{shown}]}}"#);
    let ok = |body: &str| answers(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"));
    let mut server = server(vec![ok(shown), ok(&page)]).await;
    let http = http(&format!("http://{}", server.address), PATIENT);
    let seen = SeenState { copystate: stopped().copystate, migrationcycle: stopped().migrationcycle };
    assert_eq!(http.show(&vm(), Connection::Any).await.value, SourceShown::Seen(seen.clone()));
    let listed = http.page(LAST_OFFSET, Connection::Any).await.value;
    assert_eq!(
        listed,
        Listed::Page(Page { count: 1, n_entries: 1, servers: vec![(vm(), seen)], contradicted: vec![] })
    );
    let by_id = server.requests.recv().await.unwrap();
    assert!(by_id.starts_with("GET /v3/sources/vm-1 HTTP/1.1\r\n"), "{by_id}");
    assert!(by_id.contains("content-type: application/json\r\n") && !by_id.contains("content-length"), "{by_id}");
    let by_page = server.requests.recv().await.unwrap();
    assert!(by_page.starts_with("GET /v3/sources?limit=200&offset=65535 HTTP/1.1\r\n"), "{by_page}");
}

#[tokio::test]
async fn a_refusal_keeps_its_code_its_text_and_its_request_id() {
    let body = r#"{"error_msg":"Incorrect IAM authentication information: s3cret","error_code":"APIGW.0301","request_id":"r-2"}"#;
    let answer = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let reply = put_within(PATIENT, answers(answer)).await;
    assert_eq!(
        reply.outcome,
        Outcome::Unauthenticated {
            status: 401,
            code: Some("APIGW.0301".to_owned()),
            message: "Incorrect IAM authentication information: [redacted]".to_owned(),
        }
    );
    assert_eq!(reply.request_id.as_deref(), Some("r-2"));
}

#[tokio::test]
async fn a_date_to_wait_for_counts_from_the_servers_clock() {
    let answer = "HTTP/1.1 429 X\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
                  Retry-After: Wed, 21 Oct 2015 07:28:09 GMT\r\n\r\n";
    let Outcome::Throttled { retry_after_ms, .. } = put(answers(answer)).await else { panic!() };
    assert_eq!(retry_after_ms, Some(9_000));
}

#[test]
fn nothing_that_holds_the_token_prints_it() {
    let http = http("http://127.0.0.1:1", PATIENT);
    let mut outgoing = bare("GET", "/".to_owned());
    http.authenticate(&mut outgoing).expect("a token goes with any request");
    assert!(outgoing.headers.iter().any(|header| header.name == "x-auth-token"));
    let printed = format!("{http:?} {:?}", outgoing.headers);
    assert!(!printed.contains("s3cret"), "{printed}");
}
