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
/// Beyond this no answer is read: a page of 200 servers has its place in it, and nothing else comes near.
const LARGEST_BODY: usize = 1024 * 1024;

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
        if endpoint.is_plain() {
            // Loopback: no proxy may carry it off this machine, and it needs no certificates to be installed.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| HttpError::Setup(root_cause(&error).to_string()))?;
        Ok(Self { endpoint, credentials, client, timeouts })
    }

    /// Sends once. An `Err` is how it ended without a status line.
    async fn send(&self, unsent: Unsent) -> Result<Answer, Outcome> {
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
            body: read(&mut response, self.timeouts).await,
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
        let answer = self.send(Unsent { method: "PUT", path, query: vec![], body: wire::change_body(sends) }).await;
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
        let (value, request_id) = match self.send(Unsent::read("/v3/sources".to_owned(), query)).await {
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
}

impl Unsent {
    fn read(path: String, query: Vec<(&'static str, String)>) -> Self {
        Self { method: "GET", path, query, body: vec![] }
    }
}

fn library_headers(headers: Vec<Header>) -> Result<(HeaderMap, Secrets), Outcome> {
    let mut map = HeaderMap::with_capacity(headers.len());
    let mut secrets = Vec::new();
    for Header { name, value } in headers {
        let mut ready = match &value {
            HeaderValue::Plain(text) => header::HeaderValue::from_str(text),
            HeaderValue::Secret(text) => header::HeaderValue::from_str(text.expose_secret()),
        }
        .map_err(|_| Outcome::Unsent { cause: format!("the header {name} has a character that no header may have") })?;
        if let HeaderValue::Secret(text) = value {
            ready.set_sensitive(true);
            secrets.push(text);
        }
        map.insert(header::HeaderName::from_static(name), ready);
    }
    Ok((map, Secrets::new(secrets)))
}

/// The body, as far as it is worth reading.
async fn read(response: &mut reqwest::Response, timeouts: Timeouts) -> Body {
    let announced = response.content_length().unwrap_or(0);
    if announced > LARGEST_BODY as u64 {
        return Body::TooLarge;
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > LARGEST_BODY => return Body::TooLarge,
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
