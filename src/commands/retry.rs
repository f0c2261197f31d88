//! `retry` sends rows again that are not on target.

use std::collections::BTreeSet;

use crate::event::verdict::Verdict;
use crate::exit::Exit;
use crate::journal::read::reopening::Reopen;
use crate::launch::exporting::with_metrics;
use crate::launch::ready::Ready;
use crate::launch::request::{LaunchRequest, Unskips};
use crate::launch::taking_up::RunToTakeUp;
use crate::ledger::cause::Only;
use crate::ledger::standing::Phase;
use crate::settings::flags::arguments::{LaunchArgs, SelectionArgs};
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::{self, Otherwise};
use crate::wording::plain::plain;

pub(super) fn retry(
    context: &Context,
    run: Option<&str>,
    selection: &SelectionArgs,
    args: &LaunchArgs,
) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        let request = LaunchRequest::to_send("retry", args)?.exported(metrics);
        let found = RunToTakeUp::find(context, run, Otherwise::LaunchedLast)?;
        let (reopen, unskips) = reopened_by(context, &found, selection)?;
        let request = request.reopening(reopen, unskips);
        Ready::to_go_on(context, found, request)?.open()?.launch()
    })
}

/// Chooses the rows to open again, and the skipped rows among them, which have to be named. Tells of named rows that are on target.
fn reopened_by(
    context: &Context,
    RunToTakeUp { journal, run, .. }: &RunToTakeUp,
    SelectionArgs { only, row }: &SelectionArgs,
) -> Result<(Reopen, Unskips), CommandError> {
    if !row.is_empty() {
        let (mut rows, mut sources) = (BTreeSet::new(), BTreeSet::new());
        for text in row {
            let (row, standing) = meant::row(context, journal, run, text)?;
            if let Phase::Settled(verdict @ (Verdict::Applied | Verdict::Already)) = standing.phase {
                let id = plain(row.source_id.as_str());
                context.console.say(&format!("`{id}` is on target already ({verdict}), and stays as it is"));
            }
            rows.insert(row.id);
            sources.insert(row.source_id.to_string());
        }
        return Ok((Reopen::Rows(rows), Unskips::These(sources)));
    }
    if only.is_empty() {
        return Ok((Reopen::OffTarget, Unskips::default()));
    }
    let unskips = if only.iter().any(Only::names_skipped) { Unskips::All } else { Unskips::default() };
    Ok((Reopen::Only(only.clone()), unskips))
}
