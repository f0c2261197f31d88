//! Faults that a journal, a run or a bundle can have.

use serde::Serialize;

use crate::event::lane::LaneId;
use crate::journal::altered::{Difference, Object};
use crate::ledger::fold::IllegalStep;
use crate::model::RowId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    #[error("lane {lane}: event {seq} was changed")]
    Changed { lane: LaneId, seq: u64 },
    #[error("lane {lane}: events are missing: {n_missing}, from event {seq} on")]
    Missing { lane: LaneId, seq: u64, n_missing: u64 },
    #[error("lane {lane}: event {seq} was swapped with the one after it")]
    Swapped { lane: LaneId, seq: u64 },
    #[error("lane {lane}: event {seq} was added")]
    Added { lane: LaneId, seq: u64 },
    /// Missing tail: the head still says how far it went.
    #[error("lane {lane}: the tail was cut off, {n_missing} missing from event {seq} on")]
    CutOff { lane: LaneId, seq: u64, n_missing: u64 },
    #[error("lane {lane}: the head is not the hash of event {seq}")]
    HeadDiffers { lane: LaneId, seq: u64 },
    /// No alteration: this program is too old to check the event.
    #[error("lane {lane}: event {seq} is a `{kind}`, which this cutover does not know; verify with a newer one")]
    UnknownKind { lane: LaneId, seq: u64, kind: String },
    #[error("lane {lane}: event {seq} cannot be read: {error}")]
    Unreadable { lane: LaneId, seq: u64, error: String },
    #[error("lane {lane}: event {seq} is about row {row}, which the run does not have")]
    NoSuchRow { lane: LaneId, seq: u64, row: RowId },
    #[error("lane {lane}: event {seq} cannot have happened: row {row}: {event} cannot follow `{phase}`")]
    Impossible { lane: LaneId, seq: u64, row: RowId, event: &'static str, phase: &'static str },
    #[error("row {row}: {} not what its events add up to", columns.join(", "))]
    RowDiffers { row: RowId, columns: Vec<&'static str> },
    #[error("run: {} not what its events say", columns.join(", "))]
    RunDiffers { columns: Vec<&'static str> },
    #[error("lane {lane}: {} not what its events say", columns.join(", "))]
    LaneDiffers { lane: LaneId, columns: Vec<&'static str> },
    #[error("command {control} in table `control` is not the one that was taken")]
    CommandDiffers { control: i64 },
    #[error("the run was made with {expected} rows and has {found}")]
    RowsMissing { expected: u64, found: u64 },
    #[error("the rows are not those of the plan {expected}: they make {found}")]
    DigestDiffers { expected: String, found: String },
    #[error(
        "where the plan came from, or the lines, lanes, waves or sealed states of its rows, are not as they were made: \
             {expected} was recorded, and {found} is there"
    )]
    LayoutDiffers { expected: String, found: String },
    /// Content that could not be read.
    #[error("it cannot be read: {error}")]
    Damaged { error: String },
    #[error("lane {lane}: event {seq} is not spelled as cutover writes it")]
    Respelled { lane: LaneId, seq: u64 },
    #[error("lane {lane}: event {seq} is not the beginning of a run: that was taken out")]
    NotBegun { lane: LaneId, seq: u64 },
    #[error(
        "lane {lane}: event {seq} does not name the runs before this one, as it does since they are chained: that was taken out"
    )]
    NotChained { lane: LaneId, seq: u64 },
    #[error("lane {lane}: event {seq} is of the journal {expected}, and this is {found}")]
    OtherJournal { lane: LaneId, seq: u64, expected: String, found: String },
    #[error(
        "lane {lane}: event {seq} says that {expected} runs were made before they were chained, and the journal says {found}"
    )]
    EarlierDiffers { lane: LaneId, seq: u64, expected: u64, found: u64 },
    #[error("lane {lane}: event {seq} names run {other} before this one, and it is not there: it was removed")]
    RunMissing { lane: LaneId, seq: u64, other: String },
    #[error("lane {lane}: event {seq} names run {other} before this one, and it stands elsewhere")]
    RunMoved { lane: LaneId, seq: u64, other: String },
    #[error(
        "lane {lane}: event {seq} does not name run {other}, which stands before this one: it was added, or written anew"
    )]
    RunUnnamed { lane: LaneId, seq: u64, other: String },
    #[error(
        "lane {lane}: event {seq} is not there as run {named_by} found it when that began: it was changed or cut off"
    )]
    NotAsNamed { lane: LaneId, seq: u64, named_by: String },
    #[error("there is no run number {number}{}: removed", and_more(*n_missing))]
    NumberMissing { number: i64, n_missing: u64 },
    #[error(
        "{expected} runs were made in the journal, and the last that is there is number {found}: the newest were removed, or others added"
    )]
    RunsMissing { expected: u64, found: i64 },
    #[error(
        "it calls itself an excerpt, which holds one of several runs, and holds {found} of {expected}: others were added, or its own removed"
    )]
    NoExcerpt { expected: u64, found: u64 },
    #[error("table `{table}` has entries of run number {number}, which is not there: it was removed")]
    LeftBehind { table: &'static str, number: i64 },
    #[error("tombstone {tombstone} of run {other} is not as it was written")]
    TombstoneChanged { tombstone: u64, other: String },
    #[error(
        "{expected} runs were taken out of the journal, and there are {found} tombstones: some were removed, or added"
    )]
    TombstonesMissing { expected: u64, found: u64 },
    /// Fault of the place of a run that was taken out.
    #[error("the tombstone of run {other}: {problem}")]
    TombstoneMisplaced { other: String, problem: String },
    #[error("run number {number} is there, and so is its tombstone")]
    NotPruned { number: i64 },
    #[error(
        "lane {lane}: event {seq} says that {expected} runs had been taken out of the journal before, and their tombstones are not \
         those of then"
    )]
    TombstonesDiffer { lane: LaneId, seq: u64, expected: u64 },
    #[error("tombstone {tombstone} of run {other}: {problem}")]
    ArchiveDiffers { tombstone: u64, other: String, problem: String },
    #[error(
        "no run of the journal has the anchor {expected}: it was removed, its tail was cut off, or it went on since it was noted"
    )]
    AnchorUnknown { expected: String },
    #[error("the seal of the plan does not hold: {problem}")]
    SealDiffers { problem: String },
    #[error("{problem}")]
    NotSigned { problem: String },
    #[error("{file}: {problem}")]
    BundleDiffers { file: String, problem: String },
    #[error("the trigger `{trigger}` is not there as it was made: what it guards could be changed or removed")]
    TriggerMissing { trigger: &'static str },
    #[error("the {object} `{name}` is not there")]
    ObjectMissing { object: String, name: String },
    #[error("the {object} `{name}` is not as it was made")]
    ObjectChanged { object: String, name: String },
    #[error("the {object} `{name}` is none of cutover's")]
    ObjectAdded { object: String, name: String },
    #[error("the anchor is {found}, and not {expected}: the tail was cut off, or the run went on since it was noted")]
    AnchorDiffers { expected: String, found: String },
}

/// Most findings that are kept of a run; the others are counted only.
pub const MOST_KEPT: usize = 100;

/// Triggers that keep events from being changed or removed.
const GUARDS: [&str; 4] =
    ["event_is_never_changed", "event_is_never_removed", "tombstone_is_never_changed", "tombstone_is_never_removed"];

fn and_more(n_missing: u64) -> String {
    match n_missing {
        0 | 1 => String::new(),
        n => format!(", nor of those up to {} behind it", n - 1),
    }
}

impl Finding {
    pub(super) fn of_object(difference: Difference) -> Self {
        match difference {
            Difference::Missing(object) | Difference::Changed(object) if let Some(trigger) = guard(&object) => {
                Finding::TriggerMissing { trigger }
            }
            Difference::Missing(Object { kind, name }) => Finding::ObjectMissing { object: kind, name },
            Difference::Changed(Object { kind, name }) => Finding::ObjectChanged { object: kind, name },
            Difference::Added(Object { kind, name }) => Finding::ObjectAdded { object: kind, name },
        }
    }

    pub(super) fn impossible(lane: LaneId, seq: u64, step: &IllegalStep) -> Self {
        let IllegalStep { row, phase, event } = *step;
        Finding::Impossible { lane, seq, row, event, phase }
    }
}

fn guard(object: &Object) -> Option<&'static str> {
    GUARDS.into_iter().find(|guard| object.kind == "trigger" && object.name == *guard)
}

/// Findings as they come: all are counted, and the first [`MOST_KEPT`] are kept.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) kept: Vec<Finding>,
    pub(super) n_found: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.n_found += 1;
        if self.kept.len() < MOST_KEPT {
            self.kept.push(finding);
        }
    }

    /// Adds findings from elsewhere behind these.
    pub(super) fn append(&mut self, others: Findings) {
        self.n_found += others.n_found;
        let n_room = MOST_KEPT - self.kept.len();
        self.kept.extend(others.kept.into_iter().take(n_room));
    }
}
