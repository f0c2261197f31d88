//! States of a run's rows as the pages of the list have shown them so far, and the contradictions among pages.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::event::kind::EventKind;
use crate::ledger::standing::Standing;
use crate::model::RowId;
use crate::model::state::SeenState;

/// Rows that pages have shown. Bounded by the number of sources that pages can reach.
pub(super) struct ShownRows {
    /// Rows that no page has shown yet.
    n_left: u64,
    /// Number of each state, so that `said` keeps four bytes a row: rows are many, and states a dozen.
    states: HashMap<SeenState, u32>,
    said: HashMap<RowId, Option<u32>>,
    /// Standings before the pages were read, of rows that an earlier launch touched.
    before: HashMap<RowId, Box<Standing>>,
    /// Rows that pages show in different states, with their standing before: the true state of these is not known.
    contradicted: HashMap<RowId, Standing>,
}

/// A row of this run on a page.
pub(super) struct OnPage {
    pub(super) row: RowId,
    /// State on the page; `None` if the page shows the row twice with different states.
    pub(super) state: Option<SeenState>,
    /// Standing before the page was read.
    pub(super) standing: Standing,
    /// Event to record; `None` for a row that is looked at again before it is sent.
    pub(super) kind: Option<EventKind>,
}

impl ShownRows {
    /// Makes an empty set for this number of rows without a verdict.
    pub(super) fn new(n_rows: u64) -> Self {
        Self {
            n_left: n_rows,
            states: HashMap::new(),
            said: HashMap::new(),
            before: HashMap::new(),
            contradicted: HashMap::new(),
        }
    }

    /// Adds a page. Returns the events that are to be recorded.
    pub(super) fn add(&mut self, page: Vec<OnPage>) -> Vec<EventKind> {
        let mut kinds = Vec::with_capacity(page.len());
        for OnPage { row, state, standing, kind } in page {
            let untouched = Standing::untouched(standing.rules);
            let state = state.map(|state| self.number_of(state));
            // Pages shift while sources come and go, so one may show a row that another has shown.
            match self.said.entry(row) {
                Entry::Occupied(said) if *said.get() != state || state.is_none() => {
                    let before = self.before.get(&row);
                    self.contradicted.entry(row).or_insert_with(|| before.map_or(untouched, |it| Standing::clone(it)));
                }
                Entry::Occupied(_) => (),
                Entry::Vacant(first) => {
                    if state.is_none() {
                        self.contradicted.insert(row, standing.clone());
                    }
                    kinds.extend(kind);
                    first.insert(state);
                    self.n_left -= 1;
                    if standing != untouched {
                        self.before.insert(row, Box::new(standing));
                    }
                }
            }
        }
        kinds
    }

    fn number_of(&mut self, state: SeenState) -> u32 {
        let next = u32::try_from(self.states.len()).expect("pages reach no more rows than there can be");
        *self.states.entry(state).or_insert(next)
    }

    pub(super) fn n_left(&self) -> u64 {
        self.n_left
    }

    /// Tells whether every row was shown, and without contradiction.
    pub(super) fn is_all(&self) -> bool {
        self.n_left == 0 && self.contradicted.is_empty()
    }

    pub(super) fn is_any(&self) -> bool {
        self.said.len() > self.contradicted.len()
    }

    pub(super) fn has(&self, row: RowId) -> bool {
        self.said.contains_key(&row) && !self.contradicted.contains_key(&row)
    }

    /// Standing of a contradicted row before the pages were read.
    pub(super) fn before(&self, row: RowId) -> Option<&Standing> {
        self.contradicted.get(&row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::row::RowEvent;
    use crate::model::words::Word;

    fn on_page(row: u32, state: Option<&str>) -> OnPage {
        let state = state.map(|word| SeenState { copystate: Some(Word::new(word)), migrationcycle: None });
        let kind = state.clone().map(|seen| RowEvent::Seen { seen: Some(seen) }.about(RowId(row)));
        OnPage { row: RowId(row), state, standing: Standing::default(), kind }
    }

    #[test]
    fn a_row_is_shown_by_pages_that_contradict_neither_each_other_nor_themselves() {
        let mut shown = ShownRows::new(3);
        assert_eq!(shown.add(vec![on_page(1, Some("syncing")), on_page(2, Some("syncing"))]).len(), 2);
        assert!(shown.has(RowId(1)) && shown.has(RowId(2)) && !shown.has(RowId(3)));
        assert!(shown.add(vec![on_page(1, None), on_page(2, Some("syncing")), on_page(3, None)]).is_empty());
        assert!(!shown.has(RowId(1)) && shown.has(RowId(2)) && !shown.has(RowId(3)));
        // A later page that shows one of the two states does not settle the contradiction.
        assert!(shown.add(vec![on_page(3, Some("syncing"))]).is_empty());
        assert!(!shown.has(RowId(3)) && shown.before(RowId(3)) == Some(&Standing::default()));
        assert_eq!((shown.n_left(), shown.is_all(), shown.is_any()), (0, false, true));
        shown.add(vec![on_page(2, Some("stopped"))]);
        assert!(!shown.is_any());
    }
}
