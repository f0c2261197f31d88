//! Requests that are ready to leave, and how they are handed to the HTTP library.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{self, HeaderMap};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::endpoint::Endpoint;
use super::leaving::InTime;
use super::secrets::Secrets;
use super::secrets::guarded::Guarded;
use crate::event::outcome::Outcome;

/// Request that is ready to leave.
pub(crate) struct Outgoing {
    pub(crate) method: &'static str,
    /// Path as on the wire, percent-encoded; it may have a query of its own.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<Header>,
    /// Secrets that no text about the answer may repeat, beside those in headers.
    pub(crate) hidden: Vec<Guarded>,
    /// Never printed, and zeroed: it may carry a password.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Limit of its answer in bytes; the rest is not read.
    pub(crate) largest_answer: usize,
    /// Time since the machine was started after which it does not leave any more; it then has a body.
    pub(crate) leaves_by: Option<Duration>,
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
            leaves_by: None,
        }
    }

    /// Makes the library's request, and the secrets that no text about its answer may repeat.
    pub(super) fn build(self, endpoint: &Endpoint) -> Result<(reqwest::Request, Secrets), Outcome> {
        let (headers, mut secrets) = library_headers(self.headers)?;
        secrets.extend(self.hidden);
        let method = Method::from_bytes(self.method.as_bytes()).expect("our own methods are tokens");
        let url = endpoint.at(&self.path, &encoded_query(&self.query));
        let mut ready = reqwest::Request::new(method, url);
        *ready.headers_mut() = headers;
        if !self.body.is_empty() {
            let body = Bytes::from_owner(self.body);
            *ready.body_mut() = Some(match self.leaves_by {
                Some(leaves_by) => reqwest::Body::wrap(InTime::new(body, leaves_by)),
                None => body.into(),
            });
        }
        Ok((ready, secrets))
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
