//! Access to the pages, and the headers that limit what browsers do with them.
//!
//! A page on another site can make a browser send requests here, and with a name that it points at this machine ("DNS rebinding")
//! even read the answers: `Host` therefore has to be a known name. Everybody on this machine can reach its ports, also users who
//! may not read the journal: every request therefore needs a token, first in the link, then as a cookie, or in a header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::guests::Guest;
use super::token::{Cookie, CookieMaker, Token};
use crate::console::Console;

/// Name of the token in a link.
pub(crate) const IN_LINK: &str = "token";
/// Delay before each answer to a wrong token. The answers come one after the other, whoever sends the tokens.
const PAUSE_AFTER_A_WRONG_ONE: Duration = Duration::from_millis(500);
/// Number of wrong tokens that are each reported; after it, only powers of two are.
const TOLD_ONE_BY_ONE: u64 = 10;

pub(crate) struct Door {
    listens_on: SocketAddr,
    /// Further names of this machine that are accepted.
    names: Vec<String>,
    lock: Option<DoorLock>,
    console: Console,
}

/// Token and session; a request needs one of them.
struct DoorLock {
    token: Token,
    session: CookieMaker,
    /// Number of wrong tokens so far.
    n_wrong: Mutex<u64>,
}

/// Proof of access in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Brought {
    Nothing,
    Wrong,
    Right,
    /// The token in a link; holds the place that the link leads to.
    Link(String),
}

impl Door {
    /// Makes the door; without a token everybody is let in.
    pub(crate) fn new(listens_on: SocketAddr, names: Vec<String>, token: Option<Token>, console: Console) -> Self {
        let lock = token.map(|token| DoorLock {
            token,
            session: CookieMaker::new(listens_on.port()),
            n_wrong: Mutex::default(),
        });
        Self { listens_on, names, lock, console }
    }

    /// Tells whether a `Host` is one of our names. The port does not matter: a tunnel may have another.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            Some(_) | None => host,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return true;
        }
        // An address is never looked up, so that nobody can have pointed it here.
        name.parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || self.listens_on.ip().is_unspecified() || ip == self.listens_on.ip())
    }

    /// Refuses a request for another host.
    fn misdirected(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        // HTTP/1.1 has the host in a header; a full URI in the request line takes precedence.
        let host = uri.authority().map(axum::http::uri::Authority::as_str);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        if host.is_some_and(|host| self.knows(host)) {
            return None;
        }
        let text = "This page does not go by that name. `--allow-host NAME` lets it.\n";
        Some((StatusCode::MISDIRECTED_REQUEST, text).into_response())
    }

    /// Returns the answer to a request that is not let in yet; `None` for one that is.
    async fn stops(&self, uri: &Uri, headers: &HeaderMap, guest: &Guest) -> Option<Response> {
        let lock = self.lock.as_ref()?;
        match lock.brought(uri, headers, || guest.user()) {
            Brought::Right => return None,
            Brought::Link(place) => {
                let headers = [(header::SET_COOKIE, lock.session.cookie(guest.user())), (header::LOCATION, place)];
                return Some((StatusCode::SEE_OTHER, headers).into_response());
            }
            Brought::Wrong => self.was_wrong(&lock.n_wrong, guest.address.ip()).await,
            Brought::Nothing => (),
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"cutover\", charset=\"UTF-8\"")];
        let text = "A token is needed: by the link that `cutover serve` printed when it began, as the password with any name, or \
                    as a bearer token.\n";
        Some((StatusCode::UNAUTHORIZED, challenge, text).into_response())
    }

    /// Counts and reports a wrong token, and delays the answer so that guessing is slow.
    async fn was_wrong(&self, n_wrong: &Mutex<u64>, from: IpAddr) {
        let mut n_wrong = n_wrong.lock().await;
        *n_wrong += 1;
        if *n_wrong <= TOLD_ONE_BY_ONE || n_wrong.is_power_of_two() {
            self.console.warn(&format!("a wrong token from {from}: {n_wrong} so far"));
        }
        tokio::time::sleep(PAUSE_AFTER_A_WRONG_ONE).await;
    }
}

impl DoorLock {
    /// Returns the proof in a request. `user` is the user on this machine who sent it, as far as that is known.
    fn brought(&self, uri: &Uri, headers: &HeaderMap, user: impl Fn() -> Option<u32>) -> Brought {
        let by_link = by_link(uri).map(|(given, place)| (self.token.is(given.as_bytes()), place));
        if let Some((true, place)) = by_link {
            return Brought::Link(place);
        }
        let by_header = headers.get_all(header::AUTHORIZATION).iter().map(|value| self.is_authorized(value));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies = cookies.flat_map(|cookies| cookies.split(';'));
        let by_cookie = cookies.filter_map(|cookie| match self.session.is(cookie, user())? {
            Cookie::Good => Some(true),
            Cookie::Bad => Some(false),
            // An expired cookie is no guess: the page was open for too long.
            Cookie::Old => None,
        });
        let given: Vec<bool> = by_header.chain(by_cookie).chain(by_link.map(|_| false)).collect();
        match given[..] {
            [] => Brought::Nothing,
            _ if given.contains(&true) => Brought::Right,
            _ => Brought::Wrong,
        }
    }

    fn is_authorized(&self, value: &HeaderValue) -> bool {
        let Ok(authorization) = value.to_str() else { return false };
        match authorization.split_once(' ') {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => self.token.is(given.trim().as_bytes()),
            // A browser asks for it and sends it on: any name, and the token as the password.
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("basic") => {
                let Ok(pair) = BASE64_STANDARD.decode(given.trim()) else { return false };
                pair.iter().position(|byte| *byte == b':').is_some_and(|colon| self.token.is(&pair[colon + 1..]))
            }
            Some(_) | None => false,
        }
    }
}

/// Returns the token in a link, and the place that the link leads to without it.
fn by_link(uri: &Uri) -> Option<(String, String)> {
    let pairs = || form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let given = pairs().find(|(name, _)| name == IN_LINK)?.1.into_owned();
    let rest = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs().filter(|(name, _)| name != IN_LINK))
        .finish();
    // A single slash in front keeps it a path here: two would begin the name of another host.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    Some((given, if rest.is_empty() { path } else { format!("{path}?{rest}") }))
}

/// Refuses requests that no reader sends: another method than GET or HEAD, or a body.
fn unwanted(method: &Method, headers: &HeaderMap) -> Option<Response> {
    if *method != Method::GET && *method != Method::HEAD {
        let text = "This page is only read.\n";
        return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], text).into_response());
    }
    let is_empty = headers.get_all(header::CONTENT_LENGTH).iter().all(|length| length == "0");
    if !is_empty || headers.contains_key(header::TRANSFER_ENCODING) {
        let text = "Nothing is read but what is asked for.\n";
        return Some((StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], text).into_response());
    }
    None
}

/// A request's way in: the door, and the guest at it.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) door: Arc<Door>,
    pub(super) guest: Arc<Guest>,
}

/// Checks every request before it is answered, and adds [`HEADERS`] to every answer.
pub(super) async fn guard(State(Visit { door, guest }): State<Visit>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let mut response = match answer_at(&door, method, uri, headers, &guest).await {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answer_at(door: &Door, method: &Method, uri: &Uri, headers: &HeaderMap, guest: &Guest) -> Option<Response> {
    if let Some(response) = door.misdirected(uri, headers) {
        return Some(response);
    }
    if let Some(response) = door.stops(uri, headers, guest).await {
        return Some(response);
    }
    guest.is_let_in();
    unwanted(method, headers)
}

/// Headers of every answer: nothing is loaded from elsewhere, embedded elsewhere, or cached.
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
    use secrecy::SecretString;

    use super::*;

    const CONSOLE: Console = Console { quiet: true, ..Console::PLAIN };

    fn door(listens_on: &str, token: Option<&str>) -> Door {
        let token = token.map(|token| Token::new(&SecretString::from(token)).unwrap());
        Door::new(listens_on.parse().unwrap(), vec!["War-Room.example.com".to_owned()], token, CONSOLE)
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

    const TOKEN: &str = "0123456789abcdef";

    /// Returns the proof in a request with these headers.
    fn brought(door: &Door, uri: &str, headers: &[(HeaderName, &str)]) -> Brought {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        door.lock.as_ref().unwrap().brought(&uri.parse().unwrap(), &headers, || None)
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_a_password() {
        let door = door("0.0.0.0:1", Some(TOKEN));
        let with = |value: &str| brought(&door, "/", &[(header::AUTHORIZATION, value)]) == Brought::Right;
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        assert!(with(&format!("Bearer {TOKEN}")));
        assert!(with(&basic(&format!("ada:{TOKEN}"))));
        assert!(with(&basic(&format!(":{TOKEN}"))));
        assert_eq!(brought(&door, "/", &[]), Brought::Nothing);
        for wrong in ["", "Bearer", "Bearer ", "Basic !", "Bearer 0123456789abcdeF", TOKEN] {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(!with(&basic(TOKEN)));
        assert!(!with(&basic(&format!("{TOKEN}:"))));
    }

    #[test]
    fn a_link_leads_to_the_page_without_the_token_and_a_cookie_stands_for_it() {
        let door = door("127.0.0.1:8787", Some(TOKEN));
        for (link, place) in [
            (format!("/?token={TOKEN}"), "/"),
            (format!("/runs/a%2Fb?token={TOKEN}"), "/runs/a%2Fb"),
            (format!("/runs/x/rows?find=a%26b&token={TOKEN}&page=2"), "/runs/x/rows?find=a%26b&page=2"),
            (format!("//evil.example/?token={TOKEN}"), "/evil.example/"),
        ] {
            assert_eq!(brought(&door, &link, &[]), Brought::Link(place.to_owned()), "{link}");
        }
        assert_eq!(brought(&door, "/?token=0123456789abcdeF", &[]), Brought::Wrong);
        let cookie = door.lock.as_ref().unwrap().session.cookie(None);
        let pair = cookie.split(';').next().unwrap();
        let cookies = format!("theme=dark; {pair}; other=1");
        assert_eq!(brought(&door, "/", &[(header::COOKIE, &cookies)]), Brought::Right);
        assert_eq!(brought(&door, "/", &[(header::COOKIE, "theme=dark")]), Brought::Nothing);
        assert_eq!(brought(&door, "/", &[(header::COOKIE, &pair[..pair.len() - 2])]), Brought::Wrong);
    }
}
