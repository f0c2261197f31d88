//! Requests without an answer: provably not sent, or possibly done, and the cause in words.

use std::error::Error;
use std::io;
use std::iter;

use super::leaving::TooLate;
use super::secrets::Secrets;
use super::settings::Timeouts;
use crate::event::outcome::Outcome;

/// Classifies a request that got no status line: provably not sent, or possibly done.
pub(super) fn without_answer(
    error: &reqwest::Error,
    secrets: &Secrets,
    timeouts: Timeouts,
    proxy: Option<&str>,
) -> Outcome {
    if let Some(cause) = unsent_cause(error, timeouts, proxy) {
        return Outcome::Unsent { cause: secrets.short(&cause) };
    }
    if find::<h2::Error>(error).is_some_and(is_disclaimed) {
        return Outcome::Disclaimed { cause: "the server says that it did not look at the request".to_owned() };
    }
    let cause = lost_cause(error, timeouts);
    Outcome::Lost { status: None, code: None, cause: secrets.short(&cause) }
}

/// Explains why the request provably never left, if that can be proven here; a server's claim is no proof.
fn unsent_cause(error: &reqwest::Error, timeouts: Timeouts, proxy: Option<&str>) -> Option<String> {
    let reason = root_cause(error);
    if error.is_builder() {
        return Some(format!("the request could not be built: {reason}"));
    }
    if find::<TooLate>(error).is_some() {
        let within = timeouts.leaves_within.unwrap_or_default();
        return Some(format!("it did not leave within {within:?} of its leave to go, and not after that"));
    }
    // The library returns a request that it had not begun to write when the connection ended.
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled) {
        return Some(format!("the connection went before the request was written: {reason}"));
    }
    if !error.is_connect() {
        return None;
    }
    let cause = connect_cause(error, timeouts, proxy);
    Some(match (proxy, tunnel_problem(error)) {
        (Some(proxy), Some(problem)) => format!("the proxy {proxy} {problem}"),
        (Some(proxy), None) if find::<rustls::Error>(error).is_none() => format!("by the proxy {proxy}: {cause}"),
        (Some(_) | None, _) => cause,
    })
}

fn connect_cause(error: &reqwest::Error, timeouts: Timeouts, proxy: Option<&str>) -> String {
    let reason = root_cause(error);
    if error.is_timeout() {
        format!("connect timeout: no connection within {:?}", timeouts.connect)
    } else if let Some(tls) = find::<rustls::Error>(error) {
        tls_cause(tls, proxy.is_some())
    } else if sources(error).any(|source| source.to_string() == "dns error") {
        format!("DNS: {reason}")
    } else {
        connection_cause(io_kind(error), reason)
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
        // The library's text names the host, and the host of a proxy must not be shown.
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

pub(super) fn lost_cause(error: &reqwest::Error, timeouts: Timeouts) -> String {
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
pub(super) fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    sources(error).last().unwrap_or(error)
}
