//! Killed anywhere, launched again until done: the books balance after every kill.

use std::time::Duration;

use crate::lab::{Balance, Lab, balance_the_books, plan, shared};

const ROUGH: &str = r#"
latency_ms = [5, 40]
[[fault]]
share = 0.1
kind = "status"
status = 500
[[fault]]
share = 0.05
kind = "reset_after"
[[fault]]
share = 0.05
kind = "reset_before"
[[fault]]
share = 0.05
kind = "slow_effect"
after_ms = 300
"#;

const KILLS: u64 = 50;

#[test]
fn after_each_of_fifty_kills_the_books_balance() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1000, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", ROUGH);
    let args = ["run", "plan.csv", "--rate", "100", "--timeout", "2s", "--verify-timeout", "5s"];
    let mut balance = Balance::default();
    for n in 0..KILLS {
        let launch = lab.begin(&sandbox, &args);
        let die = die(n);
        // Half of the launches die soon after they began to send, wherever that is; the others at any time at all.
        let sent = n % 2 == 0 && launch.reaches_nth("attempt_started", 1 + usize::try_from(die % 20).unwrap());
        std::thread::sleep(Duration::from_millis(if sent { die % 60 } else { die % 900 }));
        let ended = launch.kill();
        assert_eq!(ended.code, None, "launch {n} ended before it was killed: {}", ended.stderr);
        if lab.path("cutover.db").exists() && is_a_journal(&lab) {
            balance = balance_the_books(&sandbox, &lab.journal(), balance);
        }
    }
    lab.launch(&sandbox, &args).exits(0);
    balance_the_books(&sandbox, &lab.journal(), balance);
    assert_eq!(lab.journal().tally()["applied"], 1000);
    assert_eq!(lab.journal().count("SELECT count(*) FROM run"), 1, "every launch took up the one run");
}

/// A launch may die before the journal has its tables or its run.
fn is_a_journal(lab: &Lab) -> bool {
    let journal = lab.journal();
    journal.count("SELECT count(*) FROM sqlite_master WHERE name = 'run'") == 1
        && journal.count("SELECT count(*) FROM run") == 1
}

/// The same moments in every test run.
///
/// source: splitmix64, Steele, Lea and Flood, Fast splittable pseudorandom number generators (2014).
fn die(n: u64) -> u64 {
    let mut z = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
