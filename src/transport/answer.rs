//! Answers with a status line, as they came.

use std::fmt;

use reqwest::header::HeaderMap;

use super::failure::lost_cause;
use super::secrets::Secrets;
use super::settings::Timeouts;

/// Answer with a status line, as it came.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Secrets that went out in the headers and must not come back in any text about the answer.
    pub(crate) secrets: Secrets,
    pub(super) headers: HeaderMap,
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

impl Body {
    /// Reason for which it is not whole; `None` if it is.
    pub(super) fn defect(&self) -> Option<String> {
        match self {
            Body::Whole(_) => None,
            Body::TooLarge => Some("the answer is too large".to_owned()),
            Body::CutOff { cause } => Some(format!("the answer was cut off: {cause}")),
        }
    }
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

/// Reads the body, up to the limit.
pub(super) async fn read(response: &mut reqwest::Response, largest: usize, timeouts: Timeouts) -> Body {
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
