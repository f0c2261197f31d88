//! Reasons that end a preflight, and which of them are about one account alone.

use crate::engine::lane::Lane;
use crate::engine::lane::reading::ReadFailed;
use crate::event::lane::LaneStop;
use crate::event::outcome::Outcome;
use crate::journal::JournalError;
use crate::model::SourceId;
use crate::model::dialect::Objection;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    #[error("the service does not let us in: {0}; nothing was sent by this launch")]
    Credentials(String),
    #[error("the service could not be reached: {0}; nothing was sent by this launch")]
    Unreachable(String),
    #[error("the service takes no requests now: {0}; nothing was sent by this launch")]
    Throttled(String),
    #[error("the target of `{source_id}` cannot be said: {objection}; nothing was sent by this launch")]
    Unsayable { source_id: SourceId, objection: Objection },
    #[error("stopped while looking at the live states; nothing was sent by this launch")]
    Stopped,
    #[error(transparent)]
    Closed(#[from] NotRecorded),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Extent of a preflight's error.
pub(super) enum Extent {
    /// One lane, which has to be stopped for this cause, with this text.
    Lane(LaneStop, String),
    /// One lane, which has stopped already, since the journal refused its events.
    RefusedLane,
    /// The whole launch.
    Run,
}

impl PreflightError {
    /// Tells what the error ends.
    pub(super) fn ends(&self) -> Extent {
        match self {
            PreflightError::Credentials(why) => Extent::Lane(LaneStop::Unauthenticated, why.clone()),
            PreflightError::Unreachable(why) => Extent::Lane(LaneStop::Unreachable, why.clone()),
            PreflightError::Throttled(why) => Extent::Lane(LaneStop::Throttled, why.clone()),
            PreflightError::Closed(NotRecorded::ToLane) => Extent::RefusedLane,
            PreflightError::Unsayable { .. }
            | PreflightError::Stopped
            | PreflightError::Closed(NotRecorded::ToAll)
            | PreflightError::Journal(_) => Extent::Run,
        }
    }

    /// Severity, in the order of the exit codes: of the errors of several lanes, the one with the highest rank is reported.
    pub(super) fn rank(&self) -> u8 {
        match self {
            PreflightError::Unreachable(_) => 0,
            PreflightError::Throttled(_) => 1,
            PreflightError::Credentials(_) => 2,
            PreflightError::Unsayable { .. }
            | PreflightError::Stopped
            | PreflightError::Closed(_)
            | PreflightError::Journal(_) => 3,
        }
    }
}

/// Returns the outcome of a failed look that may concern only its row, or only the list; a row is looked at again before it is
/// sent. Any other failure is an error of the lane.
pub(super) fn failed_alone<R: Remote>(lane: &Lane<R>, failed: ReadFailed) -> Result<Outcome, PreflightError> {
    match failed {
        ReadFailed::Outcome(
            outcome @ (Outcome::Rejected { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. }
            | Outcome::Unsent { .. }),
        ) if !outcome.refuses_us() => Ok(outcome),
        failed @ (ReadFailed::Outcome(_) | ReadFailed::Journal(_) | ReadFailed::LetGo) => Err(denied(lane, failed)),
    }
}

/// Makes the error of a lane whose look failed for a reason that holds for all of its rows.
pub(super) fn denied<R: Remote>(lane: &Lane<R>, failed: ReadFailed) -> PreflightError {
    match failed {
        ReadFailed::Journal(closed) => closed.into(),
        ReadFailed::LetGo => stopped(lane),
        ReadFailed::Outcome(outcome) => match outcome {
            Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Rejected { status: 403, .. }
            | Outcome::Lost { status: Some(401), .. } => PreflightError::Credentials(outcome.to_string()),
            Outcome::Throttled { .. } => PreflightError::Throttled(outcome.to_string()),
            // The error adds that nothing was sent.
            Outcome::Unsent { cause } => PreflightError::Unreachable(cause),
            Outcome::Accepted { .. } | Outcome::Rejected { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } => {
                PreflightError::Unreachable(outcome.to_string())
            }
        },
    }
}

/// Makes the error of a lane that was stopped while it looked.
pub(super) fn stopped<R: Remote>(lane: &Lane<R>) -> PreflightError {
    if lane.is_refused() {
        return NotRecorded::ToLane.into();
    }
    match lane.stopped() {
        Some((LaneStop::Unauthenticated | LaneStop::Barred | LaneStop::Forbidden, message)) => {
            PreflightError::Credentials(message)
        }
        Some((LaneStop::NoCredentials | LaneStop::Unreachable | LaneStop::NotTheService, message)) => {
            PreflightError::Unreachable(message)
        }
        Some((LaneStop::Throttled, message)) => PreflightError::Throttled(message),
        None => PreflightError::Stopped,
    }
}
