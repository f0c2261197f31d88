//! A plan as it is sealed, and whose approvals of it count.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use crate::event::LanePlace;
use crate::files;
use crate::files::beside::{Eyes, check_destination, write_for};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::sealed::{self, Head, Sealer};
use crate::settings::SettingsError;
use crate::settings::file::{NotOwn, own_content};
use crate::ssh::allowed::Allowed;
use crate::verb::approval::ApprovalError;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, output_failed};
use crate::waves::Terms;
use crate::whoami::Who;
use crate::wording::amounts::count;
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;

/// Place that a sealed plan goes to, and in whose name.
pub(crate) struct SealTo<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: Option<&'a str>,
    pub(crate) force: bool,
}

/// States that nobody looked at cannot be sealed, nor compared with what was sealed.
pub(crate) fn must_look(context: &Context) -> Result<(), CommandError> {
    if context.settings.lane.preflight { Ok(()) } else { Err(CommandError::SealedUnseen) }
}

/// Tried before the work.
pub(crate) fn must_be_free(to: &SealTo<'_>) -> Result<(), CommandError> {
    if to.path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    if !to.force && to.path.exists() {
        return Err(CommandError::Exists(to.path.to_owned()));
    }
    check_destination(to.path).map_err(bad_destination(to.path))
}

/// Writes the plan as it was looked at: its rows, its terms, the states that were seen.
pub(crate) fn seal(
    context: &Context,
    journal: &Journal,
    run: &RunRecord,
    terms: Terms,
    lanes: Vec<LanePlace>,
    to: &SealTo<'_>,
) -> Result<(), CommandError> {
    let sealed_by = match to.name {
        Some(name) if sealed::is_a_name(name) => name.to_owned(),
        // Who agrees must be able to be somebody else.
        Some(_) => return Err(CommandError::NoName),
        None if terms.require_approvals > 0 => return Err(CommandError::NoName),
        None => crate::whoami::user(),
    };
    let head = Head {
        schema: sealed::SCHEMA.to_owned(),
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
    write_for(to.path, eyes(context, Path::new(&run.plan_path), to.path), |out| {
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
        // Who sealed it is not asked twice.
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

/// Eyes for a sealed plan, which holds what the plan holds, and states as the journal does: those may read it who may read both.
fn eyes(context: &Context, plan: &Path, sealed: &Path) -> Eyes {
    let journal = &context.settings.journal;
    let like = |found: std::fs::Metadata| found.permissions().mode();
    let mode = std::fs::metadata(journal).map_or_else(|_| files::private_mode(files::folder_of(sealed)), like);
    Eyes::of(plan).and(mode)
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

/// The keys whose signatures count, if somebody said whose do.
pub(crate) fn approvers(context: &Context) -> Result<Option<Allowed>, CommandError> {
    let Some(path) = &context.settings.approvers else { return Ok(None) };
    let unreadable = |source| CommandError::Input { path: path.clone(), source };
    let (bytes, _) = own_content(path).map_err(|error| match error {
        NotOwn::Unreadable(source) => unreadable(source),
        NotOwn::InOtherHands(problem) => SettingsError::InOtherHands { path: path.clone(), problem }.into(),
    })?;
    let allowed = Allowed::read(&crate::texts::text_of(&bytes).map_err(unreadable)?);
    let allowed = allowed.map_err(|problem| ApprovalError::Approvers { path: path.clone(), problem })?;
    Ok(Some(allowed))
}
