//! Standing by: a launch follows a run that another machine leads, and goes on with it once nobody is heard any more.
//!
//! Whatever a launch can be refused for is checked when it begins to stand by: it fails in daylight and not in the night. A run that
//! its launch ended, by whatever exit, is not gone on with: a person may have stopped it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::accounts::credentials::fetch_credentials;
use super::given::{given_by_hand, no_longer_held};
use super::inputs::Launch;
use super::ready::{Prepared, Ready};
use super::signals::Signals;
use super::summing_up::Carried;
use super::taking_up::RunToTakeUp;
use crate::clock::since_boot;
use crate::exit::Exit;
use crate::journal::{JournalError, RunKey};
use crate::log::beat::{Beat, GONE_AFTER};
use crate::log::server::{APART, Before, Listening, NotLed, NotRead};
use crate::report::next::given;
use crate::report::next::{NextCommands, flags};
use crate::verb::context::Context;
use crate::verb::engine::begun_with;
use crate::verb::error::CommandError;
use crate::verb::runtime::runtime;
use crate::wording::plain::plain;

/// Interval at which the log of the run is read. What is found in it counts as said just now, so that it is not longer.
const READ_EVERY: Duration = Duration::from_millis(500);
/// Largest time between two looks after which what was said in between may not have been heard: this process may have been stopped.
const DEAF: Duration = Duration::from_secs(3);
/// Beats in a row that are apart from the clock of this machine. One alone may have been on its way for long.
const N_APART: u32 = 3;
/// Smallest time between two of these: what waited somewhere comes at once.
const APART_EVERY: Duration = Duration::from_millis(500);

/// End of standing by.
pub(crate) enum StoodBy {
    /// Run that nobody leads any more: this launch is to go on with it.
    Unheard(Box<Ready<RunToTakeUp>>),
    /// The launch that led the run ended it, and its summary is told.
    Ended(Exit),
}

impl Ready<RunToTakeUp> {
    /// Follows the run until nobody is heard who leads it, or its launch has ended it.
    pub(crate) fn stand_by(self) -> Result<StoodBy, CommandError> {
        let (mut found, prepared) = self.split();
        if begun_with(&found.run).is_none() {
            return Err(CommandError::NothingToFollow(found.run.id));
        }
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        let exit = Following::begin(&prepared, &found, &runtime)?.follow(&mut found)?;
        if let Some(exit) = exit {
            return Ok(StoodBy::Ended(sum_up(prepared, found, exit)?));
        }
        found.before = Before::Unheard;
        Ok(StoodBy::Unheard(Box::new(Self::joined(found, prepared))))
    }
}

/// Tells of the end that another launch gave to the run.
fn sum_up(prepared: Prepared, RunToTakeUp { journal, run, .. }: RunToTakeUp, exit: Exit) -> Result<Exit, CommandError> {
    let context = &prepared.context;
    prepared.request.metrics.of_ended_run(&context.settings.journal, &run);
    context.notices.tell_nobody();
    let led_by = run.host.as_deref().map_or_else(String::new, |host| format!(" on {}", plain(host)));
    context.console.say(&format!("run {} was ended by its launch{led_by}: nothing is sent", run.id));
    let carried = Carried { exit, reason: run.exit_reason.clone(), journal: journal.path().to_owned() };
    drop(journal);
    Launch::new(prepared, run, None).sum_up_of_another(carried)
}

/// Following of a run that another machine leads.
struct Following<'c> {
    context: &'c Context,
    prepared: &'c Prepared,
    /// Number of the launch whose flags were compared with those of this process.
    compared: Option<u32>,
    run: RunKey,
    ear: Box<dyn Listening>,
    signals: Signals,
    runtime: &'c Runtime,
    watch: HeadWatch,
    /// Host and launch that were told of last.
    told: Option<(String, u32)>,
    is_cut_off: bool,
}

impl<'c> Following<'c> {
    fn begin(prepared: &'c Prepared, found: &RunToTakeUp, runtime: &'c Runtime) -> Result<Self, CommandError> {
        let context = &prepared.context;
        let signals = Signals::listen().map_err(CommandError::Start)?;
        let ear = context.logs.listen(&found.run.id)?;
        context.console.say(&format!(
            "standing by for run {}: {} s after its launch was heard last, this one goes on with it",
            found.run.id,
            GONE_AFTER.as_secs()
        ));
        let watch = HeadWatch::begin(since_boot());
        let (run, compared, told, is_cut_off) = (found.run.key, None, None, false);
        Ok(Self { context, prepared, compared, run, ear, signals, runtime, watch, told, is_cut_off })
    }

    /// Returns the exit that the launch of the run gave to it; `None` once nobody is heard.
    fn follow(mut self, found: &mut RunToTakeUp) -> Result<Option<Exit>, CommandError> {
        loop {
            if let Some(exit) = ended(found)? {
                return Ok(Some(exit));
            }
            self.must_be_given_as_much(found)?;
            self.listen(found)?;
            self.must_go_on(&found.run.id)?;
            let has_moved = self.read(found)?;
            self.watch.has_read(since_boot(), has_moved);
            if self.watch.is_gone(since_boot()) && ended(found)?.is_none() {
                self.context
                    .console
                    .say(&format!("nothing is heard of the launch of run {} any more: going on with it", found.run.id));
                return Ok(None);
            }
        }
    }

    /// Compares the flags of the launch that leads the run with those of this process: with less leave it could not go on, which is
    /// said before it has to.
    fn must_be_given_as_much(&mut self, found: &RunToTakeUp) -> Result<(), CommandError> {
        let RunToTakeUp { journal, run, .. } = found;
        if self.compared.replace(run.launches) == Some(run.launches) {
            return Ok(());
        }
        let Prepared { context: Context { settings, console, .. }, request, accounts, .. } = self.prepared;
        let commands = NextCommands::from_journal(journal, run, journal.path())?;
        let stand_by = format!("{} --standby", commands.resume());
        let given = given_by_hand(settings, &request.given, accounts, None, begun_with(run));
        let gone = no_longer_held(&commands.into_given(), &given, settings);
        if gone.contains_key(given::IRREVERSIBLE) {
            return Err(CommandError::StandsByWithoutLeave { run: run.id.clone(), stand_by });
        }
        if !gone.is_empty() {
            let gone = flags::flags(&gone);
            console.warn(&format!("the launch of run {} was given{gone}, which will not hold for this one", run.id));
        }
        Ok(())
    }

    /// Listens until it is time to read again.
    fn listen(&mut self, found: &RunToTakeUp) -> Result<(), CommandError> {
        let until = self.watch.gone_at().min(since_boot() + READ_EVERY);
        while let Some(beat) = self.ear.beat_within(until.saturating_sub(since_boot())) {
            // A launch that was replaced may go on beating until it knows.
            if beat.launch < found.run.launches {
                continue;
            }
            self.watch.has_heard(since_boot(), Timestamp::now(), &beat)?;
            let by = (beat.host.clone(), beat.launch);
            if self.told.as_ref() != Some(&by) {
                let Beat { host, pid, launch, version, .. } = beat;
                let (host, version) = (plain(&host), plain(&version));
                let led =
                    format!("run {} is led by pid {pid} on {host}: launch {launch}, cutover {version}", found.run.id);
                self.context.console.say(&led);
                self.told = Some(by);
            }
        }
        Ok(())
    }

    /// Ends what stands by once a signal came.
    fn must_go_on(&mut self, run: &str) -> Result<(), CommandError> {
        let Self { runtime, signals, .. } = self;
        match runtime.block_on(async { timeout(Duration::ZERO, signals.next()).await }) {
            Ok(signal) => {
                let exit = signal.exit();
                let why = exit.signal().unwrap_or_default().to_owned();
                Err(CommandError::StoodBy { exit, why, run: run.to_owned() })
            }
            Err(_) => Ok(()),
        }
    }

    /// Reads what was recorded since, and tells whether that is anything; `None` while the log is out of reach.
    fn read(&mut self, found: &mut RunToTakeUp) -> Result<Option<bool>, CommandError> {
        let before = found.journal.last_event_at(self.run)?;
        match self.context.logs.catch_up(&mut found.journal, self.run, &found.run.id) {
            Ok(()) => self.is_cut_off = false,
            Err(NotRead::Unreachable(why)) => {
                if !self.is_cut_off {
                    self.context.console.warn(&format!("the log of run {} is out of reach ({why})", found.run.id));
                }
                self.is_cut_off = true;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        found.run = found.journal.run(self.run)?;
        Ok(Some(found.journal.last_event_at(self.run)? != before))
    }
}

/// Returns the exit with which the last launch of a run ended; `None` while it goes on, was cut off, or did not begin yet.
fn ended(RunToTakeUp { run, .. }: &RunToTakeUp) -> Result<Option<Exit>, JournalError> {
    match run.exit_code {
        Some(code) if !run.running && run.launches > 0 => Exit::from_code(code).map(Some).ok_or_else(|| {
            JournalError::Damaged(format!("run {} ended with {code}, which no launch does", plain(&run.id)))
        }),
        Some(_) | None => Ok(None),
    }
}

/// Signs of life of whoever leads a run, by the time since this machine was started.
struct HeadWatch {
    /// Time from which on nothing was heard, although it would have been.
    silent_since: Duration,
    looked_at: Duration,
    /// Number of the last beats in a row whose times were apart from the clock of this machine, and the time of the last one.
    apart: (u32, Duration),
}

impl HeadWatch {
    fn begin(now: Duration) -> Self {
        Self { silent_since: now, looked_at: now, apart: (0, now) }
    }

    /// Adds a beat. An error once it is certain that the clocks are apart.
    fn has_heard(&mut self, now: Duration, here: Timestamp, beat: &Beat) -> Result<(), NotLed> {
        (self.silent_since, self.looked_at) = (now, now);
        let (n, last) = self.apart;
        let most = SignedDuration::try_from(APART).expect("half a minute is a duration");
        if beat.at.duration_since(here).abs() <= most {
            self.apart = (0, now);
        } else if n == 0 || now.saturating_sub(last) >= APART_EVERY {
            self.apart = (n + 1, now);
        }
        if self.apart.0 < N_APART {
            return Ok(());
        }
        Err(NotLed::OtherClock { clock: format!("that of {} has", beat.host), there: beat.at, here })
    }

    /// Adds a reading of the log: whether something was recorded, or `None` if it was out of reach, as beats are then as well.
    fn has_read(&mut self, now: Duration, has_moved: Option<bool>) {
        let is_deaf = now.saturating_sub(self.looked_at) > DEAF;
        if is_deaf || has_moved != Some(false) {
            self.silent_since = now;
        }
        self.looked_at = now;
    }

    /// Time at which the launch is taken for gone if nothing is heard until then.
    fn gone_at(&self) -> Duration {
        self.silent_since + GONE_AFTER
    }

    fn is_gone(&self, now: Duration) -> bool {
        now >= self.gone_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn beat_at(seconds: i64) -> Beat {
        let at = Timestamp::from_second(seconds).unwrap();
        Beat { at, ..Beat::of_launch(1, String::new()) }
    }

    /// Returns the second at which the launch is taken for gone, of so many.
    fn gone_after(mut looks: impl FnMut(&mut HeadWatch, u64)) -> Option<u64> {
        let mut watch = HeadWatch::begin(secs(0));
        (1..60).find(|second| {
            looks(&mut watch, *second);
            watch.is_gone(secs(*second))
        })
    }

    #[test]
    fn a_launch_is_gone_when_nothing_was_heard_of_it_for_seven_seconds_in_which_it_would_have_been() {
        let here = Timestamp::from_second(0).unwrap();
        let mut hears_until = |last: u64| {
            gone_after(move |watch, second| {
                if second <= last {
                    watch.has_heard(secs(second), here, &beat_at(0)).unwrap();
                }
                watch.has_read(secs(second), Some(false));
            })
        };
        assert_eq!([0, 1, 9].map(&mut hears_until), [Some(7), Some(8), Some(16)]);
        // What it records is a sign as well, and whoever is cut off hears nobody.
        for sign in [Some(true), None] {
            let read =
                gone_after(|watch, second| watch.has_read(secs(second), if second < 9 { sign } else { Some(false) }));
            assert_eq!(read, Some(15));
        }
        // Stopped from the fourth second to the fortieth.
        let stopped = gone_after(|watch, second| {
            if !(4..40).contains(&second) {
                watch.has_read(secs(second), Some(false));
            }
        });
        assert_eq!(stopped, Some(7), "a look while it is stopped is none of this process");
        let mut watch = HeadWatch::begin(secs(0));
        watch.has_read(secs(3), Some(false));
        watch.has_read(secs(40), Some(false));
        assert!(!watch.is_gone(secs(40)) && watch.is_gone(secs(47)));
    }

    #[test]
    fn three_beats_of_another_clock_are_certain_and_what_was_long_on_its_way_is_not() {
        let here = Timestamp::from_second(0).unwrap();
        let n_heard = |beats: &[(u64, i64)]| {
            let mut watch = HeadWatch::begin(secs(0));
            let heard = beats
                .iter()
                .position(|(ms, at)| watch.has_heard(Duration::from_millis(*ms), here, &beat_at(*at)).is_err());
            heard.map(|nth| nth + 1)
        };
        assert_eq!(n_heard(&[(1000, 3600), (2000, 3600), (3000, 3600)]), Some(3));
        assert_eq!(n_heard(&[(1000, -3600), (2000, -3600), (3000, -3600)]), Some(3));
        assert_eq!(n_heard(&[(1000, 30), (2000, 30), (3000, 30)]), None);
        assert_eq!(n_heard(&[(1000, -40), (1001, -39), (1002, -38), (1003, -31), (2000, 0)]), None, "they waited");
        assert_eq!(n_heard(&[(1000, 31), (2000, 31), (3000, 0), (4000, 31), (5000, 31)]), None);
    }
}
