//! Kills at any moment, with launches until the run is done: the books balance after every kill.

use std::time::{Duration, Instant};

use crate::lab::books::{Balance, balance_the_books};
use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::{id, plan};

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
        // Half of the launches die soon after their first requests, at whatever moment; the others at any time.
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

/// One request a second, and eight changes at once: nearly all of them wait for the pace.
const SLOWLY: [&str; 6] = ["run", "plan.csv", "--rate", "1", "--concurrency", "8"];

#[test]
fn a_kill_leaves_in_doubt_what_has_left_and_the_one_that_was_about_to() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &SLOWLY);
    sandbox.reach(3);
    launch.kill();
    let (n_begun, n_came) = (lab.journal().n_events("attempt_started"), sandbox.changes().len());
    assert!(n_begun <= n_came + 1, "{n_begun} are told as begun, and {n_came} changes came");
}

#[test]
fn nothing_is_told_as_begun_while_the_service_says_to_wait() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[quota]\nper_minute = 5\nretry_after = true\napplies_to = \"changes\"\n");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--concurrency", "8"]);
    let n_begun = || lab.journal().count("SELECT count(*) FROM row WHERE standing = 'open'");
    sandbox.reach(6);
    let until = Instant::now() + Duration::from_secs(10);
    while n_begun() > 0 {
        assert!(Instant::now() < until, "{} rows are begun, and wait", n_begun());
        std::thread::sleep(Duration::from_millis(20));
    }
    launch.kill();
    assert_eq!(n_begun(), 0);
}

#[test]
fn a_row_that_waits_for_the_pace_is_skipped_at_once_and_a_drain_takes_nothing_back() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &SLOWLY);
    sandbox.reach(2);
    let given = Instant::now();
    lab.cutover(&["control", "skip", &id(9)]).exits(0);
    // Waiting for its turn, it would take more than six seconds.
    assert!(given.elapsed() < Duration::from_secs(3), "{:?}", given.elapsed());
    let taken = lab.journal().count("SELECT taken_at - at FROM control");
    assert!(taken < 1000, "{taken} ms");
    launch.signal("TERM");
    launch.end().exits(143);
    assert_eq!(sandbox.story_of(&id(9)).iter().filter(|what| **what == "PUT").count(), 0);
    let n_unsent = lab.journal().count("SELECT count(*) FROM v_attempt WHERE outcome = 'unsent'");
    assert!(n_unsent <= 1, "{n_unsent} were told as begun, and never sent");
}

/// Tells whether the journal has its tables and a run; a launch may die before.
fn is_a_journal(lab: &Lab) -> bool {
    let journal = lab.journal();
    journal.count("SELECT count(*) FROM sqlite_master WHERE name = 'run'") == 1
        && journal.count("SELECT count(*) FROM run") == 1
}

/// Returns the n-th moment to die, the same in every test run.
///
/// source: splitmix64, Steele, Lea and Flood, Fast splittable pseudorandom number generators (2014).
fn die(n: u64) -> u64 {
    let mut z = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn a_launch_that_is_killed_while_its_journal_is_made_stands_in_nobodys_way() {
    let _machine = shared();
    for n in 0..40 {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(1, "stopped,syncing"));
        let launch =
            Launch::start(lab.command(&["run", "plan.csv", "--endpoint", "sandbox", "--yes", "--no-progress"]));
        let until = Instant::now() + Duration::from_secs(10);
        while !lab.path("cutover.db").exists() {
            assert!(Instant::now() < until, "no journal was made");
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_micros(250 * n));
        launch.kill();
        let names = std::fs::read_dir(lab.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> =
            names.filter(|name| !["cutover.db-wal", "cutover.db-shm"].iter().any(|of| name == of)).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("-journal")), "{n}: {left:?}");
        let again = lab.cutover(&["run", "plan.csv", "--endpoint", "sandbox", "--yes", "--no-progress"]);
        assert!(again.code == Some(0), "{n}: {left:?}: {}", again.stderr);
    }
}
