//! One question to whoever gives credentials, and what its answers mean in common.

use super::CredentialsError;
use crate::event::Outcome;
use crate::transport::endpoint::Endpoint;
use crate::transport::secrets::Secrets;
use crate::transport::{Body, Incoming, Outgoing, Transport, TransportSettings};

/// An answer with a whole body.
pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
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
    let body = match std::mem::replace(&mut incoming.body, Body::TooLarge) {
        Body::Whole(body) => body,
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

    /// The status, and the text of an error where the body has one in any of the known shapes. Of any other body nothing is
    /// repeated: whoever gives credentials may have them in it.
    fn said(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let of = |pointer| json.pointer(pointer).and_then(serde_json::Value::as_str);
        let text = of("/error/message").or_else(|| of("/error_msg")).or_else(|| of("/message"));
        match text.map(|text| self.secrets.short(&without_secrets(text))) {
            Some(text) if !text.is_empty() => format!("answered {}: {text}", self.status),
            Some(_) => format!("answered {}", self.status),
            None if self.body.is_empty() => format!("answered {}", self.status),
            None => format!("answered {}, with no error that could be repeated", self.status),
        }
    }
}

/// A text without words that are as long as a key or a token and are made of the same characters. Ids of requests are shorter.
fn without_secrets(text: &str) -> String {
    const LONGEST: usize = 36;
    let is_of_a_secret = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut without = String::with_capacity(text.len());
    for part in text.split_inclusive(|c| !is_of_a_secret(c)) {
        let word = part.trim_end_matches(|c| !is_of_a_secret(c));
        without.push_str(if word.len() > LONGEST { "[redacted]" } else { word });
        without.push_str(&part[word.len()..]);
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_key_or_a_token_is_left_out_of_a_text() {
        let token = "MIIFgwYJKoZIhvcNAQcCoIIFdDCCBXACAQExDTALBglghkgBZQMEAgEw".repeat(20);
        for (text, without) in [
            ("The username or password is wrong.", "The username or password is wrong."),
            ("request 0123456789abcdef0123456789abcdef failed", "request 0123456789abcdef0123456789abcdef failed"),
            ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301.", "id 3f2504e0-4f89-11d3-9a0c-0305e82c3301."),
            ("", ""),
            (&format!("token '{token}', is not good"), "token '[redacted]', is not good"),
            (&token, "[redacted]"),
            ("sk=abcdefghijklmnopqrstuvwxyz0123456789ABCD;中文", "[redacted];中文"),
        ] {
            assert_eq!(without_secrets(text), without, "{text}");
        }
    }
}
