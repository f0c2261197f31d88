//! Keys of a wave, and of its canary: each is written here once, with how it is read from a plan file and shown in the
//! difference. Its value is used where `steering` reads [`StageTerms`].

use crate::values::{duration, on_off, positive, positive_count, rate, share, whole};
use crate::waves::StageTerms;

/// Key that a plan file may set for a stage.
pub(crate) struct StageKey {
    pub(crate) name: &'static str,
    pub(crate) table: StageTable,
    pub(crate) cap: OperatorCap,
    /// Parses a value into the terms; the error says what is wrong with the text.
    pub(crate) read: fn(&str, &mut StageTerms) -> Result<(), String>,
    /// Value as the difference shows it; `None` where the plan does not set it.
    pub(crate) shown: fn(&StageTerms) -> Option<String>,
}

/// Table of a plan file in which a key of a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageTable {
    /// The stage's own: `[[waves]]`, or `[waves.canary]`.
    Own,
    /// `halt` in the stage's own.
    Halt,
}

/// Setting of the operator above which a stage's value does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorCap {
    Rate,
    Concurrency,
    /// No cap: the value holds as the plan has it, beside the rules of the run.
    NoCap,
}

/// Every key, in the order in which the difference shows them.
pub(crate) static STAGE_KEYS: [StageKey; 8] = [
    StageKey {
        name: "rate",
        table: StageTable::Own,
        cap: OperatorCap::Rate,
        read: |text, stage| rate(text).map(|rate| stage.rate = Some(rate)),
        shown: |stage| stage.rate.as_ref().map(ToString::to_string),
    },
    StageKey {
        name: "concurrency",
        table: StageTable::Own,
        cap: OperatorCap::Concurrency,
        read: |text, stage| positive(text).map(|most| stage.concurrency = Some(most)),
        shown: |stage| stage.concurrency.map(|most| most.to_string()),
    },
    StageKey {
        name: "max_failed",
        table: StageTable::Halt,
        cap: OperatorCap::NoCap,
        read: |text, stage| share(text).map(|most| stage.halt.max_failed = Some(most)),
        shown: |stage| stage.halt.max_failed.map(|most| most.to_string()),
    },
    StageKey {
        name: "min_sample",
        table: StageTable::Halt,
        cap: OperatorCap::NoCap,
        read: |text, stage| whole(text).map(|least| stage.halt.min_sample = Some(least)),
        shown: |stage| stage.halt.min_sample.map(|least| least.to_string()),
    },
    StageKey {
        name: "consecutive_failures",
        table: StageTable::Halt,
        cap: OperatorCap::NoCap,
        read: |text, stage| positive_count(text).map(|most| stage.halt.consecutive_failures = Some(most)),
        shown: |stage| stage.halt.consecutive_failures.map(|most| most.to_string()),
    },
    StageKey {
        name: "same_cause",
        table: StageTable::Halt,
        cap: OperatorCap::NoCap,
        read: |text, stage| positive_count(text).map(|most| stage.halt.same_cause = Some(most)),
        shown: |stage| stage.halt.same_cause.map(|most| most.to_string()),
    },
    StageKey {
        name: "soak",
        table: StageTable::Own,
        cap: OperatorCap::NoCap,
        read: |text, stage| duration(text).map(|soak| stage.soak_s = Some(soak.as_secs())),
        shown: |stage| stage.soak_s.map(|seconds| format!("{seconds}s")),
    },
    StageKey {
        name: "approval",
        table: StageTable::Own,
        cap: OperatorCap::NoCap,
        read: |text, stage| on_off(text).map(|needed| stage.approval = needed),
        shown: |stage| stage.approval.then(|| "needed".to_owned()),
    },
];
