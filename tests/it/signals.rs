//! Signals: the first drains, the second aborts requests under way, the third exits at once.

use std::time::{Duration, Instant};

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

const EVERY_FIRST_CHANGE_HANGS: &str = r#"
[[fault]]
share = 0.5
kind = "hang_after"
[[fault]]
share = 0.5
kind = "hang_before"
"#;

const OPEN_ATTEMPTS: &str = "SELECT count(*) FROM v_attempt WHERE ended_at IS NULL";

#[test]
fn one_interrupt_waits_for_the_answers_and_a_resume_sends_the_rest() {
    let _machine = shared();
    for (signal, exit) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(120, "stopped,syncing"));
        let sandbox = lab.serve("plan.csv", "latency_ms = [100, 200]");
        let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "100"]);
        assert!(launch.reaches_nth("attempt_ended", 10));
        launch.signal(signal);
        launch.end().exits(exit).says("cutover resume");
        let n_sent = sandbox.changes().len();
        assert!((10..120).contains(&n_sent), "{n_sent}");
        let journal = lab.journal();
        assert_eq!(journal.count(OPEN_ATTEMPTS), 0, "every attempt has an end");
        assert_eq!(journal.tally()["applied"], n_sent, "what was in flight is settled");
        assert_eq!(journal.tally()["pending"], 120 - n_sent);
        lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
        assert_eq!(sandbox.changes().len(), 120, "each row was sent once");
        assert_eq!(lab.journal().tally()["applied"], 120);
    }
}

#[test]
fn a_second_interrupt_lets_go_and_what_was_on_the_wire_is_looked_at_before_it_is_sent_again() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(12, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", EVERY_FIRST_CHANGE_HANGS);
    let mut launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--concurrency", "4"]);
    sandbox.reach(4);
    launch.signal("INT");
    assert!(launch.reaches("drain_began"));
    assert!(launch.is_running(), "one interrupt waits for the answers");
    launch.signal("INT");
    launch.end().exits(130).says("4 in doubt");
    assert_eq!(lab.journal().count("SELECT count(*) FROM v_attempt WHERE outcome = 'lost'"), 4);
    assert_eq!(lab.journal().tally()["in_doubt"], 4);
    lab.launch(&sandbox, &["resume", "--rate", "off", "--timeout", "500ms"]).exits(0);
    nothing_is_sent_again_unseen(&sandbox.ledger());
    assert_eq!(lab.journal().tally()["applied"], 12);
}

#[test]
fn a_third_interrupt_leaves_at_once_and_nothing_is_lost() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(12, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", EVERY_FIRST_CHANGE_HANGS);
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off"]);
    sandbox.reach(8);
    let began = Instant::now();
    // Equal pending signals merge into one, so that each is sent only after the one before it took effect.
    launch.signal("INT");
    assert!(launch.reaches("drain_began"));
    launch.signal("INT");
    launch.signal("TERM");
    launch.end();
    assert!(began.elapsed() < Duration::from_secs(5));
    lab.launch(&sandbox, &["resume", "--rate", "off", "--timeout", "500ms"]).exits(0);
    nothing_is_sent_again_unseen(&sandbox.ledger());
    assert_eq!(lab.journal().tally()["applied"], 12);
}

#[test]
fn a_drain_that_leaves_nothing_unsettled_ends_as_if_nobody_had_interrupted() {
    let _machine = shared();
    for (target, exit) in [("stopped,syncing", 0), ("premiging,setting", 1)] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(1, target));
        let sandbox = lab.serve("plan.csv", "latency_ms = [300, 300]");
        let launch = lab.begin(&sandbox, &["run", "plan.csv", "--verify-timeout", "1s"]);
        sandbox.reach(1);
        launch.signal("INT");
        launch.end().exits(exit);
        assert_eq!(lab.journal().n_events("drain_began"), 1);
    }
}

#[test]
fn a_terminal_that_goes_away_twice_lets_go_of_nothing() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(12, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", EVERY_FIRST_CHANGE_HANGS);
    let args = ["run", "plan.csv", "--rate", "off", "--concurrency", "4", "--timeout", "2s"];
    let mut launch = lab.begin(&sandbox, &args);
    sandbox.reach(4);
    launch.signal("HUP");
    assert!(launch.reaches("drain_began"));
    launch.signal("HUP");
    assert!(launch.reaches("attempt_ended") && launch.is_running());
    launch.end().exits(129).says("the terminal hung up");
    // Each answer was awaited, until it was too late for it.
    assert_eq!(lab.journal().count("SELECT count(*) FROM event WHERE detail LIKE '%let go before%'"), 0);
    assert_eq!(
        lab.journal().text("SELECT json_extract(detail, '$.reason') FROM event WHERE kind = 'drain_began'"),
        "hung_up"
    );
}

#[test]
fn who_is_started_to_outlive_its_terminal_does() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    // Started like by `nohup`.
    let args = with_yes(&sandbox, &["run", "plan.csv", "--rate", "40"]);
    let launch = Launch::start(lab.limited("trap '' HUP", &args));
    assert!(launch.reaches_nth("attempt_ended", 5));
    launch.signal("HUP");
    launch.end().exits(0);
    assert_eq!(lab.journal().n_events("drain_began"), 0);
    assert_eq!(lab.journal().tally()["applied"], 40);
}
