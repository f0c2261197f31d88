//! `reconcile` reads the states of rows in doubt, and sends nothing.

use crate::exit::Exit;
use crate::launch::exporting::with_metrics;
use crate::launch::ready::Ready;
use crate::launch::request::{Consent, LaunchRequest};
use crate::launch::taking_up::RunToTakeUp;
use crate::settings::flags::arguments::ShowArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::Otherwise;

pub(super) fn reconcile(context: &Context, run: Option<&str>, show: &ShowArgs) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        let request = LaunchRequest::new("reconcile", Consent::NothingIsSent).shown(show).exported(metrics);
        let found = RunToTakeUp::find(context, run, Otherwise::Unfinished)?;
        Ready::to_go_on(context, found, request)?.open()?.launch()
    })
}
