//! `approve` agrees to a sealed plan.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::exit::Exit;
use crate::files;
use crate::files::beside::write_beside;
use crate::files::identity::FileId;
use crate::launch::approvals::approvers;
use crate::plan::checked::Checked;
use crate::plan::error::PlanError;
use crate::plan::reading::Reading;
use crate::plan::sealed::lines::approval_line;
use crate::plan::sealed::names::{is_a_name, is_same_name};
use crate::plan::source::Source;
use crate::ssh::keygen;
use crate::ssh::signature::Purpose;
use crate::verb::approval::ApprovalError;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_key, key_must_exist, output_failed};
use crate::whoami::Who;
use crate::wording::amounts::count;
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;

/// Adds an approval to a sealed plan, bound to what it seals, and signed if a key is given.
pub(super) fn approve(context: &Context, path: &Path, name: &str, key: Option<&Path>) -> Result<Exit, CommandError> {
    let approvers = approvers(context)?;
    if let (Some(_), None) = (&approvers, key) {
        return Err(ApprovalError::MustSign.into());
    }
    if let Some(key) = key {
        key_must_exist(key)?;
    }
    let name = name.trim();
    if path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    let unreadable = |source| PlanError::Unreadable { name: path.display().to_string(), source };
    let (sealed_plan, typed) = (shown(path), shell_path(path));
    // A link is followed: the plan is the file that it points to.
    let path = &path.canonicalize().map_err(unreadable)?;
    let _alone = lock_whole(path).map_err(unreadable)?;
    let source = Source::open(path)?;
    let any = Reading { allow_unknown: true, ..Reading::default() };
    let Checked { seal, terms, .. } = crate::plan::check(&source, &any)?;
    let Some(mut seal) = seal else { return Err(CommandError::NotSealed(path.to_owned())) };
    if !is_a_name(name) {
        return Err(CommandError::NoName);
    }
    let required = terms.require_approvals;
    if required > 1 && seal.is_sealer(name) {
        return Err(CommandError::SealerApproves { name: name.to_owned() });
    }
    if let Some(known) = seal.approved_like(name).filter(|_| approvers.is_none()) {
        if !is_same_name(known, name) {
            return Err(ApprovalError::LooksLike { name: name.to_owned(), known: known.to_owned() }.into());
        }
        context.console.say(&format!("{name} has approved {sealed_plan} already"));
        return Ok(Exit::Done);
    }
    let mut approval =
        seal.approval(name, Some(crate::whoami::user()), Who::me(), crate::lock::host(), Timestamp::now());
    if let Some(key) = key {
        let signed = keygen::sign(&seal.signed_text(&approval), Purpose::Approval, key);
        let (signature, _) = signed.map_err(|problem| bad_key(key, problem))?;
        approval.signature = Some(signature);
    }
    let n_before = seal.counted(required, approvers.as_ref(), approval.at).n;
    seal.approvals.push(approval.clone());
    let counted = seal.counted(required, approvers.as_ref(), approval.at);
    // An approval that would not count is not added.
    if let Some((_, why)) = counted.passed_over.last().filter(|_| counted.n == n_before) {
        return Err(ApprovalError::CountsForNothing { name: name.to_owned(), why: why.clone() }.into());
    }
    // The plan is copied from its file, because its rows may be many.
    let sealed_before = source.whole().map_err(output_failed(path))?;
    write_beside(path, path, |out| {
        out.write_all(&sealed_before)?;
        out.write_all(approval_line(&approval).as_bytes())
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

/// Opens and locks the plan, so that approvals are added one after the other. Each replaces the file: if the locked file is
/// no longer the one at the path, the new one is opened and locked.
fn lock_whole(path: &Path) -> io::Result<File> {
    loop {
        let file = files::open::open_at_once(path)?;
        file.lock()?;
        if FileId::from_metadata(&file.metadata()?) == FileId::at(path)? {
            return Ok(file);
        }
    }
}
