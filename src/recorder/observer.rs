//! Observers of a recorder: listeners to what was written.

use std::io;

use crate::event::Event;
use crate::model::SourceId;

/// A listener that hears of an event after it is on disk: in order, exactly once per launch.
pub(crate) trait Observer: Send {
    /// Takes one event. An error drops the observer and does not stop the run; an observer whose failure matters remembers it.
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()>;
}
