//! Dead-man's switch: it hears of the beginning and of the end, and raises the alarm when nothing comes.
//!
//! source: `healthchecks.io/docs/http_api` (`/start`, `/fail`, `/{exit-status}`; a body is kept with the ping)

use super::notice::{Notice, Occasion};
use super::posting;
use crate::transport::Transport;
use crate::transport::address::Address;

/// Switch with the way to it.
pub(super) struct Ping {
    pub(super) address: Address,
    pub(super) transport: Transport,
}

impl Ping {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let path = match segment(notice) {
            Some(segment) => self.address.below(&segment),
            None => self.address.path_and_query().expose_secret().to_owned(),
        };
        let mut outgoing = posting::outgoing("POST", path, notice.document());
        outgoing.hidden = self.address.secrets_from_peer();
        posting::send(&self.transport, outgoing).await?.accepted().map(drop)
    }
}

/// Returns what is added to the address. An exit code other than 0 is a failure for the switch.
fn segment(notice: &Notice) -> Option<String> {
    match (notice.about, &notice.exit) {
        (Occasion::Start, _) => Some("start".to_owned()),
        (Occasion::Halt, _) => Some("fail".to_owned()),
        (Occasion::End, Some(exit)) => Some(exit.code.to_string()),
        // Kept and shown, and changes nothing.
        (Occasion::Test | Occasion::Waiting, _) => Some("log".to_owned()),
        (Occasion::End, None) => None,
    }
}
