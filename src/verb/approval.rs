//! Reasons for which an approval is not taken.

use std::path::PathBuf;

use crate::exit::Exit;
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

impl ApprovalError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            ApprovalError::LooksLike { .. } | ApprovalError::CountsForNothing { .. } => Exit::Refused,
            ApprovalError::MustSign | ApprovalError::Approvers { .. } => Exit::Usage,
        }
    }

    /// Advice on what to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            ApprovalError::LooksLike { .. } => "use a name that nobody takes for another",
            ApprovalError::MustSign => "`--key KEY`, as `audit sign` takes it",
            ApprovalError::CountsForNothing { .. } => "use a name and a key of your own that count; nothing was added",
            ApprovalError::Approvers { .. } => "ssh-keygen(1) describes the file under ALLOWED SIGNERS",
        }
    }
}
