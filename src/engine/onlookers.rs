//! Rows that wait for their turn and must be looked at directly before it. Each is told what any page shows of it, so that one
//! page serves as the direct look of all rows on it that are sent while it is fresh.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::model::SourceId;
use crate::model::state::SeenState;

/// Latest glimpse of each onlooker's source; bounded by the rows that are open.
#[derive(Clone, Default)]
pub(crate) struct Onlookers(Arc<Mutex<HashMap<SourceId, Option<Glimpse>>>>);

/// State that a page showed of a row, and the departure of the request for the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glimpse {
    pub(crate) seen: SeenState,
    pub(crate) left_at: Instant,
}

impl Onlookers {
    /// Adds an onlooker for a source, which has seen nothing yet.
    pub(crate) fn join(&self, source: &SourceId) -> Onlooker {
        self.glimpses().insert(source.clone(), None);
        Onlooker { of: self.clone(), source: source.clone() }
    }

    /// Tells the onlookers what a page shows, unless a page that left later has told them already.
    pub(crate) fn tell(&self, servers: &[(SourceId, SeenState)], left_at: Instant) {
        let mut glimpses = self.glimpses();
        if glimpses.is_empty() {
            return;
        }
        for (source, seen) in servers {
            if let Some(glimpse) = glimpses.get_mut(source)
                && glimpse.as_ref().is_none_or(|known| known.left_at < left_at)
            {
                *glimpse = Some(Glimpse { seen: seen.clone(), left_at });
            }
        }
    }

    /// Forgets the glimpses of sources that two pages show in different states: nothing is known of them.
    pub(crate) fn forget(&self, sources: &[SourceId]) {
        if sources.is_empty() {
            return;
        }
        let mut glimpses = self.glimpses();
        for source in sources {
            if let Some(glimpse) = glimpses.get_mut(source) {
                *glimpse = None;
            }
        }
    }

    fn glimpses(&self) -> MutexGuard<'_, HashMap<SourceId, Option<Glimpse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One row that is told what others see of it, until it is dropped.
pub(crate) struct Onlooker {
    of: Onlookers,
    source: SourceId,
}

impl Onlooker {
    pub(crate) fn latest(&self) -> Option<Glimpse> {
        self.of.glimpses().get(&self.source).cloned().flatten()
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.of.glimpses().remove(&self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_of_the_youngest_page_and_nobody_else_is_kept() {
        let onlookers = Onlookers::default();
        let onlooker = onlookers.join(&SourceId::new("vm-1").unwrap());
        let servers = ["vm-1", "vm-2"].map(|id| (SourceId::new(id).unwrap(), SeenState::default()));
        let early = Instant::now();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let late = Instant::now();
        assert_eq!(onlooker.latest(), None);
        onlookers.tell(&servers, late);
        // One that left earlier and was answered later.
        onlookers.tell(&servers, early);
        assert_eq!(onlooker.latest().unwrap().left_at, late);
        assert_eq!(onlookers.glimpses().len(), 1);
        onlookers.forget(&[SourceId::new("vm-1").unwrap()]);
        assert_eq!(onlooker.latest(), None);
        drop(onlooker);
        assert!(onlookers.glimpses().is_empty());
    }
}
