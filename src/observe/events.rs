//! `--events`: one JSON object a line as things happen, for programs.

use std::io::{self, Write};

use super::Observer;
use crate::event::Event;
use crate::model::SourceId;

pub(crate) struct EventLines {
    run: String,
}

impl EventLines {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.to_owned() }
    }
}

impl Observer for EventLines {
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", line(&self.run, event, source))?;
        out.flush()
    }
}

/// The document `cutover.event.v1`.
pub(crate) fn line(run: &str, event: &Event, source: Option<&SourceId>) -> serde_json::Value {
    let mut line = serde_json::to_value(&event.kind).expect("an event is plain data");
    let fields = line.as_object_mut().expect("an event is an object");
    fields.insert("schema".to_owned(), "cutover.event.v1".into());
    fields.insert("run".to_owned(), run.into());
    fields.insert("lane".to_owned(), event.lane.0.into());
    fields.insert("seq".to_owned(), event.seq.into());
    fields.insert("at".to_owned(), event.at.to_string().into());
    if let Some(source) = source {
        fields.insert("source_id".to_owned(), source.as_str().into());
    }
    line
}
