//! Dashboard for Grafana.

use serde_json::{Value, json};

use super::{compare, unknown_in};
use crate::exit::Exit;

/// Panel of the dashboard.
struct Panel {
    title: &'static str,
    kind: &'static str,
    /// Queries, each with the legend of its series.
    queries: Vec<(&'static str, &'static str)>,
    unit: &'static str,
    /// Columns of 24, and rows.
    size: (u32, u32),
}

impl Panel {
    fn new(
        title: &'static str,
        kind: &'static str,
        size: (u32, u32),
        queries: Vec<(&'static str, &'static str)>,
    ) -> Self {
        Self { title, kind, queries, unit: "short", size }
    }

    fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

fn panels() -> Vec<Panel> {
    vec![
        Panel::new("Last exit code", "stat", (8, 5), vec![("cutover_run_exit_code{plan=~\"$plan\"}", "{{plan}}")]),
        Panel::new(
            "Since the last success",
            "stat",
            (8, 5),
            vec![("time() - cutover_run_last_success_timestamp_seconds{plan=~\"$plan\"}", "{{plan}}")],
        )
        .unit("s"),
        Panel::new(
            "Going on, or cut off",
            "stat",
            (8, 5),
            vec![(
                "cutover_run_elapsed_seconds{plan=~\"$plan\"} unless cutover_run_ended_timestamp_seconds",
                "{{plan}} {{run}}",
            )],
        )
        .unit("s"),
        Panel::new(
            "Rows by verdict",
            "timeseries",
            (12, 8),
            vec![
                ("sum by (plan, verdict) (cutover_run_rows{plan=~\"$plan\"})", "{{plan}} {{verdict}}"),
                ("sum by (plan) (cutover_run_unsettled_rows{plan=~\"$plan\"})", "{{plan}} unsettled"),
            ],
        ),
        Panel::new(
            "Requests by outcome",
            "timeseries",
            (12, 8),
            vec![(
                "sum by (plan, outcome) (rate(cutover_requests_total{plan=~\"$plan\"}[$__rate_interval]))",
                "{{plan}} {{outcome}}",
            )],
        )
        .unit("reqps"),
        Panel::new(
            "Pace",
            "timeseries",
            (12, 8),
            vec![("cutover_rate_requests_per_second{plan=~\"$plan\"}", "{{plan}} {{target}}")],
        )
        .unit("reqps"),
        Panel::new(
            "Waits for",
            "timeseries",
            (12, 8),
            vec![("max by (plan, for) (cutover_run_waiting{plan=~\"$plan\"}) > 0", "{{plan}} {{for}}")],
        ),
        Panel::new(
            "Duration of runs",
            "timeseries",
            (24, 8),
            vec![(
                "cutover_run_elapsed_seconds{plan=~\"$plan\"} and cutover_run_ended_timestamp_seconds",
                "{{plan}} {{run}}",
            )],
        )
        .unit("s"),
    ]
}

fn dashboard() -> Value {
    let (mut x, mut y, mut id) = (0, 0, 0);
    let panels = panels().into_iter().map(|Panel { title, kind, queries, unit, size: (width, height) }| {
        if x + width > 24 {
            x = 0;
        }
        let place = json!({"x": x, "y": y, "w": width, "h": height});
        x += width;
        if x == 24 {
            y += height;
        }
        id += 1;
        let letters = ('A'..).map(String::from);
        let targets: Vec<Value> = letters
            .zip(queries)
            .map(|(letter, (expr, legend))| {
                json!({"refId": letter, "datasource": source(), "expr": expr, "legendFormat": legend})
            })
            .collect();
        let mappings = if title == "Last exit code" { exits() } else { json!([]) };
        json!({
            "id": id, "title": title, "type": kind, "gridPos": place, "datasource": source(), "targets": targets,
            "fieldConfig": {"defaults": {"unit": unit, "mappings": mappings}, "overrides": []},
        })
    });
    let panels: Vec<Value> = panels.collect();
    json!({
        "title": "cutover", "uid": "cutover", "tags": ["cutover"], "schemaVersion": 39, "version": 1, "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [
            {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"},
            {
                "name": "plan", "label": "Plan", "type": "query", "datasource": source(), "refresh": 2,
                "query": {"query": "label_values(cutover_run_started_timestamp_seconds, plan)", "refId": "plan"},
                "multi": true, "includeAll": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
            },
        ]},
        "panels": panels,
    })
}

/// Data source that is chosen on the dashboard.
fn source() -> Value {
    json!({"type": "prometheus", "uid": "${source}"})
}

/// Names and colours of the exit codes.
fn exits() -> Value {
    let color = |exit: Exit| match exit {
        Exit::Done => "green",
        Exit::NotOnTarget | Exit::Halted | Exit::Locked | Exit::HungUp | Exit::Interrupted | Exit::Terminated => {
            "orange"
        }
        Exit::Usage | Exit::Refused | Exit::Credentials | Exit::Integrity | Exit::Unreachable | Exit::Internal => "red",
    };
    let options: serde_json::Map<String, Value> = Exit::ALL
        .into_iter()
        .map(|exit| {
            let (code, name) = (exit.code().to_string(), exit.name());
            (code.clone(), json!({"text": format!("{code} {name}"), "color": color(exit)}))
        })
        .collect();
    json!([{"type": "value", "options": options}])
}

#[test]
fn the_dashboard_in_the_samples_is_made_from_the_tables() {
    let queries = panels().into_iter().flat_map(|panel| panel.queries);
    let unknown: Vec<&str> = queries.flat_map(|(expr, _)| unknown_in(expr)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
    compare("samples/cutover-grafana.json", &format!("{:#}\n", dashboard()));
}

#[test]
fn no_panel_lies_on_another() {
    let dashboard = dashboard();
    let number = |panel: &Value, name: &str| panel["gridPos"][name].as_u64().unwrap();
    let mut cells = std::collections::BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let (left, top) = (number(panel, "x"), number(panel, "y"));
        for x in left..left + number(panel, "w") {
            for y in top..top + number(panel, "h") {
                assert!(x < 24 && cells.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
