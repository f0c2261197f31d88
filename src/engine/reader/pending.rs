//! Requests to look that wait for a sweep, and which of them are swept together.
//!
//! A prompt request is due at its own time. A patient one (the first look after a change) waits until its page is ripe, changes
//! have stopped coming, or enough rows wait with it, so that one page proves many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::cost::{Cost, ListPages, LookWay, cheapest_way, pages_of};
use crate::engine::lane::Lane;
use crate::engine::look_request::{LookRequest, Urgency};
use crate::remote::service::{self, Remote};

/// Number of patient rows from which on a sweep may be worth its calls.
const ENOUGH: usize = 200;
/// Number of rows that each call of a sweep has to prove, where waiting longer can make it so.
const WORTH: usize = 20;
/// Minimum age of the oldest patient request, also where a sweep is worth it: where changes come fast, it proves many more.
const SOON: Duration = Duration::from_secs(1);
/// Number of patient rows that make their page ripe at once: all that it can show.
const WHOLE: usize = service::PAGE as usize;
/// Number of patient rows that make their page ripe once changes have gone on to others.
const RIPE: usize = WHOLE / 2;
/// Number of patient requests since the last one of a page from which on changes have gone on to others.
const GONE_ON: u64 = 200;
/// Time without a change under way after which changes have stopped coming.
const QUIET: Duration = Duration::from_millis(25);
/// Time for which requests are gathered, so that those made together share a sweep.
const GATHER: Duration = Duration::from_millis(15);

impl LookRequest {
    /// Instant from which on a prompt request is swept.
    fn due_at(&self) -> Instant {
        self.not_before.max(self.requested_at + GATHER)
    }
}

/// State of the lane on which it depends when a sweep is due.
pub(super) struct LaneActivity {
    list: ListPages,
    /// Start of the current period without changes; `None` while changes are under way and some of them are let through.
    idle_since: Option<Instant>,
    verify_timeout: Duration,
}

impl LaneActivity {
    pub(super) fn from_lane<R: Remote>(lane: &Lane<R>) -> Self {
        // Nothing comes of the changes that wait in a lane which is throttled, and what was taken before is not to wait for them.
        let throttled = || lane.gate().throttled_since().map(|since| since + SOON);
        let idle_since = lane.idle_since().or_else(throttled);
        Self { list: ListPages::from_lane(lane), idle_since, verify_timeout: lane.settings.verify_timeout }
    }
}

/// Requests that wait for a sweep.
#[derive(Default)]
pub(super) struct PendingLooks {
    prompt: Vec<LookRequest>,
    /// Patient requests, by the page on which their row was last seen.
    patient: BTreeMap<Option<u32>, PatientOfPage>,
    /// Number of patient requests that have come so far.
    n_came: u64,
    /// Ripe pages that were read since the last sweep of all patient requests, and the rows that they proved. Cheap as those were,
    /// they pay for rows that are alone on their pages.
    n_ripe_pages: usize,
    n_ripe_rows: usize,
}

/// Patient requests for rows of one page, in the order in which they came.
#[derive(Default)]
struct PatientOfPage {
    requests: Vec<LookRequest>,
    /// Number of patient requests for all pages when the last of these came.
    last: u64,
}

impl PendingLooks {
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

    /// Instant of the next sweep as far as it is known now; one that has passed is due. `None` until another request, or
    /// the end of the changes under way, makes one due.
    pub(super) fn next_sweep(&self, activity: &LaneActivity, now: Instant) -> Option<Instant> {
        if !self.ripe(activity.list).is_empty() {
            return Some(now);
        }
        let prompt = self.prompt.iter().map(LookRequest::due_at).min();
        [prompt, self.next_patient(activity, now)].into_iter().flatten().min()
    }

    /// Instant of the next sweep of all patient requests: soon after changes have stopped, or once one is worth its calls, but no later
    /// than the verification window after the oldest of them.
    fn next_patient(&self, activity: &LaneActivity, now: Instant) -> Option<Instant> {
        let oldest = self
            .patient
            .values()
            .filter_map(|of_page| of_page.requests.first())
            .map(|request| request.requested_at)
            .min()?;
        if let Some(since) = activity.idle_since {
            return Some(since + QUIET);
        }
        let waited_enough = oldest + activity.verify_timeout;
        let n_patient = self.n_patient();
        let sought = n_patient >= ENOUGH || waited_enough <= now;
        if sought {
            let hinted = (!self.patient.contains_key(&None)).then_some(self.patient.len());
            let calls = Cost::cheapest(n_patient, hinted, activity.list, LookWay::ById).calls;
            if (calls + self.n_ripe_pages) * WORTH <= n_patient + self.n_ripe_rows {
                return Some((oldest + SOON).max(now));
            }
        }
        // Asked again when one more comes, or when it has waited for the whole window.
        Some(waited_enough).filter(|at| *at > now)
    }

    /// Pages whose patient rows need not wait for those of others.
    fn ripe(&self, list: ListPages) -> BTreeSet<Option<u32>> {
        if list == ListPages::Unreadable {
            return BTreeSet::new();
        }
        let is_ripe = |of_page: &PatientOfPage| match of_page.requests.len() {
            ..RIPE => false,
            RIPE..WHOLE => self.n_came - of_page.last >= GONE_ON,
            WHOLE.. => true,
        };
        let ripe = self.patient.iter().filter(|(page, of_page)| page.is_some() && is_ripe(of_page));
        ripe.map(|(page, _)| *page).collect()
    }

    /// Takes the next batch. Ripe pages come one after the other for as long as changes do, so what is due goes before them.
    pub(super) fn take(&mut self, activity: &LaneActivity, now: Instant) -> Vec<LookRequest> {
        let due = self.take_due(activity, now);
        if due.is_empty() { self.take_ripe(activity.list, now) } else { due }
    }

    fn take_ripe(&mut self, list: ListPages, now: Instant) -> Vec<LookRequest> {
        let ripe = self.ripe(list);
        let mut batch = self.take_patient(|page| ripe.contains(&page));
        self.n_ripe_pages += ripe.len();
        self.n_ripe_rows += batch.len();
        batch.extend(self.prompt.extract_if(.., |request| request.not_before <= now && ripe.contains(&request.page)));
        batch
    }

    /// Takes the requests that are due now, and those that the same reads answer at no further cost.
    fn take_due(&mut self, activity: &LaneActivity, now: Instant) -> Vec<LookRequest> {
        let patient_due = self.next_patient(activity, now).is_some_and(|at| at <= now);
        let mut batch: Vec<LookRequest> = self.prompt.extract_if(.., |request| request.due_at() <= now).collect();
        if patient_due {
            batch.extend(self.take_patient(|_| true));
            (self.n_ripe_pages, self.n_ripe_rows) = (0, 0);
        }
        if activity.list == ListPages::Unreadable {
            // No page shows two rows for one call.
            return batch;
        }
        let pages = pages_of(&batch);
        // For a row that may be anywhere the whole list is read, or each of the batch by its id.
        let is_everywhere = pages.contains(&None);
        let whole_is_read = is_everywhere && cheapest_way(&batch, activity.list) == LookWay::Pages;
        let is_read = |page| if is_everywhere { whole_is_read } else { pages.contains(&page) };
        batch.extend(self.prompt.extract_if(.., |request| request.not_before <= now && is_read(request.page)));
        batch.extend(self.take_patient(is_read));
        batch
    }

    fn take_patient(&mut self, of: impl Fn(Option<u32>) -> bool) -> Vec<LookRequest> {
        self.patient.extract_if(.., |page, _| of(*page)).flat_map(|(_, of_page)| of_page.requests).collect()
    }
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

    fn pending(requests: impl IntoIterator<Item = LookRequest>) -> PendingLooks {
        let mut pending = PendingLooks::default();
        requests.into_iter().for_each(|request| pending.push(request));
        pending
    }

    fn rows(requests: &[LookRequest]) -> Vec<u32> {
        let mut rows: Vec<u32> = requests.iter().map(|request| request.row.0).collect();
        rows.sort_unstable();
        rows
    }

    const LISTED: ListPages = ListPages::Known(30);

    fn busy(n_pages: usize) -> LaneActivity {
        LaneActivity { list: ListPages::Known(n_pages), idle_since: None, verify_timeout: Duration::from_mins(1) }
    }

    #[test]
    fn a_page_is_ripe_when_it_is_asked_for_whole() {
        let now = Instant::now();
        let mut pending = pending(patient(1..200, Some(7)).chain(patient(200..220, Some(8))));
        assert!(pending.ripe(LISTED).is_empty());
        pending.push(patient_one(220, Some(7)));
        assert_eq!(pending.next_sweep(&busy(30), now), Some(now));
        let taken = pending.take(&busy(30), now);
        assert_eq!((taken.len(), pending.n_patient()), (200, 20));
        assert!(taken.iter().all(|request| request.page == Some(7)));
    }

    #[test]
    fn a_page_is_ripe_when_half_of_it_is_asked_for_and_the_changes_have_gone_on() {
        let half = pending(patient(1..101, Some(7)).chain(patient(101..300, Some(8))));
        assert!(half.ripe(LISTED).is_empty());
        let mut pending = half;
        pending.push(patient_one(300, Some(9)));
        assert_eq!(pending.ripe(LISTED), [Some(7)].into());
        // One more of it, and there may be others.
        pending.push(patient_one(301, Some(7)));
        assert!(pending.ripe(LISTED).is_empty());
    }

    #[test]
    fn less_than_half_a_page_and_rows_of_no_page_are_never_ripe() {
        let pending = pending(patient(1..100, Some(7)).chain(patient(100..400, None)));
        assert!(pending.ripe(LISTED).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn ripe_pages_go_together_after_what_is_due_and_take_their_rows_along() {
        let mut pending = pending([prompt(1, Some(3))]);
        tokio::time::advance(GATHER).await;
        let ripe = patient(1000..1200, Some(7)).chain(patient(2000..2200, Some(8)));
        ripe.chain([prompt(2, Some(8)), prompt(3, Some(9))]).for_each(|request| pending.push(request));
        let now = Instant::now();
        assert_eq!(rows(&pending.take(&busy(30), now)), [1]);
        let taken = pending.take(&busy(30), now);
        assert_eq!((taken.len(), rows(&taken)[0]), (401, 2));
        assert_eq!((pending.n_patient(), rows(&pending.prompt)), (0, vec![3]));
    }

    #[test]
    fn rows_that_are_alone_on_their_pages_are_seen_soon_where_ripe_pages_have_paid_for_them() {
        let now = Instant::now();
        let alone = || (1..221).map(|n| patient_one(n, u32::try_from(n % 20).ok()));
        assert!(pending(alone()).next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
        let mut paid = pending(patient(1000..1200, Some(25)));
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
        let few = pending(patient(1..200, Some(7)));
        assert!(few.next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
        let quiet = LaneActivity { idle_since: Some(now), ..busy(30) };
        assert_eq!(few.next_sweep(&quiet, now), Some(now + QUIET));
        // Ten pages for 210 rows are a twentieth; eleven are more.
        let spread = |n_pages: usize| pending((1..211).map(|n| patient_one(n, u32::try_from(n % n_pages).ok())));
        let soon = spread(10).next_sweep(&busy(30), now).unwrap();
        assert!(soon >= now + SOON && soon < now + 2 * SOON);
        assert!(spread(11).next_sweep(&busy(30), now).unwrap() > now + Duration::from_secs(50));
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_page_is_read_anyway_ride_along() {
        let requests = [prompt(1, Some(7)), patient_one(2, Some(7)), patient_one(3, Some(8)), patient_one(4, None)];
        let mut some = pending(requests);
        tokio::time::advance(GATHER).await;
        // Young, but on the same page; and one that may not be looked at yet.
        some.push(prompt(5, Some(7)));
        some.push(LookRequest { not_before: Instant::now() + SOON, ..prompt(6, Some(7)) });
        assert_eq!(rows(&some.take_due(&busy(30), Instant::now())), [1, 2, 5]);
        assert_eq!((some.prompt.len(), some.n_patient()), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_may_be_anywhere_takes_all_along_only_where_the_whole_list_is_read() {
        let requests = || pending([prompt(1, None), prompt(2, None), patient_one(3, Some(8))]);
        let (mut one_page, mut many) = (requests(), requests());
        tokio::time::advance(GATHER).await;
        assert_eq!(rows(&one_page.take_due(&busy(1), Instant::now())), [1, 2, 3]);
        assert_eq!(rows(&many.take_due(&busy(30), Instant::now())), [1, 2]);
    }

    #[test]
    fn one_row_is_seen_by_its_page_where_others_of_it_wait_too() {
        assert!(cheapest_way(&[prompt(1, Some(7))], ListPages::Known(30)) == LookWay::ById);
        assert!(cheapest_way(&[with_its_page(1, Some(7))], ListPages::Known(30)) == LookWay::Pages);
        assert!(cheapest_way(&[with_its_page(1, None)], ListPages::Known(1)) == LookWay::ById);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_list_cannot_be_read_each_row_is_looked_at_by_its_id() {
        let activity = LaneActivity { list: ListPages::Unreadable, ..busy(30) };
        let of_one_page: Vec<LookRequest> = patient(1..201, Some(7)).collect();
        assert!(cheapest_way(&of_one_page, ListPages::Known(30)) == LookWay::Pages);
        assert!(cheapest_way(&of_one_page, activity.list) == LookWay::ById);
        assert!(cheapest_way(&[with_its_page(1, Some(7))], activity.list) == LookWay::ById);
        // Who is on the page of one that is due gains nothing from it.
        let mut pending = pending([prompt(1, Some(7)), patient_one(2, Some(7))]);
        tokio::time::advance(GATHER).await;
        assert_eq!(rows(&pending.take(&activity, Instant::now())), [1]);
    }

    #[test]
    fn no_page_is_ripe_of_a_list_that_cannot_be_read() {
        let now = Instant::now();
        let activity = LaneActivity { list: ListPages::Unreadable, ..busy(30) };
        let whole_page = pending(patient(1..201, Some(7)));
        assert_eq!(whole_page.next_sweep(&busy(30), now), Some(now));
        assert!(whole_page.next_sweep(&activity, now).unwrap() > now + Duration::from_secs(50));
    }
}
