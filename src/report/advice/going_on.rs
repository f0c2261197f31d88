//! Advice about rows that were not begun, from how the last launch ended.

use super::step::{Advice, advice, go_on, with_leave};
use crate::control::CONTROL;
use crate::event::lane::LaneStop;
use crate::event::run::{DrainReason, Refusal};
use crate::exit::Exit;
use crate::journal::read::ending::Ending;
use crate::report::next::NextCommands;
use crate::report::next::given::IRREVERSIBLE;
use crate::waves::{Part, Stage};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::shell::shell_word;

/// Returns what to do about rows that were not begun, from how the last launch ended. The last step is the command that goes on.
pub(crate) fn steps(code: Option<u8>, ending: &Ending, in_doubt: bool, commands: &NextCommands) -> Vec<Advice> {
    if let Some(refusal) = ending.refusal {
        return refused(refusal, commands);
    }
    if !ending.stopped.is_empty() {
        let mut steps: Vec<Advice> = Vec::new();
        for step in ending.stopped.iter().filter_map(|cause| of_lane_stop(*cause, commands)) {
            if !steps.iter().any(|known| known.say == step.say) {
                steps.push(step);
            }
        }
        let say = if ending.stopped == [LaneStop::Throttled] {
            "the service took no more requests: go on later, or slower (--rate)"
        } else {
            "once that is put right: go on with what is left (another endpoint is another run of the plan)"
        };
        match ending.drained {
            Some(reason) => steps.extend(after_a_drain(reason, ending, in_doubt, commands)),
            None => steps.push(go_on(say, commands)),
        }
        return steps;
    }
    let ended = |exit: Exit| code == Some(exit.code());
    if ended(Exit::Credentials) {
        let step = of_lane_stop(LaneStop::Unauthenticated, commands);
        return step.into_iter().chain([go_on("once they are put right: go on with what is left", commands)]).collect();
    }
    if ended(Exit::Refused) && ending.drained != Some(DrainReason::Vetoed) {
        return vec![go_on("once what it says is put right: go on", commands)];
    }
    if ended(Exit::Unreachable) {
        let step = of_lane_stop(LaneStop::Unreachable, commands);
        let say = "once it answers: go on with what is left (another endpoint is another run of the plan)";
        return step.into_iter().chain([go_on(say, commands)]).collect();
    }
    match ending.drained {
        Some(reason) => after_a_drain(reason, ending, in_doubt, commands),
        None if ended(Exit::Halted) => {
            vec![go_on("once what stopped it is put right: go on with what is left", commands)]
        }
        None => vec![anew("go on with what is left", ending, commands)],
    }
}

/// Returns what comes before going on with a run that somebody paused: its pause holds for the next launch as well.
pub(crate) fn lift_pause(commands: &NextCommands) -> Advice {
    advice("it is paused, so that no launch begins: lift that first", commands.goes_on_after_pause())
}

fn refused(refusal: Refusal, commands: &NextCommands) -> Vec<Advice> {
    match refusal {
        Refusal::Irreversible => {
            let say = "read the plan again; if targets without a way back are meant, go on with leave for them";
            vec![advice(say, commands.resume_with(&[(IRREVERSIBLE, "on")]))]
        }
        Refusal::TooMany { changes } => {
            let say = with_leave("if so many are to be changed, go on with leave for them", commands);
            vec![advice(say, commands.resume_with(&[("max_changes", &changes.to_string())]))]
        }
        Refusal::Drift => {
            let say = "find out who moved the servers; then seal the plan again, for where they are now";
            let mut steps = vec![advice(say, commands.seal_again())];
            if commands.require_approvals > 0 {
                let needed = count(commands.require_approvals.into(), "approval");
                let say = format!("a new seal has no approvals: it needs {needed} again");
                steps.push(advice(say, commands.approve()));
            }
            steps.push(advice(with_leave("then run the plan", commands), commands.run_again()));
            steps
        }
        Refusal::NotAgreed => vec![go_on("if it is meant after all: go on", commands)],
    }
}

/// Returns the look to take before going on in an account that was stopped; `None` where only waiting for the service helps.
fn of_lane_stop(cause: LaneStop, commands: &NextCommands) -> Option<Advice> {
    let say = match cause {
        LaneStop::Unauthenticated => {
            "this shows which credentials are used, and what they may do, by a try of its own (six wrong ones lock a key for five \
             minutes, for everybody who uses it)"
        }
        LaneStop::NoCredentials => "no credentials could be fetched: this shows where they come from",
        LaneStop::Barred => {
            "the account, its project or this address is barred: have that lifted; this shows whether it was"
        }
        LaneStop::Forbidden => {
            "the credentials may not change sources: have that allowed; this shows which are used, and what they may do"
        }
        LaneStop::Unreachable => "this shows which step fails",
        LaneStop::NotTheService => {
            "something in between answered, such as a proxy, a firewall or a log-in page: this shows what answers"
        }
        LaneStop::Throttled => return None,
    };
    Some(advice(say, commands.doctor()))
}

fn after_a_drain(reason: DrainReason, ending: &Ending, in_doubt: bool, commands: &NextCommands) -> Vec<Advice> {
    let say = match reason {
        DrainReason::Halted => {
            "find out what failed, and put that right; then go on (the limit that stopped it still holds)".to_owned()
        }
        DrainReason::StageLeft if in_doubt => {
            "reconcile what is in doubt first: nothing behind a wave begins before that is known; then go on".to_owned()
        }
        DrainReason::StageLeft => {
            "rows of a wave could not be dealt with, and nothing behind it begins before that: find out why; then go on"
                .to_owned()
        }
        DrainReason::TooLong => {
            let all_the_same = commands.resume_with(&[("ignore_forecast", "on")]);
            // Waiting does not help before a deadline: the time left only shrinks.
            let first = if commands.has_deadline {
                let say = "it would not have ended before the deadline: go on without one, or with a later one (--deadline TIME)";
                advice(with_leave(say, commands), commands.resume_with(&[("deadline", "off")]))
            } else {
                go_on("it would not have ended in time: go on when there is enough of it", commands)
            };
            return vec![first, advice(with_leave("or go on although it may not end in time", commands), all_the_same)];
        }
        DrainReason::Window if commands.deadline_is_over => {
            let say = "the plan's time is over; if it is to go on without a deadline";
            return vec![advice(with_leave(say, commands), commands.resume_with(&[("deadline", "off")]))];
        }
        DrainReason::Window if commands.given_deadline_is_over => {
            "the deadline that was given is over; go on without one, or with another (--deadline)".to_owned()
        }
        DrainReason::Window if commands.has_window => "go on when there is time".to_owned(),
        DrainReason::Window => "there was no time left: go on when there is".to_owned(),
        DrainReason::Unapproved => match ending.unreleased.as_ref().and_then(released_as) {
            Some((what, wave)) => {
                let say = format!("nobody released {what} in time; go on with leave for it");
                return vec![advice(with_leave(&say, commands), commands.resume_approving(wave))];
            }
            None => "nobody released what came next in time; go on".to_owned(),
        },
        DrainReason::Vetoed => {
            "a hook said no, and what it said is in the reason: put that right; then go on (it is asked again, and \
             hooks of the plan as that was: a changed plan is another run)"
                .to_owned()
        }
        DrainReason::NotBegun => {
            return vec![anew("it could not begin in the time that it was given: go on when it can", ending, commands)];
        }
        DrainReason::Operator => match ending.by.as_ref().filter(|by| by.via != CONTROL) {
            Some(by) => format!("once {} is gone: go on with what is left", plain(&by.via)),
            None => return vec![anew("go on with what is left", ending, commands)],
        },
        DrainReason::JournalClosed => "once the journal can be written: go on with what is left".to_owned(),
        DrainReason::JournalGone => {
            "the journal went away, and this is what was saved of it: go on with this, or put it in its place"
                .to_owned()
        }
        DrainReason::Panicked => {
            "this is a bug, and worth a report; go on: what is in doubt is looked at before anything is sent".to_owned()
        }
        DrainReason::HungUp | DrainReason::Interrupted | DrainReason::Terminated => {
            return vec![anew("go on with what is left", ending, commands)];
        }
    };
    vec![go_on(&say, commands)]
}

/// Goes on from where the run was; where that was a wait for a release, says that it waits again.
fn anew(say: &str, ending: &Ending, commands: &NextCommands) -> Advice {
    match ending.unreleased.as_ref().and_then(released_as) {
        Some((what, wave)) => {
            let say = format!(
                "{say}: it waits again until somebody releases {what}, or give leave with it ({})",
                approving(wave)
            );
            go_on(&say, commands)
        }
        None => go_on(say, commands),
    }
}

fn approving(wave: &str) -> String {
    format!("--approve {}", shell_word(wave))
}

/// Returns the part of a wave that waits to be released, in words, and the wave's name.
fn released_as(stage: &Stage) -> Option<(String, &str)> {
    let wave = stage.wave.as_deref()?;
    let what = match stage.part {
        Part::Canary => "",
        Part::Rest => "the rest of ",
    };
    Some((format!("{what}wave `{}`", plain(wave)), wave))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::By;

    const ON: &str = "cutover resume r1 --window 22:00-04:00 --yes";
    const DOCTOR: &str = "cutover doctor";

    fn stage(part: Part) -> Stage {
        Stage { wave_no: 1, wave: Some("the second".to_owned()), part }
    }

    fn drained(reason: DrainReason) -> Ending {
        Ending { drained: Some(reason), ..Ending::default() }
    }

    /// A launch that ended with rows left, a word of the advice about it, and its commands in order.
    type Case = (Exit, Ending, &'static str, Vec<String>);

    fn on() -> Vec<String> {
        vec![ON.to_owned()]
    }

    fn with(flag: &str) -> Vec<String> {
        vec![ON.replace(" --window", &format!(" {flag} --window"))]
    }

    fn looked() -> Vec<String> {
        vec![DOCTOR.to_owned(), ON.to_owned()]
    }

    fn drains() -> Vec<Case> {
        let mut all = Vec::new();
        for reason in [
            DrainReason::Interrupted,
            DrainReason::Terminated,
            DrainReason::HungUp,
            DrainReason::JournalClosed,
            DrainReason::JournalGone,
            DrainReason::Panicked,
            DrainReason::Halted,
            DrainReason::StageLeft,
            DrainReason::Window,
            DrainReason::TooLong,
            DrainReason::Unapproved,
            DrainReason::Vetoed,
            DrainReason::NotBegun,
            DrainReason::Operator,
        ] {
            let (exit, word, commands) = match reason {
                DrainReason::Interrupted => (Exit::Interrupted, "go on with what is left", on()),
                DrainReason::Terminated => (Exit::Terminated, "go on with what is left", on()),
                DrainReason::HungUp => (Exit::HungUp, "go on with what is left", on()),
                DrainReason::JournalClosed => (Exit::Internal, "journal can be written", on()),
                DrainReason::JournalGone => (Exit::Internal, "saved", on()),
                DrainReason::Panicked => (Exit::Internal, "a bug", on()),
                DrainReason::Halted => {
                    (Exit::Halted, "still holds); outside of the window it waits; --window off lifts it", on())
                }
                DrainReason::StageLeft => (Exit::Halted, "reconcile what is in doubt first", on()),
                DrainReason::Window => (Exit::Halted, "outside of the window it waits; --window off lifts it", on()),
                DrainReason::TooLong => {
                    let all_the_same = with("--ignore-forecast");
                    (Exit::Halted, "not have ended in time", [on(), all_the_same].concat())
                }
                DrainReason::Unapproved => (Exit::Halted, "nobody released what came next", on()),
                DrainReason::Vetoed => (Exit::Refused, "a hook said no", on()),
                DrainReason::NotBegun => (Exit::Halted, "go on when it can", on()),
                DrainReason::Operator => (Exit::Halted, "go on with what is left", on()),
            };
            all.push((exit, drained(reason), word, commands));
        }
        all
    }

    fn lane_stops() -> Vec<Case> {
        let mut all = Vec::new();
        for cause in [
            LaneStop::Unauthenticated,
            LaneStop::NoCredentials,
            LaneStop::Barred,
            LaneStop::Forbidden,
            LaneStop::Unreachable,
            LaneStop::Throttled,
            LaneStop::NotTheService,
        ] {
            let (exit, word, commands) = match cause {
                LaneStop::Unauthenticated => (Exit::Credentials, "six wrong ones lock a key", looked()),
                LaneStop::NoCredentials => (Exit::Credentials, "where they come from", looked()),
                LaneStop::Barred => (Exit::Credentials, "is barred", looked()),
                LaneStop::Forbidden => (Exit::Credentials, "may not change sources", looked()),
                LaneStop::Unreachable => (Exit::Unreachable, "this shows which step fails", looked()),
                LaneStop::Throttled => (Exit::Halted, "slower (--rate)", on()),
                LaneStop::NotTheService => (Exit::Halted, "in between", looked()),
            };
            all.push((exit, Ending { stopped: vec![cause], ..Ending::default() }, word, commands));
        }
        all
    }

    fn others() -> Vec<Case> {
        let mut all = Vec::new();
        let mut case = |exit, ending, word, commands| all.push((exit, ending, word, commands));
        for refusal in [Refusal::Irreversible, Refusal::TooMany { changes: 7 }, Refusal::Drift, Refusal::NotAgreed] {
            let (word, commands) = match refusal {
                Refusal::Irreversible => {
                    ("without a way back", vec![ON.replace(" --window", " --allow-irreversible --window")])
                }
                Refusal::TooMany { .. } => ("so many", with("--max-changes 7")),
                Refusal::Drift => {
                    let run = "cutover run plan.csv --window 22:00-04:00 --yes";
                    (
                        "seal the plan again",
                        vec!["cutover plan plan.csv -o plan.csv --force".to_owned(), run.to_owned()],
                    )
                }
                Refusal::NotAgreed => ("after all", on()),
            };
            case(Exit::Refused, Ending { refusal: Some(refusal), ..Ending::default() }, word, commands);
        }
        // An ending by the exit code alone, as in a run with one account, where no lane was stopped.
        case(Exit::Credentials, Ending::default(), "six wrong ones lock a key", looked());
        case(Exit::Unreachable, Ending::default(), "this shows which step fails", looked());
        case(Exit::Halted, Ending::default(), "what stopped it", on());
        // Halted in one account, and stopped in another.
        let both = Ending { stopped: vec![LaneStop::Throttled, LaneStop::Barred], ..drained(DrainReason::Halted) };
        case(Exit::Credentials, both, "is barred", looked());
        let unreleased = |reason, part| Ending { unreleased: Some(stage(part)), ..drained(reason) };
        let approving = vec![ON.replace("r1", "r1 --approve 'the second'")];
        case(
            Exit::Halted,
            unreleased(DrainReason::Unapproved, Part::Canary),
            "released wave `the second`",
            approving.clone(),
        );
        case(Exit::Halted, unreleased(DrainReason::Unapproved, Part::Rest), "the rest of wave `the second`", approving);
        for reason in [DrainReason::Interrupted, DrainReason::Operator] {
            case(
                Exit::Halted,
                unreleased(reason, Part::Canary),
                "waits again until somebody releases wave `the second`",
                on(),
            );
        }
        let by = By { via: "the file /run/stop".to_owned(), ..By::default() };
        let by_file = Ending { by: Some(by), ..drained(DrainReason::Operator) };
        case(Exit::Halted, by_file, "once the file /run/stop is gone", on());
        all
    }

    #[test]
    fn what_was_not_begun_is_gone_on_with_after_its_cause_is_dealt_with() {
        let mut commands = NextCommands::for_tests("r1", &[("window", "22:00-04:00"), ("yes", "on")]);
        commands.has_window = true;
        for (exit, ending, word, expected) in [drains(), lane_stops(), others()].concat() {
            let steps = steps(Some(exit.code()), &ending, true, &commands);
            assert!(steps.iter().any(|step| step.say.contains(word)), "{ending:?}: {steps:#?}");
            let typed: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
            assert_eq!(typed, expected, "{ending:?}");
            let of_failures = steps.iter().any(|step| step.say.contains("failed"));
            assert_eq!(of_failures, ending.drained == Some(DrainReason::Halted), "{steps:#?}");
        }
        let pending = steps(Some(Exit::Halted.code()), &drained(DrainReason::StageLeft), false, &commands);
        assert!(
            pending[0].say.contains("could not be dealt with") && !pending[0].say.contains("doubt"),
            "{pending:#?}"
        );
    }

    #[test]
    fn a_deadline_that_is_over_is_told_as_that() {
        let say = |commands: &NextCommands| steps(Some(4), &drained(DrainReason::Window), false, commands).remove(0);
        let mut commands = NextCommands::for_tests("r1", &[]);
        assert!(say(&commands).say.contains("no time left"));
        commands.given_deadline_is_over = true;
        assert!(say(&commands).say.contains("the deadline that was given is over"));
        commands.deadline_is_over = true;
        assert_eq!(say(&commands).command, "cutover resume r1 --deadline off");

        let mut commands = NextCommands::for_tests("r1", &[("deadline", "2026-11-27T15:13:02Z")]);
        commands.has_deadline = true;
        let steps = steps(Some(4), &drained(DrainReason::TooLong), false, &commands);
        let typed: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        let all_the_same = "cutover resume r1 --deadline 2026-11-27T15:13:02Z --ignore-forecast";
        assert_eq!(typed, ["cutover resume r1 --deadline off", all_the_same]);
    }

    #[test]
    fn a_new_seal_is_approved_again() {
        let mut commands = NextCommands::for_tests("r1", &[]);
        commands.require_approvals = 2;
        let ending = Ending { refusal: Some(Refusal::Drift), ..Ending::default() };
        let steps = steps(Some(Exit::Refused.code()), &ending, false, &commands);
        assert_eq!(steps[1].command, "cutover approve plan.csv --as NAME");
        assert!(steps[1].say.contains("2 approvals again"), "{steps:#?}");
    }
}
