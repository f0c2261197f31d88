//! Reasons for which an approval is not taken.

use std::path::PathBuf;

use crate::ssh::allowed::BadLine;

/// Reasons for not taking an approval.
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
