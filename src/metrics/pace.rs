//! Paces of a run's targets: the limits of requests per second that are in force.

use jiff::Timestamp;

use crate::control::Command;
use crate::journal::read::runs::RunRecord;
use crate::ledger::steered::Steered;
use crate::plan::paper::Paper;
use crate::report::summary::LaneOf;
use crate::values::rate::Rate;

/// Pace of one target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetPace {
    pub(crate) target: String,
    /// Requests per second; `None` for no limit.
    pub(crate) per_second: Option<f64>,
}

/// Returns the pace of each account as far as the journal tells it: that of an operator's command in the last launch, else that of
/// the stage or of the settings, and less where the service takes less.
pub(super) fn paces_told(
    run: &RunRecord,
    lanes: &[LaneOf],
    steered: &Steered,
    began: Option<Timestamp>,
) -> Vec<TargetPace> {
    let by_hand = steered.history.iter().rev().take_while(|taken| began.is_none_or(|began| taken.at >= began));
    let mut by_hand = by_hand.filter_map(|taken| match taken.command {
        Command::Rate { per_second } => Some(per_second),
        Command::Pause
        | Command::Continue
        | Command::Concurrency { .. }
        | Command::Skip { .. }
        | Command::Unskip { .. }
        | Command::Release { .. }
        | Command::Drain
        | Command::Abort => None,
    });
    let set = by_hand.next().unwrap_or_else(|| lower(of_settings(run), of_stage(run, steered)));
    let pace =
        |lane: &LaneOf| TargetPace { target: lane.lane.name.clone(), per_second: lower(set, lane.lane.per_second) };
    lanes.iter().map(pace).collect()
}

fn of_settings(run: &RunRecord) -> Option<f64> {
    run.settings.get("rate")?.as_str()?.parse::<Rate>().ok()?.per_second()
}

fn of_stage(run: &RunRecord, steered: &Steered) -> Option<f64> {
    let paper = Paper::of_settings(&run.settings).ok()?;
    paper.terms.stage(steered.stage.as_ref()?)?.rate.as_ref()?.per_second()
}

/// Lower of two limits, of which `None` is no limit.
fn lower(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::min)
}
