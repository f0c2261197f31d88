//! Plan of a launch, read and checked before anything else.

use std::path::Path;

use super::exporting::LaunchMetrics;
use super::holding::{self, under};
use crate::exit::Exit;
use crate::plan::checked::Checked;
use crate::plan::paper::Paper;
use crate::plan::source::Source;
use crate::settings::flags::arguments::PlanArgs;
use crate::settings::origin::Origin;
use crate::verb::context::{Context, checked};
use crate::verb::error::CommandError;
use crate::verb::results::nothing_done;
use crate::wording::plain::plain;

/// A plan that was read whole and has no problems, with the settings that hold under it.
pub(crate) struct PlanToLaunch<'a> {
    pub(super) args: &'a PlanArgs,
    pub(super) source: Source,
    pub(crate) checked: Checked,
    /// Settings without those of the plan: a run that is taken up was begun with its own.
    pub(super) outside: &'a Context,
    pub(crate) context: Context,
}

impl<'a> PlanToLaunch<'a> {
    pub(crate) fn read(outside: &'a Context, args: &'a PlanArgs) -> Result<Self, CommandError> {
        let source = Source::open(&args.plan)?;
        let checked = checked(outside, &source, args)?;
        let context = under(outside, checked.terms.policy.clone(), &Origin::Plan(source.name().to_owned()))?;
        Ok(Self { args, source, checked, outside, context })
    }

    pub(crate) fn tell_what_holds(&self) {
        holding::tell_what_holds(&self.context, &self.checked.terms);
    }

    /// Tells that it has no rows, which it may only with leave for that.
    pub(crate) fn is_empty(&self) -> bool {
        self.checked.n_rows == 0
    }

    /// Names itself to the metrics and the notices of its launch.
    pub(crate) fn tell_name(&self, metrics: &LaunchMetrics) {
        self.context.notices.of_plan(&self.checked.terms, self.source.name());
        metrics.of_plan(&self.checked.terms, self.source.name());
    }

    /// Ends a verb that has no row to deal with. `besides` follows the reason.
    pub(crate) fn nothing_to_do(&self, besides: &str) -> Result<Exit, CommandError> {
        let name = plain(self.source.name());
        nothing_done(
            self.context.console,
            &format!("the plan `{name}` has no rows: nothing is to do, and no run is made{besides}"),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        &self.args.plan
    }

    pub(crate) fn paper(&self) -> Paper {
        Paper::of_plan(&self.checked)
    }
}
