//! A launch that passed every check that takes no lock and no request to the service.

use std::collections::HashMap;
use std::path::Path;

use super::accounts;
use super::accounts::account::Account;
use super::accounts::reach;
use super::accounts::said_by_journal::{must_be_meant, said_by_journal_alone};
use super::approvals::{must_be_approved, must_be_as_sealed};
use super::holding::{as_begun, paper_of, tell_what_holds};
use super::hooks::{hooks_of, plan_of};
use super::planned::PlanToLaunch;
use super::request::{Answers, Consent, LaunchRequest};
use super::taking_up::{RunToTakeUp, warn_of_an_open_folder};
use crate::hooks::HookCommand;
use crate::journal::Journal;
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::plan::paper::Paper;
use crate::settings::Settings;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::waves::{Part, WaveTerms};

/// A launch of `From`: of a plan or of a run. Whatever the plan or the run alone can be refused for is said before anybody is asked for
/// credentials or consent; a launch that sends nothing needs neither approvals nor consent.
pub(crate) struct Ready<From> {
    from: From,
    prepared: Prepared,
}

/// Values that were checked, besides the plan or the run.
pub(super) struct Prepared {
    pub(super) context: Context,
    pub(super) request: LaunchRequest,
    pub(super) paper: Paper,
    pub(super) accounts: Vec<Account>,
    /// Commands around the run and its waves; none for a launch that sends nothing.
    pub(super) hooks: Vec<HookCommand>,
}

impl<'p> Ready<&'p PlanToLaunch<'p>> {
    /// Checks a launch that sends what the plan says. Whether people can be asked is checked last, because a plan that cannot work is
    /// to be told first.
    pub(crate) fn to_send(plan: &'p PlanToLaunch<'p>, request: LaunchRequest) -> Result<Self, CommandError> {
        let (context, paper) = (plan.context.clone(), plan.paper());
        let hooks = hooks_of(&context, &paper.terms, plan.path())?;
        must_be_approved(&context, &paper, plan.path())?;
        let accounts = accounts::of_plan(&context, &plan.checked)?;
        request.reaches(&context, reach(&accounts));
        must_be_as_sealed(&context, &paper, &accounts)?;
        request.must_fit(&paper.terms)?;
        Journal::check_place(&context.settings.journal)?;
        warn_of_an_open_folder(&context);
        request.must_be_able_to_ask(Answers::beside(plan.path()))?;
        Ok(Self { from: plan, prepared: Prepared { context, request, paper, accounts, hooks } })
    }

    /// Checks a launch that looks at the servers of a plan and sends nothing.
    pub(crate) fn to_look(plan: &'p PlanToLaunch<'p>, request: LaunchRequest) -> Result<Self, CommandError> {
        let (context, paper) = (plan.context.clone(), plan.paper());
        let hooks = match request.consent {
            Consent::OnlyShown => hooks_of(&context, &paper.terms, plan.path())?,
            Consent::OnlyLooked | Consent::NothingIsSent | Consent::Asked { .. } => Vec::new(),
        };
        let accounts = accounts::of_plan(&context, &plan.checked)?;
        Ok(Self { from: plan, prepared: Prepared { context, request, paper, accounts, hooks } })
    }

    /// Checks a launch in the sandbox, which stands for every account, whatever settings and profiles say.
    pub(crate) fn to_rehearse(
        plan: &'p PlanToLaunch<'p>,
        mut request: LaunchRequest,
        live: Option<&HashMap<SourceId, SeenState>>,
    ) -> Result<Self, CommandError> {
        let layers = plan.context.layers.with_flag("endpoint", "sandbox");
        let settings = Settings::read(&layers, plan.context.settings.profile.as_deref())?;
        let context = Context { settings, layers, ..plan.context.clone() };
        let accounts = accounts::of_plan(&context, &plan.checked)?;
        let mut paper = plan.paper();
        if live.is_none() {
            // Without live states there is nothing to compare sealed states with.
            paper.seal = None;
        }
        // Every wave is released at once, because nobody is there to do it.
        let both = |wave: &WaveTerms| [Part::Canary, Part::Rest].map(|part| (wave.name.clone(), Some(part)));
        request.releases = paper.terms.waves.iter().filter(|wave| wave.needs_approval()).flat_map(both).collect();
        Ok(Self { from: plan, prepared: Prepared { context, request, paper, accounts, hooks: Vec::new() } })
    }
}

impl Ready<RunToTakeUp> {
    /// Checks a launch that goes on with a run, at the accounts and with the settings that it was begun with. Asks last whether to go
    /// where only the journal says, so that nobody answers before another check refuses the launch.
    pub(crate) fn to_go_on(
        context: &Context,
        found: RunToTakeUp,
        request: LaunchRequest,
    ) -> Result<Self, CommandError> {
        let RunToTakeUp { journal, run, logs, before: _ } = &found;
        request.must_spare(Path::new(&run.plan_path))?;
        let lanes = journal.lanes(run.key)?;
        // Rows that name no target go on in the profile that they were begun in.
        let begun_in = run.settings.get("profile").and_then(serde_json::Value::as_str);
        let begun_in = begun_in.filter(|_| context.settings.profile.is_none());
        let again = match begun_in {
            Some(profile) => &Context { settings: Settings::read(&context.layers, Some(profile))?, ..context.clone() },
            None => context,
        };
        let paper = paper_of(run)?;
        request.metrics.of_plan(&paper.terms, &run.plan_path);
        context.notices.of_plan(&paper.terms, &run.plan_path);
        let context = Context { logs: logs.clone(), ..as_begun(again, run, &paper.terms)? };
        tell_what_holds(&context, &paper.terms);
        let accounts = accounts::of_run(&context, run, &lanes, &paper.terms)?;
        request.reaches(&context, reach(&accounts));
        let mut hooks = Vec::new();
        if request.consent.may_send() {
            hooks = hooks_of(&context, &paper.terms, &plan_of(run, journal.path()))?;
            must_be_approved(&context, &paper, Path::new(&run.plan_path))?;
            must_be_as_sealed(&context, &paper, &accounts)?;
        }
        let unconfirmed = said_by_journal_alone(&context, &lanes, &paper.terms, begun_in)?;
        request.must_fit(&paper.terms)?;
        request.must_be_able_to_ask(Answers::Free)?;
        if let Some(unconfirmed) = unconfirmed {
            must_be_meant(context.console, run, unconfirmed)?;
        }
        Ok(Self { from: found, prepared: Prepared { context, request, paper, accounts, hooks } })
    }
}

impl<From> Ready<From> {
    /// Returns the plan or run, and the accounts.
    pub(super) fn parts(&self) -> (&From, &[Account]) {
        (&self.from, &self.prepared.accounts)
    }

    /// Returns the plan or run, and the rest. For whoever opens it, or stands by for it.
    pub(super) fn split(self) -> (From, Prepared) {
        (self.from, self.prepared)
    }

    /// Joins what was split again.
    #[cfg(feature = "cluster")]
    pub(super) fn joined(from: From, prepared: Prepared) -> Self {
        Self { from, prepared }
    }
}
