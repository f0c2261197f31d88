//! The service as the engine sees it: what may be asked of it, and what comes back.

use std::time::Duration;

use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::{SeenState, TargetState};
use crate::transport::client::Connection;

/// Result of one change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub outcome: Outcome,
    pub request_id: Option<String>,
    pub took: Duration,
    /// Generation of the credentials that it carried.
    pub generation: Generation,
    /// Worker that made the request; `None` for one that left from here.
    pub via: Option<String>,
}

/// Result of one read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read<T> {
    pub value: T,
    pub request_id: Option<String>,
    pub took: Duration,
    /// Generation of the credentials that it carried.
    pub generation: Generation,
}

/// Result of asking for one source by its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SourceShown {
    Seen(SeenState),
    /// The service knows no such source.
    Absent,
    /// The request failed, and nothing was learned.
    Failed(Outcome),
}

/// Page of the account's sources. An id that is on no page may exist all the same: pages shift while sources come and go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    /// Number of sources in all.
    pub count: u64,
    /// Entries of the page, including those that name no source.
    pub n_entries: usize,
    pub servers: Vec<(SourceId, SeenState)>,
    /// Sources that the page shows twice with different states: nothing is known of them, whatever another page shows.
    pub contradicted: Vec<SourceId>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listed {
    Page(Page),
    /// The request failed, and nothing was learned.
    Failed(Outcome),
}

/// Source with the fields that people ask for; fields that the service does not give are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InInventory {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) migration_cycle: Option<String>,
    pub(crate) connected: Option<bool>,
    pub(crate) os: Option<String>,
    /// Time of the last change of state or stage.
    pub(crate) changed_ms: Option<i64>,
    pub(crate) task: Option<String>,
}

/// Page of such sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventoried {
    /// Number of sources in all, where the page has one.
    pub(crate) count: Option<u64>,
    /// Entries of the page, including those without an id.
    pub(crate) n_entries: usize,
    pub(crate) sources: Vec<InInventory>,
}

/// Largest number of sources on a page. source: api-sms/ListServers.html (`limit`).
pub(crate) const PAGE: u32 = 200;
/// Largest offset of a page, whatever the account holds. source: api-sms/ListServers.html (`offset`).
pub(crate) const LAST_OFFSET: u32 = 65_535;

/// Maker of the requests of a lane, just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MadeBy {
    /// They leave from here.
    Here,
    /// Worker of this name makes them; `None` while none is heard that could.
    Worker(Option<String>),
}

/// The service as one lane sees it. Dropping a future abandons its request, which may have reached the service.
pub(crate) trait Remote: Send + Sync + 'static {
    /// Maker of the next request.
    fn made_by(&self) -> MadeBy {
        MadeBy::Here
    }

    /// Makes sure that there is a proof for requests, renewing it ahead of its expiry.
    fn ready(&self) -> impl Future<Output = Result<(), CredentialsError>> + Send;

    /// Tells whether somebody makes the requests just now. Whoever did may be gone since it was ready.
    fn is_attended(&self) -> bool;

    /// Replaces credentials that were refused, once for all requests that carried them.
    fn renew(&self, generation: Generation) -> impl Future<Output = Renewal> + Send;

    fn put(&self, source: &SourceId, sends: &TargetState, connection: Connection)
    -> impl Future<Output = Reply> + Send;

    fn show(&self, source: &SourceId, connection: Connection) -> impl Future<Output = Read<SourceShown>> + Send;

    /// Reads up to [`PAGE`] sources from `offset` on.
    fn page(&self, offset: u32, connection: Connection) -> impl Future<Output = Read<Listed>> + Send;
}
