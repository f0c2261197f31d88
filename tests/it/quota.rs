//! Throttling and refusals: the service's word about the account holds for the whole lane.

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Request, Served};
use crate::tools;

fn bench(n: usize, scenario: &str) -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", scenario);
    (lab, sandbox)
}

const ONE_AT_A_TIME: [&str; 6] = ["run", "plan.csv", "--rate", "100", "--concurrency", "1"];

/// Returns the shortest time from a 429 to the next request, and the number of 429s.
fn shortest_wait_ms(ledger: &[Request]) -> (u64, usize) {
    let throttled = |pair: &&[Request]| pair[0].status == Some(429);
    let waits: Vec<u64> =
        ledger.windows(2).filter(throttled).map(|pair| (pair[1].at_us - pair[0].at_us) / 1000).collect();
    (waits.iter().min().copied().expect("the quota was met"), waits.len())
}

#[test]
fn a_stated_quota_is_kept_from_then_on_and_by_the_next_run() {
    let _machine = shared();
    let (lab, sandbox) = bench(60, "[quota]\nper_second = 20\n");
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(0);
    let ledger = sandbox.ledger();
    let n_throttled = ledger.iter().filter(|request| request.status == Some(429)).count();
    assert!((1..=3).contains(&n_throttled), "{n_throttled} were throttled");
    assert_eq!(lab.journal().count("SELECT count(*) FROM lane WHERE per_second = 20.0 AND stated = 1"), 1);
    assert_eq!(lab.journal().count("SELECT count(*) FROM row WHERE attempts <> 1"), 0, "a 429 costs no attempt");

    lab.write("plan.csv", &plan(60, "error,syncing"));
    for i in 1..=60 {
        sandbox.move_to(&crate::lab::id(i), "syncing", "syncing");
    }
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(0);
    let again = sandbox.ledger().split_off(ledger.len());
    assert!(again.iter().filter(|request| request.status == Some(429)).count() <= 1, "what was learned is used");
}

#[test]
fn the_whole_lane_waits_as_long_as_it_is_told() {
    let _machine = shared();
    let (lab, sandbox) = bench(40, "[quota]\nper_second = 10\nstated = false\nretry_after = true\n");
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(0);
    let (wait, n) = shortest_wait_ms(&sandbox.ledger());
    assert!((950..1900).contains(&wait), "{wait} ms, the shortest of {n}");
}

#[test]
fn told_nothing_the_lane_waits_two_seconds() {
    let _machine = shared();
    let (lab, sandbox) = bench(40, "[quota]\nper_second = 20\nstated = false\n");
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(0);
    let (wait, n) = shortest_wait_ms(&sandbox.ledger());
    assert!(wait >= 1950, "{wait} ms, the shortest of {n}");
}

#[test]
fn throttled_for_too_long_the_lane_stops_and_no_row_lost_an_attempt() {
    let _machine = shared();
    let scenario = "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 429\ntimes = 0\n";
    let (lab, sandbox) = bench(10, scenario);
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--max-throttle", "3s"]).exits(4);
    assert_eq!(lab.journal().tally()["pending"], 10);
    assert_eq!(lab.journal().count("SELECT sum(attempts) FROM row"), 0);
    assert_eq!(lab.journal().count("SELECT sum(throttled) FROM row"), sandbox.changes().len());
}

/// Eight a minute, and then a wait of most of a minute.
const LONG_WAIT: &str = "[quota]\nper_minute = 8\nstated = false\nretry_after = true\n";

/// Returns the rest of the wait at the end of the last launch, by the journal alone, which a busy machine cannot distort.
fn left_of_the_wait_ms(lab: &Lab) -> usize {
    lab.journal().count("SELECT max(cooled_until) - (SELECT max(at) FROM event) FROM lane")
}

/// Begins a run under [`LONG_WAIT`] and returns it once it was told to wait.
fn at_a_429(lab: &Lab, sandbox: &Served) -> Launch {
    let launch = lab.begin(sandbox, &["run", "plan.csv", "--rate", "20"]);
    assert!(launch.reaches_a_429(), "the page, seven changes, and the first that is too much");
    launch
}

/// Returns the number of requests of a run that is killed once it was told to wait.
fn killed_at_a_429(lab: &Lab, sandbox: &Served) -> usize {
    at_a_429(lab, sandbox).kill();
    sandbox.ledger().len()
}

#[test]
fn a_wait_that_is_longer_than_allowed_is_not_waited_for() {
    let _machine = shared();
    let (lab, sandbox) = bench(20, LONG_WAIT);
    let launch = lab.launch(&sandbox, &["run", "plan.csv", "--rate", "20", "--max-throttle", "3s"]);
    launch.exits(4).says("throttled for 3 s without one accepted request");
    assert!(left_of_the_wait_ms(&lab) > 30_000);
}

#[test]
fn a_wait_outlives_the_launch_that_was_told() {
    let _machine = shared();
    let (lab, sandbox) = bench(20, LONG_WAIT);
    let n_asked = killed_at_a_429(&lab, &sandbox);
    let again = lab.launch(&sandbox, &["resume", "--rate", "20", "--max-throttle", "3s"]);
    again.exits(4).says("throttled, ").says(" left from an earlier launch").says("throttled for 3 s");
    assert_eq!(sandbox.ledger().len(), n_asked, "nothing is asked before the time");
}

/// Everything is throttled, and nobody says for how long to wait.
const THROTTLES_ALL: &str = "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 429\ntimes = 0\n";

#[test]
fn a_wait_that_nobody_asked_for_outlives_its_launch_too() {
    let _machine = shared();
    let (lab, sandbox) = bench(10, THROTTLES_ALL);
    let launch = lab.begin(&sandbox, &["run", "plan.csv"]);
    assert!(launch.reaches_nth("cool_down_began", 3), "of 2 s, of 4 s, and of 8 s");
    launch.kill();
    let throttled = sandbox.ledger();
    let again = lab.begin(&sandbox, &["resume"]);
    assert!(again.reaches_a_429());
    again.kill().says("waiting: throttled, ").says(" left from an earlier launch");
    let next = &sandbox.ledger()[throttled.len()];
    let waited = next.at_us - throttled.last().unwrap().at_us;
    assert!(waited >= 7_990_000, "the next request left {waited} µs after the last one was throttled");
}

#[test]
fn whatever_is_launched_at_the_account_waits_and_whoever_asks_is_told() {
    let _machine = shared();
    let (lab, sandbox) = bench(20, LONG_WAIT);
    let n_asked = killed_at_a_429(&lab, &sandbox);
    lab.write("other.csv", &plan(5, "stopped,syncing"));
    for verb in [&["resume"][..], &["retry"], &["reconcile"], &["run", "other.csv"]] {
        let ended = lab.launch(&sandbox, &[verb, &["--max-throttle", "1s"]].concat());
        ended.exits(4).says("waiting: throttled, ").says("throttled for 1 s");
        assert_eq!(sandbox.ledger().len(), n_asked, "{verb:?} asked before the time");
    }
    let waits = "SELECT count(*) FROM event WHERE kind = 'cool_down_began' AND detail LIKE '%other_run%'";
    assert_eq!(lab.journal().count(waits), 1, "the other run says so once");
    let other = lab.begin(&sandbox, &["run", "other.csv"]);
    assert!(other.reaches("launch_began"));
    let status = lab.cutover(&["status", "other.csv"]).exits(0).stdout;
    assert!(status.contains("Waiting: throttled, "), "{status}");
    other.kill();
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn a_clock_that_is_set_makes_no_wait_longer() {
    let _machine = shared();
    let Some(preload) = tools::faketime() else { return };
    let (lab, sandbox) = bench(20, LONG_WAIT);
    let n_asked = killed_at_a_429(&lab, &sandbox);
    let at_clock = |clock: &str, args: &[&str]| {
        let mut command = lab.command(args);
        command.env("LD_PRELOAD", &preload).env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Launch::start(command)
    };
    let going_on = |clock: &str, args: &[&str]| at_clock(clock, &with_yes(&sandbox, &[&["resume"], args].concat()));
    let resumed = |clock: &str| going_on(clock, &["--max-throttle", "1s"]).end().stderr;
    let waits = |told: &str| {
        let (left, _) = told.split_once("aiting: throttled, ")?.1.split_once(" s left").expect("it is no hour");
        let (minutes, seconds) = left.split_once(" min ").unwrap_or(("0", left));
        Some(minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap())
    };
    // The second one has before it what the first one recorded an hour before the wait.
    for _ in 0..2 {
        let left = waits(&resumed("-1h"));
        assert!(left.is_some_and(|left| (1.0..=60.0).contains(&left)), "{left:?} s");
        assert_eq!(sandbox.ledger().len(), n_asked, "nothing is asked before the time");
    }
    let goes_on = going_on("-1h", &[]);
    assert!(goes_on.reaches("launch_began"));
    let left = waits(&at_clock("-1h", &["status"]).end().stdout);
    assert!(left.is_some_and(|left| left <= 60.0), "whoever asks is told what the launch knows: {left:?} s");
    goes_on.kill();
    let left = waits(&resumed("+0"));
    assert!(left.is_some_and(|left| left <= 60.0), "it goes on by a clock that is right again: {left:?} s");
    assert_eq!(sandbox.ledger().len(), n_asked, "nothing is asked before the time");
    assert_eq!(waits(&resumed("+1h")), None, "by its clock it is over");
    assert!(sandbox.ledger().len() > n_asked);
    let left = waits(&resumed("+0"));
    assert!(left.is_some_and(|left| left <= 60.0), "the launch an hour ahead was told to wait: {left:?} s");
}

#[test]
fn one_signal_ends_a_launch_in_time_whatever_it_waits_for() {
    let _machine = shared();
    let (lab, sandbox) = bench(20, LONG_WAIT);
    let launch = at_a_429(&lab, &sandbox);
    launch.signal("TERM");
    launch.end().exits(143);
    // It ends in half a minute at most, and at once if its turn to look would come later.
    assert!(left_of_the_wait_ms(&lab) > 35_000);
    let again = lab.begin(&sandbox, &["reconcile"]);
    assert!(again.reaches("launch_began"));
    again.signal("TERM");
    again.end().exits(143);
    assert!(left_of_the_wait_ms(&lab) > 30_000);
}

#[test]
fn the_same_403_five_times_at_first_is_about_us() {
    let _machine = shared();
    let (lab, sandbox) = bench(20, "[[fault]]\nshare = 1.0\nkind = \"forbidden\"\ntimes = 0\n");
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(5).says("SMS.9004");
    assert_eq!(sandbox.changes().len(), 5);
    assert_eq!(lab.journal().tally()["pending"], 20);
}

#[test]
fn a_403_among_others_is_about_its_row() {
    let _machine = shared();
    let scenario = "[[fault]]\nsources = [\"vm-00002\", \"vm-00003\", \"vm-00004\"]\nkind = \"forbidden\"\ntimes = 0\n";
    let (lab, sandbox) = bench(20, scenario);
    lab.launch(&sandbox, &ONE_AT_A_TIME).exits(1);
    assert_eq!(lab.journal().tally()["refused"], 3);
    assert_eq!(lab.journal().tally()["applied"], 17);
    assert_eq!(sandbox.changes().len(), 20, "refused for good is not sent again");
}

#[test]
fn a_code_about_the_account_stops_the_lane_at_once() {
    let _machine = shared();
    for code in ["SMS.6526", "SMS.6528", "APIGW.0302"] {
        let scenario =
            format!("[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 403\ncode = \"{code}\"\ntimes = 0\n");
        let (lab, sandbox) = bench(20, &scenario);
        lab.launch(&sandbox, &ONE_AT_A_TIME).exits(5).says(code);
        assert_eq!(sandbox.changes().len(), 1, "{code}");
        assert_eq!(lab.journal().tally()["pending"], 20);
    }
}

#[test]
fn an_expired_token_ends_the_launch_and_a_good_one_finishes_the_run() {
    let _machine = shared();
    let (lab, sandbox) = bench(60, "token_expires_after_ms = 2500\n");
    let fresh = || sandbox.fresh_token();
    let with = |token: String, args: &[&str]| {
        let mut command = lab.command(&with_yes(&sandbox, args));
        command.env("CUTOVER_AUTH_TOKEN", token);
        Launch::start(command).end()
    };
    with(fresh(), &["run", "plan.csv", "--rate", "20"]).exits(5);
    let tally = lab.journal().tally();
    assert!(tally["pending"] > 0 && !tally.contains_key("refused"), "{tally:?}");
    let n_refused = sandbox.ledger().iter().filter(|request| request.status == Some(401)).count();
    assert!((1..=8).contains(&n_refused), "{n_refused} calls with an expired token");
    with(fresh(), &["resume", "--rate", "off"]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 60);
}

/// Edits of a lane of a finished run that the next run would rely on.
const EDITS: [&str; 5] = [
    "per_second = -5.0, stated = 1, learned_at = 99999999999999",
    "per_second = 0.0, stated = 1, learned_at = 1",
    "per_second = 1e-9, stated = 1",
    "per_second = 1e300, stated = 0",
    "cooled_until = 99999999999999",
];

#[test]
fn what_another_run_is_said_to_have_learned_is_what_its_events_say() {
    let _machine = shared();
    let (lab, sandbox) = bench(10, "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    let n_asked = sandbox.changes().len();
    for edit in EDITS {
        let db = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
        db.execute("UPDATE lane SET per_second = NULL, stated = NULL, learned_at = NULL, cooled_until = NULL", [])
            .unwrap();
        db.execute(&format!("UPDATE lane SET {edit} WHERE lane = 1"), []).unwrap();
        drop(db);
        let launch = lab.launch(&sandbox, &["run", "plan.csv", "--new", "--preflight", "off"]);
        launch.exits(7).says("is not what its events say");
    }
    assert_eq!(sandbox.changes().len(), n_asked, "somebody sent");
}
