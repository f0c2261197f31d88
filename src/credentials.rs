//! Who we are to the service: each request is dressed with it afresh, directly before it leaves.
//!
//! Only a ready token so far. A signer has all it needs in [`Request`]: it sees the request as it will be on the
//! wire, and adds its headers.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

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
    pub body: &'a [u8],
}

#[derive(Debug)]
pub struct Header {
    pub name: &'static str,
    pub value: HeaderValue,
}

#[derive(Debug)]
pub enum HeaderValue {
    Plain(String),
    /// Never printed, and hidden from whatever an answer says.
    Secret(SecretString),
}

impl Header {
    #[must_use]
    pub fn plain(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: HeaderValue::Plain(value.into()) }
    }

    #[must_use]
    pub fn secret(name: &'static str, value: SecretString) -> Self {
        Self { name, value: HeaderValue::Secret(value) }
    }
}

/// Dresses one request afresh for each attempt: dated, signed.
pub trait Credentials: fmt::Debug + Send + Sync {
    fn dress(&self, request: &mut Request<'_>) -> Result<(), CredentialsError>;

    /// Where they came from, for people.
    fn origin(&self) -> &'static str;
}

/// Why there are no credentials to use. No variant shows any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error("the token in {origin} is empty")]
    Empty { origin: &'static str },
    #[error("the token in {origin} has {n_bytes} characters, at most {max} are allowed", max = Token::MAX_CHARS)]
    TooLong { origin: &'static str, n_bytes: usize },
    #[error("the token in {origin} has a character that no token has: a blank, a line break or a non-ASCII one")]
    NotVisible { origin: &'static str },
}

/// A ready IAM token.
pub struct Token {
    secret: SecretString,
    origin: &'static str,
}

impl Token {
    /// source: api-sms/UpdateCopyState.html (`X-Auth-Token`, 1 to 16384 characters).
    pub const MAX_CHARS: usize = 16_384;

    fn new(text: OsString, origin: &'static str) -> Result<Self, CredentialsError> {
        // What is not UTF-8 is not ASCII either.
        let Ok(text) = text.into_string().map(SecretString::from) else {
            return Err(CredentialsError::NotVisible { origin });
        };
        // `$(cat token)` loses its line break; other ways of filling a variable keep it.
        let token = text.expose_secret();
        let token = token.strip_suffix("\r\n").or_else(|| token.strip_suffix('\n')).unwrap_or(token);
        if token.is_empty() {
            return Err(CredentialsError::Empty { origin });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CredentialsError::NotVisible { origin });
        }
        if token.len() > Self::MAX_CHARS {
            return Err(CredentialsError::TooLong { origin, n_bytes: token.len() });
        }
        Ok(Self { secret: SecretString::from(token), origin })
    }
}

impl Credentials for Token {
    fn dress(&self, request: &mut Request<'_>) -> Result<(), CredentialsError> {
        request.headers.push(Header::secret("x-auth-token", self.secret.clone()));
        Ok(())
    }

    fn origin(&self) -> &'static str {
        self.origin
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token([redacted] from {})", self.origin)
    }
}

/// Where a token is looked for; the first that is set counts, even if it is bad.
const TOKEN_VARIABLES: [&str; 2] = ["CUTOVER_AUTH_TOKEN", "HW_AUTH_TOKEN"];

/// The credentials of an environment, which `get` reads; none if it names none.
pub fn from_environment(
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Arc<dyn Credentials>>, CredentialsError> {
    for origin in TOKEN_VARIABLES {
        if let Some(text) = get(origin) {
            return Ok(Some(Arc::new(Token::new(text, origin)?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Option<Arc<dyn Credentials>>, CredentialsError> {
        from_environment(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    fn dressed(credentials: &dyn Credentials) -> String {
        let mut request =
            Request { method: "GET", host: "sms.example.com", path: "/", query: &[], headers: Vec::new(), body: b"" };
        credentials.dress(&mut request).unwrap();
        assert!(!format!("{request:?} {credentials:?}").contains("s3cret"), "a secret is printed");
        match &request.headers[..] {
            [Header { name: "x-auth-token", value: HeaderValue::Secret(token) }] => token.expose_secret().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn our_own_variable_goes_before_the_common_one() {
        let both = from(&[("HW_AUTH_TOKEN", "s3cret-b"), ("CUTOVER_AUTH_TOKEN", "s3cret-a")]).unwrap().unwrap();
        assert_eq!((both.origin(), dressed(&*both).as_str()), ("CUTOVER_AUTH_TOKEN", "s3cret-a"));
        let common = from(&[("HW_AUTH_TOKEN", "s3cret-b")]).unwrap().unwrap();
        assert_eq!((common.origin(), dressed(&*common).as_str()), ("HW_AUTH_TOKEN", "s3cret-b"));
        assert!(from(&[]).unwrap().is_none());
    }

    #[test]
    fn one_trailing_line_break_is_not_part_of_a_token() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            assert_eq!(dressed(&*from(&[("HW_AUTH_TOKEN", text)]).unwrap().unwrap()), "s3cret");
        }
    }

    #[test]
    fn a_bad_token_is_an_error_that_names_the_variable_and_not_the_token() {
        let origin = "CUTOVER_AUTH_TOKEN";
        let n_bytes = Token::MAX_CHARS + 1;
        for (text, error) in [
            ("", CredentialsError::Empty { origin }),
            ("\n", CredentialsError::Empty { origin }),
            ("s3cret\n\n", CredentialsError::NotVisible { origin }),
            ("s3 cret", CredentialsError::NotVisible { origin }),
            ("s3crét", CredentialsError::NotVisible { origin }),
            (&"s".repeat(n_bytes), CredentialsError::TooLong { origin, n_bytes }),
        ] {
            // A bad value is an error wherever it stands: the good one behind it is not taken instead.
            let found = from(&[(origin, text), ("HW_AUTH_TOKEN", "good")]).unwrap_err();
            assert_eq!(found, error);
            assert!(found.to_string().contains(origin) && !format!("{found} {found:?}").contains("s3"));
        }
        assert!(from(&[(origin, &"s".repeat(Token::MAX_CHARS))]).is_ok());
    }
}
