//! Check of the sums: tables `row`, `run` and `lane` hold what the events add up to, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

use super::finding::{Finding, Findings};
use crate::control::{By, Command};
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::run::{LanePlace, RunEvent, is_shared};
use crate::event::stored;
use crate::exit::Exit;
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::journal::stored::{EventOrder, StoredCommand, StoredEvent, StoredStanding};
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// Rows that are read at once, beside the events.
const PAGE: u32 = 500;
/// Rows that a thread compares at a time.
const PORTION: u32 = 20_000;

/// Reads an event; the error is the finding that this program cannot read it.
pub(super) fn read(event: &StoredEvent<'_>) -> Result<EventKind, Finding> {
    let (lane, seq) = (event.lane, event.seq);
    // Minor versions may add kinds without a new schema.
    if !stored::is_known(event.kind) {
        return Err(Finding::UnknownKind { lane, seq, kind: event.kind.to_owned() });
    }
    event.read().map_err(|error| Finding::Unreadable { lane, seq, error: error.to_string() })
}

/// Rows of a run in portions, shared by the threads that compare: each portion goes to the first that asks.
pub(super) struct Portions {
    next: AtomicU32,
    n_portions: u32,
}

impl Portions {
    pub(super) fn new(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let last = journal.last_row(run.key)?.map_or(0, |last| last.0);
        Ok(Self { next: AtomicU32::new(0), n_portions: last / PORTION + 1 })
    }

    /// Returns the number of the next portion, its first row and its last. The last portion extends to rows beyond the plan.
    pub(super) fn take(&self) -> Option<(u32, RowId, RowId)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let first = n.saturating_mul(PORTION);
        let last = if n + 1 < self.n_portions { first.saturating_add(PORTION - 1) } else { u32::MAX };
        (n < self.n_portions).then_some((n, RowId(first), RowId(last)))
    }
}

/// Compares the rows of all portions that no thread has taken yet. Returns the findings by the number of their portion.
pub(super) fn check(
    journal: &Journal,
    run: &RunRecord,
    portions: &Portions,
) -> Result<Vec<(u32, Findings)>, JournalError> {
    let mut found = Vec::new();
    while let Some((n, first, last)) = portions.take() {
        let findings = check_portion(journal, run, first, last)?;
        if findings.n_found > 0 {
            found.push((n, findings));
        }
    }
    Ok(found)
}

/// Adds up the events of each row, one row in memory at a time, and compares the sum with what is stored.
fn check_portion(journal: &Journal, run: &RunRecord, first: RowId, last: RowId) -> Result<Findings, JournalError> {
    let mut findings = Findings::default();
    let mut rows = StoredRows { journal, run, page: VecDeque::new(), after: first.0.checked_sub(1).map(RowId), last };
    let mut open: Option<Folded> = None;
    let mut text = String::new();
    journal.for_each_stored_event(run.key, EventOrder::ByRow { first, last }, |event| {
        let row = RowId(event.row.expect("only events of rows were asked for"));
        if open.as_ref().is_none_or(|open| open.row != row) {
            if let Some(done) = open.take() {
                rows.compare(&done, &mut findings)?;
            }
            open = Some(Folded { row, last: (event.lane, event.seq), standing: Ok(Standing::untouched(run.rules)) });
        }
        open.as_mut().expect("set above").add(&event, &mut text, &mut findings);
        Ok::<(), JournalError>(())
    })?;
    if let Some(done) = open {
        rows.compare(&done, &mut findings)?;
    }
    while let Some(stored) = rows.next()? {
        differs(&Standing::default(), &stored, &mut findings);
    }
    Ok(findings)
}

/// Sum of a row's events so far.
struct Folded {
    row: RowId,
    last: (LaneId, u64),
    /// Error after an event that could not be added: there is nothing to compare with.
    standing: Result<Standing, Unknowable>,
}

struct Unknowable;

impl Folded {
    fn add(&mut self, event: &StoredEvent<'_>, text: &mut String, findings: &mut Findings) {
        self.last = (event.lane, event.seq);
        let Ok(standing) = &mut self.standing else { return };
        let at = Timestamp::from_millisecond(event.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let added = read(event).and_then(|kind| {
            if !event.is_spelled_as_written(&kind, text) {
                findings.add(Finding::Respelled { lane: event.lane, seq: event.seq });
            }
            match &kind {
                EventKind::Row(row, what) => standing.add(*row, what, at),
                EventKind::Lane(_) | EventKind::Run(_) => Ok(()),
            }
            .map_err(|step| Finding::impossible(event.lane, event.seq, &step))
        });
        if let Err(finding) = added {
            findings.add(finding);
            self.standing = Err(Unknowable);
        }
    }
}

/// Stored rows, page by page.
struct StoredRows<'a> {
    journal: &'a Journal,
    run: &'a RunRecord,
    page: VecDeque<StoredStanding>,
    after: Option<RowId>,
    /// Last row of the portion.
    last: RowId,
}

impl StoredRows<'_> {
    fn peek(&mut self) -> Result<Option<&StoredStanding>, JournalError> {
        if self.page.is_empty() {
            self.page = self.journal.standings(self.run.key, self.after, PAGE)?.into();
            if let Some(stored) = self.page.back() {
                self.after = Some(stored.row);
            }
        }
        Ok(self.page.front().filter(|stored| stored.row <= self.last))
    }

    fn next(&mut self) -> Result<Option<StoredStanding>, JournalError> {
        let is_there = self.peek()?.is_some();
        Ok(if is_there { self.page.pop_front() } else { None })
    }

    /// Compares the stored rows up to this one: those before it have no events and must be untouched.
    fn compare(&mut self, folded: &Folded, findings: &mut Findings) -> Result<(), JournalError> {
        while let Some(stored) = self.peek()?
            && stored.row <= folded.row
        {
            let Some(stored) = self.next()? else { break };
            match &folded.standing {
                _ if stored.row < folded.row => differs(&Standing::default(), &stored, findings),
                Ok(standing) => differs(standing, &stored, findings),
                Err(Unknowable) => (),
            }
            if stored.row == folded.row {
                return Ok(());
            }
        }
        let (lane, seq) = folded.last;
        findings.add(Finding::NoSuchRow { lane, seq, row: folded.row });
        Ok(())
    }
}

fn differs(folded: &Standing, stored: &StoredStanding, findings: &mut Findings) {
    let StoredStanding { row, standing: stored, on_target } = stored;
    let mut columns = folded.unlike(stored);
    if folded.is_on_target() != *on_target {
        columns.push("on_target");
    }
    if !columns.is_empty() {
        findings.add(Finding::RowDiffers { row: *row, columns });
    }
}

fn unequal(same: &[(&'static str, bool)]) -> Option<Vec<&'static str>> {
    let columns: Vec<_> = same.iter().filter(|(_, same)| !same).map(|(column, _)| *column).collect();
    if columns.is_empty() { None } else { Some(columns) }
}

fn is_spelled(value: &impl serde::Serialize, text: &str) -> bool {
    serde_json::to_string(value).is_ok_and(|spelled| spelled == text)
}

/// Command that a launch took. In a run that machines share, each of them numbers the commands that were given to it.
#[derive(Clone)]
struct TakenCommand {
    command: Command,
    by: By,
    at_ms: i64,
}

impl TakenCommand {
    /// Tells whether it is the one that was given, by what is stored of that.
    fn is_of(&self, command: &str, given_by: &str) -> bool {
        let given: Option<Command> = serde_json::from_str(command).ok();
        let is_meant = given.is_some_and(|given| is_spelled(&given, command) && given.is_taken_as(&self.command));
        is_meant && is_spelled(&self.by, given_by)
    }
}

/// Sum of the events that name no row.
#[derive(Default)]
pub(super) struct OwnSums {
    /// Plan digest, number of rows and settings with which the run began.
    began: Option<(String, u32, serde_json::Value)>,
    launches: u32,
    /// Process and host of the last launch.
    launched: Option<(u32, String)>,
    running: bool,
    exit: Option<(Exit, Option<String>)>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    elapsed_ms: u64,
    /// Lanes with which the run began; empty in journals of the first version.
    places: Vec<LanePlace>,
    rules: Option<Rules>,
    run_key: Option<String>,
    /// Absent in journals of earlier versions.
    pub(super) layout: Option<String>,
    lanes: BTreeMap<LaneId, LaneSum>,
    /// Commands that launches took from table `control`, with the time in milliseconds.
    taken: BTreeMap<i64, Vec<TakenCommand>>,
}

#[derive(Default, PartialEq)]
struct LaneSum {
    throttled: u64,
    quota: Option<(f64, bool)>,
    learned_at: Option<Timestamp>,
    cooled_until: Option<Timestamp>,
    /// Reason for which the last launch stopped the lane.
    stopped: Option<String>,
}

impl LaneSum {
    fn add(&mut self, at_ms: i64, event: &LaneEvent) {
        match event {
            LaneEvent::QuotaLearned { per_second, stated } => {
                self.quota = Some((*per_second, *stated));
                self.learned_at = Timestamp::from_millisecond(at_ms).ok();
            }
            LaneEvent::ReadThrottled { retry_after_ms, .. } => {
                self.throttled += 1;
                self.cool(at_ms, *retry_after_ms);
            }
            LaneEvent::CoolDownBegan { wait_ms, cause: _ } => self.cool(at_ms, Some(*wait_ms)),
            // The table of lanes has nothing of it.
            LaneEvent::Served { .. } => (),
            LaneEvent::Stopped { message, .. } => self.stopped = Some(message.clone()),
        }
    }

    /// Extends the time for which nothing leaves.
    fn cool(&mut self, at_ms: i64, wait_ms: Option<u64>) {
        let until = wait_ms.and_then(|wait| at_ms.checked_add(i64::try_from(wait).ok()?));
        let until = until.and_then(|until| Timestamp::from_millisecond(until).ok());
        self.cooled_until = self.cooled_until.max(until);
    }
}

impl OwnSums {
    pub(super) fn add(&mut self, lane: LaneId, at_ms: i64, kind: &EventKind) {
        match kind {
            EventKind::Row(_, event) => {
                if let RowEvent::AttemptEnded { outcome: Outcome::Throttled { retry_after_ms, .. }, .. } = event {
                    self.lanes.entry(lane).or_default().cool(at_ms, *retry_after_ms);
                }
            }
            EventKind::Lane(event) => self.lanes.entry(lane).or_default().add(at_ms, event),
            EventKind::Run(event) => self.add_of_run(at_ms, event),
        }
    }

    fn add_of_run(&mut self, at_ms: i64, event: &RunEvent) {
        let at = Timestamp::from_millisecond(at_ms).ok();
        match event {
            RunEvent::Started { plan, rows, settings, lanes, layout, rules, after: _, given: _, run_key } => {
                self.rules = Some(*rules);
                self.layout.clone_from(layout);
                self.run_key.clone_from(run_key);
                self.began = Some((plan.clone(), *rows, settings.clone()));
                self.places.clone_from(lanes);
            }
            RunEvent::LaunchBegan { launch, pid, host, cut_off_ms, .. } => {
                self.elapsed_ms += cut_off_ms;
                self.launches = *launch;
                self.launched = Some((*pid, host.clone()));
                self.running = true;
                self.started_at = self.started_at.or(at);
                (self.ended_at, self.exit) = (None, None);
            }
            RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal: _ } => {
                self.running = false;
                self.exit = Some((*exit, reason.clone()));
                self.ended_at = at;
                self.elapsed_ms += elapsed_ms;
            }
            RunEvent::Controlled { command, by, control: Some(control) } => {
                let taken = TakenCommand { command: command.clone(), by: by.clone(), at_ms };
                self.taken.entry(*control).or_default().push(taken);
            }
            RunEvent::DrainBegan { .. }
            | RunEvent::StageBegan { .. }
            | RunEvent::StageEnded { .. }
            | RunEvent::WaitBegan { .. }
            | RunEvent::WaitEnded
            | RunEvent::HookRan { .. }
            | RunEvent::Controlled { control: None, .. } => (),
        }
    }

    /// Compares the record of the run with its own events.
    pub(super) fn compare_run(&self, run: &RunRecord, findings: &mut Findings) {
        let exit = self.exit.as_ref();
        let same = [
            ("launches", self.launches == run.launches),
            ("running", self.running == run.running),
            ("pid", self.launched.as_ref().map(|(pid, _)| *pid) == run.pid),
            ("host", self.launched.as_ref().map(|(_, host)| host) == run.host.as_ref()),
            ("started_at", self.started_at == run.started_at),
            ("ended_at", self.ended_at == run.ended_at),
            ("elapsed_ms", self.elapsed_ms == run.elapsed_ms),
            ("exit_code", exit.map(|(exit, _)| exit.code()) == run.exit_code),
            ("exit_name", exit.map(|(exit, _)| exit.name()) == run.exit_name.as_deref()),
            ("exit_reason", exit.and_then(|(_, reason)| reason.as_ref()) == run.exit_reason.as_ref()),
        ];
        let columns: Vec<_> = self.unlike_its_beginning(run).chain(unequal(&same).into_iter().flatten()).collect();
        if !columns.is_empty() {
            findings.add(Finding::RunDiffers { columns });
        }
    }

    /// Returns the columns that the run began with, and that its record has otherwise.
    fn unlike_its_beginning(&self, run: &RunRecord) -> impl Iterator<Item = &'static str> {
        let began = self.began.as_ref();
        let joined = |of: fn(&LanePlace) -> &String| {
            let distinct: BTreeSet<&str> = self.places.iter().map(|place| of(place).as_str()).collect();
            distinct.into_iter().collect::<Vec<_>>().join(" ")
        };
        let is_known = self.knows_places();
        let same = [
            ("plan_digest", began.is_none_or(|(digest, _, _)| *digest == run.plan_digest)),
            ("n_rows", began.is_none_or(|(_, n_rows, _)| *n_rows == run.n_rows)),
            ("settings", began.is_none_or(|(_, _, settings)| *settings == run.settings)),
            ("rules", self.rules.is_none_or(|rules| rules == run.rules)),
            ("run_key", self.run_key == run.run_key),
            ("endpoint", !is_known || joined(|place| &place.endpoint) == run.endpoint),
            ("account", !is_known || joined(|place| &place.account) == run.account),
        ];
        unequal(&same).into_iter().flatten()
    }

    /// Compares the record of the run and its lanes with what the run began with.
    pub(super) fn compare_beginning(&self, run: &RunRecord, lanes: &[LaneRecord], findings: &mut Findings) {
        let columns: Vec<_> = self.unlike_its_beginning(run).collect();
        if !columns.is_empty() {
            findings.add(Finding::RunDiffers { columns });
        }
        self.compare_number_of_lanes(lanes, findings);
        for lane in lanes {
            if let Some(columns) = unequal(&self.same_place(lane)) {
                findings.add(Finding::LaneDiffers { lane: lane.lane, columns });
            }
        }
    }

    fn knows_places(&self) -> bool {
        !self.places.is_empty()
    }

    fn compare_number_of_lanes(&self, lanes: &[LaneRecord], findings: &mut Findings) {
        if self.knows_places() && self.places.len() != lanes.len() {
            findings.add(Finding::RunDiffers { columns: vec!["lanes"] });
        }
    }

    /// Compares name, endpoint and account of a lane. A lane that the run did not begin with differs in all of them.
    fn same_place(&self, lane: &LaneRecord) -> [(&'static str, bool); 3] {
        let at = usize::try_from(lane.lane.0).ok().and_then(|lane| lane.checked_sub(1));
        let place = at.and_then(|at| self.places.get(at));
        let is_unknown = !self.knows_places();
        [
            ("name", place.map_or(is_unknown, |place| place.name == lane.name)),
            ("endpoint", place.map_or(is_unknown, |place| place.endpoint == lane.endpoint)),
            ("account", place.map_or(is_unknown, |place| place.account == lane.account)),
        ]
    }

    fn is_shared(&self) -> bool {
        self.began.as_ref().is_some_and(|(_, _, settings)| is_shared(settings))
    }

    /// Compares the commands that launches took with those that were given.
    pub(super) fn compare_commands(&self, stored: &[StoredCommand], findings: &mut Findings) {
        let mut untold = self.taken.clone();
        for StoredCommand { control, command, given_by, taken_at_ms } in stored {
            let is_same = match untold.remove(control) {
                None => taken_at_ms.is_none(),
                Some(taken) => match taken.iter().find(|taken| taken.is_of(command, given_by)) {
                    Some(taken) => *taken_at_ms == Some(taken.at_ms),
                    // Another machine took another command, which has the same number in its journal.
                    None => self.is_shared() && taken_at_ms.is_none(),
                },
            };
            if !is_same {
                findings.add(Finding::CommandDiffers { control: *control });
            }
        }
        // Those of a shared run may have been given to another machine, in the journal of that.
        for control in untold.into_keys().filter(|_| !self.is_shared()) {
            findings.add(Finding::CommandDiffers { control });
        }
    }

    /// Compares the record of each lane with its events. Events come lane by lane, so that the order of a stop and of a later
    /// launch, which clears it, is not known: in a run of several launches an empty `stopped` is accepted, also where the last
    /// one stopped.
    pub(super) fn compare_lanes(&self, lanes: &[LaneRecord], findings: &mut Findings) {
        self.compare_number_of_lanes(lanes, findings);
        for lane in lanes {
            let none = LaneSum::default();
            let sum = self.lanes.get(&lane.lane).unwrap_or(&none);
            let [name, endpoint, account] = self.same_place(lane);
            let same = [
                name,
                endpoint,
                account,
                ("throttled", sum.throttled == lane.throttled),
                ("per_second", sum.quota.map(|(per_second, _)| per_second) == lane.per_second),
                ("stated", sum.quota.is_some_and(|(_, stated)| stated) == lane.stated),
                ("learned_at", sum.learned_at == lane.learned_at),
                ("cooled_until", sum.cooled_until == lane.cooled_until),
                ("stopped", sum.stopped == lane.stopped || self.launches > 1 && lane.stopped.is_none()),
            ];
            if let Some(columns) = unequal(&same) {
                findings.add(Finding::LaneDiffers { lane: lane.lane, columns });
            }
        }
    }
}
