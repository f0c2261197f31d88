//! The wire itself: the one place that knows the HTTP library.
//!
//! Nothing here tries again. (The library sends anew only what it can prove was never written, on a kept connection
//! that the server had closed in the meantime.)

use std::error::Error;
use std::fmt;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, redirect, retry};
use secrecy::ExposeSecret;

use super::classify::{self, Answer, Body};
use super::endpoint::Endpoint;
use super::text::Secrets;
use super::{Listed, PAGE, Read, Remote, Reply, Shown, quota, wire};
use crate::credentials::{Credentials, Header, HeaderValue, Request};
use crate::event::Outcome;
use crate::model::{SourceId, TargetState};

/// The service over HTTP, at one endpoint, as one account.
#[derive(Debug)]
pub(crate) struct Http {
    endpoint: Endpoint,
    credentials: Arc<dyn Credentials>,
    client: reqwest::Client,
    timeouts: Timeouts,
}

/// Why there is no client to send with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// No usable certificates on this machine, as a rule.
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
}

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    connect: Duration,
    whole: Duration,
}

impl Timeouts {
    /// The connect timeout ends before the whole one, so that a connection that never came about is told apart from
    /// an answer that never came.
    fn of(whole: Duration) -> Self {
        Self { connect: Duration::from_secs(10).min(whole * 9 / 10), whole }
    }
}

/// Load balancers drop idle connections after 60 s, as a rule; letting go first spares requests a dead connection.
const IDLE: Duration = Duration::from_secs(50);
/// Beyond this no answer to a change or about one source is read.
const LARGEST_BODY: usize = 1024 * 1024;
/// A page of 200 servers carries their disks, checks and tasks.
const LARGEST_PAGE: usize = 32 * LARGEST_BODY;

impl Http {
    pub(crate) fn new(
        endpoint: Endpoint,
        credentials: Arc<dyn Credentials>,
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        // Fails where a provider is installed already, which is then the one to use.
        _ = rustls::crypto::ring::default_provider().install_default();
        let timeouts = Timeouts::of(timeout);
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.whole);
        if endpoint.is_loopback() {
            // What is meant for this machine is not carried off it.
            builder = builder.no_proxy();
        }
        if endpoint.is_plain() {
            // The certificates are the system's own; without TLS none need be installed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| HttpError::Setup(root_cause(&error).to_string()))?;
        Ok(Self { endpoint, credentials, client, timeouts })
    }

    /// Sends once. An `Err` is how it ended without a status line.
    async fn send(&self, unsent: Unsent) -> Result<Answer, Outcome> {
        let largest = unsent.largest_answer;
        let (request, secrets) = self.build(unsent)?;
        let mut response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(without_answer(&error, self.timeouts, &secrets)),
        };
        let text = |name| response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        let date: Option<String> = text(header::DATE);
        Ok(Answer {
            status: response.status().as_u16(),
            content_type: text(header::CONTENT_TYPE),
            retry_after: text(header::RETRY_AFTER),
            location: text(header::LOCATION),
            request_id: text(header::HeaderName::from_static("x-request-id")),
            at: date.as_deref().and_then(quota::date).unwrap_or_else(jiff::Timestamp::now),
            body: read(&mut response, largest, self.timeouts).await,
            secrets,
        })
    }

    /// Dresses the request and turns it into the library's; both happen anew for each attempt.
    fn build(&self, unsent: Unsent) -> Result<(reqwest::Request, Secrets), Outcome> {
        let mut request = Request {
            method: unsent.method,
            host: self.endpoint.authority(),
            path: &unsent.path,
            query: &unsent.query,
            headers: vec![
                Header::plain("accept", "application/json"),
                // Also on reads, as the vendor's own SDKs do.
                Header::plain("content-type", "application/json"),
                Header::plain("user-agent", concat!("cutover/", env!("CARGO_PKG_VERSION"))),
            ],
            body: &unsent.body,
        };
        self.credentials.dress(&mut request).map_err(|error| Outcome::Unsent { cause: error.to_string() })?;
        let (headers, secrets) = library_headers(request.headers)?;
        let method = Method::from_bytes(unsent.method.as_bytes()).expect("our own methods are tokens");
        let mut ready = reqwest::Request::new(method, self.endpoint.at(&unsent.path, &encoded_query(&unsent.query)));
        *ready.headers_mut() = headers;
        if !unsent.body.is_empty() {
            *ready.body_mut() = Some(unsent.body.into());
        }
        Ok((ready, secrets))
    }
}

impl Remote for Http {
    async fn put(&self, source: &SourceId, sends: &TargetState) -> Reply {
        let sent_at = Instant::now();
        let path = format!("/v3/sources/{}/changestate", encoded(source.as_str()));
        let body = wire::change_body(sends);
        let largest_answer = LARGEST_BODY;
        let answer = self.send(Unsent { method: "PUT", path, query: vec![], body, largest_answer }).await;
        let (outcome, request_id) = match &answer {
            Ok(answer) => (classify::change(answer), classify::request_id(answer)),
            Err(outcome) => (outcome.clone(), None),
        };
        Reply { outcome, request_id, took: sent_at.elapsed() }
    }

    async fn show(&self, source: &SourceId) -> Read<Shown> {
        let sent_at = Instant::now();
        let path = format!("/v3/sources/{}", encoded(source.as_str()));
        let (value, request_id) = match self.send(Unsent::read(path, vec![])).await {
            Ok(answer) => (classify::shown(&answer, source), classify::request_id(&answer)),
            Err(outcome) => (Shown::Failed(outcome), None),
        };
        Read { value, request_id, took: sent_at.elapsed() }
    }

    async fn page(&self, offset: u32) -> Read<Listed> {
        let sent_at = Instant::now();
        let query = vec![("limit", PAGE.to_string()), ("offset", offset.to_string())];
        let unsent = Unsent { largest_answer: LARGEST_PAGE, ..Unsent::read("/v3/sources".to_owned(), query) };
        let (value, request_id) = match self.send(unsent).await {
            Ok(answer) => (classify::listed(&answer), classify::request_id(&answer)),
            Err(outcome) => (Listed::Failed(outcome), None),
        };
        Read { value, request_id, took: sent_at.elapsed() }
    }
}

/// A request before anybody dressed it.
struct Unsent {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Beyond this its answer is not read.
    largest_answer: usize,
}

impl Unsent {
    fn read(path: String, query: Vec<(&'static str, String)>) -> Self {
        Self { method: "GET", path, query, body: vec![], largest_answer: LARGEST_BODY }
    }
}

fn library_headers(headers: Vec<Header>) -> Result<(HeaderMap, Secrets), Outcome> {
    let mut map = HeaderMap::with_capacity(headers.len());
    let mut secrets = Vec::new();
    for Header { name, value } in headers {
        let key = header::HeaderName::from_bytes(name.as_bytes()).expect("our own header names are tokens");
        let mut ready = match &value {
            HeaderValue::Plain(text) => header::HeaderValue::from_str(text),
            HeaderValue::Secret(text) => header::HeaderValue::from_str(text.expose_secret()),
        }
        .map_err(|_| Outcome::Unsent { cause: format!("the header {name} has a character that no header may have") })?;
        if let HeaderValue::Secret(text) = value {
            ready.set_sensitive(true);
            secrets.push(text);
        }
        map.insert(key, ready);
    }
    Ok((map, Secrets::new(secrets)))
}

/// The body, as far as it is worth reading.
async fn read(response: &mut reqwest::Response, largest: usize, timeouts: Timeouts) -> Body {
    let announced = response.content_length().unwrap_or(0);
    if announced > largest as u64 {
        return Body::TooLarge;
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > largest => return Body::TooLarge,
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Body::Whole(bytes),
            Err(error) => return Body::CutOff { cause: lost_cause(&error, timeouts) },
        }
    }
}

/// How a request ended that got no status line: the great divide between not sent and perhaps done.
fn without_answer(error: &reqwest::Error, timeouts: Timeouts, secrets: &Secrets) -> Outcome {
    match unsent_cause(error, timeouts) {
        Some(cause) => Outcome::Unsent { cause: secrets.short(&cause) },
        None => Outcome::Lost { status: None, code: None, cause: secrets.short(&lost_cause(error, timeouts)) },
    }
}

/// Why the request provably never left, if that can be proven.
fn unsent_cause(error: &reqwest::Error, timeouts: Timeouts) -> Option<String> {
    let reason = root_cause(error);
    if error.is_builder() {
        return Some(format!("the request could not be built: {reason}"));
    }
    // The library hands a request back that it had not begun to write when its connection went.
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled) {
        return Some(format!("the connection went before the request was written: {reason}"));
    }
    if !error.is_connect() {
        return None;
    }
    Some(if error.is_timeout() {
        format!("connect timeout: no connection within {:?}", timeouts.connect)
    } else if let Some(tls) = find::<rustls::Error>(error) {
        format!("TLS: {tls}")
    } else if sources(error).any(|source| source.to_string() == "dns error") {
        format!("DNS: {reason}")
    } else if io_kind(error) == Some(io::ErrorKind::ConnectionRefused) {
        "connection refused".to_owned()
    } else {
        format!("no connection: {reason}")
    })
}

fn lost_cause(error: &reqwest::Error, timeouts: Timeouts) -> String {
    if error.is_timeout() {
        return format!("no answer within {:?}", timeouts.whole);
    }
    if matches!(io_kind(error), Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) {
        return "connection reset".to_owned();
    }
    match find::<hyper::Error>(error) {
        Some(http) if http.is_incomplete_message() => {
            "the connection was closed before the answer was there".to_owned()
        }
        Some(http) if http.is_parse() => format!("the answer is not HTTP: {}", root_cause(error)),
        Some(_) | None => root_cause(error).to_string(),
    }
}

/// An error and what is behind it, outermost first. What an I/O error wraps counts, which `source` alone skips.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
        Some(error)
    })
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    sources(error).find_map(|source| source.downcast_ref::<E>())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    find::<io::Error>(error).map(io::Error::kind)
}

/// The innermost error: the outer ones say "error sending request" and repeat the URL.
fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    sources(error).last().unwrap_or(error)
}

fn encoded_query(query: &[(&'static str, String)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// The text as one part of a path or query: everything but the unreserved characters is encoded, as the vendor's
/// SDKs do it. source: `huaweicloudsdkcore/signer/signer.py`.
fn encoded(text: &str) -> impl fmt::Display {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        use fmt::Write as _;
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio::task::yield_now;

    use super::super::{LAST_OFFSET, Listed, Page};
    use super::*;
    use crate::credentials::{CredentialsError, from_environment};
    use crate::model::SeenState;
    use crate::model::words::Word;

    const PATIENT: Duration = Duration::from_secs(20);
    const HASTY: Duration = Duration::from_millis(200);

    /// What a server does with one connection.
    #[derive(Clone)]
    enum Does {
        ResetAtOnce,
        ReadThenReset,
        ReadThenClose,
        Hang,
        /// Answers, and closes without having said that it would.
        Answer(Vec<u8>),
        /// Answers, and then leaves the connection open.
        AnswerAndHang(Vec<u8>),
    }

    fn answers(text: impl AsRef<[u8]>) -> Does {
        Does::Answer(text.as_ref().to_vec())
    }

    struct Server {
        address: SocketAddr,
        /// The requests that were read in full, in order.
        requests: mpsc::UnboundedReceiver<String>,
        /// One message for each connection that was closed.
        closed: mpsc::UnboundedReceiver<()>,
    }

    /// A server whose n-th connection does the n-th thing, and the last one again and again.
    async fn server(script: Vec<Does>) -> Server {
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
        Server { address, requests, closed }
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

    /// One request with its body; none if the client went away or does not speak HTTP.
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
        let token = |name: &str| (name == "CUTOVER_AUTH_TOKEN").then(|| "s3cret".into());
        let credentials = from_environment(token).unwrap().unwrap();
        Http::new(endpoint.parse().unwrap(), credentials, timeout).unwrap()
    }

    fn vm() -> SourceId {
        SourceId::new("vm-1").unwrap()
    }

    fn stopped() -> TargetState {
        TargetState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("syncing")) }
    }

    async fn put_within(timeout: Duration, does: Does) -> Reply {
        let server = server(vec![does]).await;
        http(&format!("http://{}", server.address), timeout).put(&vm(), &stopped()).await
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
        assert_eq!(http.put(&vm(), &stopped()).await.outcome, unsent);
        assert_eq!(http.show(&vm()).await.value, Shown::Failed(unsent.clone()));
        assert_eq!(http.page(0).await.value, Listed::Failed(unsent));
    }

    #[tokio::test]
    async fn a_server_without_tls_is_unsent() {
        let server = server(vec![answers("HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
        // A handshake is not a request: nobody reads it to its end, and the timeout ends it.
        let outcome = http(&format!("https://{}", server.address), HASTY).put(&vm(), &stopped()).await.outcome;
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
        let outcome = http(&format!("https://{address}"), PATIENT).put(&vm(), &stopped()).await.outcome;
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
            // The server keeps the connection: whoever waits for the end runs into the timeout.
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
            let message = "redirected to 127.0.0.1; redirects are not followed".to_owned();
            assert_eq!(put(answers(to)).await, Outcome::Rejected { status, code: None, message });
        }
        assert!(elsewhere.requests.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_kept_connection_that_the_server_closed_does_not_cost_the_next_request() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut server = server(vec![answers(ok)]).await;
        let http = http(&format!("http://{}", server.address), PATIENT);
        for _ in 0..3 {
            assert_eq!(http.put(&vm(), &stopped()).await.outcome, Outcome::Accepted { status: 200 });
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
        let reply = http.put(&SourceId::new("a b%2F☃+~._-").unwrap(), &stopped()).await;
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
        assert_eq!(http.show(&vm()).await.value, Shown::Seen(seen.clone()));
        let listed = http.page(LAST_OFFSET).await.value;
        assert_eq!(listed, Listed::Page(Page { count: 1, servers: vec![("vm-1".to_owned(), seen)] }));
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
        let (request, secrets) =
            http.build(Unsent::read("/".to_owned(), vec![])).expect("a plain request can be built");
        assert_eq!(request.headers()["x-auth-token"], "s3cret");
        let printed = format!("{http:?} {request:?} {secrets:?}");
        assert!(!printed.contains("s3cret"), "{printed}");
    }

    /// Credentials that cannot dress anything, as an expired key that cannot be renewed.
    #[derive(Debug)]
    struct Naked;

    impl Credentials for Naked {
        fn dress(&self, _: &mut Request<'_>) -> Result<(), CredentialsError> {
            Err(CredentialsError::Empty { origin: "nowhere" })
        }

        fn origin(&self) -> &'static str {
            "nowhere"
        }
    }

    #[tokio::test]
    async fn what_cannot_be_dressed_is_not_sent() {
        let mut server = server(vec![answers("HTTP/1.1 200 OK\r\n\r\n")]).await;
        let endpoint = format!("http://{}", server.address).parse().unwrap();
        let http = Http::new(endpoint, Arc::new(Naked), PATIENT).unwrap();
        let outcome = http.put(&vm(), &stopped()).await.outcome;
        assert_eq!(outcome, Outcome::Unsent { cause: "the token in nowhere is empty".to_owned() });
        assert!(server.requests.try_recv().is_err());
    }
}
