//! A batch: what one commit records, and for whom.

use std::iter;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::refusal::NotRecorded;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::model::SourceId;

/// Answer to a caller: the events are on disk, or refused. A caller whose sender is dropped instead was refused as well: the journal
/// is closed to all.
pub(super) type Recorded = Result<(), NotRecorded>;

/// Events that a caller brings; none from one who asks only if the run is still held.
pub(super) struct Entry {
    pub(super) lane: LaneId,
    pub(super) kinds: Vec<EventKind>,
    /// Time of the events; `None` stands for that of their commit.
    pub(super) at: Option<Timestamp>,
    /// Source of the row, for observers; the journal finds it by the number of the row.
    pub(super) source: Option<SourceId>,
    pub(super) ack: oneshot::Sender<Recorded>,
}

/// Events of one commit, with their callers. It stays whole until it is recorded somewhere.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    waiting: Vec<Waiting>,
    /// The log has taken the events, and the journal has not: they must not be committed to the log again.
    pub(super) is_in_log: bool,
    /// The events have no time yet.
    is_undated: bool,
}

/// Caller of a number of consecutive events of a batch.
struct Waiting {
    n_events: usize,
    source: Option<SourceId>,
    ack: oneshot::Sender<Recorded>,
}

impl Batch {
    /// Takes the events of the caller who brought the `nth` one out of the batch, and tells that caller of the refusal.
    pub(super) fn refuse(&mut self, nth: usize) {
        let mut ends = 0;
        let at = self.waiting.iter().position(|waiting| {
            ends += waiting.n_events;
            nth < ends
        });
        let refused = self.waiting.remove(at.expect("somebody waits for each event"));
        self.events.drain(ends - refused.n_events..ends);
        // The caller may have gone.
        _ = refused.ack.send(Err(NotRecorded::ToLane));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn n_callers(&self) -> usize {
        self.waiting.len()
    }

    /// Tells if an event of the run itself is among them.
    pub(super) fn is_of_run(&self) -> bool {
        self.events.iter().any(|event| matches!(event.kind, EventKind::Run(_)))
    }

    /// Tells if a launch begins with it.
    pub(super) fn begins_launch(&self) -> bool {
        self.events.iter().any(|event| matches!(event.kind, EventKind::Run(RunEvent::LaunchBegan { .. })))
    }

    /// Returns each event with the source of its row.
    pub(super) fn with_sources(&mut self) -> impl Iterator<Item = (&mut Event, Option<&SourceId>)> {
        let sources = self.waiting.iter().flat_map(|waiting| iter::repeat_n(waiting.source.as_ref(), waiting.n_events));
        self.events.iter_mut().zip(sources)
    }

    /// Tells all callers that their events are on disk, and empties the batch.
    pub(super) fn acknowledge(&mut self) {
        let Self { events, waiting, is_undated, is_in_log } = self;
        events.clear();
        (*is_undated, *is_in_log) = (false, false);
        for waiting in waiting.drain(..) {
            // The caller may have gone; the fact stays.
            _ = waiting.ack.send(Ok(()));
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let Entry { lane, kinds, at, source, ack } = entry;
        self.waiting.push(Waiting { n_events: kinds.len(), source, ack });
        self.is_undated |= at.is_none();
        let at = at.unwrap_or(Timestamp::UNIX_EPOCH);
        self.events.extend(kinds.into_iter().map(|kind| Event::unnumbered(lane, Some(at), kind)));
    }

    /// Gives a complete batch its time, unless its callers brought theirs: all of them have the same clock. A time that was taken before
    /// the last of them came could lie before the look on which a verdict rests.
    pub(super) fn date(&mut self) {
        if self.is_undated {
            let now = Event::time(Timestamp::now());
            self.events.iter_mut().for_each(|event| event.at = now);
        }
    }
}
