//! `plan` does the same as `run` up to the question, in a journal that is thrown away.

use sealing::SealTo;

use crate::exit::Exit;
use crate::launch::approvals::must_look;
use crate::launch::open::LaunchedApart;
use crate::launch::planned::PlanToLaunch;
use crate::launch::ready::Ready;
use crate::launch::request::{Consent, LaunchRequest};
use crate::settings::flags::arguments::PlanArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;

pub(super) mod sealing;

/// Shows the difference, and returns the number of rows to which a change would be sent.
pub(super) fn plan(context: &Context, args: &PlanArgs, seal: Option<&SealTo<'_>>) -> Result<u64, CommandError> {
    if let Some(seal) = seal {
        sealing::must_be_free(seal)?;
        must_look(context)?;
    }
    let request = LaunchRequest::new("plan", Consent::OnlyShown);
    let plan = PlanToLaunch::read(context, args)?;
    if plan.is_empty() {
        plan.nothing_to_do("")?;
        return Ok(0);
    }
    plan.tell_what_holds();
    let launched = shown(Ready::to_look(&plan, request)?)?;
    if let Some(seal) = seal {
        sealing::seal(&plan, &launched, seal)?;
    }
    Ok(launched.n_changes)
}

/// Shows the difference of a plan that is ready to be looked at.
pub(super) fn shown(ready: Ready<&PlanToLaunch<'_>>) -> Result<LaunchedApart, CommandError> {
    let launched = ready.open_apart()?.launch()?;
    if launched.exit != Exit::Done {
        return Err(CommandError::Stopped { exit: launched.exit, reason: launched.reason.unwrap_or_default() });
    }
    Ok(launched)
}
