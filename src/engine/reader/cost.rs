//! Cost of a look at a batch, in calls: by pages of the list or by id.

use std::collections::BTreeSet;

use crate::engine::lane::Lane;
use crate::engine::look_request::{LookRequest, Urgency};
use crate::remote::service::Remote;

/// Pages that the list may have while none was read: the first one tells how many there are.
const ASSUMED_PAGES: usize = 5;

/// Way of reading a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookWay {
    ById,
    Pages,
}

/// Number of pages of the account's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListPages {
    /// No page has been read yet.
    Unknown,
    Known(usize),
    /// The service shows sources by their id alone.
    Unreadable,
}

impl ListPages {
    pub(super) fn from_lane<R: Remote>(lane: &Lane<R>) -> Self {
        let list = lane.list();
        match (list.unreadable(), list.n_pages()) {
            (Some(_), _) => Self::Unreadable,
            (None, Some(n)) => Self::Known(usize::try_from(n).expect("pages are few")),
            (None, None) => Self::Unknown,
        }
    }
}

/// Way of fewer calls. At the same cost a batch is read by id, unless a look in it asks for its page.
pub(super) fn cheapest_way(requests: &[LookRequest], list: ListPages) -> LookWay {
    let with_its_page = requests.iter().any(|request| request.urgency == Urgency::PromptWithItsPage);
    let tie = if with_its_page { LookWay::Pages } else { LookWay::ById };
    Cost::cheapest(requests.len(), n_hinted(&pages_of(requests)), list, tie).way
}

/// Pages on which rows were last seen; `None` among them stands for rows that were seen on no page yet.
pub(super) fn pages_of(requests: &[LookRequest]) -> BTreeSet<Option<u32>> {
    requests.iter().map(|request| request.page).collect()
}

/// Number of pages that show all rows where these were last seen; `None` if one was seen on no page yet.
fn n_hinted(pages: &BTreeSet<Option<u32>>) -> Option<usize> {
    (!pages.contains(&None)).then_some(pages.len())
}

/// Calls that the cheaper way takes.
pub(super) struct Cost {
    pub(super) calls: usize,
    way: LookWay,
}

impl Cost {
    /// Cost of the cheaper way for `by_id` rows: the `hinted` pages where they were last seen, or the whole list where that is
    /// not known. `tie` decides where both cost the same and the pages are known.
    pub(super) fn cheapest(by_id: usize, hinted: Option<usize>, list: ListPages, tie: LookWay) -> Self {
        let pages = match (hinted, list) {
            (_, ListPages::Unreadable) => return Self { calls: by_id, way: LookWay::ById },
            (Some(hinted), ListPages::Known(whole)) => hinted.min(whole),
            (Some(hinted), ListPages::Unknown) => hinted,
            (None, ListPages::Known(whole)) => whole,
            (None, ListPages::Unknown) => ASSUMED_PAGES,
        };
        if pages < by_id || (tie == LookWay::Pages && hinted.is_some() && pages == by_id) {
            Self { calls: pages, way: LookWay::Pages }
        } else {
            Self { calls: by_id, way: LookWay::ById }
        }
    }
}
