//! The service over HTTP: its paths, our credentials for it, and the classification of its answers.

use std::sync::Arc;
use std::time::Instant;

use super::classify::{self, Answer};
use super::service::{Inventoried, Listed, PAGE, Page, Read, Remote, Reply, SourceShown};
use super::{quota, reads, wire};
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Credentials, Generation, Renewal};
use crate::credentials::proof::Request;
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::TargetState;
use crate::transport::client::Connection;
use crate::transport::request::{Header, Outgoing, encoded};
use crate::transport::{REQUEST_ID, Transport};

#[cfg(test)]
mod tests;

/// The service at one endpoint, as one account.
#[derive(Debug)]
pub(crate) struct Http {
    transport: Transport,
    credentials: Arc<Credentials>,
}

/// Result of one look at the service.
pub(crate) struct Looked {
    pub(crate) date: Option<jiff::Timestamp>,
    pub(crate) page: Result<Page, Outcome>,
}

/// Limit of a page in bytes: 200 servers come with their disks, checks and tasks.
const LARGEST_PAGE: usize = 32 * 1024 * 1024;

impl Http {
    pub(crate) fn new(transport: Transport, credentials: Arc<Credentials>) -> Self {
        Self { transport, credentials }
    }

    /// Sends once, with a fresh proof, for this row if for one. An `Err` is an ending without a status line.
    async fn send(
        &self,
        mut outgoing: Outgoing,
        connection: Connection,
        row: Option<&SourceId>,
    ) -> (Generation, Result<Answer, Outcome>) {
        let generation = match self.authenticate(&mut outgoing) {
            Ok(generation) => generation,
            Err(error) => return (Generation::NONE, Err(Outcome::Unsent { cause: error.to_string() })),
        };
        let incoming = match self.transport.send_over(connection, outgoing, row).await {
            Ok(incoming) => incoming,
            Err(outcome) => return (generation, Err(outcome)),
        };
        if (200..300).contains(&incoming.status) {
            self.credentials.accepted(generation);
        }
        let date = incoming.header("date").as_deref().and_then(quota::date);
        let encoding = incoming.encoding();
        let answer = Answer {
            status: incoming.status,
            content_type: incoming.header("content-type"),
            retry_after: incoming.header("retry-after"),
            location: incoming.header("location"),
            request_id: incoming.header(REQUEST_ID),
            server: incoming.header("server"),
            encoding,
            date,
            body: incoming.body,
            secrets: incoming.secrets,
        };
        (generation, Ok(answer))
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reads the first page and the service's clock, for `doctor`. An `Err` is an ending without a status line.
    pub(crate) async fn look(&self) -> Result<Looked, Outcome> {
        let query = vec![("limit", PAGE.to_string()), ("offset", "0".to_owned())];
        let outgoing = Outgoing { query, largest_answer: LARGEST_PAGE, ..bare("GET", "/v3/sources".to_owned()) };
        let (_, answer) = self.send(outgoing, Connection::Any, None).await;
        let answer = answer?;
        let page = match reads::listed(&answer) {
            Listed::Page(page) => Ok(page),
            Listed::Failed(outcome) => Err(outcome),
        };
        Ok(Looked { date: answer.date, page })
    }

    /// Reads all fields of one source, for `inventory`.
    pub(crate) async fn describe(&self, source: &SourceId) -> (Generation, Result<serde_json::Value, Outcome>) {
        let path = format!("/v3/sources/{}", encoded(source.as_str()));
        let (generation, answer) = self.send(bare("GET", path), Connection::Any, Some(source)).await;
        (generation, answer.and_then(|answer| reads::described(&answer, source)))
    }

    /// Reads a page with the fields that people ask for, for `inventory`.
    pub(crate) async fn inventory(
        &self,
        query: Vec<(&'static str, String)>,
    ) -> (Generation, Result<Inventoried, Outcome>) {
        let outgoing = Outgoing { query, largest_answer: LARGEST_PAGE, ..bare("GET", "/v3/sources".to_owned()) };
        let (generation, answer) = self.send(outgoing, Connection::Any, None).await;
        (generation, answer.and_then(|answer| reads::inventoried(&answer)))
    }

    fn authenticate(&self, outgoing: &mut Outgoing) -> Result<Generation, CredentialsError> {
        let mut request = Request {
            method: outgoing.method,
            host: self.transport.endpoint().authority(),
            path: &outgoing.path,
            query: &outgoing.query,
            headers: std::mem::take(&mut outgoing.headers),
            hidden: Vec::new(),
            body: &outgoing.body,
        };
        let generation = self.credentials.authenticate(&mut request)?;
        outgoing.headers = request.headers;
        outgoing.hidden = request.hidden;
        Ok(generation)
    }
}

/// Makes a request without a proof.
fn bare(method: &'static str, path: String) -> Outgoing {
    let headers = vec![
        Header::plain("accept", "application/json"),
        // Reads have it, too, as with the vendor's own SDKs.
        Header::plain("content-type", "application/json"),
        Header::plain("user-agent", concat!("cutover/", env!("CARGO_PKG_VERSION"))),
    ];
    Outgoing { headers, ..Outgoing::bare(method, path) }
}

impl Remote for Http {
    async fn ready(&self) -> Result<(), CredentialsError> {
        self.credentials.ready().await
    }

    fn is_attended(&self) -> bool {
        true
    }

    async fn renew(&self, generation: Generation) -> Renewal {
        self.credentials.renew(generation).await
    }

    async fn put(&self, source: &SourceId, sends: &TargetState, connection: Connection) -> Reply {
        // Before all that takes time from the leave to go on.
        let leaves_by = self.transport.leaves_by();
        let sent_at = Instant::now();
        let path = format!("/v3/sources/{}/changestate", encoded(source.as_str()));
        let outgoing = Outgoing { body: wire::change_body(sends).into(), leaves_by, ..bare("PUT", path) };
        let (generation, answer) = self.send(outgoing, connection, Some(source)).await;
        let (outcome, request_id) = match &answer {
            Ok(answer) => (classify::change(answer), classify::request_id(answer)),
            Err(outcome) => (outcome.clone(), None),
        };
        Reply { outcome, request_id, took: sent_at.elapsed(), generation, via: None }
    }

    async fn show(&self, source: &SourceId, connection: Connection) -> Read<SourceShown> {
        let sent_at = Instant::now();
        let path = format!("/v3/sources/{}", encoded(source.as_str()));
        let (generation, answer) = self.send(bare("GET", path), connection, Some(source)).await;
        let (value, request_id) = match answer {
            Ok(answer) => (reads::shown(&answer, source), classify::request_id(&answer)),
            Err(outcome) => (SourceShown::Failed(outcome), None),
        };
        Read { value, request_id, took: sent_at.elapsed(), generation }
    }

    async fn page(&self, offset: u32, connection: Connection) -> Read<Listed> {
        let sent_at = Instant::now();
        let query = vec![("limit", PAGE.to_string()), ("offset", offset.to_string())];
        let outgoing = Outgoing { query, largest_answer: LARGEST_PAGE, ..bare("GET", "/v3/sources".to_owned()) };
        let (generation, answer) = self.send(outgoing, connection, None).await;
        let (value, request_id) = match answer {
            Ok(answer) => (reads::listed(&answer), classify::request_id(&answer)),
            Err(outcome) => (Listed::Failed(outcome), None),
        };
        Read { value, request_id, took: sent_at.elapsed(), generation }
    }
}
