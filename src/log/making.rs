//! Making of a run: the first append to its log.

use super::appending::append;
use super::seam::Log;
use crate::journal::new_run::{Making, NewRun, NewlyMade, RowSink};
use crate::journal::{Journal, JournalError};

/// Makes a run, fills it with rows and records its first event, all or nothing: in the journal there is no run whose beginning the log
/// does not have.
pub(crate) fn make_run<E: From<JournalError>>(
    journal: &mut Journal,
    log: &mut dyn Log,
    new: &NewRun<'_>,
    fill: impl FnOnce(&mut RowSink<'_>) -> Result<(), E>,
) -> Result<NewlyMade, E> {
    let Making { run, append: to, begun } = journal.begin_run(new, fill)?;
    let mut events = [begun];
    append(to, log, &mut events).map_err(JournalError::from)?;
    let [begun] = events;
    Ok(NewlyMade { run, begun })
}
