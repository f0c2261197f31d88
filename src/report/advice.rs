//! What to do next, for each way in which a row can stand: one table, for every report.

use super::plain::{plain, shell_word};
use crate::event::Verdict;
use crate::journal::read::Cause;
use crate::ledger::Phase;
use crate::model::SeenState;

/// What a row's place means, in one line.
#[must_use]
pub(crate) fn meaning(phase: Phase) -> &'static str {
    match phase {
        Phase::Untried => "not begun",
        Phase::Due => "begun, and due again",
        Phase::Open => "on the wire now, or cut off with its launch: whether the change was made is not known",
        Phase::InDoubt => "sent, and the answer is unknown",
        Phase::Accepted => "accepted, and not yet proven",
        Phase::Settled(verdict) => verdict.meaning(),
    }
}

/// What a person does about a row, and the command that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) say: String,
    pub(crate) command: String,
}

/// What to do about a row that stands so; none where nothing is to be done.
#[must_use]
pub(crate) fn next(phase: Phase, run: &str, source_id: &str) -> Option<Advice> {
    let (run, id) = (shell_word(run), plain(source_id));
    let advice = |say: &str, command: &str| Some(Advice { say: say.to_owned(), command: format!("cutover {command}") });
    let retry = |say: &str, verdict: Verdict| advice(say, &format!("retry {run} --only {verdict}"));
    match phase {
        Phase::Untried | Phase::Due => advice("go on with what is left", &format!("resume {run}")),
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            advice("look at what is in doubt; nothing is sent", &format!("reconcile {run}"))
        }
        Phase::Settled(Verdict::Applied | Verdict::Already) => None,
        Phase::Settled(verdict @ Verdict::Unverified) => {
            retry(&format!("look at {id} in the console; or again, a look before anything is sent"), verdict)
        }
        Phase::Settled(verdict @ Verdict::NoEffect) => {
            retry("some states need a task action (start, stop, cutover) and not an update; then again", verdict)
        }
        Phase::Settled(verdict @ Verdict::Overtaken) => {
            retry(&format!("find out who moved {id}; again only if the target still holds"), verdict)
        }
        Phase::Settled(verdict @ Verdict::Refused) => {
            retry("read what the service said and correct that; then again", verdict)
        }
        Phase::Settled(verdict @ Verdict::Failed) => retry("once service and network are well: again", verdict),
        Phase::Settled(verdict @ Verdict::Blocked) => {
            retry(&format!("bring {id} into a state that takes updates, or correct the plan; then again"), verdict)
        }
    }
}

/// How the reason begins of a row that its service knows nothing of.
const UNKNOWN: &str = "the service does not know";

/// What to do about the rows that have one cause, told of one of them.
#[must_use]
pub(crate) fn of_cause(cause: &Cause, run: &str) -> Option<Advice> {
    let mut advice = next(Phase::Settled(Verdict::named(&cause.verdict)?), run, &cause.example)?;
    if cause.text.contains(UNKNOWN) {
        "look up the id, and which account it is under; then again".clone_into(&mut advice.say);
    }
    Some(advice)
}

/// What to do about a row that somebody else moved after it was settled.
#[must_use]
pub(crate) fn moved(seen: &SeenState, source_id: &str) -> Advice {
    let (seen, id) = (plain(&seen.to_string()), shell_word(source_id));
    let say = format!("somebody else moved it since, and it was seen in {seen}: find out who, before anything is sent");
    Advice { say, command: format!("cutover sources show {id}") }
}

/// Where a row's whole story is told.
#[must_use]
pub(crate) fn story(source_id: &str) -> Advice {
    let command = format!("cutover explain {}", shell_word(source_id));
    Advice { say: "the whole story of a row".to_owned(), command }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_off_target_names_the_command_that_opens_it_again() {
        for verdict in Verdict::ALL {
            let next = next(Phase::Settled(verdict), "r1", "vm-1");
            match verdict {
                Verdict::Applied | Verdict::Already => assert_eq!(next, None),
                Verdict::Unverified
                | Verdict::NoEffect
                | Verdict::Overtaken
                | Verdict::Refused
                | Verdict::Failed
                | Verdict::Blocked => {
                    assert_eq!(next.unwrap().command, format!("cutover retry r1 --only {verdict}"));
                }
            }
        }
    }
}
