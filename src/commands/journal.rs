//! `journal prune` and `journal info`: old runs, and the room that runs take.

use crate::exit::Exit;
use crate::settings::flags::verbs::JournalVerb;
use crate::verb::context::Context;
use crate::verb::error::CommandError;

mod due;
mod info;
mod prune;

pub(super) fn journal(context: &Context, verb: &JournalVerb) -> Result<Exit, CommandError> {
    match verb {
        JournalVerb::Prune { keep, archive, dry_run: true } => prune::show(context, keep, archive),
        JournalVerb::Prune { keep, archive, dry_run: false } => prune::prune(context, keep, archive),
        JournalVerb::Info { keep } => info::info(context, keep.as_ref()),
    }
}
