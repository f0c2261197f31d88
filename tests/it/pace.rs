//! Pace of requests by the server's clock: as fast as allowed, and never faster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::home::Lab;
use crate::lab::machine::{alone, shared};
use crate::lab::plan;
use crate::lab::served::Request;

#[test]
fn fifty_a_second_is_kept_and_used() {
    keeps_and_uses(50, 500);
}

#[test]
fn five_hundred_a_second_is_kept_and_used() {
    keeps_and_uses(500, 5000);
}

#[test]
fn nothing_beyond_a_stated_quota_is_tried_for_the_last_ten_seconds() {
    let _machine = shared();
    let lab = Lab::new();
    // The higher pace is first tried after 28 of 37 seconds.
    lab.write("plan.csv", &plan(5_500, "stopped,syncing"));
    lab.write("scenario.toml", "[quota]\nper_second = 150\n");
    let night = ["rehearse", "plan.csv", "--scenario", "scenario.toml", "--rate", "300", "--json"];
    let ended = lab.cutover(&night).exits(0);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told.pointer("/summary/throttled").unwrap(), 1, "{told:#}");
}

/// Number of attempts at a measurement. Other work on the machine can only make a measurement worse, while a wrong pace is
/// wrong each time.
const MEASUREMENTS: usize = 5;

fn keeps_and_uses(rate: u32, n_rows: usize) {
    let _machine = alone();
    let mut wrong = Vec::new();
    while let Err(problem) = measure(rate, n_rows) {
        wrong.push(problem);
        assert!(wrong.len() < MEASUREMENTS, "{wrong:#?}");
    }
}

fn measure(rate: u32, n_rows: usize) -> Result<(), String> {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n_rows, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let began = Instant::now();
    let lost_s = lost_meanwhile(Duration::from_secs(1) / rate, || {
        lab.launch(&sandbox, &["run", "plan.csv", "--rate", &rate.to_string(), "--concurrency", "32"]).exits(0);
    });
    let wall = began.elapsed();

    let ledger = sandbox.ledger();
    // Preflight waits for each page before it asks for the next, so that its delays are the server's: from the first change
    // on, only the pace is waited for.
    let first = ledger.iter().position(Request::is_change).unwrap();
    let paced = &ledger[first..];
    let n_requests = paced.len();
    let busiest = busiest_second(&ledger);
    let took_s = f64::from(u32::try_from(paced[n_requests - 1].at_us - paced[0].at_us).unwrap()) / 1e6;
    let allowed_s = f64::from(u32::try_from(n_requests - 1).unwrap()) / f64::from(rate);
    let measured = format!(
        "{n_requests} requests at {rate}/s: {took_s:.3} s by the server, {allowed_s:.3} s allowed, {lost_s:.3} s lost by \
         any timer, {wall:.3?} in all; \
         {busiest} in the busiest second"
    );
    println!("{measured}");
    // One for the burst, and one for the edges of the second.
    let is_kept = busiest <= usize::try_from(rate).unwrap() + 2;
    let is_used = took_s <= allowed_s * 1.03 + lost_s;
    if is_kept && is_used { Ok(()) } else { Err(measured) }
}

/// Returns the seconds that a timer of this interval loses during other work. Like a pace, it makes up for a late wake-up by
/// one interval at most. An idle machine loses next to nothing.
fn lost_meanwhile(interval: Duration, work: impl FnOnce()) -> f64 {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let timer = scope.spawn(|| {
            let (mut due, mut lost) = (Instant::now(), Duration::ZERO);
            while !is_done.load(Ordering::Relaxed) {
                due += interval;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let too_late = due.elapsed().saturating_sub(interval);
                lost += too_late;
                due += too_late;
            }
            lost.as_secs_f64()
        });
        // Also if the work panics.
        let done = Done(&is_done);
        work();
        drop(done);
        timer.join().unwrap()
    })
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn busiest_second(ledger: &[Request]) -> usize {
    let mut first = 0;
    let mut busiest = 0;
    for (i, request) in ledger.iter().enumerate() {
        while request.at_us - ledger[first].at_us >= 1_000_000 {
            first += 1;
        }
        busiest = busiest.max(i + 1 - first);
    }
    busiest
}
