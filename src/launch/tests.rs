//! Seams between the steps of a launch: what each of them has done, and what it leaves when the next one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::open::{OpenLaunch, Opened};
use super::planned::PlanToLaunch;
use super::ready::Ready;
use super::request::{Consent, LaunchRequest, Unskips};
use super::taking_up::RunToTakeUp;
use super::unfinished::Unfinished;
use crate::console::Console;
use crate::control::{By, Command};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::journal::read::reopening::Reopen;
use crate::journal::stored::EventOrder;
use crate::journal::{Journal, JournalError, RunKey};
use crate::lock::LockError;
use crate::log::alone::Alone;
use crate::log::appending::{append, append_of_run};
use crate::log::logs::Logs;
use crate::log::memory::{LogLine, Memory, Shared};
use crate::log::seam::Log;
use crate::log::served::ServedRun;
use crate::log::server::{Lead, LedRun, Listening, LogServer, NotLed, NotRead};
use crate::model::RowId;
use crate::report::next::given::GivenByHand;
use crate::settings::Settings;
use crate::settings::flags::arguments::{LaunchArgs, PlanArgs, ShowArgs};
use crate::settings::layers::Layers;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::here::Here;
use crate::verb::meant::Otherwise;
use crate::verb::notices::Notices;
use crate::whoami::Who;

/// Context of a launch at an endpoint, with its journal in a folder, and a plan of one row in the same folder.
pub(super) fn context(folder: &Path, endpoint: &str) -> (Context, PlanArgs) {
    let journal = folder.join("night.db").display().to_string();
    let flags = vec![("endpoint", endpoint.to_owned()), ("journal", journal)];
    let layers = Layers::without_files(flags, |_| None).unwrap();
    let settings = Settings::read(&layers, None).unwrap();
    let console = Console { quiet: true, ..Console::PLAIN };
    let plan = folder.join("plan.csv");
    std::fs::write(&plan, "source_id,copystate\nvm-1,stopped\n").unwrap();
    let args = PlanArgs {
        plan,
        allow_unknown: false,
        allow_empty: false,
        strict: false,
        allow_outside: false,
        encoding: None,
    };
    let (here, logs, notices) = (Here::default(), Logs::alone(), Notices::default());
    (Context { console, settings, layers, here, logs, notices }, args)
}

pub(super) fn args(releases: &[&str]) -> LaunchArgs {
    LaunchArgs {
        yes: true,
        allow_irreversible: false,
        approve: releases.iter().map(|wave| (*wave).to_owned()).collect(),
        report: None,
        show: ShowArgs { events: false, no_progress: true },
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn opened(plan: &PlanToLaunch<'_>) -> Result<OpenLaunch, CommandError> {
    let ready = Ready::to_send(plan, LaunchRequest::to_send("run", &args(&[])).unwrap()).unwrap();
    match ready.open(&Unfinished::TakenUp)? {
        Opened::ToLaunch(open) => Ok(*open),
        Opened::HasEnded(_) | Opened::WasPruned(..) | Opened::Skipped(..) => panic!("there is a run to launch"),
    }
}

#[test]
fn a_launch_that_is_ready_or_refused_has_made_nothing_and_one_that_is_open_has_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let refused = Ready::to_send(&plan, LaunchRequest::to_send("run", &args(&["nowhere"])).unwrap());
    assert!(matches!(refused.err(), Some(CommandError::UnknownWave { .. })));
    let ready = Ready::to_send(&plan, LaunchRequest::to_send("run", &args(&[])).unwrap()).unwrap();
    assert_eq!(names_in(folder.path()), ["plan.csv"]);
    let _open = ready.open(&Unfinished::TakenUp).unwrap();
    assert!(names_in(folder.path()).contains(&"night.db".to_owned()));
}

#[test]
fn an_open_launch_has_its_run_alone_until_it_is_given_up_and_the_next_one_takes_that_up() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let open = opened(&plan).unwrap();
    let refused = opened(&plan).err();
    assert!(matches!(refused, Some(CommandError::Lock(LockError::Held { .. }))), "{refused:?}");
    let run = open.run().id.clone();
    drop(open);
    let is_lock = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "lock");
    assert!(!names_in(folder.path()).iter().any(is_lock));
    assert_eq!(opened(&plan).unwrap().run().id, run);
}

#[test]
fn a_launch_that_only_looks_has_its_journal_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let open = Ready::to_look(&plan, LaunchRequest::new("plan", Consent::OnlyShown)).unwrap().open_apart().unwrap();
    assert_eq!(names_in(folder.path()), ["plan.csv"]);
    drop(open);
}

/// Logs in memory, by the ids of their runs.
#[derive(Clone, Default)]
struct LogsInMemory {
    shared: Arc<Mutex<BTreeMap<String, Shared>>>,
    leads: Leads,
    /// Time for which a commit holds the run; `None` for ever.
    held_for: Option<Duration>,
}

/// Runs that another machine leads, and all that was told of leads of this one.
#[derive(Clone, Default)]
struct Leads {
    elsewhere: Arc<Mutex<BTreeSet<String>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Leads {
    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

struct LeadInMemory(Leads);

impl Lead for LeadInMemory {
    fn beat(&mut self) -> Result<(), NotLed> {
        self.0.tell("beat".to_owned());
        Ok(())
    }
}

impl Drop for LeadInMemory {
    fn drop(&mut self) {
        self.0.tell("given back".to_owned());
    }
}

impl LogsInMemory {
    fn logs(&self) -> Logs {
        Logs::on(self.clone())
    }

    fn of_run(&self, id: &str) -> Shared {
        self.shared.lock().unwrap().entry(id.to_owned()).or_default().clone()
    }

    /// Asserts that the journal has the events of the logs, and no others. Returns how many runs there are.
    fn have_all_of(&self, journal: &Path) -> usize {
        let journal = Journal::open_to_read(journal).unwrap();
        let runs = journal.runs().unwrap();
        for run in &runs {
            let mut lines = self.of_run(&run.id).lines().clone();
            lines.sort_by_key(|line| (line.lane, line.seq));
            let in_journal = lines_of(&journal, run.key);
            let kinds = |lines: &[LogLine]| lines.iter().map(|line| line.kind.clone()).collect::<Vec<_>>();
            assert_eq!(kinds(&lines), kinds(&in_journal), "run {}", run.id);
            assert_eq!(lines, in_journal);
        }
        assert_eq!(self.shared.lock().unwrap().len(), runs.len());
        runs.len()
    }
}

impl LogServer for LogsInMemory {
    fn reach(&self) -> Result<(), NotRead> {
        Ok(())
    }

    fn open(&self, run_id: &str) -> Result<Box<dyn Log>, NotRead> {
        let shared = self.of_run(run_id);
        Ok(Box::new(self.held_for.map_or_else(|| Memory::new(&shared), |time| Memory::held_for(&shared, time))))
    }

    fn catch_up(&self, journal: &mut Journal, run: RunKey, run_id: &str) -> Result<(), NotRead> {
        Alone.catch_up(journal, run, run_id)
    }

    fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead> {
        Alone.bring(journal, named)
    }

    fn find(&self, named: &str) -> Result<String, NotRead> {
        Alone.find(named)
    }

    fn runs(&self, id: Option<&str>) -> Result<Vec<ServedRun>, NotRead> {
        Alone.runs(id)
    }

    fn forget(&self, id: &str, run_key: Option<&str>) -> Result<(), NotRead> {
        Alone.forget(id, run_key)
    }

    fn leaves_within(&self) -> Option<Duration> {
        Some(Duration::from_secs(2))
    }

    fn lead(&self, led: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed> {
        self.leads.tell(format!("launch {}, {:?}", led.launch, led.before));
        if self.leads.elsewhere.lock().unwrap().contains(led.id) {
            return Err(NotLed::Led { run: led.id.to_owned(), by: None });
        }
        Ok(Box::new(LeadInMemory(self.leads.clone())))
    }

    fn listen(&self, run_id: &str) -> Result<Box<dyn Listening>, NotRead> {
        Alone.listen(run_id)
    }
}

/// Launches a plan of three rows, of which one leaves each half a second, behind a log that holds the run for a moment. Each answer of
/// the service takes a time. Returns the log's commits without events, and the journal, once it has done what it does to the log.
fn launch_behind_a_brief_hold(folder: &Path, latency: Duration, does: impl FnOnce(&Shared)) -> (usize, Journal) {
    let (mut context, args_of_plan) = context(folder, "sandbox");
    let (journal, scenario) = (folder.join("night.db"), folder.join("slow.toml"));
    std::fs::write(&scenario, format!("latency_ms = [{0}, {0}]\n", latency.as_millis())).unwrap();
    let flags = [("journal", &journal), ("scenario", &scenario)].map(|(key, path)| (key, path.display().to_string()));
    let flags =
        [("endpoint", "sandbox"), ("rate", "2")].map(|(key, text)| (key, text.to_owned())).into_iter().chain(flags);
    context.layers = Layers::without_files(flags.collect(), |_| None).unwrap();
    context.settings = Settings::read(&context.layers, None).unwrap();
    let logs = LogsInMemory { held_for: Some(Duration::from_millis(100)), ..LogsInMemory::default() };
    context.logs = logs.logs();
    let text = "source_id,copystate\nvm-1,stopped\nvm-2,stopped\nvm-3,stopped\n";
    std::fs::write(folder.join("plan.csv"), text).unwrap();
    let plan = PlanToLaunch::read(&context, &args_of_plan).unwrap();
    let open = opened(&plan).unwrap();
    let shared = logs.of_run(&open.run().id);
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| open.launch().unwrap());
        does(&shared);
        launched.join().unwrap();
    });
    assert_eq!(logs.have_all_of(&folder.join("night.db")), 1);
    (shared.n_empty(), Journal::open_to_read(&folder.join("night.db")).unwrap())
}

#[test]
fn a_hold_that_has_lapsed_when_a_change_is_to_leave_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (n_empty, journal) = launch_behind_a_brief_hold(folder.path(), Duration::ZERO, |_| ());
    assert!(n_empty >= 1);
    let run = journal.runs().unwrap()[0].key;
    assert_eq!(journal.tally(run).unwrap().on_target(), 3);
}

#[test]
fn a_change_waits_while_the_log_is_not_to_be_reached_and_then_leaves_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (latency, mut mended) = (Duration::from_millis(500), Timestamp::MAX);
    let (_, journal) = launch_behind_a_brief_hold(folder.path(), latency, |shared| {
        shared.cut_behind_intents(3);
        shared.wait_until_missed();
        // Longer than a look or a token of the pace is used.
        std::thread::sleep(Duration::from_millis(1500));
        mended = Timestamp::now();
        shared.mend();
    });
    let run = journal.runs().unwrap()[0].key;
    assert_eq!(journal.tally(run).unwrap().on_target(), 3);
    let at = |kind: &str| {
        let lines = lines_of(&journal, run).into_iter().filter(|line| line.kind == kind);
        lines.map(|line| line.at_ms).collect::<Vec<_>>()
    };
    let (started, ended) = (at("attempt_started"), at("attempt_ended"));
    assert_eq!([started.len(), ended.len()], [3, 3]);
    // The first one may have left at once, and the others waited for their pace. Had they left meanwhile, they would have been
    // answered by now.
    let answered = (mended + latency).as_millisecond();
    assert!(ended[1..].iter().all(|at| *at >= answered), "{started:?} {mended} {ended:?}");
}

#[test]
fn where_others_can_take_a_run_over_its_changes_leave_in_time_or_never() {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, args_of_plan) = context(folder.path(), "sandbox");
    for (logs, leaves_within) in [(Logs::alone(), None), (LogsInMemory::default().logs(), Some(Duration::from_secs(2)))]
    {
        context.logs = logs;
        let plan = PlanToLaunch::read(&context, &args_of_plan).unwrap();
        let accounts = super::accounts::of_plan(&plan.context, &plan.checked).unwrap();
        assert_eq!(accounts[0].settings.transport.leaves_within, leaves_within);
    }
}

/// Returns the events that the journal holds of a run, lane by lane.
fn lines_of(journal: &Journal, run: RunKey) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let read = journal.for_each_stored_event(run, EventOrder::ByLane, |event| {
        lines.push(LogLine::new(&event));
        Ok::<(), JournalError>(())
    });
    read.unwrap();
    lines
}

fn began(launch: u32) -> RunEvent {
    RunEvent::LaunchBegan {
        launch,
        verb: "resume".to_owned(),
        pid: 1,
        host: String::new(),
        user: None,
        who: Who::default(),
        version: String::new(),
        given: GivenByHand::new(),
        cut_off_ms: 0,
    }
}

#[test]
fn every_event_of_a_journal_is_in_the_log_of_its_run_whichever_verb_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, args_of_plan) = context(folder.path(), "sandbox");
    let logs = LogsInMemory::default();
    context.logs = logs.logs();
    let path = folder.path().join("night.db");
    std::fs::write(folder.path().join("plan.csv"), "source_id,copystate\nvm-1,stopped\nvm-2,stopped\n").unwrap();
    let plan = PlanToLaunch::read(&context, &args_of_plan).unwrap();

    // Made, and given up before its first launch; what another process says meanwhile is taken by that.
    let run = opened(&plan).unwrap().run().key;
    assert_eq!(logs.have_all_of(&path), 1);
    let skip = Command::Skip { source_id: "vm-2".to_owned() };
    Journal::open(&path).unwrap().give_command(run, &skip, &By::default()).unwrap();
    opened(&plan).unwrap().launch().unwrap();

    let go_on = |verb, request: LaunchRequest| {
        let found = RunToTakeUp::find(&context, None, Otherwise::LaunchedLast).unwrap();
        Ready::to_go_on(&context, found, request).unwrap().open().unwrap().launch().unwrap();
        let journal = Journal::open_to_read(&path).unwrap();
        let EventKind::Run(RunEvent::LaunchBegan { verb: launched, .. }) =
            journal.last_launch(run).unwrap().unwrap().kind
        else {
            panic!("it began")
        };
        assert_eq!(launched, verb);
    };
    let retry = LaunchRequest::to_send("retry", &args(&[])).unwrap();
    go_on("retry", retry.reopening(Reopen::Rows(BTreeSet::from([RowId(2)])), Unskips::All));
    go_on("resume", LaunchRequest::to_send("resume", &args(&[])).unwrap());
    go_on("reconcile", LaunchRequest::new("reconcile", Consent::NothingIsSent));

    // Cut off after its last verdict, and closed by whoever comes next, with the plan of the way back.
    let mut journal = Journal::open(&path).unwrap();
    let id = journal.run(run).unwrap().id;
    append_of_run(&mut journal, &mut *context.logs.of_run(&id).unwrap(), run, began(5), None).unwrap();
    drop(journal);
    std::fs::write(folder.path().join("plan.csv"), "source_id,copystate,expect_copystate\nvm-1,syncing,stopped\n")
        .unwrap();
    let back = PlanToLaunch::read(&context, &args_of_plan).unwrap();
    opened(&back).unwrap().launch().unwrap();
    assert_eq!(logs.have_all_of(&path), 2);
    let journal = Journal::open_to_read(&path).unwrap();
    assert!(!journal.run(run).unwrap().running, "it was closed");
    let n = |kind: &str| lines_of(&journal, run).iter().filter(|line| line.kind == kind).count();
    assert_eq!([n("launch_began"), n("launch_ended")], [5, 5]);
    assert_eq!([n("controlled"), n("row_reopened")], [2, 1], "skipped, and sent after all");
}

#[test]
fn a_run_that_another_machine_leads_is_not_launched_and_ours_is_told_of_from_its_beginning_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, args_of_plan) = context(folder.path(), "sandbox");
    let logs = LogsInMemory::default();
    context.logs = logs.logs();
    let (path, leads) = (folder.path().join("night.db"), logs.leads.clone());
    let plan = PlanToLaunch::read(&context, &args_of_plan).unwrap();
    let run = opened(&plan).unwrap().run().clone();
    assert_eq!(leads.told(), ["launch 1, Ended", "given back"]);
    opened(&plan).unwrap().launch().unwrap();
    assert_eq!(leads.told(), ["launch 1, Ended", "beat", "given back"]);

    let mut journal = Journal::open(&path).unwrap();
    let kinds = [began(2).into(), RowEvent::Reopened { cause: String::new() }.about(RowId(1))];
    let mut events = kinds.map(|kind: EventKind| {
        Event::unnumbered(if kind.row().is_some() { LaneId(1) } else { LaneId::RUN }, None, kind)
    });
    let mut log = context.logs.of_run(&run.id).unwrap();
    append(journal.begin_append(run.key).unwrap(), &mut *log, &mut events).unwrap();
    leads.elsewhere.lock().unwrap().insert(run.id.clone());
    let resume = || {
        let found = RunToTakeUp::find(&context, None, Otherwise::LaunchedLast).unwrap();
        let request = LaunchRequest::to_send("resume", &args(&[])).unwrap();
        Ready::to_go_on(&context, found, request).unwrap().open()
    };
    let refused = resume().err();
    assert!(matches!(refused, Some(CommandError::NotLed(NotLed::Led { .. }))), "{refused:?}");
    assert_eq!(leads.told(), ["launch 3, NotEnded"]);
    leads.elsewhere.lock().unwrap().clear();
    resume().unwrap().launch().unwrap();
    assert_eq!(leads.told(), ["launch 3, NotEnded", "beat", "given back"]);
    logs.have_all_of(&path);
}
