//! Full and failing disks: a change that cannot be recorded is not sent.

use crate::lab::books::{Balance, balance_the_books};
use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

/// A limit on the size of files stands in for a full disk: writing fails at the same point, and no disk is needed. The signal
/// that comes with it ends nothing.
#[test]
fn a_journal_that_takes_no_more_ends_the_run_and_the_books_balance() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2000, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let args = with_yes(&sandbox, &["run", "plan.csv", "--rate", "off"]);
    // In blocks of 512 bytes: enough for the plan, and for some of the events.
    let ended = Launch::start(lab.limited("ulimit -f 4096", &args)).end().exits(70);
    assert!(ended.stderr.contains("journal"), "{}", ended.stderr);
    let n_sent = sandbox.changes().len();
    assert!((1..2000).contains(&n_sent), "{n_sent} were sent before the disk was full");
    // A change about to leave can no longer be told from one that left.
    let told = ended.stderr.split_once("at most ").and_then(|(_, rest)| rest.split_once(" changes left before that"));
    let at_most: usize = told.expect("it says how many").0.parse().unwrap();
    assert!((n_sent..n_sent + 300).contains(&at_most), "{n_sent} were sent: {}", ended.stderr);
    let balance = balance_the_books(&sandbox, &lab.journal(), Balance::default());
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    balance_the_books(&sandbox, &lab.journal(), balance);
    assert_eq!(lab.journal().tally()["applied"], 2000);
}
