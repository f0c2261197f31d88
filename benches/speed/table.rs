//! Output of measurements, for people and for scripts.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::measure::Sample;

/// Longest name of a peer in the table, in characters.
const NAME: usize = 44;

/// Results of one part.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) rounds: u32,
    /// Conditions of the measurement, such as sizes.
    pub(crate) facts: Vec<(&'static str, Value)>,
    pub(crate) cases: Vec<Case>,
    /// Measurements that were left out, with the reasons.
    pub(crate) left_out: Vec<String>,
    /// Runs that did not do their work; no case has their figures.
    pub(crate) failures: Vec<String>,
}

/// One thing that was measured, and its peers.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) lead: &'static str,
    pub(crate) ours: Rounds,
    pub(crate) peers: Vec<Beside>,
}

pub(crate) struct Beside {
    pub(crate) name: String,
    /// Figures of the peer, or the reason for which it is left out.
    pub(crate) took: Result<Rounds, String>,
}

/// One sample for each round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(pub(crate) Vec<Sample>);

struct Sum {
    median: f64,
    min: f64,
    max: f64,
}

impl Sum {
    /// Computes median, minimum and maximum of figures. Without any, all three values are NaN, which is `null` in JSON.
    fn from_figures(figures: &[f64]) -> Self {
        let mut sorted: Vec<f64> = figures.iter().copied().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |n: usize| sorted.get(n).copied().unwrap_or(f64::NAN);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { at(half) } else { at(half.saturating_sub(1)).midpoint(at(half)) };
        Self { median, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }

    fn shown(&self) -> String {
        let Self { median, min, max } = *self;
        if min < max { format!("{} ({}–{})", shown(median), shown(min), shown(max)) } else { shown(median) }
    }
}

impl Rounds {
    fn keys(&self) -> Vec<&'static str> {
        self.0.first().map(|sample| sample.iter().map(|(key, _)| *key).collect()).unwrap_or_default()
    }

    /// Returns one figure over the rounds.
    fn figures(&self, key: &str) -> Vec<f64> {
        let one =
            |sample: &Sample| sample.iter().find(|(name, _)| *name == key).map_or(f64::NAN, |(_, figure)| *figure);
        self.0.iter().map(one).collect()
    }

    /// Returns our figure divided by the peer's, round by round.
    fn over(&self, peer: &Rounds, key: &str) -> Vec<f64> {
        self.figures(key).iter().zip(peer.figures(key)).map(|(ours, peer)| ours / peer).collect()
    }

    fn json(&self) -> Value {
        let figure = |key: &'static str| {
            let rounds = self.figures(key);
            let sum = Sum::from_figures(&rounds);
            (key.to_owned(), json!({"median": sum.median, "min": sum.min, "max": sum.max, "rounds": rounds}))
        };
        Value::Object(self.keys().into_iter().map(figure).collect())
    }
}

/// Writes a figure with about three significant digits.
fn shown(figure: f64) -> String {
    match figure.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 100.0 || size == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

impl Part {
    pub(crate) fn new(name: &'static str, rounds: u32, facts: Vec<(&'static str, Value)>, cases: Vec<Case>) -> Self {
        Self { name, rounds, facts, cases, left_out: Vec::new(), failures: Vec::new() }
    }

    pub(crate) fn text(&self) -> String {
        let facts = self.facts.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " ")));
        let facts: Vec<String> = facts.chain([format!("rounds {}", self.rounds)]).collect();
        let mut text = format!("\n{}: {}\n", self.name, facts.join(", "));
        let mut grid: Vec<Vec<String>> = Vec::new();
        let mut keys = Vec::new();
        for case in &self.cases {
            if case.ours.keys() != keys {
                text.push_str(&drawn(&std::mem::take(&mut grid)));
                keys = case.ours.keys();
                // The most important figure comes first.
                keys.sort_by_key(|key| *key != case.lead);
                let titles = keys.iter().map(|key| key.replace('_', " "));
                let compared = format!("ours/peer in {}", case.lead.replace('_', " "));
                grid.push(std::iter::once(String::new()).chain(titles).chain([compared]).collect());
                keys = case.ours.keys();
            }
            grid.extend(case.lines());
        }
        text.push_str(&drawn(&grid));
        let peers = self.cases.iter().flat_map(|case| case.peers.iter().map(move |peer| (case, peer)));
        for (case, peer) in peers {
            if let Err(why) = &peer.took {
                _ = writeln!(text, "left out of `{}`: {} ({why})", case.name, peer.name);
            }
        }
        for what in &self.left_out {
            _ = writeln!(text, "left out: {what}");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let facts: Map<String, Value> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let cases: Vec<Value> = self.cases.iter().map(Case::json).collect();
        json!({"part": self.name, "rounds": self.rounds, "facts": facts, "cases": cases, "left_out": self.left_out})
    }
}

impl Case {
    fn lines(&self) -> Vec<Vec<String>> {
        let mut keys = self.ours.keys();
        keys.sort_by_key(|key| *key != self.lead);
        let line = |name: String, rounds: &Rounds, compared: String| -> Vec<String> {
            let cell = |key: &&str| {
                let sum = Sum::from_figures(&rounds.figures(key));
                if *key == self.lead { sum.shown() } else { shown(sum.median) }
            };
            std::iter::once(name).chain(keys.iter().map(cell)).chain([compared]).collect()
        };
        let mut lines = vec![line(self.name.clone(), &self.ours, String::new())];
        for peer in &self.peers {
            if let Ok(rounds) = &peer.took {
                let compared = Sum::from_figures(&self.ours.over(rounds, self.lead)).shown();
                lines.push(line(format!("  {}", cut(&peer.name)), rounds, compared));
            }
        }
        lines
    }

    fn json(&self) -> Value {
        let peers: Vec<Value> = self.peers.iter().map(|peer| self.beside(peer)).collect();
        json!({"case": self.name, "lead": self.lead, "ours": self.ours.json(), "peers": peers})
    }

    fn beside(&self, peer: &Beside) -> Value {
        let rounds = match &peer.took {
            Ok(rounds) => rounds,
            Err(why) => return json!({"peer": peer.name, "left_out": why}),
        };
        let in_common = self.ours.keys().into_iter().filter(|key| rounds.keys().contains(key));
        let ratio = |key: &'static str| {
            let ratios = self.ours.over(rounds, key);
            let sum = Sum::from_figures(&ratios);
            (key.to_owned(), json!({"median": sum.median, "min": sum.min, "max": sum.max, "rounds": ratios}))
        };
        let ratios: Map<String, Value> = in_common.map(ratio).collect();
        json!({"peer": peer.name, "figures": rounds.json(), "ours_over_peer": ratios})
    }
}

/// Cuts a name to leave room for the figures; the JSON document has all of it.
fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// Draws a table with columns as wide as needed: names to the left, figures to the right.
fn drawn(grid: &[Vec<String>]) -> String {
    let Some(first) = grid.first() else { return String::new() };
    let width = |n: usize| grid.iter().map(|line| line[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    // An empty column is left out.
    let is_bare = |n: usize| n > 0 && grid.iter().skip(1).all(|line| line[n].is_empty());
    let mut text = String::new();
    for line in grid {
        for (n, cell) in line.iter().enumerate().filter(|(n, _)| !is_bare(*n)) {
            let width = widths[n];
            _ = if n == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Describes the machine.
pub(crate) fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |path: &str, name: &str| {
        let text = read(path);
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim_start_matches([':', ' ', '\t']).trim().to_owned())
    };
    json!({
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "cpu": field("/proc/cpuinfo", "model name"), "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(), "load_before": read("/proc/loadavg").trim(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" }, "version": env!("CARGO_PKG_VERSION"),
    })
}
