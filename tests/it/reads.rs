//! Cost of looking: on a healthy service reads are at most 5 % of the changes in lanes of 500 rows or more.

use std::fmt::Write as _;

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::{id, plan};

const LATENCY: &str = "latency_ms = [1, 10]";

#[test]
fn reads_are_a_twentieth_of_the_changes_at_most() {
    let _machine = shared();
    for n in [500, 1000] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(n, "stopped,syncing"));
        reads_are_few(&lab, n);
    }
}

#[test]
fn reads_are_few_in_whatever_order_the_plan_has_the_rows() {
    let _machine = shared();
    for n in [500, 1000] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(n, "stopped,syncing"));
        let mut shuffled = String::from("source_id,copystate,migrationcycle\n");
        // 7919 is coprime to both numbers, so that each row comes once.
        for i in 0..n {
            writeln!(shuffled, "{},stopped,syncing", id(i * 7919 % n + 1)).unwrap();
        }
        lab.write("shuffled.csv", &shuffled);
        reads_are_few(&lab, n);
    }
}

fn reads_are_few(lab: &Lab, n: usize) {
    let sandbox = lab.serve("plan.csv", LATENCY);
    let plan = if lab.path("shuffled.csv").exists() { "shuffled.csv" } else { "plan.csv" };
    lab.launch(&sandbox, &["run", plan, "--rate", "100"]).exits(0);
    let ledger = sandbox.ledger();
    let n_changes = ledger.iter().filter(|request| request.is_change()).count();
    assert_eq!(n_changes, n);
    let n_reads = ledger.len() - n_changes;
    assert!(n_reads * 20 <= n_changes, "{n_reads} reads for {n_changes} changes");
}
