//! Who watches a run. Observers hear of an event after it is on disk, in order, exactly once per launch.

use std::io;

use crate::event::Event;
use crate::model::SourceId;

pub(crate) mod events;
pub(crate) mod progress;

pub(crate) trait Observer: Send {
    /// An error drops the observer: a reader that went away does not stop a run.
    fn on_event(&mut self, event: &Event, source: Option<&SourceId>) -> io::Result<()>;
}
