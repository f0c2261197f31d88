//! The vendor's Simple Message Notification service: a topic passes a notice on to its subscribers.
//!
//! sources: support.huaweicloud.com/api-smn/PublishMessage.html; support.huaweicloud.com/intl/en-us/api-smn/smn_api_63001.html (errors)

use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::notice::Notice;
use super::posting;
use super::settings::Topic;
use crate::credentials::identity::Credentials;
use crate::credentials::proof::Request;
use crate::transport::Transport;
use crate::transport::request::{Outgoing, encoded};

/// Most bytes of a subject.
const LONGEST_SUBJECT: usize = 512;

/// Credentials of the run, which it has only after it began; or else the reason for which there are none.
pub(crate) type OfRun = Arc<OnceLock<Arc<Credentials>>>;

/// Topic with the way to it, and the credentials for it.
pub(super) struct Smn {
    pub(super) topic: Topic,
    pub(super) transport: Transport,
    /// Credentials of the run, if it has some by now.
    pub(super) of_run: OfRun,
    /// Credentials as they were found for a launch that has none yet.
    pub(super) found: Result<Arc<Credentials>, String>,
}

impl Smn {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let credentials = match self.of_run.get() {
            Some(of_run) => of_run,
            None => self.found.as_ref().map_err(Clone::clone)?,
        };
        credentials.ready().await.map_err(|error| error.to_string())?;
        let outgoing = self.outgoing(notice, credentials)?;
        let answer = posting::send(&self.transport, outgoing).await?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let said = answer.json();
        let [code, message] = [["code", "error_code"], ["message", "error_msg"]]
            .map(|names| names.into_iter().find_map(|name| said[name].as_str()).unwrap_or_default());
        let both = if code.is_empty() { message.to_owned() } else { format!("{code}: {message}") };
        Err(answer.problem(&both))
    }

    fn outgoing(&self, notice: &Notice, credentials: &Credentials) -> Result<Outgoing, String> {
        let Topic { urn, project, .. } = &self.topic;
        let path = format!("/v2/{}/notifications/topics/{}/publish", encoded(project), encoded(urn));
        let subject = notice.subject();
        let subject = &subject[..subject.floor_char_boundary(LONGEST_SUBJECT)];
        // Text messages may hold no brackets.
        let message = notice.message().replace('[', "(").replace(']', ")");
        let body = json!({"subject": subject, "message": message}).to_string();
        let mut outgoing = posting::outgoing("POST", path, body);
        let mut request = Request {
            method: outgoing.method,
            host: self.transport.endpoint().authority(),
            path: &outgoing.path,
            query: &outgoing.query,
            headers: std::mem::take(&mut outgoing.headers),
            hidden: Vec::new(),
            body: &outgoing.body,
        };
        credentials.authenticate(&mut request).map_err(|error| error.to_string())?;
        (outgoing.headers, outgoing.hidden) = (request.headers, request.hidden);
        Ok(outgoing)
    }
}
