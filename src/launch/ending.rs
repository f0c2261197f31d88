//! Exit and reason of a launch, as functions of the facts known at its end.

use tokio::time::Instant;

use crate::event::run::{Refusal, RunEvent};
use crate::exit::Exit;
use crate::journal::read::steering::Due;
use crate::journal::read::sums::Tally;
use crate::wording::amounts::count;

/// Facts about a launch that was let run to its end, drained or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) n_rows: u64,
    pub(super) tally: Tally,
    /// Exit of the signal by which it was told to stop, if by one.
    pub(super) signal: Option<Exit>,
    /// Reason for a stop that somebody chose: a rule, a window, a command.
    pub(super) chosen: Option<String>,
    /// A hook said no, and this launch had sent nothing.
    pub(super) vetoed: bool,
    /// Exit and words of what stopped accounts that have rows left.
    pub(super) stopped: Option<(Exit, String)>,
    /// Accounts of which the journal refused an event, in words.
    pub(super) refused: Option<String>,
    /// Requests were made and none was answered.
    pub(super) reached_nobody: bool,
    /// Rows that are due in each account that nothing stopped; empty for a launch that sends nothing.
    pub(super) due: Vec<Due>,
    /// Faults of the program or the machine, told apart from the rows.
    pub(super) broken: Vec<String>,
    /// Absent from a run that is only rehearsed: nobody goes on with it.
    pub(super) go_on: Option<GoOn>,
}

/// Commands to type next.
#[derive(Clone, Debug)]
pub(super) struct GoOn {
    /// Command for rows that are pending.
    pub(super) resume: String,
    /// Command for rows that are in doubt.
    pub(super) reconcile: String,
}

impl Facts {
    /// Returns the worst exit, and all reasons in one line. Where no row is left, a stop had no effect and is not named.
    pub(super) fn ending(self) -> (Exit, Option<String>) {
        let finished = if self.tally.on_target() == self.n_rows { Exit::Done } else { Exit::NotOnTarget };
        let (mut exit, mut said) = (finished, self.broken);
        if !said.is_empty() {
            exit = exit.worst(Exit::Internal);
        }
        if let Some(message) = self.refused {
            exit = exit.worst(Exit::Integrity);
            said.push(message);
        }
        if self.tally.unsettled() > 0 {
            let is_left = self.signal.is_none() && self.chosen.is_none() && !self.reached_nobody;
            if let Some((of_lanes, message)) = self.stopped {
                exit = exit.worst(of_lanes);
                said.push(message);
            }
            if self.reached_nobody {
                exit = exit.worst(Exit::Unreachable);
                said.push("the service could not be reached".to_owned());
            }
            if let Some(why) = self.chosen {
                exit = exit.worst(if self.vetoed { Exit::Refused } else { Exit::Halted });
                said.push(why);
                said.extend(self.vetoed.then(|| "nothing was sent by this launch".to_owned()));
            }
            if let Some(signal) = self.signal {
                exit = exit.worst(signal);
                said.extend(signal.signal().map(str::to_owned));
            }
            // An account that finished has nothing due: rows that are due are left for a later launch.
            for due in self.due.iter().filter(|due| is_left && due.n_rows > 0) {
                exit = exit.worst(Exit::Halted);
                said.push(left_for(due));
            }
            said.extend(self.go_on.iter().flat_map(|go_on| left(&self.tally, go_on)));
        }
        (exit, (!said.is_empty()).then(|| said.join("; ")))
    }
}

/// Facts about a launch that was stopped before it sent anything, or by an obstacle to all of it.
#[derive(Clone, Debug)]
pub(super) struct HaltFacts {
    pub(super) exit: Exit,
    pub(super) reason: String,
    /// Exit of the signal by which it was told to stop, if by one.
    pub(super) signal: Option<Exit>,
    /// Faults of the program or the machine.
    pub(super) broken: Vec<String>,
}

impl HaltFacts {
    /// Returns the worst exit, and all reasons in one line.
    pub(super) fn ending(self) -> (Exit, Option<String>) {
        let Self { exit, reason, signal, broken } = self;
        let exit = match (exit, signal) {
            (exit, None) => exit,
            (Exit::Interrupted, Some(signal)) => signal,
            (exit, Some(signal)) => signal.worst(exit),
        };
        and_broken(exit, Some(reason), broken)
    }
}

/// Adds faults of the program or the machine, which come first and make it an internal failure, to an end.
pub(super) fn and_broken(exit: Exit, reason: Option<String>, broken: Vec<String>) -> (Exit, Option<String>) {
    if broken.is_empty() {
        return (exit, reason);
    }
    let said = broken.into_iter().chain(reason).collect::<Vec<_>>().join("; ");
    (exit.worst(Exit::Internal), Some(said))
}

/// Event that a launch ended, with its duration in milliseconds.
pub(super) fn exit_event(exit: Exit, reason: Option<String>, refusal: Option<Refusal>, started: Instant) -> RunEvent {
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal }
}

/// Reason for which rows are left of an account that nothing stopped.
fn left_for(due: &Due) -> String {
    let Due { n_rows, left_for, n_left_for } = due;
    match left_for {
        Some(why) if n_left_for == n_rows => why.clone(),
        Some(why) => format!("{why} ({})", count(*n_left_for, "row")),
        None => "not every row was begun".to_owned(),
    }
}

/// Counts of pending rows and of rows in doubt, each with the command that goes on with them.
pub(super) fn left(tally: &Tally, go_on: &GoOn) -> impl Iterator<Item = String> + use<> {
    let GoOn { resume, reconcile } = go_on;
    let pending = (tally.pending > 0).then(|| format!("{} left to do: {resume}", count(tally.pending, "row")));
    let in_doubt = (tally.in_doubt > 0).then(|| format!("{} in doubt: {reconcile}", tally.in_doubt));
    [pending, in_doubt].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::verdict::Verdict;

    fn facts(applied: u64, pending: u64, in_doubt: u64) -> Facts {
        let verdicts = [(Verdict::Applied, applied)].into();
        let tally = Tally { verdicts, pending, in_doubt, ..Tally::default() };
        let (resume, reconcile) = ("cutover resume r1 --yes".to_owned(), "cutover reconcile r1".to_owned());
        Facts { n_rows: 100, tally, go_on: Some(GoOn { resume, reconcile }), ..Facts::default() }
    }

    #[test]
    fn everything_that_is_left_is_named_whatever_stopped_it() {
        let stops = [
            (facts(0, 99, 1), Exit::NotOnTarget, ""),
            (Facts { signal: Some(Exit::HungUp), ..facts(0, 99, 1) }, Exit::HungUp, "the terminal hung up; "),
            (
                Facts { chosen: Some("more than 1 failed".into()), ..facts(0, 99, 1) },
                Exit::Halted,
                "more than 1 failed; ",
            ),
            (Facts { stopped: Some((Exit::Credentials, "401".into())), ..facts(0, 99, 1) }, Exit::Credentials, "401; "),
            (
                Facts { refused: Some("account `a` stopped".into()), ..facts(0, 99, 1) },
                Exit::Integrity,
                "account `a` stopped; ",
            ),
            (
                Facts { reached_nobody: true, ..facts(0, 99, 1) },
                Exit::Unreachable,
                "the service could not be reached; ",
            ),
            (
                Facts { chosen: Some("a hook said no".into()), vetoed: true, ..facts(0, 99, 1) },
                Exit::Refused,
                "a hook said no; nothing was sent by this launch; ",
            ),
            (Facts { broken: vec!["no events".into()], ..facts(0, 99, 1) }, Exit::Internal, "no events; "),
        ];
        for (facts, exit, why) in stops {
            let left = "99 rows left to do: cutover resume r1 --yes; 1 in doubt: cutover reconcile r1";
            assert_eq!(facts.ending(), (exit, Some(format!("{why}{left}"))));
        }
    }

    #[test]
    fn a_run_that_nobody_goes_on_with_says_what_stopped_it_and_no_more() {
        let stopped = Facts { chosen: Some("halted; see `cutover resume`".into()), go_on: None, ..facts(0, 99, 1) };
        assert_eq!(stopped.ending(), (Exit::Halted, Some("halted; see `cutover resume`".into())));
        assert_eq!(Facts { go_on: None, ..facts(99, 0, 1) }.ending(), (Exit::NotOnTarget, None));
    }

    #[test]
    fn the_worst_of_several_causes_is_the_code_and_each_is_named() {
        let all = Facts {
            signal: Some(Exit::Terminated),
            chosen: Some("halted".into()),
            stopped: Some((Exit::Credentials, "401".into())),
            ..facts(99, 1, 0)
        };
        let said = "401; halted; terminated by a signal; 1 row left to do: cutover resume r1 --yes";
        assert_eq!(all.ending(), (Exit::Terminated, Some(said.into())));
    }

    #[test]
    fn what_is_due_of_an_account_that_nothing_stopped_is_a_launch_that_stopped_early_and_says_for_what() {
        let due = |n_left_for: u64, n_rows: u64| {
            vec![Due { n_rows, left_for: Some("the look failed: not sent: connection refused".into()), n_left_for }]
        };
        let unsaid = vec![Due { n_rows: 2, left_for: None, n_left_for: 2 }];
        let other = || Some((Exit::Credentials, "account `b` stopped: barred".to_owned()));
        for (facts, exit, why) in [
            (
                Facts { due: due(2, 2), ..facts(98, 2, 0) },
                Exit::Halted,
                "the look failed: not sent: connection refused; 2 rows",
            ),
            (
                Facts { due: due(2, 3), ..facts(97, 3, 0) },
                Exit::Halted,
                "connection refused (2 rows); 3 rows left to do",
            ),
            (Facts { due: unsaid, ..facts(98, 2, 0) }, Exit::Halted, "not every row was begun; 2 rows left to do"),
            // The worst is the code, and each is told.
            (
                Facts { due: due(1, 1), stopped: other(), ..facts(97, 3, 0) },
                Exit::Credentials,
                "account `b` stopped: barred; the look failed: not sent: connection refused; 3 rows left to do",
            ),
            // Whatever stopped all of it is why nothing of it was begun.
            (
                Facts { due: due(2, 2), reached_nobody: true, ..facts(98, 2, 0) },
                Exit::Unreachable,
                "the service could not be reached; 2 rows left to do",
            ),
            (
                Facts { due: due(2, 2), signal: Some(Exit::Interrupted), ..facts(98, 2, 0) },
                Exit::Interrupted,
                "interrupted; 2 rows left to do",
            ),
            // What is in doubt alone was sent, and a reconcile was to send nothing.
            (facts(98, 0, 2), Exit::NotOnTarget, "2 in doubt: "),
            (facts(97, 1, 2), Exit::NotOnTarget, "1 row left to do: "),
        ] {
            let (code, said) = facts.clone().ending();
            assert!(
                code == exit && said.as_ref().is_some_and(|said| said.contains(why)),
                "{code:?} {said:?}, not {why}"
            );
        }
    }

    #[test]
    fn a_launch_that_was_stopped_before_it_began_ends_with_the_worst_of_what_stopped_it() {
        let halt = |exit| HaltFacts { exit, reason: "why".into(), signal: None, broken: Vec::new() };
        for (facts, exit, said) in [
            (halt(Exit::Refused), Exit::Refused, "why"),
            (halt(Exit::Interrupted), Exit::Interrupted, "why"),
            // The question was left by a signal.
            (HaltFacts { signal: Some(Exit::Terminated), ..halt(Exit::Interrupted) }, Exit::Terminated, "why"),
            // What was said before a signal came is still why.
            (HaltFacts { signal: Some(Exit::Interrupted), ..halt(Exit::Unreachable) }, Exit::Interrupted, "why"),
            (HaltFacts { signal: Some(Exit::Interrupted), ..halt(Exit::Refused) }, Exit::Refused, "why"),
            (HaltFacts { broken: vec!["a".into(), "b".into()], ..halt(Exit::Refused) }, Exit::Internal, "a; b; why"),
        ] {
            assert_eq!(facts.clone().ending(), (exit, Some(said.to_owned())), "{facts:?}");
        }
    }

    #[test]
    fn a_fault_that_comes_to_light_after_the_end_comes_first_and_is_an_internal_failure() {
        assert_eq!(and_broken(Exit::Done, None, Vec::new()), (Exit::Done, None));
        assert_eq!(and_broken(Exit::Done, None, vec!["no events".into()]), (Exit::Internal, Some("no events".into())));
        let halted = and_broken(Exit::Integrity, Some("halted".into()), vec!["no events".into()]);
        assert_eq!(halted, (Exit::Internal, Some("no events; halted".into())));
    }

    #[test]
    fn a_drain_after_which_nothing_is_left_ends_as_if_there_had_been_none() {
        let drained = |applied| Facts { signal: Some(Exit::Interrupted), ..facts(applied, 0, 0) };
        assert_eq!(drained(100).ending(), (Exit::Done, None));
        assert_eq!(drained(99).ending(), (Exit::NotOnTarget, None));
    }
}
