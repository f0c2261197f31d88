//! End of a run whose launch was cut off after its last verdict and before it recorded its end: nothing is left to do.

use super::holder::Holder;
use crate::event::run::RunEvent;
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::journal::read::sums::Tally;
use crate::journal::{Journal, JournalError, RunKey};

/// End of such a run: reports show it until somebody closes the run, which records the same.
pub(crate) struct CutOffEnd {
    pub(crate) exit: Exit,
    pub(crate) reason: String,
    /// Milliseconds from the beginning of the last launch to its last event.
    pub(crate) elapsed_ms: u64,
}

impl CutOffEnd {
    /// Reads the end of a run with this tally, which must not change meanwhile.
    pub(crate) fn from_journal(journal: &Journal, run: &RunRecord, tally: &Tally) -> Result<Self, JournalError> {
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

/// Milliseconds that all launches took, an unfinished one up to its last event.
pub(crate) fn elapsed_ms(journal: &Journal, run: &RunRecord) -> Result<u64, JournalError> {
    if !run.running {
        return Ok(run.elapsed_ms);
    }
    Ok(run.elapsed_ms + open_ms(journal, run.key)?)
}

/// Milliseconds from the beginning of the last launch to the last event; 0 where one of them is missing.
pub(crate) fn open_ms(journal: &Journal, run: RunKey) -> Result<u64, JournalError> {
    let began = journal.last_launch(run)?.map(|event| event.at);
    Ok(match (began, journal.last_event_at(run)?) {
        (Some(began), Some(last)) => u64::try_from(last.as_millisecond() - began.as_millisecond()).unwrap_or(0),
        (None, _) | (_, None) => 0,
    })
}

/// Returns the run as reports show it: one that the journal calls running has ended if nothing is left to do and no launch holds
/// it.
pub(crate) fn as_told(journal: &Journal, run: &RunRecord, tally: &Tally) -> Result<RunRecord, JournalError> {
    if !run.running || tally.unsettled() > 0 || Holder::look_up(journal.path(), run) == Holder::Alive {
        return Ok(run.clone());
    }
    let CutOffEnd { exit, reason, elapsed_ms } = CutOffEnd::from_journal(journal, run, tally)?;
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
