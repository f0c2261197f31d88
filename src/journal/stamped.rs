//! Stamped events: numbered, chained and in their stored form, ready to be committed as they are.

use super::chain::{Hash, Link};
use super::stored::StoredEvent;
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::stored::{Stored, stored_form};

/// Number and hash of the last event of a lane, which its next one is chained to. A lane without events has number 0.
pub(crate) type LaneHead = (u64, Hash);

/// A batch of stamped events of any lanes, in the order in which they are committed.
#[derive(Default)]
pub(crate) struct Stamped {
    stamps: Vec<Stamp>,
}

struct Stamp {
    lane: LaneId,
    seq: u64,
    at_ms: i64,
    row: Option<u32>,
    kind: String,
    detail: String,
    prev: Hash,
    hash: Hash,
}

/// Reason for which an event that was stamped elsewhere does not follow the last one of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unchained {
    #[error("event {seq} of lane {lane} does not follow event {last}")]
    NotNext { lane: LaneId, seq: u64, last: u64 },
    #[error("event {seq} of lane {lane} has another hash than its text")]
    OtherHash { lane: LaneId, seq: u64 },
}

impl Stamped {
    /// Numbers an event as the next of its lane, writes its stored form and chains it to the head, which moves on to it.
    pub(crate) fn put(&mut self, event: &mut Event, head: &mut LaneHead) {
        let (seq, prev) = (head.0 + 1, head.1);
        event.seq = seq;
        // Room for nearly every event: a text that grows while it is written costs 1.5 % of the instructions of a change
        // (benches/README.md, "Instructions").
        let mut text = String::with_capacity(256);
        let Stored { kind, row, detail } = stored_form(&event.kind, &mut text);
        let (lane, at_ms) = (event.lane, event.at.as_millisecond());
        let hash = Link { prev: &prev, lane, seq, at_ms, kind, row, detail }.hash();
        self.keep(&StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash });
        *head = (seq, hash);
    }

    /// Takes an event that was stamped elsewhere as it is: its text to the letter, so that a field which this version does not
    /// know stays. Its hash is computed again. On an error nothing is taken, and the head stays.
    pub(crate) fn put_verbatim(&mut self, event: &StoredEvent<'_>, head: &mut LaneHead) -> Result<(), Unchained> {
        let StoredEvent { lane, seq, at_ms, kind, row, detail, ref prev, hash } = *event;
        if (seq, *prev) != (head.0 + 1, head.1) {
            return Err(Unchained::NotNext { lane, seq, last: head.0 });
        }
        if (Link { prev, lane, seq, at_ms, kind, row, detail }).hash() != hash {
            return Err(Unchained::OtherHash { lane, seq });
        }
        self.keep(event);
        *head = (seq, hash);
        Ok(())
    }

    fn keep(&mut self, event: &StoredEvent<'_>) {
        let &StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash } = event;
        let (kind, detail) = (kind.to_owned(), detail.to_owned());
        self.stamps.push(Stamp { lane, seq, at_ms, row, kind, detail, prev, hash });
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = StoredEvent<'_>> {
        self.stamps.iter().map(|stamp| {
            let &Stamp { lane, seq, at_ms, row, ref kind, ref detail, prev, hash } = stamp;
            StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash }
        })
    }
}
