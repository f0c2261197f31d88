//! End of runs whose launch was killed between its last verdict and its own end.

use super::run_lock::lock_of_run;
use crate::audit::beforehand;
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::lock;
use crate::log::appending::append_of_run;
use crate::report::cut_off::CutOffEnd;
use crate::verb::context::Context;
use crate::verb::engine::{begun_with, logs_of_run};
use crate::verb::error::CommandError;
use crate::verb::notices::{NoticedRun, Notices};
use crate::verb::reach::Reach;
use crate::wording::plain::plain;

/// Ends every run of that kind that no process holds, and tells its exit, also to the receivers of notices of a verb that launches.
pub(crate) fn close_cut_off(context: &Context, journal: &mut Journal) -> Result<(), CommandError> {
    for run in journal.cut_off_complete()? {
        // Another machine may go on with it: whoever takes it up finds out, and ends it.
        if begun_with(&run).is_some() {
            continue;
        }
        if lock::is_held(&lock::of_run(journal.path(), &run.id)) == Some(true) {
            continue;
        }
        // Another process has just taken it, and ends it.
        let Ok(_lock) = lock_of_run(journal, &run) else { continue };
        // Asked again under the lock.
        if !journal.cut_off_complete()?.iter().any(|still| still.key == run.key) {
            continue;
        }
        beforehand::run_to_close(journal, &run)?;
        let end = CutOffEnd::from_journal(journal, &run, &journal.tally(run.key)?)?;
        append_of_run(journal, &mut *logs_of_run(context, &run)?.of_run(&run.id)?, run.key, end.event(), None)?;
        let (id, exit, reason) = (plain(&run.id), end.exit, end.reason);
        context.console.say(&format!("run {id} is closed: {} ({}), {reason}", exit.code(), exit.name()));
        tell_of_end(context, journal, &run, exit)?;
    }
    Ok(())
}

/// Has receivers told of the end of a run, as its own launch would have told them.
fn tell_of_end(context: &Context, journal: &Journal, run: &RunRecord, exit: Exit) -> Result<(), JournalError> {
    let Context { console, settings, layers, notices, .. } = context;
    let reach = Reach::of_lanes(&journal.lanes(run.key)?);
    let RunRecord { key, id, launches, .. } = run;
    let closed = NoticedRun { journal: journal.path().to_owned(), key: *key, run: id.clone(), launch: *launches };
    notices.tell_end_of(closed, exit, |verb| {
        // A receiver that cannot be written to was told of when this launch opened its own.
        let (of_closed, _) = Notices::open(verb, *console, layers, settings);
        of_closed.reaches(reach);
        of_closed
    });
    Ok(())
}
