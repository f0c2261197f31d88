//! The end of a run's last launch, as far as it decides what to do next.

use rusqlite::params;

use super::read::event;
use super::rows::ON_TARGET;
use super::{Journal, JournalError, RunKey};
use crate::control::Wait;
use crate::event::{DrainReason, EventKind, Refusal};
use crate::model::words;
use crate::waves::Stage;

/// Facts about the end of a launch, none of which need be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why it began nothing new.
    pub drained: Option<DrainReason>,
    /// A refusal of what it was asked for.
    pub refusal: Option<Refusal>,
    /// The stage that it last waited for somebody to release.
    pub unreleased: Option<Stage>,
}

impl Ending {
    fn add(&mut self, kind: EventKind) {
        match kind {
            EventKind::DrainBegan { reason, .. } => self.drained = self.drained.or(Some(reason)),
            EventKind::LaunchEnded { refusal, .. } => self.refusal = self.refusal.or(refusal),
            EventKind::WaitBegan { cause: Wait::Approval, stage, .. } if self.unreleased.is_none() => {
                self.unreleased = Some(stage);
            }
            EventKind::WaitBegan { .. }
            | EventKind::WaitEnded
            | EventKind::RunStarted { .. }
            | EventKind::LaunchBegan { .. }
            | EventKind::StageBegan { .. }
            | EventKind::StageEnded { .. }
            | EventKind::Controlled { .. }
            | EventKind::QuotaLearned { .. }
            | EventKind::ReadThrottled { .. }
            | EventKind::LaneStopped { .. }
            | EventKind::RowSeen { .. }
            | EventKind::RowMoved { .. }
            | EventKind::AttemptStarted { .. }
            | EventKind::AttemptEnded { .. }
            | EventKind::RowSettled { .. }
            | EventKind::RowLeft { .. }
            | EventKind::RowReopened { .. } => (),
        }
    }
}

impl Journal {
    /// From the run's own events since its last launch began, the newest first.
    pub fn last_ending(&self, run: RunKey) -> Result<Ending, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind IN ('launch_began', 'launch_ended', 'drain_began', 'wait_began')
             ORDER BY seq DESC",
        )?;
        let mut found = statement.query([run.0])?;
        let mut ending = Ending::default();
        while let Some(columns) = found.next()? {
            match event(columns)?.kind {
                EventKind::LaunchBegan { .. } => break,
                kind => ending.add(kind),
            }
        }
        Ok(ending)
    }

    /// Tells that a row which is not on target would be sent to where there is no way back from.
    pub fn has_irreversible_left(&self, run: RunKey) -> Result<bool, JournalError> {
        let words = words::IRREVERSIBLE.map(|word| format!("'{word}'")).join(", ");
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM row WHERE run = ?1 AND lower(copystate) IN ({words})
                 AND (verdict IS NULL OR NOT {ON_TARGET}))"
        ))?;
        Ok(statement.query_row(params![run.0], |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waves::Part;

    #[test]
    fn of_several_the_newest_of_each_kind_is_the_end() {
        let stage = |wave: &str| Stage { wave_no: 1, wave: Some(wave.to_owned()), part: Part::Rest };
        let waits = |wave: &str| EventKind::WaitBegan { cause: Wait::Approval, stage: stage(wave), until: None };
        let drains = |reason| EventKind::DrainBegan { reason, why: None };
        let mut ending = Ending::default();
        for kind in [
            drains(DrainReason::Unapproved),
            waits("second"),
            EventKind::WaitBegan { cause: Wait::Soak, stage: stage("soaked"), until: None },
            drains(DrainReason::Window),
            waits("first"),
        ] {
            ending.add(kind);
        }
        assert_eq!((ending.drained, ending.unreleased), (Some(DrainReason::Unapproved), Some(stage("second"))));
    }
}
