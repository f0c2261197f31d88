//! What a stage waits for before it begins: the soak of what came before it, approvals, the window, and time enough.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::counts::{Came, Count};
use super::{Helm, HelmError, Leave, Pace, State};
use crate::control::Wait;
use crate::engine::book::Book;
use crate::engine::lane::Lane;
use crate::event::DrainReason;
use crate::event::run::RunEvent;
use crate::journal::Journal;
use crate::journal::read::steering::{Left, LeftOf, Tried};
use crate::ledger::Standing;
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;
use crate::waves::forecast::Fit;
use crate::waves::halt::HaltRules;
use crate::waves::window::Opening;
use crate::waves::{Part, Stage, WaveTerms};
use crate::wording::plain::plain;

/// Rows of a stage that are named where it halts; the others are counted.
const MOST_NAMED: u32 = 5;

/// When the last row of each stage came to rest that was tried; other stages are not in it.
type AtRest = BTreeMap<(u32, Part), Timestamp>;

impl Helm {
    /// Waits until a stage may begin.
    pub(crate) async fn before<R: Remote>(
        &self,
        stage: &Stage,
        lanes: &[Arc<Lane<R>>],
        book: &Book,
    ) -> Result<Leave, HelmError> {
        let at_rest =
            if self.terms.waves.is_empty() { AtRest::new() } else { book.read(Journal::stages_at_rest).await? };
        if let Some(until) = self.soaks_until(stage, &at_rest).filter(|until| *until > self.clock.now()) {
            let soaked = self.wait(Wait::Soak, stage, Some(until), self.clock.sleep_until(until)).await?;
            if soaked.is_none() {
                return Ok(Leave::Denied);
            }
        }
        for release in self.releases_needed(stage, &at_rest) {
            if self.released_in_time(&release).await? == Leave::Denied {
                return Ok(Leave::Denied);
            }
        }
        if !self.window_opens(stage).await? {
            return Ok(Leave::Denied);
        }
        let (rows, forecast) = self.forecast(stage, lanes, book).await?;
        if let Some((Fit::DoesNotFit, text)) = &forecast
            && !self.settings.ignore_forecast
        {
            let why = format!("{stage} does not begin: {text}");
            self.drain(DrainReason::TooLong, why).await?;
            return Ok(Leave::Denied);
        }
        self.take_over(stage, lanes, book).await?;
        let forecast = forecast.map(|(_, text)| text);
        self.record(vec![RunEvent::StageBegan { stage: stage.clone(), rows, forecast }]).await?;
        Ok(Leave::Granted)
    }

    /// The waves of a plan file have their numbers in its order; rows of no wave, or of another, come behind them.
    fn earlier_waves(&self, stage: &Stage) -> impl Iterator<Item = (u32, &WaveTerms)> {
        (0_u32..).zip(&self.terms.waves).take_while(|(wave_no, _)| *wave_no < stage.wave_no)
    }

    /// Until when what was changed before this stage soaks, if it does. What nobody changed has nothing to show.
    fn soaks_until(&self, stage: &Stage, at_rest: &AtRest) -> Option<Timestamp> {
        let later = |at: Timestamp, soak_s: Option<u64>| {
            let soak = SignedDuration::from_secs(soak_s.and_then(|soak| i64::try_from(soak).ok()).unwrap_or(0));
            at.checked_add(soak).unwrap_or(Timestamp::MAX)
        };
        let canary_soaked = |wave_no: u32, wave: &WaveTerms| {
            let at = *at_rest.get(&(wave_no, Part::Canary))?;
            Some(later(at, wave.canary.as_ref()?.stage.soak_s))
        };
        let earlier = self.earlier_waves(stage).filter_map(|(wave_no, wave)| {
            let rest = at_rest.get(&(wave_no, Part::Rest)).copied();
            let over = canary_soaked(wave_no, wave).max(rest)?;
            Some(later(over, wave.whole.soak_s))
        });
        let own_canary = self.terms.wave(stage.wave.as_deref()).filter(|_| stage.part == Part::Rest);
        earlier.chain(own_canary.and_then(|wave| canary_soaked(stage.wave_no, wave))).max()
    }

    /// What somebody has to release before this stage begins: its wave, what is behind its canary, and what is behind
    /// the canary of a wave that had nothing more.
    fn releases_needed(&self, stage: &Stage, at_rest: &AtRest) -> Vec<Stage> {
        let behind_canary = |wave: &WaveTerms| wave.canary.as_ref().is_some_and(|canary| canary.stage.approval);
        let release = |wave_no: u32, wave: &WaveTerms, part| Stage { wave_no, wave: Some(wave.name.clone()), part };
        let earlier = self.earlier_waves(stage);
        let earlier = earlier.filter(|(no, wave)| behind_canary(wave) && at_rest.contains_key(&(*no, Part::Canary)));
        let mut needed: Vec<Stage> = earlier.map(|(wave_no, wave)| release(wave_no, wave, Part::Rest)).collect();
        if let Some(wave) = self.terms.wave(stage.wave.as_deref()) {
            if wave.whole.approval {
                needed.push(release(stage.wave_no, wave, Part::Canary));
            }
            if stage.part == Part::Rest && behind_canary(wave) {
                needed.push(release(stage.wave_no, wave, Part::Rest));
            }
        }
        needed.retain(|release| !self.is_released(release));
        needed
    }

    fn is_released(&self, release: &Stage) -> bool {
        let wave = release.wave.as_deref().unwrap_or_default();
        self.state().steered.is_released(wave, release.part)
    }

    async fn released_in_time(&self, release: &Stage) -> Result<Leave, JournalClosed> {
        let timeout = self.settings.approval_timeout;
        let until = timeout.and_then(|timeout| self.clock.now().checked_add(timeout).ok());
        let too_late = async {
            match until {
                Some(until) => self.clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let approval = async {
            tokio::select! {
                () = self.released(release) => true,
                () = too_late => false,
            }
        };
        match self.wait(Wait::Approval, release, until, approval).await? {
            Some(true) => Ok(Leave::Granted),
            Some(false) => {
                let wave = release.wave.as_deref().unwrap_or_default();
                let why = match release.part {
                    Part::Canary => format!("nobody released wave `{wave}` in time"),
                    Part::Rest => format!("nobody released what is behind the canary of wave `{wave}` in time"),
                };
                self.drain(DrainReason::Unapproved, why).await?;
                Ok(Leave::Denied)
            }
            None => Ok(Leave::Denied),
        }
    }

    async fn released(&self, release: &Stage) {
        loop {
            let changed = self.changed.notified();
            if self.is_released(release) {
                return;
            }
            changed.await;
        }
    }

    /// The end of a wait. None: the run stops first.
    async fn wait<T>(
        &self,
        cause: Wait,
        stage: &Stage,
        until: Option<Timestamp>,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, JournalClosed> {
        self.record(vec![RunEvent::WaitBegan { cause, stage: stage.clone(), until }]).await?;
        let waited = self.stop.unless_draining(work).await;
        self.record(vec![RunEvent::WaitEnded]).await?;
        Ok(waited)
    }

    /// False: it does not, or the run stops first.
    async fn window_opens(&self, stage: &Stage) -> Result<bool, JournalClosed> {
        loop {
            match self.settings.window.at(self.clock.now()) {
                Opening::Open { .. } => return Ok(true),
                Opening::Over { since } => {
                    let why = format!("the time for changes ended at {}", self.settings.window.local(since));
                    self.drain(DrainReason::Window, why).await?;
                    return Ok(false);
                }
                Opening::Opens { at } => {
                    if self.wait(Wait::Window, stage, Some(at), self.clock.sleep_until(at)).await?.is_none() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// The stage's own limits hold from here on, and its counts go on where earlier launches left them.
    async fn take_over<R: Remote>(&self, stage: &Stage, lanes: &[Arc<Lane<R>>], book: &Book) -> Result<(), HelmError> {
        for lane in lanes {
            lane.set_rate(self.rate_of_stage(stage, lane).map_or(lane.base_rate, |Pace(rate)| rate));
            lane.set_concurrency(self.concurrency_of_stage(stage, lane).unwrap_or(lane.settings.concurrency));
        }
        let rules = self.terms_of(stage).map(|terms| terms.halt.clone()).unwrap_or_default();
        let for_the_run = &self.settings.halt;
        let (wave_no, part) = (stage.wave_no, stage.part);
        let mut of_stage = Count::default();
        if !(rules.is_off() && for_the_run.is_off()) {
            seed(&mut of_stage, &book.read(move |journal, run| journal.tried(run, Some((wave_no, part)))).await?);
        }
        let of_run = if self.state().stage.is_none() && !for_the_run.is_off() {
            Some(book.read(|journal, run| journal.tried(run, None)).await?)
        } else {
            None
        };
        let bound = [&rules, for_the_run].into_iter().filter_map(HaltRules::failures_until_halt).min();
        let bound = bound.filter(|_| part == Part::Canary).and_then(|bound| usize::try_from(bound).ok());
        let cautious = bound.map(|bound| Arc::new(Semaphore::new(bound.clamp(1, Semaphore::MAX_PERMITS))));
        self.state().begin(stage.clone(), rules, of_stage, of_run.as_deref(), cautious);
        Ok(())
    }

    /// No more is done in a stage, because it came to its end or because what is left cannot be done now.
    pub(crate) async fn after(&self, stage: &Stage, n_left: u64) -> Result<(), JournalClosed> {
        if n_left == 0 {
            self.record(vec![RunEvent::StageEnded { stage: stage.clone() }]).await?;
        }
        let tripped = self.trips(&mut self.state(), true);
        match tripped {
            Some(why) => self.drain(DrainReason::Halted, why).await,
            None => Ok(()),
        }
    }

    /// Whether another stage may follow: what is not known of one is no leave for the next, in whichever account it is left.
    pub(crate) async fn between(&self, stage: &Stage, book: &Book) -> Result<Leave, HelmError> {
        let of = (stage.wave_no, stage.part);
        let left = book.read(move |journal, run| journal.left_in_stage(run, of, MOST_NAMED)).await?;
        match halt_behind(stage, &left) {
            None => Ok(Leave::Granted),
            Some(_) if self.stop.is_draining() => Ok(Leave::Denied),
            Some(why) => {
                self.drain(DrainReason::StageLeft, why).await?;
                Ok(Leave::Denied)
            }
        }
    }
}

/// Why nothing begins behind a stage, if rows of it are left.
fn halt_behind(stage: &Stage, left: &LeftOf) -> Option<String> {
    let told = |left: &Left, how: &str| {
        let Left { n_rows, first } = left;
        let n_more = n_rows.saturating_sub(first.len() as u64);
        let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
        let named: Vec<String> = first.iter().map(|id| plain(id)).collect();
        (*n_rows > 0).then(|| format!("{n_rows} {how} ({}{more})", named.join(", ")))
    };
    let left: Vec<String> =
        [told(&left.in_doubt, "in doubt"), told(&left.pending, "pending")].into_iter().flatten().collect();
    let why = || format!("{stage} did not come to its end: {}; what comes behind it does not begin", left.join(", "));
    (!left.is_empty()).then(why)
}

impl State {
    fn begin(
        &mut self,
        stage: Stage,
        rules: HaltRules,
        of_stage: Count,
        of_run: Option<&[Tried]>,
        cautious: Option<Arc<Semaphore>>,
    ) {
        if let Some(tried) = of_run {
            seed(&mut self.of_run, tried);
        }
        self.of_stage = of_stage.beginning_at(self.of_run.next());
        (self.cautious, self.rules, self.stage) = (cautious, rules, Some(stage));
    }
}

/// Counts rows that earlier launches settled.
fn seed(count: &mut Count, tried: &[Tried]) {
    for Tried { verdict, http_status, error_code, no_look_succeeded, n_rows } in tried {
        let standing =
            Standing { attempts: 1, http_status: *http_status, error_code: error_code.clone(), ..Standing::default() };
        if let Some(came) = Came::of(&standing, *verdict, *no_look_succeeded) {
            count.seed(&came, *n_rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_stage_is_named_and_past_the_first_of_it_counted() {
        let stage = Stage { wave_no: 0, wave: Some("pilot".into()), part: Part::Rest };
        let left = |n_rows: u64, name: &str| Left {
            n_rows,
            first: (1..=n_rows.min(MOST_NAMED.into())).map(|n| format!("{name}-{n}")).collect(),
        };
        assert_eq!(halt_behind(&stage, &LeftOf::default()), None);
        let both = LeftOf { in_doubt: left(1, "a"), pending: left(7, "b") };
        let expected = "wave `pilot` did not come to its end: 1 in doubt (a-1), 7 pending (b-1, b-2, b-3, b-4, b-5 and 2 \
                        more); what comes behind it does not begin";
        assert_eq!(halt_behind(&stage, &both).as_deref(), Some(expected));
    }
}
