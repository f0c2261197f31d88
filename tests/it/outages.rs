//! Outages: the service throttles, asks for unreasonable waits, or partly fails while a run goes on. None of it is learned as
//! a quota, and no wait is endless.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::machine::shared;
use crate::service::{Asked, Night, Reply, Server, well};

fn ids(prefix: &str, n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("{prefix}-{i:03}")).collect()
}

fn as_strs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

/// Writes the rows of two plans, `plan.csv` and `next.csv`, so that a second run has something to do.
fn two_runs(
    n: usize,
    script: impl Fn(&mut Server, &str, Asked) -> Reply + Send + Sync + 'static,
) -> (Night, Vec<String>, Vec<String>) {
    let (one, next) = (ids("one", n), ids("next", n));
    let night = Night::serving(&as_strs(&[one.clone(), next.clone()].concat()), script);
    night.plan("plan.csv", &as_strs(&one));
    night.plan("next.csv", &as_strs(&next));
    (night, one, next)
}

#[test]
fn an_outage_that_throttles_everything_is_no_quota_and_the_next_run_is_as_fast_as_any() {
    let _machine = shared();
    let began = OnceLock::<Instant>::new();
    let (night, _, next) = two_runs(60, move |server, id, asked| {
        if asked == Asked::Change && began.get_or_init(Instant::now).elapsed() < Duration::from_secs(3) {
            return Reply::throttled(1);
        }
        well(server, id, asked).into()
    });
    night.launch_at("30", &["run", "plan.csv"]).exits(0);
    assert_eq!(night.lab.journal().count("SELECT count(*) FROM lane WHERE per_second IS NOT NULL"), 0);
    let ended = night.launch_at("30", &["run", "next.csv"]).exits(0);
    assert!(!ended.stderr.contains("quota"), "{}", ended.stderr);
    let took = night.took(&as_strs(&next));
    assert!(took < Duration::from_secs(6), "{took:?} for 60 changes at 30 a second");
}

#[test]
fn a_figure_that_was_learned_is_told_with_its_age_and_doubted_when_it_is_old() {
    let _machine = shared();
    let n_changes = AtomicU32::new(0);
    let (night, one, next) = two_runs(80, move |server, id, asked| {
        if asked == Asked::Change && n_changes.fetch_add(1, Ordering::Relaxed) == 5 {
            let text = "policy user over ratelimit,limit:5,time:1 second";
            return (429, json!({"error_code": "APIGW.0308", "error_msg": text})).into();
        }
        well(server, id, asked).into()
    });
    night.launch_at("50", &["run", "plan.csv"]).exits(0);
    let kept = night.took(&as_strs(&one[10..]));
    assert!(kept > Duration::from_secs(12), "{kept:?}: a figure of today is kept to");
    let days_ago = 3 * 24 * 3_600 * 1_000;
    let journal = rusqlite::Connection::open(night.lab.path("cutover.db")).unwrap();
    journal.execute("UPDATE lane SET learned_at = learned_at - ?1", [days_ago]).unwrap();
    drop(journal);
    let told = "quota 5/s, learned 3 days ago, stated by the service; more is tried soon";
    night.launch_at("50", &["run", "next.csv"]).exits(0).says(told);
    let took = night.took(&as_strs(&next));
    assert!(took < Duration::from_secs(10), "{took:?} for 80 changes, and 16 s as the figure has it");
}

#[test]
fn a_wait_of_ten_years_is_none_and_the_launch_ends_when_it_was_told_to() {
    let _machine = shared();
    let ids = ids("vm", 10);
    let night = Night::serving(&as_strs(&ids), |server, id, asked| match asked {
        Asked::Change => Reply::throttled(315_360_000),
        Asked::Show | Asked::List => well(server, id, asked).into(),
    });
    let ended = night.launch(&["run", "plan.csv", "--max-throttle", "3s"]).exits(4);
    let ended = ended.says("throttled for 3 s without one accepted request");
    assert!(!ended.stderr.contains("315360000") && !ended.stderr.contains("3600"), "{}", ended.stderr);
    let took_ms = night.lab.journal().count("SELECT elapsed_ms FROM run");
    assert!((3_000..12_000).contains(&took_ms), "{took_ms} ms");
    let again = night.launch(&["resume", "--max-throttle", "3s"]).exits(4);
    // Our own wait, of seconds, is what may be left.
    let left = again.stderr.lines().find(|line| line.contains("left from an earlier launch"));
    assert!(left.is_none_or(|line| !line.contains(" min ") && !line.contains(" h ")), "{}", again.stderr);
}

#[test]
fn what_was_accepted_is_looked_at_while_everything_else_is_throttled() {
    let _machine = shared();
    let ids = ids("vm", 40);
    let n_changes = AtomicU32::new(0);
    let night = Night::serving(&as_strs(&ids), move |server, id, asked| {
        if asked == Asked::Change && n_changes.fetch_add(1, Ordering::Relaxed) >= 5 {
            return Reply::throttled(1);
        }
        well(server, id, asked).into()
    });
    night.launch(&["run", "plan.csv", "--max-throttle", "6s"]).exits(4);
    let tally = night.lab.journal().tally();
    assert_eq!((tally.get("applied"), tally.get("pending")), (Some(&5), Some(&35)), "{tally:?}");
}

#[test]
fn rows_are_proven_by_their_ids_where_the_list_breaks_in_the_middle_of_a_run() {
    let _machine = shared();
    for broken in
        [(500, json!({"error_msg": "down"})), (200, json!("garbage")), (403, json!({"error_code": "SMS.9004"}))]
    {
        let ids = ids("vm", 30);
        let is_broken = Arc::new(AtomicBool::new(false));
        let n_refused = Arc::new(Mutex::new(0));
        let (breaks, counts, reply) = (Arc::clone(&is_broken), Arc::clone(&n_refused), broken.clone());
        let night = Night::serving(&as_strs(&ids), move |server, id, asked| -> (u16, Value) {
            if asked == Asked::Change {
                breaks.store(true, Ordering::Relaxed);
            }
            if asked == Asked::List && breaks.load(Ordering::Relaxed) {
                *counts.lock().unwrap() += 1;
                return reply.clone();
            }
            well(server, id, asked)
        });
        night.launch(&["run", "plan.csv"]).exits(0);
        assert_eq!(night.lab.journal().tally()["applied"], 30, "{broken:?}");
        assert!(*n_refused.lock().unwrap() > 0, "the list was asked for: {broken:?}");
    }
}
