//! `resume --standby` goes on with a run once its launch has left it.

use crate::credentials::error::CredentialsError;
use crate::exit::Exit;
use crate::journal::JournalError;
use crate::launch::exporting::with_metrics;
use crate::launch::open::Opened;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::standing_by::{Following, StoodBy, wait_a_moment};
use crate::launch::taking_up::RunToTakeUp;
use crate::lock::LockError;
use crate::log::server::{NotLed, NotRead};
use crate::settings::flags::arguments::LaunchArgs;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, whole_text};

/// Follows a run that another machine leads, and goes on with it once that has left it. Of several that do, one is the first, and the
/// others follow that one. Whatever stands in the way before the first commit of a launch, and may pass, is waited for.
pub(super) fn stand_by(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        let find = |named: Option<&str>| {
            let request = LaunchRequest::to_send("resume", args)?.exported(metrics.clone());
            Ok::<_, CommandError>((RunToTakeUp::find_to_follow(context, named)?, request))
        };
        let follow = |(found, request)| Ready::to_go_on(context, found, request)?.stand_by();
        let (found, request) = find(run)?;
        if let Some(exit) = found.must_not_have_ended(context)? {
            return Ok(exit);
        }
        let (id, mut told) = (found.run.id.clone(), None);
        // Whatever is wrong now is said while somebody is there to see it.
        let mut following = Ok(follow((found, request))?);
        loop {
            let ended = match following.and_then(Following::follow) {
                Ok(StoodBy::Ended(exit)) => return Ok(exit),
                Ok(StoodBy::Left(ready)) => ready.open().and_then(Opened::launch),
                Err(error) => Err(error),
            };
            match ended {
                Err(CommandError::NotLed(NotLed::Led { .. }) | CommandError::Journal(JournalError::Replaced)) => {
                    context.console.say("another launch was faster");
                }
                Err(error) if may_pass(&error) => {
                    let why = whole_text(&error);
                    if told.as_ref() != Some(&why) {
                        context.console.warn(&format!("run {id} is not gone on with yet: {why}; standing by again"));
                        told = Some(why);
                    }
                    wait_a_moment(&id)?;
                }
                ended => return ended,
            }
            following = find(Some(&id)).and_then(follow);
        }
    })
}

/// Tells whether an error that ends a launch before its first commit may pass by itself.
fn may_pass(error: &CommandError) -> bool {
    let (CommandError::Log(NotRead::Journal(journal)) | CommandError::Journal(journal)) = error else {
        return matches!(
            error,
            CommandError::Log(NotRead::Unreachable(_))
                | CommandError::NotLed(NotLed::Log(NotRead::Unreachable(_)))
                | CommandError::Lock(LockError::Held { .. })
                | CommandError::Credentials(CredentialsError::Unreachable { .. })
        );
    };
    journal.is_busy()
}
