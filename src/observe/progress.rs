//! Progress of a run for people: a bar on a terminal, a line every ten seconds elsewhere.
//!
//! Counts come from events, which are on disk when they are counted; gauges (pace, requests on the wire, present wait) are polled
//! for each frame and stored nowhere.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::bar::{self, Bar};
use crate::console::{self, Console};
use crate::diagnostics;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::run::{DrainReason, RunEvent};
use crate::model::{RowId, SourceId};
use crate::recorder::observer::Observer;
use crate::report::next::NextCommands;
use crate::values::zone::Zone;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

const LINE_EVERY: Duration = Duration::from_secs(10);
/// Lines about moved rows that are printed; further ones are only counted.
const MOVED_TOLD: u64 = 5;
/// Columns that every terminal has.
const NARROW: usize = 80;
const FRAME_EVERY: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Counts {
    settled: AtomicU64,
    not_on_target: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    moved: AtomicU64,
}

/// Counts of a run, shared by the observer that counts and the task that draws.
pub(crate) struct RunProgress {
    counts: Counts,
    n_rows: u64,
    /// Names of the accounts, in the order of their lanes.
    accounts: Vec<String>,
    commands: NextCommands,
    zone: Zone,
    bar: Bar,
    started: Instant,
    console: Console,
    shown: bool,
    draining: AtomicBool,
}

/// Values of the present moment, polled for each frame.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    pub(crate) on_the_wire: usize,
    /// Time for which no account may send.
    pub(crate) cooling: Option<Duration>,
    /// True while no request for a change is under way, and open rows wait for the change to show.
    pub(crate) only_looking: bool,
    /// Person or time that the whole run waits for.
    pub(crate) waits: Option<String>,
}

/// Says what the run waits for now, if anything.
fn waited_for(gauge: &Gauges, any_left: bool) -> Option<String> {
    if let Some(waits) = &gauge.waits {
        return Some(plain(waits));
    }
    if let Some(wait) = gauge.cooling {
        return Some(format!("waiting {:.1} s for the service's quota", wait.as_secs_f64()));
    }
    (gauge.only_looking && any_left).then(|| "waiting for changes to show".to_owned())
}

/// Joins as many parts, from the first on, as there is room for, and at least one: a narrow terminal shows no cut-off part.
fn fitting(parts: &[String], room: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let with_it = if line.is_empty() { part.clone() } else { format!("{line}, {part}") };
        if !line.is_empty() && with_it.chars().count() > room {
            break;
        }
        line = with_it;
    }
    line
}

impl RunProgress {
    /// Makes the progress of a launch. Earlier launches settled `n_settled` of `n_rows` rows, `n_off_target` of them off target.
    pub(crate) fn new(
        n_rows: u64,
        (n_settled, n_off_target): (u64, u64),
        accounts: Vec<String>,
        commands: NextCommands,
        zone: Zone,
        console: Console,
        wanted: bool,
    ) -> Arc<Self> {
        let shown = wanted && (!console.quiet || console.log.is_some());
        // Diagnostics are told from all rooms, and would run through a bar.
        let has_bar = shown && !console.quiet && console::tells_a_terminal() && !diagnostics::is_on();
        let bar = Bar::new(n_rows, has_bar);
        let counts = Counts {
            settled: AtomicU64::new(n_settled),
            not_on_target: AtomicU64::new(n_off_target),
            ..Counts::default()
        };
        Arc::new(Self {
            counts,
            n_rows,
            accounts,
            commands,
            zone,
            bar,
            started: Instant::now(),
            console,
            shown,
            draining: AtomicBool::new(false),
        })
    }

    /// Draws until the task is aborted.
    pub(crate) fn draw(self: &Arc<Self>, gauge: impl Fn() -> Gauges + Send + 'static) -> JoinHandle<()> {
        let progress = Arc::clone(self);
        tokio::spawn(async move {
            if !progress.shown {
                return;
            }
            let on_terminal = !progress.bar.is_hidden();
            let mut due = tokio::time::interval(if on_terminal { FRAME_EVERY } else { LINE_EVERY });
            due.tick().await;
            let first = progress.settled();
            loop {
                due.tick().await;
                let parts = progress.parts(first, &gauge());
                let settled = format!("{}/{}", progress.settled(), progress.n_rows);
                if on_terminal {
                    let message = fitting(&parts, NARROW - bar::WIDTH - settled.len() - 3);
                    progress.bar.draw(progress.settled().min(progress.n_rows), &message);
                } else {
                    progress.console.say(&format!("{settled} settled, {}", parts.join(", ")));
                }
            }
        })
    }

    pub(crate) fn finish(&self) {
        self.bar.finish();
        let moved = self.counts.moved.load(Ordering::Relaxed);
        if moved > MOVED_TOLD {
            let status = self.commands.status();
            self.console.say(&format!("{moved} rows were moved by somebody else; `{status}` sums up"));
        }
    }

    /// Uncounts rows that were settled off target, before they are opened again.
    pub(crate) fn opened_again(&self, n_off_target: u64) {
        self.counts.not_on_target.fetch_sub(n_off_target, Ordering::Relaxed);
    }

    fn settled(&self) -> u64 {
        self.counts.settled.load(Ordering::Relaxed)
    }

    /// Returns the parts of the progress line, the most important first.
    fn parts(&self, first: u64, gauge: &Gauges) -> Vec<String> {
        let elapsed = self.started.elapsed().as_secs_f64();
        let settled = self.settled();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (done_now, left) = (settled.saturating_sub(first) as f64, self.n_rows.saturating_sub(settled) as f64);
        let rate = done_now / elapsed.max(0.001);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waits = waited_for(gauge, left > 0.0);
        let holds = waits.is_some() || self.draining.load(Ordering::Relaxed);
        let eta = (done_now > 0.0 && left > 0.0 && !holds)
            .then(|| Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX));
        let counts = &self.counts;
        let counted = [
            (count(&counts.not_on_target), "not on target"),
            (count(&counts.moved), "moved by others"),
            (count(&counts.throttled), "throttled"),
            (count(&counts.retries), "retried"),
        ];
        let counted = counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        // A narrow terminal shows only the first of them.
        let mut parts = vec![waits.unwrap_or_else(|| format!("{rate:.1}/s"))];
        parts.extend(eta.map(|eta| format!("ETA {:#}", indicatif::HumanDuration(eta))));
        parts.extend(counted);
        parts.push(format!("{} in flight", gauge.on_the_wire));
        parts
    }

    /// Returns ` account NAME` for the lane, or nothing if the run has one account.
    fn of_account(&self, lane: LaneId) -> String {
        let at = usize::try_from(lane.0).ok().and_then(|lane| lane.checked_sub(1));
        match at.and_then(|at| self.accounts.get(at)) {
            Some(name) if self.accounts.len() > 1 => format!(" account `{name}`"),
            Some(_) | None => String::new(),
        }
    }

    fn tell(&self, text: &str) {
        self.beside_the_bar(|| self.console.say(text));
    }

    fn warn(&self, text: &str) {
        self.beside_the_bar(|| self.console.warn(text));
    }

    fn beside_the_bar(&self, tell: impl FnOnce()) {
        if self.shown {
            self.bar.suspend(tell);
        } else {
            tell();
        }
    }
}

/// Observer that counts events for [`RunProgress`].
pub(crate) struct Counter {
    progress: Arc<RunProgress>,
    /// Rows that were begun without a change having left: their attempts were throttled or not sent.
    unsent: HashSet<RowId>,
}

impl Counter {
    pub(crate) fn new(progress: Arc<RunProgress>, unsent: HashSet<RowId>) -> Self {
        Self { progress, unsent }
    }

    /// Tells whether this attempt was sent, and one before it as well.
    fn is_sent_again(&mut self, row: RowId, attempt: u32, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Throttled { .. } | Outcome::Unsent { .. } => {
                if attempt == 1 {
                    self.unsent.insert(row);
                }
                false
            }
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => attempt > 1 && !self.unsent.remove(&row),
        }
    }
}

impl Observer for Counter {
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()> {
        match &event.kind {
            EventKind::Row(row, what) => self.of_row(*row, what, source),
            EventKind::Lane(what) => self.of_lane(event.lane, what),
            EventKind::Run(what) => self.of_run(what),
        }
        Ok(())
    }
}

impl Counter {
    fn of_row(&mut self, row: RowId, event: &RowEvent, source: Option<&SourceId>) {
        let progress = Arc::clone(&self.progress);
        let counts = &progress.counts;
        match event {
            RowEvent::Settled { verdict, ground, .. } => {
                self.unsent.remove(&row);
                add(&counts.settled);
                if !verdict.is_on_target(*ground) {
                    add(&counts.not_on_target);
                }
            }
            // [`RunProgress::opened_again`] uncounts those off target.
            RowEvent::Reopened { .. } => _ = counts.settled.fetch_sub(1, Ordering::Relaxed),
            RowEvent::AttemptEnded { attempt, outcome, .. } => {
                if let Outcome::Throttled { .. } = outcome {
                    add(&counts.throttled);
                }
                if self.is_sent_again(row, *attempt, outcome) {
                    add(&counts.retries);
                }
            }
            RowEvent::Left { .. } => _ = self.unsent.remove(&row),
            RowEvent::Moved { seen } => {
                let nth = counts.moved.fetch_add(1, Ordering::Relaxed);
                let id = source.map_or_else(|| format!("row {row} of the plan"), |id| plain(id.as_str()));
                if let Some(line) = moved(nth, &id, &seen.to_string()) {
                    progress.tell(&line);
                }
            }
            RowEvent::Seen { .. } | RowEvent::AttemptStarted { .. } => (),
        }
    }

    fn of_lane(&self, lane: LaneId, event: &LaneEvent) {
        match event {
            LaneEvent::ReadThrottled { .. } => add(&self.progress.counts.throttled),
            LaneEvent::CoolDownBegan { .. } => (),
            LaneEvent::Served { via: Some(via) } => {
                let of_account = self.progress.of_account(lane);
                self.progress.tell(&format!("asking{of_account} by worker {} from here on", plain(via)));
            }
            LaneEvent::Served { via: None } => {
                let of_account = self.progress.of_account(lane);
                self.progress.tell(&format!("waiting{of_account}: no worker is heard that could make the requests"));
            }
            LaneEvent::Stopped { message, .. } => {
                let of_account = self.progress.of_account(lane);
                self.progress.tell(&format!("stopping{of_account}: {message}"));
            }
            LaneEvent::QuotaLearned { per_second, stated } => {
                let how = if *stated { "the service takes" } else { "throttled without a figure, going on at" };
                let of_account = self.progress.of_account(lane);
                diagnostics::decided(|| format!("{how} {per_second:.2} requests per second{of_account}"));
            }
        }
    }

    fn of_run(&self, event: &RunEvent) {
        match event {
            RunEvent::DrainBegan { reason, why } => {
                self.progress.draining.store(true, Ordering::Relaxed);
                let text = plain(&draining(*reason, why.as_deref()));
                if *reason == DrainReason::Vetoed { self.progress.warn(&text) } else { self.progress.tell(&text) }
            }
            RunEvent::StageBegan { stage, rows, forecast } if stage.wave.is_some() || forecast.is_some() => {
                let forecast = forecast.as_ref().map_or_else(String::new, |forecast| format!(", {forecast}"));
                self.progress.tell(&format!("{}: {}{forecast}", plain(&stage.to_string()), count(*rows, "row")));
            }
            RunEvent::WaitBegan { cause, stage, until } => {
                self.progress.tell(&format!(
                    "waiting {}",
                    plain(&self.progress.commands.waiting(*cause, stage, *until, Some(&self.progress.zone)))
                ));
            }
            RunEvent::Controlled { command, by, .. } => {
                self.progress.tell(&format!("{} ({})", plain(&command.to_string()), plain(&by.to_string())));
            }
            RunEvent::HookRan { hook, from, end, wave: _, wave_no: _, output, cut: _, elapsed_ms: _ } => {
                let last = output.lines().last().map_or_else(String::new, |last| format!(": {last}"));
                self.progress.tell(&plain(&format!("the hook {hook} of {from} {end}{last}")));
            }
            RunEvent::StageBegan { stage, rows, .. } => {
                diagnostics::decided(|| format!("{stage} begins: {}", count(*rows, "row")));
            }
            RunEvent::StageEnded { stage } => {
                diagnostics::decided(|| format!("{stage} is over: each of its rows has its verdict"));
            }
            RunEvent::WaitEnded => diagnostics::decided(|| "the wait is over".to_owned()),
            RunEvent::Started { .. } | RunEvent::LaunchBegan { .. } | RunEvent::LaunchEnded { .. } => (),
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Returns the line about the row that is moved as number `nth`, from 0. After [`MOVED_TOLD`] rows, one line says that more are
/// only counted.
fn moved(nth: u64, id: &str, seen: &str) -> Option<String> {
    match nth {
        0..MOVED_TOLD => Some(format!("{id} was moved by somebody else: it is {}", plain(seen))),
        MOVED_TOLD => Some("… and more were moved by somebody else, which are counted from here on".to_owned()),
        _ => None,
    }
}

fn draining(reason: DrainReason, why: Option<&str>) -> String {
    let (told, then) = match reason {
        DrainReason::Interrupted => ("interrupted", "; a second Ctrl-C lets go of them, a third leaves at once"),
        DrainReason::Terminated => ("terminated by a signal", "; a second signal lets go of them"),
        DrainReason::HungUp => ("the terminal hung up", ""),
        DrainReason::JournalClosed => ("the journal takes nothing more", ""),
        DrainReason::JournalGone => ("the journal went away", ""),
        DrainReason::Panicked => ("a row failed in a way it should not", ""),
        DrainReason::Halted => ("halted", ""),
        DrainReason::StageLeft => ("rows of a wave are left", ""),
        DrainReason::Window => ("the time is over", ""),
        DrainReason::TooLong => ("it would not end in time", ""),
        DrainReason::Unapproved => ("nobody released it", ""),
        DrainReason::Vetoed => ("vetoed", ""),
        DrainReason::NotBegun => ("too late to begin", ""),
        DrainReason::Operator => ("told to stop", ""),
    };
    let why = match why {
        // The reason that an operator's command gives says by itself that the run was told to drain.
        Some(why) if reason == DrainReason::Operator => why.to_owned(),
        Some(why) => format!("{told}: {why}"),
        None => told.to_owned(),
    };
    format!("draining ({why}): no new requests, waiting for answers that are on the way{then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_moved_rows_is_told_by_the_first_of_them() {
        let lines: Vec<String> = (0..200).filter_map(|nth| moved(nth, "vm-1", "error/syncing")).collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "vm-1 was moved by somebody else: it is error/syncing");
        assert!(lines[5].starts_with("… and more"), "{}", lines[5]);
    }

    #[test]
    fn whatever_a_narrow_terminal_shows_is_whole_and_the_most_important() {
        let console = Console { quiet: true, ..Console::PLAIN };
        let zone = Zone::of_machine_for_people();
        let mut progress =
            RunProgress::new(12_000, (60, 10), Vec::new(), NextCommands::default(), zone, console, false);
        let began = Instant::now().checked_sub(Duration::from_secs(100)).expect("the machine is up for longer");
        Arc::get_mut(&mut progress).expect("nobody else has it").started = began;
        progress.opened_again(4);
        for counter in [&progress.counts.moved, &progress.counts.throttled, &progress.counts.retries] {
            counter.store(123, Ordering::Relaxed);
        }
        progress.counts.settled.store(9000, Ordering::Relaxed);
        let gauge = |only_looking| Gauges { on_the_wire: 8, cooling: None, only_looking, waits: None };
        let line = |only_looking| fitting(&progress.parts(60, &gauge(only_looking)), 54);
        let (sends, looks) = (line(false), line(true));
        assert!(sends.contains("/s, ETA ") && sends.ends_with("6 not on target, 123 moved by others"), "{sends}");
        assert_eq!(looks, "waiting for changes to show, 6 not on target", "and no time at which they would");
        assert!(sends.len() <= 54 && looks.len() <= 54);
        assert!(progress.parts(60, &gauge(false)).ends_with(&["8 in flight".to_owned()]));
    }

    #[test]
    fn a_drain_says_once_what_somebody_told_it() {
        let told = draining(DrainReason::Operator, Some("drained by ada@bridge: enough"));
        assert!(told.starts_with("draining (drained by ada@bridge: enough): no new requests"), "{told}");
        let halted = draining(DrainReason::Halted, Some("2 of 9 rows failed"));
        assert!(halted.starts_with("draining (halted: 2 of 9 rows failed): "), "{halted}");
    }

    #[test]
    fn a_row_is_sent_again_once_a_change_of_it_has_left_before() {
        let throttled =
            || Outcome::Throttled { status: Some(429), retry_after_ms: None, quota: None, message: String::new() };
        let unsent = || Outcome::Unsent { cause: "no connection".to_owned() };
        let lost = Outcome::aborted;
        let accepted = || Outcome::Accepted { status: 200 };
        for (about, outcomes, n_again) in [
            ("sent once", vec![accepted()], 0),
            ("throttled is not sent", vec![throttled(), throttled(), accepted()], 0),
            ("what did not leave is not sent", vec![unsent(), accepted()], 0),
            ("lost may have arrived", vec![lost(), accepted()], 1),
            ("throttled in between", vec![throttled(), lost(), throttled(), accepted()], 1),
        ] {
            let console = Console { quiet: true, ..Console::PLAIN };
            let progress = RunProgress::new(
                1,
                (0, 0),
                Vec::new(),
                NextCommands::default(),
                Zone::of_machine_for_people(),
                console,
                false,
            );
            let mut counter = Counter::new(progress, HashSet::new());
            let n =
                (1..).zip(&outcomes).filter(|(nth, outcome)| counter.is_sent_again(RowId(1), *nth, outcome)).count();
            assert_eq!(n, n_again, "{about}");
        }
    }
}
