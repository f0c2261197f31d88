//! How a launch ended that was let run to its end, drained or not: a function of what is known of it then.

use crate::exit::Exit;
use crate::journal::read::Tally;
use crate::report::plain::count;

/// What the ending is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) n_rows: u64,
    pub(super) tally: Tally,
    /// By which signal it was told to stop, if by one.
    pub(super) signal: Option<Exit>,
    /// For what somebody chose to stop it, or had it stopped: a rule, a window, a command.
    pub(super) chosen: Option<String>,
    /// What stopped accounts that have rows left, and which.
    pub(super) stopped: Option<(Exit, String)>,
    /// Not one request was answered.
    pub(super) reached_nobody: bool,
    /// What is wrong here, whatever became of the rows.
    pub(super) broken: Vec<String>,
    /// What to type to go on, and what to look at what is in doubt.
    pub(super) resume: String,
    pub(super) reconcile: String,
}

impl Facts {
    /// The worst of it, and all of it in one line. Where nothing is left, what stopped the launch stopped nothing.
    pub(super) fn ending(self) -> (Exit, Option<String>) {
        let finished = if self.tally.on_target() == self.n_rows { Exit::Done } else { Exit::NotOnTarget };
        let (mut exit, mut said) = (finished, self.broken);
        if !said.is_empty() {
            exit = exit.worst(Exit::Internal);
        }
        if self.tally.unsettled() > 0 {
            if let Some((of_lanes, message)) = self.stopped {
                exit = exit.worst(of_lanes);
                said.push(message);
            }
            if self.reached_nobody {
                exit = exit.worst(Exit::Unreachable);
                said.push("the service could not be reached".to_owned());
            }
            if let Some(why) = self.chosen {
                exit = exit.worst(Exit::Halted);
                said.push(why);
            }
            if let Some(signal) = self.signal {
                exit = exit.worst(signal);
                said.extend(signal.signal().map(str::to_owned));
            }
            said.extend(left(&self.tally, &self.resume, &self.reconcile));
        }
        (exit, (!said.is_empty()).then(|| said.join("; ")))
    }
}

/// Everything that is left, each with the command that goes on with it.
fn left(tally: &Tally, resume: &str, reconcile: &str) -> impl Iterator<Item = String> {
    let pending = (tally.pending > 0).then(|| format!("{} left to do: {resume}", count(tally.pending, "row")));
    let in_doubt = (tally.in_doubt > 0).then(|| format!("{} in doubt: {reconcile}", tally.in_doubt));
    [pending, in_doubt].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn facts(applied: u64, pending: u64, in_doubt: u64) -> Facts {
        let verdicts = [(Verdict::Applied, applied)].into();
        let tally = Tally { verdicts, pending, in_doubt, ..Tally::default() };
        let (resume, reconcile) = ("cutover resume r1 --yes".to_owned(), "cutover reconcile r1".to_owned());
        Facts { n_rows: 100, tally, resume, reconcile, ..Facts::default() }
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
                Facts { reached_nobody: true, ..facts(0, 99, 1) },
                Exit::Unreachable,
                "the service could not be reached; ",
            ),
            (Facts { broken: vec!["no events".into()], ..facts(0, 99, 1) }, Exit::Internal, "no events; "),
        ];
        for (facts, exit, why) in stops {
            let left = "99 rows left to do: cutover resume r1 --yes; 1 in doubt: cutover reconcile r1";
            assert_eq!(facts.ending(), (exit, Some(format!("{why}{left}"))));
        }
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
    fn a_drain_after_which_nothing_is_left_ends_as_if_there_had_been_none() {
        let drained = |applied| Facts { signal: Some(Exit::Interrupted), ..facts(applied, 0, 0) };
        assert_eq!(drained(100).ending(), (Exit::Done, None));
        assert_eq!(drained(99).ending(), (Exit::NotOnTarget, None));
    }
}
