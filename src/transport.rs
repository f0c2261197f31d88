//! HTTP transport: the only room that knows the HTTP library.
//!
//! Nothing here tries again or knows our credentials. (The library sends anew only what it can prove was never written, on
//! a kept connection that the server had closed in the meantime.)

use std::error::Error;
use std::fmt;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, redirect, retry};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::event::Outcome;

pub(crate) mod endpoint;
mod proxy;
pub(crate) mod region;
pub(crate) mod secrets;
#[cfg(test)]
mod tests;

use endpoint::Endpoint;
use proxy::{BadProxy, Proxy};
use secrets::Secrets;
use secrets::guarded::Guarded;

/// Settings of the transport.
#[derive(Clone, Debug)]
pub(crate) struct TransportSettings {
    /// Time from the first byte of a request to the last one of its answer.
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// Time for the next bytes of an answer; `None` where only `timeout` counts.
    pub(crate) read_timeout: Option<Duration>,
    /// Certificates that are trusted beside the system's own.
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// Endpoint with the connections to it; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    endpoint: Endpoint,
    way: Carrier,
    timeouts: Timeouts,
    /// Name of the proxy on the way, if there is one.
    proxy: Option<String>,
}

#[derive(Clone)]
enum Carrier {
    Wire(Arc<Clients>),
    /// Requests are answered inside the process, and nothing leaves it.
    Inside(Arc<dyn Inside>),
}

/// Clients for one endpoint: with and without kept connections.
struct Clients {
    keeping: reqwest::Client,
    /// Keeps no connection, so that each request makes its own. Set up when it is first needed, since that reads certificates.
    anew: OnceLock<Option<reqwest::Client>>,
    settings: TransportSettings,
    proxy: Option<Proxy>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Carrier::Wire(_) => "Wire",
            Carrier::Inside(_) => "Inside",
        })
    }
}

/// Service inside this process. An answer of `None` ends the connection without one.
pub(crate) trait Inside: Send + Sync {
    fn answer(&self, request: http::Request<Vec<u8>>) -> BoxFuture<'_, Option<http::Response<Vec<u8>>>>;
}

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Reason for which there is no client to send with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// No usable certificates on this machine, as a rule.
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
    #[error("the CA bundle `{}` {problem}", path.display())]
    CaBundle { path: PathBuf, problem: String },
    #[error(transparent)]
    Proxy(#[from] BadProxy),
}

/// Connection that a request travels over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Kept connection, if there is one.
    Any,
    /// Connection that nothing was sent over before.
    New,
}

impl Connection {
    /// Chooses the connection for the request that follows this outcome. A server that cut one kept connection as it was used again
    /// may do so with the others.
    pub(crate) fn after(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { status: None, .. } => Connection::New,
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Lost { status: Some(_), .. } => Connection::Any,
        }
    }
}

/// Request that is ready to leave.
pub(crate) struct Outgoing {
    pub(crate) method: &'static str,
    /// Path as on the wire, percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<Header>,
    /// Secrets that no text about the answer may repeat, beside those in headers.
    pub(crate) hidden: Vec<Guarded>,
    /// Never printed, and zeroed: it may carry a password.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Limit of its answer in bytes; the rest is not read.
    pub(crate) largest_answer: usize,
}

impl Outgoing {
    pub(crate) fn bare(method: &'static str, path: String) -> Self {
        Self {
            method,
            path,
            query: vec![],
            headers: vec![],
            hidden: vec![],
            body: Zeroizing::default(),
            largest_answer: LARGEST_BODY,
        }
    }
}

/// Limit in bytes for answers that should be short.
pub(crate) const LARGEST_BODY: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Header {
    pub name: &'static str,
    pub value: HeaderValue,
}

#[derive(Debug)]
pub enum HeaderValue {
    Plain(String),
    /// Never printed, and hidden in texts about the answer.
    Secret(Guarded),
    /// Never printed. The secrets in it are hidden one by one.
    Sealed(SecretString),
}

impl Header {
    #[must_use]
    pub fn plain(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: HeaderValue::Plain(value.into()) }
    }

    #[must_use]
    pub fn secret(name: &'static str, value: impl Into<Guarded>) -> Self {
        Self { name, value: HeaderValue::Secret(value.into()) }
    }

    #[must_use]
    pub fn sealed(name: &'static str, value: SecretString) -> Self {
        Self { name, value: HeaderValue::Sealed(value) }
    }
}

/// Answer with a status line, as it came.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Secrets that went out in the headers and must not come back in any text about the answer.
    pub(crate) secrets: Secrets,
    headers: HeaderMap,
}

pub(crate) enum Body {
    Whole(Vec<u8>),
    /// Longer than the limit; the rest was not read.
    TooLarge,
    /// The connection failed while it came.
    CutOff {
        cause: String,
    },
}

/// Leaves out headers and body: they may echo what we sent, or be a secret themselves.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Encoding of a body that cannot be read here and was not asked for: from the header, else from its first bytes.
    ///
    /// sources: RFC 9110, 8.4; RFC 1952, 2.3.1 (gzip); RFC 8878, 3.1.1 (zstd)
    pub(crate) fn encoding(&self) -> Option<String> {
        let named = self.header("content-encoding").map(|name| name.trim().to_ascii_lowercase());
        let named = named.filter(|name| !name.is_empty() && name != "identity");
        let body = match &self.body {
            Body::Whole(bytes) => bytes.as_slice(),
            Body::TooLarge | Body::CutOff { .. } => &[],
        };
        named.or(match body {
            [0x1f, 0x8b, ..] => Some("gzip".to_owned()),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd".to_owned()),
            _ => None,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    connect: Duration,
    read: Option<Duration>,
    whole: Duration,
}

impl Timeouts {
    /// Derives the timeouts from the settings. The connect timeout ends before the whole one, so that a connection that never came
    /// about is told apart from an answer that never came.
    fn from_settings(settings: &TransportSettings) -> Self {
        let TransportSettings { timeout: whole, connect_timeout, read_timeout, .. } = *settings;
        Self { connect: connect_timeout.min(whole * 9 / 10), read: read_timeout.filter(|read| *read < whole), whole }
    }
}

/// Time after which idle connections are closed: load balancers drop them after 60 s, as a rule, and a request on a dead one fails.
const IDLE: Duration = Duration::from_secs(50);

/// Limit of idle connections that are kept for each host: none.
const KEPT: usize = usize::MAX;

fn client(
    endpoint: &Endpoint,
    settings: &TransportSettings,
    proxy: Option<&Proxy>,
    kept: usize,
) -> Result<reqwest::Client, TransportError> {
    let timeouts = Timeouts::from_settings(settings);
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .tcp_nodelay(true)
        .pool_max_idle_per_host(kept)
        .pool_idle_timeout(IDLE)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.whole);
    if let Some(read) = timeouts.read {
        builder = builder.read_timeout(read);
    }
    // The library's own reading of the environment is too lenient: it bypasses a proxy that it cannot use.
    builder = builder.no_proxy();
    if let Some(proxy) = proxy {
        let way = reqwest::Proxy::all(proxy.url()).map_err(|_| TransportError::Setup("the proxy".to_owned()))?;
        builder = builder.proxy(way);
    }
    if endpoint.is_plain() {
        // Without TLS the system's certificates are not needed, and may be missing.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &settings.ca_bundle {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|error| TransportError::Setup(root_cause(&error).to_string()))
}

impl Clients {
    fn over(&self, connection: Connection, endpoint: &Endpoint) -> &reqwest::Client {
        let anew = || client(endpoint, &self.settings, self.proxy.as_ref(), 0).ok();
        match connection {
            Connection::Any => &self.keeping,
            // A client that could be set up once fails the second time only if files have disappeared meanwhile.
            Connection::New => self.anew.get_or_init(anew).as_ref().unwrap_or(&self.keeping),
        }
    }
}

impl Transport {
    pub(crate) fn new(endpoint: Endpoint, settings: &TransportSettings) -> Result<Self, TransportError> {
        // Fails where a provider is installed already, which is then used.
        _ = rustls::crypto::ring::default_provider().install_default();
        let proxy = Proxy::on_the_way(&endpoint, &|name| std::env::var_os(name))?;
        let keeping = client(&endpoint, settings, proxy.as_ref(), KEPT)?;
        let (timeouts, shown) =
            (Timeouts::from_settings(settings), proxy.as_ref().map(|proxy| proxy.shown().to_owned()));
        let clients = Clients { keeping, anew: OnceLock::new(), settings: settings.clone(), proxy };
        Ok(Self { endpoint, way: Carrier::Wire(Arc::new(clients)), timeouts, proxy: shown })
    }

    /// Makes a transport to a service inside this process. It has no client, so that nothing can leave.
    pub(crate) fn inside(endpoint: Endpoint, settings: &TransportSettings, inside: Arc<dyn Inside>) -> Self {
        Self { endpoint, way: Carrier::Inside(inside), timeouts: Timeouts::from_settings(settings), proxy: None }
    }

    /// Name of the proxy on the way, if there is one.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends once. An `Err` is an ending without a status line: unsent or lost.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Outcome> {
        self.send_over(Connection::Any, outgoing).await
    }

    pub(crate) async fn send_over(&self, connection: Connection, outgoing: Outgoing) -> Result<Incoming, Outcome> {
        let largest = outgoing.largest_answer;
        let (request, secrets) = self.build(outgoing)?;
        let client = match &self.way {
            Carrier::Wire(clients) => clients.over(connection, &self.endpoint),
            Carrier::Inside(inside) => return self.send_inside(inside.as_ref(), request, secrets).await,
        };
        let mut response = match client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(self.without_answer(&error, &secrets)),
        };
        let headers = std::mem::take(response.headers_mut());
        // Only a successful answer may be long.
        let largest = if response.status().is_success() { largest } else { largest.min(LARGEST_BODY) };
        // The library has taken the content length from the headers already.
        let body = read(&mut response, largest, self.timeouts).await;
        Ok(Incoming { status: response.status().as_u16(), body, secrets, headers })
    }

    async fn send_inside(
        &self,
        inside: &dyn Inside,
        request: reqwest::Request,
        secrets: Secrets,
    ) -> Result<Incoming, Outcome> {
        let lost = |cause: String| Outcome::Lost { status: None, code: None, cause };
        let mut plain = http::Request::new(request.body().and_then(reqwest::Body::as_bytes).unwrap_or(&[]).to_vec());
        *plain.method_mut() = request.method().clone();
        *plain.uri_mut() = request.url().as_str().parse().expect("a URL of ours is one");
        *plain.headers_mut() = request.headers().clone();
        let whole = self.timeouts.whole;
        let answered = tokio::time::timeout(whole, inside.answer(plain)).await;
        let answer = answered.map_err(|_| lost(format!("timeout: no answer within {whole:?}")))?;
        let answer = answer.ok_or_else(|| lost("the connection was reset".to_owned()))?;
        let (head, body) = answer.into_parts();
        Ok(Incoming { status: head.status.as_u16(), body: Body::Whole(body), secrets, headers: head.headers })
    }

    fn build(&self, outgoing: Outgoing) -> Result<(reqwest::Request, Secrets), Outcome> {
        let (headers, mut secrets) = library_headers(outgoing.headers)?;
        secrets.extend(outgoing.hidden);
        let method = Method::from_bytes(outgoing.method.as_bytes()).expect("our own methods are tokens");
        let url = self.endpoint.at(&outgoing.path, &encoded_query(&outgoing.query));
        let mut ready = reqwest::Request::new(method, url);
        *ready.headers_mut() = headers;
        if !outgoing.body.is_empty() {
            *ready.body_mut() = Some(Bytes::from_owner(outgoing.body).into());
        }
        Ok((ready, secrets))
    }
}

fn library_headers(headers: Vec<Header>) -> Result<(HeaderMap, Secrets), Outcome> {
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    // Nothing here could decode any other encoding.
    map.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    let mut secrets = Vec::new();
    for Header { name, value } in headers {
        let key = header::HeaderName::from_bytes(name.as_bytes()).expect("our own header names are tokens");
        let ready = match &value {
            HeaderValue::Plain(text) => header::HeaderValue::from_str(text),
            HeaderValue::Secret(text) => secret_value(text.expose_secret()),
            HeaderValue::Sealed(text) => secret_value(text.expose_secret()),
        }
        .map_err(|_| Outcome::Unsent { cause: format!("the header {name} has a character that no header may have") })?;
        if let HeaderValue::Secret(secret) = value {
            secrets.push(secret);
        }
        map.insert(key, ready);
    }
    Ok((map, Secrets::new(secrets)))
}

/// Makes a header value that is zeroed with the request. The libraries copy it into the buffers of the connection, which are reused
/// and out of our reach.
fn secret_value(text: &str) -> Result<header::HeaderValue, header::InvalidHeaderValue> {
    let owned = Zeroizing::new(text.as_bytes().to_vec());
    let mut value = header::HeaderValue::from_maybe_shared(Bytes::from_owner(owned))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads the body, up to the limit.
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

impl Transport {
    /// Classifies a request that got no status line: provably not sent, or possibly done.
    fn without_answer(&self, error: &reqwest::Error, secrets: &Secrets) -> Outcome {
        if let Some(cause) = self.unsent_cause(error) {
            return Outcome::Unsent { cause: secrets.short(&cause) };
        }
        if find::<h2::Error>(error).is_some_and(is_disclaimed) {
            return Outcome::Disclaimed { cause: "the server says that it did not look at the request".to_owned() };
        }
        let cause = lost_cause(error, self.timeouts);
        Outcome::Lost { status: None, code: None, cause: secrets.short(&cause) }
    }

    /// Explains why the request provably never left, if that can be proven here; a server's claim is no proof.
    fn unsent_cause(&self, error: &reqwest::Error) -> Option<String> {
        let reason = root_cause(error);
        if error.is_builder() {
            return Some(format!("the request could not be built: {reason}"));
        }
        // The library returns a request that it had not begun to write when the connection ended.
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled) {
            return Some(format!("the connection went before the request was written: {reason}"));
        }
        if !error.is_connect() {
            return None;
        }
        let cause = self.connect_cause(error);
        Some(match (&self.proxy, tunnel_problem(error)) {
            (Some(proxy), Some(problem)) => format!("the proxy {proxy} {problem}"),
            (Some(proxy), None) if find::<rustls::Error>(error).is_none() => format!("by the proxy {proxy}: {cause}"),
            (Some(_) | None, _) => cause,
        })
    }

    fn connect_cause(&self, error: &reqwest::Error) -> String {
        let reason = root_cause(error);
        if error.is_timeout() {
            format!("connect timeout: no connection within {:?}", self.timeouts.connect)
        } else if let Some(tls) = find::<rustls::Error>(error) {
            tls_cause(tls, self.proxy.is_some())
        } else if sources(error).any(|source| source.to_string() == "dns error") {
            format!("DNS: {reason}")
        } else {
            connection_cause(io_kind(error), reason)
        }
    }
}

/// Tells whether the server claims not to have begun with a request that was sent completely. It is a claim and no proof:
/// a gateway on the way may have passed the request on. source: RFC 9113, 6.8 (streams above a GOAWAY's last, whatever its
/// code) and 8.7 (`REFUSED_STREAM`).
fn is_disclaimed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

fn connection_cause(kind: Option<io::ErrorKind>, reason: &dyn Error) -> String {
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "no route to the host".to_owned(),
        _ => format!("no connection: {reason}"),
    }
}

/// Describes the fault of a certificate or handshake, with a remedy where there is one.
fn tls_cause(error: &rustls::Error, by_proxy: bool) -> String {
    if by_proxy
        && let rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext { .. }) = error
    {
        // The library's text names the host, and that of a proxy is not shown.
        return "TLS: the certificate is not valid for the name that was asked for".to_owned();
    }
    let hint = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            " (a CA of your own is trusted by --ca-bundle)"
        }
        rustls::Error::InvalidMessage(_) => " (does the port speak TLS?)",
        _ => "",
    };
    format!("TLS: {error}{hint}")
}

/// Describes a failure on the way through a proxy, before the endpoint itself is reached.
fn tunnel_problem(error: &reqwest::Error) -> Option<String> {
    let said = sources(error)
        .map(ToString::to_string)
        .find_map(|text| text.strip_prefix("tunnel error: ").map(str::to_owned))?;
    Some(match said.as_str() {
        "proxy authorization required" => "wants a user and a password (407)".to_owned(),
        "unsuccessful" => "would not connect to the endpoint".to_owned(),
        "unexpected end of file" => "closed the connection".to_owned(),
        _ if sources(error).any(|source| source.to_string() == "dns error") => {
            format!("cannot be found: DNS: {}", root_cause(error))
        }
        _ => format!("could not be reached: {}", connection_cause(io_kind(error), root_cause(error))),
    })
}

fn lost_cause(error: &reqwest::Error, timeouts: Timeouts) -> String {
    if error.is_timeout() {
        return match timeouts.read {
            Some(read) => format!("no answer within {:?}, or nothing more of it within {read:?}", timeouts.whole),
            None => format!("no answer within {:?}", timeouts.whole),
        };
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

/// Reads the certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let bad = |problem: String| TransportError::CaBundle { path: path.to_owned(), problem };
    let pem = crate::texts::bytes(path).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let pem = pem.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&pem);
    let found = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| bad(format!("is not PEM: {error}")))?;
    if found.is_empty() { Err(bad("has no certificate".to_owned())) } else { Ok(found) }
}

/// Iterates over an error and its causes, outermost first; also over those inside an I/O error, which `source` alone skips.
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

/// Returns the innermost error: the outer ones say "error sending request" and repeat the URL.
fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    sources(error).last().unwrap_or(error)
}

fn encoded_query(query: &[(&'static str, String)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Encodes a text as one part of a path or query: everything but the unreserved characters, as the vendor's
/// SDKs do it. source: `huaweicloudsdkcore/signer/signer.py`.
pub(crate) fn encoded(text: &str) -> impl fmt::Display {
    const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &ENCODED)
}
