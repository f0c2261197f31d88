//! End of runs whose launch was killed between its last verdict and its own end.

use crate::audit::beforehand;
use crate::journal::Journal;
use crate::lock::{self, Lock};
use crate::log::appending::append_of_run;
use crate::report::cut_off::CutOffEnd;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::wording::plain::plain;

/// Ends every run of that kind that no process holds, and tells its exit.
pub(crate) fn close_cut_off(context: &Context, journal: &mut Journal) -> Result<(), CommandError> {
    for run in journal.cut_off_complete()? {
        let path = lock::of_run(journal.path(), &run.id);
        if lock::is_held(&path) == Some(true) {
            continue;
        }
        // Another process has just taken it, and ends it.
        let Ok(_lock) = Lock::take(&path, journal.mode(), &format!("run {}", run.id), journal.path()) else { continue };
        // Asked again under the lock.
        if !journal.cut_off_complete()?.iter().any(|still| still.key == run.key) {
            continue;
        }
        beforehand::run_to_close(journal, &run)?;
        let end = CutOffEnd::from_journal(journal, &run, &journal.tally(run.key)?)?;
        append_of_run(journal, &mut *context.logs.of_run(&run.id), run.key, end.event())?;
        let (id, exit, reason) = (plain(&run.id), end.exit, end.reason);
        context.console.say(&format!("run {id} is closed: {} ({}), {reason}", exit.code(), exit.name()));
    }
    Ok(())
}
