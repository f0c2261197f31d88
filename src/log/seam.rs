//! The seam: what a log has to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::away::Away;
use crate::clock::since_boot;
use crate::journal::run_copy::RunCopy;
use crate::journal::stamped::Stamped;
use crate::journal::{JournalError, LogError};

/// A log of one run, with one writer.
///
/// All events of the run are committed to it, from the one with which it is made: that one within the transaction that writes the rows.
/// Nothing else of the journal is an event of the run:
///
/// - The run as it was made, with its rows: a log that outlives the machine gets them when it is made.
/// - Commands as other processes give them, in table `control`: one that takes effect is an event of the launch that took it.
/// - Tombstones: they tell of a run whose log has ended, have a chain of their own, and are facts of this one file.
/// - Outcomes of notices, which are in no chain.
/// - Records apart from a journal that is lost and can be saved nowhere: the log has no outcome of those attempts either, and whoever
///   goes on with the run looks at their rows.
pub(crate) trait Log: Send {
    /// Makes the log of a run that is being made, with the run as its copy has it: whoever has the log has the whole run. Comes once,
    /// before the first commit, within the transaction that writes the rows. A log that is nowhere else has nothing to do.
    fn make(&mut self, copy: &RunCopy<'_>) -> Result<(), JournalError>;

    /// Commits a batch of stamped events of one or several lanes. Must ensure that
    ///
    /// - all of the batch is committed, or, after an error, a beginning of it, of which any is a history that can have happened;
    /// - it follows what was committed before, lane by lane: where another writer has committed since, the batch is refused;
    /// - after an error each later batch of this writer is refused as well;
    /// - it is kept to the letter, in its order, and whoever reads the log from its beginning finds it;
    /// - it is as durable as the journal is after its own commit, at the latest when that commit returns.
    ///
    /// The journal's transaction is open meanwhile, and is committed only if this returns `Ok`: after an error or a crash the
    /// journal is a prefix of the log. A batch that is [`Committed::Apart`] is not brought again, even if the journal could not take it.
    ///
    /// A batch without events changes nothing; where the hold has lapsed, it is the way to hold the run again.
    ///
    /// Takes no longer than others of the journal may be kept from it. After [`NotCommitted::Unanswered`] the batch is neither taken nor
    /// refused: the journal's transaction is given up, [`Log::settle`] is called, and the journal gets the batch by another one.
    fn commit(&mut self, batch: &Stamped) -> Result<Committed, NotCommitted>;

    /// Waits until the batch that was left unanswered is taken, for at most so long, or for as long as its servers are away. It is
    /// [`Committed::Apart`] then.
    fn settle(&mut self, _most: Option<Duration>) -> Result<(), NotCommitted> {
        Ok(())
    }

    /// Returns the leave for changes of this writer. It must have been withdrawn when a refused commit returns.
    fn hold(&self) -> Hold;

    /// Returns the wait for its servers with a batch; `None` for a log that is never away.
    fn away(&self) -> Option<Away> {
        None
    }
}

/// Commits a batch where no journal is locked, however long the servers are away. One without events holds the run.
pub(crate) fn commit_patiently(log: &mut dyn Log, batch: &Stamped) -> Result<(), NotCommitted> {
    match log.commit(batch) {
        Err(NotCommitted::Unanswered) => log.settle(None),
        committed => committed.map(drop),
    }
}

/// Durability of a batch that a log has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// In the log, whatever becomes of the journal's transaction.
    Apart,
    /// With the journal's transaction.
    WithJournal,
}

/// Leave for changes to go out, shared by log, writer and those who send. It is asked as the last thing before a change leaves: one
/// whose intent was committed may wait for its pace while another writer takes the run over. What remains between the question and the
/// wire is the time to sign the request and to connect, which is bounded: the clock is looked at once more as the first byte is written
/// (`LogServer::leaves_within`).
///
/// A leave without end costs one load; one with an end costs the clock as well. One that has lapsed is held again after a commit. Only
/// one that was withdrawn is over.
#[derive(Clone)]
pub(crate) struct Hold(Arc<Term>);

/// Term of a leave, in milliseconds since the machine was started.
struct Term {
    /// [`NEVER`] is no time.
    begins: AtomicU64,
    /// [`WITHDRAWN`] and [`WITHOUT_END`] are no times.
    ends: AtomicU64,
}

const NEVER: u64 = u64::MAX;
const WITHDRAWN: u64 = 0;
const WITHOUT_END: u64 = u64::MAX;

impl Hold {
    /// Makes a leave that holds until it is withdrawn.
    pub(crate) fn without_end() -> Self {
        Self::new(0, WITHOUT_END)
    }

    /// Makes a leave that has lapsed, and holds once it is extended.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "that of the journal has no end"))]
    pub(crate) fn lapsed() -> Self {
        Self::new(0, WITHDRAWN + 1)
    }

    /// Makes a leave that has lapsed, and holds once it has begun and is extended.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "that of the journal has begun"))]
    pub(crate) fn not_begun() -> Self {
        Self::new(NEVER, WITHDRAWN + 1)
    }

    fn new(begins: u64, ends: u64) -> Self {
        Self(Arc::new(Term { begins: AtomicU64::new(begins), ends: AtomicU64::new(ends) }))
    }

    /// Tells that nobody else can have taken the run over, and that the writer goes on.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held_at(since_boot)
    }

    pub(crate) fn is_held_at(&self, now: impl FnOnce() -> Duration) -> bool {
        let ends = self.0.ends.load(Ordering::Acquire);
        ends == WITHOUT_END
            || ends != WITHDRAWN && {
                let now = now();
                now < Duration::from_millis(ends) && Duration::from_millis(self.0.begins.load(Ordering::Acquire)) <= now
            }
    }

    /// Time until the leave begins; `None` if it has, or if that is not known yet.
    pub(crate) fn begins_in(&self) -> Option<Duration> {
        let begins = self.0.begins.load(Ordering::Acquire);
        let left = || Duration::from_millis(begins).checked_sub(since_boot()).filter(|left| !left.is_zero());
        if begins == 0 || begins == NEVER { None } else { left() }
    }

    /// Sets the beginning of a leave that was made without one.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "that of the journal has begun"))]
    pub(crate) fn begin_at(&self, begins: Duration) {
        self.0.begins.store(in_ms(begins), Ordering::Release);
    }

    /// Extends the leave to a time since the machine was started, unless it was withdrawn.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "that of the journal has no end"))]
    pub(crate) fn extend(&self, to: Duration) {
        let to = in_ms(to);
        let later = |ends: u64| (ends != WITHDRAWN).then_some(ends.max(to));
        _ = self.0.ends.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// Tells that the leave does not come back. One that has merely lapsed can be extended.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.ends.load(Ordering::Acquire) == WITHDRAWN
    }

    /// Withdraws the leave for good.
    pub(crate) fn withdraw(&self) {
        self.0.ends.store(WITHDRAWN, Ordering::Release);
    }
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a machine runs for less than 500 million years")
}

/// Reason for which a log has not taken a batch. Unless that is merely not known yet, it takes none of this writer any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotCommitted {
    /// Another writer has committed since.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "the journal has one writer"))]
    Replaced,
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the journal fails by itself"))]
    Failed(LogError),
    /// Unknown still: no answer has come in time.
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "the journal answers by itself"))]
    Unanswered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leave_ends_by_time_and_a_withdrawn_one_stays_so() {
        let at = |ms| move || Duration::from_millis(ms);
        let unasked = || panic!("a leave without end does not look at the clock");
        let hold = Hold::without_end();
        assert!(hold.is_held_at(unasked));
        let hold = Hold::lapsed();
        assert!(!hold.is_held() && !hold.is_withdrawn());
        hold.extend(Duration::from_millis(1500));
        assert!(hold.is_held_at(at(1499)) && !hold.is_held_at(at(1500)));
        hold.extend(Duration::from_millis(1200));
        assert!(hold.is_held_at(at(1499)), "what was given stays given");
        hold.withdraw();
        hold.extend(Duration::from_secs(1 << 40));
        assert!(hold.is_withdrawn() && !hold.is_held_at(unasked));
    }

    #[test]
    fn a_leave_that_has_not_begun_is_extended_and_not_held() {
        let at = |ms| move || Duration::from_millis(ms);
        let hold = Hold::not_begun();
        hold.extend(Duration::from_secs(2));
        assert!(!hold.is_held_at(at(1000)) && !hold.is_withdrawn());
        assert_eq!(hold.begins_in(), None, "nobody knows when");
        hold.begin_at(Duration::from_millis(1500));
        assert!(!hold.is_held_at(at(1499)) && hold.is_held_at(at(1500)) && !hold.is_held_at(at(2000)));
        hold.begin_at(since_boot() + Duration::from_mins(1));
        let left = hold.begins_in().unwrap();
        assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&left), "{left:?}");
    }
}
