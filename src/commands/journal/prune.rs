//! `journal prune`: takes runs that ended long ago out of the journal, each into an archive first.
//!
//! For each run, in this order: its evidence is exported into a file beside the archives, synced, verified as a stranger would verify
//! it, and renamed to its place; then one transaction puts a tombstone in the place of the run; then its rows and events are removed.
//! A process that is killed in between leaves the run whole in the journal, or in its archive, and the next one goes on: it takes an
//! archive that is there already, and removes what was left.

use std::path::Path;

use archiving::Archives;
use told::{PruneFate, PruneTold};

use super::due::{Considered, StaysInJournal, considered, considered_under_lock};
use crate::audit::beforehand;
use crate::control::By;
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::Tombstone;
use crate::journal::{Journal, JournalError};
use crate::launch::closing::close_cut_off;
use crate::lock::{self, Lock, LockError};
use crate::values::age::Age;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::wording::amounts::count;
use crate::wording::plain::shown;

mod archiving;
mod space;
mod told;

/// Shows which runs would be taken out, and changes nothing.
pub(super) fn show(context: &Context, keep: &Age, archive: &Path) -> Result<Exit, CommandError> {
    let journal = journal::to_read(context)?;
    journal.must_not_be_an_excerpt()?;
    let mut told = PruneTold::new(context, keep, archive, &journal)?;
    let sizes = journal.sizes()?;
    for Considered { run, stays } in considered(&journal, &context.settings.journal, told.keep_since)? {
        let outcome = if let Some(stays) = stays {
            kept(&journal, &run, stays, &context.settings.journal)?
        } else {
            let bytes = sizes.get(&run.key.number()).map_or(0, |size| size.bytes);
            PruneFate::WouldLeave { record: Box::new(journal.pruned_record(&run)?), bytes }
        };
        told.add(outcome);
    }
    told.print(context)
}

/// Takes the runs out, and gives the space back.
pub(super) fn prune(context: &Context, keep: &Age, archive: &Path) -> Result<Exit, CommandError> {
    let path = &context.settings.journal;
    if !path.exists() {
        return Err(JournalError::Absent(path.clone()).into());
    }
    let mut journal = Journal::open(path)?;
    journal::warn_of_a_copy(context, &journal)?;
    let _alone = Lock::take(&lock::of_run(path, "prune"), journal.mode(), "this journal, to prune it", path)?;
    beforehand::runs(&journal)?;
    close_cut_off(context, &mut journal)?;
    let mut told = PruneTold::new(context, keep, archive, &journal)?;
    // What a killed process left behind.
    for number in journal.left_of_pruned_runs()? {
        clear(&mut journal, number)?;
    }
    let considered = considered(&journal, path, told.keep_since)?;
    let archives = Archives::open(archive, path)?;
    for Considered { run, stays } in considered {
        let outcome = match stays {
            Some(stays) => kept(&journal, &run, stays, path)?,
            None => take_out(context, &mut journal, &run, &archives, &told)?,
        };
        told.add(outcome);
    }
    drop(archives);
    told.space = Some(space::give_back(&mut journal, path)?);
    told.print(context)
}

fn kept(journal: &Journal, run: &RunRecord, stays: StaysInJournal, path: &Path) -> Result<PruneFate, JournalError> {
    Ok(match stays {
        StaysInJournal::IsYoung => PruneFate::Young,
        StaysInJournal::IsUnfinished => PruneFate::unfinished(journal, run, path)?,
        StaysInJournal::GoesOn => PruneFate::GoesOn { run: run.id.clone() },
        StaysInJournal::IsToldToWait => PruneFate::IsToldToWait { run: run.id.clone() },
    })
}

/// Takes one run out, under its lock, so that no launch of it begins meanwhile.
fn take_out(
    context: &Context,
    journal: &mut Journal,
    run: &RunRecord,
    archives: &Archives<'_>,
    told: &PruneTold,
) -> Result<PruneFate, CommandError> {
    let path = &context.settings.journal;
    let lock = Lock::take(&lock::of_run(path, &run.id), journal.mode(), &format!("run {}", run.id), path);
    let _lock = match lock {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return Ok(PruneFate::GoesOn { run: run.id.clone() }),
        Err(error) => return Err(error.into()),
    };
    // Judged again under the lock: it may have gone on in between.
    let Some(Considered { run, stays }) = considered_under_lock(journal, run.key, told.keep_since)? else {
        return Err(JournalError::UnknownRun(run.id.clone()).into());
    };
    if let Some(stays) = stays {
        return Ok(kept(journal, &run, stays, path)?);
    }
    let record = journal.pruned_record(&run)?;
    let archive = match archives.archive(journal, &run, &record)? {
        Ok(archive) => archive,
        Err(why) => return Ok(PruneFate::not_archived(&run, why)),
    };
    let tombstone = Tombstone {
        quotas: journal.quotas_of_this_run_alone(run.key)?,
        run: record,
        archive,
        pruned_at: jiff::Timestamp::now(),
        by: By::me("journal prune", None),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    journal.bury(run.key, &tombstone)?;
    clear(journal, run.key.number())?;
    let (rows, place) = (count(run.n_rows.into(), "row"), archives.folder().join(&tombstone.archive.name));
    context.console.say(&format!("run {}, {rows}: taken out, into {}", run.id, shown(&place)));
    Ok(PruneFate::Left { tombstone: Box::new(tombstone) })
}

fn clear(journal: &mut Journal, number: i64) -> Result<(), JournalError> {
    while journal.clear_some_left(number)? {}
    Ok(())
}
