//! Arguments that are no settings: plans, runs, rows, and how a launch goes and shows itself.

use std::path::PathBuf;

use clap::Args;

use crate::ledger::cause::Only;
use crate::values;
use crate::values::since::Since;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Csv,
    Json,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Filter")]
pub(crate) struct FilterArgs {
    /// Only sources in this state
    #[arg(long, value_name = "WORD")]
    pub(crate) state: Option<String>,
    /// Only sources in this migration cycle
    #[arg(long, value_name = "WORD")]
    pub(crate) cycle: Option<String>,
    /// Only sources with this in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Only sources whose agent is connected, or only those whose is not
    #[arg(long, value_name = "true|false")]
    pub(crate) connected: Option<bool>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArg {
    /// A run's id, the beginning of one, its key, or the name of its plan [default: the one that goes on, else the one launched last]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AnyRunArg {
    /// A run's id, the beginning of one, its key, or the name of its plan [default: all of them]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

/// Run to be copied from the servers of its log.
#[cfg(feature = "cluster")]
#[derive(Args, Debug)]
pub(crate) struct CollectArgs {
    /// A run's id, or the beginning of one; `runs --engine` lists them
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Go on until the launch that carries the run has ended
    #[arg(long)]
    pub(crate) follow: bool,
    /// Remove the run from the servers afterwards: it has to have ended, and the copy to be whole
    #[arg(long)]
    pub(crate) forget: bool,
}

/// Targets that a worker serves.
#[cfg(feature = "cluster")]
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    /// Serve this profile; may be given several times [default: all whose credentials are here]
    #[arg(long = "target", value_name = "NAME")]
    pub(crate) targets: Vec<String>,
}

/// Choice of runs. Of several conditions, all have to hold.
#[derive(Args, Debug)]
pub(crate) struct RunsArgs {
    /// Only runs of which something was recorded since then, and those that go on: so long ago (7d, 24h), a date (2026-11-24), or a time
    /// (22:00, 2026-11-24T22:00, 2026-11-24T22:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    pub(crate) since: Option<Since>,
    /// Only runs that go on, or have rows without a verdict
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Only runs that ended otherwise than with 0, or were cut off before all rows were on target
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only so many, the newest
    #[arg(long, value_name = "N", value_parser = values::positive)]
    pub(crate) limit: Option<u32>,
}

#[expect(clippy::struct_excessive_bools, reason = "flags that do not depend on each other")]
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// CSV, TSV, JSON Lines, a plan file in TOML or a sealed plan; - is standard input
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Take state words that no edition of the API lists
    #[arg(long)]
    pub(crate) allow_unknown: bool,
    /// Take a plan without rows: end with 0, and make no run. A file without content, not even a header, is an error all the same
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Take warnings for errors
    #[arg(long)]
    pub(crate) strict: bool,
    /// Take rows also from files that are not below the plan's own folder, or no plain files
    #[arg(long)]
    pub(crate) allow_outside: bool,
    /// Encoding of a plan that is neither UTF-8 nor has a byte-order mark, such as gb18030
    #[arg(long, value_name = "NAME", value_parser = crate::texts::encoding)]
    pub(crate) encoding: Option<&'static encoding_rs::Encoding>,
}

impl PlanArgs {
    /// Flags that say how this plan is read, each with a blank before it.
    pub(crate) fn reading(&self) -> String {
        let marks = [
            ("allow-unknown", self.allow_unknown),
            ("allow-empty", self.allow_empty),
            ("strict", self.strict),
            ("allow-outside", self.allow_outside),
        ];
        let marks = marks.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| format!(" --{name}"));
        marks.chain(self.encoding.map(|encoding| format!(" --encoding {}", encoding.name().to_lowercase()))).collect()
    }
}

/// Selection of the rows that a retry opens again. Without any: all that are not on target, except those that somebody else
/// moved and those that were skipped.
#[derive(Args, Debug)]
pub(crate) struct SelectionArgs {
    /// Of rows with a verdict, open only those with these again, such as refused,failed, or with one cause of a verdict, as in refused:SMS.9004;
    /// rows that somebody else moved (overtaken) or skipped (skipped) only when named
    #[arg(long, value_delimiter = ',', value_name = "VERDICTS")]
    pub(crate) only: Vec<Only>,
    /// Of rows with a verdict, open only this one again, whatever it ended with: a source id, the beginning of one, or a name; may be given again
    #[arg(long, value_name = "ID", conflicts_with = "only")]
    pub(crate) row: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Launch")]
pub(crate) struct LaunchArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Allow targets from which there is no way back (finished, deleting, cleared)
    #[arg(long)]
    pub(crate) allow_irreversible: bool,
    /// Release a wave that needs approval, before it asks; may be given again
    #[arg(long, value_name = "WAVE")]
    pub(crate) approve: Vec<String>,
    /// Write a report at the end; the extension names the format (.csv, .html, .json, .md, .xlsx, or .xml for JUnit). Without a run to
    /// report (a plan without rows, a launch that is skipped) none is written, and a line says so
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Launch")]
pub(crate) struct ShowArgs {
    /// Print each event as one JSON object a line to standard output
    #[arg(long)]
    pub(crate) events: bool,
    /// No progress on standard error
    #[arg(long)]
    pub(crate) no_progress: bool,
}
