//! The account's list of sources, as far as its pages were read.

use std::collections::HashMap;

use crate::model::RowId;
use crate::remote::service::{self, Page};

/// Pages that are asked for at once in all lanes, and in one. Each may be a mebibyte.
const PAGES_IN_ALL: usize = 256;
const PAGES_IN_LANE: usize = 64;

/// Pages on which sources were found, and the end of the list. Bounded, because the service serves no page behind a fixed offset.
#[derive(Default)]
pub(crate) struct List {
    /// Number of sources in all, from the page that was read last.
    total: Option<u64>,
    /// First page that was empty, whatever number of sources the service counts.
    ends: Option<u32>,
    /// Reason for which the list cannot be read, though sources may be shown one by one.
    unreadable: Option<String>,
    page_of: HashMap<RowId, u16>,
}

impl List {
    pub(crate) fn page_of(&self, row: RowId) -> Option<u32> {
        self.page_of.get(&row).map(|page| u32::from(*page))
    }

    pub(crate) fn found(&mut self, row: RowId, page: u32) {
        if let Ok(page) = u16::try_from(page) {
            self.page_of.insert(row, page);
        }
    }

    /// Notes what a page says of the whole list.
    pub(crate) fn read(&mut self, page: u32, shown: &Page) {
        self.total = Some(shown.count);
        if shown.n_entries == 0 {
            self.ends = Some(self.ends.unwrap_or(page).min(page));
        } else if self.ends.is_some_and(|ends| ends <= page) {
            self.ends = None;
        }
    }

    /// Tells that the page is empty, or behind one that is.
    pub(crate) fn ends_before(&self, page: u32) -> bool {
        self.ends.is_some_and(|ends| ends <= page)
    }

    /// Notes that the list cannot be read. The first reason stands.
    pub(crate) fn give_up(&mut self, why: String) {
        self.unreadable.get_or_insert(why);
    }

    /// Reason why the list cannot be read.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// Number of pages that show the whole list, up to the last offset that is served; `None` until a page was read.
    pub(crate) fn n_pages(&self) -> Option<u32> {
        let reachable = self.total?.min(u64::from(service::LAST_OFFSET) + 1);
        let counted = u32::try_from(reachable.div_ceil(u64::from(service::PAGE))).expect("offsets are small");
        Some(counted.min(self.ends.unwrap_or(u32::MAX)).max(1))
    }
}

/// Number of pages that one of so many lanes asks for at once; at least one.
pub(crate) fn share_of_pages(n_lanes: usize) -> usize {
    (PAGES_IN_ALL / n_lanes.max(1)).clamp(1, PAGES_IN_LANE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lanes_ask_for_few_pages_each() {
        assert_eq!([1, 4, 8, 200, 1000].map(share_of_pages), [64, 64, 32, 1, 1]);
    }

    #[test]
    fn the_list_ends_with_its_first_empty_page_whatever_the_service_counts() {
        let mut list = List::default();
        let page = |n_entries| Page { count: 10_000, n_entries, servers: Vec::new(), contradicted: Vec::new() };
        assert_eq!(list.n_pages(), None);
        list.read(0, &page(1));
        let counted = list.n_pages().unwrap();
        assert!(counted > 3);
        list.read(3, &page(0));
        list.read(4, &page(0));
        assert_eq!((list.n_pages(), list.ends_before(2), list.ends_before(3)), (Some(3), false, true));
        // Sources have come since.
        list.read(3, &page(1));
        assert_eq!((list.n_pages(), list.ends_before(3)), (Some(counted), false));
    }

    #[test]
    fn the_first_reason_why_it_cannot_be_read_is_the_one_that_is_told() {
        let mut list = List::default();
        assert_eq!(list.unreadable(), None);
        list.give_up("forbidden".to_owned());
        list.give_up("broken".to_owned());
        assert_eq!(list.unreadable(), Some("forbidden"));
    }
}
