//! Thread that hands notices to their receivers, apart from everything that carries the run.
//!
//! Each receiver has a queue of its own, so that one that hangs keeps no other waiting, and hears of a beginning before it hears of an
//! end. Nothing waits for the thread until the launch has ended; then it has [`AT_THE_END`] for all that is left.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Results, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::notice::{Notice, Occasion};
use super::patience::{FailedTry, ReceiverPatience, TRIES, TryTime};
use super::receiver::Receiver;

/// Longest time that the end of a launch waits for notices.
const AT_THE_END: Duration = Duration::from_secs(10);
/// Parts of it that are kept: for the records of the last tries, and then for those that nothing was heard of.
const FOR_RECORDS: Duration = Duration::from_millis(1_500);
const FOR_THE_MISSING: Duration = Duration::from_millis(500);
/// Interval at which the wait looks for a signal that ends it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Outcome of a notice at one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) receiver: String,
    pub(crate) about: Occasion,
    pub(crate) tries: u32,
    /// Problem of the last try; `None` if it was delivered.
    pub(crate) problem: Option<String>,
}

/// Last notice at each receiver.
#[derive(Clone, Default)]
struct LastNotices(Arc<Mutex<HashMap<String, LastNotice>>>);

/// Tries of it that have begun, and whether there is a record of it.
#[derive(Default)]
struct LastNotice {
    tries: u32,
    is_recorded: bool,
}

impl LastNotices {
    fn of<T>(&self, receiver: &str, look: impl FnOnce(&mut LastNotice) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(receiver.to_owned()).or_default())
    }

    fn begin_try(&self, receiver: &str) {
        self.of(receiver, |last| last.tries += 1);
    }

    /// Returns the tries to whoever has to make the record, so that there is one.
    fn to_record(&self, receiver: &str) -> Option<u32> {
        self.of(receiver, |last| (!std::mem::replace(&mut last.is_recorded, true)).then_some(last.tries))
    }
}

/// Told of each outcome, on the thread's own time.
pub(crate) type Clerk = Arc<dyn Fn(&Delivery) + Send + Sync>;

/// Makes a notice, which takes a read of the journal.
type Compose = Box<dyn FnOnce() -> Notice + Send>;

/// The thread, as the launch sees it.
pub(crate) struct Desk {
    inbox: mpsc::UnboundedSender<Compose>,
    /// Time by which all has to be done, once the launch has ended.
    deadline: watch::Sender<Option<Instant>>,
    /// Occasions that were told: each is told once.
    told: Mutex<HashSet<Occasion>>,
    /// Receivers of the last notice.
    of_end: Vec<String>,
    clerk: Clerk,
    last_notices: LastNotices,
    /// Ends when the thread does.
    results: Mutex<Results<Delivery>>,
}

impl Desk {
    /// Starts the thread for these receivers.
    pub(crate) fn open(receivers: Vec<Receiver>, clerk: Clerk) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let of_end =
            receivers.iter().filter(|receiver| receiver.wants(Occasion::End)).map(|receiver| receiver.name.clone());
        let of_end = of_end.collect();
        let (inbox, composed) = mpsc::unbounded_channel();
        let (deadline, until) = watch::channel(None);
        let (sender, results) = channel();
        let last_notices = LastNotices::default();
        let records =
            DeliveryRecords { clerk: Arc::clone(&clerk), last_notices: last_notices.clone(), results: sender };
        thread::Builder::new().name("notices".to_owned()).spawn(move || {
            runtime.block_on(serve(receivers, composed, &until, records));
            // A command that does not end, or a journal that is locked, is left behind.
            runtime.shutdown_background();
        })?;
        Ok(Self { inbox, deadline, told: Mutex::default(), of_end, clerk, last_notices, results: Mutex::new(results) })
    }

    /// Has a notice made and sent, unless its occasion was told before. Waits for nothing.
    pub(crate) fn tell(&self, about: Occasion, compose: impl FnOnce() -> Notice + Send + 'static) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(about) {
            // The thread ends with the desk.
            _ = self.inbox.send(Box::new(compose));
        }
    }

    /// Has the last notice made and sent, and waits until it and all before it are delivered or given up: ten seconds at most, the making
    /// included, and no longer than until `is_enough`.
    pub(crate) fn close(self, last: impl FnOnce() -> Notice + Send + 'static, is_enough: &AtomicBool) {
        self.close_by(Instant::now() + AT_THE_END, last, is_enough);
    }

    fn close_by(self, end: Instant, last: impl FnOnce() -> Notice + Send + 'static, is_enough: &AtomicBool) {
        let Self { inbox, deadline, of_end, clerk, last_notices, results, .. } = self;
        let until = end.checked_sub(FOR_RECORDS).unwrap_or(end);
        _ = inbox.send(Box::new(last));
        drop(inbox);
        _ = deadline.send(Some(until));
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut missing: HashSet<String> = of_end.into_iter().collect();
        while !is_enough.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now()).saturating_sub(FOR_THE_MISSING);
            match results.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(Delivery { about: Occasion::End, receiver, .. }) => _ = missing.remove(&receiver),
                Ok(_) => (),
                Err(RecvTimeoutError::Disconnected) if missing.is_empty() => return,
                Err(RecvTimeoutError::Timeout) if left > LOOK_EVERY => (),
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => break,
            }
        }
        let why = if is_enough.load(Ordering::Relaxed) {
            "a signal ended the wait for it"
        } else {
            "nothing was heard of it in time"
        };
        // A journal that is locked does not make the end later.
        let (sender, recorded) = channel::<()>();
        let recording = thread::Builder::new().spawn(move || {
            for receiver in missing {
                let Some(tries) = last_notices.to_record(&receiver) else { continue };
                clerk(&Delivery { receiver, about: Occasion::End, tries, problem: Some(why.to_owned()) });
            }
            drop(sender);
        });
        if recording.is_ok() {
            _ = recorded.recv_timeout(end.saturating_duration_since(Instant::now()).min(FOR_THE_MISSING));
        }
    }
}

/// Way of outcomes into the journal, and then to the end of the launch.
#[derive(Clone)]
struct DeliveryRecords {
    clerk: Clerk,
    last_notices: LastNotices,
    results: Sender<Delivery>,
}

impl DeliveryRecords {
    fn add(&self, delivery: Delivery) {
        if delivery.about != Occasion::End || self.last_notices.to_record(&delivery.receiver).is_some() {
            (self.clerk)(&delivery);
            // The end of the launch may have stopped waiting.
            _ = self.results.send(delivery);
        }
    }
}

/// Makes the notices and hands each to the queues of those who want it. Ends once all queues are empty and nothing more comes.
async fn serve(
    receivers: Vec<Receiver>,
    mut composed: mpsc::UnboundedReceiver<Compose>,
    until: &watch::Receiver<Option<Instant>>,
    records: DeliveryRecords,
) {
    let mut queues = Vec::new();
    let mut serving = tokio::task::JoinSet::new();
    for receiver in receivers {
        let receiver = Arc::new(receiver);
        let (queue, notices) = mpsc::unbounded_channel::<Arc<Notice>>();
        queues.push((Arc::clone(&receiver), queue));
        serving.spawn(attend(receiver, notices, until.clone(), records.clone()));
    }
    while let Some(compose) = composed.recv().await {
        let Ok(notice) = tokio::task::spawn_blocking(compose).await else { continue };
        let notice = Arc::new(notice);
        for (_, queue) in queues.iter().filter(|(receiver, _)| receiver.wants(notice.about)) {
            _ = queue.send(Arc::clone(&notice));
        }
    }
    drop((queues, records));
    serving.join_all().await;
}

/// Delivers the notices of one receiver, one after the other.
async fn attend(
    receiver: Arc<Receiver>,
    mut notices: mpsc::UnboundedReceiver<Arc<Notice>>,
    until: watch::Receiver<Option<Instant>>,
    records: DeliveryRecords,
) {
    let mut recording = tokio::task::JoinSet::new();
    while let Some(notice) = notices.recv().await {
        let delivery = deliver(&receiver, &notice, &notices, until.clone(), &records.last_notices).await;
        let records = records.clone();
        // Not waited for here: a slow disk takes no time from the next notice.
        recording.spawn_blocking(move || records.add(delivery));
    }
    // What has not begun when the runtime ends never does.
    recording.join_all().await;
}

/// Tries up to three times; a command that was cut off is not begun again.
async fn deliver(
    receiver: &Receiver,
    notice: &Notice,
    behind: &mpsc::UnboundedReceiver<Arc<Notice>>,
    mut until: watch::Receiver<Option<Instant>>,
    last_notices: &LastNotices,
) -> Delivery {
    let delivery = |tries, problem| Delivery { receiver: receiver.name.clone(), about: notice.about, tries, problem };
    let mut problem = None;
    for n in 1..=TRIES {
        let try_time = || {
            let left = until.borrow().map(|until| until.saturating_duration_since(Instant::now()));
            // The last notice may still be on its way into the queue.
            let n_behind =
                u32::from(notice.about != Occasion::End).max(u32::try_from(behind.len()).unwrap_or(u32::MAX));
            receiver.patience().turn(left, TRIES + 1 - n, n_behind)
        };
        let Some(TryTime { longest, .. }) = try_time() else {
            return delivery(n - 1, problem.or_else(|| Some("there was no time left to try it".to_owned())));
        };
        if notice.about == Occasion::End {
            last_notices.begin_try(&receiver.name);
        }
        problem = Some(match timeout(longest, receiver.send(notice, longest)).await {
            Ok(Ok(())) => return delivery(n, None),
            Ok(Err(FailedTry::ForNow(problem))) => problem,
            Ok(Err(FailedTry::CutOff(problem))) => return delivery(n, Some(problem)),
            Err(_) => {
                let problem = format!("no answer within {:.1} s", longest.as_secs_f64());
                match receiver.patience() {
                    ReceiverPatience::Requests => problem,
                    ReceiverPatience::Commands => return delivery(n, Some(problem)),
                }
            }
        });
        if n < TRIES {
            let pause = try_time().map_or(Duration::ZERO, |time| time.pause);
            if until.borrow().is_some() {
                sleep(pause).await;
            } else {
                // The end of the launch shortens the pause, and takes nothing from the tries.
                _ = timeout(pause, until.changed()).await;
            }
        }
    }
    delivery(TRIES, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_that_cannot_be_made_in_time_does_not_make_the_end_later_and_is_journaled() {
        let (sender, journaled) = channel();
        let clerk: Clerk = Arc::new(move |delivery: &Delivery| _ = sender.send(delivery.clone()));
        let desk = Desk::open(vec![Receiver::that_runs("true")], clerk).unwrap();
        let (release, released) = channel::<()>();
        let began = std::time::Instant::now();
        let end = Instant::now() + Duration::from_secs(2);
        let last = move || {
            _ = released.recv();
            Notice::new(Occasion::End, "run", String::new())
        };
        desk.close_by(end, last, &AtomicBool::new(false));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let Delivery { about, tries, problem, .. } = journaled.recv().unwrap();
        assert_eq!((about, tries, problem.as_deref()), (Occasion::End, 0, Some("nothing was heard of it in time")));
        drop(release);
    }

    #[test]
    fn a_notice_that_is_given_up_is_journaled_with_the_tries_that_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let began = folder.path().join("began");
        let (sender, journaled) = channel();
        let clerk: Clerk = Arc::new(move |delivery: &Delivery| _ = sender.send(delivery.clone()));
        let receiver = Receiver::that_runs(&format!("echo >'{}'; sleep 60", began.display()));
        let desk = Desk::open(vec![receiver], clerk).unwrap();
        let is_enough = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !began.exists() {
                    thread::sleep(Duration::from_millis(5));
                }
                is_enough.store(true, Ordering::Relaxed);
            });
            desk.close(|| Notice::new(Occasion::End, "run", String::new()), &is_enough);
        });
        let Delivery { tries, problem, .. } = journaled.recv().unwrap();
        assert_eq!((tries, problem.as_deref()), (1, Some("a signal ended the wait for it")));
    }
}
