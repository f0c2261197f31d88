//! What a run adds up to, as browsers show it: on the live page and at the head of the report.

use askama::Template;

use crate::event::Event;
use crate::journal::read::WaveTally;
use crate::report::advice::{self, Advice};
use crate::report::story;
use crate::report::summary::{LaneOf, Summary, UNPROVEN, cause_text};
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Moments past these are counted, and not told.
const MOST_MOMENTS: usize = 500;

/// The counts, what needs a human, waves and accounts.
#[derive(Template)]
#[template(path = "report/html/overview.html", config = ".askama.toml")]
pub(crate) struct Overview<'a> {
    counts: Vec<Share>,
    total: u32,
    causes: Vec<CauseLine>,
    /// `3 rows`, where there are some.
    other_causes: Option<String>,
    /// What is to be done besides.
    steps: Vec<(&'static str, Advice)>,
    waves: &'a [WaveTally],
    lanes: &'a [LaneOf],
    moved: Option<String>,
}

/// How many rows have a verdict, and where they stand in a bar of all of them, in per cent.
struct Share {
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
    /// To the example's story.
    link: Option<String>,
    next: Option<Advice>,
}

impl<'a> Overview<'a> {
    /// With links to rows as the page has them.
    pub(crate) fn of(summary: &'a Summary, link: impl Fn(&str) -> Option<String>) -> Self {
        let causes = summary.causes.iter().map(|cause| CauseLine {
            verdict: cause.verdict.clone(),
            n_rows: cause.n_rows,
            text: cause_text(cause),
            example: plain(&cause.example),
            link: link(&cause.example),
            next: advice::of_text(cause, &summary.commands),
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

fn shares(counts: &[(&'static str, u64, &'static str)], total: u64) -> Vec<Share> {
    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    let per_cent = |n: u64| format!("{:.3}", n as f64 * 100.0 / total.max(1) as f64);
    let mut n_before = 0;
    let shares = counts.iter().map(|(name, n_rows, meaning)| {
        let from = per_cent(n_before);
        n_before += n_rows;
        Share { name, n_rows: *n_rows, meaning, from, width: per_cent(*n_rows) }
    });
    shares.collect()
}

/// What happened to the run as a whole, in sentences.
pub(crate) struct Moments {
    /// Time and sentence.
    pub(crate) told: Vec<(String, String)>,
    pub(crate) n_left_out: usize,
}

impl Moments {
    /// The first and the last of them, where there are too many.
    pub(crate) fn of(events: &[Event]) -> Self {
        let told: Vec<_> = story::told(events).map(|moment| (moment.time(), moment.sentence())).collect();
        let n_left_out = told.len().saturating_sub(MOST_MOMENTS);
        let first = told.len().min(MOST_MOMENTS / 2);
        let told = told.iter().take(first).chain(told.iter().skip(first + n_left_out)).cloned().collect();
        Self { told, n_left_out }
    }
}
