//! Advice on what to do next, for each way in which a row can stand: one table, shared by every report.

use std::fmt;

use super::next::{IRREVERSIBLE, NextCommands};
use crate::control::CONTROL;
use crate::event::{DrainReason, Ground, LaneStop, Refusal, Verdict};
use crate::exit::Exit;
use crate::journal::read::causes::Cause;
use crate::journal::read::ending::Ending;
use crate::ledger::Phase;
use crate::model::SeenState;
use crate::waves::{Part, Stage};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::shell::shell_word;

/// Meaning of a row's standing, in one line.
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

/// Advice to a person about a row, and the command that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) say: String,
    pub(crate) command: String,
}

fn advice(say: impl Into<String>, command: String) -> Advice {
    Advice { say: say.into(), command }
}

/// Rows that an advice is about, as its command names them: one by its id, or all that have a verdict for one cause.
#[derive(Clone, Copy)]
enum Selection<'a> {
    Row,
    Alike { cause: &'a str, n_rows: u64 },
}

/// Servers that an advice is about, as its sentence names them: `n` of them, `id` as the example.
struct AffectedServers<'a> {
    id: &'a str,
    n: u64,
}

impl AffectedServers<'_> {
    fn are_many(&self) -> bool {
        self.n > 1
    }

    /// Returns "retry", or "retry all N" where there are several.
    fn retry(&self) -> String {
        if self.are_many() { format!("retry all {}", self.n) } else { "retry".to_owned() }
    }

    /// Returns the first text for a single server and the second for several.
    fn one_or<'b>(&self, one: &'b str, many: &'b str) -> &'b str {
        if self.are_many() { many } else { one }
    }
}

/// Writes one server by its id, and several by their number and an example.
impl fmt::Display for AffectedServers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, n } = self;
        if self.are_many() { write!(f, "these {n} servers, such as {id},") } else { f.write_str(id) }
    }
}

/// Returns what to do about a row with this standing and ground; `None` where nothing is to be done.
#[must_use]
pub(crate) fn next(phase: Phase, ground: Option<Ground>, commands: &NextCommands, source_id: &str) -> Option<Advice> {
    told(phase, ground, commands, (source_id, Selection::Row))
}

fn told(phase: Phase, ground: Option<Ground>, commands: &NextCommands, rows: (&str, Selection<'_>)) -> Option<Advice> {
    let next = of_standing(phase, ground, commands, rows)?;
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

/// Returns the advice that holds while no launch holds the run.
fn of_standing(
    phase: Phase,
    ground: Option<Ground>,
    commands: &NextCommands,
    (source_id, meant): (&str, Selection<'_>),
) -> Option<Advice> {
    match phase {
        Phase::Untried | Phase::Due => Some(go_on("go on with what is left", commands)),
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            Some(advice("look at what is in doubt; nothing is sent", commands.reconcile()))
        }
        Phase::Settled(verdict) => {
            let n = match meant {
                Selection::Row => 1,
                Selection::Alike { n_rows, .. } => n_rows,
            };
            let say = before_a_retry(verdict, ground, &AffectedServers { id: &plain(source_id), n })?;
            let say = with_leave(&say, commands) + &commands.besides();
            let proves: &[(&str, &str)] = if ground == Some(Ground::NotVerified) { &[("verify", "on")] } else { &[] };
            let command = match meant {
                Selection::Row => commands.retry_row(source_id, proves),
                Selection::Alike { cause, .. } => commands.retry(verdict, cause, proves),
            };
            Some(advice(say, command))
        }
    }
}

/// Returns what has to be put right before rows are opened again; `None` where they are on target.
fn before_a_retry(verdict: Verdict, ground: Option<Ground>, servers: &AffectedServers<'_>) -> Option<String> {
    if let Some(obstacle) = ground.and_then(|ground| about_obstacle(ground, servers)) {
        return Some(obstacle);
    }
    Some(match verdict {
        Verdict::Applied | Verdict::Already => return None,
        Verdict::Unverified => format!("look at {servers} in the console, or retry: it looks before anything is sent"),
        Verdict::NoEffect => {
            format!("some states need a task action (start, stop, cutover) and not an update; then {}", servers.retry())
        }
        Verdict::Overtaken => {
            let servers = servers.to_string();
            format!("find out who moved {}; retry only if the target still holds", servers.trim_end_matches(','))
        }
        Verdict::Refused => format!("read what the service said, and put that right; then {}", servers.retry()),
        Verdict::Failed => format!("{} once the service and the network are well", servers.retry()),
        Verdict::Blocked => format!("find out what keeps {servers} from being sent, or correct the plan; then retry"),
    })
}

/// Returns the advice about a ground that keeps rows from being sent, which is the same whether or not they were sent before;
/// `None` for grounds that keep nothing back.
fn about_obstacle(ground: Ground, servers: &AffectedServers<'_>) -> Option<String> {
    Some(match ground {
        Ground::UnknownSource => format!(
            "look up the {} and which account {}; then retry",
            if servers.are_many() { format!("ids of {servers}") } else { format!("id {servers},") },
            servers.one_or("it belongs to", "each belongs to")
        ),
        Ground::NotAsExpected => format!(
            "find out why {servers} {are} not where the plan expects {them}; retry once {they} there, or correct the plan \
             and run that",
            are = servers.one_or("is", "are"),
            them = servers.one_or("it", "them"),
            they = servers.one_or("it is", "they are"),
        ),
        Ground::IgnoresUpdates => format!(
            "bring {servers} into a state in which the service takes updates (start, stop or clear {} in the console); \
             then retry",
            servers.one_or("its task", "their tasks")
        ),
        Ground::Unsayable => format!(
            "name the other half of the pair in the plan, or speak another edition (--dialect); then {}",
            servers.retry()
        ),
        Ground::Skipped => format!(
            "somebody skipped {}: ask them; retry only if {} to be sent after all",
            servers.one_or("it", "these rows"),
            servers.one_or("it is", "they are")
        ),
        Ground::NotVerified => {
            "verification was switched off: retry, which looks before anything is sent, proves it".to_owned()
        }
        Ground::Unseen | Ground::NeverShown => return None,
    })
}

/// Adds the flag that gives leave for targets without a way back, where such leave is needed and was not given.
fn with_leave(say: &str, commands: &NextCommands) -> String {
    if commands.lacks_leave {
        return format!("{say} (with --allow-irreversible, if targets without a way back are meant)");
    }
    say.to_owned()
}

fn go_on(say: &str, commands: &NextCommands) -> Advice {
    advice(with_leave(say, commands), commands.resume())
}

/// Returns what to do about the rows that have one cause, whatever the service's text for each of them.
#[must_use]
pub(crate) fn of_cause(cause: &Cause, commands: &NextCommands) -> Option<Advice> {
    let verdict = Verdict::named(&cause.verdict)?;
    let meant = Selection::Alike { cause: &cause.cause, n_rows: cause.n_alike };
    let next = told(Phase::Settled(verdict), cause.ground, commands, (&cause.example, meant))?;
    // The advice about an obstacle names it. Any other advice is the same for all causes of a verdict, so that the cause is put
    // in front where the verdict has several.
    let say = match (cause.ground, commands.mixed.contains(&verdict)) {
        (None, true) => format!("{}: {}", cause.cause, next.say),
        (None, false) | (Some(_), _) => next.say,
    };
    Some(Advice { say, ..next })
}

/// Returns the same for a report with a line for each text: a single row among others with the same cause is named by its id.
#[must_use]
pub(crate) fn of_text(cause: &Cause, commands: &NextCommands) -> Option<Advice> {
    if cause.n_rows == 1 && cause.n_alike > 1 {
        let verdict = Verdict::named(&cause.verdict)?;
        return next(Phase::Settled(verdict), cause.ground, commands, &cause.example);
    }
    of_cause(cause, commands)
}

/// Tells whether one command retries the rows of both causes.
pub(crate) fn is_same(one: &Cause, other: &Cause) -> bool {
    one.verdict == other.verdict && one.cause == other.cause
}

/// Returns what to do about rows that count as on target because verification was switched off.
#[must_use]
pub(crate) fn unproven(n_rows: u64, commands: &NextCommands) -> Advice {
    let (rows, counts) = (count(n_rows, "row"), if n_rows == 1 { "counts" } else { "count" });
    let say = format!("{rows} {counts} as on target only because verification was switched off");
    if commands.goes_on {
        return advice(format!("{say}: to be proven once the run has ended"), commands.watch());
    }
    let say = format!("{say}: to prove it, retry, which looks before anything is sent{}", commands.besides());
    let command = commands.retry(Verdict::Unverified, Ground::NotVerified.name(), &[("verify", "on")]);
    advice(with_leave(&say, commands), command)
}

/// Returns what to do about rows that were not begun, from how the last launch ended. The last step is the command that goes on.
pub(crate) fn left(code: Option<u8>, ending: &Ending, in_doubt: bool, commands: &NextCommands) -> Vec<Advice> {
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
    if ended(Exit::Refused) {
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
            "the service did not let us in: this shows which credentials are used, and what they may do"
        }
        LaneStop::NoCredentials => "no credentials could be fetched: this shows where they come from",
        LaneStop::Barred => {
            "the account, its project or this address is barred: have that lifted; this shows whether it was"
        }
        LaneStop::Forbidden => {
            "the credentials may not change sources: have that allowed; this shows which are used, and what they may do"
        }
        LaneStop::Unreachable => "the service could not be reached: this shows which step fails",
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
        DrainReason::Window if commands.has_window => {
            "go on when there is time: it waits for the window to open".to_owned()
        }
        DrainReason::Window => "there was no time left: go on when there is".to_owned(),
        DrainReason::Unapproved => match ending.unreleased.as_ref().and_then(released_as) {
            Some((what, wave)) => {
                let say = format!("nobody released {what} in time; go on with leave for it");
                return vec![advice(with_leave(&say, commands), commands.resume_approving(wave))];
            }
            None => "nobody released what came next in time; go on".to_owned(),
        },
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

/// Returns what to do about a row that somebody else moved after it was settled.
#[must_use]
pub(crate) fn moved(seen: &SeenState, commands: &NextCommands, source_id: &str) -> Advice {
    let seen = plain(&seen.to_string());
    let say = format!("somebody else moved it since, and it was seen in {seen}: find out who, before anything is sent");
    advice(say, commands.show(source_id))
}

/// Returns the command that tells a row's whole story.
#[must_use]
pub(crate) fn story(source_id: &str, commands: &NextCommands) -> Advice {
    advice("the whole story of a row", commands.explain(source_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::By;

    fn all_phases() -> impl Iterator<Item = Phase> {
        let open = [Phase::Untried, Phase::Due, Phase::Open, Phase::InDoubt, Phase::Accepted];
        open.into_iter().chain(Verdict::ALL.map(Phase::Settled))
    }

    #[test]
    fn every_row_off_target_names_the_command_that_opens_it_again_and_no_other() {
        let commands = NextCommands::for_tests("r1", &[]);
        for verdict in Verdict::ALL {
            let next = next(Phase::Settled(verdict), None, &commands, "vm-1");
            let expected = (!verdict.on_target()).then_some("cutover retry r1 --row vm-1");
            assert_eq!(next.as_ref().map(|next| next.command.as_str()), expected, "{verdict}");
        }
    }

    fn cause(verdict: Verdict, ground: Option<Ground>, error_code: Option<&str>) -> Cause {
        Cause {
            verdict: verdict.name().to_owned(),
            cause: crate::ledger::cause::word(ground, error_code, None),
            error_code: error_code.map(str::to_owned),
            text: String::new(),
            n_rows: 1,
            n_alike: 1,
            example: "vm-1".to_owned(),
            ground,
        }
    }

    #[test]
    fn a_command_for_one_cause_takes_no_rows_of_another() {
        let mut commands = NextCommands::for_tests("r1", &[]);
        let command = |commands: &NextCommands, verdict, ground, code| {
            of_cause(&cause(verdict, ground, code), commands).unwrap().command
        };
        let refused = (Verdict::Refused, None, Some("SMS.9004"));
        assert_eq!(command(&commands, refused.0, refused.1, refused.2), "cutover retry r1 --only refused");
        let skipped = (Verdict::Blocked, Some(Ground::Skipped), None);
        assert_eq!(command(&commands, skipped.0, skipped.1, skipped.2), "cutover retry r1 --only skipped");
        commands.mixed = Verdict::ALL.to_vec();
        for (verdict, ground, code, only) in [
            (refused.0, refused.1, refused.2, "refused:SMS.9004"),
            (skipped.0, skipped.1, skipped.2, "skipped"),
            (Verdict::Blocked, Some(Ground::IgnoresUpdates), None, "blocked:ignores_updates"),
            (Verdict::NoEffect, None, None, "no_effect:other"),
        ] {
            assert_eq!(command(&commands, verdict, ground, code), format!("cutover retry r1 --only {only}"));
        }
    }

    #[test]
    fn a_command_that_takes_several_rows_speaks_of_all_of_them() {
        let commands = NextCommands::for_tests("r1", &[]);
        let alike = |verdict, ground, n_rows, n_alike| Cause { n_rows, n_alike, ..cause(verdict, ground, None) };
        let (blocked, ignores) = (Verdict::Blocked, Some(Ground::IgnoresUpdates));
        let say = |cause: &Cause| of_cause(cause, &commands).unwrap().say;
        assert!(say(&alike(blocked, ignores, 1, 1)).starts_with("bring vm-1 into a state"));
        let of_three = say(&alike(blocked, ignores, 3, 3));
        assert!(of_three.starts_with("bring these 3 servers, such as vm-1, into a state"), "{of_three}");
        for ground in [None, Some(Ground::UnknownSource), Some(Ground::NotAsExpected), ignores] {
            let told = say(&alike(blocked, ground, 2, 2));
            assert!(told.contains("these 2 servers, such as vm-1, ") && !told.contains(" it "), "{told}");
        }
        // With several texts for one cause, a line says how many rows its command takes, and a single row has its own line and
        // command.
        let (four, one) = (alike(Verdict::NoEffect, None, 4, 5), alike(Verdict::NoEffect, None, 1, 5));
        for told in [of_cause(&four, &commands), of_cause(&one, &commands), of_text(&four, &commands)] {
            let Advice { say, command } = told.unwrap();
            assert_eq!(command, "cutover retry r1 --only no_effect");
            assert!(say.ends_with("; then retry all 5"), "{say}");
        }
        let Advice { say, command } = of_text(&one, &commands).unwrap();
        assert_eq!(command, "cutover retry r1 --row vm-1");
        assert!(say.ends_with("; then retry"), "{say}");
    }

    #[test]
    fn while_a_run_goes_on_nothing_is_advised_that_would_be_turned_away() {
        let mut commands = NextCommands::for_tests("r1", &[]);
        commands.goes_on = true;
        for phase in all_phases() {
            let next = next(phase, None, &commands, "vm-1");
            assert!(next.is_none_or(|next| next.command == "cutover status r1 --watch"), "{phase:?}");
        }
        assert_eq!(unproven(1, &commands).command, "cutover status r1 --watch");
    }

    #[test]
    fn rows_that_are_blocked_for_different_reasons_need_different_advice() {
        let commands = NextCommands::for_tests("r1", &[]);
        let say =
            |ground| next(Phase::Settled(Verdict::Blocked), ground, &commands, "vm-1").map(|next| next.say).unwrap();
        let obstacles = [
            Some(Ground::UnknownSource),
            Some(Ground::NotAsExpected),
            Some(Ground::IgnoresUpdates),
            Some(Ground::Unsayable),
            Some(Ground::Skipped),
            None,
        ];
        let kinds = obstacles.map(say);
        for (n, one) in kinds.iter().enumerate() {
            assert!(!kinds[..n].contains(one), "{one}");
        }
    }

    #[test]
    fn what_nobody_wanted_proven_is_proven_with_verification_on() {
        let commands = NextCommands::for_tests("r1", &[("verify", "off")]);
        let Advice { say, command } = unproven(13, &commands);
        assert_eq!(command, "cutover retry r1 --only unverified --verify on");
        assert!(say.starts_with("13 rows count as on target only because verification was switched off"), "{say}");
    }

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
            DrainReason::Operator,
        ] {
            let (exit, word, commands) = match reason {
                DrainReason::Interrupted => (Exit::Interrupted, "go on with what is left", on()),
                DrainReason::Terminated => (Exit::Terminated, "go on with what is left", on()),
                DrainReason::HungUp => (Exit::HungUp, "go on with what is left", on()),
                DrainReason::JournalClosed => (Exit::Internal, "journal can be written", on()),
                DrainReason::JournalGone => (Exit::Internal, "saved", on()),
                DrainReason::Panicked => (Exit::Internal, "a bug", on()),
                DrainReason::Halted => (Exit::Halted, "what failed", on()),
                DrainReason::StageLeft => (Exit::Halted, "reconcile what is in doubt first", on()),
                DrainReason::Window => (Exit::Halted, "waits for the window to open", on()),
                DrainReason::TooLong => {
                    let all_the_same = with("--ignore-forecast");
                    (Exit::Halted, "not have ended in time", [on(), all_the_same].concat())
                }
                DrainReason::Unapproved => (Exit::Halted, "nobody released what came next", on()),
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
                LaneStop::Unauthenticated => (Exit::Credentials, "did not let us in", looked()),
                LaneStop::NoCredentials => (Exit::Credentials, "where they come from", looked()),
                LaneStop::Barred => (Exit::Credentials, "is barred", looked()),
                LaneStop::Forbidden => (Exit::Credentials, "may not change sources", looked()),
                LaneStop::Unreachable => (Exit::Unreachable, "could not be reached", looked()),
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
        case(Exit::Credentials, Ending::default(), "did not let us in", looked());
        case(Exit::Unreachable, Ending::default(), "could not be reached", looked());
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
            let steps = left(Some(exit.code()), &ending, true, &commands);
            assert!(steps.iter().any(|step| step.say.contains(word)), "{ending:?}: {steps:#?}");
            let typed: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
            assert_eq!(typed, expected, "{ending:?}");
            let of_failures = steps.iter().any(|step| step.say.contains("failed"));
            assert_eq!(of_failures, ending.drained == Some(DrainReason::Halted), "{steps:#?}");
        }
        let pending = left(Some(Exit::Halted.code()), &drained(DrainReason::StageLeft), false, &commands);
        assert!(
            pending[0].say.contains("could not be dealt with") && !pending[0].say.contains("doubt"),
            "{pending:#?}"
        );
    }

    #[test]
    fn a_deadline_that_is_over_is_told_as_that() {
        let say = |commands: &NextCommands| left(Some(4), &drained(DrainReason::Window), false, commands).remove(0);
        let mut commands = NextCommands::for_tests("r1", &[]);
        assert!(say(&commands).say.contains("no time left"));
        commands.given_deadline_is_over = true;
        assert!(say(&commands).say.contains("the deadline that was given is over"));
        commands.deadline_is_over = true;
        assert_eq!(say(&commands).command, "cutover resume r1 --deadline off");

        let mut commands = NextCommands::for_tests("r1", &[("deadline", "2026-11-27T15:13:02Z")]);
        commands.has_deadline = true;
        let steps = left(Some(4), &drained(DrainReason::TooLong), false, &commands);
        let typed: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        let all_the_same = "cutover resume r1 --deadline 2026-11-27T15:13:02Z --ignore-forecast";
        assert_eq!(typed, ["cutover resume r1 --deadline off", all_the_same]);
    }

    #[test]
    fn a_new_seal_is_approved_again() {
        let mut commands = NextCommands::for_tests("r1", &[]);
        commands.require_approvals = 2;
        let ending = Ending { refusal: Some(Refusal::Drift), ..Ending::default() };
        let steps = left(Some(Exit::Refused.code()), &ending, false, &commands);
        assert_eq!(steps[1].command, "cutover approve plan.csv --as NAME");
        assert!(steps[1].say.contains("2 approvals again"), "{steps:#?}");
    }
}
