//! Advice about rows, from their standing and the cause of their verdict.

use std::fmt;

use super::step::{Advice, advice, go_on, with_leave};
use crate::event::verdict::{Ground, Verdict};
use crate::journal::read::causes::Cause;
use crate::ledger::standing::Phase;
use crate::model::state::SeenState;
use crate::report::next::NextCommands;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

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
}
