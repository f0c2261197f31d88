//! Sums of a run: the document `cutover.summary.v1`. `terminal` and `facts` tell the same to people.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::cut_off;
use super::error::ReportError;
use super::next::NextCommands;
use super::next::given::GivenByHand;
use super::steering::SteeringOf;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::event::verdict::Verdict;
use crate::journal::notices::NoticeOutcome;
use crate::journal::read::causes::Cause;
use crate::journal::read::ending::Ending;
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::journal::read::sums::{LaneTally, Sums, Tally, WaveTally};
use crate::journal::{Journal, JournalError, RunKey};
use crate::plan::paper::Paper;
use crate::plan::sealed::seal::Seal;
use crate::rollback::IfStopped;
use crate::settings::key::ENGINE;
use crate::waves::Terms;
use crate::whoami::Who;
use crate::wording::times::{serialize_time, time};

/// Most causes listed; the others are counted.
const MOST_CAUSES: u32 = 50;

/// Final document of `run`, `resume`, `retry`, `reconcile` and `status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub schema: &'static str,
    pub run: String,
    /// Key by which a schedule names it.
    pub run_key: Option<String>,
    pub plan: PlanOf,
    pub verdicts: Verdicts,
    pub unsettled: Unsettled,
    /// Rows that need no attention, including unverified ones where verification was switched off.
    pub on_target: u64,
    /// Rows on target for which verification was switched off.
    pub unproven: u64,
    pub attempts: u64,
    /// Changes on the wire while it runs; they count as attempts once their answers are known.
    pub under_way: u64,
    pub throttled: u64,
    pub exit: ExitOf,
    #[serde(serialize_with = "serialize_time")]
    pub started_at: Option<Timestamp>,
    pub elapsed_s: f64,
    pub journal: String,
    /// Anchor in the length in which people keep it.
    pub anchor: String,
    /// Anchor in its full length.
    pub anchor_hash: String,
    pub launches: u32,
    /// Beginning of the last launch.
    pub last_launch: Option<LaunchOf>,
    /// Set while a launch has not ended: it runs, or it was cut off.
    pub running: Option<Running>,
    pub waves: Vec<WaveTally>,
    pub lanes: Vec<LaneOf>,
    /// Accounts that wait for a worker on another machine: none that serves them is heard.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wait_for_worker: Vec<String>,
    /// Plan's own name, ticket and reason, its seal and its approvals.
    pub paper: PaperOf,
    /// Steering of the run, and the present wait.
    pub steering: SteeringOf,
    /// Rows that somebody else moved, as far as reads made for other rows showed it.
    pub moved: u64,
    /// Present if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_stopped: Option<IfStopped>,
    /// Causes for which rows are not on target, most frequent first.
    pub causes: Vec<Cause>,
    /// Commands to type next, with the facts that they depend on.
    #[serde(skip)]
    pub commands: NextCommands,
    #[serde(skip)]
    pub ending: Ending,
    /// Outcomes of notices that were not delivered. Documents about the run have them; reports in formats for programs do not, because
    /// nothing proves them.
    #[serde(skip)]
    pub undelivered: Vec<NoticeOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanOf {
    pub path: String,
    pub digest: String,
    pub rows: u32,
}

/// Numbers of rows of all eight verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    pub applied: u64,
    pub already: u64,
    pub unverified: u64,
    pub no_effect: u64,
    pub overtaken: u64,
    pub refused: u64,
    pub failed: u64,
    pub blocked: u64,
}

impl Verdicts {
    fn from_tally(tally: &Tally) -> Self {
        Self {
            applied: tally.settled_as(Verdict::Applied),
            already: tally.settled_as(Verdict::Already),
            unverified: tally.settled_as(Verdict::Unverified),
            no_effect: tally.settled_as(Verdict::NoEffect),
            overtaken: tally.settled_as(Verdict::Overtaken),
            refused: tally.settled_as(Verdict::Refused),
            failed: tally.settled_as(Verdict::Failed),
            blocked: tally.settled_as(Verdict::Blocked),
        }
    }

    #[must_use]
    pub fn get(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Applied => self.applied,
            Verdict::Already => self.already,
            Verdict::Unverified => self.unverified,
            Verdict::NoEffect => self.no_effect,
            Verdict::Overtaken => self.overtaken,
            Verdict::Refused => self.refused,
            Verdict::Failed => self.failed,
            Verdict::Blocked => self.blocked,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unsettled {
    pub pending: u64,
    pub in_doubt: u64,
    /// Rows in doubt whose request a launch that goes on has under way.
    #[serde(skip)]
    pub under_way: u64,
}

/// End of the last launch; without code and name if none has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExitOf {
    pub code: Option<u8>,
    pub name: Option<String>,
    pub reason: Option<String>,
}

/// Name, ticket, reason and approvals of a plan, as it states them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PaperOf {
    pub name: Option<String>,
    pub ticket: Option<String>,
    pub reason: Option<String>,
    pub require_approvals: u32,
    pub seal: Option<Seal>,
}

impl PaperOf {
    fn from_run(run: &RunRecord) -> Self {
        // A missing or altered paper counts as empty; `audit verify` finds an alteration.
        let Paper { terms, seal } = Paper::of_settings(&run.settings).unwrap_or_default();
        let Terms { name, ticket, reason, require_approvals, .. } = terms;
        Self { name, ticket, reason, require_approvals, seal }
    }
}

/// One account, with the sums of its rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneOf {
    #[serde(flatten)]
    pub lane: LaneRecord,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
    /// Rest of its wait for the quota, as of the summary; zero without one.
    #[serde(skip)]
    pub cools_for: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaunchOf {
    pub launch: u32,
    pub verb: String,
    pub at: String,
    pub pid: u32,
    pub host: String,
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub version: String,
    /// Values given to this launch by hand.
    #[serde(skip)]
    pub given: GivenByHand,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    pub pid: Option<u32>,
    pub host: Option<String>,
    #[serde(serialize_with = "serialize_time")]
    pub since: Option<Timestamp>,
}

impl Summary {
    /// Reads the summary of a run from one consistent read of the journal.
    pub fn from_journal(journal: &Journal, run: &RunRecord, journal_path: &Path) -> Result<Self, JournalError> {
        journal.at_one_instant(|| Self::now(journal, &journal.run(run.key)?, journal_path))
    }

    /// Reads the summary inside a consistent read that is already open.
    pub(super) fn now(journal: &Journal, run: &RunRecord, journal_path: &Path) -> Result<Self, JournalError> {
        let Sums { tally, waves, lanes, mixed } = journal.sums(run.key)?;
        let run = &cut_off::as_told(journal, run, &tally)?;
        let began = journal.last_launch(run.key)?;
        let elapsed_ms = cut_off::elapsed_ms(journal, run)?;
        let since = began.as_ref().map(|event| event.at);
        // An attempt under way may yet turn out throttled or unsent, and a displayed count would go down.
        let under_way = if run.running { tally.open } else { 0 };
        let mut commands = NextCommands::from_journal(journal, run, journal_path)?;
        let is_all_on_target = tally.on_target() == u64::from(run.n_rows);
        if !is_all_on_target {
            commands.needs_leave(|| journal.has_irreversible_left(run.key))?;
        }
        commands.mixed = mixed;
        let anchor = journal.anchor(run)?;
        Ok(Self {
            schema: "cutover.summary.v1",
            run: run.id.clone(),
            run_key: run.run_key.clone(),
            plan: PlanOf { path: run.plan_path.clone(), digest: run.plan_digest.clone(), rows: run.n_rows },
            verdicts: Verdicts::from_tally(&tally),
            unsettled: Unsettled {
                pending: tally.pending,
                in_doubt: tally.in_doubt,
                under_way: if commands.goes_on { tally.in_doubt - tally.lost } else { 0 },
            },
            on_target: tally.on_target(),
            unproven: tally.unproven_by_choice,
            attempts: tally.attempts - under_way,
            under_way,
            throttled: tally.throttled,
            exit: ExitOf { code: run.exit_code, name: run.exit_name.clone(), reason: run.exit_reason.clone() },
            started_at: run.started_at,
            elapsed_s: seconds(elapsed_ms),
            journal: journal_path.display().to_string(),
            anchor: anchor.to_string(),
            anchor_hash: anchor.whole(),
            launches: run.launches,
            last_launch: began.and_then(|event| launch_of(time(event.at), event.kind)),
            running: run.running.then(|| Running { pid: run.pid, host: run.host.clone(), since }),
            waves,
            paper: PaperOf::from_run(run),
            steering: SteeringOf::from_journal(journal, run)?,
            moved: journal.n_moved(run.key)?,
            if_stopped: None,
            wait_for_worker: wait_for_worker(journal, run, since)?,
            lanes: lanes_of(journal, run.key, &lanes, Timestamp::now())?,
            causes: if is_all_on_target { Vec::new() } else { journal.causes(run.key, MOST_CAUSES)? },
            commands,
            ending: journal.last_ending(run.key)?,
            undelivered: journal.undelivered(run.key)?,
        })
    }

    #[must_use]
    pub fn n_unsettled(&self) -> u64 {
        self.unsettled.pending + self.unsettled.in_doubt
    }

    /// Counts the settled rows that are not on target.
    #[must_use]
    pub fn n_need_a_look(&self) -> u64 {
        Verdict::ALL.into_iter().map(|verdict| self.verdicts.get(verdict)).sum::<u64>() - self.on_target
    }
}

/// Writes the summary as the one JSON document of the verbs that change something, and of `status`.
pub fn write_json(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    super::document::document(&SummaryDocument::new(summary), out)
}

/// Writes the summary on one line, to follow lines of events.
pub fn write_json_line(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &SummaryDocument::new(summary))?;
    writeln!(out)
}

/// Summary with what is told of notices about the run.
#[derive(Serialize)]
struct SummaryDocument<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    undelivered: Vec<UndeliveredNotice<'a>>,
}

#[derive(Serialize)]
struct UndeliveredNotice<'a> {
    launch: u32,
    at: String,
    receiver: &'a str,
    about: &'a str,
    tries: u32,
    problem: Option<&'a str>,
}

impl<'a> SummaryDocument<'a> {
    fn new(summary: &'a Summary) -> Self {
        let undelivered = summary.undelivered.iter().map(|outcome| UndeliveredNotice {
            launch: outcome.launch,
            at: time(outcome.at),
            receiver: &outcome.receiver,
            about: &outcome.about,
            tries: outcome.tries,
            problem: outcome.problem.as_deref(),
        });
        Self { summary, undelivered: undelivered.collect() }
    }
}

/// Reads the accounts of a run as they are at this time.
pub(crate) fn lanes_of(
    journal: &Journal,
    run: RunKey,
    tallies: &[LaneTally],
    now: Timestamp,
) -> Result<Vec<LaneOf>, JournalError> {
    let cooling = journal.cooling(run, now)?;
    let lanes = journal.lanes(run)?.into_iter().map(|lane| {
        let tally = tallies.iter().find(|tally| tally.lane == lane.lane);
        let (rows, settled, on_target) = tally.map_or((0, 0, 0), |tally| (tally.rows, tally.settled, tally.on_target));
        let cools_for = cooling.get(&lane.lane).copied().unwrap_or_default();
        LaneOf { lane, rows, settled, on_target, cools_for }
    });
    Ok(lanes.collect())
}

/// Returns the accounts of a run that goes on for which no worker is heard. Runs that their journal alone has know of no workers.
fn wait_for_worker(journal: &Journal, run: &RunRecord, since: Option<Timestamp>) -> Result<Vec<String>, JournalError> {
    let Some(since) = since.filter(|_| run.running && run.settings.get(ENGINE).is_some()) else {
        return Ok(Vec::new());
    };
    let served = journal.served(run.key, since)?;
    let lanes = journal.lanes(run.key)?.into_iter();
    let waits = |lane: &LaneRecord| lane.stopped.is_none() && served.get(&lane.lane) == Some(&None);
    Ok(lanes.filter(waits).map(|lane| lane.name).collect())
}

pub(crate) fn launch_of(at: String, began: EventKind) -> Option<LaunchOf> {
    let EventKind::Run(RunEvent::LaunchBegan { launch, verb, pid, host, user, who, version, given, cut_off_ms: _ }) =
        began
    else {
        return None;
    };
    Some(LaunchOf { launch, verb, at, pid, host, user, who, version, given })
}

pub(super) fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
