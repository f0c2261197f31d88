//! Lines of a sealed plan, and the digests over them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::seal::Approval;
use crate::event::run::LanePlace;
use crate::journal::chain::hex;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::plan::columns::{Cells, Column};
use crate::waves::Terms;
use crate::whoami::Who;

pub const SCHEMA: &str = "cutover.sealed.v1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema: String,
    /// Name of the plan that was sealed.
    pub plan: String,
    pub terms: Terms,
    pub sealed_by: String,
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub host: String,
    pub at: Timestamp,
    pub version: String,
    /// Accounts in which the states were seen.
    pub lanes: Vec<LanePlace>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RowLine {
    pub(super) source_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copystate: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) migrationcycle: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expect_copystate: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expect_migrationcycle: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wave: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra: Vec<(String, String)>,
    /// State that was seen; absent where the service did not know the source.
    pub(super) seen: Option<SeenState>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SealLine {
    pub(super) seal: Marks,
}

/// Content of the seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) rows: u32,
    pub(super) plan_digest: String,
    pub(super) states_digest: String,
    /// SHA-256 over every byte before this line.
    pub(super) digest: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ApprovalLine {
    pub(super) approval: Approval,
}

impl RowLine {
    pub(super) fn cells(&self) -> Cells<'_> {
        let mut cells = Cells::default();
        let known = [
            (Column::SourceId, Some(self.source_id.as_str())),
            (Column::Copystate, self.copystate.as_ref().map(Word::as_str)),
            (Column::Migrationcycle, self.migrationcycle.as_ref().map(Word::as_str)),
            (Column::ExpectCopystate, self.expect_copystate.as_ref().map(Word::as_str)),
            (Column::ExpectMigrationcycle, self.expect_migrationcycle.as_ref().map(Word::as_str)),
            (Column::Wave, self.wave.as_deref()),
            (Column::Target, self.target.as_deref()),
            (Column::Name, self.name.as_deref()),
            (Column::Note, self.note.as_deref()),
        ];
        for (column, value) in known {
            cells.known[column as usize] = value;
        }
        cells.extra.clone_from(&self.extra);
        cells
    }
}

/// Returns one line of a file of approvals.
#[must_use]
pub fn approval_line(approval: &Approval) -> String {
    let line = ApprovalLine { approval: approval.clone() };
    serde_json::to_string(&line).expect("an approval is JSON") + "\n"
}

pub(super) fn seal_line(seal: &Marks) -> String {
    serde_json::to_string(&SealLine { seal: seal.clone() }).expect("a seal is JSON") + "\n"
}

/// Returns a row's line for the digest of states: `[source_id, copystate, migrationcycle]`, as JSON.
pub(super) fn state_line(source_id: &str, seen: Option<&SeenState>) -> String {
    let (copystate, cycle) = (seen.and_then(|s| s.copystate.as_ref()), seen.and_then(|s| s.migrationcycle.as_ref()));
    serde_json::to_string(&(source_id, copystate, cycle)).expect("texts are JSON") + "\n"
}

/// Text of a finished digest.
pub(super) fn digest_text(digest: Sha256) -> String {
    format!("sha256:{}", hex(&digest.finalize()))
}

/// Tells whether a file begins like a sealed plan of any version, however edited: such a file is nothing else.
pub(in crate::plan) fn is_sealed(content: &[u8]) -> bool {
    let beginning: Vec<u8> = content.iter().copied().filter(u8::is_ascii_graphic).take(40).collect();
    beginning.starts_with(br#"{"schema":"cutover.sealed."#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvals_of_earlier_versions_are_as_they_were() {
        let line = r#"{"approval":{"as":"bob","user":"b","host":"h","at":"1970-01-01T00:00:00Z","check":"sha256:x"}}"#;
        let read: ApprovalLine = serde_json::from_str(line).unwrap();
        assert_eq!(approval_line(&read.approval), format!("{line}\n"));
    }
}
