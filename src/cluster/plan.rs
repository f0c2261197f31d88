//! The run as it was made, on its stream: a message for each part of its rows, and last the record, with which the run is there.
//!
//! A message is taken only as the first of its subject, so that neither a publish that comes late nor a twin puts one there a second
//! time. What became of an answer that did not come is found by reading: the text that is there is ours, or that of another run.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::connection::wait;
use super::message::{AFTER_HEADER, Unread, read_body};
use super::stream::{Names, find, last_of, n_trimmed};
use crate::files::folder::folder_of;
use crate::journal::run_copy::{CopyRecord, NotCopied, RunCopy};
use crate::journal::{Journal, JournalError, LogError, RunKey};
use crate::log::making::copy_run;

/// Time in which the servers have to take a message or show one, while one of them may be elected.
const ANSWERS: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Largest message in bytes: what is read comes as base64, in a message that a server takes as well.
const LARGEST: usize = 700 << 10;

/// Number of the message with the record. The parts have the numbers from 1 on.
const RECORD: u32 = 0;

/// Publishes the run as its copy has it: the parts, then the record.
///
/// Waits for the network, on a thread that may be a worker of another runtime.
pub(super) fn publish(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    stream: &Stream,
    names: &Names,
    copy: &RunCopy<'_>,
) -> Result<(), JournalError> {
    let put = |part, text: &str| wait(runtime, put(jetstream, stream, names, part, text));
    let record = copy.for_each_part(|part, text| put(part, text).map_err(JournalError::from))?;
    Ok(put(RECORD, &record.text())?)
}

/// Publishes a message until it is known to be there.
async fn put(
    jetstream: &jetstream::Context,
    stream: &Stream,
    names: &Names,
    part: u32,
    text: &str,
) -> Result<(), LogError> {
    let (bytes, limit) = (text.len(), LARGEST);
    if bytes > limit {
        return Err(LogError::PartTooLarge { part, bytes, limit });
    }
    let (subject, began) = (names.part(part), Instant::now());
    let mut headers = HeaderMap::new();
    headers.insert(AFTER_HEADER, "0");
    while began.elapsed() < ANSWERS {
        let body = text.to_owned().into();
        if let Ok(publishing) = jetstream.publish_with_headers(subject.clone(), headers.clone(), body).await
            && let Ok(acknowledged) = publishing.await
            && acknowledged.stream == names.stream
        {
            return Ok(());
        }
        match last_of(stream, &subject).await {
            Ok(Some(found)) if found.payload == text.as_bytes() => return Ok(()),
            Ok(Some(_)) => return Err(LogError::OtherRun),
            // Not there yet, or nobody says so.
            Ok(None) | Err(_) => sleep(PAUSE).await,
        }
    }
    Err(LogError::NotMade)
}

/// Reason for which a run was not brought into a journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBrought {
    #[error("there is no log")]
    Gone,
    #[error("the log lost its beginning: the first {n} messages are gone")]
    Trimmed { n: u64 },
    /// The parts may be there, or some of them, and nothing was ever recorded.
    #[error("it was not made to the end")]
    Unmade,
    #[error("the record of the run is missing, and its log is there")]
    RecordMissing,
    #[error("the message `{subject}` is there {n} times, and not once")]
    NotOnce { subject: String, n: usize },
    #[error("the message `{subject}` is none of the {n_parts} parts that the record of the run names")]
    Stranger { subject: String, n_parts: u32 },
    #[error("the record is that of another run, {found}")]
    OfOther { found: String },
    #[error("message {sequence} of the log cannot be read")]
    Unread {
        sequence: u64,
        #[source]
        source: Unread,
    },
    #[error(transparent)]
    Copy(#[from] NotCopied),
    #[error("the parts of the run could not be kept beside the journal until all of them are there")]
    Spool(#[source] io::Error),
    #[error("the servers do not answer")]
    NoAnswer(#[source] async_nats::Error),
}

fn no_answer(error: impl Into<async_nats::Error>) -> NotBrought {
    NotBrought::NoAnswer(error.into())
}

/// Makes a run in the journal as it is on its stream, with the first commit of its log. A run that the journal has is compared with it.
///
/// The parts are compared with the record, and kept in a file, before anything is written to the journal: no other launch that writes to
/// it waits for the network.
pub(super) fn bring(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    names: &Names,
    journal: &mut Journal,
) -> Result<RunKey, NotBrought> {
    let stream = wait(runtime, find(jetstream, names)).map_err(no_answer)?.ok_or(NotBrought::Gone)?;
    let n = n_trimmed(stream.cached_info());
    if n > 0 {
        return Err(NotBrought::Trimmed { n });
    }
    let record = wait(runtime, read_record(&stream, names))?;
    if let Some(run) = journal.same_run(&record)? {
        return Ok(run);
    }
    let mut spool = Spool::beside(journal.path()).map_err(NotBrought::Spool)?;
    for part in 1..=record.n_parts() {
        let text = wait(runtime, read_part(&stream, names, part))?;
        record.has_part(part, &text)?;
        spool.put(&text).map_err(NotBrought::Spool)?;
    }
    let first = wait(runtime, async { stream.get_first_raw_message_by_subject(&names.log, 1).await });
    let first = first.map_err(|error| match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => NotBrought::Unmade,
        LastRawMessageErrorKind::InvalidSubject
        | LastRawMessageErrorKind::JetStream(_)
        | LastRawMessageErrorKind::Other => no_answer(error),
    })?;
    let sequence = first.sequence;
    let events = read_body(&first.payload).map_err(|source| NotBrought::Unread { sequence, source })?;
    let parts = spool.texts().map_err(NotBrought::Spool)?;
    copy_run(journal, &record, parts.map(|text| text.map_err(NotBrought::Spool)), &events)
}

/// Checks that the stream has the run as it was made, as the journal has it: whoever goes on with it elsewhere needs that. The parts are
/// compared with their SHA-256 in the record, one at a time.
pub(super) fn check(
    runtime: &Handle,
    jetstream: &jetstream::Context,
    names: &Names,
    journal: &Journal,
) -> Result<(), NotBrought> {
    let stream = wait(runtime, find(jetstream, names)).map_err(no_answer)?.ok_or(NotBrought::Gone)?;
    let record = wait(runtime, read_record(&stream, names))?;
    journal.same_run(&record)?;
    for part in 1..=record.n_parts() {
        record.has_part(part, &wait(runtime, read_part(&stream, names, part))?)?;
    }
    Ok(())
}

/// Reads the record, and checks that the stream has it and its parts once each, and nothing besides.
pub(super) async fn read_record(stream: &Stream, names: &Names) -> Result<CopyRecord, NotBrought> {
    let Some(text) = read_text(stream, &names.part(RECORD)).await? else {
        let has_log = read_text(stream, &names.log).await?.is_some();
        return Err(if has_log { NotBrought::RecordMissing } else { NotBrought::Unmade });
    };
    let record = CopyRecord::read(&text)?;
    if names.stream != Names::of_run(record.id()).stream {
        return Err(NotBrought::OfOther { found: record.id().to_owned() });
    }
    let n_parts = record.n_parts();
    let subjects = stream.info_with_subjects(names.parts()).await.map_err(no_answer)?;
    let counts: Vec<(String, usize)> = subjects.try_collect().await.map_err(no_answer)?;
    for (subject, n) in counts {
        if names.part_of(&subject).is_none_or(|part| part > n_parts) {
            return Err(NotBrought::Stranger { subject, n_parts });
        }
        if n != 1 {
            return Err(NotBrought::NotOnce { subject, n });
        }
    }
    Ok(record)
}

async fn read_part(stream: &Stream, names: &Names, part: u32) -> Result<String, NotBrought> {
    let text = read_text(stream, &names.part(part)).await?;
    Ok(text.ok_or(NotCopied::PartMissing { part })?)
}

/// Reads the text of a subject; `None` if there is none. A text that is none of ours is empty, which is no part and no record.
async fn read_text(stream: &Stream, subject: &str) -> Result<Option<String>, NotBrought> {
    let began = Instant::now();
    loop {
        match last_of(stream, subject).await {
            Ok(found) => return Ok(found.map(|found| String::from_utf8(found.payload.to_vec()).unwrap_or_default())),
            Err(error) if began.elapsed() >= ANSWERS => return Err(NotBrought::NoAnswer(error)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Returns the ids of all runs on the servers.
pub(super) async fn runs(jetstream: &jetstream::Context) -> Result<Vec<String>, async_nats::Error> {
    let names: Vec<String> = jetstream.stream_names().try_collect().await?;
    let mut ids: Vec<String> = names.iter().filter_map(|name| Names::run_of(name)).map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Parts in a file that has no name, and is gone with this.
struct Spool {
    file: File,
    /// Length of each part.
    lengths: Vec<usize>,
}

impl Spool {
    fn beside(journal: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder_of(journal))?, lengths: Vec::new() })
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.lengths.push(text.len());
        self.file.write_all(text.as_bytes())
    }

    /// Reads the parts, one at a time.
    fn texts(mut self) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        self.file.rewind()?;
        let Self { mut file, lengths } = self;
        Ok(lengths.into_iter().map(move |length| {
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes)?;
            String::from_utf8(bytes).map_err(io::Error::other)
        }))
    }
}
