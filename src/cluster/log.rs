//! The log as a writer has it: a commit is published behind the last one, and anything but its acknowledgement is resolved by reading.
//!
//! A publish is taken by the server only if the last message of the subject is the one that this writer knows. No answer, a refusal or
//! an error is *not known*: the message may be stored all the same, now or later, and a refusal may come from a server that no longer
//! decides. The last message of the subject alone tells:
//!
//! | it is | then |
//! |---|---|
//! | ours | the commit is taken |
//! | still the one before | it is published again; both are one, since the server takes only one of them behind the one before |
//! | another one behind that | another writer goes on with the run |
//! | one behind that which no cutover wrote | nothing more can be committed |
//! | an earlier one, or none | the log lost what it had acknowledged, if that stays so |
//!
//! An answer may come from a server that has been replaced and does not know yet. What it shows was committed, so that the first, the
//! third and the fourth line hold at once. The second does no harm. The fifth needs answers for longer than such a server can go on.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::ANSWER;
use super::message::{self, CommitMark, Unread, WriterId, bodies};
use super::plan::publish;
use super::stream::Names;
use super::tenure::{Succession, Tenure, acknowledged};
use crate::clock::since_boot;
use crate::journal::run_copy::RunCopy;
use crate::journal::stamped::Stamped;
use crate::journal::{JournalError, LogError};
use crate::log::away::Away;
use crate::log::seam::{Committed, Hold, Log, NotCommitted};

/// Pauses between two attempts to learn what became of a commit.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Time for which all answers have to show a loss. A server that has not heard of the others for ten seconds stops to lead, and looks at
/// that every ten seconds.
/// source: raft.go of nats-server (`lostQuorumIntervalDefault`, `lostQuorumCheckIntervalDefault`)
const LOST_FOR: Duration = Duration::from_secs(25);
/// Largest gap between two of these answers. A server that was stopped meanwhile may not know yet that it has been replaced.
const LOST_GAP: Duration = Duration::from_secs(4);

/// Time for which a commit waits for its answer while the journal is locked. Whoever else writes to the journal waits as long.
const LOCKED_FOR: Duration = Duration::from_millis(250);

/// Last commit of a log: the number that the log gave to it, and its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastCommit {
    pub(super) sequence: u64,
    /// `None` if it cannot be read, so that it is not ours.
    pub(super) mark: Option<CommitMark>,
}

impl LastCommit {
    pub(super) fn from_message(message: &StreamMessage) -> Self {
        Self { sequence: message.sequence, mark: CommitMark::from_headers(&message.headers).ok() }
    }
}

/// Log of a run on a stream, as one writer has it.
pub(super) struct StreamLog {
    runtime: Handle,
    wire: Arc<Wire>,
    writer: WriterId,
    n_commits: u64,
    /// The commit that the next one goes behind.
    last: Option<LastCommit>,
    tenure: Tenure,
    /// Commits of the last batch that are not known to be taken. The first of them may be on its way.
    open: VecDeque<String>,
    on_its_way: Option<OnItsWay>,
    /// Reason for which it commits nothing more.
    closed: Option<NotCommitted>,
}

/// A commit that was published, until the number is known that the log gave to it.
struct OnItsWay {
    mark: CommitMark,
    brought: Pin<Box<dyn Future<Output = Result<u64, NotCommitted>> + Send>>,
}

/// All that a commit is brought to the log with, and that is noticed on the way.
struct Wire {
    jetstream: jetstream::Context,
    stream: Stream,
    names: Names,
    hold: Hold,
    away: Away,
}

impl StreamLog {
    /// Makes a writer that goes on behind a commit. It holds the run from its own first commit on, or from some time after that where the
    /// launch before it was cut off.
    pub(super) fn behind(
        last: Option<LastCommit>,
        succession: Succession,
        writer: WriterId,
        runtime: Handle,
        jetstream: jetstream::Context,
        stream: Stream,
        names: Names,
    ) -> Self {
        let tenure = Tenure::new(succession);
        let wire = Arc::new(Wire { jetstream, stream, names, hold: tenure.hold(), away: Away::default() });
        let (open, on_its_way, closed) = (VecDeque::new(), None, None);
        Self { runtime, wire, writer, n_commits: 0, last, tenure, open, on_its_way, closed }
    }

    /// Brings what is open of the last batch, for at most so long. It is open still after [`NotCommitted::Unanswered`].
    fn bring_open(&mut self, most: Option<Duration>) -> Result<(), NotCommitted> {
        let (runtime, began) = (self.runtime.clone(), Timestamp::now());
        let until = most.map(|most| since_boot() + most);
        // Blocks a thread that has no other work and is none of the runtime's workers, on which it would panic: the recorder's, which is
        // started by itself. The runtime has threads of its own for the connection, so that what is waited for goes on.
        let brought = runtime.block_on(async {
            while !self.open.is_empty() {
                let left = until.map(|until| until.saturating_sub(since_boot()));
                self.bring_first(left).await?;
            }
            Ok(())
        });
        match brought {
            Err(NotCommitted::Unanswered) => self.wire.away.begin(began),
            Err(NotCommitted::Failed(LogError::Away)) => (),
            Ok(()) | Err(NotCommitted::Replaced | NotCommitted::Failed(_)) => self.wire.away.end(),
        }
        brought
    }

    /// Brings the first of the open commits.
    async fn bring_first(&mut self, most: Option<Duration>) -> Result<(), NotCommitted> {
        let mut sent = self.on_its_way.take().unwrap_or_else(|| self.send_first());
        let unanswered = async {
            match most {
                Some(most) => sleep(most).await,
                None => pending().await,
            }
        };
        let given_up = async {
            let until = Instant::now() + ANSWER;
            self.wire.away.given_up().await;
            sleep_until(until).await;
        };
        let brought = tokio::select! {
            biased;
            brought = &mut sent.brought => brought,
            () = unanswered => {
                self.on_its_way = Some(sent);
                return Err(NotCommitted::Unanswered);
            }
            () = given_up => return Err(NotCommitted::Failed(LogError::Away)),
        };
        let (mark, sequence) = (sent.mark, brought?);
        self.open.pop_front();
        self.tenure.committed(since_boot());
        self.n_commits = mark.number;
        self.last = Some(LastCommit { sequence, mark: Some(mark) });
        Ok(())
    }

    /// Has the first of the open commits be on its way.
    fn send_first(&self) -> OnItsWay {
        let after = self.last.map_or(0, |last| last.sequence);
        let mark = CommitMark { writer: self.writer, number: self.n_commits + 1, after };
        let body = self.open.front().cloned().unwrap_or_default();
        let (wire, last) = (Arc::clone(&self.wire), self.last);
        OnItsWay { mark, brought: Box::pin(async move { wire.bring(mark, last, &body).await }) }
    }

    /// Closes the log behind a batch that it did not take. One that is open may still be taken.
    fn closes_behind(&mut self, brought: Result<(), NotCommitted>) -> Result<(), NotCommitted> {
        brought.map_err(|why| match why {
            NotCommitted::Unanswered => why,
            NotCommitted::Replaced | NotCommitted::Failed(_) => {
                self.tenure.hold().withdraw();
                self.closed.insert(why).clone()
            }
        })
    }

    fn must_be_open(&self) -> Result<(), NotCommitted> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    /// Returns the number of the commit that the next one goes behind, 0 for none, and the name under which that is written.
    pub(super) fn behind_what(&self) -> (u64, WriterId) {
        (self.last.map_or(0, |last| last.sequence), self.writer)
    }
}

impl Wire {
    /// Publishes a commit until it is known to be taken, and returns the number that the log gave to it. It takes as long as the log is
    /// away.
    async fn bring(&self, mark: CommitMark, last: Option<LastCommit>, body: &str) -> Result<u64, NotCommitted> {
        let (mut is_due, mut pause, mut loss) = (true, PAUSES.0, Loss::default());
        let began = Timestamp::now();
        loop {
            if is_due && let Some(sequence) = self.publish(mark, body).await {
                return Ok(sequence);
            }
            is_due = false;
            self.away.begin(began);
            if let Some(seen) = self.read_last().await {
                match judge(mark, last, seen) {
                    CommitFate::Taken(sequence) => return Ok(sequence),
                    CommitFate::Replaced => return Err(NotCommitted::Replaced),
                    CommitFate::Stray(error) => {
                        self.away.end();
                        return Err(NotCommitted::Failed(error));
                    }
                    CommitFate::NotYet => {
                        is_due = true;
                        loss = Loss::default();
                    }
                    CommitFate::Lost(error) => {
                        self.away.end();
                        loss.add(since_boot());
                        if loss.is_certain() {
                            return Err(NotCommitted::Failed(error));
                        }
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Publishes once. `None`: not known to be taken, which says nothing.
    async fn publish(&self, mark: CommitMark, body: &str) -> Option<u64> {
        let sent = since_boot();
        let body = body.to_owned().into();
        let publishing = self.jetstream.publish_with_headers(self.names.log.clone(), mark.to_headers(), body);
        let answer = publishing.await.ok()?.await.ok()?;
        // A stream of another name may have the subject once ours is gone.
        if answer.stream != self.names.stream || answer.sequence <= mark.after {
            return None;
        }
        acknowledged(&self.hold, sent);
        Some(answer.sequence)
    }

    /// Reads the end of the log. `None`: no answer.
    async fn read_last(&self) -> Option<Seen> {
        read_last(&self.stream, &self.names).await.ok()
    }
}

impl Log for StreamLog {
    fn make(&mut self, copy: &RunCopy<'_>) -> Result<(), JournalError> {
        let Wire { jetstream, stream, names, .. } = &*self.wire;
        publish(&self.runtime, jetstream, stream, names, copy)
    }

    fn commit(&mut self, batch: &Stamped) -> Result<Committed, NotCommitted> {
        self.must_be_open()?;
        assert!(self.open.is_empty(), "what is open is settled before the next batch");
        let brought = bodies(batch, message::LARGEST).map_err(NotCommitted::Failed).and_then(|bodies| {
            self.open = bodies.into();
            self.bring_open(Some(LOCKED_FOR))
        });
        self.closes_behind(brought).map(|()| Committed::Apart)
    }

    fn settle(&mut self, most: Option<Duration>) -> Result<(), NotCommitted> {
        self.must_be_open()?;
        let brought = self.bring_open(most).map_err(|why| match why {
            NotCommitted::Unanswered => NotCommitted::Failed(LogError::Away),
            NotCommitted::Replaced | NotCommitted::Failed(_) => why,
        });
        self.closes_behind(brought)
    }

    fn hold(&self) -> Hold {
        self.tenure.hold()
    }

    fn away(&self) -> Option<Away> {
        Some(self.wire.away.clone())
    }
}

/// End of the log as one answer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    NoStream,
    /// The stream has no commit.
    Nothing,
    Commit(LastCommit),
    /// Message of this number, which no cutover wrote.
    Stray(u64),
}

/// Reads the end of the log, from the server that leads the stream or believes to.
pub(super) async fn read_last(stream: &Stream, names: &Names) -> Result<Seen, jetstream::stream::LastRawMessageError> {
    match stream.get_last_raw_message_by_subject(&names.log).await {
        Ok(message) => Ok(match CommitMark::from_headers(&message.headers) {
            Err(Unread::Header { .. }) => Seen::Stray(message.sequence),
            Ok(_) | Err(_) => Seen::Commit(LastCommit::from_message(&message)),
        }),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(Seen::Nothing),
            LastRawMessageErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(Seen::NoStream)
            }
            LastRawMessageErrorKind::InvalidSubject
            | LastRawMessageErrorKind::JetStream(_)
            | LastRawMessageErrorKind::Other => Err(error),
        },
    }
}

/// Meaning of an end of the log for a commit that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitFate {
    /// The log has it, under this number.
    Taken(u64),
    NotYet,
    Replaced,
    /// Somebody else has put a message behind the last commit that is none.
    Stray(LogError),
    Lost(LogError),
}

/// Judges by the end of the log what became of a commit that was published behind the last one.
pub(super) fn judge(ours: CommitMark, last: Option<LastCommit>, seen: Seen) -> CommitFate {
    let acknowledged = ours.after;
    match seen {
        Seen::NoStream => CommitFate::Lost(LogError::Gone { acknowledged }),
        Seen::Nothing if acknowledged == 0 => CommitFate::NotYet,
        Seen::Nothing => CommitFate::Lost(LogError::Shorter { acknowledged, found: 0 }),
        Seen::Commit(seen) if seen.sequence > acknowledged && seen.mark == Some(ours) => {
            CommitFate::Taken(seen.sequence)
        }
        Seen::Commit(seen) if seen.sequence > acknowledged => CommitFate::Replaced,
        Seen::Stray(sequence) if sequence > acknowledged => CommitFate::Stray(LogError::Stray { sequence }),
        Seen::Stray(sequence) if sequence == acknowledged => CommitFate::Lost(LogError::MadeAnew { acknowledged }),
        Seen::Stray(found) => CommitFate::Lost(LogError::Shorter { acknowledged, found }),
        Seen::Commit(seen) if Some(seen) == last => CommitFate::NotYet,
        Seen::Commit(seen) if seen.sequence == acknowledged => CommitFate::Lost(LogError::MadeAnew { acknowledged }),
        Seen::Commit(seen) => CommitFate::Lost(LogError::Shorter { acknowledged, found: seen.sequence }),
    }
}

/// Consecutive answers by which the log lost something.
#[derive(Default)]
pub(super) struct Loss {
    /// Times of the first and the last one, since the machine was started.
    seen: Option<(Duration, Duration)>,
}

impl Loss {
    /// Adds an answer that came just now.
    pub(super) fn add(&mut self, now: Duration) {
        let first = self.seen.filter(|(_, last)| now.saturating_sub(*last) <= LOST_GAP).map_or(now, |(first, _)| first);
        self.seen = Some((first, now));
    }

    /// Tells if there were enough of them.
    pub(super) fn is_certain(&self) -> bool {
        self.lasts() >= LOST_FOR
    }

    /// Time for which all answers have shown it.
    pub(super) fn lasts(&self) -> Duration {
        self.seen.map_or(Duration::ZERO, |(first, last)| last.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_log_alone_decides_about_a_commit() {
        let (us, them) = (WriterId::of_launch(3), WriterId::of_launch(3));
        let mark = |writer, number, after| CommitMark { writer, number, after };
        let commit = |sequence, mark| LastCommit { sequence, mark: Some(mark) };
        let first = mark(us, 1, 0);
        let second = mark(us, 2, 7);
        let last = commit(7, first);
        let unreadable = LastCommit { sequence: 8, mark: None };
        let misses = |error| CommitFate::Lost(error);
        let cases = [
            (first, None, Seen::Nothing, CommitFate::NotYet),
            (first, None, Seen::Commit(last), CommitFate::Taken(7)),
            (first, None, Seen::Commit(commit(7, mark(them, 1, 0))), CommitFate::Replaced),
            (first, None, Seen::NoStream, misses(LogError::Gone { acknowledged: 0 })),
            (second, Some(last), Seen::Commit(last), CommitFate::NotYet),
            (second, Some(last), Seen::Commit(commit(9, second)), CommitFate::Taken(9)),
            (second, Some(last), Seen::Commit(commit(9, mark(them, 2, 7))), CommitFate::Replaced),
            (second, Some(last), Seen::Commit(commit(9, mark(us, 3, 8))), CommitFate::Replaced),
            (second, Some(last), Seen::Commit(unreadable), CommitFate::Replaced),
            (second, Some(last), Seen::Stray(9), CommitFate::Stray(LogError::Stray { sequence: 9 })),
            (second, Some(last), Seen::Stray(7), misses(LogError::MadeAnew { acknowledged: 7 })),
            (second, Some(last), Seen::Stray(6), misses(LogError::Shorter { acknowledged: 7, found: 6 })),
            (second, Some(last), Seen::NoStream, misses(LogError::Gone { acknowledged: 7 })),
            (second, Some(last), Seen::Nothing, misses(LogError::Shorter { acknowledged: 7, found: 0 })),
            (
                second,
                Some(last),
                Seen::Commit(commit(6, mark(us, 1, 0))),
                misses(LogError::Shorter { acknowledged: 7, found: 6 }),
            ),
            (
                second,
                Some(last),
                Seen::Commit(commit(7, mark(them, 1, 0))),
                misses(LogError::MadeAnew { acknowledged: 7 }),
            ),
            // A commit that nobody here could read, and that is still the last one.
            (mark(us, 1, 8), Some(unreadable), Seen::Commit(unreadable), CommitFate::NotYet),
        ];
        for (ours, last, seen, finding) in cases {
            assert_eq!(judge(ours, last, seen), finding, "{ours:?} {last:?} {seen:?}");
        }
    }

    #[test]
    fn a_loss_is_certain_when_all_answers_have_shown_it_for_long_enough() {
        let certain = |times: &[u64]| {
            let mut loss = Loss::default();
            let mut is_certain_at = |at: &u64| {
                loss.add(Duration::from_secs(*at));
                loss.is_certain()
            };
            times.iter().map(&mut is_certain_at).collect::<Vec<_>>()
        };
        assert_eq!(certain(&[100, 104, 108, 112, 116, 120, 124, 125]).iter().position(|certain| *certain), Some(7));
        assert_eq!(certain(&[100, 125]), [false, false], "nobody answered in between");
        let stopped = [100, 104, 108, 113, 117, 121, 125, 129, 133, 137, 138];
        assert_eq!(certain(&stopped).iter().position(|certain| *certain), Some(10), "for five seconds nobody answered");
    }
}
