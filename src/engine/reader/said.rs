//! What the pages of one sweep have shown so far, so that what a later one shows otherwise is believed of neither.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::state::SeenState;
use crate::model::{RowId, SourceId};
use crate::remote::service::Page;

/// No more than pages reach. Of the entries of a page each source has one.
#[derive(Default)]
pub(super) struct Said(HashMap<SourceId, Shown>);

struct Shown {
    /// None: two pages do not show the same, or one does not.
    seen: Option<SeenState>,
    /// The row that was told.
    answered: Option<RowId>,
}

impl Said {
    /// A page's entries, as far as no page before it shows them otherwise, and the sources of the others: those of which the page
    /// contradicts itself among them.
    pub(super) fn sift(&mut self, page: Page) -> (Vec<(SourceId, SeenState)>, Vec<SourceId>) {
        let Page { count: _, n_entries: _, servers: mut certain, mut contradicted } = page;
        for id in &contradicted {
            self.0.entry(id.clone()).or_insert(Shown { seen: None, answered: None }).seen = None;
        }
        certain.retain(|(id, seen)| match self.0.entry(id.clone()) {
            Entry::Vacant(first) => {
                first.insert(Shown { seen: Some(seen.clone()), answered: None });
                true
            }
            Entry::Occupied(shown) if shown.get().seen.as_ref() == Some(seen) => true,
            Entry::Occupied(mut shown) => {
                contradicted.push(shown.key().clone());
                shown.get_mut().seen = None;
                false
            }
        });
        (certain, contradicted)
    }

    pub(super) fn answer(&mut self, source: &SourceId, row: RowId) {
        if let Some(shown) = self.0.get_mut(source) {
            shown.answered = Some(row);
        }
    }

    /// The row that was told what a page shows of its source.
    pub(super) fn answered(&self, source: &SourceId) -> Option<RowId> {
        self.0.get(source)?.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::words::Word;

    fn entry(id: &str, copystate: &str) -> (SourceId, SeenState) {
        (SourceId::new(id).unwrap(), SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None })
    }

    fn page(servers: Vec<(SourceId, SeenState)>, contradicted: &[&str]) -> Page {
        let contradicted = contradicted.iter().map(|id| SourceId::new(id).unwrap()).collect();
        Page { count: 9, n_entries: servers.len(), servers, contradicted }
    }

    #[test]
    fn what_a_later_page_shows_otherwise_is_believed_of_neither_and_known_by_the_row_that_was_told() {
        let mut said = Said::default();
        let id = |text: &str| SourceId::new(text).unwrap();
        let first = vec![entry("vm-1", "syncing"), entry("vm-2", "syncing"), entry("vm-3", "syncing")];
        assert_eq!(said.sift(page(first.clone(), &[])), (first, Vec::new()));
        said.answer(&id("vm-1"), RowId(7));
        // In any case; one that shows the same is nothing new.
        let second = vec![entry("VM-1", "stopped"), entry("vm-2", "syncing"), entry("vm-4", "syncing")];
        let (certain, contradicted) = said.sift(page(second.clone(), &[]));
        assert_eq!((certain.as_slice(), contradicted.as_slice()), (&second[1..], &[id("vm-1")][..]));
        assert_eq!((said.answered(&id("vm-1")), said.answered(&id("vm-2"))), (Some(RowId(7)), None));
        // A third word makes the first no truer.
        assert_eq!(said.sift(page(vec![entry("vm-1", "syncing")], &[])), (Vec::new(), vec![id("vm-1")]));
    }

    #[test]
    fn what_a_page_contradicts_itself_about_is_believed_of_no_page_before_or_behind_it() {
        let mut said = Said::default();
        let id = |text: &str| SourceId::new(text).unwrap();
        said.sift(page(vec![entry("vm-1", "syncing"), entry("vm-2", "syncing")], &[]));
        said.answer(&id("vm-1"), RowId(7));
        let (certain, contradicted) = said.sift(page(vec![entry("vm-2", "syncing")], &["VM-1", "vm-3"]));
        assert_eq!((certain, contradicted), (vec![entry("vm-2", "syncing")], vec![id("vm-1"), id("vm-3")]));
        assert_eq!(said.answered(&id("vm-1")), Some(RowId(7)), "it is looked at again before it is sent");
        let (certain, contradicted) = said.sift(page(vec![entry("vm-1", "syncing"), entry("vm-3", "syncing")], &[]));
        assert_eq!((certain, contradicted), (Vec::new(), vec![id("vm-1"), id("vm-3")]));
    }
}
