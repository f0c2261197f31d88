//! End of a run's last launch, as far as it decides what to do next.

use rusqlite::{OptionalExtension as _, params};

use crate::control::{By, Command, Wait};
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneStop};
use crate::event::run::{DrainReason, Refusal, RunEvent};
use crate::exit::Exit;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::event::event;
use crate::journal::tables::row::ON_TARGET;
use crate::model::words;
use crate::waves::Stage;

/// Facts about the end of a launch, any of which may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Reason for which it drained.
    pub drained: Option<DrainReason>,
    /// Reason for which it ended before its first change.
    pub refusal: Option<Refusal>,
    /// Person who told it to drain or to abort.
    pub by: Option<By>,
    /// True if a person or the plan told it to stop, whatever came after that.
    pub is_told_to_stop: bool,
    /// Stage that nobody released in time.
    pub unreleased: Option<Stage>,
    /// Reasons for which accounts were stopped.
    pub stopped: Vec<LaneStop>,
}

impl Ending {
    /// Adds an event of the launch; called from the newest event to the oldest.
    fn add(&mut self, event: RunEvent, went_on: &mut bool) {
        match event {
            RunEvent::StageBegan { .. } | RunEvent::Controlled { command: Command::Release { .. }, .. } => {
                *went_on = true;
            }
            RunEvent::Controlled { command: Command::Drain | Command::Abort, by, .. } => {
                self.by = Some(by);
                self.is_told_to_stop = true;
            }
            RunEvent::DrainBegan { reason, .. } => {
                self.drained = self.drained.or(Some(reason));
                self.is_told_to_stop |= !reason.is_of_its_machine();
            }
            RunEvent::LaunchEnded { refusal, .. } => self.refusal = self.refusal.or(refusal),
            RunEvent::WaitBegan { cause: Wait::Approval, stage, .. } if self.unreleased.is_none() && !*went_on => {
                self.unreleased = Some(stage);
            }
            RunEvent::WaitBegan { .. }
            | RunEvent::WaitEnded
            | RunEvent::HookRan { .. }
            | RunEvent::Started { .. }
            | RunEvent::LaunchBegan { .. }
            | RunEvent::StageEnded { .. }
            | RunEvent::Controlled { .. } => (),
        }
    }
}

impl Journal {
    /// Returns the ending, from the run's own events since its last launch began.
    pub fn last_ending(&self, run: RunKey) -> Result<Ending, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0
                 AND kind IN ('launch_began', 'launch_ended', 'drain_began', 'wait_began', 'stage_began', 'controlled')
             ORDER BY seq DESC",
        )?;
        let mut found = statement.query([run.0])?;
        let (mut ending, mut went_on) = (Ending { stopped: self.lane_stops(run)?, ..Ending::default() }, false);
        while let Some(columns) = found.next()? {
            match event(columns)?.kind {
                EventKind::Run(RunEvent::LaunchBegan { .. }) => break,
                EventKind::Run(event) => ending.add(event, &mut went_on),
                EventKind::Row(..) | EventKind::Lane(_) => (),
            }
        }
        Ok(ending)
    }

    /// Returns exit and reason with which the run's last launch ended first, if a result that could not be delivered made it end again.
    pub(crate) fn end_before_undelivered(&self, run: RunKey) -> Result<Option<(Exit, Option<String>)>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind = 'launch_ended' AND seq >
                 (SELECT max(seq) FROM event WHERE run = ?1 AND lane = 0 AND kind = 'launch_began') ORDER BY seq",
        )?;
        let mut ends = Vec::new();
        for event in statement.query_and_then([run.0], event)? {
            if let EventKind::Run(RunEvent::LaunchEnded { exit, reason, .. }) = event?.kind {
                ends.push((exit, reason));
            }
        }
        let is_settled = ends.first() == ends.last();
        Ok(ends.into_iter().next().filter(|_| !is_settled))
    }

    /// Tells whether a stage began in the run's last launch.
    pub fn has_a_stage(&self, run: RunKey) -> Result<bool, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT kind = 'stage_began' FROM event
             WHERE run = ?1 AND lane = 0 AND kind IN ('launch_began', 'stage_began') ORDER BY seq DESC LIMIT 1",
        )?;
        Ok(statement.query_row([run.0], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Returns the reasons for which accounts were stopped in the last launch, each once.
    fn lane_stops(&self, run: RunKey) -> Result<Vec<LaneStop>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = ?2 AND kind = 'lane_stopped' ORDER BY seq DESC LIMIT 1",
        )?;
        let mut stops = Vec::new();
        for lane in self.lanes(run)?.into_iter().filter(|lane| lane.stopped.is_some()) {
            let mut found = statement.query(params![run.0, lane.lane.0])?;
            let stopped = found.next()?.map(event).transpose()?;
            if let Some(EventKind::Lane(LaneEvent::Stopped { cause, .. })) = stopped.map(|event| event.kind)
                && !stops.contains(&cause)
            {
                stops.push(cause);
            }
        }
        Ok(stops)
    }

    /// Tells whether a row that is not on target has a target from which there is no way back.
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
    use crate::event::run::RunEvent;
    use crate::waves::Part;

    #[test]
    fn of_several_the_newest_of_each_kind_is_the_end() {
        let stage = |wave: &str| Stage { wave_no: 1, wave: Some(wave.to_owned()), part: Part::Rest };
        let waits = |wave: &str| RunEvent::WaitBegan { cause: Wait::Approval, stage: stage(wave), until: None };
        let drains = |reason| RunEvent::DrainBegan { reason, why: None };
        let end = |newest_first: Vec<RunEvent>| {
            let (mut ending, mut went_on) = (Ending::default(), false);
            for kind in newest_first {
                ending.add(kind, &mut went_on);
            }
            ending
        };
        let ending = end(vec![
            drains(DrainReason::Unapproved),
            waits("second"),
            RunEvent::WaitBegan { cause: Wait::Soak, stage: stage("soaked"), until: None },
            drains(DrainReason::Window),
            waits("first"),
        ]);
        assert_eq!((ending.drained, ending.unreleased), (Some(DrainReason::Unapproved), Some(stage("second"))));
        // What was released is waited for no more.
        let steered = |command, via: &str| RunEvent::Controlled {
            command,
            by: By { via: via.to_owned(), ..By::default() },
            control: None,
        };
        let release = Command::Release { wave: "second".to_owned(), part: None };
        let began = RunEvent::StageBegan { stage: stage("second"), rows: 1, forecast: None };
        for since in [steered(release, "control"), began] {
            assert_eq!(end(vec![drains(DrainReason::Window), since, waits("second")]).unreleased, None);
        }
        let drained = end(vec![steered(Command::Abort, "control"), steered(Command::Drain, "the file stop")]);
        assert!(drained.is_told_to_stop);
        // Whatever breaks while it stops.
        let broken = |before: Option<DrainReason>| {
            end(Some(DrainReason::Panicked).into_iter().chain(before).map(drains).collect())
        };
        assert!(
            broken(Some(DrainReason::Interrupted)).is_told_to_stop && broken(Some(DrainReason::Halted)).is_told_to_stop
        );
        assert!(!broken(None).is_told_to_stop && !broken(Some(DrainReason::JournalGone)).is_told_to_stop);
        assert_eq!(drained.by.map(|by| by.via).as_deref(), Some("the file stop"));
    }
}
