//! What to do next, for each way in which a row can stand: one table, for every report.

use super::plain::shell_word;
use crate::event::Verdict;
use crate::ledger::Phase;

/// What a row's place means, in one line.
#[must_use]
pub(super) fn meaning(phase: Phase) -> &'static str {
    match phase {
        Phase::Untried => "not begun",
        Phase::Due => "begun, and due again",
        Phase::Open => "on the wire now, or cut off with its launch: whether the change was made is not known",
        Phase::InDoubt => "sent, and the answer is unknown",
        Phase::Accepted => "accepted, and not yet proven",
        Phase::Settled(verdict) => verdict.meaning(),
    }
}

/// What a person does about a row that stands so; none where nothing is to be done.
#[must_use]
pub(super) fn next(phase: Phase, run: &str, source_id: &str) -> Option<String> {
    let (run, id) = (shell_word(run), shell_word(source_id));
    match phase {
        Phase::Untried | Phase::Due => Some(format!("`cutover resume {run}` goes on with it")),
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            Some(format!("`cutover reconcile {run}` looks at it and sends nothing"))
        }
        Phase::Settled(verdict) => next_for_verdict(verdict, &run, &id),
    }
}

fn next_for_verdict(verdict: Verdict, run: &str, id: &str) -> Option<String> {
    match verdict {
        Verdict::Applied | Verdict::Already => None,
        Verdict::Unverified => Some(format!(
            "look at {id} in the console; `cutover retry {run} --only unverified` looks before it sends anything"
        )),
        Verdict::NoEffect => Some(format!(
            "some states need a task action (start, stop, cutover) and not an update; \
             `cutover retry {run} --only no_effect` sends again"
        )),
        Verdict::Overtaken => {
            Some(format!("find out who moved {id}; `cutover retry {run} --only overtaken` if the target still holds"))
        }
        Verdict::Refused => {
            Some(format!("read what the service said and correct that; then `cutover retry {run} --only refused`"))
        }
        Verdict::Failed => {
            Some(format!("once service and network are well again: `cutover retry {run} --only failed`"))
        }
        Verdict::Blocked => Some(format!(
            "bring {id} into a state that takes updates, or correct the plan; \
             then `cutover retry {run} --only blocked`"
        )),
    }
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
                    assert!(next.unwrap().contains(&format!("`cutover retry r1 --only {verdict}`")));
                }
            }
        }
    }
}
