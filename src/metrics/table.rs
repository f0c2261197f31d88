//! Table of metrics: each is written here once. A name never changes its meaning.

use jiff::Timestamp;

use super::figures::{Figures, RunFigures, label};
use crate::event::outcome::Outcome;
use crate::event::verdict::Verdict;
use crate::journal::read::outcomes::OutcomeCounts;
use crate::ledger::waiting::WaitsFor;

/// Definition of a metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    /// Sentence without its full stop.
    pub(super) help: &'static str,
    pub(super) subject: MetricSubject,
    /// Label besides those of the subject.
    pub(super) label: Option<&'static str>,
    /// Computes its values, each with the value of that label; none where there is nothing to tell.
    values: fn(&Figures) -> Vec<(String, f64)>,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    Gauge,
    Counter,
}

impl MetricKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        }
    }
}

/// Subject of a metric, which its common labels name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricSubject {
    /// Run of a plan: labels `plan` and `run`.
    Run,
    /// Plan, over all its runs: label `plan`.
    Plan,
}

impl MetricSubject {
    /// Names of the labels.
    pub(super) fn labels(self) -> &'static [&'static str] {
        match self {
            MetricSubject::Run => &[PLAN, RUN],
            MetricSubject::Plan => &[PLAN],
        }
    }
}

pub(super) const PLAN: &str = "plan";
pub(super) const RUN: &str = "run";

/// Number of metrics.
pub(super) const N_METRICS: usize = 10;

/// Names of the metrics by which a file is read back.
pub(super) const STARTED: &str = "cutover_run_started_timestamp_seconds";
pub(super) const ENDED: &str = "cutover_run_ended_timestamp_seconds";
pub(super) const LAST_SUCCESS: &str = "cutover_run_last_success_timestamp_seconds";

/// Every metric, in the order in which they are written.
pub(super) static METRICS: [Metric; N_METRICS] = [
    Metric {
        name: "cutover_run_rows",
        kind: MetricKind::Gauge,
        help: "Rows of the run by verdict, without those that have none yet",
        subject: MetricSubject::Run,
        label: Some("verdict"),
        values: |figures| {
            let of_run = figures.of_run.iter();
            let by_verdict = |run: &RunFigures| {
                Verdict::ALL.map(|verdict| (verdict.name().to_owned(), whole(run.tally.settled_as(verdict))))
            };
            of_run.flat_map(by_verdict).collect()
        },
    },
    Metric {
        name: "cutover_run_unsettled_rows",
        kind: MetricKind::Gauge,
        help: "Rows of the run without a verdict: not begun, due again, or in doubt",
        subject: MetricSubject::Run,
        label: None,
        values: |figures| one(figures.of_run.as_ref().map(|run| whole(run.tally.unsettled()))),
    },
    Metric {
        name: "cutover_run_exit_code",
        kind: MetricKind::Gauge,
        help: "Exit code of the last launch, 0 if every row is on target; absent while a launch goes on",
        subject: MetricSubject::Run,
        label: None,
        values: |figures| one(figures.ended.map(|end| f64::from(end.exit_code))),
    },
    Metric {
        name: STARTED,
        kind: MetricKind::Gauge,
        help: "Start of the run, or of the launch if it ended before it had a run",
        subject: MetricSubject::Run,
        label: None,
        values: |figures| one(Some(seconds(figures.started_at))),
    },
    Metric {
        name: ENDED,
        kind: MetricKind::Gauge,
        help: "End of the last launch; absent while a launch goes on, and after one that was killed",
        subject: MetricSubject::Run,
        label: None,
        values: |figures| one(figures.ended.map(|end| seconds(end.at))),
    },
    Metric {
        name: LAST_SUCCESS,
        kind: MetricKind::Gauge,
        help: "End of the last launch of the plan after which every row was on target",
        subject: MetricSubject::Plan,
        label: None,
        values: |figures| one(figures.last_success.map(seconds)),
    },
    Metric {
        name: "cutover_run_elapsed_seconds",
        kind: MetricKind::Gauge,
        help: "Time that all launches of the run took; it grows as long as one goes on",
        subject: MetricSubject::Run,
        label: None,
        values: |figures| one(figures.elapsed.map(|elapsed| elapsed.as_secs_f64())),
    },
    Metric {
        name: "cutover_run_waiting",
        kind: MetricKind::Gauge,
        help: "1 for what the run waits for now, 0 for what it does not wait for",
        subject: MetricSubject::Run,
        label: Some("for"),
        values: |figures| {
            let of_run = figures.of_run.iter();
            let each = |run: &RunFigures| {
                WaitsFor::ALL
                    .map(|thing| (thing.name().to_owned(), f64::from(u8::from(run.waits_for.contains(&thing)))))
            };
            of_run.flat_map(each).collect()
        },
    },
    Metric {
        name: "cutover_requests_total",
        kind: MetricKind::Counter,
        help: "Changes of the run by how they ended, over all its launches; throttled reads are counted, other reads are not",
        subject: MetricSubject::Run,
        label: Some("outcome"),
        values: |figures| {
            let outcomes = figures.of_run.iter().flat_map(|run| &run.outcomes);
            let by_name = |of: &OutcomeCounts| Outcome::NAMES.map(|name| (name.to_owned(), whole(of.get(name))));
            outcomes.flat_map(by_name).collect()
        },
    },
    Metric {
        name: "cutover_rate_requests_per_second",
        kind: MetricKind::Gauge,
        help: "Pace of a target: requests per second as they were set, or the fewer that the service takes; that of the last launch \
               once it has ended",
        subject: MetricSubject::Run,
        label: Some("target"),
        values: |figures| {
            let paces = figures.of_run.iter().flat_map(|run| &run.paces);
            paces.map(|pace| (label(&pace.target), pace.per_second.unwrap_or(f64::INFINITY))).collect()
        },
    },
];

impl Metric {
    /// Returns its samples: labels with their values, and the value.
    pub(super) fn samples<'f>(
        &'f self,
        figures: &'f Figures,
    ) -> impl Iterator<Item = (Vec<(&'static str, String)>, f64)> + 'f {
        let of_subject = |label: &'static str| match label {
            PLAN => Some((PLAN, figures.plan.clone()?)),
            _ => Some((RUN, figures.run.clone()?)),
        };
        (self.values)(figures).into_iter().map(move |(own, value)| {
            let own = self.label.map(|label| (label, own));
            (self.subject.labels().iter().copied().filter_map(of_subject).chain(own).collect(), value)
        })
    }
}

fn one(value: Option<f64>) -> Vec<(String, f64)> {
    value.into_iter().map(|value| (String::new(), value)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn whole(n: u64) -> f64 {
    n as f64
}

/// Seconds since 1970, to the millisecond.
#[expect(clippy::cast_precision_loss, reason = "exact up to the year 287396")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_labels_are_those_that_were_promised() {
        let written = METRICS.each_ref().map(|metric| {
            let label = metric.label.map_or_else(String::new, |label| format!("{{{label}}}"));
            format!("{}{label}", metric.name)
        });
        let promised = [
            "cutover_run_rows{verdict}",
            "cutover_run_unsettled_rows",
            "cutover_run_exit_code",
            "cutover_run_started_timestamp_seconds",
            "cutover_run_ended_timestamp_seconds",
            "cutover_run_last_success_timestamp_seconds",
            "cutover_run_elapsed_seconds",
            "cutover_run_waiting{for}",
            "cutover_requests_total{outcome}",
            "cutover_rate_requests_per_second{target}",
        ];
        assert_eq!(written, promised);
        assert_eq!(METRICS.iter().map(|metric| metric.name).collect::<BTreeSet<_>>().len(), N_METRICS);
        let is_counter = |metric: &Metric| metric.kind == MetricKind::Counter;
        assert!(METRICS.iter().all(|metric| metric.name.ends_with("_total") == is_counter(metric)));
    }
}
