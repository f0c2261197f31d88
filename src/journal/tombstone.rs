//! Tombstones: what a journal keeps of a run that was archived and taken out of it.
//!
//! A tombstone stands in the run's place in the chain of runs: it names the last event of each lane, as later runs named them, and
//! the runs before it. Tombstones are chained by themselves in the order in which they were made, and each new run names the last
//! one, so that none can be changed, added or removed behind that run's back.
//!
//! Whoever can write the file can also write a tombstone for a run that was never archived. So a tombstone proves nothing of its
//! run: the archive does, whose lanes have to end where later runs saw them end, and whose hash the tombstone states.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::chain::{Anchor, Hash, hex};
use crate::control::By;
use crate::event::lane::LaneId;
use crate::event::rules::Rules;
use crate::event::run::Predecessors;

/// Tombstone of a run. Its stored form is hashed: a field that is added later needs a default, and is left out where it has that
/// value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    pub run: PrunedRecord,
    /// Quotas that no other run learned later of the same accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<PrunedQuota>,
    pub archive: Archive,
    pub pruned_at: Timestamp,
    pub by: By,
    /// Version of the program that took it out.
    pub version: String,
}

/// Facts about a run that was taken out, all of which follow from its archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunedRecord {
    pub id: String,
    /// Place in the order in which runs were made.
    pub number: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    pub plan: PrunedPlan,
    /// Endpoints of its accounts, and these, as the run's record had them.
    pub endpoint: String,
    pub account: String,
    pub made_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub exit: Option<PrunedExit>,
    /// Count of rows by verdict, `pending` among them. They add up to the rows of the plan.
    pub verdicts: BTreeMap<String, u64>,
    pub on_target: u64,
    pub rules: Rules,
    /// Number of the last event of each lane, with its hash in hexadecimal digits.
    pub heads: Vec<(LaneId, u64, String)>,
    /// All digits of the anchor, which follows from the heads.
    pub anchor: String,
    /// Runs that this one named as made before it; absent if an earlier version made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Predecessors>,
}

/// Plan of a run that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunedPlan {
    pub path: String,
    pub digest: String,
    pub rows: u32,
    /// Digest of the sealed plan that the run was made from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<String>,
}

/// Ending of a run that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunedExit {
    pub code: u8,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Quota of an account at an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunedQuota {
    pub endpoint: String,
    pub account: String,
    pub per_second: f64,
    /// The figure stood in the service's text.
    pub stated: bool,
    pub at: Timestamp,
}

/// File that holds the evidence of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Name of the file, without its folder, which may be moved.
    pub name: String,
    /// In hexadecimal digits.
    pub sha256: String,
    pub bytes: u64,
}

/// Tombstone as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTombstone {
    /// Number in the order in which runs were taken out, from 1.
    pub nth: u64,
    pub tombstone: Tombstone,
    pub hash: Hash,
    /// True if columns, text and hashes agree with each other and with the tombstone before it.
    pub is_whole: bool,
}

/// Last tombstone of a journal: how many there are, and the hash over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTombstone {
    pub n: u64,
    pub hash: Hash,
}

impl PrunedRecord {
    /// Returns the anchor that follows from the heads.
    #[must_use]
    pub fn anchor_of_heads(&self) -> Anchor {
        Anchor::of_named(&self.id, self.heads.iter().map(|(lane, seq, hash)| (*lane, *seq, hash)))
    }
}

impl Tombstone {
    pub(super) fn detail(&self) -> String {
        serde_json::to_string(self).expect("a tombstone is JSON")
    }

    pub(super) fn quotas_text(&self) -> Option<String> {
        (!self.quotas.is_empty()).then(|| serde_json::to_string(&self.quotas).expect("a quota is JSON"))
    }
}

/// Returns the hash that the first tombstone of a journal carries in place of a previous one.
pub(super) fn genesis(journal: &str) -> Hash {
    Sha256::digest(format!("cutover.tombstones.v1\n{journal}\n")).into()
}

pub(super) fn hash_of(prev: &Hash, nth: u64, detail: &str) -> Hash {
    Sha256::digest(format!("{}\n{nth}\n{detail}\n", hex(prev))).into()
}
