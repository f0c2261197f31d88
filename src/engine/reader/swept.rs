//! Sources that the pages of one sweep have shown so far, so that a state which another page contradicts is believed of neither.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::state::SeenState;
use crate::model::{RowId, SourceId};
use crate::remote::service::Page;

/// Sources that were shown, bounded by what pages reach.
#[derive(Default)]
pub(super) struct SweptSources(HashMap<SourceId, SweptSource>);

struct SweptSource {
    /// State on all pages that showed the source; `None` once one contradicts another or itself.
    seen: Option<SeenState>,
    /// Row that was told the state.
    answered: Option<RowId>,
}

/// Entries of one page.
#[derive(Debug, PartialEq)]
pub(super) struct Sifted {
    /// Entries that no page before contradicts.
    pub(super) consistent: Vec<(SourceId, SeenState)>,
    /// Sources of the others, those among them of which the page contradicts itself.
    pub(super) contradicted: Vec<SourceId>,
}

impl SweptSources {
    /// Adds a page, and sifts its entries by what the pages before it showed. Each source has one entry on a page.
    pub(super) fn add(&mut self, page: Page) -> Sifted {
        let Page { count: _, n_entries: _, servers: mut consistent, mut contradicted } = page;
        for id in &contradicted {
            self.0.entry(id.clone()).or_insert(SweptSource { seen: None, answered: None }).seen = None;
        }
        consistent.retain(|(id, seen)| match self.0.entry(id.clone()) {
            Entry::Vacant(first) => {
                first.insert(SweptSource { seen: Some(seen.clone()), answered: None });
                true
            }
            Entry::Occupied(shown) if shown.get().seen.as_ref() == Some(seen) => true,
            Entry::Occupied(mut shown) => {
                contradicted.push(shown.key().clone());
                shown.get_mut().seen = None;
                false
            }
        });
        Sifted { consistent, contradicted }
    }

    /// Notes that a row was told what a page shows of its source.
    pub(super) fn note_answered(&mut self, source: &SourceId, row: RowId) {
        if let Some(shown) = self.0.get_mut(source) {
            shown.answered = Some(row);
        }
    }

    /// Row that was told what a page showed of its source.
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
        let mut swept = SweptSources::default();
        let id = |text: &str| SourceId::new(text).unwrap();
        let first = vec![entry("vm-1", "syncing"), entry("vm-2", "syncing"), entry("vm-3", "syncing")];
        let sifted = swept.add(page(first.clone(), &[]));
        assert_eq!(sifted, Sifted { consistent: first, contradicted: Vec::new() });
        swept.note_answered(&id("vm-1"), RowId(7));
        // In any case; one that shows the same is nothing new.
        let second = vec![entry("VM-1", "stopped"), entry("vm-2", "syncing"), entry("vm-4", "syncing")];
        let Sifted { consistent, contradicted } = swept.add(page(second.clone(), &[]));
        assert_eq!((consistent.as_slice(), contradicted.as_slice()), (&second[1..], &[id("vm-1")][..]));
        assert_eq!((swept.answered(&id("vm-1")), swept.answered(&id("vm-2"))), (Some(RowId(7)), None));
        // A third word makes the first no truer.
        let sifted = swept.add(page(vec![entry("vm-1", "syncing")], &[]));
        assert_eq!(sifted, Sifted { consistent: Vec::new(), contradicted: vec![id("vm-1")] });
    }

    #[test]
    fn what_a_page_contradicts_itself_about_is_believed_of_no_page_before_or_behind_it() {
        let mut swept = SweptSources::default();
        let id = |text: &str| SourceId::new(text).unwrap();
        swept.add(page(vec![entry("vm-1", "syncing"), entry("vm-2", "syncing")], &[]));
        swept.note_answered(&id("vm-1"), RowId(7));
        let Sifted { consistent, contradicted } = swept.add(page(vec![entry("vm-2", "syncing")], &["VM-1", "vm-3"]));
        assert_eq!((consistent, contradicted), (vec![entry("vm-2", "syncing")], vec![id("vm-1"), id("vm-3")]));
        assert_eq!(swept.answered(&id("vm-1")), Some(RowId(7)), "it is looked at again before it is sent");
        let Sifted { consistent, contradicted } =
            swept.add(page(vec![entry("vm-1", "syncing"), entry("vm-3", "syncing")], &[]));
        assert_eq!((consistent, contradicted), (Vec::new(), vec![id("vm-1"), id("vm-3")]));
    }
}
