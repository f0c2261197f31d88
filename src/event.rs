//! Contract between a run and everyone who watches it: events, as plain data.
//!
//! Every kind is a fact: it changes what a later launch would do, and so it is journaled. The stored form (`stored`) is public
//! and snapshot-tested: a variant may gain fields with defaults, and its stored name stays.

use self::kind::EventKind;
use self::lane::LaneId;

pub mod kind;
pub mod lane;
pub mod outcome;
pub mod row;
pub mod rules;
pub mod run;
pub(crate) mod stored;
pub mod verdict;

/// Event as it stands in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub lane: LaneId,
    /// Number within its lane, counted from 1.
    pub seq: u64,
    /// Time for people to read; the order comes from `seq`.
    pub at: jiff::Timestamp,
    pub kind: EventKind,
}

impl Event {
    /// Makes an event that has no number in its lane yet; without a time it happens now.
    pub(crate) fn unnumbered(lane: LaneId, at: Option<jiff::Timestamp>, kind: EventKind) -> Self {
        Self { lane, seq: 0, at: Self::time(at.unwrap_or_else(jiff::Timestamp::now)), kind }
    }

    /// Returns a time in the resolution of events, which is a millisecond.
    pub(crate) fn time(at: jiff::Timestamp) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(at.as_millisecond()).expect("a time is valid in milliseconds")
    }
}
