//! `run` carries out a plan.

use std::ffi::OsString;

use super::plan;
use crate::exit::Exit;
use crate::launch::exporting::{try_metrics, with_metrics};
use crate::launch::foreseen::Foreseen;
use crate::launch::planned::PlanToLaunch;
use crate::launch::ready::Ready;
use crate::launch::request::{Consent, LaunchRequest};
use crate::launch::unfinished::Unfinished;
use crate::settings::flags::arguments::{LaunchArgs, PlanArgs};
use crate::settings::names::RUN_KEY;
use crate::settings::parse::run_key;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::results::nothing_done;

/// Choice of the run by `--new` and `--run-key`.
pub(super) struct RunChoice {
    pub(super) new: bool,
    pub(super) run_key: Option<String>,
}

pub(super) fn run(
    context: &Context,
    args: &PlanArgs,
    launch: &LaunchArgs,
    choice: RunChoice,
) -> Result<Exit, CommandError> {
    with_metrics(context, Some(&args.plan), |metrics| {
        let unfinished = choice.unfinished(std::env::var_os(RUN_KEY))?;
        let request = LaunchRequest::to_send("run", launch)?.exported(metrics.clone());
        request.must_spare(&args.plan)?;
        let plan = PlanToLaunch::read(context, args)?;
        plan.tell_name(&metrics);
        if plan.is_empty() {
            plan.must_fit_key(&unfinished)?;
            return plan.nothing_to_do(&request.no_report());
        }
        plan.tell_what_holds();
        Ready::to_send(&plan, request)?.open(&unfinished)?.launch()
    })
}

/// Shows what `run` would do: the run that it would make or go on with, and the difference as `plan` shows it. The files that a launch
/// would write are tried as it tries them.
pub(super) fn dry_run(
    context: &Context,
    args: &PlanArgs,
    launch: &LaunchArgs,
    choice: RunChoice,
) -> Result<Exit, CommandError> {
    try_metrics(context)?;
    let unfinished = choice.unfinished(std::env::var_os(RUN_KEY))?;
    LaunchRequest::to_send("run", launch)?.must_spare(&args.plan)?;
    let plan = PlanToLaunch::read(context, args)?;
    if plan.is_empty() {
        plan.must_fit_key(&unfinished)?;
        return plan.nothing_to_do("");
    }
    plan.tell_what_holds();
    let ready = Ready::to_look(&plan, LaunchRequest::new("plan", Consent::OnlyShown))?;
    match ready.foresee(&unfinished)? {
        Foreseen::SendsNothing(text) => nothing_done(context.console, &text),
        Foreseen::Sends(text) => {
            context.console.say(&text);
            plan::shown(ready).map(|_| Exit::Done)
        }
    }
}

impl RunChoice {
    /// Chooses by flags, and by the variable that names a key. One that is empty is not set.
    fn unfinished(self, variable: Option<OsString>) -> Result<Unfinished, CommandError> {
        let bad = |problem: &str| CommandError::BadRunKey { problem: problem.to_owned() };
        let of_variable = || {
            let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(None) };
            let text = text.to_str().ok_or_else(|| bad("is not UTF-8"))?;
            run_key(text).map(Some).map_err(|problem| bad(&problem))
        };
        // The flags exclude each other.
        let named = self.run_key.map_or_else(of_variable, |run_key| Ok(Some(run_key)))?;
        match (named, self.new) {
            (Some(_), true) => Err(CommandError::NewWithKey),
            (Some(run_key), false) => Ok(Unfinished::OfKey(run_key)),
            (None, true) => Ok(Unfinished::LeftAsItIs),
            (None, false) => Ok(Unfinished::TakenUp),
        }
    }
}
