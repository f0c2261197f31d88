//! `resume` goes on with a run.

use crate::exit::Exit;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::taking_up::RunToTakeUp;
use crate::settings::flags::arguments::LaunchArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::Otherwise;

pub(super) fn resume(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    let request = LaunchRequest::to_send("resume", args)?;
    let found = RunToTakeUp::find(context, run, Otherwise::Unfinished)?;
    Ready::to_go_on(context, found, request)?.open()?.launch()
}
