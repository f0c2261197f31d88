//! Reading the log back into a journal. The log is not believed: its commits are chained, its hashes are computed again, and what the
//! journal has already has to be the same.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::log::{LastCommit, Loss, PAUSES, Seen, read_last};
use super::message::{CommitMark, Unread, WriterId, read_body};
use super::stream::{Names, find, n_trimmed};
use super::tenure::Succession;
use crate::clock::since_boot;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::journal::stamped::LaneHead;
use crate::journal::stored::StoredEvent;
use crate::journal::{Journal, JournalError, RunKey};

/// Bound of the wait for a commit that is known to be there: several answers of a server, while another one is elected.
const COMMIT: Duration = Duration::from_secs(10);
/// Largest number of commits that are written to the journal at once.
const AT_ONCE: usize = 256;
/// Size in bytes from which on no other commit is written with them.
const BYTES_AT_ONCE: usize = 4 << 20;

/// Place in a log up to which it was read: its last commit, the heads of the lanes there, and who leads the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) last: Option<LastCommit>,
    heads: BTreeMap<LaneId, LaneHead>,
    /// Writer of the last launch, unless that has ended.
    led_by: Option<WriterId>,
}

impl Place {
    pub(super) fn succession(&self) -> Succession {
        if self.led_by.is_some() { Succession::CutOff } else { Succession::InOrder }
    }

    /// Returns the last event of a lane there; `None` if it has none.
    pub(super) fn head(&self, lane: LaneId) -> Option<LaneHead> {
        self.heads.get(&lane).copied()
    }

    /// Notes an event with which a launch begins or ends. One that another writer closed, because it seemed to be dead, may go on.
    fn note(&mut self, event: &StoredEvent<'_>, by: WriterId) {
        match event.read() {
            Ok(EventKind::Run(RunEvent::LaunchBegan { .. })) => self.led_by = Some(by),
            Ok(EventKind::Run(RunEvent::LaunchEnded { .. })) => _ = self.led_by.take_if(|leader| *leader == by),
            Ok(EventKind::Run(_) | EventKind::Lane(_) | EventKind::Row(..)) | Err(_) => (),
        }
    }
}

/// Reason for which a log was not read into a journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReplayed {
    #[error("there is no log")]
    Gone,
    #[error("the log lost its beginning: the first {n} messages are gone")]
    Trimmed { n: u64 },
    #[error("the log ends with message {found}, and message {read} was read before")]
    Shorter { read: u64, found: u64 },
    #[error("the log was made anew: its message {sequence} is not the one that was read before")]
    MadeAnew { sequence: u64 },
    #[error("the log has a hole: message {sequence} was written behind message {after}, and follows message {last}")]
    Hole { sequence: u64, after: u64, last: u64 },
    #[error("message {sequence} of the log cannot be read")]
    Unread {
        sequence: u64,
        #[source]
        source: Unread,
    },
    #[error("the log has a hole: event {seq} of lane {lane}, in message {sequence}, does not follow event {last}")]
    NotNext { sequence: u64, lane: LaneId, seq: u64, last: u64 },
    #[error("event {seq} of lane {lane}, in message {sequence} of the log, is another one than in the journal")]
    OtherEvent { sequence: u64, lane: LaneId, seq: u64 },
    #[error("the log has event {seq} of lane {lane}, which the journal lacks, and lacks others that the journal has")]
    Forked { lane: LaneId, seq: u64 },
    #[error("the log ends with event {log} of lane {lane}, and the journal has event {journal}")]
    LostEnd { lane: LaneId, log: u64, journal: u64 },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the log was not to be read")]
    NoAnswer(#[source] async_nats::Error),
}

fn no_answer(error: impl Into<async_nats::Error>) -> NotReplayed {
    NotReplayed::NoAnswer(error.into())
}

/// Reads the log behind a place into the journal, up to its end as it is now, and returns that place. What the journal has already is
/// compared with it; an end that the log lacks is an error.
///
/// Waits for the network and writes to the disk, on a thread that is none of the runtime's workers.
pub(super) fn replay(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    names: &Names,
    from: Place,
    journal: &mut Journal,
    run: RunKey,
) -> Result<Place, NotReplayed> {
    let mut reading = LogReading { stored: heads(journal, run)?, place: from };
    let mut loss = Loss::default();
    loop {
        read(runtime, jetstream, names, &mut reading, |reading, commits| {
            let mut events = Vec::new();
            for commit in commits {
                reading.add(commit, &mut events)?;
            }
            journal.append_stamped(run, &events)?;
            Ok(())
        })?;
        let Err(error) = reading.has_ended() else { return Ok(reading.place) };
        // What was read may be that of a server which was replaced, like any other loss.
        loss.add(since_boot());
        if loss.is_certain() {
            return Err(error);
        }
        runtime.block_on(async { sleep(PAUSES.1).await });
    }
}

/// Reads on to the end of the log as it is now, some commits at a time.
fn read(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    names: &Names,
    reading: &mut LogReading,
    mut each: impl FnMut(&mut LogReading, &[Commit]) -> Result<(), NotReplayed>,
) -> Result<(), NotReplayed> {
    let Some(mut commits) = runtime.block_on(Commits::behind(&reading.place, jetstream, names))? else { return Ok(()) };
    while reading.place.last.map_or(0, |last| last.sequence) < commits.end {
        each(reading, &runtime.block_on(commits.next())?)?;
    }
    Ok(())
}

/// A log from its beginning on, as it compares with a journal that has the same events.
pub(super) struct ComparedLog {
    pub(super) place: Place,
    /// Lanes of which the journal has more: the numbers of the last events in the log and in the journal.
    pub(super) lacking: BTreeMap<LaneId, (u64, u64)>,
}

/// Compares a log with the journal, event by event, and writes nothing. A log that is gone has nothing of what the journal has.
pub(super) fn compare(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    names: &Names,
    journal: &Journal,
    run: RunKey,
) -> Result<ComparedLog, NotReplayed> {
    let stored = heads(journal, run)?;
    let mut reading = LogReading { stored: stored.clone(), place: Place::default() };
    let mut only_in_log = None;
    let compared = read(runtime, jetstream, names, &mut reading, |reading, commits| {
        for commit in commits {
            let sequence = commit.sequence;
            for event in read_body(&commit.body).map_err(|source| NotReplayed::Unread { sequence, source })? {
                let StoredEvent { lane, seq, hash, .. } = event;
                match journal.hash_at(run, lane, seq)? {
                    Some(of_journal) if of_journal == hash => (),
                    Some(_) => return Err(NotReplayed::OtherEvent { sequence, lane, seq }),
                    None => only_in_log = only_in_log.or(Some((lane, seq))),
                }
            }
            reading.add(commit, &mut Vec::new())?;
        }
        Ok(())
    });
    match compared {
        Ok(()) => (),
        Err(NotReplayed::Gone) if reading.place.last.is_none() => (),
        Err(error) => return Err(error),
    }
    let place = reading.place;
    let in_log = |lane| place.head(lane).map_or(0, |(seq, _)| seq);
    let both = stored.into_iter().map(|(lane, (journal, _))| (lane, (in_log(lane), journal)));
    let lacking: BTreeMap<_, _> = both.filter(|(_, (log, journal))| log < journal).collect();
    match only_in_log {
        Some((lane, seq)) if !lacking.is_empty() => Err(NotReplayed::Forked { lane, seq }),
        Some(_) | None => Ok(ComparedLog { place, lacking }),
    }
}

fn heads(journal: &Journal, run: RunKey) -> Result<BTreeMap<LaneId, LaneHead>, JournalError> {
    Ok(journal.heads(run)?.into_iter().map(|(lane, seq, hash)| (lane, (seq, hash))).collect())
}

/// State of a reading.
struct LogReading {
    /// Heads of the lanes in the journal, with the events that are about to be written to it.
    stored: BTreeMap<LaneId, LaneHead>,
    place: Place,
}

impl LogReading {
    /// Adds a commit, of which those events go to `missing` that the journal has not.
    fn add<'m>(&mut self, commit: &'m Commit, missing: &mut Vec<StoredEvent<'m>>) -> Result<(), NotReplayed> {
        let sequence = commit.sequence;
        let unread = |source| NotReplayed::Unread { sequence, source };
        let mark = commit.mark.clone().map_err(unread)?;
        for event in read_body(&commit.body).map_err(unread)? {
            if event.lane == LaneId::RUN {
                self.place.note(&event, mark.writer);
            }
            if !self.has(sequence, &event)? {
                self.stored.insert(event.lane, (event.seq, event.hash));
                missing.push(event);
            }
        }
        // An event that does not follow says more.
        let last = self.place.last.map_or(0, |last| last.sequence);
        if mark.after != last {
            return Err(NotReplayed::Hole { sequence, after: mark.after, last });
        }
        self.place.last = Some(LastCommit { sequence, mark: Some(mark) });
        Ok(())
    }

    /// Adds an event, and tells if the journal has it.
    fn has(&mut self, sequence: u64, event: &StoredEvent<'_>) -> Result<bool, NotReplayed> {
        let &StoredEvent { lane, seq, prev, hash, .. } = event;
        let not_next = |last| NotReplayed::NotNext { sequence, lane, seq, last };
        let head = self.place.heads.insert(lane, (seq, hash));
        if let Some((last, _)) = head.filter(|head| *head != (seq - 1, prev)) {
            return Err(not_next(last));
        }
        // The hash of the last one covers all before it.
        let (last, of_last) = self.stored.get(&lane).copied().ok_or(not_next(0))?;
        let is_other = seq == last && hash != of_last || seq == last + 1 && prev != of_last;
        if is_other {
            return Err(NotReplayed::OtherEvent { sequence, lane, seq: seq.min(last) });
        }
        if seq > last + 1 { Err(not_next(last)) } else { Ok(seq <= last) }
    }

    /// Checks that the log has all that the journal has.
    fn has_ended(&self) -> Result<(), NotReplayed> {
        for (&lane, &(journal, _)) in &self.stored {
            let log = self.place.head(lane).map_or(0, |(seq, _)| seq);
            if journal > log {
                return Err(NotReplayed::LostEnd { lane, log, journal });
            }
        }
        Ok(())
    }
}

/// Commit as the log keeps it.
struct Commit {
    sequence: u64,
    mark: Result<CommitMark, Unread>,
    body: Vec<u8>,
}

/// Commits from one place to the end of the log.
struct Commits {
    stream: Stream,
    /// Subject of the log.
    subject: String,
    messages: Ordered,
    /// Number of the last commit that was read.
    at: u64,
    /// Number of the last commit.
    end: u64,
}

impl Commits {
    /// Begins to read behind a place. `None`: the log ends there. A loss is believed once all answers have shown it for so long that none
    /// of them can be that of a server which was replaced.
    async fn behind(place: &Place, jetstream: &jetstream::Context, names: &Names) -> Result<Option<Self>, NotReplayed> {
        let mut loss = Loss::default();
        loop {
            let found = Self::behind_as_answered(place, jetstream, names).await;
            if !matches!(found, Err(NotReplayed::Gone | NotReplayed::Shorter { .. } | NotReplayed::MadeAnew { .. })) {
                return found;
            }
            loss.add(since_boot());
            if loss.is_certain() {
                return found;
            }
            sleep(PAUSES.1).await;
        }
    }

    /// Begins to read behind a place, by one answer each.
    async fn behind_as_answered(
        place: &Place,
        jetstream: &jetstream::Context,
        names: &Names,
    ) -> Result<Option<Self>, NotReplayed> {
        let stream = find(jetstream, names).await.map_err(no_answer)?.ok_or(NotReplayed::Gone)?;
        let n = n_trimmed(stream.cached_info());
        if n > 0 {
            return Err(NotReplayed::Trimmed { n });
        }
        let end = match read_last(&stream, names).await.map_err(no_answer)? {
            Seen::NoStream => return Err(NotReplayed::Gone),
            Seen::Nothing => 0,
            Seen::Commit(LastCommit { sequence, .. }) | Seen::Stray(sequence) => sequence,
        };
        let read = place.last.map_or(0, |last| last.sequence);
        if end < read {
            return Err(NotReplayed::Shorter { read, found: end });
        }
        if let Some(last) = place.last {
            still_has(&stream, names, last).await?;
        }
        if end == read {
            return Ok(None);
        }
        let consumer = OrderedConfig {
            filter_subject: names.log.clone(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: read + 1 },
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(consumer).await.map_err(no_answer)?;
        let messages = consumer.messages().await.map_err(no_answer)?;
        Ok(Some(Self { stream, subject: names.log.clone(), messages, at: read, end }))
    }

    /// Returns the next commit, with those that are there as well.
    async fn next(&mut self) -> Result<Vec<Commit>, NotReplayed> {
        let mut commits = Vec::new();
        let mut next = match timeout(COMMIT, self.messages.next()).await {
            Ok(first) => Some(first),
            Err(no_end) => {
                commits = self.passed_over(self.end).await;
                self.at = commits.last().ok_or_else(|| no_answer(no_end))?.sequence;
                None
            }
        };
        while let Some(message) = next.take() {
            let message = message.ok_or(NotReplayed::Gone)?.map_err(no_answer)?;
            let commit = commit(&message)?;
            if let Ok(mark) = &commit.mark {
                commits.extend(self.passed_over(mark.after).await);
            }
            self.at = commit.sequence;
            commits.push(commit);
            if self.at < self.end && !are_enough(&commits) {
                next = self.messages.next().now_or_never();
            }
        }
        Ok(commits)
    }

    /// Reads the commits up to this one which whoever sends the messages passed over, one by one from the server that leads the stream: one
    /// that cannot read a message of its own any more says nothing of it. What the leader has not either is a hole.
    async fn passed_over(&self, up_to: u64) -> Vec<Commit> {
        let (mut commits, mut sequence) = (Vec::new(), up_to);
        while sequence > self.at
            && let Ok(message) = self.stream.get_raw_message(sequence).await
            && *message.subject == self.subject
        {
            let mark = CommitMark::from_headers(&message.headers);
            let after = mark.as_ref().map_or(0, |mark| mark.after.min(sequence - 1));
            commits.push(Commit { sequence, mark, body: message.payload.to_vec() });
            sequence = after;
        }
        commits.reverse();
        commits
    }
}

/// Tells that these commits are written to the journal before others are read.
fn are_enough(commits: &[Commit]) -> bool {
    commits.len() >= AT_ONCE || commits.iter().map(|commit| commit.body.len()).sum::<usize>() >= BYTES_AT_ONCE
}

/// Checks that the log still has a commit that was read before. A stream that was made anew gives the same numbers to other messages.
async fn still_has(stream: &Stream, names: &Names, read: LastCommit) -> Result<(), NotReplayed> {
    let sequence = read.sequence;
    match stream.get_raw_message(sequence).await {
        Ok(found) if *found.subject == names.log && LastCommit::from_message(&found) == read => Ok(()),
        Ok(_) => Err(NotReplayed::MadeAnew { sequence }),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Err(NotReplayed::MadeAnew { sequence }),
        Err(error) => Err(no_answer(error)),
    }
}

fn commit(message: &jetstream::Message) -> Result<Commit, NotReplayed> {
    let sequence = message.info().map_err(NotReplayed::NoAnswer)?.stream_sequence;
    let mark = CommitMark::from_headers(message.headers.as_ref().unwrap_or(&async_nats::HeaderMap::new()));
    Ok(Commit { sequence, mark, body: message.payload.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::message::{LARGEST, bodies};
    use crate::event::Event;
    use crate::exit::Exit;
    use crate::journal::chain::genesis;
    use crate::journal::stamped::Stamped;
    use crate::log::suite::{seen, waited};
    use crate::whoami::Who;

    /// A log of commits with one event each, and the heads behind them.
    struct Told {
        heads: BTreeMap<LaneId, LaneHead>,
        writer: WriterId,
        commits: Vec<Commit>,
    }

    impl Told {
        fn new() -> Self {
            let heads = [0, 1, 2].map(|lane| (LaneId(lane), (0, genesis("r", LaneId(lane))))).into();
            Self { heads, writer: WriterId::of_launch(1), commits: Vec::new() }
        }

        /// Commits an event. The stream has messages of other subjects as well, so that the log's are not numbered in a row.
        fn then(mut self, mut event: Event) -> Self {
            let mut batch = Stamped::default();
            let head = self.heads.get_mut(&event.lane).unwrap();
            batch.put(&mut event, head);
            let after = self.commits.last().map_or(0, |last| last.sequence);
            let number = u64::try_from(self.commits.len()).unwrap() + 1;
            let mark = Ok(CommitMark { writer: self.writer, number, after });
            let body = bodies(&batch, LARGEST).unwrap().remove(0).into_bytes();
            self.commits.push(Commit { sequence: after + 2, mark, body });
            self
        }
    }

    /// Reads commits into a journal with these heads. Returns the number of the events that it lacked.
    fn read(stored: &BTreeMap<LaneId, LaneHead>, commits: &[Commit]) -> Result<usize, String> {
        let mut reading = LogReading { stored: stored.clone(), place: Place::default() };
        let mut missing = Vec::new();
        let all = commits.iter().try_for_each(|commit| reading.add(commit, &mut missing));
        let n = missing.len();
        all.and_then(|()| reading.has_ended()).map(|()| n).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_journal_has_is_compared_and_the_rest_is_added() {
        let told = || Told::new().then(seen(1)).then(waited()).then(seen(3)).then(seen(2));
        let at = |n: usize| {
            let events = [seen(1), waited(), seen(3), seen(2)];
            events.into_iter().take(n).fold(Told::new(), Told::then).heads
        };
        for n in 0..=4 {
            assert_eq!(read(&at(n), &told().commits), Ok(4 - n), "{n}");
        }
    }

    #[test]
    fn whatever_a_log_lacks_or_has_besides_is_named() {
        let told = || Told::new().then(seen(1)).then(waited()).then(seen(3)).then(seen(2));
        let (made, all) = (Told::new().heads, told().heads);
        let without = |nth: usize| {
            let mut commits = told().commits;
            commits.remove(nth);
            commits
        };
        let hole = |sequence, after, last| {
            Err(format!(
                "the log has a hole: message {sequence} was written behind message {after}, and follows message {last}"
            ))
        };
        assert_eq!(read(&made, &without(0)), hole(4, 2, 0));
        assert_eq!(read(&made, &without(1)), hole(6, 4, 2));
        // Somebody who writes headers anew does not write hashes anew.
        let mut closed = without(0);
        closed[0].mark = told().commits[0].mark.clone();
        closed[1].mark = Ok(CommitMark { after: 4, ..closed[1].mark.clone().unwrap() });
        let not_next = "the log has a hole: event 2 of lane 1, in message 6, does not follow event 0";
        assert_eq!(read(&made, &closed), Err(not_next.to_owned()));
        let lost = |lane, log, journal| {
            Err(format!("the log ends with event {log} of lane {lane}, and the journal has event {journal}"))
        };
        assert_eq!(read(&all, &told().commits[..3]), lost(2, 0, 1));
        assert_eq!(read(&all, &told().commits[..2]), lost(1, 1, 2));
        assert_eq!(read(&all, &[]), lost(0, 0, 1));
        // Another run, or the same one made anew.
        let other = Told::new().then(seen(5)).then(seen(3));
        let other_event = |seq, sequence| {
            Err(format!("event {seq} of lane 1, in message {sequence} of the log, is another one than in the journal"))
        };
        assert_eq!(read(&told().heads, &other.commits), other_event(2, 4));
        assert_eq!(read(&Told::new().then(seen(1)).heads, &other.commits), other_event(1, 2));
        let unread = Commit { mark: Err(Unread::Newer { format: 2 }), ..told().commits.remove(0) };
        assert_eq!(read(&made, &[unread]), Err("message 2 of the log cannot be read".to_owned()));
    }

    #[test]
    fn no_more_commits_are_held_at_once_than_a_few_megabytes() {
        let first_enough = |size: usize| {
            let mut commits = Vec::new();
            let mark = CommitMark { writer: WriterId::of_launch(1), number: 1, after: 0 };
            while !are_enough(&commits) {
                commits.push(Commit { sequence: 1, mark: Ok(mark), body: vec![0; size] });
            }
            commits.len()
        };
        assert_eq!([1, LARGEST / 2, LARGEST].map(first_enough), [256, 16, 8]);
    }

    #[test]
    fn a_launch_that_another_writer_closed_has_not_ended_in_order() {
        let of_run = |event: RunEvent| Event::unnumbered(LaneId::RUN, Some(jiff::Timestamp::UNIX_EPOCH), event.into());
        let began = || {
            of_run(RunEvent::LaunchBegan {
                launch: 1,
                verb: "run".to_owned(),
                pid: 1,
                host: String::new(),
                user: None,
                who: Who::default(),
                version: String::new(),
                given: BTreeMap::new(),
                cut_off_ms: 0,
            })
        };
        let ended = || of_run(RunEvent::LaunchEnded { exit: Exit::Done, reason: None, elapsed_ms: 1, refusal: None });
        let by_another = |told: Told| Told { writer: WriterId::of_launch(1), ..told };
        for (told, succession) in [
            (Told::new().then(waited()), Succession::InOrder),
            (Told::new().then(began()).then(waited()), Succession::CutOff),
            (Told::new().then(began()).then(ended()), Succession::InOrder),
            (by_another(Told::new().then(began())).then(ended()), Succession::CutOff),
            (by_another(Told::new().then(began()).then(ended())).then(began()), Succession::CutOff),
        ] {
            let stored = Told::new().heads;
            let mut reading = LogReading { stored, place: Place::default() };
            told.commits.iter().for_each(|commit| reading.add(commit, &mut Vec::new()).unwrap());
            assert_eq!(reading.place.succession(), succession);
        }
    }
}
