//! Files for people that are made from the table of metrics: alert rules, a dashboard, and the table in README.md.
//!
//! A test compares each with what is made here. `UPDATE_SAMPLES=1 cargo test --lib metrics::` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use super::table::METRICS;

mod alerts;
mod dashboard;

/// Compares a file of the repository with what is made for it, or writes it.
#[track_caller]
fn compare(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SAMPLES").is_some_and(|set| !set.is_empty()) {
        std::fs::write(&path, made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, made, "`UPDATE_SAMPLES=1 cargo test --lib metrics::` writes {}", path.display());
}

/// Metrics that a text names.
fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("cutover_"))
}

fn unknown_in(text: &str) -> Vec<&str> {
    named_in(text).filter(|name| METRICS.iter().all(|metric| metric.name != *name)).collect()
}

/// Table of the metrics in Markdown.
fn table_in_markdown() -> String {
    let mut text = String::from("| metric | type | labels | means |\n|---|---|---|---|\n");
    for metric in &METRICS {
        let labels: Vec<&str> = metric.subject.labels().iter().copied().chain(metric.label).collect();
        let (name, kind, labels) = (metric.name, metric.kind.name(), labels.join(", "));
        _ = writeln!(text, "| `{name}` | {kind} | {labels} | {} |", metric.help);
    }
    text
}

#[test]
fn the_table_in_the_readme_is_that_of_the_program() {
    const BEGINS: &str = "| metric | type |";
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGINS).expect("README.md has the table of metrics");
    let (_, behind) = rest.split_once("\n\n").expect("an empty line follows the table");
    compare("README.md", &format!("{before}{}\n{behind}", table_in_markdown()));
}

#[test]
fn a_metric_that_is_in_no_table_is_found() {
    assert_eq!(
        unknown_in("sum(cutover_run_rows{plan=\"cutover_x\"}) > cutover_run_row"),
        ["cutover_x", "cutover_run_row"]
    );
}
