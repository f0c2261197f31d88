//! `resume` goes on with a run.

use crate::exit::Exit;
use crate::launch::exporting::with_metrics;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::taking_up::RunToTakeUp;
use crate::settings::flags::arguments::LaunchArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::Otherwise;

pub(super) fn resume(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        let request = LaunchRequest::to_send("resume", args)?.exported(metrics);
        let found = RunToTakeUp::find(context, run, Otherwise::Unfinished)?;
        Ready::to_go_on(context, found, request)?.open()?.launch()
    })
}
