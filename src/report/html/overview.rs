//! Overview of a run for browsers: on the live page and at the head of the report.

use askama::Template;

use crate::event::Event;
use crate::journal::read::sums::WaveTally;
use crate::report::advice::rows;
use crate::report::advice::step::Advice;
use crate::report::causes::cause_text;
use crate::report::story;
use crate::report::summary::{LaneOf, Summary};
use crate::report::terminal::UNPROVEN;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Most moments told; the others are counted.
const MOST_MOMENTS: usize = 500;

/// Counts, causes that need a human, waves and accounts.
#[derive(Template)]
#[template(path = "report/html/overview.html", config = ".askama.toml")]
pub(crate) struct Overview<'a> {
    counts: Vec<BarShare>,
    total: u32,
    causes: Vec<CauseLine>,
    /// Rows with causes that are not listed, such as `3 rows`; `None` if there are none.
    other_causes: Option<String>,
    /// Steps to take besides those of the causes.
    steps: Vec<(&'static str, Advice)>,
    waves: &'a [WaveTally],
    lanes: &'a [LaneOf],
    moved: Option<String>,
}

/// Number of rows with a verdict, and their part of a bar of all rows, in per cent.
struct BarShare {
    name: &'static str,
    n_rows: u64,
    meaning: &'static str,
    from: String,
    width: String,
}

struct CauseLine {
    verdict: String,
    n_rows: u64,
    text: String,
    example: String,
    /// Link to the example's story.
    link: Option<String>,
    next: Option<Advice>,
}

impl<'a> Overview<'a> {
    /// Makes the overview, with links to rows from `link`.
    pub(crate) fn new(summary: &'a Summary, link: impl Fn(&str) -> Option<String>) -> Self {
        let causes = summary.causes.iter().map(|cause| CauseLine {
            verdict: cause.verdict.clone(),
            n_rows: cause.n_rows,
            text: cause_text(cause),
            example: plain(&cause.example),
            link: link(&cause.example),
            next: rows::of_text(cause, &summary.commands),
        });
        let n_told: u64 = summary.causes.iter().map(|cause| cause.n_rows).sum();
        let some = |n| (n > 0).then(|| count(n, "row"));
        Self {
            counts: shares(&summary.counts(), u64::from(summary.plan.rows)),
            total: summary.plan.rows,
            causes: causes.collect(),
            other_causes: some(summary.n_need_a_look().saturating_sub(n_told)),
            steps: summary
                .next_steps()
                .into_iter()
                .filter(|(step, _)| ["in_doubt", "pending", UNPROVEN].contains(step))
                .collect(),
            waves: if summary.waves.len() > 1 { &summary.waves } else { &[] },
            lanes: if summary.lanes.len() > 1 { &summary.lanes } else { &[] },
            moved: some(summary.moved),
        }
    }
}

fn shares(counts: &[(&'static str, u64, &'static str)], total: u64) -> Vec<BarShare> {
    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    let per_cent = |n: u64| format!("{:.3}", n as f64 * 100.0 / total.max(1) as f64);
    let mut n_before = 0;
    let shares = counts.iter().map(|(name, n_rows, meaning)| {
        let from = per_cent(n_before);
        n_before += n_rows;
        BarShare { name, n_rows: *n_rows, meaning, from, width: per_cent(*n_rows) }
    });
    shares.collect()
}

/// Events of the run as a whole, in sentences.
pub(crate) struct Moments {
    /// Pairs of time and sentence.
    pub(crate) told: Vec<(String, String)>,
    pub(crate) n_left_out: usize,
}

impl Moments {
    /// Tells the first and the last events, where there are more than [`MOST_MOMENTS`].
    pub(crate) fn from_events(events: &[Event]) -> Self {
        let told: Vec<_> = story::told(events).map(|moment| (moment.time(), moment.sentence())).collect();
        let n_left_out = told.len().saturating_sub(MOST_MOMENTS);
        let first = told.len().min(MOST_MOMENTS / 2);
        let told = told.iter().take(first).chain(told.iter().skip(first + n_left_out)).cloned().collect();
        Self { told, n_left_out }
    }
}
