//! Workers that are killed, stop, or are cut off: another one makes the calls, and what was counted as unsent never leaves.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{TAKES_OVER, Worker, asked_now, is_done, is_followed, n_ended, night};
use crate::cluster::by_hand::{ByHand, word};
use crate::cluster::n_rounds;
use crate::cluster::proxy::Proxy;
use crate::cluster::server::until;
use crate::lab::id;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

/// Calls that take a while, of which many are under way at once.
const SLOW: &str = "latency_ms = [100, 300]\n";
const RUN: [&str; 6] = ["run", "plan.csv", "--rate", "40", "--concurrency", "16"];

/// Time for which a worker is stopped.
fn stopped_for() -> Duration {
    Duration::from_secs(if n_rounds(1) > 1 { 30 } else { 10 })
}

#[test]
fn the_calls_of_a_worker_that_is_killed_are_made_by_another_one_within_four_seconds() {
    let _machine = shared();
    for _ in 0..n_rounds(1) {
        let Some(night) = night(400, SLOW) else { return };
        let workers = vec![Worker::of(&night), Worker::of(&night)];
        let head = night.first.begin(&RUN);
        night.first.run_begun();
        night.goes_on(20);
        let (asked, _others) = asked_now(&night, workers);
        asked.launch.signal("KILL");
        let took = is_followed(&night, &asked);
        assert!(took < TAKES_OVER, "{took:?}");
        head.end().exits(0);
        assert!(n_ended(&night.first.journal(), "'lost'") > 0, "calls were under way");
        is_done(&night);
    }
}

#[test]
fn a_worker_that_was_stopped_makes_no_call_when_it_wakes_that_was_counted_as_unsent() {
    let _machine = shared();
    for _ in 0..n_rounds(1) {
        let Some(night) = night(600, SLOW) else { return };
        let workers = vec![Worker::of(&night), Worker::of(&night)];
        let head = night.first.begin(&RUN);
        night.first.run_begun();
        night.goes_on(20);
        let (asked, _others) = asked_now(&night, workers);
        asked.launch.signal("STOP");
        let began = Instant::now();
        let took = is_followed(&night, &asked);
        assert!(took < TAKES_OVER, "{took:?}");
        std::thread::sleep(stopped_for().saturating_sub(began.elapsed()));
        asked.launch.signal("CONT");
        head.end().exits(0);
        assert!(n_ended(&night.first.journal(), "'unsent'") > 0, "nothing was asked of it while it was stopped");
        // A call that is counted as unsent and left all the same is one that the journal does not know.
        is_done(&night);
    }
}

#[test]
fn a_worker_that_is_cut_off_is_followed_and_is_asked_again_once_it_is_heard() {
    let _machine = shared();
    let Some(night) = night(300, SLOW) else { return };
    let proxy = Proxy::before(night.servers[0].port);
    let mut host = night.another_host();
    host.engine = format!("nats://127.0.0.1:{}", proxy.port);
    let cut_off = Worker::on(host);
    let head = night.first.begin(&RUN);
    night.first.run_begun();
    night.goes_on(20);
    let other = Worker::of(&night);
    proxy.swallow_all();
    let took = is_followed(&night, &cut_off);
    assert!(took < TAKES_OVER, "{took:?}");
    proxy.swallow_nothing();
    // It connects again, and takes over in its turn.
    let listening = ByHand::hears(&night.servers[0], &["cutover.here"]);
    let pid = format!("\"pid\":{},", cut_off.launch.pid());
    listening.next_that("it is heard again", |here| String::from_utf8_lossy(&here.payload).contains(&pid));
    other.launch.signal("KILL");
    let took = is_followed(&night, &other);
    assert!(took < TAKES_OVER, "{took:?}");
    head.end().exits(0);
    is_done(&night);
}

#[test]
fn leave_that_comes_while_a_worker_is_stopped_is_too_late_for_a_thousand_calls() {
    const N: usize = 1_000;
    let _machine = shared();
    let Some(night) = night(N, "") else { return };
    let worker = Worker::of(&night);
    let asks = Asking::of(&night.servers[0], &worker.launch);
    let go = word("go");
    let asked: Vec<usize> = (1..=N).collect();

    // Answers are wanted on a subject that is none of answers: whoever may say less than a worker would have it say more.
    let log = ByHand::hears(&night.servers[0], &["cutover.by-hand.log"]);
    asks.by_hand.says(&asks.subject, "cutover.by-hand.log", &word("do"), question(1).as_bytes());

    // Leave that is none: of nobody, of another kind, of another protocol, without its word.
    let strange =
        ["NATS/1.0 503\r\n\r\n", &word("done"), "NATS/1.0\r\nCutover-Hand: 2\r\nCutover-Word: go\r\n\r\n", ""];
    let taken = asks.take(&asked[..strange.len()]);
    taken.iter().zip(strange).for_each(|(inbox, headers)| asks.says(inbox, headers, b"go"));
    asks.hears("late", strange.len());
    let taken = asks.take(&asked[..2]);
    taken.iter().zip([&b""[..], b"GO"]).for_each(|(inbox, text)| asks.says(inbox, &go, text));
    asks.hears("late", 2);

    let taken = asks.take(&asked);
    stop(&worker.launch);
    for inbox in &taken {
        asks.says(inbox, &go, b"go");
    }
    asks.by_hand.flush();
    std::thread::sleep(Duration::from_millis(1_500));
    worker.launch.signal("CONT");
    asks.hears("late", N);
    assert_eq!(night.n_changes(), 0);

    // What it is asked while it is stopped is taken when it wakes, and whoever asked gives no leave any more.
    stop(&worker.launch);
    for row in &asked {
        asks.asks(*row);
    }
    asks.by_hand.flush();
    std::thread::sleep(Duration::from_millis(1_500));
    worker.launch.signal("CONT");
    asks.hears("taken", N);
    asks.hears("late", N);
    assert_eq!(night.n_changes(), 0);

    assert_eq!(log.heard().len(), 0);

    // With leave in time, it is made.
    let taken = asks.take(&asked[..1]);
    asks.says(&taken[0], &go, b"go");
    asks.hears("done", 1);
    assert_eq!(night.n_changes(), 1);
}

/// Stops a process, and waits until none of its threads runs any more: the signal alone comes some time later.
fn stop(launch: &Launch) {
    launch.signal("STOP");
    until("each thread is stopped", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", launch.pid())).unwrap();
        let mut states = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap());
        // The name before it may have blanks and brackets.
        states.all(|stat| stat.rsplit(") ").next().unwrap().starts_with('T')).then_some(())
    });
}

/// Somebody who asks a worker by hand, as a head would.
struct Asking {
    by_hand: ByHand,
    subject: String,
}

impl Asking {
    fn of(server: &crate::cluster::server::Server, worker: &Launch) -> Self {
        let by_hand = ByHand::hears(server, &["cutover.here", "cutover.said.by-hand.*"]);
        let pid = worker.pid();
        let here = by_hand.next_that("it tells that it is here", |here| {
            serde_json::from_slice(&here.payload).is_ok_and(|here: serde_json::Value| here["pid"] == pid)
        });
        let here: serde_json::Value = serde_json::from_slice(&here.payload).unwrap();
        Self { by_hand, subject: format!("cutover.do.default.{}", here["worker"].as_str().unwrap()) }
    }

    fn asks(&self, row: usize) {
        self.by_hand.says(&self.subject, &format!("cutover.said.by-hand.{row}"), &word("do"), question(row).as_bytes());
    }

    fn says(&self, inbox: &str, headers: &str, text: &[u8]) {
        self.by_hand.says(inbox, "", headers, text);
    }

    /// Asks for these, and returns the subjects on which leave for them is waited for.
    fn take(&self, rows: &[usize]) -> Vec<String> {
        for row in rows {
            self.asks(*row);
        }
        let next =
            |_| self.by_hand.next_that("it is taken", |word| word.is("taken")).reply.expect("a subject for leave");
        rows.iter().map(next).collect()
    }

    /// Waits for such a word of so many calls.
    fn hears(&self, word: &str, n: usize) {
        let mut of = HashSet::new();
        until("each call ends", || {
            let message = self.by_hand.next_that(word, |message| message.subject.starts_with("cutover.said."));
            assert!(message.is(word), "{message:?}");
            of.insert(message.subject);
            (of.len() == n).then_some(())
        });
    }
}

/// Question for the change of a row.
fn question(row: usize) -> String {
    let sends = r#"{"copystate":"stopped","migrationcycle":"syncing"}"#;
    format!(r#"{{"asks":"put","source":"{}","sends":{sends},"anew":false}}"#, id(row))
}
