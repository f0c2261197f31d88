//! Events for programs (`--events`): one JSON object on a line for each, as they happen.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::console;
use crate::event::Event;
use crate::model::SourceId;
use crate::recorder::observer::Observer;

pub(crate) struct EventLines {
    run: String,
    undelivered: Undelivered,
}

/// Error that kept events from being written, such as a full disk. A reader that closed the pipe is none.
pub(crate) type Undelivered = Arc<OnceLock<String>>;

impl EventLines {
    pub(crate) fn new(run: &str, undelivered: Undelivered) -> Self {
        Self { run: run.to_owned(), undelivered }
    }
}

impl Observer for EventLines {
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()> {
        let written = console::event(&line(&self.run, event, source));
        if let Err(error) = &written
            && !console::reader_left(error)
        {
            // The first error is the only one: this observer is then dropped.
            _ = self.undelivered.set(error.to_string());
        }
        written
    }
}

/// Document `cutover.event.v1`.
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
