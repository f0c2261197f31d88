use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::count_guard::CountGuard;
use super::pace_queue::is_soon;
use super::pacing::RequestKind;
use super::settings::GateSettings;
use super::waiting::WaitingRequest;
use super::{Gate, Learned, Past, SharedRate};
use crate::event::outcome::{Outcome, StatedQuota};

fn settings(per_second: f64) -> GateSettings {
    GateSettings { per_second: Some(per_second), burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) }
}

fn proven(settings: &GateSettings) -> Gate {
    let gate = Gate::new(settings, Past::default(), None);
    gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
    gate
}

fn throttled(retry_after_ms: Option<u64>, quota: Option<StatedQuota>) -> Outcome {
    Outcome::Throttled { status: None, retry_after_ms, quota, message: String::new() }
}

async fn send(gate: &Gate) -> Instant {
    gate.pass(gate.at_hand(None).await).await.left_at
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_at_ten_a_second_keep_the_rate_and_never_bunch() {
    let gate = proven(&settings(10.0));
    let started = Instant::now();
    let mut left = Vec::new();
    for _ in 0..1000 {
        left.push(send(&gate).await);
    }
    let took = started.elapsed().as_secs_f64();
    assert!((99.0..101.5).contains(&took), "{took}");
    for (i, first) in left.iter().enumerate() {
        let in_one_second = left[i..].iter().take_while(|at| **at - *first < Duration::from_secs(1)).count();
        assert!(in_one_second <= 11, "{in_one_second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_timer_is_made_up_by_at_most_one_interval() {
    let gate = Arc::new(proven(&settings(10.0)));
    send(&gate).await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { send(&gate).await })
        })
        .collect();
    tokio::task::yield_now().await;
    // The machine slept: 3.5 intervals are gone before anybody wakes.
    tokio::time::advance(Duration::from_millis(350)).await;
    let woke = Instant::now();
    let mut gaps = Vec::new();
    for request in waiting {
        gaps.push((request.await.unwrap() - woke).as_millis());
    }
    assert!(gaps[1] < 60, "the second makes up for the first: {gaps:?}");
    assert!((90..160).contains(&gaps[2]), "and nothing makes up for the rest: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_saves_up_no_more_than_its_burst() {
    let gate = proven(&settings(10.0));
    send(&gate).await;
    tokio::time::advance(Duration::from_mins(1)).await;
    let first = send(&gate).await;
    assert!(send(&gate).await - first >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_back_those_who_wait_already() {
    let gate = Arc::new(proven(&settings(10.0)));
    send(&gate).await;
    let started = Instant::now();
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { send(&gate).await }
    });
    tokio::task::yield_now().await;
    gate.heed(&throttled(Some(7000), None), Instant::now());
    assert!(waiting.await.unwrap() - started >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn while_the_lane_is_throttled_a_read_goes_before_the_changes_that_wait() {
    let gate = Arc::new(proven(&settings(10.0)));
    let left = send(&gate).await;
    let (came, mut order) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..3 {
        let (gate, came) = (Arc::clone(&gate), came.clone());
        tokio::spawn(async move {
            let pass = gate.pass(gate.at_hand(None).await).await;
            gate.heed(&throttled(None, None), pass.left_at);
            _ = came.send(format!("change {n}"));
        });
        tokio::task::yield_now().await;
    }
    gate.heed(&throttled(Some(7000), None), left);
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::spawn(async move {
        let pass = gate.pass_for_read(gate.slot().await).await;
        gate.heed(&throttled(None, None), pass.left_at);
        _ = came.send("read".to_owned());
    });
    let mut all = Vec::new();
    while let Some(one) = order.recv().await {
        all.push(one);
    }
    assert_eq!((all.len(), all[0].as_str()), (4, "read"), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn until_the_first_authenticated_answer_there_is_one_request_on_the_wire() {
    let gate = Gate::new(&settings(1000.0), Past::default(), None);
    let first = gate.pass(gate.at_hand(None).await).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), gate.slot()).await.is_err());
    gate.heed(&throttled(None, None), first.left_at);
    drop(first);
    let second = gate.pass(gate.at_hand(None).await).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), gate.slot()).await.is_err(), "a 429 proves nothing");
    gate.heed(&Outcome::Accepted { status: 200 }, second.left_at);
    let slots = [gate.slot().await, gate.slot().await, gate.slot().await];
    assert_eq!(slots.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stated_figure_sets_the_pace_and_is_learned_once() {
    let gate = proven(&settings(100.0));
    let left = send(&gate).await;
    let quota = StatedQuota { calls: 60, period_ms: 60_000 };
    let learned = gate.heed(&throttled(None, Some(quota)), left).learned;
    assert_eq!(learned, Some(Learned { per_second: 1.0, stated: true }));
    assert_eq!(gate.heed(&throttled(None, Some(quota)), left).learned, None, "both left before the lesson");
    let first = send(&gate).await;
    let second = send(&gate).await;
    assert!(second - first >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn throttled_for_as_long_as_is_allowed_is_enough_whatever_was_told() {
    for retry_after_ms in [None, Some(60_000), Some(3_600_000)] {
        let gate = proven(&GateSettings { max_throttle: Duration::from_secs(3), ..settings(10.0) });
        let left = send(&gate).await;
        gate.heed(&throttled(retry_after_ms, None), left);
        let _asks = WaitingRequest::new(&gate, RequestKind::Change);
        assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(3), "{retry_after_ms:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_asks_is_not_time_in_which_the_lane_is_throttled() {
    let gate = proven(&GateSettings { max_throttle: Duration::from_secs(4), ..settings(10.0) });
    gate.heed(&throttled(None, None), send(&gate).await);
    let began = Instant::now();
    // Paused for a week, after one second.
    drop(WaitingRequest::new(&gate, RequestKind::Change));
    let asks = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(WaitingRequest::new(&gate, RequestKind::Change));
        tokio::time::sleep(Duration::from_hours(168)).await;
        let _asks = WaitingRequest::new(&gate, RequestKind::Change);
        tokio::time::sleep(Duration::from_mins(1)).await;
    };
    tokio::select! {
        () = asks => (),
        _ = gate.throttled_for_too_long() => (),
    }
    let ended = began.elapsed().checked_sub(Duration::from_hours(168)).unwrap();
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&ended), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_an_answer_is_awaited_is_time_in_which_the_lane_is_throttled() {
    let gate = proven(&GateSettings { max_throttle: Duration::from_secs(4), ..settings(10.0) });
    gate.heed(&throttled(Some(1_000), None), send(&gate).await);
    let began = Instant::now();
    let pass = gate.pass(gate.at_hand(None).await).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    gate.heed(&throttled(Some(0), None), pass.left_at);
    drop(pass);
    let _asks = WaitingRequest::new(&gate, RequestKind::Change);
    assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(4));
    assert_eq!(began.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn an_accepted_request_begins_the_time_anew() {
    let gate = proven(&GateSettings { max_throttle: Duration::from_secs(10), ..settings(10.0) });
    let left = send(&gate).await;
    gate.heed(&throttled(Some(9_000), None), left);
    let next = send(&gate).await;
    gate.heed(&Outcome::Accepted { status: 200 }, next);
    assert!(tokio::time::timeout(Duration::from_mins(1), gate.throttled_for_too_long()).await.is_err());
    gate.heed(&throttled(Some(9_000), None), send(&gate).await);
    let _asks = WaitingRequest::new(&gate, RequestKind::Change);
    assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_launch_was_told_to_wait_is_waited_for() {
    let started = Instant::now();
    let past = Past { cools_for: Duration::from_secs(40), ..Past::default() };
    let gate = Gate::new(&settings(10.0), past, None);
    assert!(send(&gate).await - started >= Duration::from_secs(40));
    gate.heed(&throttled(None, None), started);
    let _asks = WaitingRequest::new(&gate, RequestKind::Change);
    assert_eq!(gate.throttled_for_too_long().await, Duration::from_mins(10));
}

/// Returns how many of so many changes have their turn at hand after a while.
async fn n_at_hand(gate: &Arc<Gate>, n_changes: usize, after: Duration) -> usize {
    let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..n_changes {
        let (gate, came) = (Arc::clone(gate), came.clone());
        tokio::spawn(async move { _ = came.send(gate.at_hand(None).await) });
    }
    tokio::time::sleep(after).await;
    std::iter::from_fn(|| at_hand.try_recv().ok()).collect::<Vec<_>>().len()
}

#[tokio::test(start_paused = true)]
async fn no_more_is_at_hand_than_leaves_in_half_a_second_and_one_only_then() {
    let soon = Duration::from_millis(10);
    for (rate, expected) in [(1.0, 1), (10.0, 6), (1000.0, 8)] {
        let gate = Arc::new(proven(&settings(rate)));
        assert_eq!(n_at_hand(&gate, 8, soon).await, expected, "{rate}");
    }
    // The next token is there in a minute.
    let gate = Arc::new(proven(&settings(1.0 / 60.0)));
    send(&gate).await;
    assert_eq!(n_at_hand(&gate, 8, Duration::from_secs(59)).await, 0);
    let gate = Arc::new(proven(&settings(1.0 / 60.0)));
    send(&gate).await;
    assert_eq!(n_at_hand(&gate, 8, Duration::from_mins(1)).await, 1);
    // Whatever the pace, nothing is at hand while the lane is told to wait.
    let gate = Arc::new(proven(&settings(1000.0)));
    gate.heed(&throttled(Some(7000), None), Instant::now());
    assert_eq!(n_at_hand(&gate, 3, Duration::from_secs(6)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_shared_rate_bounds_what_is_at_hand_in_all_of_them() {
    let shared = Arc::new(SharedRate::new(Some(1.0), 1));
    let gates = [(); 3].map(|()| Arc::new(Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&shared)))));
    let mut held = 0;
    let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
    for gate in &gates {
        gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
        for _ in 0..8 {
            let (gate, came) = (Arc::clone(gate), came.clone());
            tokio::spawn(async move { _ = came.send(gate.at_hand(None).await) });
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    while at_hand.try_recv().is_ok() {
        held += 1;
    }
    assert_eq!(held, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_at_hand_is_put_off_when_the_lane_is_told_to_wait_or_to_go_slower() {
    let waits = |gate: Arc<Gate>| tokio::spawn(async move { gate.put_off().await });
    let gate = Arc::new(proven(&settings(10.0)));
    let left = send(&gate).await;
    let put_off = waits(Arc::clone(&gate));
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.heed(&throttled(Some(1_000), None), left);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!put_off.is_finished());
    gate.heed(&throttled(Some(7_000), None), Instant::now());
    put_off.await.unwrap();

    let gate = Arc::new(proven(&settings(10.0)));
    let put_off = waits(Arc::clone(&gate));
    send(&gate).await;
    assert!(!put_off.is_finished());
    gate.set_rate(Some(0.1));
    put_off.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_told_to_wait_keeps_no_position_from_the_others() {
    #[derive(Clone, Copy, Debug)]
    enum Waits {
        Doubted,
        Begun,
        Read,
        Look,
    }
    let mut starved = Vec::new();
    for waits in [Waits::Doubted, Waits::Begun, Waits::Read, Waits::Look] {
        let shared = Arc::new(SharedRate::new(Some(10.0), 1));
        let [told, other] = [(); 2].map(|()| {
            let gate = Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&shared)));
            gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
            Arc::new(gate)
        });
        let is_before = matches!(waits, Waits::Doubted);
        if is_before {
            told.heed(&throttled(Some(300_000), None), Instant::now());
        }
        for _ in 0..8 {
            let gate = Arc::clone(&told);
            tokio::spawn(async move {
                let slot = gate.slot().await;
                if let Waits::Read = waits {
                    return drop(gate.pass_for_read(slot).await);
                }
                let mut at_hand = gate.at_hand(Some(slot)).await;
                if let Waits::Look = waits {
                    drop(gate.pass_for_look(&mut at_hand).await);
                } else {
                    gate.pass(at_hand).await;
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        if !is_before {
            told.heed(&throttled(Some(300_000), None), Instant::now());
        }
        if tokio::time::timeout(Duration::from_secs(1), send(&other)).await.is_err() {
            starved.push(waits);
        }
    }
    assert!(starved.is_empty(), "{starved:?}");
}

/// Begins changes, puts them off and begins them again, until they leave; counts those that are begun.
fn begin(gate: &Arc<Gate>, n_changes: usize) -> Arc<AtomicUsize> {
    let n_begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..n_changes {
        let (gate, n_begun) = (Arc::clone(gate), Arc::clone(&n_begun));
        tokio::spawn(async move {
            loop {
                let at_hand = gate.at_hand(None).await;
                let _begun = CountGuard::new(&n_begun);
                tokio::select! {
                    biased;
                    _ = gate.pass(at_hand) => return,
                    () = gate.put_off() => (),
                }
            }
        });
    }
    n_begun
}

#[tokio::test(start_paused = true)]
async fn where_the_rate_is_lowered_no_more_stays_begun_than_leaves_before_long() {
    for is_shared in [false, true] {
        let shared = is_shared.then(|| Arc::new(SharedRate::new(Some(100.0), 1)));
        let settings = GateSettings { concurrency: 64, ..settings(if is_shared { 1000.0 } else { 100.0 }) };
        let gate = Arc::new(Gate::new(&settings, Past::default(), shared.clone()));
        gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
        let n_begun = begin(&gate, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(n_begun.load(Ordering::Relaxed) > 40, "{is_shared}");
        match &shared {
            Some(shared) => shared.set(Some(1.0)),
            None => gate.set_rate(Some(1.0)),
        }
        for (after, at_most) in [(1, 3), (10, 1), (20, 1)] {
            tokio::time::sleep(Duration::from_secs(after)).await;
            let n = n_begun.load(Ordering::Relaxed);
            assert!(n <= at_most, "{n} after {after} s, shared: {is_shared}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_rate_is_lowered_in_a_cool_down_no_more_comes_to_hand_behind_it() {
    let gate = Arc::new(proven(&GateSettings { concurrency: 64, ..settings(100.0) }));
    let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..64 {
        let (gate, came, slot) = (Arc::clone(&gate), came.clone(), gate.slot().await);
        tokio::spawn(async move { _ = came.send(gate.at_hand(Some(slot)).await) });
    }
    gate.heed(&throttled(Some(7_000), None), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.set_rate(Some(1.0));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(std::iter::from_fn(|| at_hand.try_recv().ok()).collect::<Vec<_>>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_rate_that_is_raised_while_somebody_reads_it_is_not_missed() {
    let shared = Arc::new(SharedRate::new(Some(1.0 / 60.0), 1));
    let gate = Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&shared)));
    send(&gate).await;
    let began = Instant::now();
    let raised = |at, now| {
        shared.set(Some(100.0));
        is_soon(at, now)
    };
    gate.until(Gate::leaves_at, raised).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn changes_whose_turn_is_at_hand_keep_the_pace() {
    for rate in [1.0, 10.0] {
        let gate = Arc::new(proven(&settings(rate)));
        let (came, mut left) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..50 {
            let (gate, came) = (Arc::clone(&gate), came.clone());
            tokio::spawn(async move {
                let at_hand = gate.at_hand(None).await;
                // Recording the intent takes its time.
                tokio::time::sleep(Duration::from_millis(60)).await;
                _ = came.send(gate.pass(at_hand).await.left_at);
            });
        }
        drop(came);
        let mut all = Vec::new();
        while let Some(at) = left.recv().await {
            all.push(at);
        }
        let took = (all[49] - all[0]).as_secs_f64();
        assert!(took * rate < 49.0 * 1.01, "{took} s at {rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_and_changes_take_turns_where_the_pace_is_slow() {
    let gate = Arc::new(proven(&settings(1.0)));
    send(&gate).await;
    let (came, mut order) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..6 {
        let (gate, came) = (Arc::clone(&gate), came.clone());
        tokio::spawn(async move {
            let slot = gate.slot().await;
            if n % 2 == 0 {
                gate.pass(gate.at_hand(Some(slot)).await).await;
            } else {
                gate.pass_for_read(slot).await;
            }
            _ = came.send(n);
        });
        tokio::task::yield_now().await;
    }
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(order.recv().await.unwrap());
    }
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn giving_up_while_waiting_costs_no_token() {
    let gate = proven(&settings(1.0));
    send(&gate).await;
    let started = Instant::now();
    for _ in 0..5 {
        let waiting = gate.pass(gate.at_hand(None).await);
        assert!(tokio::time::timeout(Duration::from_millis(10), waiting).await.is_err());
    }
    assert!(send(&gate).await - started < Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_overdue_once_the_next_one_may_leave_and_after_a_second_at_any_pace() {
    let of_lane = |per_second| GateSettings { per_second, ..settings(1.0) };
    let cases = [
        (Some(10.0), None, 100),
        (Some(10.0), Some(4.0), 250),
        (Some(4.0), Some(10.0), 250),
        (None, Some(4.0), 250),
        (Some(0.5), None, 1000),
        (None, None, 1000),
    ];
    for (own, shared, turn_ms) in cases {
        let shared = shared.map(|rate| Arc::new(SharedRate::new(Some(rate), 1)));
        let gate = Gate::new(&of_lane(own), Past::default(), shared);
        gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
        let pass = gate.pass(gate.at_hand(None).await).await;
        tokio::time::advance(Duration::from_millis(turn_ms)).await;
        assert!(!gate.is_overdue(&pass), "{own:?} {turn_ms}");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(gate.is_overdue(&pass), "{own:?} {turn_ms}");
        // One that is passed anew has a turn of its own.
        let again = gate.pass(pass.at_hand_again()).await;
        assert!(!gate.is_overdue(&again), "{own:?} {turn_ms}");
    }
}
