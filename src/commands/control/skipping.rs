//! `control skip`, for rows that were never sent: a change that was sent cannot be taken back by skipping its row.

use std::time::Duration;

use std::time::Instant;

use crate::control::{By, Command};
use crate::event::verdict::Verdict;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::verb::error::CommandError;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Time within which a launch takes a command: usually half a second, but longer on a busy disk.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(10);
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Refuses to skip a row where that would have no effect any more.
pub(super) fn must_be_skippable(
    journal: &Journal,
    run: &RunRecord,
    row: &Row,
    standing: &Standing,
    runs: bool,
) -> Result<(), CommandError> {
    let id = row.source_id.as_str();
    let steered = journal.steered(run.key)?;
    let (open, _) = journal.open_commands(run.key)?;
    let waiting = open.iter().find(|given| given.command == Command::Skip { source_id: id.to_owned() });
    let by = steered.skipped.get(id).or(waiting.map(|given| &given.by));
    match why_not(standing, by, runs) {
        None => Ok(()),
        Some(why) => Err(not_skipped(run, id, &why)),
    }
}

/// Returns the reason for which a row cannot be skipped. The first attempt of a launch that goes on may still be held back,
/// even if it has begun.
fn why_not(standing: &Standing, skipped: Option<&By>, runs: bool) -> Option<String> {
    let by = skipped.map(|by| format!("was skipped already, by {by}"));
    match standing.phase {
        Phase::Settled(Verdict::Blocked) if by.is_some() => by,
        Phase::Settled(verdict) => Some(format!("is settled already: {verdict}")),
        Phase::Open if runs && standing.attempts <= 1 => by,
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            Some("was sent already, and what became of it is not known yet".to_owned())
        }
        Phase::Untried | Phase::Due if standing.attempts > 0 => {
            Some(format!("was sent already, {}, and is due again", count(standing.attempts.into(), "time")))
        }
        Phase::Untried | Phase::Due => by,
    }
}

/// Waits until it is certain that a row whose skip was taken was not sent: its attempt may have been ahead of the command.
pub(super) fn must_be_skipped(journal: &Journal, run: &RunRecord, id: &str) -> Result<(), CommandError> {
    let asked = Instant::now();
    loop {
        let Some((_, standing)) = journal.row_of_source(run.key, id)? else { return Ok(()) };
        let is_open = standing.phase == Phase::Open;
        if !is_open && standing.attempts == 0 {
            return Ok(());
        }
        if !is_open {
            return Err(not_skipped(run, id, "was being sent when the command came"));
        }
        if asked.elapsed() > TAKEN_WITHIN {
            return Err(not_skipped(run, id, "is being tried, and is left out only if that was held back"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn not_skipped(run: &RunRecord, id: &str, why: &str) -> CommandError {
    CommandError::NotSkipped { run: run.id.clone(), id: plain(id), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_that_was_never_sent_is_skipped_and_that_once() {
        let at = |phase, attempts| Standing { phase, attempts, ..Standing::default() };
        let ada = By { user: Some("ada".into()), host: "bridge".into(), ..By::default() };
        let sent = "was sent already, and what became of it is not known yet";
        let cases = [
            (at(Phase::Untried, 0), None),
            // Throttled or not sent, so that no change left.
            (at(Phase::Due, 0), None),
            (at(Phase::Due, 2), Some("was sent already, 2 times, and is due again")),
            (at(Phase::Open, 2), Some(sent)),
            (at(Phase::InDoubt, 1), Some(sent)),
            (at(Phase::Accepted, 1), Some(sent)),
            (at(Phase::Settled(Verdict::Applied), 1), Some("is settled already: applied")),
            (at(Phase::Settled(Verdict::Blocked), 0), Some("is settled already: blocked")),
        ];
        for (standing, why) in cases {
            for runs in [true, false] {
                assert_eq!(why_not(&standing, None, runs).as_deref(), why, "{:?}", standing.phase);
            }
        }
        // It may still wait for its turn to send; without a launch nobody knows.
        assert_eq!(why_not(&at(Phase::Open, 1), None, true), None);
        assert_eq!(why_not(&at(Phase::Open, 1), None, false).as_deref(), Some(sent));
        for phase in [Phase::Untried, Phase::Due, Phase::Settled(Verdict::Blocked)] {
            let why = why_not(&at(phase, 0), Some(&ada), true).unwrap();
            assert!(why.starts_with("was skipped already, by ada@bridge"), "{why}");
        }
    }
}
