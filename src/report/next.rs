//! Commands to type next, complete: each works as printed, in the folder in which it is printed. It names its run, its journal
//! where that is not the default, and what was given to the last launch by hand and has to be given again.

use std::path::Path;

use jiff::Timestamp;

use super::holder::Holder;
use crate::control::{self, Wait};
use crate::event::verdict::{Ground, Verdict};
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::cause::Only;
use crate::plan::paper::Paper;
use crate::plan::sealed::seal::Seal;
use crate::settings::key::Lifetime;
use crate::settings::keys::KEYS;
use crate::settings::names::CONFIG_FLAG;
use crate::values::zone::Zone;
use crate::waves::{Stage, UNNAMED};
use crate::wording::amounts::{count, is_or_are};

pub(crate) mod flags;
pub mod given;

use flags::{USUAL_JOURNAL, flag, flags, is_of_sending, journal_flag, output, written};
use given::{DEADLINE, GivenByHand, IRREVERSIBLE, REPORT, WINDOW, drop_what_is_over, passed_on};

/// Endpoint of the accounts of a run that is a rehearsal in this process.
const SANDBOX: &str = "sandbox";

/// Writer of the commands of one run.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextCommands {
    run: String,
    plan: String,
    journal: Option<String>,
    given: GivenByHand,
    /// Endpoints of the run's accounts; that of the sandbox is `sandbox`.
    endpoints: Vec<String>,
    /// Profile of a run with one account, if it has one.
    profile: Option<String>,
    /// Seal of a sealed plan.
    seal: Option<Seal>,
    pub(super) require_approvals: u32,
    /// Rows without a verdict: any launch that goes on with the run goes on with all of them.
    n_unsettled: u64,
    /// Verdicts that rows have for more than one cause: a retry of one cause has to name it.
    pub(super) mixed: Vec<Verdict>,
    /// True if a target that is left has no way back, and leave for that was not given.
    pub(super) lacks_leave: bool,
    /// True if a launch holds the run now: any other would be refused.
    pub(super) goes_on: bool,
    /// True if nothing of the run is recorded, not even its beginning: it cannot be resumed.
    never_begun: bool,
    /// True if the run's own deadline came before its last launch ended.
    pub(super) deadline_is_over: bool,
    /// True if the deadline given to the last launch came before that ended; it no longer holds.
    pub(super) given_deadline_is_over: bool,
    /// True if a daily window is set, by hand or with the run.
    pub(super) has_window: bool,
    /// True if a deadline is set, by hand or with the run.
    pub(super) has_deadline: bool,
}

impl NextCommands {
    /// Reads what the commands of a run need: after its last launch, or while that goes on.
    pub fn from_journal(journal: &Journal, run: &RunRecord, path: &Path) -> Result<Self, JournalError> {
        let began = journal.launches_back(run.key)?;
        let mut given = if began.is_empty() { journal.given_at_first(run.key)? } else { passed_on(began) };
        let given_deadline_is_over = run.ended_at.is_some_and(|ended| drop_what_is_over(&mut given, ended));
        let lanes = journal.lanes(run.key)?;
        let profile = profile_of_run(run, &lanes);
        let endpoints = lanes.into_iter().map(|lane| lane.endpoint).collect();
        let of_run = run.settings.get(DEADLINE).and_then(|text| text.as_str()?.parse::<Timestamp>().ok());
        let deadline_is_over = !given.contains_key(DEADLINE)
            && matches!((of_run, run.ended_at), (Some(deadline), Some(ended)) if deadline <= ended);
        let goes_on = run.running && Holder::look_up(journal.path(), run) == Holder::Alive;
        let n_unsettled = journal.count_unsettled(run.key)?;
        Ok(Self {
            endpoints,
            profile,
            n_unsettled,
            goes_on,
            never_begun: journal.is_unrecorded(run.key)?,
            deadline_is_over,
            given_deadline_is_over,
            ..Self::new(run, path, given)
        })
    }

    /// Makes the commands for a launch that is about to begin.
    #[must_use]
    pub fn new(run: &RunRecord, journal: &Path, given: GivenByHand) -> Self {
        let journal = (journal != Path::new(USUAL_JOURNAL)).then(|| journal.display().to_string());
        let Paper { seal, terms } = Paper::of_settings(&run.settings).unwrap_or_default();
        let is_set = |key: &str| {
            let of_run = run.settings.get(key).and_then(serde_json::Value::as_str);
            given.get(key).map(String::as_str).or(of_run).is_some_and(|text| text != "off")
        };
        let (has_window, has_deadline) = (is_set(WINDOW), is_set(DEADLINE));
        let (run, plan) = (run.id.clone(), run.plan_path.clone());
        let require_approvals = terms.require_approvals;
        Self { run, plan, journal, given, seal, require_approvals, has_window, has_deadline, ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(run: &str, given: &[(&str, &str)]) -> Self {
        let given = given.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        Self { run: run.to_owned(), plan: "plan.csv".to_owned(), given, ..Self::default() }
    }

    /// Returns the commands for a launch after this time: a deadline that is over by then is dropped.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Self {
        let mut after = self.clone();
        drop_what_is_over(&mut after.given, at);
        after
    }

    /// Returns what was given to the last launch by hand.
    #[must_use]
    pub fn into_given(self) -> GivenByHand {
        self.given
    }

    /// Asks whether something that is left needs leave for targets without a way back. A run that was given such leave is not
    /// asked about: the leave goes with each launch.
    pub(super) fn needs_leave<E>(&mut self, is_needed: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        self.lacks_leave = !self.given.contains_key(IRREVERSIBLE) && is_needed()?;
        Ok(())
    }

    fn written(&self, verb: &str, words: &[&str], flags: &str) -> String {
        let journal = self.journal.as_deref().map_or_else(String::new, |path| journal_flag(Path::new(path)));
        written(verb, words, &format!("{flags}{journal}"))
    }

    fn launch_flags(&self, more: &[(&str, &str)]) -> String {
        let mut given = self.given.clone();
        given.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        flags(&given)
    }

    #[must_use]
    pub fn resume(&self) -> String {
        self.resume_with(&[])
    }

    /// Goes on with the run, with these values besides those of the last launch.
    #[must_use]
    pub fn resume_with(&self, more: &[(&str, &str)]) -> String {
        if self.never_begun {
            return self.run_again();
        }
        self.written("resume", &[&self.run], &self.launch_flags(more))
    }

    /// Goes on with the run, with leave for a wave.
    #[must_use]
    pub fn resume_approving(&self, wave: &str) -> String {
        let flags = flag("approve", wave) + &self.launch_flags(&[]);
        self.written("resume", &[&self.run], &flags)
    }

    /// Runs another plan for the same accounts, such as a rollback plan.
    #[must_use]
    pub fn run(&self, plan: &Path) -> String {
        let plan = plan.display().to_string();
        // The path of the report, and limits that belong to this run, do not go along.
        let is_of_this_one =
            |key: &str| key == REPORT || KEYS.iter().any(|known| known.name == key && known.lifetime == Lifetime::Run);
        let given = self.beside_endpoint().filter(|(key, _)| !is_of_this_one(key));
        self.written("run", &[&plan], &(self.endpoint_flag() + &flags(given)))
    }

    /// Runs the plan of this run again, after it was sealed anew.
    #[must_use]
    pub fn run_again(&self) -> String {
        let flags = self.endpoint_flag() + &flags(self.beside_endpoint());
        self.written("run", &[&self.plan], &flags)
    }

    /// Returns the settings given by hand, without the endpoint where that is named separately.
    fn beside_endpoint(&self) -> impl Iterator<Item = (&String, &String)> {
        let is_named = self.endpoint().is_some();
        self.given.iter().filter(move |(key, _)| !(is_named && ["endpoint", "region"].contains(&key.as_str())))
    }

    #[must_use]
    pub fn check(&self, plan: &Path) -> String {
        written("check", &[&plan.display().to_string()], &self.config_flag())
    }

    /// Retries the rows that have a verdict for one cause and no others, with these values besides those of the last launch.
    #[must_use]
    pub fn retry(&self, verdict: Verdict, cause: &str, more: &[(&str, &str)]) -> String {
        let is_named = cause == Ground::Skipped.name() || self.mixed.contains(&verdict);
        let only = Only { verdict, cause: is_named.then(|| cause.to_owned()) };
        self.written("retry", &[&self.run], &(flag("only", &only.to_string()) + &self.launch_flags(more)))
    }

    /// Retries one row, whatever its verdict.
    #[must_use]
    pub fn retry_row(&self, source_id: &str, more: &[(&str, &str)]) -> String {
        self.written("retry", &[&self.run], &(flag("row", source_id) + &self.launch_flags(more)))
    }

    /// Says what a retry also does: it goes on with every row that has no verdict.
    #[must_use]
    pub(super) fn besides(&self) -> String {
        match self.n_unsettled {
            0 => String::new(),
            n => {
                format!("; this also goes on with {} that {} left", count(n, "row"), is_or_are(n))
            }
        }
    }

    #[must_use]
    pub fn reconcile(&self) -> String {
        let looks = |(key, _): &(&String, &String)| !is_of_sending(key);
        self.written("reconcile", &[&self.run], &flags(self.given.iter().filter(looks)))
    }

    #[must_use]
    pub fn control(&self, words: &[&str]) -> String {
        self.written("control", &[&[self.run.as_str()], words].concat(), "")
    }

    /// Says what a wait is for, after "waiting" or "it waits", with the command that ends it where there is one.
    #[must_use]
    pub fn waiting(&self, cause: Wait, stage: &Stage, until: Option<Timestamp>, zone: Option<&Zone>) -> String {
        let what = control::waits_for(cause, stage, until, zone);
        match (cause, stage.wave.as_deref()) {
            (Wait::Approval, Some(wave)) => format!("{what}: `{}` gives it", self.control(&["release", wave])),
            (Wait::Approval, None) | (Wait::Soak | Wait::Window, _) => what,
        }
    }

    /// Lifts the pause of the run, also of one that no launch carries now.
    #[must_use]
    pub fn goes_on_after_pause(&self) -> String {
        self.control(&["continue"])
    }

    #[must_use]
    pub fn explain(&self, source_id: &str) -> String {
        self.written("explain", &[source_id], &flag("run", &self.run))
    }

    #[must_use]
    pub fn status(&self) -> String {
        self.written("status", &[&self.run], "")
    }

    /// Shows the status again and again until the run ends.
    #[must_use]
    pub fn watch(&self) -> String {
        self.written("status", &[&self.run], " --watch")
    }

    #[must_use]
    pub fn report(&self, format: &str) -> String {
        self.written("report", &[&self.run], &flag("format", format))
    }

    /// Returns the command that writes a report to a file.
    pub(crate) fn report_to(&self, format: &str, path: &Path) -> String {
        self.written("report", &[&self.run], &format!("{}{}", flag("format", format), output(&path.to_string_lossy())))
    }

    #[must_use]
    pub fn verify(&self, anchor: &str) -> String {
        self.written("audit verify", &[&self.run], &flag("anchor", anchor))
    }

    #[must_use]
    pub fn export(&self) -> String {
        self.written("audit export", &[&self.run], &output(&format!("{}.zip", self.run)))
    }

    /// Shows what the service says about a source, where the run has one endpoint. The sandbox's servers end with it, so that its
    /// rows are explained from the journal instead.
    #[must_use]
    pub fn show(&self, source_id: &str) -> String {
        match self.endpoint() {
            Some(endpoint) if endpoint != SANDBOX => {
                self.written("sources show", &[source_id], &self.way_flags(self.profile.as_deref()))
            }
            Some(_) | None => self.explain(source_id),
        }
    }

    /// Looks at endpoint, credentials and permissions of the run's account; of all profiles where it has several accounts.
    #[must_use]
    pub fn doctor(&self) -> String {
        self.written("doctor", &[], &self.way_flags(self.profile.as_deref()))
    }

    /// Seals a sealed plan again, for the states of now, in the name of whoever sealed it before.
    #[must_use]
    pub fn seal_again(&self) -> String {
        let name = self.seal.as_ref().map_or_else(String::new, |seal| flag("as", &seal.sealed_by));
        let profile = self.given.get("profile").map(String::as_str);
        let flags = format!("{} --force{name}{}", output(&self.plan), self.way_flags(profile));
        self.written("plan", &[&self.plan], &flags)
    }

    /// Approves the plan, for each of those who agree: their names are theirs to fill in.
    #[must_use]
    pub fn approve(&self) -> String {
        written("approve", &[&self.plan], &format!(" --as NAME{}", self.config_flag()))
    }

    fn config_flag(&self) -> String {
        flags(self.given.iter().filter(|(key, _)| key.as_str() == CONFIG_FLAG))
    }

    /// Returns the endpoint of a run with one; with several, each account has that of its profile.
    fn endpoint(&self) -> Option<&str> {
        match &self.endpoints[..] {
            [endpoint] => Some(endpoint),
            _ => None,
        }
    }

    fn endpoint_flag(&self) -> String {
        self.endpoint().map_or_else(String::new, |endpoint| flag("endpoint", endpoint))
    }

    /// Flags that lead to the run's account in this profile; with several accounts, to the settings that have them.
    fn way_flags(&self, profile: Option<&str>) -> String {
        let of_way = |(key, _): &(&String, &String)| {
            ["ca_bundle", "timeout", "connect_timeout", "read_timeout", CONFIG_FLAG].contains(&key.as_str())
        };
        let profile = profile.map_or_else(String::new, |profile| flag("profile", profile));
        self.endpoint_flag() + &profile + &flags(self.given.iter().filter(of_way))
    }
}

/// Profile of a run with one account: that of its lane, which the plan may call otherwise. The sandbox needs none.
fn profile_of_run(run: &RunRecord, lanes: &[LaneRecord]) -> Option<String> {
    let [lane] = lanes else { return None };
    if lane.name == UNNAMED || lane.endpoint == SANDBOX {
        return None;
    }
    let terms = Paper::of_settings(&run.settings).unwrap_or_default().terms;
    Some(terms.profile_of(&lane.name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_begins_like_a_flag_is_taken_for_a_word() {
        let mut commands = NextCommands::for_tests("r1", &[("yes", "on"), ("report", "my report.html")]);
        commands.journal = Some("-n.db".to_owned());
        assert_eq!(commands.explain("-rf"), "cutover explain --run r1 --journal='-n.db' -- '-rf'");
        assert_eq!(commands.check(Path::new("-p $x.csv")), "cutover check -- '-p $x.csv'");
        let retry = "cutover retry r1 --row='-it'\\''s' --report 'my report.html' --yes --journal='-n.db'";
        assert_eq!(commands.retry_row("-it's", &[]), retry);
        assert_eq!(commands.control(&["skip", "-x"]), "cutover control --journal='-n.db' -- r1 skip '-x'");
    }
}
