//! Inventory of an account's sources: read page by page through the same gate as everything else, and never kept.
//!
//! A run needs two words of a server and reads nothing else; this room reads what people ask for.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::credentials::error::CredentialsError;
use crate::credentials::identity::Generation;
use crate::event::outcome::Outcome;
use crate::gate::Gate;
use crate::model::SourceId;
use crate::model::words::Word;
use crate::remote::http::Http;
use crate::remote::service::{InInventory, LAST_OFFSET, PAGE};
use crate::retry::{Patience, counts};

/// Reasons for which sources could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InventoryError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the service does not let us read: {0}")]
    Denied(Outcome),
    #[error("the service could not be read: {0}")]
    Unreachable(Outcome),
    /// Two pages, or two entries of one, contradict each other.
    #[error("the service shows the source `{0}` twice, and not the same: nothing is known of it; list them once more")]
    Contradicted(String),
}

/// Selection of sources. A field that is not set selects all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<Word>,
    pub(crate) cycle: Option<Word>,
    /// Part of the name.
    pub(crate) name: Option<String>,
    pub(crate) connected: Option<bool>,
}

impl Filter {
    /// Returns the part of the filter that the service applies. State words drift, and the meaning of `connected` is described as
    /// "finds servers that lost their link" (source: api-sms/ListServers.html), so that those are compared here.
    fn query(&self) -> Vec<(&'static str, String)> {
        self.name.iter().map(|name| ("name", name.clone())).collect()
    }

    fn takes(&self, source: &ListedSource) -> bool {
        let same = |wanted: &Option<Word>, shown: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| shown.as_deref().map(Word::new).as_ref() == Some(wanted))
        };
        same(&self.state, &source.state)
            && same(&self.cycle, &source.migration_cycle)
            && self.name.as_ref().is_none_or(|name| source.name.as_ref().is_some_and(|has| has.contains(name.as_str())))
            && self.connected.is_none_or(|wanted| source.connected == Some(wanted))
    }
}

/// A source as the service shows it; fields that the service leaves out are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ListedSource {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) migration_cycle: Option<String>,
    pub(crate) connected: Option<bool>,
    pub(crate) os: Option<String>,
    /// Time of the last change of state or stage.
    pub(crate) changed_at: Option<String>,
    pub(crate) task: Option<String>,
}

impl ListedSource {
    fn is_meant_by(&self, text: &str) -> bool {
        let begins = self.id.get(..text.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(text));
        begins || self.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text))
    }
}

impl From<InInventory> for ListedSource {
    fn from(found: InInventory) -> Self {
        let InInventory { id, name, hostname, ip, state, migration_cycle, connected, os, changed_ms, task } = found;
        let changed_at = changed_ms.filter(|ms| *ms > 0).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let changed_at = changed_at.map(|at| format!("{at:.0}"));
        Self { id, name, hostname, ip, state, migration_cycle, connected, os, changed_at, task }
    }
}

/// Reader of sources with the pace and patience of a lane.
pub(crate) struct Inventory {
    pub(crate) http: Http,
    pub(crate) gate: Gate,
    pub(crate) patience: Patience,
}

impl Inventory {
    /// Passes every source that the filter takes to `each`, in the order of pages. Pages shift while sources come and go, so that
    /// a source may be read twice; it is passed on once. Returns the service's count of sources, or the number of those read.
    pub(crate) async fn each<E: From<InventoryError>>(
        &self,
        filter: &Filter,
        mut each: impl FnMut(ListedSource) -> Result<(), E>,
    ) -> Result<u64, E> {
        // A hash of the state of each source, a few bytes for each: there may be as many as all pages hold.
        let (mut known, hasher) = (HashMap::<SourceId, u64>::new(), RandomState::new());
        let mut offset = 0;
        loop {
            let mut query = filter.query();
            query.extend([("limit", PAGE.to_string()), ("offset", offset.to_string())]);
            let page = self.read(async || self.http.inventory(query.clone()).await).await?;
            for source in page.sources.into_iter().map(ListedSource::from) {
                // An entry without a valid id is no source.
                let Ok(id) = SourceId::new(&source.id) else { continue };
                let said = hasher.hash_one((&source.state, &source.migration_cycle));
                match known.insert(id, said) {
                    None if filter.takes(&source) => each(source)?,
                    Some(before) if before != said => return Err(InventoryError::Contradicted(source.id).into()),
                    None | Some(_) => (),
                }
            }
            offset += PAGE;
            if page.n_entries == 0 || page.count.is_some_and(|count| u64::from(offset) >= count) || offset > LAST_OFFSET
            {
                return Ok(page.count.unwrap_or(known.len() as u64));
            }
        }
    }

    /// Reads all that the service says about one source; `None` if the service does not know it.
    pub(crate) async fn show(&self, id: &SourceId) -> Result<Option<Value>, InventoryError> {
        match self.read(async || self.http.describe(id).await).await {
            Ok(value) => Ok(Some(value)),
            // The service may refuse an incomplete id for its form.
            Err(InventoryError::Unreachable(Outcome::Rejected { status: 400 | 404, .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the sources that a person may mean by a text: their id begins with it, ignoring ASCII case, or it is their name. If
    /// the text is one whole id, only that source is returned. At most 1000 are kept.
    pub(crate) async fn meant(&self, text: &str) -> Result<Vec<ListedSource>, InventoryError> {
        const MOST: usize = 1_000;
        let mut found = Vec::new();
        self.each(&Filter::default(), |source| {
            if found.len() < MOST && source.is_meant_by(text) {
                found.push(source);
            }
            Ok::<(), InventoryError>(())
        })
        .await?;
        if found.iter().filter(|source| source.id.eq_ignore_ascii_case(text)).count() == 1 {
            found.retain(|source| source.id.eq_ignore_ascii_case(text));
        }
        Ok(found)
    }

    async fn read<T>(&self, ask: impl AsyncFn() -> (Generation, Result<T, Outcome>)) -> Result<T, InventoryError> {
        let (mut counted, mut renewed) = (0, false);
        loop {
            let slot = self.gate.slot().await;
            self.http.credentials().ready().await?;
            let pass = self.gate.pass_for_read(slot).await;
            let (generation, got) = ask().await;
            let outcome = match got {
                Ok(value) => {
                    self.gate.heed(&Outcome::Accepted { status: 200 }, pass.left_at);
                    return Ok(value);
                }
                Err(outcome) => outcome,
            };
            self.gate.heed(&outcome, pass.left_at);
            drop(pass);
            // Repeated attempts would lock a wrong key.
            if outcome.refuses_us() {
                if !renewed
                    && self.http.credentials().renew(generation).await == crate::credentials::identity::Renewal::Renewed
                {
                    renewed = true;
                    continue;
                }
                return Err(denied_or_not(outcome));
            }
            counted += u32::from(counts(&outcome));
            match self.patience.after(counted, &outcome, rand::random()) {
                Continue(wait) => sleep(wait).await,
                Break(_) => return Err(denied_or_not(outcome)),
            }
        }
    }
}

fn denied_or_not(outcome: Outcome) -> InventoryError {
    match outcome {
        Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Rejected { status: 403, .. }
        | Outcome::Lost { status: Some(401), .. } => InventoryError::Denied(outcome),
        Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Throttled { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => InventoryError::Unreachable(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_nothing_is_none() {
        let source = |changed_ms| ListedSource::from(InInventory { changed_ms, ..InInventory::default() });
        assert_eq!(source(Some(1_767_225_600_000)).changed_at.as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!((source(Some(0)).changed_at, source(None).changed_at), (None, None));
    }

    #[test]
    fn words_are_compared_as_one_state_has_two_of_them() {
        let source =
            ListedSource { state: Some("INITIALIZE".into()), connected: Some(true), ..ListedSource::default() };
        let filter = |text: &str| Filter { state: Some(Word::new(text)), ..Filter::default() };
        assert!(filter("init").takes(&source) && !filter("stopped").takes(&source));
        assert!(!Filter { connected: Some(false), ..Filter::default() }.takes(&source));
    }
}
