//! Proofs of who we are, what they are put on, and where those come from that do not last.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use super::error::CredentialsError;
use crate::transport::Header;
use crate::transport::secrets::guarded::Guarded;

/// A request as credentials see it: all that may go into a signature.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'static str,
    /// As in the `Host` header, with a port that is not the scheme's own.
    pub host: &'a str,
    /// As on the wire, percent-encoded.
    pub path: &'a str,
    /// Names and values before encoding, in the order of the wire.
    pub query: &'a [(&'static str, String)],
    pub headers: Vec<Header>,
    /// What no text about the answer may repeat, beside the secret headers.
    pub hidden: Vec<Guarded>,
    pub body: &'a [u8],
}

/// What a request is dressed with.
#[derive(Clone)]
pub(crate) enum Proof {
    /// An IAM token.
    Token(Guarded),
    /// A key pair that signs.
    Keys(Keys),
}

/// An access key and its secret; temporary ones come with a token of their own.
#[derive(Clone)]
pub struct Keys {
    pub access: String,
    pub secret: Guarded,
    pub security_token: Option<Guarded>,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Token(_) => f.write_str("Token([redacted])"),
            Proof::Keys(keys) => keys.fmt(f),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let temporary = if self.security_token.is_some() { ", temporary" } else { "" };
        write!(f, "Keys({}, [redacted]{temporary})", self.access)
    }
}

/// A proof that was just fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) proof: Proof,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, CredentialsError>> + Send + 'a>>;

/// Where proofs come from that do not last. Errors are `Denied`, `Unreachable`, `Expired` or about what was fetched.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    fn fetch(&self) -> Fetching<'_>;

    /// How long before its expiry a proof is replaced.
    fn renews_ahead(&self) -> Duration;
}
