//! One request to a receiver, and its answer.

use std::time::Duration;

use crate::event::outcome::Outcome;
use crate::transport::Transport;
use crate::transport::answer::Body;
use crate::transport::client::TransportError;
use crate::transport::endpoint::Endpoint;
use crate::transport::request::{Header, Outgoing};
use crate::transport::secrets::Secrets;
use crate::transport::settings::TransportSettings;

/// Longest time of one try.
pub(super) const LONGEST_TRY: Duration = Duration::from_secs(5);

/// Most of an answer that is read. Those of all receivers are short.
const LARGEST_ANSWER: usize = 64 << 10;

/// Makes the way to a receiver: certificates and proxy are those of the service, and the time is a try's.
pub(super) fn transport(endpoint: &Endpoint, settings: &TransportSettings) -> Result<Transport, TransportError> {
    let ca_bundle = settings.ca_bundle.clone();
    let settings = TransportSettings {
        timeout: LONGEST_TRY,
        connect_timeout: LONGEST_TRY,
        read_timeout: None,
        ca_bundle,
        leaves_within: None,
    };
    Transport::new(endpoint.clone(), &settings)
}

/// Makes a request with a JSON document; without one if the body is empty.
pub(super) fn outgoing(method: &'static str, path: String, body: String) -> Outgoing {
    let mut headers = vec![Header::plain("user-agent", concat!("cutover/", env!("CARGO_PKG_VERSION")))];
    if !body.is_empty() {
        headers.push(Header::plain("content-type", "application/json"));
    }
    Outgoing { headers, body: body.into_bytes().into(), largest_answer: LARGEST_ANSWER, ..Outgoing::bare(method, path) }
}

/// Answer of a receiver.
pub(super) struct ReceiverAnswer {
    pub(super) status: u16,
    /// Body as text; empty if it is too long or was cut off.
    pub(super) text: String,
    pub(super) secrets: Secrets,
    host: String,
}

/// Sends a request once. An error says what became of it, and names the host alone.
pub(super) async fn send(transport: &Transport, outgoing: Outgoing) -> Result<ReceiverAnswer, String> {
    let host = transport.endpoint().host_and_port().0;
    let mut incoming = match transport.send(outgoing).await {
        Ok(incoming) => incoming,
        Err(Outcome::Unsent { cause } | Outcome::Disclaimed { cause } | Outcome::Lost { cause, .. }) => {
            return Err(format!("{cause} ({host})"));
        }
        Err(other) => return Err(format!("{other} ({host})")),
    };
    let text = match std::mem::replace(&mut incoming.body, Body::TooLarge) {
        Body::Whole(body) => String::from_utf8_lossy(&body).into_owned(),
        Body::TooLarge | Body::CutOff { .. } => String::new(),
    };
    Ok(ReceiverAnswer { status: incoming.status, text, secrets: std::mem::take(&mut incoming.secrets), host })
}

impl ReceiverAnswer {
    /// Accepts a status of success; any other is a problem, a redirect too: it is not followed.
    pub(super) fn accepted(self) -> Result<Self, String> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.problem("")) }
    }

    /// Makes a problem of the status and what else the receiver said, without secrets.
    pub(super) fn problem(&self, said: &str) -> String {
        let said = self.secrets.short(said);
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        format!("{}{said} from {}", self.status, self.host)
    }

    /// Returns the body as JSON; null if it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}
