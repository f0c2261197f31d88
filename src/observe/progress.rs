//! What people see while a run goes on: a bar on a terminal, a line every ten seconds elsewhere.
//!
//! Counts come from events, which are on disk when they are counted; the gauges (pace, requests on the wire, what it
//! waits for) are polled from the gate and stored nowhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use super::Observer;
use crate::console::Console;
use crate::event::{DrainReason, Event, EventKind, LaneId, Outcome};
use crate::journal::read::is_on_target;
use crate::model::SourceId;
use crate::report::next::NextCommands;
use crate::report::plain::{count, plain};

const LINE_EVERY: Duration = Duration::from_secs(10);
const FRAME_EVERY: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Counts {
    settled: AtomicU64,
    not_on_target: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    moved: AtomicU64,
}

/// Shared by the observer that counts and the task that draws.
pub(crate) struct Progress {
    counts: Counts,
    n_rows: u64,
    /// What the accounts are called, in the order of their lanes.
    accounts: Vec<String>,
    commands: NextCommands,
    bar: ProgressBar,
    started: Instant,
    console: Console,
    shown: bool,
    draining: AtomicBool,
}

/// What is true only now, polled for each frame.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    pub(crate) on_the_wire: usize,
    /// For how long no account may send.
    pub(crate) cooling: Option<Duration>,
    /// No change is on its way: what is open waits to be seen.
    pub(crate) only_looking: bool,
    /// What the whole run waits for: a person, or a time.
    pub(crate) waits: Option<String>,
}

/// What holds the run up now, if anything does.
fn waited_for(gauge: &Gauges, any_left: bool) -> Option<String> {
    if let Some(waits) = &gauge.waits {
        return Some(plain(waits));
    }
    if let Some(wait) = gauge.cooling {
        return Some(format!("waiting {:.1} s for the service's quota", wait.as_secs_f64()));
    }
    (gauge.only_looking && any_left).then(|| "waiting for changes to show".to_owned())
}

impl Progress {
    /// `n_settled` rows of `n_rows` were settled by earlier launches.
    pub(crate) fn new(
        n_rows: u64,
        n_settled: u64,
        accounts: Vec<String>,
        commands: NextCommands,
        console: Console,
        wanted: bool,
    ) -> Arc<Self> {
        let shown = wanted && !console.quiet;
        let bar = if shown && io::stderr().is_terminal() { ProgressBar::new(n_rows) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {wide_msg}").expect("the template is sound");
        bar.set_style(style.progress_chars("=> "));
        let counts = Counts { settled: AtomicU64::new(n_settled), ..Counts::default() };
        Arc::new(Self {
            counts,
            n_rows,
            accounts,
            commands,
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
                let line = progress.line(first, &gauge());
                if on_terminal {
                    progress.bar.set_position(progress.settled().min(progress.n_rows));
                    progress.bar.set_message(line);
                } else {
                    progress.console.say(&format!("{}/{} {line}", progress.settled(), progress.n_rows));
                }
            }
        })
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn settled(&self) -> u64 {
        self.counts.settled.load(Ordering::Relaxed)
    }

    fn line(&self, first: u64, gauge: &Gauges) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let settled = self.settled();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (done_now, left) = (settled.saturating_sub(first) as f64, self.n_rows.saturating_sub(settled) as f64);
        let rate = done_now / elapsed.max(0.001);
        // What it waits for comes first, where a narrow terminal still shows it.
        let mut line = match waited_for(gauge, left > 0.0) {
            Some(waits) => format!("settled, {waits}"),
            None => format!("settled, {rate:.1}/s, {} in flight", gauge.on_the_wire),
        };
        let retries = self.counts.retries.load(Ordering::Relaxed);
        if retries > 0 {
            _ = write!(line, ", {retries} retried");
        }
        let throttled = self.counts.throttled.load(Ordering::Relaxed);
        if throttled > 0 {
            _ = write!(line, ", {throttled} throttled");
        }
        let not_on_target = self.counts.not_on_target.load(Ordering::Relaxed);
        if not_on_target > 0 {
            _ = write!(line, ", {not_on_target} not on target");
        }
        let holds = gauge.waits.is_some() || self.draining.load(Ordering::Relaxed);
        if done_now > 0.0 && left > 0.0 && !holds {
            let eta = Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX);
            _ = write!(line, ", ETA {}", indicatif::HumanDuration(eta));
        }
        let moved = self.counts.moved.load(Ordering::Relaxed);
        if moved > 0 {
            _ = write!(line, ", {moved} moved by others");
        }
        line
    }

    /// Which account it is about, where there are several.
    fn of_account(&self, lane: LaneId) -> String {
        let at = usize::try_from(lane.0).ok().and_then(|lane| lane.checked_sub(1));
        match at.and_then(|at| self.accounts.get(at)) {
            Some(name) if self.accounts.len() > 1 => format!(" account `{name}`"),
            Some(_) | None => String::new(),
        }
    }

    fn tell(&self, text: &str) {
        if self.shown {
            self.bar.suspend(|| self.console.say(text));
        } else {
            self.console.say(text);
        }
    }
}

/// The half of progress that listens.
pub(crate) struct Counter(pub(crate) Arc<Progress>);

impl Observer for Counter {
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()> {
        let counts = &self.0.counts;
        let add = |counter: &AtomicU64| _ = counter.fetch_add(1, Ordering::Relaxed);
        match &event.kind {
            EventKind::RowSettled { verdict, reason, .. } => {
                add(&counts.settled);
                if !is_on_target(*verdict, reason.as_deref()) {
                    add(&counts.not_on_target);
                }
            }
            EventKind::RowReopened { .. } => _ = counts.settled.fetch_sub(1, Ordering::Relaxed),
            EventKind::AttemptStarted { attempt, .. } => {
                if *attempt > 1 {
                    add(&counts.retries);
                }
            }
            EventKind::AttemptEnded { outcome: Outcome::Throttled { .. }, .. } | EventKind::ReadThrottled { .. } => {
                add(&counts.throttled);
            }
            EventKind::DrainBegan { reason, why } => {
                self.0.draining.store(true, Ordering::Relaxed);
                self.0.tell(&plain(&draining(*reason, why.as_deref())));
            }
            EventKind::StageBegan { stage, rows, forecast } if stage.wave.is_some() || forecast.is_some() => {
                let forecast = forecast.as_ref().map_or_else(String::new, |forecast| format!(", {forecast}"));
                self.0.tell(&format!("{}: {}{forecast}", plain(&stage.to_string()), count(*rows, "row")));
            }
            EventKind::WaitBegan { cause, stage, until } => {
                self.0.tell(&format!("waiting {}", plain(&self.0.commands.waiting(*cause, stage, *until))));
            }
            EventKind::Controlled { command, by, .. } => {
                self.0.tell(&format!("{} ({})", plain(&command.to_string()), plain(&by.to_string())));
            }
            EventKind::RowMoved { seen, .. } => {
                add(&counts.moved);
                let id = source.map_or_else(|| "a row".to_owned(), |id| plain(id.as_str()));
                self.0.tell(&format!("{id} was moved by somebody else: it is {seen}"));
            }
            EventKind::LaneStopped { message, .. } => {
                let of_account = self.0.of_account(event.lane);
                self.0.tell(&format!("stopping{of_account}: {message}"));
            }
            EventKind::QuotaLearned { per_second, stated } => {
                let how = if *stated { "the service takes" } else { "throttled without a figure, going on at" };
                let of_account = self.0.of_account(event.lane);
                self.0.console.detail(&format!("{how} {per_second:.2} requests per second{of_account}"));
            }
            EventKind::RunStarted { .. }
            | EventKind::LaunchBegan { .. }
            | EventKind::LaunchEnded { .. }
            | EventKind::StageBegan { .. }
            | EventKind::StageEnded { .. }
            | EventKind::WaitEnded
            | EventKind::RowSeen { .. }
            | EventKind::AttemptEnded { .. }
            | EventKind::RowLeft { .. } => (),
        }
        Ok(())
    }
}

fn draining(reason: DrainReason, why: Option<&str>) -> String {
    let (told, then) = match reason {
        DrainReason::Interrupted => ("interrupted", "; again lets go of them, a third time leaves at once"),
        DrainReason::Terminated => ("terminated by a signal", "; again lets go of them"),
        DrainReason::HungUp => ("the terminal hung up", ""),
        DrainReason::JournalClosed => ("the journal takes nothing more", ""),
        DrainReason::JournalGone => ("the journal went away", ""),
        DrainReason::Panicked => ("a row failed in a way it should not", ""),
        DrainReason::Halted => ("halted", ""),
        DrainReason::Window => ("the time is over", ""),
        DrainReason::Unapproved => ("nobody released it", ""),
        DrainReason::Operator => ("told to stop", ""),
    };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("draining ({told}{why}): no new requests, waiting for answers that are on the way{then}")
}
