//! `resume --standby` goes on with a run once nobody leads it any more.

use crate::exit::Exit;
use crate::journal::JournalError;
use crate::launch::exporting::with_metrics;
use crate::launch::open::Opened;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::standing_by::StoodBy;
use crate::launch::taking_up::RunToTakeUp;
use crate::log::server::NotLed;
use crate::settings::flags::arguments::LaunchArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::Otherwise;

/// Follows a run that another machine leads, and goes on with it once nobody is heard. Of several that do, one is the first, and the
/// others follow that one.
pub(super) fn stand_by(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        loop {
            let request = LaunchRequest::to_send("resume", args)?.exported(metrics.clone());
            let found = RunToTakeUp::find(context, run, Otherwise::Unfinished)?;
            let ready = match Ready::to_go_on(context, found, request)?.stand_by()? {
                StoodBy::Ended(exit) => return Ok(exit),
                StoodBy::Unheard(ready) => ready,
            };
            match ready.open().and_then(Opened::launch) {
                Err(CommandError::NotLed(NotLed::Led { .. }) | CommandError::Journal(JournalError::Replaced)) => {
                    context.console.say("another launch was faster");
                }
                ended => return ended,
            }
        }
    })
}
