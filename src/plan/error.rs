//! Reasons for which a plan cannot be used, and for which a reading of it ends early.

use std::io;

use super::problem::Problems;
use crate::wording::amounts::count;

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("could not read the plan `{name}`")]
    Unreadable {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("the plan `{name}` is {found}: {remedy}")]
    Unsupported { name: String, found: &'static str, remedy: &'static str },
    #[error("the plan has {}", count(problems.n_errors() as u64, "error"))]
    Problems { name: String, problems: Box<Problems> },
    #[error("the sealed plan `{name}` is not what was sealed: {what}")]
    Edited { name: String, what: String },
}

impl PlanError {
    pub(super) fn in_one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// Reason for which a reading ended early: the plan, or the receiver of the rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    #[error(transparent)]
    Plan(PlanError),
    #[error(transparent)]
    Each(E),
}

/// Reason for which a format's reader stopped early.
pub(super) enum ReadStop<E> {
    Io(io::Error),
    Each(E),
}

impl<E> From<io::Error> for ReadStop<E> {
    fn from(error: io::Error) -> Self {
        ReadStop::Io(error)
    }
}
