//! Approvals that a plan lacks, and reasons for which one is not taken.

use std::path::PathBuf;

use crate::ssh::allowed::BadLine;
use crate::wording::amounts::{bounded, count};

/// A plan with fewer approvals than it requires.
#[derive(Debug, thiserror::Error)]
#[error("`{plan}` needs {} and has {given}{}", count((*required).into(), "approval"), passed_over_told(passed_over))]
pub(crate) struct MissingApprovals {
    pub(crate) plan: String,
    pub(crate) given: usize,
    pub(crate) required: u32,
    pub(crate) is_sealed: bool,
    /// Approvers are set, so that an approval counts only if it is signed.
    pub(crate) is_signed: bool,
    /// Names of approvals that do not count, and why.
    pub(crate) passed_over: Vec<(String, String)>,
}

/// Tells of the first approvals that do not count; empty if there are none.
fn passed_over_told(passed_over: &[(String, String)]) -> String {
    let told: Vec<String> =
        passed_over.iter().map(|(name, why)| format!("that of {name} does not count: {why}")).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", bounded(&told)) }
}

/// Reason for not taking an approval.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApprovalError {
    #[error("`{name}` looks like `{known}`, who has approved already, and one person approves once")]
    LooksLike { name: String, known: String },
    #[error("the settings name `approvers`, so that only approvals with a signature count")]
    MustSign,
    #[error("the approval of {name} would count for nothing: {why}")]
    CountsForNothing { name: String, why: String },
    #[error("`{}`, which `approvers` names, is not read: {problem}", path.display())]
    Approvers { path: PathBuf, problem: BadLine },
}
