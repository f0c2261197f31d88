//! `sources list`, `sources show` and `sources plan`: the inventory of an account.

use crate::exit::Exit;
use crate::settings::flags::verbs::SourcesVerb;
use crate::verb::context::Context;
use crate::verb::error::CommandError;

mod list;
mod plan;
mod show;
mod visit;

pub(super) fn sources(context: &Context, verb: SourcesVerb) -> Result<Exit, CommandError> {
    match verb {
        SourcesVerb::List { filter, format, .. } => list::list(context, &filter, format),
        SourcesVerb::Show { id, .. } => show::show(context, &id),
        SourcesVerb::Plan { filter, to_state, to_cycle, output, force, .. } => {
            let (state, cycle) = (to_state.as_deref(), to_cycle.as_deref());
            plan::plan(context, &filter, &plan::NewPlan { state, cycle, output: output.as_deref(), force })
        }
    }
}
