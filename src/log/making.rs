//! Making of a run: of a plan, with the first append to its log, and of a copy, with the first commit that is read from it.

use std::time::Duration;

use super::appending::{append_behind, append_taken, events_of};
use super::seam::{Committed, Log, NotCommitted};
use crate::journal::copying::{BegunCopy, Copying};
use crate::journal::new_run::{Making, NewRun, NewlyMade, RowSink};
use crate::journal::run_copy::{CopyRecord, NotCopied};
use crate::journal::stored::StoredEvent;
use crate::journal::{Journal, JournalError, RunKey};

/// Time in which the servers of a log have to take the beginning of a run. The journal, in which there is no run without it, is locked
/// meanwhile; they have just taken its rows.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);

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
    log.make(&to.copy_of_run()?)?;
    let committed = append_behind(to, &mut events, |stamped| match log.commit(stamped) {
        Err(NotCommitted::Unanswered) => log.settle(Some(BEGUN_WITHIN)).map(|()| Committed::Apart),
        committed => committed,
    });
    committed.map_err(JournalError::from)?;
    let [begun] = events;
    Ok(NewlyMade { run, begun })
}

/// Makes a run of its copy, with the first events of its log, all or nothing. One that is there already is left as it is, if it was
/// made with the same.
#[cfg_attr(
    not(any(test, feature = "cluster")),
    expect(dead_code, reason = "the journal is the only log that is built in")
)]
pub(crate) fn copy_run<E: From<NotCopied>>(
    journal: &mut Journal,
    record: &CopyRecord,
    parts: impl Iterator<Item = Result<String, E>>,
    first: &[StoredEvent<'_>],
) -> Result<RunKey, E> {
    let Copying { run, append: to, made } = match journal.begin_copy(record, parts)? {
        BegunCopy::IsThere(run) => return Ok(run),
        BegunCopy::Copying(copying) => *copying,
    };
    let events = events_of(first).map_err(NotCopied::from)?;
    made.compare(&events)?;
    append_taken(to, &events, first).map_err(NotCopied::from)?;
    Ok(run)
}
