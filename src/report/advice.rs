//! What to do next, for each way in which a row can stand: one table, for every report.

use super::next::{IRREVERSIBLE, NextCommands};
use super::plain::plain;
use crate::event::{DrainReason, Refusal, Verdict};
use crate::exit::Exit;
use crate::journal::ending::Ending;
use crate::journal::read::Cause;
use crate::judge;
use crate::ledger::Phase;
use crate::model::SeenState;
use crate::waves::Part;

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

fn advice(say: impl Into<String>, command: String) -> Advice {
    Advice { say: say.into(), command }
}

/// What keeps a row from being sent, as far as it decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The service knows no such source.
    Unknown,
    /// The plan expects it elsewhere.
    Expectation,
    /// It is in a state in which the service ignores updates.
    IgnoresUpdates,
    /// Somebody said that it is not to be sent.
    Skipped,
    Other,
}

impl Obstacle {
    /// As preflight words the reason.
    fn named_by(reason: &str) -> Self {
        if reason.contains(judge::UNKNOWN_SOURCE) {
            Obstacle::Unknown
        } else if reason.starts_with(judge::EXPECTS) {
            Obstacle::Expectation
        } else if reason.ends_with(judge::IGNORES_UPDATES) {
            Obstacle::IgnoresUpdates
        } else if reason.starts_with(judge::SKIPPED) {
            Obstacle::Skipped
        } else {
            Obstacle::Other
        }
    }

    fn say(self, id: &str) -> String {
        match self {
            Obstacle::Unknown => "look up the id, and which account it is under; then again".to_owned(),
            Obstacle::Expectation => format!(
                "find out why {id} is not where the plan expects it; again once it is there, or correct the plan and \
                 run that"
            ),
            Obstacle::IgnoresUpdates => format!(
                "bring {id} into a state in which the service takes updates (start, stop or clear its task in the \
                 console); then again"
            ),
            Obstacle::Skipped => "somebody skipped it; if it is to be sent after all: again".to_owned(),
            Obstacle::Other => format!("find out what keeps {id} from being sent, or correct the plan; then again"),
        }
    }
}

/// What to do about a row that stands so, for this reason; none where nothing is to be done.
#[must_use]
pub(crate) fn next(phase: Phase, reason: Option<&str>, commands: &NextCommands, source_id: &str) -> Option<Advice> {
    let next = of_standing(phase, reason, commands, source_id)?;
    if !commands.goes_on {
        return Some(next);
    }
    let say = match phase {
        Phase::Untried | Phase::Due => "the run goes on, and comes to it: wait".to_owned(),
        Phase::Open | Phase::InDoubt | Phase::Accepted => "the run goes on, and looks at it: wait".to_owned(),
        Phase::Settled(_) => format!("the run goes on; once it has ended: {}", next.say),
    };
    Some(advice(say, commands.watch()))
}

/// As if no launch held the run.
fn of_standing(phase: Phase, reason: Option<&str>, commands: &NextCommands, source_id: &str) -> Option<Advice> {
    let id = plain(source_id);
    let retry = |say: &str, verdict| Some(advice(with_leave(say, commands), commands.retry(verdict)));
    match phase {
        Phase::Untried | Phase::Due => Some(go_on("go on with what is left", commands)),
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            Some(advice("look at what is in doubt; nothing is sent", commands.reconcile()))
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
            retry(&Obstacle::named_by(reason.unwrap_or_default()).say(&id), verdict)
        }
    }
}

/// What somebody has to know before a launch that nobody gave leave for.
fn with_leave(say: &str, commands: &NextCommands) -> String {
    if commands.lacks_leave {
        return format!("{say} (with --allow-irreversible, where there is to be no way back)");
    }
    say.to_owned()
}

fn go_on(say: &str, commands: &NextCommands) -> Advice {
    advice(with_leave(say, commands), commands.resume())
}

/// What to do about the rows that have one cause, told of one of them.
#[must_use]
pub(crate) fn of_cause(cause: &Cause, commands: &NextCommands) -> Option<Advice> {
    next(Phase::Settled(Verdict::named(&cause.verdict)?), Some(&cause.text), commands, &cause.example)
}

/// Whether two causes are done about in the same way.
pub(crate) fn is_same(one: &Cause, other: &Cause) -> bool {
    one.verdict == other.verdict && Obstacle::named_by(&one.text) == Obstacle::named_by(&other.text)
}

/// What to do about rows that were not begun, from how the last launch ended.
pub(crate) fn left(code: Option<u8>, ending: &Ending, any_lane_stopped: bool, commands: &NextCommands) -> Vec<Advice> {
    let ended = |exit: Exit| code == Some(exit.code());
    match ending.refusal {
        Some(Refusal::Irreversible) => {
            let command = commands.resume_with(&[(IRREVERSIBLE, "on")]);
            return vec![advice(
                "read the plan again; if there is to be no way back: go on with leave for it",
                command,
            )];
        }
        Some(Refusal::TooMany { changes }) => {
            let command = commands.resume_with(&[("max_changes", &changes.to_string())]);
            return vec![advice(
                with_leave("if so many are to be changed: go on with leave for them", commands),
                command,
            )];
        }
        Some(Refusal::Drift) => {
            let say = "find out who moved the servers; then seal the plan again, for where they are now, and run that";
            return vec![advice(say, commands.seal_again())];
        }
        Some(Refusal::NotAgreed) => return vec![go_on("if it is meant after all: go on", commands)],
        None => (),
    }
    if ended(Exit::Credentials) {
        return vec![
            advice(
                "the service did not let us in: this shows which credentials are used, and what they may do",
                commands.doctor(),
            ),
            go_on("once they are put right: go on with what is left", commands),
        ];
    }
    if ended(Exit::Refused) {
        return vec![go_on("once what it says is put right: go on", commands)];
    }
    if ended(Exit::Unreachable) || any_lane_stopped {
        return vec![
            advice("this shows how far the service is within reach", commands.doctor()),
            go_on("once it answers: go on with what is left (another endpoint is another run of the plan)", commands),
        ];
    }
    vec![after_a_drain(ending, commands)]
}

fn after_a_drain(ending: &Ending, commands: &NextCommands) -> Advice {
    match ending.drained {
        Some(DrainReason::Halted) => go_on(
            "find out why so many failed, and put that right; then go on (one more failure stops it again)",
            commands,
        ),
        Some(DrainReason::Window) if commands.deadline_is_over => {
            let command = commands.resume_with(&[("deadline", "off")]);
            advice(with_leave("the plan's time is over; if it is to go on without a deadline", commands), command)
        }
        Some(DrainReason::Window) => go_on("go on when there is time: it waits for the window to open", commands),
        Some(DrainReason::Unapproved) => match ending.unreleased.as_ref() {
            Some(stage) if stage.wave.is_some() => {
                let wave = stage.wave.as_deref().unwrap_or_default();
                let what = match stage.part {
                    Part::Canary => "",
                    Part::Rest => "the rest of ",
                };
                let say = format!("nobody released {what}wave `{}` in time; with leave for it: go on", plain(wave));
                advice(with_leave(&say, commands), commands.resume_approving(wave))
            }
            Some(_) | None => go_on("nobody released what came next in time; go on", commands),
        },
        Some(DrainReason::Operator) if commands.stop_file().is_some() => {
            let file = plain(commands.stop_file().unwrap_or_default());
            go_on(&format!("go on with what is left, once the stop file `{file}` is gone"), commands)
        }
        Some(DrainReason::JournalClosed | DrainReason::JournalGone) => {
            go_on("once the journal can be written: go on with what is left", commands)
        }
        Some(
            DrainReason::HungUp
            | DrainReason::Interrupted
            | DrainReason::Terminated
            | DrainReason::Panicked
            | DrainReason::Operator,
        )
        | None => go_on("go on with what is left", commands),
    }
}

/// What to do about a row that somebody else moved after it was settled.
#[must_use]
pub(crate) fn moved(seen: &SeenState, commands: &NextCommands, source_id: &str) -> Advice {
    let seen = plain(&seen.to_string());
    let say = format!("somebody else moved it since, and it was seen in {seen}: find out who, before anything is sent");
    advice(say, commands.show(source_id))
}

/// Where a row's whole story is told.
#[must_use]
pub(crate) fn story(source_id: &str, commands: &NextCommands) -> Advice {
    advice("the whole story of a row", commands.explain(source_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_off_target_names_the_command_that_opens_it_again() {
        let commands = NextCommands::for_tests("r1", &[]);
        for verdict in Verdict::ALL {
            let next = next(Phase::Settled(verdict), None, &commands, "vm-1");
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

    #[test]
    fn while_a_run_goes_on_nothing_is_advised_that_would_be_turned_away() {
        let mut commands = NextCommands::for_tests("r1", &[]);
        commands.goes_on = true;
        let phases = [Phase::Untried, Phase::Due, Phase::Open, Phase::InDoubt, Phase::Accepted];
        for phase in phases.into_iter().chain(Verdict::ALL.map(Phase::Settled)) {
            let next = next(phase, None, &commands, "vm-1");
            assert!(next.is_none_or(|next| next.command == "cutover status r1 --watch"), "{phase:?}");
        }
    }

    #[test]
    fn rows_that_are_blocked_for_different_reasons_need_different_advice() {
        let commands = NextCommands::for_tests("r1", &[]);
        let say = |reason: &str| {
            next(Phase::Settled(Verdict::Blocked), Some(reason), &commands, "vm-1").map(|advice| advice.say).unwrap()
        };
        let kinds = [
            "skipped by ops@jump-1: not tonight",
            "the plan expects copystate `syncing`, seen is `error`",
            "a server in `deleting` answers success and changes nothing",
            "the service does not know this source",
            "something new",
        ]
        .map(say);
        for (n, one) in kinds.iter().enumerate() {
            assert!(!kinds[..n].contains(one), "{one}");
        }
    }

    #[test]
    fn what_was_not_begun_is_gone_on_with_after_its_cause_is_dealt_with() {
        let commands = NextCommands::for_tests("r1", &[("window", "22:00-04:00"), ("yes", "on")]);
        let first = |code: Exit, ending: Ending| left(Some(code.code()), &ending, false, &commands)[0].command.clone();
        let refused = |refusal| first(Exit::Refused, Ending { refusal: Some(refusal), ..Ending::default() });
        let drained = |reason| first(Exit::Halted, Ending { drained: Some(reason), ..Ending::default() });
        let on = "cutover resume r1 --window 22:00-04:00 --yes";
        assert_eq!(refused(Refusal::Irreversible), "cutover resume r1 --allow-irreversible --window 22:00-04:00 --yes");
        assert_eq!(
            refused(Refusal::TooMany { changes: 7 }),
            "cutover resume r1 --max-changes 7 --window 22:00-04:00 --yes"
        );
        assert_eq!(refused(Refusal::Drift), "cutover plan plan.csv -o plan.csv --force");
        assert_eq!(refused(Refusal::NotAgreed), on);
        assert_eq!(first(Exit::Credentials, Ending::default()), "cutover doctor");
        assert_eq!(first(Exit::Unreachable, Ending::default()), "cutover doctor");
        for reason in [DrainReason::Halted, DrainReason::Window, DrainReason::Operator, DrainReason::Interrupted] {
            assert_eq!(drained(reason), on);
        }
    }

    #[test]
    fn a_lane_that_stopped_and_a_stop_file_are_seen_to_first() {
        let stopped = Ending { drained: Some(DrainReason::Operator), ..Ending::default() };
        let commands = NextCommands::for_tests("r1", &[("stop_file", "/run/stop")]);
        let told = |any_lane_stopped| left(Some(Exit::Halted.code()), &stopped, any_lane_stopped, &commands);
        assert_eq!(told(true)[0].command, "cutover doctor");
        let [only] = &told(false)[..] else { panic!("{:?}", told(false)) };
        assert!(only.say.contains("once the stop file `/run/stop` is gone"), "{}", only.say);
    }
}
