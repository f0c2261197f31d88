//! How long a stage would take, whether there is time for it, and what it has shown when it is over.

use std::sync::Arc;
use std::time::Duration;

use super::{Helm, HelmError, Pace};
use crate::engine::book::Book;
use crate::engine::lane::Lane;
use crate::engine::lane::mark::Mark;
use crate::event::{DrainReason, LaneId};
use crate::journal::{Journal, JournalError};
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;
use crate::waves::forecast::{Ahead, Band, Fit, spoken};
use crate::waves::window::Opening;
use crate::waves::{Part, Stage};

/// How often the time that a roll-back would take is estimated anew while a stage goes on.
const ESTIMATE_EVERY: Duration = Duration::from_secs(5);

impl Helm {
    /// How long the wave would take from this stage on, and whether there is time for it.
    pub(super) async fn forecast<R: Remote>(
        &self,
        stage: &Stage,
        lanes: &[Arc<Lane<R>>],
        book: &Book,
    ) -> Result<(u64, Option<(Fit, String)>), JournalError> {
        let wave_no = stage.wave_no;
        let counts = book.read(move |journal, run| journal.unsettled_in_wave(run, wave_no)).await?;
        let rows_of = |part: Part| counts.iter().filter(move |(_, of, _)| *of == part);
        let rows: u64 = rows_of(stage.part).map(|(_, _, n)| n).sum();
        let mut band = Band::default();
        for part in [Part::Canary, Part::Rest].into_iter().filter(|part| *part >= stage.part) {
            let of_part = Stage { part, ..stage.clone() };
            let rows_in = |id: LaneId| rows_of(part).filter(|(lane, _, _)| *lane == id).map(|(_, _, n)| n).sum();
            let ahead: Vec<Ahead> = going(lanes).map(|lane| self.ahead(&of_part, lane, rows_in(lane.id))).collect();
            band = band.and(self.band(&ahead));
            if part == Part::Canary
                && let Some(soak_s) = self.terms_of(&of_part).and_then(|terms| terms.soak_s)
            {
                band = band.and(Band::exactly(Duration::from_secs(soak_s)));
            }
        }
        let Opening::Open { until: Some(until) } = self.settings.window.at(self.clock.now()) else {
            return Ok((rows, Some((Fit::Fits, format!("{band}"))).filter(|_| self.tells(rows))));
        };
        let mut all = band;
        let mut reserved = String::new();
        if self.settings.reserve_rollback {
            let changed = book.read(Journal::changed_by_lane).await?;
            self.state().changed = changed.into_iter().collect();
            let rows_in = |id: LaneId| counts.iter().filter(|(lane, _, _)| *lane == id).map(|(_, _, n)| n).sum();
            let rollback = self.way_back(lanes, rows_in);
            all = band.and(rollback);
            reserved = format!(" and {} to roll back", spoken(rollback.likely));
        }
        let left = Duration::try_from(until.duration_since(self.clock.now())).unwrap_or(Duration::ZERO);
        let fit = all.fits(left);
        let local = self.settings.window.local(until);
        Ok((
            rows,
            Some((fit, format!("{band}{reserved}; {fit}: there is time until {local}, {} from now", spoken(left)))),
        ))
    }

    /// A forecast without an end to meet is told where there are waves, or it takes long enough to matter.
    fn tells(&self, rows: u64) -> bool {
        !self.terms.waves.is_empty() || rows > 1_000
    }

    fn band(&self, ahead: &[Ahead]) -> Band {
        let of_all = self.of_all.as_ref().and_then(|of_all| of_all.per_second());
        Band::side_by_side(ahead, of_all, self.settings.verify_timeout)
    }

    fn ahead<R: Remote>(&self, stage: &Stage, lane: &Lane<R>, rows: u64) -> Ahead {
        let rate = self.rate_of_stage(stage, lane).map_or(lane.base_rate, |Pace(rate)| rate);
        let concurrency = self.concurrency_of_stage(stage, lane).unwrap_or(self.settings.concurrency);
        self.ahead_at(lane, rate, concurrency, rows)
    }

    /// What the service takes may be less than what we allow ourselves.
    fn ahead_at<R: Remote>(&self, lane: &Lane<R>, rate: Option<f64>, concurrency: u32, rows: u64) -> Ahead {
        let measured = self.state().measured.get(&lane.id).copied().unwrap_or_default();
        let per_second = match (rate, lane.gate.snapshot().believed) {
            (Some(rate), Some(believed)) => Some(rate.min(believed)),
            (one, None) | (None, one) => one,
        };
        Ahead { rows, per_second, concurrency, measured }
    }

    /// The way back of what was moved, and of what would be: at the settings' own pace, whatever the stage's is.
    fn way_back<R: Remote>(&self, lanes: &[Arc<Lane<R>>], more: impl Fn(LaneId) -> u64) -> Band {
        let changed = self.state().changed.clone();
        let rows = |id: LaneId| changed.get(&id).copied().unwrap_or(0) + more(id);
        let ahead = |lane: &Arc<Lane<R>>| self.ahead_at(lane, lane.base_rate, lane.settings.concurrency, rows(lane.id));
        self.band(&lanes.iter().map(ahead).collect::<Vec<_>>())
    }

    /// None: the stage says nothing of it, nor did anybody by hand. A stage may be slower than others allow, and not faster.
    pub(super) fn rate_of_stage<R: Remote>(&self, stage: &Stage, lane: &Lane<R>) -> Option<Pace> {
        let by_hand = self.state().rate;
        by_hand.or_else(|| {
            let rate = self.terms_of(stage)?.rate.as_ref()?;
            Some(Pace(match (rate.per_second(), lane.settings.rate_cap) {
                (Some(rate), Some(cap)) => Some(rate.min(cap)),
                (one, None) | (None, one) => one,
            }))
        })
    }

    /// None: neither the stage says anything of it, nor did anybody by hand.
    pub(super) fn concurrency_of_stage<R: Remote>(&self, stage: &Stage, lane: &Lane<R>) -> Option<u32> {
        let by_hand = self.state().concurrency;
        by_hand.or_else(|| {
            let concurrency = self.terms_of(stage)?.concurrency?;
            Some(lane.settings.concurrency_cap.map_or(concurrency, |cap| concurrency.min(cap)))
        })
    }

    /// What a stage has shown of an account, for the forecasts of those behind it.
    pub(crate) fn learn(&self, lane: LaneId, before: &Mark, after: &Mark) {
        self.state().measured.entry(lane).or_default().add(&after.since(before));
    }

    /// Ends when the run stops: within a stage, the window may close, or what is left of it be needed for the way back.
    pub(crate) async fn within_the_window<R: Remote, T>(
        &self,
        lanes: &[Arc<Lane<R>>],
        work: impl Future<Output = T>,
    ) -> Result<T, HelmError> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            closed = self.close(lanes) => closed?,
        }
        Ok(work.await)
    }

    async fn close<R: Remote>(&self, lanes: &[Arc<Lane<R>>]) -> Result<(), JournalClosed> {
        let window = &self.settings.window;
        let mut closes = self.clock.now();
        loop {
            let now = self.clock.now();
            let Opening::Open { until } = window.at(now) else {
                return self.drain(DrainReason::Window, format!("the window closed at {}", window.local(closes))).await;
            };
            let Some(until) = until else { return std::future::pending().await };
            closes = until;
            if !self.settings.reserve_rollback {
                self.clock.sleep_until(until).await;
                continue;
            }
            let takes = self.way_back(lanes, |_| 0).likely;
            let last = until.checked_sub(takes).unwrap_or(now);
            if last <= now && !self.settings.ignore_forecast {
                let (takes, local) = (spoken(takes), window.local(until));
                let why = format!("the {takes} that a roll-back would take are all that is left until {local}");
                return self.drain(DrainReason::TooLong, why).await;
            }
            let again = now.checked_add(ESTIMATE_EVERY).unwrap_or(until);
            self.clock.sleep_until(last.max(now).min(again).min(until).max(next_moment(now))).await;
        }
    }
}

/// Never at once, so that an estimate that does not change is not made over and over.
fn next_moment(now: jiff::Timestamp) -> jiff::Timestamp {
    now.checked_add(Duration::from_millis(100)).unwrap_or(now)
}

fn going<R: Remote>(lanes: &[Arc<Lane<R>>]) -> impl Iterator<Item = &Arc<Lane<R>>> {
    lanes.iter().filter(|lane| lane.stopped().is_none())
}
