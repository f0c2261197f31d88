//! Next commands, written whole: each works as it is printed, in the folder in which it is printed. It names its run, its
//! journal where that is not the usual one, and what the last launch was given by hand and the next would do without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;

use super::plain::shell_word;
use super::status::Holder;
use crate::control::{self, Wait};
use crate::event::{Event, EventKind, Verdict};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::settings::keys::KEYS;
use crate::waves::Stage;
use crate::waves::zone::Zone;

/// The journal that is meant when nobody names another.
pub(crate) const USUAL_JOURNAL: &str = "cutover.db";

/// What a launch was given by hand: settings by their names, and leave.
pub type Given = BTreeMap<String, String>;

/// Leave that is no setting, as flags have it.
pub const YES: &str = "yes";
pub const IRREVERSIBLE: &str = "allow_irreversible";

/// What a launch that sends nothing has no flags for.
const OF_SENDING: [&str; 9] = [
    YES,
    IRREVERSIBLE,
    "max_drift",
    "window",
    "timezone",
    "deadline",
    "reserve_rollback",
    "ignore_forecast",
    "pause_file",
];
/// The verb whose launches send nothing.
const RECONCILE: &str = "reconcile";
const STOP_FILE: &str = "stop_file";
const DEADLINE: &str = "deadline";

/// Writes the commands of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextCommands {
    run: String,
    plan: String,
    journal: Option<String>,
    given: Given,
    /// The endpoints of its accounts; the sandbox's is `sandbox`.
    endpoints: Vec<String>,
    /// Something that is left has a target from which there is no way back, and nobody gave leave for that.
    pub(super) lacks_leave: bool,
    /// A launch holds the run now: any other would be turned away.
    pub(super) goes_on: bool,
    /// The deadline that the run itself has came before its last launch ended.
    pub(super) deadline_is_over: bool,
}

/// ` --journal PATH`, unless it is the usual one.
#[must_use]
pub(crate) fn journal_flag(path: &Path) -> String {
    if path == Path::new(USUAL_JOURNAL) {
        return String::new();
    }
    format!(" --journal {}", shell_word(&path.display().to_string()))
}

/// Settings and leave as flags, each with a blank before it. What they were given as comes out of a journal, which anybody
/// may have written: a name that is no flag is left out, and a value is never more than one word of the shell.
#[must_use]
pub fn flags<'a>(given: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = String::new();
    for (key, value) in given.into_iter().filter(|(key, _)| is_flag(key)) {
        let flag = key.replace('_', "-");
        _ = match (key.as_str(), value.as_str()) {
            (YES | IRREVERSIBLE, _) | ("reserve_rollback" | "ignore_forecast", "on") => write!(text, " --{flag}"),
            ("reserve_rollback" | "ignore_forecast", _) => write!(text, " --{flag}={}", shell_word(value)),
            // What begins like a flag would be one.
            (_, value) if value.starts_with('-') => write!(text, " --{flag}={}", shell_word(value)),
            (_, value) => write!(text, " --{flag} {}", shell_word(value)),
        };
    }
    text
}

fn is_flag(key: &str) -> bool {
    matches!(key, YES | IRREVERSIBLE) || KEYS.iter().any(|known| known.name == key)
}

impl NextCommands {
    /// After the last launch of a run, or while it goes on.
    pub fn of(journal: &Journal, run: &RunRecord, path: &Path) -> Result<Self, JournalError> {
        let mut given = passed_on(journal.launches_back(run.key)?);
        if let Some(ended) = run.ended_at {
            drop_what_is_over(&mut given, ended);
        }
        let endpoints = journal.lanes(run.key)?.into_iter().map(|lane| lane.endpoint).collect();
        let of_run = run.settings.get(DEADLINE).and_then(|text| text.as_str()?.parse::<Timestamp>().ok());
        let deadline_is_over = !given.contains_key(DEADLINE)
            && matches!((of_run, run.ended_at), (Some(deadline), Some(ended)) if deadline <= ended);
        let goes_on = run.running && Holder::of(path, run) == Holder::Alive;
        Ok(Self { endpoints, goes_on, deadline_is_over, ..Self::new(run, path, given) })
    }

    /// Of a launch that is about to begin.
    #[must_use]
    pub fn new(run: &RunRecord, journal: &Path, given: Given) -> Self {
        let journal = (journal != Path::new(USUAL_JOURNAL)).then(|| journal.display().to_string());
        let (run, plan) = (run.id.clone(), run.plan_path.clone());
        Self { run, plan, journal, given, ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(run: &str, given: &[(&str, &str)]) -> Self {
        let given = given.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        Self { run: run.to_owned(), plan: "plan.csv".to_owned(), given, ..Self::default() }
    }

    /// For a launch after this time.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Self {
        let mut after = self.clone();
        drop_what_is_over(&mut after.given, at);
        after
    }

    /// What the last launch was given by hand.
    #[must_use]
    pub fn into_given(self) -> Given {
        self.given
    }

    /// Whether leave for what cannot be undone was given goes with each launch; whether any is needed, the rows say.
    pub(super) fn needs_leave<E>(&mut self, is_needed: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        self.lacks_leave = !self.given.contains_key(IRREVERSIBLE) && is_needed()?;
        Ok(())
    }

    fn written(&self, verb: &str, words: &[&str], flags: &str) -> String {
        let mut text = format!("cutover {verb}");
        for word in words {
            _ = write!(text, " {}", shell_word(word));
        }
        let journal = self.journal.as_deref().map_or_else(String::new, |path| journal_flag(Path::new(path)));
        text + flags + &journal
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

    /// With what the last launch did not have.
    #[must_use]
    pub fn resume_with(&self, more: &[(&str, &str)]) -> String {
        self.written("resume", &[&self.run], &self.launch_flags(more))
    }

    /// With leave for a wave.
    #[must_use]
    pub fn resume_approving(&self, wave: &str) -> String {
        let flags = format!(" --approve {}{}", shell_word(wave), self.launch_flags(&[]));
        self.written("resume", &[&self.run], &flags)
    }

    /// A plan of its own for the same accounts, such as the way back.
    #[must_use]
    pub fn run(&self, plan: &Path) -> String {
        let plan = plan.display().to_string();
        self.written("run", &[&plan], &(self.endpoint_flag() + &self.launch_flags(&[])))
    }

    #[must_use]
    pub fn check(&self, plan: &Path) -> String {
        format!("cutover check {}", shell_word(&plan.display().to_string()))
    }

    #[must_use]
    pub fn retry(&self, verdict: Verdict) -> String {
        let flags = format!(" --only {verdict}{}", self.launch_flags(&[]));
        self.written("retry", &[&self.run], &flags)
    }

    #[must_use]
    pub fn reconcile(&self) -> String {
        let looks = |(key, _): &(&String, &String)| !OF_SENDING.contains(&key.as_str()) && *key != STOP_FILE;
        self.written("reconcile", &[&self.run], &flags(self.given.iter().filter(looks)))
    }

    #[must_use]
    pub fn control(&self, words: &[&str]) -> String {
        self.written("control", &[&[self.run.as_str()], words].concat(), "")
    }

    /// What a wait is for, after "waiting" or "it waits", and the command that ends it where there is one.
    #[must_use]
    pub fn waiting(&self, cause: Wait, stage: &Stage, until: Option<Timestamp>, zone: Option<&Zone>) -> String {
        let what = control::waits_for(cause, stage, until, zone);
        match (cause, stage.wave.as_deref()) {
            (Wait::Approval, Some(wave)) => format!("{what}: `{}` gives it", self.control(&["release", wave])),
            (Wait::Approval, None) | (Wait::Soak | Wait::Window, _) => what,
        }
    }

    #[must_use]
    pub fn explain(&self, source_id: &str) -> String {
        self.written("explain", &[source_id], &format!(" --run {}", shell_word(&self.run)))
    }

    #[must_use]
    pub fn status(&self) -> String {
        self.written("status", &[&self.run], "")
    }

    /// Where it stands, again and again until it ends.
    #[must_use]
    pub fn watch(&self) -> String {
        self.written("status", &[&self.run], " --watch")
    }

    #[must_use]
    pub fn report(&self, format: &str) -> String {
        self.written("report", &[&self.run], &format!(" --format {format}"))
    }

    #[must_use]
    pub fn verify(&self, anchor: &str) -> String {
        self.written("audit verify", &[&self.run], &format!(" --anchor {}", shell_word(anchor)))
    }

    #[must_use]
    pub fn export(&self) -> String {
        self.written("audit export", &[&self.run], &format!(" -o {}", shell_word(&format!("{}.zip", self.run))))
    }

    /// The service's own word about a source, where one endpoint is meant; the sandbox's servers are gone with it.
    #[must_use]
    pub fn show(&self, source_id: &str) -> String {
        match self.endpoint() {
            Some(endpoint) if endpoint != "sandbox" => {
                self.written("sources show", &[source_id], &self.way_flags(Some(endpoint)))
            }
            Some(_) | None => self.explain(source_id),
        }
    }

    /// A look at endpoint, credentials and permissions; the endpoint is named where there is one.
    #[must_use]
    pub fn doctor(&self) -> String {
        self.written("doctor", &[], &self.way_flags(self.endpoint()))
    }

    /// A sealed plan sealed anew, for the states of now.
    #[must_use]
    pub fn seal_again(&self) -> String {
        let flags = format!(" -o {} --force{}", shell_word(&self.plan), self.way_flags(self.endpoint()));
        self.written("plan", &[&self.plan], &flags)
    }

    /// Where one is meant; of several, each has its profile's.
    fn endpoint(&self) -> Option<&str> {
        match &self.endpoints[..] {
            [endpoint] => Some(endpoint),
            _ => None,
        }
    }

    fn endpoint_flag(&self) -> String {
        self.endpoint().map_or_else(String::new, |endpoint| format!(" --endpoint {}", shell_word(endpoint)))
    }

    fn way_flags(&self, endpoint: Option<&str>) -> String {
        let of_way = |(key, _): &(&String, &String)| {
            ["ca_bundle", "timeout", "connect_timeout", "read_timeout"].contains(&key.as_str())
        };
        let endpoint = endpoint.map_or_else(String::new, |endpoint| format!(" --endpoint {}", shell_word(endpoint)));
        endpoint + &flags(self.given.iter().filter(of_way))
    }

    /// The file that stops every launch that is told of it, for as long as it is there.
    pub(super) fn stop_file(&self) -> Option<&str> {
        self.given.get(STOP_FILE).map(String::as_str)
    }
}

/// A deadline that a launch came to is none for the next.
fn drop_what_is_over(given: &mut Given, at: Timestamp) {
    let deadline = given.get(DEADLINE).and_then(|text| text.parse::<Timestamp>().ok());
    if deadline.is_some_and(|deadline| deadline <= at) {
        given.remove(DEADLINE);
    }
}

/// What the next launch would be given, from the launches before it, the last one first: one that only looked passes on what
/// the one before it had.
fn passed_on(launches: Vec<Event>) -> Given {
    let mut passed_on = Given::new();
    for (given, only_looked) in launches.into_iter().filter_map(|began| given_of(began.kind)) {
        for (name, value) in given {
            passed_on.entry(name).or_insert(value);
        }
        if !only_looked {
            break;
        }
    }
    passed_on
}

/// And whether it only looked.
fn given_of(began: EventKind) -> Option<(Given, bool)> {
    let EventKind::LaunchBegan { given, verb, .. } = began else { return None };
    Some((given, verb == RECONCILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LaneId;

    /// A launch by this verb that was given this rate, as the journal has it.
    fn launch(verb: &str, rate: Option<&str>) -> Event {
        let given = rate.map(|rate| ("rate".to_owned(), rate.to_owned())).into_iter().collect();
        let kind = EventKind::LaunchBegan {
            launch: 1,
            verb: verb.to_owned(),
            pid: 1,
            host: String::new(),
            user: None,
            version: String::new(),
            given,
            cut_off_ms: 0,
        };
        Event { lane: LaneId::RUN, seq: 1, at: Timestamp::UNIX_EPOCH, kind }
    }

    #[test]
    fn a_launch_that_only_looked_passes_on_what_the_one_before_it_was_given() {
        let rate = |launches: Vec<Event>| passed_on(launches).get("rate").cloned();
        let (looked, looked_slower) = (|| launch("reconcile", None), || launch("reconcile", Some("2")));
        let (carried, carried_before) = (|| launch("run", Some("5")), || launch("resume", Some("9")));
        assert_eq!(rate(vec![looked(), carried(), carried_before()]).as_deref(), Some("5"));
        assert_eq!(rate(vec![looked(), looked_slower(), carried()]).as_deref(), Some("2"), "the last one that says it");
        assert_eq!(rate(vec![launch("resume", None), carried()]), None, "what was not given again holds no more");
    }

    #[test]
    fn what_a_journal_says_was_given_is_flags_of_ours_and_one_word_each() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[("rate", "5"), ("yes", "on")], " --rate 5 --yes"),
            (&[("reserve_rollback", "on"), ("ignore_forecast", "off")], " --reserve-rollback --ignore-forecast=off"),
            (&[("reserve_rollback", "off; rm -rf ~")], " --reserve-rollback='off; rm -rf ~'"),
            (&[("window", "$(id)"), ("deadline", "-x `id`")], " --window '$(id)' --deadline='-x `id`'"),
            (&[("rate 5; rm -rf ~; true", "x"), ("x", "y"), ("", "")], ""),
            (&[("rate", "5\n\u{202e}6")], " --rate '5\\n\\u{202e}6'"),
            (&[("allow_irreversible", "; id")], " --allow-irreversible"),
        ];
        for (given, expected) in cases {
            let given: Vec<_> = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(flags(given.iter().map(|(key, value)| (key, value))), expected, "{given:?}");
        }
    }
}
