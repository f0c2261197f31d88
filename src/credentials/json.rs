//! Credentials as JSON: from commands, the metadata service and pod identity.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::CredentialsError;
use super::fitness::fit_for_a_header;
use super::proof::{Fetched, IdentityProof, Keys};
use crate::transport::secrets::guarded::Guarded;

/// Fields of the JSON, with all spellings that are in use. source: `huaweicloudsdkcore/auth/internal.py` (`_process_credential`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct CredentialsJson {
    /// Object that contains all other fields.
    #[serde(alias = "credentials")]
    credential: Option<Box<CredentialsJson>>,
    token: Option<SecretString>,
    #[serde(alias = "accessKeyId", alias = "access_key_id", alias = "ak")]
    access: Option<String>,
    #[serde(alias = "secretAccessKey", alias = "secret_access_key", alias = "sk")]
    secret: Option<SecretString>,
    #[serde(alias = "securityToken", alias = "security_token")]
    securitytoken: Option<SecretString>,
    #[serde(alias = "expiration")]
    expires_at: Option<String>,
}

/// Reads credentials. No error repeats the text, which is a secret.
pub(super) fn read(text: &[u8], origin: &str) -> Result<Fetched, CredentialsError> {
    let bad = |what: &str| CredentialsError::Malformed(format!("{origin}: {what}"));
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut said: CredentialsJson =
        serde_json::from_slice(text).map_err(|_| bad("what it gave is no JSON of credentials"))?;
    let said = said.credential.take().map_or(said, |inner| *inner);
    let expires_at = match &said.expires_at {
        Some(at) => {
            Some(at.parse::<Timestamp>().map_err(|_| bad("`expires_at` is no time such as 2026-11-23T22:00:00Z"))?)
        }
        None => None,
    };
    let secret = |name: &str, said: Option<SecretString>| match said.filter(|text| !text.expose_secret().is_empty()) {
        Some(text) => match fit_for_a_header(text.expose_secret()) {
            Ok(()) => Ok(Some(text)),
            Err(unfit) => Err(bad(&format!("its `{name}` {unfit}"))),
        },
        None => Ok(None),
    };
    let access = secret("access", said.access.map(SecretString::from))?;
    let access = access.map(|text| text.expose_secret().to_owned());
    let security_token = secret("securitytoken", said.securitytoken)?;
    let proof = match (secret("token", said.token)?, access, secret("secret", said.secret)?) {
        (Some(token), None, None) => IdentityProof::Token(token.into()),
        (None, Some(access), Some(secret)) => {
            let security_token = security_token.map(Guarded::from);
            IdentityProof::Keys(Keys { access, secret: secret.into(), security_token })
        }
        (Some(_), _, _) => return Err(bad("it gave a token and a key, and only one can be used")),
        (None, None, None) => return Err(bad("it gave neither `token` nor `access` and `secret`")),
        (None, Some(_), None) => return Err(bad("it gave `access` without `secret`")),
        (None, None, Some(_)) => return Err(bad("it gave `secret` without `access`")),
    };
    Ok(Fetched { proof, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        match read(text.as_bytes(), "HERE") {
            Ok(Fetched { proof: IdentityProof::Token(_), expires_at }) => format!("token {expires_at:?}"),
            Ok(Fetched { proof: IdentityProof::Keys(keys), .. }) => {
                format!("{} {}", keys.access, keys.security_token.is_some())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_spelling_is_read_and_what_is_missing_is_named() {
        let at = "2020-01-04T09:05:22.701000Z";
        for (text, expected) in [
            (r#"{"access":"A","secret":"s3cret"}"#, "A false"),
            (
                r#"{"credential":{"access":"A","secret":"s3cret","securitytoken":"t","expires_at":"2020-01-04T09:05:22.7Z"}}"#,
                "A true",
            ),
            (r#"{"credentials":{"access_key_id":"A","secret_access_key":"s3cret","security_token":"t"}}"#, "A true"),
            (r#"{"accessKeyId":"A","secretAccessKey":"s3cret","securityToken":"t"}"#, "A true"),
            (r#"{"token":"s3cret"}"#, "token None"),
            (
                r#"{"token":"s3cret","access":"A","secret":"s"}"#,
                "HERE: it gave a token and a key, and only one can be used",
            ),
            (r#"{"access":"A"}"#, "HERE: it gave `access` without `secret`"),
            (r#"{"secret":"s3cret"}"#, "HERE: it gave `secret` without `access`"),
            (r#"{"access":"","secret":"","token":""}"#, "HERE: it gave neither `token` nor `access` and `secret`"),
            (r#"{"access":"A","secret":"s3cret\n"}"#, "HERE: its `secret` has a line break in it"),
            (r#"{"access":"'A'","secret":"s3cret"}"#, "HERE: its `access` has a quotation mark in it"),
            ("{}", "HERE: it gave neither `token` nor `access` and `secret`"),
            ("s3cret", "HERE: what it gave is no JSON of credentials"),
            (r#"{"token":["s3cret"]}"#, "HERE: what it gave is no JSON of credentials"),
            (r#"{"token":"s3cret","expires_at":"soon"}"#, "HERE: `expires_at` is no time such as 2026-11-23T22:00:00Z"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
        let fetched = read(format!(r#"{{"token":"x","expiration":"{at}"}}"#).as_bytes(), "HERE").unwrap();
        assert_eq!(fetched.expires_at, Some(at.parse().unwrap()));
    }
}
