//! Answer to a monitoring system about runs: a state, one line, and figures.
//! source: Monitoring Plugins Development Guidelines, "Plugin Output for Nagios" and "Performance data"

use super::holder::Holder;
use super::next::given::YES;
use super::runs::not_told;
use super::summary::Summary;
use crate::control::{CONTROL, Paused, Waits};
use crate::exit::PluginState;
use crate::journal::tombstone::{PrunedExit, Tombstone};
use crate::ledger::waiting::WaitsFor;
use crate::values::zone::Zone;
use crate::wording::amounts::count;
use crate::wording::plain::{plain, shortened};

/// Longest text before the figures, in columns: monitoring systems cut lines off, some at a few kilobytes.
const LONGEST: usize = 1_000;
/// Longest text about whoever paused a run, with the reason, in columns: the command that ends the pause stands behind it.
const LONGEST_GIVER: usize = 200;

/// Answer about all the runs that were asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginAnswer {
    pub state: PluginState,
    pub line: String,
}

/// Run that was asked about, with the time zone of its plan.
#[derive(Debug)]
pub(crate) struct PluginRun {
    pub(crate) summary: Summary,
    pub(crate) condition: Condition,
    pub(crate) zone: Zone,
}

/// Condition of a run, by which it needs attention or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// A launch holds it.
    GoesOn {
        /// No stage has begun in a launch that may ask: it looks at the servers, or a person is asked.
        may_ask: bool,
        waits_for: Vec<WaitsFor>,
        /// Accounts that were stopped with rows left.
        n_stopped: usize,
    },
    /// Its launch is gone and recorded no end.
    CutOff,
    /// Its launch recorded no end, and from here nobody can tell whether it goes on.
    OutOfSight,
    Ended {
        code: u8,
        name: String,
        reason: Option<String>,
    },
    /// No launch of it began.
    NotBegun,
}

impl Condition {
    /// Judges a run by its summary and its lock. Verbs that may ask are those that send.
    pub(crate) fn new(summary: &Summary, holder: Holder, has_a_stage: bool) -> Self {
        let is_running = summary.running.is_some();
        match (holder, is_running, summary.exit.code) {
            (Holder::Alive, _, _) => {
                let asks = |verb: &str| matches!(verb, "run" | "resume" | "retry");
                let launch = summary.last_launch.as_ref().filter(|launch| asks(&launch.verb));
                let is_agreed = launch.is_none_or(|launch| launch.given.contains_key(YES));
                let is_stopped = summary.lanes.iter().filter(|lane| lane.settled < lane.rows);
                Condition::GoesOn {
                    may_ask: is_running && !has_a_stage && !is_agreed,
                    waits_for: summary.waits_for(),
                    n_stopped: is_stopped.filter(|lane| lane.lane.stopped.is_some()).count(),
                }
            }
            (Holder::Gone, true, _) => Condition::CutOff,
            (Holder::Unknown, true, _) => Condition::OutOfSight,
            (Holder::Gone | Holder::Unknown, false, Some(code)) => Condition::Ended {
                code,
                name: summary.exit.name.clone().unwrap_or_default(),
                reason: summary.exit.reason.clone().filter(|reason| !reason.is_empty()),
            },
            (Holder::Gone | Holder::Unknown, false, None) => Condition::NotBegun,
        }
    }

    pub(crate) fn state(&self) -> PluginState {
        match self {
            Condition::GoesOn { may_ask: true, .. } => PluginState::Warning,
            Condition::GoesOn { waits_for, n_stopped, may_ask: false } => {
                let needs_a_person = waits_for.iter().any(|waits_for| waits_for.needs_a_person());
                if needs_a_person || *n_stopped > 0 { PluginState::Warning } else { PluginState::Ok }
            }
            Condition::Ended { code: 0, .. } => PluginState::Ok,
            Condition::Ended { .. } | Condition::CutOff | Condition::NotBegun => PluginState::Critical,
            Condition::OutOfSight => PluginState::Unknown,
        }
    }

    fn words(&self, summary: &Summary, zone: &Zone) -> String {
        match self {
            Condition::GoesOn { may_ask, waits_for, n_stopped } => {
                let asked = may_ask.then(|| "it looks at the servers, or asks whether to go on".to_owned());
                let waits = waits_for.iter().flat_map(|waits_for| waiting(*waits_for, summary, zone));
                let stopped = (*n_stopped > 0).then(|| format!("{} stopped", count(*n_stopped as u64, "account")));
                let all: Vec<String> = asked.into_iter().chain(waits).chain(stopped).collect();
                if all.is_empty() { "goes on".to_owned() } else { format!("goes on: {}", all.join(", ")) }
            }
            Condition::CutOff => "was cut off: its launch did not end by itself".to_owned(),
            Condition::OutOfSight => {
                "has not ended, and from this machine nobody can tell whether it goes on".to_owned()
            }
            Condition::Ended { code, name, reason } => ended(*code, name, reason.as_deref()),
            Condition::NotBegun => NOT_BEGUN.to_owned(),
        }
    }
}

const NOT_BEGUN: &str = "was made and never begun";

fn ended(code: u8, name: &str, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
    format!("ended with {code} ({}){reason}", plain(name))
}

/// Says what a run waits for, by whom and why, and the command that ends it: who reads this is not at the run's terminal.
fn waiting(waits_for: WaitsFor, Summary { steering, commands, .. }: &Summary, zone: &Zone) -> Vec<String> {
    let paused = |ends: String, is_it: fn(&str) -> bool| {
        let those = steering.paused.iter().filter(move |paused| is_it(&paused.by.via));
        let told = those.map(|Paused { by, since }| {
            let by = shortened(&plain(&by.to_string()), LONGEST_GIVER);
            format!("paused since {} by {by} ({ends} lets it go on)", zone.shows(*since))
        });
        told.collect()
    };
    match waits_for {
        WaitsFor::Approval | WaitsFor::Soak | WaitsFor::Window => {
            let told = steering.waits.iter().map(|Waits { cause, stage, until, .. }| {
                format!("waits {}", plain(&commands.waiting(*cause, stage, *until, Some(zone))))
            });
            told.collect()
        }
        WaitsFor::Pause => paused(format!("`{}`", commands.goes_on_after_pause()), |via| via == CONTROL),
        WaitsFor::PauseFile => paused("removing the file".to_owned(), |via| via != CONTROL),
        WaitsFor::Quota => vec!["waits for the quota".to_owned()],
    }
}

impl PluginAnswer {
    /// Answers about runs, of which there is at least one: the worst state is that of all.
    pub(crate) fn new(runs: &[PluginRun]) -> Self {
        let state = runs.iter().map(|run| run.condition.state()).max().unwrap_or(PluginState::Unknown);
        let mut worst_first: Vec<&PluginRun> = runs.iter().collect();
        worst_first.sort_by_key(|run| std::cmp::Reverse(run.condition.state()));
        let told: Vec<String> = worst_first.into_iter().map(line_about).collect();
        Self { state, line: format!("{} | {}", line(state, &told.join("; ")), figures(runs)) }
    }

    /// Answers about a run that was taken out of the journal, as its tombstone has it, which has neither its time nor its zone.
    pub(crate) fn of_pruned(Tombstone { run, archive, pruned_at, .. }: &Tombstone, zone: &Zone) -> Self {
        let (state, words) = match &run.exit {
            Some(PrunedExit { code, name, reason }) => {
                let state = if *code == 0 { PluginState::Ok } else { PluginState::Critical };
                (state, ended(*code, name, reason.as_deref()))
            }
            None => (PluginState::Critical, NOT_BEGUN.to_owned()),
        };
        let (rows, on_target) = (u64::from(run.plan.rows), run.on_target);
        let unsettled: u64 = ["pending", "in_doubt"].iter().filter_map(|name| run.verdicts.get(*name)).sum();
        let not_on_target = rows.saturating_sub(on_target + unsettled);
        let text = format!(
            "run {} of {} {words}; {on_target} of {} on target, {unsettled} unsettled; taken out of the journal {}, and its \
             evidence is in the archive {}",
            plain(&run.id),
            plain(&run.plan.path),
            count(rows, "row"),
            zone.shows(*pruned_at),
            plain(&archive.name)
        );
        let figures = figures_of_rows(rows, on_target, not_on_target, unsettled);
        Self { state, line: format!("{} | {figures}", line(state, &text)) }
    }

    /// Answers that nothing can be said, because of this.
    pub(crate) fn unknown(why: &str) -> Self {
        Self { state: PluginState::Unknown, line: line(PluginState::Unknown, &plain(why)) }
    }
}

/// One line without the sign that figures begin with.
fn line(state: PluginState, text: &str) -> String {
    format!("CUTOVER {} - {}", state.name(), shortened(&text.replace('|', "¦"), LONGEST))
}

fn line_about(PluginRun { summary, condition, zone }: &PluginRun) -> String {
    let (run, plan, unsettled) = (plain(&summary.run), plain(&summary.plan.path), summary.n_unsettled());
    let (words, on_target, rows) = (condition.words(summary, zone), summary.on_target, summary.plan.rows);
    format!(
        "run {run} of {plan} {words}; {on_target} of {} on target, {unsettled} unsettled{}",
        count(rows.into(), "row"),
        not_told(summary.undelivered.len() as u64)
    )
}

/// Figures, added up over the runs; the time is that of the longest.
fn figures(runs: &[PluginRun]) -> String {
    let sum = |of: fn(&Summary) -> u64| runs.iter().map(|run| of(&run.summary)).sum::<u64>();
    let elapsed = runs.iter().map(|run| run.summary.elapsed_s).fold(0.0, f64::max);
    let of_rows = figures_of_rows(
        sum(|summary| summary.plan.rows.into()),
        sum(|summary| summary.on_target),
        sum(Summary::n_need_a_look),
        sum(Summary::n_unsettled),
    );
    format!("{of_rows} elapsed={elapsed:.3}s")
}

fn figures_of_rows(rows: u64, on_target: u64, not_on_target: u64, unsettled: u64) -> String {
    let of_rows = |name: &str, n: u64| format!("{name}={n};;;0;{rows}");
    let parts =
        [of_rows("on_target", on_target), of_rows("not_on_target", not_on_target), of_rows("unsettled", unsettled)];
    format!("rows={rows} {}", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::control::{By, Wait};
    use crate::report::lab::night;
    use crate::report::next::NextCommands;
    use crate::report::steering::SteeringOf;
    use crate::waves::{Part, Stage};

    const CARRIES: Condition = Condition::GoesOn { may_ask: false, waits_for: Vec::new(), n_stopped: 0 };

    fn waits(waits_for: WaitsFor) -> Condition {
        Condition::GoesOn { may_ask: false, waits_for: vec![waits_for], n_stopped: 0 }
    }

    fn has_ended(code: u8, name: &str, reason: Option<&str>) -> Condition {
        Condition::Ended { code, name: name.to_owned(), reason: reason.map(str::to_owned) }
    }

    /// Summary of a run that an operator and a file pause, and that waits for this.
    fn summary(cause: Wait) -> Summary {
        let night = night::night();
        let (journal, run) = night.open();
        let paused = |via: &str, reason: Option<&str>| {
            let (user, host, reason) = (Some("ada".to_owned()), "bridge".to_owned(), reason.map(str::to_owned));
            let by = By { user, host, reason, via: via.to_owned(), ..By::default() };
            Paused { by, since: Timestamp::UNIX_EPOCH }
        };
        let stage = Stage { wave_no: 1, wave: Some("pilot".to_owned()), part: Part::Canary };
        let waits = Waits { cause, stage, since: Timestamp::UNIX_EPOCH, until: None };
        let paused = vec![paused(CONTROL, Some("phone\ncall")), paused("/flag", None)];
        Summary {
            steering: SteeringOf { paused, waits: Some(waits), ..SteeringOf::default() },
            commands: NextCommands::for_tests("r1", &[]),
            ..Summary::from_journal(&journal, &run, &night.path()).unwrap()
        }
    }

    #[test]
    fn each_condition_has_its_state() {
        use PluginState::{Critical, Ok, Unknown, Warning};
        const PAUSED: &str = "paused since 1970-01-01 01:00:00 +01:00 by ada@bridge: phone\\ncall (`cutover control r1 continue` \
                              lets it go on)";
        let zone = Zone::from_name("Europe/Berlin").unwrap();
        for (condition, state, words) in [
            (CARRIES, Ok, "goes on"),
            (waits(WaitsFor::Soak), Ok, "goes on: waits out the soak time before the canary of wave `pilot`"),
            (waits(WaitsFor::Window), Ok, "goes on: waits for the window to open"),
            (waits(WaitsFor::Quota), Ok, "goes on: waits for the quota"),
            (
                waits(WaitsFor::Approval),
                Warning,
                "goes on: waits for approval of wave `pilot`: `cutover control r1 release pilot` gives it",
            ),
            (waits(WaitsFor::Pause), Warning, &format!("goes on: {PAUSED}")),
            (
                waits(WaitsFor::PauseFile),
                Warning,
                "goes on: paused since 1970-01-01 01:00:00 +01:00 by ada@bridge with /flag (removing the file lets it go on)",
            ),
            (
                Condition::GoesOn { may_ask: false, waits_for: vec![WaitsFor::Window, WaitsFor::Pause], n_stopped: 2 },
                Warning,
                &format!("goes on: waits for the window to open, {PAUSED}, 2 accounts stopped"),
            ),
            (
                Condition::GoesOn { may_ask: false, waits_for: Vec::new(), n_stopped: 1 },
                Warning,
                "goes on: 1 account stopped",
            ),
            (
                Condition::GoesOn { may_ask: true, waits_for: Vec::new(), n_stopped: 0 },
                Warning,
                "goes on: it looks at the servers, or asks whether to go on",
            ),
            (has_ended(0, "done", None), Ok, "ended with 0 (done)"),
            (has_ended(1, "not_on_target", None), Critical, "ended with 1 (not_on_target)"),
            (has_ended(3, "refused", Some("too many")), Critical, "ended with 3 (refused): too many"),
            (has_ended(4, "halted", Some("the window closed")), Critical, "ended with 4 (halted): the window closed"),
            (has_ended(5, "credentials", None), Critical, "ended with 5 (credentials)"),
            (has_ended(130, "interrupted", None), Critical, "ended with 130 (interrupted)"),
            (Condition::CutOff, Critical, "was cut off: its launch did not end by itself"),
            (Condition::NotBegun, Critical, "was made and never begun"),
            (Condition::OutOfSight, Unknown, "has not ended, and from this machine nobody can tell whether it goes on"),
        ] {
            let waits = |what| matches!(&condition, Condition::GoesOn { waits_for, .. } if waits_for.contains(&what));
            let stage_waits = [(WaitsFor::Soak, Wait::Soak), (WaitsFor::Window, Wait::Window)];
            let cause =
                stage_waits.into_iter().find(|(what, _)| waits(*what)).map_or(Wait::Approval, |(_, cause)| cause);
            assert_eq!((condition.state(), condition.words(&summary(cause), &zone).as_str()), (state, words));
        }
    }

    #[test]
    fn a_line_holds_no_sign_of_figures_and_no_line_break_and_has_an_end() {
        let answer = PluginAnswer::unknown("a|b\nc");
        assert_eq!(answer.line, "CUTOVER UNKNOWN - a¦b\\nc");
        let answer = PluginAnswer::unknown(&"long ".repeat(1_000));
        assert!(answer.line.len() < 1_100 && answer.line.ends_with('…'), "{}", answer.line);
    }
}
