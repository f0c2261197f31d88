//! The end of a run that was cut off between its last verdict and its end: nothing is left to do, and nobody wrote so.

use super::holder::Holder;
use crate::event::run::RunEvent;
use crate::exit::Exit;
use crate::journal::read::{RunRecord, Tally};
use crate::journal::{Journal, JournalError, RunKey};

/// How such a run ended, as whoever closes it records it, and everybody tells it until then.
pub(crate) struct End {
    pub(crate) exit: Exit,
    pub(crate) reason: String,
    /// From the beginning of its last launch to its last event.
    pub(crate) elapsed_ms: u64,
}

impl End {
    /// For a run whose rows add up so; what it is now, nobody may change meanwhile.
    pub(crate) fn of(journal: &Journal, run: &RunRecord, tally: &Tally) -> Result<Self, JournalError> {
        let elapsed_ms = open_ms(journal, run.key)?;
        let reason = "its launch was cut off after the last row, and nothing was left to do".to_owned();
        Ok(Self { exit: tally.finished(), reason, elapsed_ms })
    }

    pub(crate) fn event(&self) -> RunEvent {
        RunEvent::LaunchEnded {
            exit: self.exit,
            reason: Some(self.reason.clone()),
            elapsed_ms: self.elapsed_ms,
            refusal: None,
        }
    }
}

/// How long its launches took, up to what is recorded of the one that has not ended.
pub(crate) fn elapsed_ms(journal: &Journal, run: &RunRecord) -> Result<u64, JournalError> {
    if !run.running {
        return Ok(run.elapsed_ms);
    }
    Ok(run.elapsed_ms + open_ms(journal, run.key)?)
}

/// From the beginning of its last launch to its last event.
pub(crate) fn open_ms(journal: &Journal, run: RunKey) -> Result<u64, JournalError> {
    let began = journal.last_launch(run)?.map(|event| event.at);
    Ok(match (began, journal.last_event_at(run)?) {
        (Some(began), Some(last)) => u64::try_from(last.as_millisecond() - began.as_millisecond()).unwrap_or(0),
        (None, _) | (_, None) => 0,
    })
}

/// The run as it is told: what the journal calls running is over if nothing is left to do and nobody holds it.
pub(crate) fn as_told(journal: &Journal, run: &RunRecord, tally: &Tally) -> Result<RunRecord, JournalError> {
    if !run.running || tally.unsettled() > 0 || Holder::of(journal.path(), run) == Holder::Alive {
        return Ok(run.clone());
    }
    let End { exit, reason, elapsed_ms } = End::of(journal, run, tally)?;
    Ok(RunRecord {
        running: false,
        ended_at: journal.last_event_at(run.key)?,
        elapsed_ms: run.elapsed_ms + elapsed_ms,
        exit_code: Some(exit.code()),
        exit_name: Some(exit.name().to_owned()),
        exit_reason: Some(reason),
        ..run.clone()
    })
}
