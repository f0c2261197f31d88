//! A list of the changes that were sent, kept apart from the journal while a launch goes on: if somebody writes over the journal, the
//! request ids of changes that left are not lost with it.
//!
//! The list is a file without a name, which is gone with the process, and is written to a named one only if it is needed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::observer::Observer;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::row::RowEvent;
use crate::model::SourceId;
use crate::wording::sieve::Form;

const HEADER: [&str; 6] = ["at", "source_id", "attempt", "event", "http_status", "request_id"];

/// Shared by the observer and whoever writes it out.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Mutex<Option<Keeping>>>);

enum Keeping {
    Nameless(BufWriter<File>),
    /// Written line by line, without a buffer.
    Named(File),
}

impl Kept {
    /// Opens a list beside the journal, on whose disk there is room. Where that fails, nothing is kept.
    pub(crate) fn beside(journal: &Path) -> Self {
        let folder = journal.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(folder).ok();
        Self(Arc::new(Mutex::new(file.map(|file| Keeping::Nameless(BufWriter::with_capacity(1 << 16, file))))))
    }

    pub(crate) fn nothing() -> Self {
        Self(Arc::default())
    }

    /// Tells whether it holds all that it was told.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Writes the list to the file, which takes later lines as well. False if nothing was kept.
    pub(crate) fn write_to(&self, file: File) -> io::Result<bool> {
        let mut keeping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Keeping::Nameless(kept)) = keeping.take() else { return Ok(false) };
        let mut kept = kept.into_inner().map_err(io::IntoInnerError::into_error)?;
        kept.rewind()?;
        let mut out = BufWriter::new(file);
        out.write_all(&record(HEADER))?;
        for line in BufReader::new(kept).split(b'\n') {
            out.write_all(&told_to_people(&line?))?;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        *keeping = Some(Keeping::Named(file));
        Ok(true)
    }
}

impl Observer for Kept {
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()> {
        let Some(line) = KeptLine::from_event(event, source) else { return Ok(()) };
        let mut keeping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *keeping {
            Some(Keeping::Nameless(kept)) => line.write(kept),
            Some(Keeping::Named(file)) => {
                let mut text = Vec::new();
                line.write(&mut text).and_then(|()| file.write_all(&told_to_people(&text)))
            }
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if written.is_err() {
            *keeping = None;
        }
        written
    }
}

/// Line about the beginning or the end of an attempt. It has less than the whole event, since two for each row pass through the one
/// thread that writes.
struct KeptLine<'a> {
    at_ms: i64,
    source: &'a str,
    attempt: u32,
    what: &'static str,
    status: Option<u16>,
    request_id: &'a str,
}

impl<'a> KeptLine<'a> {
    /// Returns the line about the beginning or the end of an attempt; `None` for other events.
    fn from_event(event: &'a Event, source: Option<&'a SourceId>) -> Option<Self> {
        let EventKind::Row(_, event_of_row) = &event.kind else { return None };
        let (attempt, what, status, request_id) = if let RowEvent::AttemptStarted { attempt, .. } = event_of_row {
            (*attempt, "begun", None, "")
        } else if let RowEvent::AttemptEnded { attempt, outcome, request_id, .. } = event_of_row {
            (*attempt, outcome.name(), outcome.status(), request_id.as_deref().unwrap_or(""))
        } else {
            return None;
        };
        let source = source.map_or("", |source| source.as_str());
        Some(Self { at_ms: event.at.as_millisecond(), source, attempt, what, status, request_id })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let KeptLine { at_ms, source, attempt, what, status, request_id } = self;
        let status = status.unwrap_or(0);
        writeln!(out, "{at_ms}\t{source}\t{attempt}\t{what}\t{status}\t{request_id}")
    }
}

/// Makes the line of a table from a line as it was kept.
fn told_to_people(line: &[u8]) -> Vec<u8> {
    let line = Form::Text.fit(String::from_utf8_lossy(line).trim_end_matches('\n'));
    let mut fields: Vec<&str> = line.splitn(HEADER.len(), '\t').collect();
    let at = fields[0].parse().ok().and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
    let at = at.map_or_else(String::new, |at| at.to_string());
    fields[0] = &at;
    if let Some(status) = fields.get_mut(4).filter(|status| **status == "0") {
        *status = "";
    }
    record(fields)
}

fn record<'a>(fields: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(fields).expect("a vector takes everything");
    out.into_inner().expect("a vector takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::outcome::Outcome;
    use crate::event::row::RowEvent;
    use crate::event::run::RunEvent;
    use crate::model::RowId;
    use crate::model::state::TargetState;
    use crate::model::words::Word;

    fn event(kind: EventKind) -> Event {
        Event { lane: LaneId(1), seq: 1, at: Timestamp::UNIX_EPOCH, kind }
    }

    #[test]
    fn what_was_sent_is_written_out_once_and_goes_on_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::beside(&folder.path().join("cutover.db"));
        let source = SourceId::new("vm,1").unwrap();
        let sends = TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None };
        let begun = event(RowEvent::AttemptStarted { attempt: 1, sends }.about(RowId(1)));
        let ended = event(
            RowEvent::AttemptEnded {
                attempt: 1,
                outcome: Outcome::Accepted { status: 200 },
                request_id: Some("a\tb\u{1b}".to_owned()),
                took_ms: 5,
                via: None,
            }
            .about(RowId(1)),
        );
        kept.on_event(&begun, Some(&source)).unwrap();
        kept.on_event(&event(RunEvent::WaitEnded.into()), None).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        let path = folder.path().join("sent.csv");
        assert!(kept.write_to(File::create(&path).unwrap()).unwrap());
        kept.on_event(&ended, Some(&source)).unwrap();
        let expected = "at,source_id,attempt,event,http_status,request_id\n\
                        1970-01-01T00:00:00Z,\"vm,1\",1,begun,,\n\
                        1970-01-01T00:00:00Z,\"vm,1\",1,accepted,200,a\tb\\u{1b}\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert!(!kept.write_to(File::create(folder.path().join("again.csv")).unwrap()).unwrap());
        assert!(!Kept::nothing().write_to(File::create(folder.path().join("none.csv")).unwrap()).unwrap());
    }
}
