//! Check of the chains: each event of a lane follows the one before it, and the lane's head is the hash of the last.
//!
//! Only a lane's first break is named: nothing after it is proven.

use std::collections::BTreeMap;

use super::finding::{Finding, Findings};
use super::sums::{OwnSums, read};
use crate::event::lane::LaneId;
use crate::journal::chain::{self, Hash};
use crate::journal::read::runs::RunRecord;
use crate::journal::stored::{EventOrder, StoredEvent};
use crate::journal::{Journal, JournalError};

/// Checks all chains of a run, and the sums of the events that name no row. Returns the number of events, and the layout that the
/// run began with.
pub(super) fn check(
    journal: &Journal,
    run: &RunRecord,
    findings: &mut Findings,
) -> Result<(u64, Option<String>), JournalError> {
    let heads: BTreeMap<LaneId, (u64, Hash)> =
        journal.heads(run.key)?.into_iter().map(|(lane, seq, head)| (lane, (seq, head))).collect();
    let mut chains: BTreeMap<LaneId, Chain> = heads.keys().map(|lane| (*lane, Chain::new(*lane, &run.id))).collect();
    let mut sums = OwnSums::default();
    // An altered event often cannot be read either: the alteration is reported first.
    let mut unread = Vec::new();
    let mut text = String::new();
    let mut n_events = 0;
    journal.for_each_stored_event(run.key, EventOrder::ByLane, |event| {
        n_events += 1;
        if event.row.is_none() {
            match read(&event) {
                Ok(kind) => {
                    if !event.is_spelled_as_written(&kind, &mut text) {
                        unread.push(Finding::Respelled { lane: event.lane, seq: event.seq });
                    }
                    sums.add(event.lane, event.at_ms, &kind);
                }
                Err(finding) => unread.push(finding),
            }
        } else if asks_to_wait(&event)
            && let Ok(kind) = read(&event)
        {
            sums.add(event.lane, event.at_ms, &kind);
        }
        chains.entry(event.lane).or_insert_with(|| Chain::new(event.lane, &run.id)).add(&event);
        Ok::<(), JournalError>(())
    })?;
    for (lane, chain) in chains {
        if let Some(finding) = chain.finish(heads.get(&lane)) {
            findings.add(finding);
        }
    }
    for finding in unread {
        findings.add(finding);
    }
    check_is_recorded(journal, run, findings)?;
    sums.compare_run(run, findings);
    sums.compare_lanes(&journal.lanes(run.key)?, findings);
    sums.compare_commands(&journal.stored_commands(run.key)?, findings);
    if !journal.own_lane_is_plain(run.key)? {
        findings.add(Finding::LaneDiffers { lane: LaneId::RUN, columns: vec!["what only accounts have"] });
    }
    Ok((n_events, sums.layout))
}

/// Checks the run's own lane from its first event to its last, with what it says of the run, and the last event of every other
/// lane. Returns the layout that the run began with.
pub(super) fn check_ends(
    journal: &Journal,
    run: &RunRecord,
    findings: &mut Findings,
) -> Result<Option<String>, JournalError> {
    let mut own = Chain::new(LaneId::RUN, &run.id);
    let mut sums = OwnSums::default();
    let mut unread = Vec::new();
    journal.for_each_stored_event(run.key, EventOrder::OfLane(LaneId::RUN), |event| {
        match read(&event) {
            Ok(kind) => sums.add(event.lane, event.at_ms, &kind),
            Err(finding) => unread.push(finding),
        }
        own.add(&event);
        Ok::<(), JournalError>(())
    })?;
    let heads = journal.heads(run.key)?;
    let of_run = heads.iter().find(|(lane, _, _)| *lane == LaneId::RUN).map(|(_, seq, hash)| (*seq, *hash));
    own.finish(of_run.as_ref()).into_iter().chain(unread).for_each(|finding| findings.add(finding));
    for (lane, seq, head) in heads.into_iter().filter(|(lane, _, _)| *lane != LaneId::RUN) {
        let mut is_last = seq == 0 && head == chain::genesis(&run.id, lane);
        journal.for_each_stored_event(run.key, EventOrder::LastOf(lane), |event| {
            is_last = event.seq == seq && event.hash == head && kept(&event).fits_at(lane, seq);
            Ok::<(), JournalError>(())
        })?;
        if !is_last {
            findings.add(Finding::HeadDiffers { lane, seq });
        }
    }
    check_is_recorded(journal, run, findings)?;
    sums.compare_run(run, findings);
    sums.compare_beginning(run, &journal.lanes(run.key)?, findings);
    sums.compare_commands(&journal.stored_commands(run.key)?, findings);
    Ok(sums.layout)
}

const BEGINNING_IS_MISSING: Finding = Finding::Missing { lane: LaneId::RUN, seq: 1, n_missing: 1 };

fn check_is_recorded(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<(), JournalError> {
    if journal.is_unrecorded(run.key)? && !may_be_unrecorded(journal, run)? {
        findings.add(BEGINNING_IS_MISSING);
    }
    Ok(())
}

/// Tells whether a run may be without events. A run is made together with its first event; only earlier versions could be cut off
/// in between, and left a run that was never launched.
fn may_be_unrecorded(journal: &Journal, run: &RunRecord) -> Result<bool, JournalError> {
    Ok(run.launches == 0 && journal.identity()?.is_earlier(run.key, run.rules))
}

/// Checks the first event of a run, with what it says of the run's record, endpoints and accounts. A run without events, left by
/// an earlier version, has none: nobody can go on with it.
pub(super) fn check_beginning(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<(), JournalError> {
    let mut sums = OwnSums::default();
    let is_left_so = may_be_unrecorded(journal, run)? && journal.is_unrecorded(run.key)?;
    let mut finding = (!is_left_so).then_some(BEGINNING_IS_MISSING);
    journal.for_each_stored_event(run.key, EventOrder::FirstOf(LaneId::RUN), |event| {
        let is_first = event.prev == chain::genesis(&run.id, LaneId::RUN) && kept(&event).fits_at(LaneId::RUN, 1);
        finding = match read(&event) {
            Ok(kind) if is_first => {
                sums.add(event.lane, event.at_ms, &kind);
                None
            }
            Ok(_) => Some(Finding::Changed { lane: LaneId::RUN, seq: 1 }),
            Err(finding) => Some(finding),
        };
        Ok::<(), JournalError>(())
    })?;
    if let Some(finding) = finding {
        findings.add(finding);
    }
    sums.compare_beginning(run, &journal.lanes(run.key)?, findings);
    Ok(())
}

/// Tells whether the end of an attempt asked the whole lane to wait.
fn asks_to_wait(event: &StoredEvent) -> bool {
    event.kind == "attempt_ended" && event.detail.contains("\"retry_after_ms\"")
}

struct Chain {
    lane: LaneId,
    /// Number of the last event that was in order.
    seq: u64,
    head: Hash,
    state: ChainState,
}

enum ChainState {
    InOrder,
    /// An event out of order; the one behind it tells what happened.
    Suspect(OwnedEvent),
    Broken(Finding),
}

impl Chain {
    fn new(lane: LaneId, run_id: &str) -> Self {
        Self { lane, seq: 0, head: chain::genesis(run_id, lane), state: ChainState::InOrder }
    }

    fn add(&mut self, event: &StoredEvent<'_>) {
        match &self.state {
            ChainState::InOrder => self.follow(event),
            ChainState::Suspect(suspect) => {
                self.state = ChainState::Broken(self.judge(suspect, Some(&kept(event)), Some(&event.prev)));
            }
            ChainState::Broken(_) => (),
        }
    }

    fn follow(&mut self, event: &StoredEvent<'_>) {
        let next = self.seq + 1;
        if event.seq > next {
            let n_missing = event.seq - next;
            self.state = ChainState::Broken(Finding::Missing { lane: self.lane, seq: next, n_missing });
            return;
        }
        let link = chain::Link {
            prev: &self.head,
            lane: event.lane,
            seq: next,
            at_ms: event.at_ms,
            kind: event.kind,
            row: event.row,
            detail: event.detail,
        };
        if event.seq == next && event.prev == self.head && event.hash == link.hash() {
            (self.seq, self.head) = (next, event.hash);
        } else {
            self.state = ChainState::Suspect(kept(event));
        }
    }

    /// Names what happened at the first event that is out of order. `behind` is the event behind it, and `carried` the hash of it
    /// that the event behind it, or the head, holds.
    fn judge(&self, suspect: &OwnedEvent, behind: Option<&OwnedEvent>, carried: Option<&Hash>) -> Finding {
        let (lane, seq) = (self.lane, self.seq + 1);
        let behind = behind.filter(|behind| behind.seq == seq + 1);
        if suspect.seq != seq {
            return Finding::Added { lane, seq: suspect.seq };
        }
        if suspect.fits_at(lane, seq + 1) {
            // It was one place further: the event before it was removed, or swapped with it.
            let swapped = behind.is_some_and(|behind| behind.fits_at(lane, seq));
            return if swapped { Finding::Swapped { lane, seq } } else { Finding::Missing { lane, seq, n_missing: 1 } };
        }
        if seq > 1 && suspect.fits_at(lane, seq - 1) {
            // It was one place before: it is a copy of that event, or the event that is there now was put in its place.
            return Finding::Added { lane, seq: if suspect.hash == self.head { seq } else { seq - 1 } };
        }
        if let Some(behind) = behind {
            if self.contents_changed_places(suspect, behind) {
                return Finding::Swapped { lane, seq };
            }
            if behind.fits_at(lane, seq) {
                return Finding::Added { lane, seq };
            }
        }
        if seq > 1 && suspect.fits_at(lane, seq) && carried == Some(&suspect.hash) {
            // It holds the hash of an earlier version of the event before it, which was rewritten together with its hash.
            return Finding::Changed { lane, seq: seq - 1 };
        }
        Finding::Changed { lane, seq }
    }

    /// Tells whether the hashes are in their places, but the contents of two events are swapped.
    fn contents_changed_places(&self, suspect: &OwnedEvent, behind: &OwnedEvent) -> bool {
        let hash = |of: &OwnedEvent, seq, prev| {
            let OwnedEvent { at_ms, row, kind, detail, .. } = of;
            chain::Link { prev, lane: self.lane, seq, at_ms: *at_ms, kind, row: *row, detail }.hash()
        };
        hash(behind, suspect.seq, &self.head) == suspect.hash && hash(suspect, behind.seq, &suspect.hash) == behind.hash
    }

    fn finish(self, head: Option<&(u64, Hash)>) -> Option<Finding> {
        let lane = self.lane;
        match &self.state {
            ChainState::InOrder => (),
            ChainState::Suspect(suspect) => return Some(self.judge(suspect, None, head.map(|(_, hash)| hash))),
            ChainState::Broken(finding) => return Some(finding.clone()),
        }
        let Some((seq, hash)) = head else { return Some(Finding::Added { lane, seq: 1 }) };
        match self.seq.cmp(seq) {
            std::cmp::Ordering::Less => Some(Finding::CutOff { lane, seq: self.seq + 1, n_missing: seq - self.seq }),
            std::cmp::Ordering::Greater => Some(Finding::Added { lane, seq: seq + 1 }),
            std::cmp::Ordering::Equal if *hash != self.head => Some(Finding::HeadDiffers { lane, seq: *seq }),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// Owned copy of an event as it is stored, which outlives its row of the query.
struct OwnedEvent {
    seq: u64,
    at_ms: i64,
    kind: String,
    row: Option<u32>,
    detail: String,
    prev: Hash,
    hash: Hash,
}

impl OwnedEvent {
    /// Tells whether the event's hash is right at this place.
    fn fits_at(&self, lane: LaneId, seq: u64) -> bool {
        let OwnedEvent { at_ms, row, prev, .. } = self;
        let link = chain::Link { prev, lane, seq, at_ms: *at_ms, kind: &self.kind, row: *row, detail: &self.detail };
        link.hash() == self.hash
    }
}

fn kept(event: &StoredEvent<'_>) -> OwnedEvent {
    OwnedEvent {
        seq: event.seq,
        at_ms: event.at_ms,
        kind: event.kind.to_owned(),
        row: event.row,
        detail: event.detail.to_owned(),
        prev: event.prev,
        hash: event.hash,
    }
}
