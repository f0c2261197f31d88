//! One request to an issuer of credentials, and the meaning that its answers have for all issuers.

use secrecy::zeroize::Zeroizing;

use super::error::CredentialsError;
use crate::event::outcome::Outcome;
use crate::transport::Transport;
use crate::transport::answer::{Body, Incoming};
use crate::transport::endpoint::Endpoint;
use crate::transport::request::Outgoing;
use crate::transport::secrets::Secrets;
use crate::transport::settings::TransportSettings;

/// Answer with a whole body.
pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) secrets: Secrets,
    incoming: Incoming,
}

/// Asks once, over a connection of its own: this happens a few times a day.
pub(super) async fn ask(
    endpoint: &Endpoint,
    settings: &TransportSettings,
    outgoing: Outgoing,
    origin: &str,
) -> Result<Asked, CredentialsError> {
    let unreachable = |reason: String| CredentialsError::Unreachable { origin: origin.to_owned(), reason };
    let at = |reason: &str| unreachable(format!("{reason} (at {endpoint})"));
    let transport = Transport::new(endpoint.clone(), settings).map_err(|error| at(&error.to_string()))?;
    let mut incoming = match transport.send(outgoing).await {
        Ok(incoming) => incoming,
        Err(Outcome::Unsent { cause } | Outcome::Disclaimed { cause } | Outcome::Lost { cause, .. }) => {
            return Err(at(&cause));
        }
        Err(other) => return Err(at(&other.to_string())),
    };
    if incoming.encoding().is_some() {
        return Err(at("the answer is in an encoding that was not asked for"));
    }
    let body = match std::mem::replace(&mut incoming.body, Body::TooLarge) {
        Body::Whole(body) => Zeroizing::new(body),
        Body::TooLarge => return Err(at("the answer is too large")),
        Body::CutOff { cause } => return Err(at(&format!("the answer was cut off: {cause}"))),
    };
    let secrets = std::mem::take(&mut incoming.secrets);
    Ok(Asked { status: incoming.status, body, secrets, incoming })
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.incoming.header(name)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn denied(&self, origin: &str) -> CredentialsError {
        CredentialsError::Denied { origin: origin.to_owned(), reason: self.said() }
    }

    pub(super) fn unreachable(&self, origin: &str) -> CredentialsError {
        CredentialsError::Unreachable { origin: origin.to_owned(), reason: self.said() }
    }

    /// Makes the same error with an explanation in our words.
    pub(super) fn denied_because(&self, origin: &str, why: &str) -> CredentialsError {
        CredentialsError::Denied { origin: origin.to_owned(), reason: format!("{}: {why}", self.said()) }
    }

    /// Returns the status, and the code of an error where it looks like one. No text of the answer is repeated: an issuer, or
    /// whoever was sent credentials, may have them in any text.
    fn said(&self) -> String {
        match self.code() {
            Some(code) => format!("answered {} ({code})", self.status),
            None => format!("answered {}", self.status),
        }
    }

    /// source: IAM API reference (`error.code` is a number, or `error_code` such as `IAM.0101`)
    fn code(&self) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let code = ["/error/code", "/error_code", "/code"].into_iter().find_map(|pointer| json.pointer(pointer))?;
        let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
        let is_new = code != self.status.to_string();
        (is_new && looks_like_a_code(&code) && !self.secrets.are_in(&code)).then_some(code)
    }
}

/// Tells whether it is a number, or a number behind the name of a service.
fn looks_like_a_code(text: &str) -> bool {
    let (service, number) = text.split_once('.').unwrap_or(("", text));
    let is_number = !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && service.len() <= 6 && service.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_short_and_nothing_else_is_one() {
        for code in ["400", "IAM.0101", "APIGW.0301", "1"] {
            assert!(looks_like_a_code(code), "{code}");
        }
        for other in ["", ".", "IAM.", "iam.1", "IAM.x", "1234567", "SECRET7.1", "null", "{}", "-1", "1.5e3"] {
            assert!(!looks_like_a_code(other), "{other}");
        }
    }
}
