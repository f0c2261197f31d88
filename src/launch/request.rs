//! Request for a launch: its flags, before the plan or the journal is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exporting::LaunchMetrics;
use crate::clock::since_boot;
use crate::console;
use crate::files::beside::{check_destination, check_is_not_the_plan};
use crate::formats::Format;
use crate::journal::read::reopening::Reopen;
use crate::report::next::given::{self, GivenByHand};
use crate::settings::flags::arguments::{LaunchArgs, ShowArgs};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination};
use crate::verb::reach::Reach;
use crate::waves::{Part, Terms};
use crate::wording::plain::shown;

/// Flags of a launch, and those that its verb stands for.
pub(crate) struct LaunchRequest {
    pub(super) verb: &'static str,
    /// Time since the machine was started at which the launch was asked for.
    pub(super) asked_at: Duration,
    /// Flags besides settings that hold for this launch alone and are recorded with it. Releases have events of their own, and flags
    /// of the display are not recorded.
    pub(super) given: GivenByHand,
    pub(super) consent: Consent,
    pub(super) reopen: Reopen,
    /// Skipped rows that are to be sent after all.
    pub(super) unskips: Unskips,
    pub(super) events: bool,
    pub(super) progress: bool,
    pub(super) report: Option<(Format, PathBuf)>,
    /// Waves that are released before they ask, each with its part if one is named.
    pub(super) releases: Vec<(String, Option<Part>)>,
    pub(super) metrics: LaunchMetrics,
}

/// Consent to send: asked for, given beforehand, or not needed because nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Asked {
        yes: bool,
        irreversible: bool,
    },
    /// `plan`: the difference is printed and is the result.
    OnlyShown,
    /// `rehearse --from-live`: states are read, and nothing is printed.
    OnlyLooked,
    /// `reconcile`: rows in doubt are read.
    NothingIsSent,
}

impl Consent {
    pub(super) fn may_send(self) -> bool {
        match self {
            Consent::Asked { .. } => true,
            Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent => false,
        }
    }

    /// Tells whether the launch ends after its look, so that it takes no commands and leaves its rows as they are.
    pub(super) fn ends_at_the_look(self) -> bool {
        match self {
            Consent::OnlyShown | Consent::OnlyLooked => true,
            Consent::Asked { .. } | Consent::NothingIsSent => false,
        }
    }
}

/// Skipped rows that a launch sends all the same.
pub(crate) enum Unskips {
    These(BTreeSet<String>),
    All,
}

impl Default for Unskips {
    fn default() -> Self {
        Unskips::These(BTreeSet::new())
    }
}

impl Unskips {
    pub(super) fn means(&self, source_id: &str) -> bool {
        match self {
            Unskips::These(these) => these.contains(source_id),
            Unskips::All => true,
        }
    }
}

impl LaunchRequest {
    /// Sets how far the launch reaches, by its accounts: of a trial nobody outside hears, which is said where somebody would.
    pub(super) fn reaches(&self, context: &Context, reach: Reach) {
        context.notices.reaches(reach);
        self.metrics.reaches(reach);
        let withheld = [
            (context.notices.are_withheld(), "no receiver of notices is told"),
            (self.metrics.is_withheld(), "the metrics file of the settings stays as it is"),
        ];
        let withheld: Vec<&str> = withheld.into_iter().filter_map(|(is_so, what)| is_so.then_some(what)).collect();
        if !withheld.is_empty() {
            context.console.say(&format!("a trial in the sandbox of this process: {}", withheld.join(", and ")));
        }
    }

    /// Request of a launch that sends. The path of its report is tried at once, so that a night does not end without it.
    pub(crate) fn to_send(verb: &'static str, args: &LaunchArgs) -> Result<Self, CommandError> {
        // Destructured, so that a new flag cannot be forgotten.
        let LaunchArgs { yes, allow_irreversible, approve, report, show } = args;
        let on = |is_given: &bool| is_given.then(|| "on".to_owned());
        let given = [
            (given::YES, on(yes)),
            (given::IRREVERSIBLE, on(allow_irreversible)),
            (given::REPORT, report.as_deref().map(|path| path.display().to_string())),
        ];
        let consent = Consent::Asked { yes: *yes, irreversible: *allow_irreversible };
        Ok(Self {
            given: given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
            report: report.as_deref().map(report_at).transpose()?,
            releases: approve.iter().map(|wave| (wave.clone(), None)).collect(),
            ..Self::new(verb, consent).shown(show)
        })
    }

    /// Request of a launch without flags of its own, and without progress or event lines.
    pub(crate) fn new(verb: &'static str, consent: Consent) -> Self {
        Self {
            verb,
            asked_at: since_boot(),
            given: GivenByHand::new(),
            consent,
            reopen: Reopen::Nothing,
            unskips: Unskips::default(),
            events: false,
            progress: false,
            report: None,
            releases: Vec::new(),
            metrics: LaunchMetrics::default(),
        }
    }

    /// Adds rows that are opened again before the launch.
    pub(crate) fn reopening(self, reopen: Reopen, unskips: Unskips) -> Self {
        Self { reopen, unskips, ..self }
    }

    /// Adds the metrics file.
    pub(crate) fn exported(self, metrics: LaunchMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Adds the display: progress, event lines.
    pub(crate) fn shown(self, ShowArgs { events, no_progress }: &ShowArgs) -> Self {
        Self { events: *events, progress: !no_progress, ..self }
    }

    /// Says, behind the reason for which there is no run to report, that no report is written: a file that is there would be taken for a
    /// new one. Nothing if none was asked for.
    pub(crate) fn no_report(&self) -> String {
        self.report.as_ref().map_or_else(String::new, |(_, path)| {
            let old = if path.exists() { ", and what is there is of before" } else { "" };
            format!("; no report is written to `{}`{old}", shown(path))
        })
    }

    /// Refuses a report at the path of the plan.
    pub(crate) fn must_spare(&self, plan: &Path) -> Result<(), CommandError> {
        match &self.report {
            Some((_, path)) => check_is_not_the_plan(path, plan).map_err(bad_destination(path)),
            None => Ok(()),
        }
    }

    /// Refuses the release of a wave that the plan does not have.
    pub(super) fn must_fit(&self, terms: &Terms) -> Result<(), CommandError> {
        let is_unknown = |(wave, _): &&(String, _)| terms.wave(Some(wave)).is_none();
        let Some((unknown, _)) = self.releases.iter().find(is_unknown) else { return Ok(()) };
        let known = terms.waves.iter().map(|wave| wave.name.clone()).collect();
        Err(CommandError::UnknownWave { name: unknown.clone(), known })
    }

    /// Refuses a launch that has to ask where nobody can answer.
    pub(super) fn must_be_able_to_ask(&self, answers: Answers) -> Result<(), CommandError> {
        match (self.consent, answers) {
            (Consent::Asked { yes: false, .. }, Answers::TakenByPlan) => Err(CommandError::NoTerminal),
            (Consent::Asked { yes: false, .. }, Answers::Free) if !console::can_ask() => Err(CommandError::NoTerminal),
            (Consent::Asked { .. } | Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent, _) => Ok(()),
        }
    }
}

/// Use of standard input, from which answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Free,
    /// The plan is read from it.
    TakenByPlan,
}

impl Answers {
    pub(super) fn beside(plan: &Path) -> Self {
        if plan == Path::new("-") { Answers::TakenByPlan } else { Answers::Free }
    }
}

fn report_at(path: &Path) -> Result<(Format, PathBuf), CommandError> {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or("");
    let format = Format::of_extension(extension).ok_or_else(|| CommandError::ReportFormat(path.to_owned()))?;
    check_destination(path).map_err(bad_destination(path))?;
    Ok((format, path.to_owned()))
}
