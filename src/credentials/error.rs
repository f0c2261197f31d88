//! Reasons for which there are no credentials to use.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// source: api-sms/UpdateCopyState.html (`X-Auth-Token`, 1 to 16384 characters).
pub(crate) const MAX_TOKEN_CHARS: usize = 16_384;

/// Reason for having no credentials to use. No variant shows any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error("the token in {origin} is empty")]
    Empty { origin: String },
    #[error("the token in {origin} has {n_bytes} characters, at most {max} are allowed", max = MAX_TOKEN_CHARS)]
    TooLong { origin: String, n_bytes: usize },
    #[error(
        "the token in {origin} has a character that no token has: a blank, a line break, a quotation mark or a \
         non-ASCII one"
    )]
    NotVisible { origin: String },
    #[error("the credentials in {origin} expired at {at}")]
    Expired { origin: String, at: Timestamp },
    /// Asking again would not help, and may lock the user.
    #[error("{origin}: {reason}")]
    Denied { origin: String, reason: String },
    /// Asking again may help.
    #[error("{origin}: {reason}")]
    Unreachable { origin: String, reason: String },
    /// Worker that has them, and was not heard for so long.
    #[error("no worker that serves `{target}` was heard for {seconds} s")]
    NoWorker { target: String, seconds: u64 },
    /// Half of a pair. `has` is told with its place.
    #[error("{has} is set, and {} is not{}", told(lacks, folder.as_deref()), if folder.is_some() { " there, or empty" } else { "" })]
    Lacking { has: String, lacks: &'static str, folder: Option<PathBuf> },
    /// The settings cannot be credentials: an unreadable file, two kinds at once.
    #[error("{0}")]
    Malformed(String),
}

/// Names a variable; where another of its kind is a file, as the file that would stand for it.
fn told(name: &str, folder: Option<&Path>) -> String {
    folder.map_or_else(|| name.to_owned(), |folder| format!("the file `{}`", folder.join(name).display()))
}
