//! Launch of a run, from its first event to its last: begin, look, tell the difference, ask, send and prove, end.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::assembling::{Assembly, Lanes, Reopened, Work};
use super::considering::GoAhead;
use super::halted::Halted;
use super::inputs::Launch;
use super::request::Consent;
use super::signals::{self, Signals};
use super::summing_up::Carried;
use crate::clock::{Clock, sleep_until_since_boot};
use crate::control::{By, Command};
use crate::engine;
use crate::engine::call::LaunchPurpose;
use crate::engine::command_poll::{CommandPoll, FlagFiles};
use crate::engine::driver::Driver;
use crate::engine::journal_reader::JournalReader;
use crate::engine::lane::{Lane, RunParts};
use crate::event::kind::EventKind;
use crate::event::lane::{CoolDownCause, LaneEvent};
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Phase;
use crate::log::server::Lead;
use crate::metrics::pace::TargetPace;
use crate::observe::progress::Gauges;
use crate::recorder::refusal::{NotRecorded, unless_to_lane};
use crate::remote::way::Way;
use crate::report::cut_off;
use crate::report::next::given::GivenByHand;
use crate::verb::error::CommandError;

impl Launch {
    /// Assembles the parts, carries the rows, and ends the launch, whatever became of it.
    pub(super) fn carry_out(
        &self,
        runtime: Runtime,
        journal: Journal,
        signals: Option<Signals>,
        lead: &mut dyn Lead,
    ) -> Result<Carried, CommandError> {
        let ended = runtime.block_on(async {
            let started = Instant::now();
            let parts = Assembly::build(self, journal, signals).await?;
            let carried = self.begin_and_carry(&parts.work, lead).await;
            self.end(parts, carried, started).await
        });
        signals::end_is_decided(ended.as_ref().map_or_else(CommandError::exit, |carried| carried.exit), &self.notices);
        // A question without an answer still blocks a thread on standard input.
        runtime.shutdown_background();
        ended
    }

    /// Records that the launch begins, and takes commands while the rows are carried.
    async fn begin_and_carry(&self, work: &Work, lead: &mut dyn Lead) -> Result<(), Halted> {
        let Work { of_run: RunParts { driver, journal, .. }, given, commands, .. } = work;
        driver.begin_launch(self.beginning(journal, given.clone()).await?).await?;
        lead.beat().map_err(|error| Halted::Error(error.into()))?;
        // Until then the journal tells the time of the launch before it.
        let gates = work.lanes.clone();
        let _exporting = self.request.metrics.keep_up_to_date(move || paces(&gates));
        self.record_waits(work).await?;
        for (wave, part) in &self.request.releases {
            let release = Command::Release { wave: wave.clone(), part: *part };
            driver.command(release, By::me("--approve", None), None).await?;
        }
        if !self.takes_commands() {
            return self.carry(work).await;
        }
        let console = self.console;
        let warn = Box::new(move |text: &str| console.warn(text));
        let steering = &self.settings.steering;
        let files = FlagFiles { pause: steering.pause_file.clone(), stop: steering.stop_file.clone() };
        let attended = self.logs.attend(&self.settings.journal, self.run.key, &self.run.id);
        let _attended = attended.map_err(|error| Halted::Error(error.into()))?;
        let mut poll = CommandPoll::new(Arc::clone(driver), files, commands.clone(), warn);
        poll.look().await?;
        let polling = tokio::spawn(poll.serve());
        let giving_up = tokio::spawn(self.give_up_in_time(driver));
        let carried = self.carry(work).await;
        polling.abort();
        giving_up.abort();
        carried
    }

    /// Records the rest of a wait that another run of an account left: whoever asks what this run waits for finds it in this run.
    async fn record_waits(&self, work: &Work) -> Result<(), Halted> {
        let Work { lanes, of_run: RunParts { journal, .. }, .. } = work;
        let cooling: Vec<_> = lanes.iter().filter_map(|lane| Some((lane, lane.gauges().cooling?))).collect();
        if cooling.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let own = journal.read(move |journal, run| journal.cooling(run, now)).await?;
        for (lane, left) in cooling {
            if !own.contains_key(&lane.id) {
                let wait = LaneEvent::cool_down(left, CoolDownCause::OtherRun).into();
                record_any(lane, vec![wait]).await?;
            }
        }
        Ok(())
    }

    /// Stops a launch that has sent no change by the time at which it has to have begun. That time is measured like a wait for a lock:
    /// a clock that is set in between makes it neither shorter nor longer.
    fn give_up_in_time(&self, driver: &Arc<Driver>) -> impl Future<Output = ()> + use<> {
        let (limit, sent, driver) = (self.start_limit(), self.sent.clone(), Arc::clone(driver));
        async move {
            let Some(limit) = limit else { return };
            sleep_until_since_boot(limit.ends).await;
            if sent.n() == 0 {
                // A journal that takes nothing more stops the run by itself.
                _ = driver.give_up().await;
            }
        }
    }

    pub(super) fn takes_commands(&self) -> bool {
        match self.clock {
            Clock::OfMachine => !self.request.consent.ends_at_the_look(),
            Clock::Rehearsed { .. } => false,
        }
    }

    /// Opens rows again, looks, tells and asks, and sends what was agreed to.
    async fn carry(&self, work: &Work) -> Result<(), Halted> {
        let Work { lanes, of_run: RunParts { journal, stop, .. }, reopened, .. } = work;
        self.reopen(work).await?;
        if self.request.consent == Consent::NothingIsSent {
            if journal.read(Journal::tally).await?.in_doubt == 0 {
                self.console.say("nothing is in doubt: there is nothing to look at");
            }
            return run_to_its_end(work, LaunchPurpose::Reconcile).await;
        }
        if !journal.read(Journal::has_unsettled).await? {
            self.console.say("nothing is left to do");
            return Ok(());
        }
        match self.consider(lanes, stop, journal).await {
            Ok(GoAhead::Send) => run_to_its_end(work, LaunchPurpose::Carry).await,
            Ok(GoAhead::NothingMore) => Ok(()),
            Err(halted) => {
                put_back(lanes, reopened).await?;
                Err(halted)
            }
        }
    }

    /// Opens rows again, as this launch was asked to: skipped rows first, then rows with a verdict.
    async fn reopen(&self, work: &Work) -> Result<(), Halted> {
        let Work { lanes, of_run: RunParts { driver, .. }, progress, reopened, .. } = work;
        let cause = format!("asked for by `{}`", self.request.verb);
        for source_id in driver.all_skipped().into_iter().filter(|source_id| self.request.unskips.means(source_id)) {
            driver.command(Command::Unskip { source_id }, By::me("retry", None), None).await?;
        }
        for lane in lanes {
            let own = || reopened.iter().filter(|(id, _, _)| *id == lane.id);
            let kinds = own().map(|(_, row, _)| RowEvent::Reopened { cause: cause.clone() }.about(*row));
            record_any(lane, kinds.collect()).await?;
            if lane.is_refused() {
                continue;
            }
            let is_off_target = |(_, _, standing): &&Reopened| !standing.is_on_target();
            progress.opened_again(own().filter(is_off_target).count() as u64);
            let mut first = lane.first_answers().await;
            own().for_each(|(_, row, _)| first.reopened(*row));
        }
        Ok(())
    }

    async fn beginning(&self, journal: &JournalReader, given: GivenByHand) -> Result<RunEvent, JournalError> {
        Ok(RunEvent::LaunchBegan {
            launch: self.run.launches + 1,
            verb: self.request.verb.to_owned(),
            pid: std::process::id(),
            host: crate::lock::host(),
            user: Some(crate::whoami::user()),
            who: crate::whoami::Who::me(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            given,
            cut_off_ms: if self.run.running { journal.read(cut_off::open_ms).await? } else { 0 },
        })
    }
}

async fn run_to_its_end(work: &Work, purpose: LaunchPurpose) -> Result<(), Halted> {
    let drawing = work.progress.draw(gauge(&work.lanes, &work.of_run.driver));
    let ran = engine::run(&work.lanes, &work.of_run, purpose).await;
    drawing.abort();
    Ok(ran?)
}

/// Gives rows that were opened again their verdicts back, after a retry that was refused.
async fn put_back(lanes: &Lanes, reopened: &[Reopened]) -> Result<(), Halted> {
    for lane in lanes.iter().filter(|lane| !lane.is_refused()) {
        let kinds = reopened.iter().filter(|(id, _, _)| *id == lane.id).filter_map(|(_, row, standing)| {
            let Phase::Settled(verdict) = standing.phase else { return None };
            let (seen, reason) = (standing.after.clone(), standing.reason.clone());
            Some(RowEvent::Settled { verdict, seen, reason, ground: standing.ground }.about(*row))
        });
        record_any(lane, kinds.collect()).await?;
    }
    Ok(())
}

/// Records events of one lane, if there are any. A lane of which they are refused sends nothing more, and the others go on.
async fn record_any(lane: &Lane<Way>, kinds: Vec<EventKind>) -> Result<(), NotRecorded> {
    if kinds.is_empty() { Ok(()) } else { unless_to_lane(lane.record(kinds, None).await) }
}

fn paces(lanes: &Lanes) -> Vec<TargetPace> {
    let pace = |lane: &Arc<Lane<Way>>| TargetPace { target: lane.name.clone(), per_second: lane.gauges().per_second };
    lanes.iter().map(pace).collect()
}

fn gauge(lanes: &Lanes, driver: &Arc<Driver>) -> impl Fn() -> Gauges + Send + 'static {
    let (lanes, driver) = (lanes.to_vec(), Arc::clone(driver));
    move || {
        let going = || lanes.iter().filter(|lane| lane.goes_on());
        // The run waits only while all of its accounts cool down.
        let cooling = going().map(|lane| lane.gauges().cooling.unwrap_or_default()).min();
        Gauges {
            on_the_wire: lanes.iter().map(|lane| lane.gauges().on_the_wire).sum(),
            cooling: cooling.filter(|left| !left.is_zero()),
            only_looking: lanes.iter().all(|lane| lane.idle_since().is_some()),
            waits: driver.waits(),
        }
    }
}
