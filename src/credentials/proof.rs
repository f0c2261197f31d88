//! Proofs of identity, the requests that carry them, and the sources of those that expire.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use super::error::CredentialsError;
use crate::transport::request::Header;
use crate::transport::secrets::guarded::Guarded;

/// Request as far as credentials need it: everything that may go into a signature.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'static str,
    /// Host as in the `Host` header, with a port that is not the scheme's own.
    pub host: &'a str,
    /// Path as on the wire, percent-encoded.
    pub path: &'a str,
    /// Names and values before encoding, in the order of the wire.
    pub query: &'a [(&'static str, String)],
    pub headers: Vec<Header>,
    /// Secrets that no text about the answer may repeat, beside those in headers.
    pub hidden: Vec<Guarded>,
    pub body: &'a [u8],
}

/// Proof that a request carries.
#[derive(Clone)]
pub(crate) enum IdentityProof {
    /// An IAM token.
    Token(Guarded),
    /// A key pair that signs.
    Keys(Keys),
}

/// Access key and its secret; temporary ones come with a token of their own.
#[derive(Clone)]
pub struct Keys {
    pub access: String,
    pub secret: Guarded,
    pub security_token: Option<Guarded>,
}

impl IdentityProof {
    /// Secrets in it that no text may repeat.
    pub(crate) fn secrets(&self) -> Vec<Guarded> {
        match self {
            IdentityProof::Token(token) => vec![token.clone()],
            IdentityProof::Keys(Keys { access: _, secret, security_token }) => {
                std::iter::once(secret).chain(security_token).cloned().collect()
            }
        }
    }
}

impl fmt::Debug for IdentityProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityProof::Token(_) => f.write_str("Token([redacted])"),
            IdentityProof::Keys(keys) => keys.fmt(f),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let temporary = if self.security_token.is_some() { ", temporary" } else { "" };
        write!(f, "Keys({}, [redacted]{temporary})", self.access)
    }
}

/// Proof that was just fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) proof: IdentityProof,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, CredentialsError>> + Send + 'a>>;

/// Source of proofs that expire. Its errors are `Denied`, `Unreachable`, `Expired`, or about the text that was fetched.
pub(crate) trait ProofSource: fmt::Debug + Send + Sync {
    fn fetch(&self) -> Fetching<'_>;

    /// Time before the expiry of a proof at which it is replaced.
    fn renews_ahead(&self) -> Duration;
}
