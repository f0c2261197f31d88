//! HTTP transport: the only room that knows the HTTP library.
//!
//! Nothing here tries again or knows our credentials. (The library sends anew only what it can prove was never written, on
//! a kept connection that the server had closed in the meantime.)

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::http;

use crate::clock::since_boot;
use crate::diagnostics;
use crate::event::outcome::Outcome;
use crate::model::SourceId;

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod endpoint;
mod failure;
mod leaving;
pub(crate) mod proxy;
pub(crate) mod region;
pub(crate) mod request;
pub(crate) mod secrets;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use answer::{Body, Incoming, read};
use client::{Clients, Connection, TransportError};
use endpoint::Endpoint;
use failure::without_answer;
use proxy::Proxy;
use request::{LARGEST_BODY, Outgoing};
use secrets::Secrets;
use settings::{Timeouts, TransportSettings};

/// Header by which the service names a request.
pub(crate) const REQUEST_ID: &str = "x-request-id";

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

impl Transport {
    pub(crate) fn new(endpoint: Endpoint, settings: &TransportSettings) -> Result<Self, TransportError> {
        // Fails where a provider is installed already, which is then used.
        _ = rustls::crypto::ring::default_provider().install_default();
        let proxy = Proxy::on_the_way(&endpoint, &|name| std::env::var_os(name))?;
        let (timeouts, shown) =
            (Timeouts::from_settings(settings), proxy.as_ref().map(|proxy| proxy.shown().to_owned()));
        let clients = Clients::new(&endpoint, settings, proxy)?;
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

    /// Returns the time since the machine was started after which a request that gets leave now is never sent; `None` where that is not
    /// bounded, as where nothing leaves this process.
    pub(crate) fn leaves_by(&self) -> Option<Duration> {
        match self.way {
            Carrier::Wire(_) => Some(since_boot() + self.timeouts.leaves_within?),
            Carrier::Inside(_) => None,
        }
    }

    /// Sends once. An `Err` is an ending without a status line: unsent or lost.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Outcome> {
        self.send_over(Connection::Any, outgoing, None).await
    }

    /// Does the same over this connection, for this row.
    pub(crate) async fn send_over(
        &self,
        connection: Connection,
        outgoing: Outgoing,
        row: Option<&SourceId>,
    ) -> Result<Incoming, Outcome> {
        let largest = outgoing.largest_answer;
        let (request, secrets) = outgoing.build(&self.endpoint)?;
        if diagnostics::tells_requests() {
            return Box::pin(self.sent_and_told(connection, request, secrets, largest, row)).await;
        }
        self.sent(connection, request, secrets, largest).await
    }

    /// Sends, and tells of the request and of its end. Headers and bodies are left out: what proves who we are is in them.
    async fn sent_and_told(
        &self,
        connection: Connection,
        request: reqwest::Request,
        secrets: Secrets,
        largest: usize,
        row: Option<&SourceId>,
    ) -> Result<Incoming, Outcome> {
        let url = request.url();
        // Receivers of notices are signed to in the query.
        let query = url.query().filter(|_| request.method() == reqwest::Method::GET);
        let path = query.map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let (method, path, host) = (request.method().clone(), secrets.short(&path), self.endpoint.authority());
        let row = row.map(SourceId::as_str);
        let told = diagnostics::RequestSent { method: method.as_str(), host, path: &path, row };
        diagnostics::sends(&told);
        let sent_at = Instant::now();
        let ended = self.sent(connection, request, secrets.clone(), largest).await;
        let took_ms = u64::try_from(sent_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answered = match &ended {
            Ok(incoming) => diagnostics::Answered {
                status: Some(incoming.status),
                request_id: incoming.header(REQUEST_ID).map(|id| secrets.short(&id)),
                cause: incoming.body.defect(),
                took_ms,
            },
            Err(outcome) => {
                diagnostics::Answered { status: None, request_id: None, cause: Some(outcome.to_string()), took_ms }
            }
        };
        diagnostics::ended(&told, &answered);
        ended
    }

    async fn sent(
        &self,
        connection: Connection,
        request: reqwest::Request,
        secrets: Secrets,
        largest: usize,
    ) -> Result<Incoming, Outcome> {
        let client = match &self.way {
            Carrier::Wire(clients) => clients.over(connection, &self.endpoint),
            Carrier::Inside(inside) => return self.send_inside(inside.as_ref(), request, secrets).await,
        };
        let mut response = match client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(without_answer(&error, &secrets, self.timeouts, self.proxy())),
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
}
