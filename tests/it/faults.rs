//! Faults of the service: every row ends with the verdict that the server's own records prove.

use std::collections::HashMap;

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::journal::Row;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Request, Truth};

const MIX: &str = r#"
latency_ms = [1, 10]
[quota]
per_second = 50
stated = false
[[fault]]
share = 0.05
kind = "status"
status = 500
times = 2
[[fault]]
share = 0.03
kind = "reset_before"
[[fault]]
share = 0.03
kind = "reset_after"
[[fault]]
share = 0.02
kind = "hang_after"
[[fault]]
share = 0.02
kind = "silent"
times = 0
[[fault]]
share = 0.01
kind = "forbidden"
times = 0
[[fault]]
share = 0.01
kind = "unknown"
times = 0
"#;

#[test]
fn a_thousand_rows_under_a_mix_of_faults_end_in_what_the_server_says_is_true() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1000, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", MIX);
    let args = ["run", "plan.csv", "--rate", "60", "--timeout", "2s", "--verify-timeout", "4s"];
    lab.launch(&sandbox, &args).exits(1);

    let (ledger, truth) = (sandbox.ledger(), sandbox.truth());
    let mut changes: HashMap<&str, Vec<&Request>> = HashMap::new();
    for change in ledger.iter().filter(|request| request.is_change()) {
        changes.entry(change.source_id.as_deref().unwrap()).or_default().push(change);
    }
    let rows = lab.journal().rows();
    assert_eq!(rows.len(), 1000);
    for row in &rows {
        let sent = changes.get(row.source_id.as_str()).map_or(&[][..], Vec::as_slice);
        let expected = true_verdict(row, &truth[&row.source_id], sent);
        assert_eq!(row.verdict, expected, "{row:?}\n{sent:#?}");
        let on_target_since = sent.iter().position(|change| change.effect);
        assert!(on_target_since.is_none_or(|i| i + 1 == sent.len()), "sent again when it was there: {sent:#?}");
    }
    nothing_is_sent_again_unseen(&ledger);
    let tally = lab.journal().tally();
    assert_eq!(tally.values().sum::<usize>(), 1000);
    for verdict in ["applied", "no_effect", "refused"] {
        assert!(tally.contains_key(verdict), "the mix brought about no `{verdict}`: {tally:?}");
    }
}

/// Returns the true verdict, from the server's records alone: the state, and the end of the last change.
fn true_verdict(row: &Row, truth: &Truth, sent: &[&Request]) -> &'static str {
    if row.is_on_target(truth) {
        return if sent.is_empty() { "already" } else { "applied" };
    }
    match sent.last().map(|last| last.status) {
        Some(Some(200)) => "no_effect",
        Some(Some(400..500)) => "refused",
        Some(_) => "failed",
        None => "blocked",
    }
}
