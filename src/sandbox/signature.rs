//! Check of the signature `SDK-HMAC-SHA256`, written from the vendor's description and not from the client's code: a mistake in
//! shared code would go unseen.
//!
//! sources: intl devg-apisign (algorithm, and which headers must be signed);
//! huaweicloud-sdk-python-v3 `huaweicloudsdkcore/signer/signer.py`.

use std::fmt::Write as _;

use hyper::http::request::Parts;
use jiff::Timestamp;
use jiff::tz::Offset;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::text::{decoded, encoded};

/// Access key and its secret.
#[derive(Clone, Debug)]
pub struct KeyPair {
    pub access: String,
    pub secret: SecretString,
    /// Security token of a temporary key.
    pub security_token: Option<SecretString>,
}

/// Gateway's text for a wrong signature.
pub(super) const WRONG: &str = "verify aksk signature fail";

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const TOLERANCE_SECONDS: i64 = 15 * 60;

/// Checks a signature. The error is the gateway's own text for what is wrong.
pub(super) fn check(
    keys: &KeyPair,
    head: &Parts,
    authorization: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), &'static str> {
    let given = Authorization::parse(authorization).ok_or(WRONG)?;
    if given.access != keys.access {
        return Err("Get secretKey failed, ak not exist");
    }
    let date = header(head, "x-sdk-date").ok_or(WRONG)?;
    if !given.signed_headers.contains(&"x-sdk-date") || !is_recent(date, now) {
        return Err(WRONG);
    }
    let canonical = canonical_request(head, &given.signed_headers, body).ok_or(WRONG)?;
    let to_sign = format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let signature = hex(&hmac_sha256(keys.secret.expose_secret().as_bytes(), to_sign.as_bytes()));
    if signature != given.signature {
        return Err(WRONG);
    }
    let security_token = keys.security_token.as_ref().map(ExposeSecret::expose_secret);
    // The text for a temporary key without its token is not known.
    match (security_token, header(head, "x-security-token")) {
        (Some(needed), Some(given)) if needed == given => Ok(()),
        (Some(_), _) => Err("decrypt token fail"),
        (None, _) => Ok(()),
    }
}

struct Authorization<'a> {
    access: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(authorization: &'a str) -> Option<Self> {
        let fields = authorization.strip_prefix(ALGORITHM)?;
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            access: field("Access")?,
            signed_headers: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn is_recent(date: &str, now: Timestamp) -> bool {
    let read = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).and_then(|at| Offset::UTC.to_timestamp(at));
    read.is_ok_and(|at| (now.as_second() - at.as_second()).abs() <= TOLERANCE_SECONDS)
}

fn canonical_request(head: &Parts, signed_headers: &[&str], body: &[u8]) -> Option<String> {
    let mut path: String = head.uri.path().split('/').map(|part| encoded(&decoded(part))).collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    let mut query: Vec<(String, String)> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    query.sort();
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let mut headers = String::new();
    for name in signed_headers {
        _ = writeln!(headers, "{name}:{}", header(head, name)?.trim());
    }
    // A body may be left unsigned, but an empty one is always signed as empty.
    let given_hash = header(head, "x-sdk-content-sha256").filter(|_| !body.is_empty());
    let hash = given_hash.map_or_else(|| hex(&Sha256::digest(body)), str::to_owned);
    Some(format!("{}\n{path}\n{}\n{headers}\n{}\n{hash}", head.method, query.join("&"), signed_headers.join(";")))
}

/// source: RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    /// Signatures of two requests by the official Python SDK (3.1.219), with made-up keys and a fixed date.
    const PUT: &str = "3030e8451556bd7797a07c39d1a3ae6cca6e423d7ccc67fecfd05926f04747f0";
    const LIST: &str = "ebcb2d1b7dc2597b7fdd73cda755540868e9b63953112882389c5397405a85d7";
    const BODY: &[u8] = br#"{"copystate": "waiting", "migrationcycle": "setting"}"#;
    const LIST_PATH: &str = "/v3/sources?connected=false&id=a%201&id=b%202&id=%C3%BC3&limit=25\
                             &name=db%20node%207%20%E8%BF%81%E7%A7%BB&offset=50";
    const PUT_PATH: &str = "/v3/sources/dcdbe339-b02d-4578-95a1-9c9c547d0000/changestate";

    fn checked(method: &str, path: &str, body: &[u8], signature: &str, now: &str) -> Result<(), &'static str> {
        let keys = KeyPair {
            access: "AKEXAMPLE000000000AA".into(),
            secret: "SKexampleSKexampleSKexampleSKexampleSKex00".into(),
            security_token: None,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", "application/json")
            .header("X-Sdk-Date", "20260131T120000Z")
            .header("X-Project-Id", "0605767b7e0026e22f6fc0158b9b6b1a")
            .header("Host", "sms.ap-southeast-3.myhuaweicloud.com")
            .body(())
            .unwrap();
        let authorization = format!(
            "SDK-HMAC-SHA256 Access=AKEXAMPLE000000000AA, \
             SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature={signature}"
        );
        check(&keys, &request.into_parts().0, &authorization, body, now.parse().unwrap())
    }

    #[test]
    fn what_the_official_sdk_signs_is_let_in() {
        assert_eq!(checked("PUT", PUT_PATH, BODY, PUT, "2026-01-31T12:00:00Z"), Ok(()));
        assert_eq!(checked("GET", LIST_PATH, b"", LIST, "2026-01-31T12:14:59Z"), Ok(()));
    }

    /// Cases signed by the official signer: see `generated_with` in the file.
    const VECTORS: &str = include_str!("../../tests/sdk-hmac-sha256.json");

    #[test]
    fn every_case_of_the_official_signer_is_let_in_and_none_with_another_secret() {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let cases = file["vectors"].as_array().unwrap();
        for case in cases {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let expected = &case["expected"];
            let mut request =
                Request::builder().method(text(&case["method"]).as_str()).uri(text(&expected["request_target"]));
            let sent = expected["headers_sent"].as_object().unwrap();
            for (name, value) in sent {
                request = request.header(name, text(value));
            }
            let head = request.body(()).unwrap().into_parts().0;
            let at = |date: &str| {
                let read = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).unwrap();
                Offset::UTC.to_timestamp(read).unwrap()
            };
            let now = at(sent["X-Sdk-Date"].as_str().unwrap());
            let security_token = sent.get("X-Security-Token").map(|token| text(token).into());
            let keys = |secret: String| KeyPair {
                access: text(&case["ak"]),
                secret: secret.into(),
                security_token: security_token.clone(),
            };
            let (body, given) = (text(&case["body"]), text(&expected["authorization"]));
            let check = |keys: &KeyPair| check(keys, &head, &given, body.as_bytes(), now);
            assert_eq!(check(&keys(text(&case["sk"]))), Ok(()), "{}", case["name"]);
            assert_eq!(check(&keys("another".to_owned())), Err(WRONG), "{}", case["name"]);
            if security_token.is_some() {
                let other = KeyPair { security_token: Some("other".into()), ..keys(text(&case["sk"])) };
                assert!(check(&other).is_err(), "{}", case["name"]);
            }
        }
        assert_eq!(cases.len(), 22);
    }

    #[test]
    fn another_body_path_or_method_and_a_date_long_past_are_not() {
        let now = "2026-01-31T12:00:00Z";
        assert_eq!(checked("PUT", PUT_PATH, b"{}", PUT, now), Err(WRONG));
        assert_eq!(checked("PUT", "/v3/sources/other/changestate", BODY, PUT, now), Err(WRONG));
        assert_eq!(checked("POST", PUT_PATH, BODY, PUT, now), Err(WRONG));
        assert_eq!(checked("PUT", PUT_PATH, BODY, PUT, "2026-01-31T12:15:01Z"), Err(WRONG));
    }
}
