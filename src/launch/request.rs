//! A launch as it was asked for, before anything of the plan or the journal is known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::console;
use crate::files::beside::{check_destination, check_is_not_the_plan};
use crate::formats::Format;
use crate::journal::read::reopening::Reopen;
use crate::report::next::given::{self, GivenByHand};
use crate::settings::flags::arguments::{LaunchArgs, ShowArgs};
use crate::verb::error::{CommandError, bad_destination};
use crate::waves::{Part, Terms};

/// Flags of a launch, and those that its verb stands for.
pub(crate) struct LaunchRequest {
    pub(super) verb: &'static str,
    /// Flags that this launch alone is given, besides settings. Releases are in the journal, and how it is shown is up to whoever
    /// looks on.
    pub(super) given: GivenByHand,
    pub(super) consent: Consent,
    pub(super) reopen: Reopen,
    /// Rows that somebody skipped, and that are to be sent after all.
    pub(super) unskips: Unskips,
    pub(super) events: bool,
    pub(super) progress: bool,
    pub(super) report: Option<(Format, PathBuf)>,
    /// Waves that are released before they ask, and the part of each if one is named.
    pub(super) releases: Vec<(String, Option<Part>)>,
}

/// Who says yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Asked {
        yes: bool,
        irreversible: bool,
    },
    /// `plan`: the difference is the result.
    OnlyShown,
    /// The states are looked at, and nobody is shown anything.
    OnlyLooked,
    /// `reconcile`: there is nothing to consent to.
    NothingIsSent,
}

impl Consent {
    pub(super) fn may_send(self) -> bool {
        match self {
            Consent::Asked { .. } => true,
            Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent => false,
        }
    }

    /// Tells a launch that looks and leaves its run as it is, which nobody steers.
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
    /// A launch that sends. The place of its report is tried at once, so that a night does not end without it.
    pub(crate) fn to_send(verb: &'static str, args: &LaunchArgs) -> Result<Self, CommandError> {
        // Named one by one, so that nothing of it can be forgotten.
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

    /// A launch without flags of its own, of which nothing is shown while it goes on.
    pub(crate) fn new(verb: &'static str, consent: Consent) -> Self {
        Self {
            verb,
            given: GivenByHand::new(),
            consent,
            reopen: Reopen::Nothing,
            unskips: Unskips::default(),
            events: false,
            progress: false,
            report: None,
            releases: Vec::new(),
        }
    }

    /// The same launch, before which rows are opened again.
    pub(crate) fn reopening(self, reopen: Reopen, unskips: Unskips) -> Self {
        Self { reopen, unskips, ..self }
    }

    /// The same launch, shown as it was asked to be while it goes on.
    pub(crate) fn shown(self, ShowArgs { events, no_progress }: &ShowArgs) -> Self {
        Self { events: *events, progress: !no_progress, ..self }
    }

    /// Its report does not go where the plan stands.
    pub(crate) fn must_spare(&self, plan: &Path) -> Result<(), CommandError> {
        match &self.report {
            Some((_, path)) => check_is_not_the_plan(path, plan).map_err(bad_destination(path)),
            None => Ok(()),
        }
    }

    /// Every wave that it releases is one of the plan's.
    pub(super) fn must_fit(&self, terms: &Terms) -> Result<(), CommandError> {
        let is_unknown = |(wave, _): &&(String, _)| terms.wave(Some(wave)).is_none();
        let Some((unknown, _)) = self.releases.iter().find(is_unknown) else { return Ok(()) };
        let known = terms.waves.iter().map(|wave| wave.name.clone()).collect();
        Err(CommandError::UnknownWave { name: unknown.clone(), known })
    }

    /// Asked when nothing else stands in the way: what cannot work at all is said before what was not given.
    pub(super) fn must_be_able_to_ask(&self, answers: Answers) -> Result<(), CommandError> {
        match (self.consent, answers) {
            (Consent::Asked { yes: false, .. }, Answers::TakenByPlan) => Err(CommandError::NoTerminal),
            (Consent::Asked { yes: false, .. }, Answers::Free) if !console::can_ask() => Err(CommandError::NoTerminal),
            (Consent::Asked { .. } | Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent, _) => Ok(()),
        }
    }
}

/// Standard input, where people answer.
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
