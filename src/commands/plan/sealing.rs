//! `plan -o`: seals a plan with the states that were seen.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use crate::files;
use crate::files::beside::{Readers, check_destination, write_for};
use crate::hooks::covered;
use crate::journal::JournalError;
use crate::launch::open::LaunchedApart;
use crate::launch::planned::PlanToLaunch;
use crate::plan::sealed::lines::{self, Head};
use crate::plan::sealed::names::is_a_name;
use crate::plan::sealed::writing::Sealer;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, output_failed};
use crate::waves::Terms;
use crate::waves::hooks::PlanHook;
use crate::whoami::Who;
use crate::wording::amounts::count;
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;

/// Destination of a sealed plan, and the name of the person who seals it.
pub(in crate::commands) struct SealTo<'a> {
    pub(in crate::commands) path: &'a Path,
    pub(in crate::commands) name: Option<&'a str>,
    pub(in crate::commands) force: bool,
}

/// Checks the destination, before the work.
pub(in crate::commands) fn must_be_free(to: &SealTo<'_>) -> Result<(), CommandError> {
    if to.path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    if !to.force && to.path.exists() {
        return Err(CommandError::Exists(to.path.to_owned()));
    }
    check_destination(to.path).map_err(bad_destination(to.path))
}

/// Writes the sealed plan: its rows, its terms, and the states that were seen.
pub(in crate::commands) fn seal(
    plan: &PlanToLaunch<'_>,
    launched: &LaunchedApart,
    to: &SealTo<'_>,
) -> Result<(), CommandError> {
    let (context, terms, run) = (&plan.context, plan.checked.terms.clone(), &launched.run);
    must_stand_beside(&terms, to.path)?;
    let (journal, lanes) = (launched.journal()?, launched.places.clone());
    let sealed_by = match to.name {
        Some(name) if is_a_name(name) => name.to_owned(),
        // Approvals are compared with the name of the sealer.
        Some(_) => return Err(CommandError::NoName),
        None if terms.require_approvals > 0 => return Err(CommandError::NoName),
        None => crate::whoami::user(),
    };
    let head = Head {
        schema: lines::SCHEMA.to_owned(),
        plan: run.plan_path.clone(),
        terms,
        sealed_by: sealed_by.clone(),
        user: Some(crate::whoami::user()),
        who: Who::me(),
        host: crate::lock::host(),
        at: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lanes,
    };
    let mut digest = String::new();
    write_for(to.path, readers(context, Path::new(&run.plan_path), to.path), |out| {
        let mut sealer = Sealer::begin(out, &head)?;
        journal
            .for_each_row(run.key, |row, standing| sealer.row(&row, standing.last_seen()).map_err(SealError::Write))?;
        digest = sealer.seal(&run.plan_digest)?;
        Ok::<(), SealError>(())
    })
    .map_err(|error| match error {
        SealError::Journal(error) => error.into(),
        SealError::Write(error) => output_failed(to.path)(error),
    })?;
    let irreversible = journal.has_irreversible_left(run.key)?;
    let note = if irreversible { " (some of its targets have no way back)" } else { "" };
    let (path, rows) = (shown(to.path), count(run.n_rows.into(), "row"));
    let run = context.here.runs(to.path, irreversible);
    let approve = context.here.approves(&shell_path(to.path), context.settings.approvers.is_some());
    let needed = match head.terms.require_approvals {
        0 => String::new(),
        1 => format!("it needs 1 approval: {approve}"),
        // With several approvals, the sealer gives none of them.
        n => format!("it needs {n} approvals, none of them by {sealed_by}: {approve}"),
    };
    let next = if needed.is_empty() { "next" } else { "then" };
    context.console.tell(|out| {
        writeln!(out, "sealed {rows} by {sealed_by} in {path}, {digest}")?;
        if !needed.is_empty() {
            writeln!(out, "{needed}")?;
        }
        writeln!(out, "{next}{note}: {run}")
    });
    Ok(())
}

/// Refuses a place from which the hooks would not find the files that they run.
fn must_stand_beside(terms: &Terms, sealed: &Path) -> Result<(), CommandError> {
    let folder = files::folder::folder_of(sealed);
    let is_elsewhere = |hook: &PlanHook| covered::first_changed(&hook.files, folder).is_some();
    if terms.hooks.commands.values().any(is_elsewhere) { Err(CommandError::SealedApart) } else { Ok(()) }
}

/// Returns the readers of a sealed plan: those who may read both the plan, whose rows it holds, and the journal, whose states it holds.
fn readers(context: &Context, plan: &Path, sealed: &Path) -> Readers {
    let journal = &context.settings.journal;
    let like = |found: std::fs::Metadata| found.permissions().mode();
    let mode =
        std::fs::metadata(journal).map_or_else(|_| files::mode::private_mode(files::folder::folder_of(sealed)), like);
    Readers::of_file(plan).and(mode)
}

#[derive(Debug)]
enum SealError {
    Journal(JournalError),
    Write(io::Error),
}

impl From<JournalError> for SealError {
    fn from(error: JournalError) -> Self {
        SealError::Journal(error)
    }
}

impl From<io::Error> for SealError {
    fn from(error: io::Error) -> Self {
        SealError::Write(error)
    }
}
