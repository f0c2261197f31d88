//! `run` carries out a plan.

use crate::exit::Exit;
use crate::launch::exporting::with_metrics;
use crate::launch::planned::PlanToLaunch;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::unfinished::Unfinished;
use crate::settings::flags::arguments::{LaunchArgs, PlanArgs};
use crate::verb::context::Context;
use crate::verb::error::CommandError;

pub(super) fn run(
    context: &Context,
    args: &PlanArgs,
    launch: &LaunchArgs,
    unfinished: Unfinished,
) -> Result<Exit, CommandError> {
    with_metrics(context, Some(&args.plan), |metrics| {
        let request = LaunchRequest::to_send("run", launch)?.exported(metrics);
        request.must_spare(&args.plan)?;
        let plan = PlanToLaunch::read(context, args)?;
        plan.tell_what_holds();
        Ready::to_send(&plan, request)?.open(unfinished)?.launch()
    })
}
