//! The rows that wait for a look, and when which of them are looked at together.
//!
//! Two kinds of requests come here. A prompt one is due at its own time. A patient one (the first look after a change)
//! waits until its page is ripe, changes have stopped coming, or enough rows wait with it, so that one page proves many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::lane::Lane;
use crate::engine::look_request::{LookRequest, Urgency};
use crate::remote::service::{self, Remote};

/// This many rows make a sweep worth while.
const ENOUGH: usize = 200;
/// Looks of one sweep cost at most this share of the changes they prove, where waiting longer can make it so.
const WORTH: usize = 20;
/// Even then it waits until the oldest has waited for so long: where changes come fast, it proves many more of them.
const SOON: Duration = Duration::from_secs(1);
/// A page is ripe when it is asked for whole, or when at least so much of it is and the changes have gone on to others.
const WHOLE: usize = service::PAGE as usize;
const RIPE: usize = WHOLE / 2;
const GONE_ON: u64 = 200;
/// Changes have stopped coming: no new one was begun for this long.
const QUIET: Duration = Duration::from_millis(25);
/// Time for which requests are gathered, so that those made together share a sweep.
const GATHER: Duration = Duration::from_millis(15);

impl LookRequest {
    fn due_at(&self) -> Instant {
        self.not_before.max(self.requested_at + GATHER)
    }
}

/// The whole list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Nobody has listed yet.
    Unlisted,
    Pages(usize),
    /// No page of it is to be had, nor one where a row was seen.
    Unreadable,
}

/// What a sweep depends on, besides who waits for it.
pub(super) struct Around {
    pub(super) whole: Whole,
    /// None: changes are under way, and some of them are let through.
    idle_since: Option<Instant>,
    verify_timeout: Duration,
}

impl Around {
    pub(super) fn from_lane<R: Remote>(lane: &Lane<R>) -> Self {
        let list = lane.list();
        let whole = match (list.unreadable(), list.n_pages()) {
            (Some(_), _) => Whole::Unreadable,
            (None, Some(n)) => Whole::Pages(usize::try_from(n).expect("pages are few")),
            (None, None) => Whole::Unlisted,
        };
        drop(list);
        // Nothing comes of the changes that wait in a lane which is throttled, and what was taken before is not to wait for them.
        let throttled = || lane.gate().throttled_since().map(|since| since + SOON);
        let idle_since = lane.idle_since().or_else(throttled);
        Self { whole, idle_since, verify_timeout: lane.settings.verify_timeout }
    }
}

/// The requests that wait for a sweep.
#[derive(Default)]
pub(super) struct Waiting {
    prompt: Vec<LookRequest>,
    /// By their pages.
    patient: BTreeMap<Option<u32>, OfPage>,
    /// How many patient ones have come so far.
    n_came: u64,
    /// Pages that were ripe since the last sweep of all patient ones, and how many rows they proved: cheap as that is, it
    /// pays for rows that are alone on their pages.
    n_ripe_pages: usize,
    n_ripe_rows: usize,
}

/// Patient requests for rows of one page, in the order in which they came.
#[derive(Default)]
struct OfPage {
    requests: Vec<LookRequest>,
    /// How many had come to all pages when the last of these did.
    last: u64,
}

impl Waiting {
    pub(super) fn push(&mut self, request: LookRequest) {
        match request.urgency {
            Urgency::Prompt | Urgency::PromptWithItsPage => return self.prompt.push(request),
            Urgency::Patient => (),
        }
        self.n_came += 1;
        let of_page = self.patient.entry(request.page).or_default();
        of_page.requests.push(request);
        of_page.last = self.n_came;
    }

    fn n_patient(&self) -> usize {
        self.patient.values().map(|of_page| of_page.requests.len()).sum()
    }

    /// When the next sweep is due, as far as is known now.
    pub(super) fn next_sweep(&self, around: &Around, now: Instant) -> Option<Instant> {
        if !self.ripe(around.whole).is_empty() {
            return Some(now);
        }
        let prompt = self.prompt.iter().map(LookRequest::due_at).min();
        [prompt, self.next_patient(around, now)].into_iter().flatten().min()
    }

    /// The pages whose rows need not wait for those of others.
    fn ripe(&self, whole: Whole) -> BTreeSet<Option<u32>> {
        if whole == Whole::Unreadable {
            return BTreeSet::new();
        }
        let is_ripe = |of_page: &OfPage| match of_page.requests.len() {
            ..RIPE => false,
            RIPE..WHOLE => self.n_came - of_page.last >= GONE_ON,
            WHOLE.. => true,
        };
        let ripe = self.patient.iter().filter(|(page, of_page)| page.is_some() && is_ripe(of_page));
        ripe.map(|(page, _)| *page).collect()
    }

    /// What is swept next. Ripe pages come one after the other for as long as changes do, so what is due goes before them.
    pub(super) fn take(&mut self, around: &Around, now: Instant) -> Vec<LookRequest> {
        let due = self.take_due(around, now);
        if due.is_empty() { self.take_ripe(around.whole, now) } else { due }
    }

    fn take_ripe(&mut self, whole: Whole, now: Instant) -> Vec<LookRequest> {
        let ripe = self.ripe(whole);
        let mut batch = self.take_patient(|page| ripe.contains(&page));
        self.n_ripe_pages += ripe.len();
        self.n_ripe_rows += batch.len();
        batch.extend(self.prompt.extract_if(.., |request| request.not_before <= now && ripe.contains(&request.page)));
        batch
    }

    fn next_patient(&self, around: &Around, now: Instant) -> Option<Instant> {
        let oldest = self
            .patient
            .values()
            .filter_map(|of_page| of_page.requests.first())
            .map(|request| request.requested_at)
            .min()?;
        if let Some(since) = around.idle_since {
            return Some(since + QUIET);
        }
        let waited_enough = oldest + around.verify_timeout;
        let n_patient = self.n_patient();
        let sought = n_patient >= ENOUGH || waited_enough <= now;
        if sought {
            let hinted = (!self.patient.contains_key(&None)).then_some(self.patient.len());
            let calls = Cost::cheapest(n_patient, hinted, around.whole, Way::ById).calls;
            if (calls + self.n_ripe_pages) * WORTH <= n_patient + self.n_ripe_rows {
                return Some((oldest + SOON).max(now));
            }
        }
        // Asked again when one more comes, or when it has waited for the whole window.
        Some(waited_enough).filter(|at| *at > now)
    }

    /// What is due now, and what rides along because it costs nothing more.
    fn take_due(&mut self, around: &Around, now: Instant) -> Vec<LookRequest> {
        let patient_due = self.next_patient(around, now).is_some_and(|at| at <= now);
        let mut batch: Vec<LookRequest> = self.prompt.extract_if(.., |request| request.due_at() <= now).collect();
        if patient_due {
            batch.extend(self.take_patient(|_| true));
            (self.n_ripe_pages, self.n_ripe_rows) = (0, 0);
        }
        if around.whole == Whole::Unreadable {
            // No page shows two rows for one call.
            return batch;
        }
        let pages = pages(&batch);
        // For a row that may be anywhere the whole list is read, or each of the batch by its id.
        let is_everywhere = pages.contains(&None);
        let whole_is_read = is_everywhere && way(&batch, around.whole) == Way::Pages;
        let is_read = |page| if is_everywhere { whole_is_read } else { pages.contains(&page) };
        batch.extend(self.prompt.extract_if(.., |request| request.not_before <= now && is_read(request.page)));
        batch.extend(self.take_patient(is_read));
        batch
    }

    fn take_patient(&mut self, of: impl Fn(Option<u32>) -> bool) -> Vec<LookRequest> {
        self.patient.extract_if(.., |page, _| of(*page)).flat_map(|(_, of_page)| of_page.requests).collect()
    }
}

struct Cost {
    calls: usize,
    way: Way,
}

/// How a batch is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ById,
    Pages,
}

impl Cost {
    /// Cost of the cheaper way: pages where the rows were last seen, or the whole list where that is not known. `tie` is the way
    /// where both cost the same and it is known.
    fn cheapest(by_id: usize, hinted: Option<usize>, whole: Whole, tie: Way) -> Self {
        let pages = match (hinted, whole) {
            (_, Whole::Unreadable) => return Self { calls: by_id, way: Way::ById },
            (Some(hinted), Whole::Pages(whole)) => hinted.min(whole),
            (Some(hinted), Whole::Unlisted) => hinted,
            (None, Whole::Pages(whole)) => whole,
            // The first page tells how many there are.
            (None, Whole::Unlisted) => 5,
        };
        if pages < by_id || (tie == Way::Pages && hinted.is_some() && pages == by_id) {
            Self { calls: pages, way: Way::Pages }
        } else {
            Self { calls: by_id, way: Way::ById }
        }
    }
}

fn pages(requests: &[LookRequest]) -> BTreeSet<Option<u32>> {
    requests.iter().map(|request| request.page).collect()
}

/// Way of fewer calls.
pub(super) fn way(requests: &[LookRequest], whole: Whole) -> Way {
    let pages = pages(requests);
    let hinted = (!pages.contains(&None)).then_some(pages.len());
    let with_its_page = requests.iter().any(|request| request.urgency == Urgency::PromptWithItsPage);
    let tie = if with_its_page { Way::Pages } else { Way::ById };
    Cost::cheapest(requests.len(), hinted, whole, tie).way
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::model::state::Fields;
    use crate::model::{RowId, SourceId};

    fn prompt(n: usize, page: Option<u32>) -> LookRequest {
        request(n, page, Urgency::Prompt)
    }

    fn request(n: usize, page: Option<u32>, urgency: Urgency) -> LookRequest {
        let now = Instant::now();
        LookRequest {
            row: RowId(u32::try_from(n).unwrap()),
            source: SourceId::new(&format!("vm-{n}")).unwrap(),
            needs: Fields::BOTH,
            page,
            not_before: now,
            urgency,
            requested_at: now,
            answer: oneshot::channel().0,
        }
    }

    fn patient_one(n: usize, page: Option<u32>) -> LookRequest {
        request(n, page, Urgency::Patient)
    }

    fn with_its_page(n: usize, page: Option<u32>) -> LookRequest {
        request(n, page, Urgency::PromptWithItsPage)
    }

    fn patient(rows: std::ops::Range<usize>, page: Option<u32>) -> impl Iterator<Item = LookRequest> {
        rows.map(move |n| patient_one(n, page))
    }

    fn waiting(requests: impl IntoIterator<Item = LookRequest>) -> Waiting {
        let mut waiting = Waiting::default();
        requests.into_iter().for_each(|request| waiting.push(request));
        waiting
    }

    fn rows(requests: &[LookRequest]) -> Vec<u32> {
        let mut rows: Vec<u32> = requests.iter().map(|request| request.row.0).collect();
        rows.sort_unstable();
        rows
    }

    const LISTED: Whole = Whole::Pages(30);

    fn busy(n_pages: usize) -> Around {
        Around { whole: Whole::Pages(n_pages), idle_since: None, verify_timeout: Duration::from_mins(1) }
    }

    #[test]
    fn a_page_is_ripe_when_it_is_asked_for_whole() {
        let now = Instant::now();
        let mut waiting = waiting(patient(1..200, Some(7)).chain(patient(200..220, Some(8))));
        assert!(waiting.ripe(LISTED).is_empty());
        waiting.push(patient_one(220, Some(7)));
        assert_eq!(waiting.next_sweep(&busy(30), now), Some(now));
        let taken = waiting.take(&busy(30), now);
        assert_eq!((taken.len(), waiting.n_patient()), (200, 20));
        assert!(taken.iter().all(|request| request.page == Some(7)));
    }

    #[test]
    fn a_page_is_ripe_when_half_of_it_is_asked_for_and_the_changes_have_gone_on() {
        let half = waiting(patient(1..101, Some(7)).chain(patient(101..300, Some(8))));
        assert!(half.ripe(LISTED).is_empty());
        let mut waiting = half;
        waiting.push(patient_one(300, Some(9)));
        assert_eq!(waiting.ripe(LISTED), [Some(7)].into());
        // One more of it, and there may be others.
        waiting.push(patient_one(301, Some(7)));
        assert!(waiting.ripe(LISTED).is_empty());
    }

    #[test]
    fn less_than_half_a_page_and_rows_of_no_page_are_never_ripe() {
        let waiting = waiting(patient(1..100, Some(7)).chain(patient(100..400, None)));
        assert!(waiting.ripe(LISTED).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn ripe_pages_go_together_after_what_is_due_and_take_their_rows_along() {
        let mut waiting = waiting([prompt(1, Some(3))]);
        tokio::time::advance(GATHER).await;
        let ripe = patient(1000..1200, Some(7)).chain(patient(2000..2200, Some(8)));
        ripe.chain([prompt(2, Some(8)), prompt(3, Some(9))]).for_each(|request| waiting.push(request));
        let now = Instant::now();
        assert_eq!(rows(&waiting.take(&busy(30), now)), [1]);
        let taken = waiting.take(&busy(30), now);
        assert_eq!((taken.len(), rows(&taken)[0]), (401, 2));
        assert_eq!((waiting.n_patient(), rows(&waiting.prompt)), (0, vec![3]));
    }

    #[test]
    fn rows_that_are_alone_on_their_pages_are_seen_soon_where_ripe_pages_have_paid_for_them() {
        let now = Instant::now();
        let alone = || (1..221).map(|n| patient_one(n, u32::try_from(n % 20).ok()));
        assert!(waiting(alone()).next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
        let mut paid = waiting(patient(1000..1200, Some(25)));
        assert_eq!(paid.take(&busy(30), now).len(), 200);
        alone().for_each(|request| paid.push(request));
        assert!(paid.next_sweep(&busy(30), now).unwrap() < now + 2 * SOON);
        // Once only.
        let later = now + 2 * SOON;
        assert_eq!(paid.take(&busy(30), later).len(), 220);
        alone().for_each(|request| paid.push(request));
        assert!(paid.next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
    }

    #[test]
    fn patient_rows_wait_until_a_sweep_is_worth_it_or_changes_have_stopped() {
        let now = Instant::now();
        let few = waiting(patient(1..200, Some(7)));
        assert!(few.next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
        let quiet = Around { idle_since: Some(now), ..busy(30) };
        assert_eq!(few.next_sweep(&quiet, now), Some(now + QUIET));
        // Ten pages for 210 rows are a twentieth; eleven are more.
        let spread = |n_pages: usize| waiting((1..211).map(|n| patient_one(n, u32::try_from(n % n_pages).ok())));
        let soon = spread(10).next_sweep(&busy(30), now).unwrap();
        assert!(soon >= now + SOON && soon < now + 2 * SOON);
        assert!(spread(11).next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_page_is_read_anyway_ride_along() {
        let requests = [prompt(1, Some(7)), patient_one(2, Some(7)), patient_one(3, Some(8)), patient_one(4, None)];
        let mut some = waiting(requests);
        tokio::time::advance(GATHER).await;
        // Young, but on the same page; and one that may not be looked at yet.
        some.push(prompt(5, Some(7)));
        some.push(LookRequest { not_before: Instant::now() + SOON, ..prompt(6, Some(7)) });
        assert_eq!(rows(&some.take_due(&busy(30), Instant::now())), [1, 2, 5]);
        assert_eq!((some.prompt.len(), some.n_patient()), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_may_be_anywhere_takes_all_along_only_where_the_whole_list_is_read() {
        let of = || waiting([prompt(1, None), prompt(2, None), patient_one(3, Some(8))]);
        let (mut one_page, mut many) = (of(), of());
        tokio::time::advance(GATHER).await;
        assert_eq!(rows(&one_page.take_due(&busy(1), Instant::now())), [1, 2, 3]);
        assert_eq!(rows(&many.take_due(&busy(30), Instant::now())), [1, 2]);
    }

    #[test]
    fn one_row_is_seen_by_its_page_where_others_of_it_wait_too() {
        assert!(way(&[prompt(1, Some(7))], Whole::Pages(30)) == Way::ById);
        assert!(way(&[with_its_page(1, Some(7))], Whole::Pages(30)) == Way::Pages);
        assert!(way(&[with_its_page(1, None)], Whole::Pages(1)) == Way::ById);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_list_cannot_be_read_each_row_is_looked_at_by_its_id() {
        let around = Around { whole: Whole::Unreadable, ..busy(30) };
        let of_one_page: Vec<LookRequest> = patient(1..201, Some(7)).collect();
        assert!(way(&of_one_page, Whole::Pages(30)) == Way::Pages);
        assert!(way(&of_one_page, around.whole) == Way::ById);
        assert!(way(&[with_its_page(1, Some(7))], around.whole) == Way::ById);
        // Who is on the page of one that is due gains nothing from it.
        let mut waiting = waiting([prompt(1, Some(7)), patient_one(2, Some(7))]);
        tokio::time::advance(GATHER).await;
        assert_eq!(rows(&waiting.take(&around, Instant::now())), [1]);
    }

    #[test]
    fn no_page_is_ripe_of_a_list_that_cannot_be_read() {
        let now = Instant::now();
        let around = Around { whole: Whole::Unreadable, ..busy(30) };
        let whole_page = waiting(patient(1..201, Some(7)));
        assert_eq!(whole_page.next_sweep(&busy(30), now), Some(now));
        assert!(whole_page.next_sweep(&around, now).unwrap() > now + Duration::from_secs(50));
    }
}
