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
        Err(Outcome::Unsent { cause } | Outcome::Lost { cause, .. }) => return Err(at(&cause)),
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

    /// The status, and the text of an error where the body has one in any of the known shapes.
    fn said(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let of = |pointer| json.pointer(pointer).and_then(serde_json::Value::as_str);
        let text = of("/error/message").or_else(|| of("/error_msg")).or_else(|| of("/message"));
        let text = text.map_or_else(|| self.text(), str::to_owned);
        match self.secrets.short(&text) {
            text if text.is_empty() => format!("answered {}", self.status),
            text => format!("answered {}: {text}", self.status),
        }
    }
}
