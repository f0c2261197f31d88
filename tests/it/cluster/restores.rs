//! A log that is gone is written again from the journal of whoever led the run, which then goes on.

use super::hosts::Night;
use super::wire::ask_stream;
use crate::lab::machine::shared;

#[test]
fn a_run_whose_log_is_gone_is_refused_until_it_is_restored_and_is_then_whole_for_others() {
    let _machine = shared();
    let Some(night) = Night::new(60, "") else { return };
    let head = night.first.begin(&["run", "plan.csv", "--rate", "10"]);
    let run = night.first.run_begun();
    night.goes_on(5);
    head.kill();
    ask_stream(&night.servers[0], "DELETE", &run, "\"success\":true").unwrap();
    let n_changes = night.n_changes();
    let refused = night.first.begin(&["resume", &run]).end().exits(7).says("there is no log; nothing was sent");
    let hint = format!("hint: `cutover resume {run} --restore-log");
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    assert_eq!(night.n_changes(), n_changes);
    let args = ["resume", &run, "--restore-log", "--rate", "off"];
    night
        .first
        .begin(&args)
        .end()
        .exits(0)
        .says(&format!(" of run {run} are written to its log again, behind event 0 of lane 0"));
    night.second.lab.cutover(&["collect", &run, "--engine", &night.second.engine]).exits(0);
    assert_eq!(night.first.anchor(), night.second.anchor());
    night.is_done();
    night.first.begin(&args).end().exits(0).says(&format!("the log of run {run} lacks nothing that the journal has"));
}
