//! Journal, as verbs open it.

use super::context::Context;
use super::error::CommandError;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;

/// Opens the journal for a verb that changes nothing.
pub(crate) fn to_read(context: &Context) -> Result<Journal, CommandError> {
    let journal = Journal::open_to_read(&context.settings.journal)?;
    warn_of_a_copy(context, &journal)?;
    Ok(journal)
}

/// Warns of a journal that was copied while a run went on, without its log. A launch has a lock beside its journal, which
/// even a killed one leaves there: an unended launch without lock and log tells that only the file was copied.
pub(crate) fn warn_of_a_copy(context: &Context, journal: &Journal) -> Result<(), CommandError> {
    let given = &context.settings.journal;
    let paths = [given.canonicalize().unwrap_or_else(|_| given.clone()), given.clone()];
    let has_lock = |run: &RunRecord| paths.iter().any(|path| crate::lock::of_run(path, &run.id).exists());
    let running = journal.running()?.into_iter().find(|run| !has_lock(run));
    if let Some(run) = running.filter(|_| journal.is_without_log().unwrap_or(false)) {
        let path = given.display();
        context.console.warn(&format!(
            "`{path}` is a copy that was made while run {} went on: if only this file was copied, and not the log beside it \
             (`-wal`), what was recorded last is missing; a whole copy: sqlite3 JOURNAL \".backup COPY\"",
            run.id
        ));
    }
    Ok(())
}
