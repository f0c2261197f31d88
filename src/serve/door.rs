//! Who is let in, and what browsers may do with what they are given.
//!
//! A page on another site can make a browser send requests here, and with a name that it points at this machine
//! ("DNS rebinding") even read the answers. So `Host` has to be a name that is ours; and where others than this machine can
//! come, they bring a token, in a header that no other site's page has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What those have to bring who are let in. Only its digest is kept.
pub(crate) struct Token([u8; 32]);

#[derive(Debug, thiserror::Error)]
#[error("the token has to have {SHORTEST_TOKEN} characters or more, none of them a blank")]
pub(crate) struct WeakToken;

impl Token {
    pub(crate) fn new(token: &SecretString) -> Result<Self, WeakToken> {
        let text = token.expose_secret();
        if text.chars().count() < SHORTEST_TOKEN || text.chars().any(char::is_whitespace) {
            return Err(WeakToken);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// How long it takes says nothing of the token: digests are compared.
    fn is(&self, given: &[u8]) -> bool {
        self.0 == <[u8; 32]>::from(Sha256::digest(given))
    }
}

pub(crate) struct Door {
    listens_on: SocketAddr,
    /// Names that people may use for this machine besides.
    names: Vec<String>,
    token: Option<Token>,
}

impl Door {
    pub(crate) fn new(listens_on: SocketAddr, names: Vec<String>, token: Option<Token>) -> Self {
        Self { listens_on, names, token }
    }

    /// Whether `Host` is a name of ours. The port does not matter: a tunnel may have another.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            Some(_) | None => host,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return true;
        }
        // A number is never looked up, so that nobody else can have pointed it here.
        name.parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || self.listens_on.ip().is_unspecified() || ip == self.listens_on.ip())
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        match authorization.split_once(' ') {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => token.is(given.trim().as_bytes()),
            // What a browser asks for and keeps to itself: any name, and the token for a password.
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("basic") => {
                let Ok(pair) = BASE64_STANDARD.decode(given.trim()) else { return false };
                pair.iter().position(|byte| *byte == b':').is_some_and(|colon| token.is(&pair[colon + 1..]))
            }
            Some(_) | None => false,
        }
    }

    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        // HTTP/1.1 has it in a header; a whole address in the first line wins over that.
        let host = uri.authority().map(axum::http::uri::Authority::as_str);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        if !host.is_some_and(|host| self.knows(host)) {
            let text = "This page does not go by that name. `--allow-host NAME` lets it.\n";
            return Some((StatusCode::MISDIRECTED_REQUEST, text).into_response());
        }
        if !self.lets_in(headers) {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"cutover\", charset=\"UTF-8\"")];
            let text = "A token is needed: as the password, with any name, or as a bearer token.\n";
            return Some((StatusCode::UNAUTHORIZED, challenge, text).into_response());
        }
        if *method != Method::GET && *method != Method::HEAD {
            let text = "This page is only read.\n";
            return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], text).into_response());
        }
        None
    }
}

/// Before every answer, and after it.
pub(super) async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut response = match door.refusal(request.method(), request.uri(), request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Nothing from elsewhere, nothing into elsewhere, nothing kept.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn door(listens_on: &str, token: Option<&str>) -> Door {
        let token = token.map(|token| Token::new(&SecretString::from(token)).unwrap());
        Door::new(listens_on.parse().unwrap(), vec!["War-Room.example.com".to_owned()], token)
    }

    #[test]
    fn only_names_that_are_ours_are_answered_to() {
        let here = door("127.0.0.1:8787", None);
        for host in ["127.0.0.1:8787", "localhost:9000", "LocalHost", "[::1]:8787", "war-room.EXAMPLE.com"] {
            assert!(here.knows(host), "{host}");
        }
        for host in [
            "evil.example.com",
            "evil.example.com:8787",
            "10.0.0.1",
            "localhost.evil.com",
            "",
            ":8787",
            "[evil]",
            "[[localhost]]",
        ] {
            assert!(!here.knows(host), "{host}");
        }
        assert!(door("0.0.0.0:1", None).knows("10.0.0.1:1"));
        assert!(door("10.0.0.1:1", None).knows("10.0.0.1:1"));
        assert!(!door("10.0.0.1:1", None).knows("10.0.0.2:1"));
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_a_password() {
        const TOKEN: &str = "0123456789abcdef";
        let door = door("0.0.0.0:1", Some(TOKEN));
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            door.lets_in(&headers)
        };
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        assert!(with(&format!("Bearer {TOKEN}")));
        assert!(with(&basic(&format!("ada:{TOKEN}"))));
        assert!(with(&basic(&format!(":{TOKEN}"))));
        assert!(!door.lets_in(&HeaderMap::new()));
        for wrong in ["", "Bearer", "Bearer ", "Basic !", "Bearer 0123456789abcdeF", TOKEN] {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(!with(&basic(TOKEN)));
        assert!(!with(&basic(&format!("{TOKEN}:"))));
    }

    #[test]
    fn a_token_that_can_be_guessed_is_none() {
        for weak in ["", "short", "0123456789 abcdef"] {
            assert!(Token::new(&SecretString::from(weak)).is_err(), "{weak}");
        }
    }
}
