//! Standing by: a launch follows a run that another machine leads, and goes on with it once nobody is heard any more, or its launch ended by
//! a fault of that machine.
//!
//! Whatever a launch can be refused for is checked when it begins to stand by: it fails in daylight and not in the night. A run that
//! its launch ended as a person or the plan wanted is not gone on with.

use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::accounts::credentials::fetch_credentials;
use super::accounts::locks::lock_all;
use super::given::{given_by_hand, no_longer_held};
use super::inputs::Launch;
use super::ready::{Prepared, Ready};
use super::signals::{EndSignal, Signals};
use super::summing_up::Carried;
use super::taking_up::RunToTakeUp;
use crate::clock::since_boot;
use crate::exit::Exit;
use crate::journal::JournalError;
use crate::lock::LockError;
use crate::log::beat::{Beat, GONE_AFTER};
use crate::log::head_watch::HeadWatch;
use crate::log::server::{Before, Listening, NotRead};
use crate::report::next::given;
use crate::report::next::{NextCommands, flags};
use crate::verb::context::Context;
use crate::verb::engine::begun_with;
use crate::verb::error::{AfterEnd, CommandError};
use crate::verb::results::nothing_done;
use crate::verb::runtime::runtime;
use crate::wording::plain::plain;

/// End of standing by.
pub(crate) enum StoodBy {
    /// Run that its launch left: this one is to go on with it.
    Left(Box<Ready<RunToTakeUp>>),
    /// The launch that led the run ended it, and its summary is told.
    Ended(Exit),
}

/// State in which the last launch of a run left it.
enum LastLaunch {
    /// Goes on, was cut off, or did not begin yet.
    NotEnded,
    /// Ended the run so for now.
    EndedRun(Exit),
    /// Ended so by a fault of its machine, with something left to do.
    LeftRun(Exit),
}

impl LastLaunch {
    fn find(RunToTakeUp { journal, run, .. }: &RunToTakeUp) -> Result<Self, JournalError> {
        let Some(code) = run.exit_code.filter(|_| !run.running && run.launches > 0) else {
            return Ok(Self::NotEnded);
        };
        let exit = Exit::from_code(code).ok_or_else(|| {
            JournalError::Damaged(format!("run {} ended with {code}, which no launch does", plain(&run.id)))
        })?;
        // A result that could not be delivered makes the exit worse, whatever the run ended with.
        let of_run = journal.end_before_undelivered(run.key)?.map_or(exit, |(of_run, _)| of_run);
        let is_left = of_run.is_of_its_machine()
            && !journal.last_ending(run.key)?.is_told_to_stop
            && journal.has_unsettled(run.key)?;
        Ok(if is_left { Self::LeftRun(exit) } else { Self::EndedRun(exit) })
    }
}

impl RunToTakeUp {
    /// Refuses to stand by for a run that has ended, and says with what. Returns the exit of one that needs nobody.
    pub(crate) fn must_not_have_ended(&self, context: &Context) -> Result<Option<Exit>, CommandError> {
        let Self { journal, run, .. } = self;
        let LastLaunch::EndedRun(exit) = LastLaunch::find(self)? else { return Ok(None) };
        context.notices.tell_nobody();
        let commands = NextCommands::from_journal(journal, run, journal.path())?;
        let is_left = journal.has_unsettled(run.key)?;
        let next = if is_left { AfterEnd::GoesOn(commands.resume()) } else { AfterEnd::Shows(commands.status()) };
        let ended = CommandError::EndedBefore { exit, run: run.id.clone(), reason: run.exit_reason.clone(), next };
        if exit == Exit::Done { nothing_done(context.console, &ended.to_string()).map(Some) } else { Err(ended) }
    }
}

impl Ready<RunToTakeUp> {
    /// Begins to follow the run.
    pub(crate) fn stand_by(self) -> Result<Following, CommandError> {
        let (found, prepared) = self.split();
        if begun_with(&found.run).is_none() {
            return Err(CommandError::NothingToFollow(found.run.id));
        }
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        Following::begin(found, prepared, runtime)
    }
}

/// Waits a moment before something is tried again that stood in the way of a standby. Ends it once a signal came.
pub(crate) fn wait_a_moment(run: &str) -> Result<(), CommandError> {
    const MOMENT: Duration = Duration::from_secs(1);
    let mut signals = Signals::listen().map_err(CommandError::Start)?;
    let came = runtime()?.block_on(async { timeout(MOMENT, signals.next()).await });
    came.map_or(Ok(()), |signal| Err(stopped(signal, run)))
}

fn stopped(signal: EndSignal, run: &str) -> CommandError {
    let exit = signal.exit();
    CommandError::StoodBy { exit, why: exit.signal().unwrap_or_default().to_owned(), run: run.to_owned() }
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
pub(crate) struct Following {
    found: RunToTakeUp,
    prepared: Prepared,
    runtime: Runtime,
    /// Number of the launch whose flags were compared with those of this process.
    compared: Option<u32>,
    ear: Box<dyn Listening>,
    signals: Signals,
    watch: HeadWatch,
    /// Host and launch that were told of last.
    told: Option<(String, u32)>,
    is_cut_off: bool,
    /// True once it was told that a process of this machine, of which nothing is heard, still has the accounts.
    is_held_up: bool,
}

impl Following {
    fn begin(found: RunToTakeUp, prepared: Prepared, runtime: Runtime) -> Result<Self, CommandError> {
        let (console, id) = (prepared.context.console, &found.run.id);
        let signals = Signals::listen().map_err(CommandError::Start)?;
        let ear = prepared.context.logs.listen(id)?;
        let seconds = GONE_AFTER.as_secs();
        console.say(&format!(
            "standing by for run {id}: {seconds} s after its launch was heard last, this one goes on with it"
        ));
        if let Some(held) = held_here(&prepared)? {
            console.warn(&format!(
                "{held}: here the run is gone on with when that process has ended, and not before; a standby belongs on another machine"
            ));
        }
        let watch = HeadWatch::begin(since_boot());
        let (compared, told, is_cut_off, is_held_up) = (None, None, false, false);
        Ok(Self { found, prepared, runtime, compared, ear, signals, watch, told, is_cut_off, is_held_up })
    }

    /// Follows the run until its launch has ended it or left it.
    pub(crate) fn follow(mut self) -> Result<StoodBy, CommandError> {
        loop {
            let run = &self.found.run.id;
            let (before, why) = match LastLaunch::find(&self.found)? {
                LastLaunch::EndedRun(exit) => {
                    let Self { found, prepared, .. } = self;
                    return Ok(StoodBy::Ended(sum_up(prepared, found, exit)?));
                }
                LastLaunch::LeftRun(exit) => (
                    Some(Before::Ended),
                    format!("the launch of run {run} ended with {} ({})", exit.code(), exit.name()),
                ),
                LastLaunch::NotEnded => (
                    self.watch.is_gone(since_boot()).then_some(Before::Unheard),
                    format!("nothing is heard of the launch of run {run} any more"),
                ),
            };
            self.must_be_given_as_much()?;
            if let Some(before) = before
                && self.may_go_on(&why)?
            {
                let Self { mut found, prepared, .. } = self;
                found.before = before;
                return Ok(StoodBy::Left(Box::new(Ready::joined(found, prepared))));
            }
            self.listen()?;
            self.must_not_be_stopped()?;
            let has_moved = self.read()?;
            self.watch.has_read(since_boot(), has_moved);
        }
    }

    /// Tells that this launch goes on with the run, unless a process of this machine still has its accounts: one that was stopped keeps
    /// them until it ends.
    fn may_go_on(&mut self, why: &str) -> Result<bool, CommandError> {
        let console = self.prepared.context.console;
        let Some(held) = held_here(&self.prepared)? else {
            console.say(&format!("{why}: going on with it"));
            return Ok(true);
        };
        if !std::mem::replace(&mut self.is_held_up, true) {
            console.warn(&format!("{why}, and {held}: it is gone on with when that process has ended"));
        }
        Ok(false)
    }

    /// Compares the flags of the launch that leads the run with those of this process: with less leave it could not go on, which is
    /// said before it has to.
    fn must_be_given_as_much(&mut self) -> Result<(), CommandError> {
        let RunToTakeUp { journal, run, .. } = &self.found;
        if self.compared.replace(run.launches) == Some(run.launches) {
            return Ok(());
        }
        let Prepared { context: Context { settings, console, .. }, request, accounts, .. } = &self.prepared;
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
    fn listen(&mut self) -> Result<(), CommandError> {
        let (run, now) = (&self.found.run, since_boot());
        let until = now + self.watch.listens_for(now);
        while let Some(beat) = self.ear.beat_within(until.saturating_sub(since_boot())) {
            // A launch that was replaced may go on beating until it knows.
            if beat.launch < run.launches {
                continue;
            }
            self.watch.has_heard(since_boot(), Timestamp::now(), &beat)?;
            let by = (beat.host.clone(), beat.launch);
            if self.told.as_ref() != Some(&by) {
                let Beat { host, pid, launch, version, .. } = beat;
                let (host, version) = (plain(&host), plain(&version));
                let led = format!("run {} is led by pid {pid} on {host}: launch {launch}, cutover {version}", run.id);
                self.prepared.context.console.say(&led);
                self.told = Some(by);
            }
        }
        Ok(())
    }

    /// Ends what stands by once a signal came.
    fn must_not_be_stopped(&mut self) -> Result<(), CommandError> {
        let Self { runtime, signals, found, .. } = self;
        let came = runtime.block_on(async { timeout(Duration::ZERO, signals.next()).await });
        came.map_or(Ok(()), |signal| Err(stopped(signal, &found.run.id)))
    }

    /// Reads what was recorded since, and tells whether that is anything; `None` while the log is out of reach.
    fn read(&mut self) -> Result<Option<bool>, CommandError> {
        let Self { found: RunToTakeUp { journal, run, .. }, prepared: Prepared { context, .. }, .. } = self;
        let before = journal.last_event_at(run.key)?;
        match context.logs.catch_up(journal, run.key, &run.id) {
            Ok(()) => self.is_cut_off = false,
            Err(NotRead::Unreachable(why)) => {
                if !self.is_cut_off {
                    context.console.warn(&format!("the log of run {} is out of reach ({why})", run.id));
                }
                self.is_cut_off = true;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        *run = journal.run(run.key)?;
        Ok(Some(journal.last_event_at(run.key)? != before))
    }
}

/// Returns the lock of an account of the run that another process of this machine holds.
fn held_here(prepared: &Prepared) -> Result<Option<LockError>, CommandError> {
    match lock_all(&prepared.context, &prepared.accounts) {
        Ok(_) => Ok(None),
        Err(CommandError::Lock(held @ LockError::Held { .. })) => Ok(Some(held)),
        Err(error) => Err(error),
    }
}
