//! Alert rules for a job that runs each night.

use std::fmt::Write as _;

use super::{compare, unknown_in};
use crate::exit::Exit;
use crate::ledger::waiting::WaitsFor;

/// Alert rule.
struct Alert {
    name: &'static str,
    expr: String,
    /// Time for which it has to hold; empty for none.
    holds_for: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: String,
}

const HEAD: &str = "\
# Alert rules over the metrics of cutover, for a job that runs each night: 26 hours are a day, and two hours for a run to end. Change them
# for other slots. They take the file of `--metrics-file`, by node_exporter, and the page /metrics of `cutover serve` alike.
# Made from the program's table of metrics, as CONTRIBUTING.md says.
groups:
  - name: cutover
    rules:
";

fn alerts() -> Vec<Alert> {
    let for_people = WaitsFor::ALL.into_iter().filter(|thing| thing.needs_a_person());
    let for_people = for_people.map(WaitsFor::name).collect::<Vec<_>>().join("|");
    vec![
        Alert {
            name: "CutoverFailed",
            expr: "cutover_run_exit_code != 0".to_owned(),
            holds_for: "",
            severity: "warning",
            summary: "The last launch of {{ $labels.plan }} ended with {{ $value }}",
            description: exit_in_words(),
        },
        Alert {
            name: "CutoverNoSuccess",
            expr: "time() - cutover_run_last_success_timestamp_seconds > 26 * 3600".to_owned(),
            holds_for: "",
            severity: "critical",
            summary: "{{ $labels.plan }} did not get on target for {{ $value | humanizeDuration }}",
            description: "No launch of this plan ended with 0 since then: look at `cutover runs`.".to_owned(),
        },
        Alert {
            name: "CutoverDidNotRun",
            expr: "time() - max without (run) (cutover_run_ended_timestamp_seconds) > 26 * 3600".to_owned(),
            holds_for: "",
            severity: "critical",
            summary: "{{ $labels.plan }} was not launched for {{ $value | humanizeDuration }}",
            description: "Neither a success nor a failure was told since then: look at the scheduler, cron or systemd."
                .to_owned(),
        },
        Alert {
            name: "CutoverCutOff",
            expr: "(cutover_run_elapsed_seconds unless cutover_run_ended_timestamp_seconds)\n\
                   and changes(cutover_run_elapsed_seconds[10m]) == 0"
                .to_owned(),
            holds_for: "5m",
            severity: "critical",
            summary: "A launch of {{ $labels.plan }} was cut off",
            description: "It did not end by itself, and its time no longer grows: it was killed, or the machine went down. \
                          `cutover status {{ $labels.run }}` has what is left, and the command that goes on with it."
                .to_owned(),
        },
        Alert {
            name: "CutoverWaitsForSomebody",
            expr: format!("cutover_run_waiting{{for=~\"{for_people}\"}} == 1"),
            holds_for: "30m",
            severity: "warning",
            summary: "{{ $labels.plan }} waits for a person ({{ $labels.for }})",
            description: "It goes on only after somebody acts: `cutover status {{ $labels.run }}` says what to type."
                .to_owned(),
        },
        Alert {
            name: "CutoverNoProgress",
            expr: "(cutover_run_unsettled_rows > 0 unless cutover_run_ended_timestamp_seconds)\n\
                   and changes(cutover_run_unsettled_rows[30m]) == 0\n\
                   and changes(cutover_run_elapsed_seconds[10m]) > 0\n\
                   unless max without (for) (cutover_run_waiting) == 1"
                .to_owned(),
            holds_for: "30m",
            severity: "warning",
            summary: "No row of {{ $labels.plan }} was settled for half an hour",
            description: "{{ $value }} rows are left, and it waits for nothing that it knows of: \
                          `cutover status {{ $labels.run }}`."
                .to_owned(),
        },
        Alert {
            name: "CutoverThrottled",
            expr: share_of("outcome=\"throttled\""),
            holds_for: "10m",
            severity: "warning",
            summary: "The service throttles {{ $labels.plan }}",
            description: "More than a fifth of the requests met the quota: others may be using it, or `rate` is too high.".to_owned(),
        },
        Alert {
            name: "CutoverServiceAway",
            expr: share_of("outcome=~\"lost|unsent|disclaimed\""),
            holds_for: "10m",
            severity: "warning",
            summary: "Many requests of {{ $labels.plan }} have no answer",
            description: "More than a fifth of them was lost or could not be sent: look at the service and the way to it \
                          (`cutover doctor`)."
                .to_owned(),
        },
        Alert {
            name: "CutoverUnseen",
            expr: "absent(cutover_run_started_timestamp_seconds)".to_owned(),
            holds_for: "1h",
            severity: "warning",
            summary: "No metrics of cutover are collected",
            description: "The file was never written, or is not collected: it has to end with .prom, in the folder of the textfile \
                          collector, and that has to be allowed to read it."
                .to_owned(),
        },
    ]
}

/// Condition that more than a fifth of the requests ended so.
fn share_of(outcomes: &str) -> String {
    format!(
        "sum without (outcome) (rate(cutover_requests_total{{{outcomes}}}[10m]))\n\
         > 0.2 * sum without (outcome) (rate(cutover_requests_total[10m]))"
    )
}

/// Template that says what the exit code means, from the table of exit codes.
fn exit_in_words() -> String {
    let failed = Exit::ALL.into_iter().filter(|exit| *exit != Exit::Done);
    let mut text = String::new();
    for exit in failed {
        let word = if text.is_empty() { "if" } else { "else if" };
        _ = write!(text, "{{{{ {word} eq $value {}.0 }}}}{}: {}", exit.code(), exit.name(), exit.meaning());
    }
    text + "{{ end }}"
}

fn rules() -> String {
    let mut text = HEAD.to_owned();
    for Alert { name, expr, holds_for, severity, summary, description } in alerts() {
        _ = writeln!(text, "      - alert: {name}\n        expr: |-");
        expr.lines().for_each(|line| _ = writeln!(text, "          {line}"));
        if !holds_for.is_empty() {
            _ = writeln!(text, "        for: {holds_for}");
        }
        _ = writeln!(text, "        labels:\n          severity: {severity}\n        annotations:");
        // Texts in JSON are texts in YAML.
        for (name, annotation) in [("summary", summary), ("description", &description)] {
            _ = writeln!(text, "          {name}: {}", serde_json::Value::from(annotation));
        }
    }
    text
}

#[test]
fn the_alert_rules_in_the_samples_are_made_from_the_tables() {
    let rules = rules();
    assert_eq!(unknown_in(&rules), Vec::<&str>::new());
    compare("samples/cutover-alerts.yml", &rules);
}
