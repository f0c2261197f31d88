//! Approvals that a plan needs, and accounts that a sealed plan is for.

use std::path::Path;

use jiff::Timestamp;

use super::accounts::account::Account;
use crate::event::run::LanePlace;
use crate::plan::paper::Paper;
use crate::plan::sealed::seal::{ApprovalCount, Seal};
use crate::settings::error::SettingsError;
use crate::settings::hands::{NotOwn, own_content};
use crate::ssh::allowed::Allowed;
use crate::verb::approval::{ApprovalError, MissingApprovals};
use crate::verb::context::Context;
use crate::verb::error::CommandError;

/// Reads the keys whose signatures count; `None` if the settings name no `approvers`.
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

/// Refuses a plan with fewer approvals than it requires.
pub(super) fn must_be_approved(context: &Context, paper: &Paper, plan: &Path) -> Result<(), CommandError> {
    missing_approvals(context, paper, plan)?.map_or(Ok(()), |missing| Err(CommandError::NotApproved(missing)))
}

/// Counts the approvals of a plan; `None` if it has those that it requires. With approvers set, only their signatures count.
pub(crate) fn missing_approvals(
    context: &Context,
    paper: &Paper,
    plan: &Path,
) -> Result<Option<MissingApprovals>, CommandError> {
    let required = paper.terms.require_approvals;
    let approvers = approvers(context)?;
    let now = Timestamp::now();
    let counted = paper.seal.as_ref().map(|seal| seal.counted(required, approvers.as_ref(), now));
    let ApprovalCount { n: given, passed_over } = counted.unwrap_or_default();
    let is_missing = u32::try_from(given).is_ok_and(|given| given < required);
    Ok(is_missing.then(|| MissingApprovals {
        plan: plan.display().to_string(),
        given,
        required,
        is_sealed: paper.seal.is_some(),
        is_signed: approvers.is_some(),
        passed_over,
    }))
}

/// Refuses a sealed plan for other accounts than those it was sealed for, or without a preflight.
pub(super) fn must_be_as_sealed(context: &Context, paper: &Paper, accounts: &[Account]) -> Result<(), CommandError> {
    let Some(seal) = &paper.seal else { return Ok(()) };
    must_look(context)?;
    must_be_at_the_same_accounts(seal, &accounts.iter().map(Account::place).collect::<Vec<_>>())
}

/// Refuses to seal or run sealed states without a preflight: there would be no states to compare.
pub(crate) fn must_look(context: &Context) -> Result<(), CommandError> {
    if context.settings.lane.preflight { Ok(()) } else { Err(CommandError::SealedUnseen) }
}

fn must_be_at_the_same_accounts(seal: &Seal, here: &[LanePlace]) -> Result<(), CommandError> {
    let is_same = |place: &&LanePlace| here.contains(place);
    match seal.lanes.iter().find(|place| !is_same(place)) {
        None if seal.lanes.len() == here.len() => Ok(()),
        sealed => {
            let place = |place: &LanePlace| format!("`{}` at {}", place.account, place.endpoint);
            let sealed = sealed.map_or_else(|| "fewer accounts".to_owned(), place);
            let here = here.iter().map(place).collect::<Vec<_>>().join(", ");
            Err(CommandError::SealedElsewhere { sealed, here })
        }
    }
}
