//! Signature `SDK-HMAC-SHA256`.
//!
//! sources: intl devg-apisign (the algorithm, and which headers must be signed);
//! huaweicloud-sdk-python-v3 `huaweicloudsdkcore/signer/signer.py`.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::proof::{Keys, Request};
use crate::transport::request::{Header, HeaderValue, encoded};
use crate::transport::secrets::guarded::Guarded;

pub const ALGORITHM: &str = "SDK-HMAC-SHA256";
const CONTENT_HASH: &str = "x-sdk-content-sha256";

/// Parts of a signature. All but the secret and security tokens among the headers may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    pub canonical_request: Zeroizing<String>,
    pub string_to_sign: String,
    /// Names in lower case, sorted, with semicolons between them.
    pub signed_headers: String,
    pub hex: String,
}

/// Signs a request: method, path as on the wire, query before encoding, headers to be signed (the host among them),
/// body, and the date as `X-Sdk-Date` has it.
#[must_use]
pub fn signature<N: AsRef<str>, V: AsRef<str>>(
    secret: &str,
    method: &str,
    path: &str,
    query: &[(N, V)],
    headers: &[(&str, &str)],
    body: &[u8],
    date: &str,
) -> Signature {
    // Names with an underscore are left out, as the SDK does it: proxies drop such headers.
    let mut headers: Vec<(String, &str)> = headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_lowercase(), value.trim()))
        .collect();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let signed_headers = names.join(";");
    let given_hash = headers.iter().find(|(name, _)| name == CONTENT_HASH).map(|(_, value)| (*value).to_owned());
    let hash = given_hash.filter(|_| !body.is_empty()).unwrap_or_else(|| hex(&Sha256::digest(body)));

    // Large enough from the beginning: a buffer that grows leaves copies behind, and the security token is part of it.
    let of_headers: usize = headers.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum();
    let mut canonical = Zeroizing::new(String::with_capacity(256 + 3 * path.len() + of_headers));
    _ = write!(canonical, "{method}\n{}\n{}\n", canonical_path(path), canonical_query(query));
    for (name, value) in &headers {
        _ = writeln!(canonical, "{name}:{value}");
    }
    _ = write!(canonical, "\n{signed_headers}\n{hash}");
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is a key");
    mac.update(string_to_sign.as_bytes());
    Signature { canonical_request: canonical, hex: hex(&mac.finalize().into_bytes()), string_to_sign, signed_headers }
}

/// Dates and signs a request with all the headers that it has by now.
///
/// `content-type`, `host` and all headers `x-…` are signed. Only the date must be (source: devg-apisign
/// api-sign-exclude-header); the others that the Python SDK signs would gain nothing, and `user-agent` is one that
/// proxies rewrite.
pub(crate) fn sign(keys: &Keys, project: Option<&str>, at: Timestamp, request: &mut Request<'_>) {
    let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    request.headers.push(Header::plain("x-sdk-date", date.clone()));
    if let Some(project) = project {
        request.headers.push(Header::plain("x-project-id", project));
    }
    if let Some(token) = &keys.security_token {
        request.headers.push(Header::secret("x-security-token", token.clone()));
    }
    let mut headers: Vec<(&str, &str)> = vec![("host", request.host)];
    for Header { name, value } in &request.headers {
        if *name == "content-type" || name.starts_with("x-") {
            headers.push((name, shown(value)));
        }
    }
    let Request { method, path, query, body, .. } = *request;
    let made = signature(keys.secret.expose_secret(), method, path, query, &headers, body, &date);
    // Whoever has this header can send this request for a quarter of an hour.
    let authorization = SecretString::from(authorization(&keys.access, &made));
    request.headers.push(Header::sealed("authorization", authorization));
    // A gateway may repeat the signature in an explanation. The key itself never leaves, and is hidden to be safe.
    request.hidden.extend([Guarded::new(SecretString::from(made.hex)), keys.secret.clone()]);
}

/// Returns the value of the header `Authorization`.
#[must_use]
pub fn authorization(access: &str, signature: &Signature) -> String {
    let Signature { signed_headers, hex, .. } = signature;
    format!("{ALGORITHM} Access={access}, SignedHeaders={signed_headers}, Signature={hex}")
}

fn shown(value: &HeaderValue) -> &str {
    match value {
        HeaderValue::Plain(text) => text,
        HeaderValue::Secret(secret) => secret.expose_secret(),
        HeaderValue::Sealed(text) => text.expose_secret(),
    }
}

/// Returns the path decoded, split, and encoded part by part, with a slash at the end that is not on the wire.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let parts: Vec<String> = decoded.split('/').map(|part| encoded(part).to_string()).collect();
    let mut canonical = parts.join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Returns the query sorted by name and then value, before they are encoded.
fn canonical_query<N: AsRef<str>, V: AsRef<str>>(query: &[(N, V)]) -> String {
    let mut pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results of the official signer: see `generated_with` in the file.
    const VECTORS: &str = include_str!("../../tests/sdk-hmac-sha256.json");

    /// Returns the pairs of a case's query: a list is a repeated name, a boolean is a lower-case word.
    fn pairs(query: &serde_json::Value) -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut pairs = Vec::new();
        for pair in query.as_array().unwrap() {
            let name = text(&pair[0]);
            match pair[1].as_array() {
                Some(values) => pairs.extend(values.iter().map(|value| (name.clone(), text(value)))),
                None => pairs.push((name, text(&pair[1]))),
            }
        }
        pairs
    }

    #[test]
    fn every_case_of_the_official_signer_is_signed_digit_for_digit() {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let cases = file["vectors"].as_array().unwrap();
        for case in cases {
            let (name, expected) = (&case["name"], &case["expected"]);
            let text = |key: &str| case[key].as_str().unwrap();
            // Everything that was sent was signed, except for the signature itself.
            let sent = expected["headers_sent"].as_object().unwrap();
            let headers: Vec<(&str, &str)> = sent
                .iter()
                .filter(|(name, _)| name.as_str() != "Authorization")
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            let date = sent["X-Sdk-Date"].as_str().unwrap();
            let secret = text("sk");
            let (method, path, body) = (text("method"), text("path"), text("body").as_bytes());
            let made = signature(secret, method, path, &pairs(&case["query"]), &headers, body, date);
            assert_eq!(*made.canonical_request, expected["canonical_request"], "{name}");
            assert_eq!(made.string_to_sign, expected["string_to_sign"], "{name}");
            assert_eq!(made.hex, expected["signature"], "{name}");
            assert_eq!(authorization(text("ak"), &made), expected["authorization"], "{name}");
        }
        assert_eq!(cases.len(), 22);
    }

    #[test]
    fn a_request_is_signed_with_its_project_its_security_token_and_a_fresh_date() {
        let keys = Keys { access: "AK".into(), secret: "s3cret".into(), security_token: Some("t0ken".into()) };
        let headers = vec![
            Header::plain("accept", "application/json"),
            Header::plain("content-type", "application/json"),
            Header::plain("user-agent", "cutover"),
        ];
        let mut request = Request {
            method: "GET",
            host: "sms.example.com",
            path: "/v3/sources",
            query: &[],
            headers,
            hidden: Vec::new(),
            body: b"",
        };
        let at = "2026-01-31T12:00:00Z".parse().unwrap();
        sign(&keys, Some("p-1"), at, &mut request);
        let header = |name: &str| shown(&request.headers.iter().find(|header| header.name == name).unwrap().value);
        assert_eq!(header("x-sdk-date"), "20260131T120000Z");
        assert_eq!((header("x-project-id"), header("x-security-token")), ("p-1", "t0ken"));
        let signed = "SDK-HMAC-SHA256 Access=AK, SignedHeaders=content-type;host;x-project-id;x-sdk-date;x-security-token, \
                      Signature=";
        assert!(header("authorization").starts_with(signed), "{}", header("authorization"));
        let printed = format!("{request:?} {keys:?}");
        assert!(
            !printed.contains("s3cret") && !printed.contains("t0ken") && !printed.contains("Signature="),
            "{printed}"
        );
    }
}
