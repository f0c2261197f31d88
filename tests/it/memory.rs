//! Large plans stay out of memory.

use std::time::Duration;

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

const MIB: u64 = 1024;

#[test]
fn a_run_of_sixty_thousand_rows_stays_small() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60_000, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let args = ["run", "plan.csv", "--rate", "off", "--concurrency", "64", "--yes", "--no-progress", "-q"];
    let launch = Launch::start(lab.command(&[&args[..], &["--endpoint", &sandbox.url]].concat()));
    assert!(peak_kib(launch, 0) < 128 * MIB);
    assert_eq!(lab.journal().tally()["applied"], 60_000);
    // The public views stay usable on a journal of this size.
    assert_eq!(lab.journal().count("SELECT count(*) FROM v_attempt WHERE outcome = 'accepted'"), 60_000);
}

#[test]
fn a_check_of_a_million_rows_stays_small() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1_000_000, "stopped,syncing"));
    let launch = Launch::start(lab.command(&["check", "plan.csv"]));
    assert!(peak_kib(launch, 0) < 96 * MIB);
}

/// Returns the largest resident memory of a launch, in KiB.
///
/// source: `proc_pid_status(5)` (`VmHWM`), which is there for as long as the process is.
fn peak_kib(mut launch: Launch, exit: i32) -> u64 {
    let status = format!("/proc/{}/status", launch.pid());
    let mut peak = 0;
    while launch.is_running() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    launch.end().exits(exit);
    println!("at most {} MiB", peak / MIB);
    assert!(peak > 0);
    peak
}
