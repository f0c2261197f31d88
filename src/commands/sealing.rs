//! `plan -o` seals a plan, `approve` agrees to one.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::approval::ApprovalError;
use super::context::Context;
use super::error::{CommandError, bad_destination, output_failed};
use crate::event::LanePlace;
use crate::exit::Exit;
use crate::files::beside::{Eyes, check_destination, write_beside, write_for};
use crate::files::{self, FileId};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::checked::Checked;
use crate::plan::error::PlanError;
use crate::plan::reading::Reading;
use crate::plan::sealed::{self, Head, Sealer};
use crate::plan::source::Source;
use crate::settings::SettingsError;
use crate::settings::file::{NotOwn, own_content};
use crate::ssh::allowed::Allowed;
use crate::ssh::keygen;
use crate::ssh::signature::Purpose;
use crate::waves::Terms;
use crate::whoami::Who;
use crate::wording::amounts::count;
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;

/// Place that a sealed plan goes to, and in whose name.
pub(super) struct SealTo<'a> {
    pub(super) path: &'a Path,
    pub(super) name: Option<&'a str>,
    pub(super) force: bool,
}

/// States that nobody looked at cannot be sealed, nor compared with what was sealed.
pub(super) fn must_look(context: &Context) -> Result<(), CommandError> {
    if context.settings.lane.preflight { Ok(()) } else { Err(CommandError::SealedUnseen) }
}

/// Tried before the work.
pub(super) fn must_be_free(to: &SealTo<'_>) -> Result<(), CommandError> {
    if to.path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    if !to.force && to.path.exists() {
        return Err(CommandError::Exists(to.path.to_owned()));
    }
    check_destination(to.path).map_err(bad_destination(to.path))
}

/// Writes the plan as it was looked at: its rows, its terms, the states that were seen.
pub(super) fn seal(
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
pub(super) fn approvers(context: &Context) -> Result<Option<Allowed>, CommandError> {
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

/// Adds an approval to a sealed plan, bound to what it seals, and with a key signed.
pub(super) fn approve(context: &Context, path: &Path, name: &str, key: Option<&Path>) -> Result<Exit, CommandError> {
    let approvers = approvers(context)?;
    if let (Some(_), None) = (&approvers, key) {
        return Err(ApprovalError::MustSign.into());
    }
    if let Some(key) = key {
        std::fs::metadata(key).map_err(|source| CommandError::Input { path: key.to_owned(), source })?;
    }
    let name = name.trim();
    if path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    let unreadable = |source| PlanError::Unreadable { name: path.display().to_string(), source };
    let (sealed_plan, typed) = (shown(path), shell_path(path));
    // What a link points to is the plan.
    let path = &path.canonicalize().map_err(unreadable)?;
    let _alone = lock_whole(path).map_err(unreadable)?;
    let source = Source::open(path)?;
    let any = Reading { allow_unknown: true, ..Reading::default() };
    let Checked { seal, terms, .. } = crate::plan::check(&source, &any)?;
    let Some(mut seal) = seal else { return Err(CommandError::NotSealed(path.to_owned())) };
    if !sealed::is_a_name(name) {
        return Err(CommandError::NoName);
    }
    let required = terms.require_approvals;
    if required > 1 && seal.is_sealer(name) {
        return Err(CommandError::SealerApproves { name: name.to_owned() });
    }
    if let Some(known) = seal.approved_like(name).filter(|_| approvers.is_none()) {
        if !sealed::is_same_name(known, name) {
            return Err(ApprovalError::LooksLike { name: name.to_owned(), known: known.to_owned() }.into());
        }
        context.console.say(&format!("{name} has approved {sealed_plan} already"));
        return Ok(Exit::Done);
    }
    let mut approval =
        seal.approval(name, Some(crate::whoami::user()), Who::me(), crate::lock::host(), Timestamp::now());
    if let Some(key) = key {
        let signed = keygen::sign(&seal.signed_text(&approval), Purpose::Approval, key);
        let (signature, _) = signed.map_err(|problem| CommandError::Key { path: key.to_owned(), problem })?;
        approval.signature = Some(signature);
    }
    let n_before = seal.counted(required, approvers.as_ref(), approval.at).n;
    seal.approvals.push(approval.clone());
    let counted = seal.counted(required, approvers.as_ref(), approval.at);
    // One that would count for nothing is not added.
    if let Some((_, why)) = counted.passed_over.last().filter(|_| counted.n == n_before) {
        return Err(ApprovalError::CountsForNothing { name: name.to_owned(), why: why.clone() }.into());
    }
    // Its rows may be many.
    let sealed_before = source.whole().map_err(output_failed(path))?;
    write_beside(path, path, |out| {
        out.write_all(&sealed_before)?;
        out.write_all(sealed::approval_line(&approval).as_bytes())
    })
    .map_err(output_failed(path))?;
    let given = u64::try_from(counted.n).unwrap_or(u64::MAX);
    let (needed, n_more) = match (required, u64::from(required).saturating_sub(given)) {
        (0, _) => ("none is needed".to_owned(), 0),
        (required, 0) => (format!("{required} needed: it may be run"), 0),
        (required, more) => (format!("{required} needed"), more),
    };
    context.console.say(&format!("{name} approves {sealed_plan}: {}, {needed}", count(given, "approval")));
    if n_more > 0 {
        let approve = context.here.approves(&typed, approvers.is_some());
        context.console.say(&format!("next, by {n_more} more: {approve}"));
    }
    Ok(Exit::Done)
}

/// Two who approve at the same moment do so one after the other. The file is replaced by each, so that the lock may have
/// been waited for on one that is no longer there.
fn lock_whole(path: &Path) -> io::Result<File> {
    loop {
        let file = files::open_at_once(path)?;
        file.lock()?;
        if FileId::of(&file.metadata()?) == FileId::at(path)? {
            return Ok(file);
        }
    }
}
