//! Clients of the HTTP library for one endpoint: set up once, with or without kept connections.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{redirect, retry};

use super::endpoint::Endpoint;
use super::failure::root_cause;
use super::proxy::{BadProxy, Proxy};
use super::settings::{Timeouts, TransportSettings};
use crate::event::outcome::Outcome;

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

/// Clients for one endpoint: with and without kept connections.
pub(super) struct Clients {
    keeping: reqwest::Client,
    /// Keeps no connection, so that each request makes its own. Set up when it is first needed, since that reads certificates.
    anew: OnceLock<Option<reqwest::Client>>,
    settings: TransportSettings,
    proxy: Option<Proxy>,
}

impl Clients {
    pub(super) fn new(
        endpoint: &Endpoint,
        settings: &TransportSettings,
        proxy: Option<Proxy>,
    ) -> Result<Self, TransportError> {
        let keeping = client(endpoint, settings, proxy.as_ref(), KEPT)?;
        Ok(Self { keeping, anew: OnceLock::new(), settings: settings.clone(), proxy })
    }

    pub(super) fn over(&self, connection: Connection, endpoint: &Endpoint) -> &reqwest::Client {
        let anew = || client(endpoint, &self.settings, self.proxy.as_ref(), 0).ok();
        match connection {
            Connection::Any => &self.keeping,
            // A client that could be set up once fails the second time only if files have disappeared meanwhile.
            Connection::New => self.anew.get_or_init(anew).as_ref().unwrap_or(&self.keeping),
        }
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
    if settings.leaves_within.is_some() {
        // On a connection that requests share, one may have to wait until others have their answers. The bound of the connection
        // covers the look-up of the name, the proxy and TLS.
        builder = builder.http1_only();
    }
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

/// Reads the certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let bad = |problem: String| TransportError::CaBundle { path: path.to_owned(), problem };
    let pem = crate::texts::bytes(path).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let pem = pem.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&pem);
    let found = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| bad(format!("is not PEM: {error}")))?;
    if found.is_empty() { Err(bad("has no certificate".to_owned())) } else { Ok(found) }
}
