//! Refused launches: credentials that are not accepted, and a second launch while the first one runs.

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

#[test]
fn a_wrong_token_costs_one_call_and_no_attempt() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(300, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    for extra in [&[][..], &["--preflight", "off"]] {
        let (before, run) = (sandbox.ledger().len(), ["run", "plan.csv", "--rate", "off", "--new"]);
        let args = [&run[..], extra].concat();
        let mut command = lab.command(&with_yes(&sandbox, &args));
        command.env("CUTOVER_AUTH_TOKEN", "not-the-token");
        Launch::start(command).end().exits(5);
        assert_eq!(sandbox.ledger().len() - before, 1, "{extra:?}");
        assert_eq!(sandbox.ledger().last().unwrap().status, Some(401));
    }
    assert_eq!(lab.journal().tally()["pending"], 300);
}

#[test]
fn a_second_launch_is_told_who_holds_the_run() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(50, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let args = ["run", "plan.csv", "--rate", "10"];
    let first = lab.begin(&sandbox, &args);
    assert!(first.reaches("attempt_started"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let owner = format!("pid {} on {}", first.pid(), host.trim());
    lab.launch(&sandbox, &args).exits(6).says(&owner);
    lab.launch(&sandbox, &["resume"]).exits(6).says(&owner);
    // Another journal, but the same account at the same endpoint.
    lab.launch(&sandbox, &["run", "plan.csv", "--journal", "other.db"]).exits(6).says(&owner);
    // The run itself is locked as well, for launches that do not share a state directory.
    let mut elsewhere = lab.command(&with_yes(&sandbox, &args));
    elsewhere.env("XDG_STATE_HOME", lab.path("elsewhere"));
    Launch::start(elsewhere).end().exits(6).says(&owner);
    first.kill();
    assert_eq!(lab.journal().count("SELECT launches FROM run"), 1);
    // The lock ended with its process.
    let next = lab.begin(&sandbox, &["resume"]);
    assert!(next.reaches("attempt_started"));
    next.kill();
}

#[test]
fn a_wrong_token_costs_one_call_however_many_rows_wait_to_be_read() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(12, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"hang_after\"\n");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--concurrency", "6"]);
    sandbox.reach(6);
    launch.kill();
    let n_before = sandbox.ledger().len();
    let mut command = lab.command(&with_yes(&sandbox, &["reconcile", "--rate", "off"]));
    command.env("CUTOVER_AUTH_TOKEN", "wrong");
    Launch::start(command).end().exits(5);
    assert_eq!(sandbox.ledger().len() - n_before, 1);
    assert_eq!(lab.journal().tally()["in_doubt"], 6);
}
