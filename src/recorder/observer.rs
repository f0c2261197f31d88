//! The way in which a recorder tells of what it wrote.

use std::io;

use crate::event::Event;
use crate::model::SourceId;

/// A listener that hears of an event after it is on disk: in order, exactly once per launch.
pub(crate) trait Observer: Send {
    /// An error drops the observer and does not stop a run. Who has to know of it later keeps it.
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()>;
}
