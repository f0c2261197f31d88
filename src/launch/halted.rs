//! Early ends of a launch: a refusal before the first change, an obstacle, an error.

use crate::engine::EngineError;
use crate::event::run::Refusal;
use crate::exit::Exit;
use crate::journal::JournalError;
use crate::preflight::error::PreflightError;
use crate::recorder::refusal::NotRecorded;
use crate::verb::error::CommandError;

/// Early end of a launch, with its reason in words.
pub(super) enum Halted {
    With(Exit, String),
    /// Refused before the first change.
    Refused(Refusal, String),
    Error(CommandError),
}

impl Halted {
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Halted::Refused(what, _) => Some(*what),
            Halted::With(..) | Halted::Error(_) => None,
        }
    }
}

impl From<JournalError> for Halted {
    fn from(error: JournalError) -> Self {
        Halted::Error(error.into())
    }
}

impl From<NotRecorded> for Halted {
    /// The recorder knows the cause, and is asked at the end.
    fn from(closed: NotRecorded) -> Self {
        let exit = match closed {
            NotRecorded::ToAll => Exit::Internal,
            NotRecorded::ToLane => Exit::Integrity,
        };
        Halted::With(exit, closed.to_string())
    }
}

impl From<EngineError> for Halted {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Journal(error) => error.into(),
            EngineError::Closed(closed) => closed.into(),
            EngineError::Panicked => Halted::Error(CommandError::Panicked),
        }
    }
}

impl From<PreflightError> for Halted {
    fn from(error: PreflightError) -> Self {
        let text = error.to_string();
        match error {
            PreflightError::Credentials(_) => Halted::With(Exit::Credentials, text),
            PreflightError::Unreachable(_) => Halted::With(Exit::Unreachable, text),
            PreflightError::Unsayable { .. } => Halted::With(Exit::Refused, text),
            PreflightError::Throttled(_) => Halted::With(Exit::Halted, text),
            PreflightError::Stopped => Halted::With(Exit::Interrupted, text),
            PreflightError::Closed(closed) => closed.into(),
            PreflightError::Journal(error) => error.into(),
        }
    }
}
