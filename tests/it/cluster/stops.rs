//! Heads that stop or are cut off, and go on when somebody else has the run: nothing of theirs leaves any more.

use std::time::{Duration, Instant};

use super::doorway::Doorway;
use super::hosts::{HELD, Night};
use super::proxy::Proxy;
use super::server::until;
use crate::lab::machine::shared;

/// Eight changes and more wait for their pace, of which the intents are in the log.
const RUN: [&str; 6] = ["run", "plan.csv", "--rate", "20", "--concurrency", "16"];
const STANDBY: [&str; 4] = ["--rate", "100", "--concurrency", "16"];
/// Time for which the head is stopped.
const STOPPED: Duration = Duration::from_secs(30);

fn n_unsent(night: &Night) -> usize {
    let n_begun = night.first.journal().n_events("attempt_started");
    n_begun.saturating_sub(night.n_changes())
}

/// Moment at which the first commit of a successor was acknowledged.
struct Fence {
    n_changes: usize,
    n_begun: usize,
}

impl Fence {
    fn awaited(night: &Night) -> Self {
        until("the successor commits", || (night.second.n_launches() == 2).then_some(()));
        Self { n_changes: night.n_changes(), n_begun: n_begun(night) }
    }

    /// Asserts that nothing left since but what the successor began.
    fn holds(&self, night: &Night) {
        let (n_changes, n_begun) = (night.n_changes() - self.n_changes, n_begun(night) - self.n_begun);
        assert_eq!(n_changes, n_begun, "changes that left behind the fence, and those that the successor began");
    }
}

/// Counts the changes that the log says were begun, as the successor has it, without those that it did not send.
fn n_begun(night: &Night) -> usize {
    let unsent = "SELECT count(*) FROM v_attempt WHERE outcome = 'unsent'";
    let journal = night.second.journal();
    journal.n_events("attempt_started") - journal.count(unsent)
}

#[test]
fn a_head_that_was_stopped_sends_nothing_when_it_wakes_after_somebody_else_went_on() {
    let _machine = shared();
    let Some(night) = Night::new(200, "") else { return };
    let mut head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &STANDBY);
    night.goes_on(10);
    until("eight intents are unsent", || {
        head.signal("STOP");
        (n_unsent(&night) >= 8).then_some(()).or_else(|| {
            head.signal("CONT");
            None
        })
    });
    let began = Instant::now();
    let fence = Fence::awaited(&night);
    standby.end().exits(0);
    std::thread::sleep(STOPPED.saturating_sub(began.elapsed()));
    assert!(head.is_running());
    head.signal("CONT");
    let ended = head.end();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    fence.holds(&night);
    night.is_done();
}

#[test]
fn a_head_that_was_stopped_while_it_connected_sends_nothing_when_it_wakes_and_is_connected() {
    let _machine = shared();
    let Some(mut night) = Night::new(200, "") else { return };
    let doorway = Doorway::before(night.service.url.rsplit_once(':').unwrap().1.parse().unwrap());
    for host in [&mut night.first, &mut night.second] {
        host.endpoint = format!("http://127.0.0.1:{}", doorway.port);
    }
    // Whatever connects has a change to send, and no clock of an answer ends it.
    let unseen = ["--preflight", "off", "--verify", "off", "--timeout", "2m", "--read-timeout", "2m"];
    let head = night.first.begin(&[&RUN[..], &unseen].concat());
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &["--rate", "100", "--verify", "off"]);
    night.goes_on(10);
    doorway.shut();
    until("the head connects", || (doorway.n_begun() > 0).then_some(()));
    head.signal("STOP");
    let n_begun = doorway.n_begun();
    doorway.open();
    until("it is connected", || (doorway.n_begun() == 0 && doorway.n_made() >= n_begun).then_some(()));
    standby.end();
    let n_changes = night.n_changes();
    head.signal("CONT");
    let ended = head.end();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert_eq!(night.n_changes(), n_changes, "the head that was replaced sent more");
    let journal = night.second.journal();
    assert_eq!(journal.count("SELECT count(*) FROM row WHERE verdict IS NULL"), 0);
    night.second.anchor();
}

#[test]
fn a_head_that_is_cut_off_from_the_log_sends_nothing_more_and_somebody_else_goes_on() {
    let _machine = shared();
    let Some(mut night) = Night::new(200, "") else { return };
    let proxy = Proxy::before(night.servers[0].port);
    night.first.engine = format!("nats://127.0.0.1:{}", proxy.port);
    let head = night.first.begin(&RUN);
    let run = night.first.run_begun();
    let standby = night.second.stand_by(&run, &STANDBY);
    night.goes_on(10);
    // So slow that what waits would leave until long after the fence.
    night.first.lab.cutover(&["control", "rate", "1"]).exits(0);
    until("eight intents are unsent", || (n_unsent(&night) >= 8).then_some(()));
    proxy.swallow_all();
    std::thread::sleep(HELD);
    let n_before = night.n_changes();
    let fence = Fence::awaited(&night);
    assert_eq!(fence.n_changes, n_before, "it sent what it could not have recorded");
    standby.end().exits(0);
    proxy.swallow_nothing();
    let ended = head.end();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    fence.holds(&night);
    night.is_done();
}
