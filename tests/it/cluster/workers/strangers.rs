//! Whoever says on the subjects of workers what no worker of this version says: nothing breaks, and no text shows it raw.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Worker, is_done, night};
use crate::cluster::by_hand::{ByHand, Message, word};
use crate::cluster::hosts::Night;
use crate::cluster::server::{Server, until};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;

/// Name that would clear a screen, and turn a line around.
const HOSTILE: &str = "evil\u{1b}[2J\u{202e}*.>\r\nhost";

/// Stranger who tells each half second that it is here.
struct Stranger {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Stranger {
    /// Tells this, and answers what comes.
    fn says(server: &Server, here: Value, answer: impl Fn(&ByHand, &Message) + Send + 'static) -> Self {
        let id = here["worker"].as_str().unwrap().to_owned();
        let by_hand = ByHand::hears(server, &[&format!("cutover.do.*.{id}")]);
        let (ends, heard) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Message>>>::default());
        let (to_end, keeps) = (Arc::clone(&ends), Arc::clone(&heard));
        let mut told: Option<Instant> = None;
        let thread = std::thread::spawn(move || {
            while !to_end.load(Ordering::Relaxed) {
                if told.is_none_or(|at| at.elapsed() > Duration::from_millis(500)) {
                    let mut here = here.clone();
                    here["at"] = jiff::Timestamp::now().to_string().into();
                    by_hand.says("cutover.here", "", "", here.to_string().as_bytes());
                    told = Some(Instant::now());
                }
                if let Some(message) = by_hand.next(Duration::from_millis(50)) {
                    answer(&by_hand, &message);
                    keeps.lock().unwrap().push(message);
                }
            }
        });
        Self { ends, thread: Some(thread), heard }
    }

    fn n_heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the stranger failed");
    }
}

/// Returns what the worker of a night tells of itself.
fn here(night: &Night) -> Value {
    let listening = ByHand::hears(&night.servers[0], &["cutover.here"]);
    let worker = Worker::of(night);
    let here = listening.next_that("it tells that it is here", |_| true);
    worker.launch.kill();
    serde_json::from_slice(&here.payload).unwrap()
}

fn doctor(night: &Night) -> String {
    Launch::start(night.first.reaching(&["doctor"])).end().stdout
}

#[track_caller]
fn shows_nothing_raw(text: &str) {
    let raw = text.chars().find(|sign| (sign.is_control() && *sign != '\n') || *sign == '\u{202e}');
    assert_eq!(raw, None, "{}", text.escape_debug());
}

#[test]
fn a_worker_of_another_protocol_is_told_of_and_left_alone() {
    let _machine = shared();
    let Some(night) = night(20, "") else { return };
    let mut here = here(&night);
    here["worker"] = "another".into();
    here["host"] = "0-first".into();
    here["protocol"] = 2.into();
    here["version"] = "9.9.9".into();
    here["more"] = json!({"deeper": [1, 2, 3]});
    let another = Stranger::says(&night.servers[0], here, |_, _| ());
    let told = doctor(&night);
    let left_alone = "(cutover 9.9.9) serves default; its clock is";
    assert!(told.contains(left_alone) && told.contains("it speaks protocol 2, and is left alone"), "{told}");
    let worker = Worker::of(&night);
    let told = doctor(&night);
    assert!(told.contains(&format!("worker {} has them", worker.name())), "{told}");
    night.first.begin(&["run", "plan.csv", "--rate", "off"]).end().exits(0);
    is_done(&night);
    assert_eq!(another.n_heard(), 0);
}

#[test]
fn a_worker_of_a_later_version_that_says_more_is_understood() {
    let _machine = shared();
    let Some(night) = night(5, "") else { return };
    let mut here = here(&night);
    here["worker"] = "later".into();
    here["more"] = json!({"deeper": [1, 2, 3]});
    let target = here["targets"][0].clone();
    here["targets"] = json!([{"name": "more", "place": "", "key": "0a", "kind": 7}, target]);
    let later = Stranger::says(&night.servers[0], here, |by_hand, asked| {
        let question: Value = serde_json::from_slice(&asked.payload).unwrap();
        let answer = match question["asks"].as_str().unwrap() {
            "ready" => json!({"more": 1}),
            _ => {
                json!({"value": {"failed": {"is": "lost", "cause": "c", "more": 1}}, "took_ms": 1, "generation": 1, "more": 1})
            }
        };
        by_hand.says(asked.reply.as_deref().unwrap(), "", &word("done"), answer.to_string().as_bytes());
    });
    let head = night.first.begin(&["run", "plan.csv", "--attempts", "1"]);
    until("it is asked", || (later.n_heard() > 3).then_some(()));
    head.signal("TERM");
    head.end();
}

#[test]
fn a_worker_whose_account_has_a_key_that_is_none_is_not_heard() {
    let _machine = shared();
    let Some(night) = night(1, "") else { return };
    let mut here = here(&night);
    here["worker"] = "stranger".into();
    here["targets"][0]["key"] = "../../../../outside".into();
    let _stranger = Stranger::says(&night.servers[0], here, |_, _| ());
    night.first.begin(&["run", "plan.csv"]).end().exits(5).says("no credentials");
    assert!(!night.first.lab.path("../outside.lock").exists() && !night.first.lab.path("outside.lock").exists());
}

#[test]
fn a_worker_with_a_hostile_name_is_told_of_in_plain_words() {
    let _machine = shared();
    let Some(night) = night(1, "") else { return };
    let mut here = here(&night);
    here["worker"] = "stranger".into();
    here["host"] = HOSTILE.into();
    here["version"] = HOSTILE.into();
    let target = here["targets"][0].clone();
    here["targets"] = json!([target, {"name": HOSTILE, "place": HOSTILE, "key": "0a"}]);
    let _stranger = Stranger::says(&night.servers[0], here, |_, _| ());
    let told = doctor(&night);
    assert!(told.contains("evil"), "{told}");
    shows_nothing_raw(&told);
}
