//! The servers as one process uses them: one connection, and one writer to the log of each run.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{ConnectErrorKind, jetstream};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::admission::ServerAccess;
use super::connection::{ANSWER, Denials, connect, wait};
use super::hand::{LaunchHands, Workplace};
use super::leading::{self, Ways};
use super::listing::list;
use super::log::StreamLog;
use super::message::{Unread, WriterId};
use super::plan::{NotBrought, bring, check, runs};
use super::replay::{ComparedLog, NotReplayed, Place, compare, replay};
use super::restore::{NotRestored, Restoring};
use super::say::{self, Attending};
use super::servers::EngineSettings;
use super::stream::{Names, NoStream, find, set_up};
use super::tenure::LEAVES_WITHIN;
use crate::control::{By, Command};
use crate::hands::{AtWork, Hands, ServedTarget, Serving};
use crate::journal::run_copy::NotCopied;
use crate::journal::run_copy::RunCopy;
use crate::journal::stamped::Stamped;
use crate::journal::{Journal, JournalError, LogError, RunKey};
use crate::log::away::Away;
use crate::log::seam::{Committed, Hold, Log, NotCommitted};
use crate::log::served::ServedRun;
use crate::log::server::{ControlAnswer, Lacked, Lead, LedRun, Listening, LogServer, NotLed, NotRead, Restored};
use crate::wording::plain::plain;

/// Oldest version of the server that has all that is asked of it.
const OLDEST: (u64, u64) = (2, 10);

/// Time in which a server tells that something may not be listened to.
const DENIED_WITHIN: Duration = Duration::from_millis(300);

/// Number of servers of a cluster that keep a log: the least of which one can be lost.
const OF_CLUSTER: usize = 3;

/// Servers of the engine. Nothing is asked of them before the first log.
pub(crate) struct Site {
    settings: EngineSettings,
    connected: Mutex<Option<Arc<Connected>>>,
    runs: Mutex<HashMap<String, RunOfSite>>,
    /// Runs of which this process has looked whether the servers have them as they were made.
    checked: Mutex<HashSet<String>>,
    hands: Mutex<Option<Arc<LaunchHands>>>,
}

/// Run of which this process has read or opened the log.
struct RunOfSite {
    /// Place up to which the log was read; `None` for a run that was made here, or is about to be.
    read: Option<Place>,
    /// Name under which this process writes to it.
    writer: WriterId,
    log: Option<Arc<Mutex<StreamLog>>>,
}

impl RunOfSite {
    fn to_be_made() -> Self {
        Self { read: None, writer: WriterId::of_launch(1), log: None }
    }
}

/// Connection, with a runtime of its own: it goes on whatever waits for it.
struct Connected {
    runtime: Option<Runtime>,
    jetstream: jetstream::Context,
    /// True once it answered that logs are kept there. A worker needs none, and may not even ask.
    keeps_logs: AtomicBool,
    denials: Denials,
}

impl Connected {
    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the connection is dropped")
    }

    /// Waits for an answer on a thread of its own: this one may be a worker of another runtime, on which it would panic.
    fn wait<T: Send>(&self, answer: impl Future<Output = T> + Send) -> T {
        wait(self.runtime().handle(), answer)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // On a worker of another runtime this one must not be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    pub(crate) fn new(settings: EngineSettings) -> Self {
        Self {
            settings,
            connected: Mutex::default(),
            runs: Mutex::default(),
            checked: Mutex::default(),
            hands: Mutex::default(),
        }
    }

    /// Returns the connection to servers that keep logs.
    fn connected(&self) -> Result<Arc<Connected>, NotRead> {
        let connected = self.linked()?;
        if !connected.keeps_logs.load(Ordering::Relaxed) {
            connected.wait(keeps_logs(&connected.jetstream, self.settings.servers.addresses()))?;
            connected.keeps_logs.store(true, Ordering::Relaxed);
        }
        Ok(connected)
    }

    /// Returns the connection, which the first call makes.
    fn linked(&self) -> Result<Arc<Connected>, NotRead> {
        let mut connected = locked(&self.connected);
        if let Some(connected) = &*connected {
            return Ok(Arc::clone(connected));
        }
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("engine").enable_all().build();
        let runtime = runtime.map_err(|error| NotRead::Unreachable(error.to_string()))?;
        let admission = ServerAccess::read(&self.settings).map_err(NotRead::NotOpen)?;
        let denials = Denials::default();
        let jetstream = wait(runtime.handle(), reach(self.settings.servers.addresses(), &admission, &denials));
        let made = Arc::new(Connected {
            jetstream: jetstream?,
            runtime: Some(runtime),
            keeps_logs: AtomicBool::new(false),
            denials,
        });
        Ok(Arc::clone(connected.insert(made)))
    }

    fn ways(&self, connected: &Connected) -> Ways {
        let (runtime, jetstream) = (connected.runtime().handle().clone(), connected.jetstream.clone());
        Ways { runtime, jetstream, n_replicas: self.n_replicas(connected) }
    }

    /// Returns the number of servers that keep a new log. Of a cluster nobody means to use one alone without saying so.
    fn n_replicas(&self, connected: &Connected) -> usize {
        let is_cluster = connected.jetstream.client().server_info().cluster.is_some();
        self.settings.n_replicas.unwrap_or(if is_cluster { OF_CLUSTER } else { 1 })
    }

    /// Returns the one writer to the log of a run.
    fn writer(&self, run_id: &str) -> Result<Arc<Mutex<StreamLog>>, NotRead> {
        let connected = self.connected()?;
        let mut runs = locked(&self.runs);
        let run = runs.entry(run_id.to_owned()).or_insert_with(RunOfSite::to_be_made);
        Ok(match &run.log {
            Some(log) => Arc::clone(log),
            None => Arc::clone(run.log.insert(Arc::new(Mutex::new(self.log_of(&connected, run_id, run)?)))),
        })
    }

    /// Returns the name under which this process will write to a run that is to be made here: its log is opened when it is made.
    fn yet_to_make(&self, run_id: &str) -> Option<WriterId> {
        let mut runs = locked(&self.runs);
        let run = runs.entry(run_id.to_owned()).or_insert_with(RunOfSite::to_be_made);
        (run.read.is_none() && run.log.is_none()).then_some(run.writer)
    }

    /// Opens the log behind all that was read of it; makes it for a run that was made here.
    fn log_of(&self, connected: &Connected, id: &str, run: &RunOfSite) -> Result<StreamLog, NotRead> {
        let (names, jetstream) = (Names::of_run(id), &connected.jetstream);
        let found = connected.wait(find(jetstream, &names)).map_err(|error| no_answer(&error))?;
        let n_replicas = match (&found, &run.read) {
            (Some(stream), _) => stream.cached_info().config.num_replicas,
            (None, None) => self.n_replicas(connected),
            (None, Some(_)) => return Err(not_read(id, NotReplayed::Gone)),
        };
        let stream = connected.wait(set_up(jetstream, &names, n_replicas)).map_err(|error| no_stream(id, &error))?;
        let place = run.read.clone().unwrap_or_default();
        let runtime = connected.runtime().handle().clone();
        Ok(StreamLog::behind(place.last, place.succession(), run.writer, runtime, jetstream.clone(), stream, names))
    }
}

impl LogServer for Site {
    fn reach(&self) -> Result<(), NotRead> {
        self.connected().map(drop)
    }

    fn open(&self, run_id: &str) -> Result<Box<dyn Log>, NotRead> {
        Ok(Box::new(SharedLog(self.writer(run_id)?)))
    }

    fn catch_up(&self, journal: &mut Journal, run: RunKey, run_id: &str) -> Result<(), NotRead> {
        let connected = self.connected()?;
        let from = locked(&self.runs).get(run_id).and_then(|run| run.read.clone()).unwrap_or_default();
        let (names, runtime) = (Names::of_run(run_id), connected.runtime().handle());
        let is_first = from == Place::default();
        let read = replay(runtime, &connected.jetstream, &names, from, journal, run);
        let read = Some(read.map_err(|error| not_read(run_id, error))?);
        // Once, and not each time that somebody who follows the run reads on.
        if is_first && locked(&self.checked).insert(run_id.to_owned()) {
            match check(runtime, &connected.jetstream, &names, journal) {
                // A log that is gone is one that has lost all: that takes more than one answer.
                Ok(()) | Err(NotBrought::Gone) => (),
                Err(error) => {
                    locked(&self.checked).remove(run_id);
                    return Err(not_brought(run_id, error));
                }
            }
        }
        let writer = WriterId::of_launch(journal.run(run)?.launches + 1);
        // A log that was opened before is behind what was read now.
        locked(&self.runs).insert(run_id.to_owned(), RunOfSite { read, writer, log: None });
        Ok(())
    }

    fn restore(
        &self,
        journal: &Journal,
        run: RunKey,
        run_id: &str,
        agrees: &mut dyn FnMut(&Lacked) -> bool,
    ) -> Result<Restored, NotLed> {
        let (connected, names) = (self.connected()?, Names::of_run(run_id));
        let (runtime, jetstream) = (connected.runtime().handle(), &connected.jetstream);
        let compared = compare(runtime, jetstream, &names, journal, run).map_err(|error| not_read(run_id, error))?;
        let Some(lacked) = lacked(&compared).or_else(|| {
            let checked = check(runtime, jetstream, &names, journal);
            let is_lacking = matches!(
                checked,
                Err(NotBrought::Unmade | NotBrought::RecordMissing | NotBrought::Copy(NotCopied::PartMissing { .. }))
            );
            is_lacking.then_some(Lacked::Making)
        }) else {
            return Ok(Restored::NothingLacked);
        };
        let ways = self.ways(&connected);
        // Whichever launch it is: this journal may not know of the last one.
        if let Some(by) = runtime.block_on(leading::heard(&ways, run_id, 0))? {
            return Err(NotLed::Led { run: run_id.to_owned(), by: Some(Box::new(by)) });
        }
        if !agrees(&lacked) {
            return Ok(Restored::NotAgreed);
        }
        let found = connected.wait(find(jetstream, &names)).map_err(|error| no_answer(&error))?;
        let n_replicas =
            found.map_or_else(|| self.n_replicas(&connected), |stream| stream.cached_info().config.num_replicas);
        // Whatever was opened of the log is behind something else.
        locked(&self.runs).remove(run_id);
        let restoring = Restoring { runtime, jetstream, names, n_replicas, journal, run };
        restoring.write(run_id, &compared).map_err(|error| not_restored(run_id, error))?;
        Ok(Restored::Written)
    }

    fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead> {
        let (id, connected) = (self.find(named)?, self.connected()?);
        let runtime = connected.runtime().handle();
        let run = bring(runtime, &connected.jetstream, &Names::of_run(&id), journal);
        let run = run.map_err(|error| not_brought(&id, error))?;
        locked(&self.checked).insert(id.clone());
        self.catch_up(journal, run, &id)?;
        Ok(run)
    }

    fn find(&self, named: &str) -> Result<String, NotRead> {
        let connected = self.connected()?;
        let ids = connected.wait(runs(&connected.jetstream)).map_err(|error| no_answer(&*error))?;
        // What is given whole goes before a beginning: keys and ids often begin with a date.
        if ids.iter().any(|id| id == named) {
            return Ok(named.to_owned());
        }
        if let Some(id) = self.run_of_key(named)?.filter(|id| ids.contains(id)) {
            return Ok(id);
        }
        let mut found: Vec<String> = ids.into_iter().filter(|id| !named.is_empty() && id.starts_with(named)).collect();
        match found.len() {
            0 => Err(NotRead::NoRun(named.to_owned())),
            1 => Ok(found.remove(0)),
            _ => Err(JournalError::AmbiguousRun { prefix: named.to_owned(), candidates: found }.into()),
        }
    }

    fn runs(&self, id: Option<&str>) -> Result<Vec<ServedRun>, NotRead> {
        let connected = self.connected()?;
        let listed = async {
            let ids = match id {
                Some(id) => vec![id.to_owned()],
                None => runs(&connected.jetstream).await?,
            };
            list(&connected.jetstream, ids).await
        };
        connected.wait(listed).map_err(|error| no_answer(&*error))
    }

    fn run_of_key(&self, run_key: &str) -> Result<Option<String>, NotRead> {
        let connected = self.connected()?;
        connected.wait(leading::run_of_key(&self.ways(&connected), run_key))
    }

    fn forget(&self, id: &str, run_key: Option<&str>) -> Result<(), NotRead> {
        let connected = self.connected()?;
        locked(&self.runs).remove(id);
        if let Some(run_key) = run_key {
            connected.wait(leading::free_key(&self.ways(&connected), run_key, id))?;
        }
        let removed = connected.wait(async { connected.jetstream.delete_stream(&Names::of_run(id).stream).await });
        removed.map(drop).map_err(|error| no_answer(&error))
    }

    fn leads(&self, run_id: &str) -> Result<bool, NotRead> {
        let (connected, names) = (self.connected()?, Names::of_run(run_id));
        connected.wait(say::leads(&connected.jetstream, &names)).map_err(|error| no_answer(&*error))
    }

    fn leave(&self, run_id: &str, command: &Command, by: &By) -> Result<(), NotRead> {
        let (connected, names) = (self.connected()?, Names::of_run(run_id));
        let left = connected.wait(say::leave(&connected.jetstream, &names, command, by));
        left.map(drop).map_err(|error| no_answer(&*error))
    }

    fn ask(&self, run_id: &str, command: &Command, by: &By, within: Duration) -> Result<ControlAnswer, NotRead> {
        let (connected, names) = (self.connected()?, Names::of_run(run_id));
        let answer = connected.wait(say::ask(&connected.jetstream, &names, command, by, within));
        answer.map_err(|error| no_answer(&*error))
    }

    fn attend(&self, journal: &Path, run: RunKey, run_id: &str) -> Result<Box<dyn Send>, NotRead> {
        let connected = self.connected()?;
        let (runtime, jetstream) = (connected.runtime().handle().clone(), connected.jetstream.clone());
        Ok(Box::new(Attending::begin(runtime, jetstream, Names::of_run(run_id), journal, run)?))
    }

    fn leaves_within(&self) -> Option<Duration> {
        Some(LEAVES_WITHIN)
    }

    fn lead(&self, led: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed> {
        let connected = self.connected()?;
        let behind = match self.yet_to_make(led.id) {
            Some(writer) => (0, writer),
            None => locked(&*self.writer(led.id)?).behind_what(),
        };
        leading::lead(&self.ways(&connected), led, behind)
    }

    fn hands(&self) -> Result<Option<Arc<dyn Hands>>, NotRead> {
        let connected = self.linked()?;
        let mut hands = locked(&self.hands);
        if let Some(hands) = &*hands {
            return Ok(Some(Arc::clone(hands) as Arc<dyn Hands>));
        }
        let (runtime, client) = (connected.runtime().handle(), connected.jetstream.client());
        let made = connected.wait(LaunchHands::begin(runtime, client)).map_err(|error| no_answer(&*error))?;
        Ok(Some(Arc::clone(hands.insert(Arc::new(made))) as Arc<dyn Hands>))
    }

    fn serve(&self, targets: Vec<ServedTarget>, serving: Arc<dyn Serving>) -> Result<Option<Box<dyn AtWork>>, NotRead> {
        let connected = self.linked()?;
        let (runtime, client) = (connected.runtime().handle(), connected.jetstream.client());
        let place = connected.wait(Workplace::begin(runtime, client, targets, serving));
        let place = place.map_err(|error| no_answer(&*error))?;
        // Whoever may not listen is told so after it began to.
        connected.wait(async { sleep(DENIED_WITHIN).await });
        if let Some(denied) = connected.denials.first_of("Subscription") {
            return Err(NotRead::NotOpen(format!("{}: {denied}", self.settings.servers)));
        }
        Ok(Some(Box::new(PlaceOfSite { place, connected })))
    }

    fn listen(&self, run_id: &str) -> Result<Box<dyn Listening>, NotRead> {
        let connected = self.connected()?;
        leading::listen(&self.ways(&connected), run_id).map_err(|error| NotRead::Unreachable(plain(&error.to_string())))
    }
}

/// Connects to the servers, and looks at whether they have what is needed.
async fn reach(servers: &[String], admission: &ServerAccess, denials: &Denials) -> Result<jetstream::Context, NotRead> {
    let bound = ANSWER * u32::try_from(servers.len()).unwrap_or(u32::MAX) + Duration::from_secs(1);
    let jetstream = match timeout(bound, connect(servers, admission, denials)).await {
        Ok(Ok(jetstream)) => jetstream,
        Ok(Err(error)) if is_refusal(error.kind()) => {
            return Err(NotRead::NotOpen(format!("{}: {}", servers.join(", "), told(&error))));
        }
        Ok(Err(_)) | Err(_) => {
            let reasons = join_all(servers.iter().map(|server| reason(server, admission))).await;
            return Err(NotRead::Unreachable(reasons.join("; ")));
        }
    };
    let unfit = |what: String| NotRead::Unreachable(format!("{}: {what}", servers.join(", ")));
    let info = jetstream.client().server_info();
    let mut parts = info.version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
        let (major, minor) = OLDEST;
        let version = plain(&info.version);
        return Err(unfit(format!("version {version} is too old: {major}.{minor} or later is needed")));
    }
    Ok(jetstream)
}

/// Looks whether servers keep logs, and let this process ask for them.
async fn keeps_logs(jetstream: &jetstream::Context, servers: &[String]) -> Result<(), NotRead> {
    let unfit = |what: String| NotRead::Unreachable(format!("{}: {what}", servers.join(", ")));
    match jetstream.query_account().await {
        Ok(_) => Ok(()),
        Err(_) if !jetstream.client().server_info().jetstream => {
            Err(unfit("JetStream, in which logs are kept, is switched off there".to_owned()))
        }
        Err(error) => Err(unfit(told(&error))),
    }
}

fn no_answer(error: &(dyn Error + 'static)) -> NotRead {
    NotRead::Unreachable(told(error))
}

/// Tells that a server does not know whoever connects.
fn is_refusal(kind: ConnectErrorKind) -> bool {
    matches!(kind, ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication)
}

/// Returns a server, and the reason for which it cannot be reached by itself.
async fn reason(server: &String, admission: &ServerAccess) -> String {
    let why = match timeout(ANSWER, connect(std::slice::from_ref(server), admission, &Denials::default())).await {
        Ok(Ok(_)) => "answers now".to_owned(),
        Ok(Err(error)) => told(&error),
        Err(_) => "no answer".to_owned(),
    };
    format!("{server}: {why}")
}

/// An error and its causes on one line.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let all = causes.fold(error.to_string(), |all, cause| {
        let cause = cause.to_string();
        // Some of them repeat their causes.
        if all.contains(&cause) { all } else { format!("{all}: {cause}") }
    });
    plain(&all)
}

fn not_brought(run: &str, error: NotBrought) -> NotRead {
    let (run, why) = (run.to_owned(), told(&error));
    match error {
        NotBrought::Copy(NotCopied::Journal(error)) => NotRead::Journal(error),
        NotBrought::NoAnswer(_) | NotBrought::Spool(_) => NotRead::Unreachable(why),
        NotBrought::Gone => NotRead::NoRun(run),
        NotBrought::Unmade => NotRead::Unmade(run),
        NotBrought::Trimmed { .. } | NotBrought::RecordMissing | NotBrought::Copy(NotCopied::PartMissing { .. }) => {
            NotRead::Lost { run, why }
        }
        NotBrought::Copy(NotCopied::Newer { .. })
        | NotBrought::Unread { source: Unread::Newer { .. } | Unread::UnknownKind { .. }, .. } => {
            NotRead::Newer { run, why }
        }
        NotBrought::NotOnce { .. }
        | NotBrought::Stranger { .. }
        | NotBrought::OfOther { .. }
        | NotBrought::Unread { .. }
        | NotBrought::Copy(_) => NotRead::Untrue { run, why },
    }
}

fn no_stream(run: &str, error: &NoStream) -> NotRead {
    match error {
        NoStream::Differs { .. } => NotRead::Unfit { run: run.to_owned(), why: told(error) },
        NoStream::SmallMessages { .. } | NoStream::Unmade { .. } => no_answer(error),
    }
}

fn not_restored(run: &str, error: NotRestored) -> NotRead {
    match error {
        NotRestored::NoStream(error) => no_stream(run, &error),
        NotRestored::Journal(JournalError::Log(why @ LogError::OtherRun)) => {
            NotRead::Untrue { run: run.to_owned(), why: why.to_string() }
        }
        NotRestored::Journal(error) => NotRead::Journal(error),
    }
}

/// Sums up what a log lacks; `None` if it has all.
fn lacked(compared: &ComparedLog) -> Option<Lacked> {
    let (lane, (behind, _)) = compared.lacking.first_key_value()?;
    let n_events = compared.lacking.values().map(|(log, journal)| journal - log).sum();
    Some(Lacked::Events { n_events, lane: *lane, behind: *behind, n_lanes: compared.lacking.len() })
}

fn not_read(run: &str, error: NotReplayed) -> NotRead {
    let (run, why) = (run.to_owned(), told(&error));
    match error {
        NotReplayed::Journal(error) => NotRead::Journal(error),
        NotReplayed::NoAnswer(_) => NotRead::Unreachable(why),
        NotReplayed::Unread { source: Unread::Newer { .. } | Unread::UnknownKind { .. }, .. } => {
            NotRead::Newer { run, why }
        }
        NotReplayed::Unread {
            source: Unread::Line { .. } | Unread::Event { .. } | Unread::NotNext { .. } | Unread::OtherHash { .. },
            ..
        }
        | NotReplayed::Hole { .. }
        | NotReplayed::NotNext { .. }
        | NotReplayed::OtherEvent { .. }
        | NotReplayed::Forked { .. } => NotRead::Untrue { run, why },
        NotReplayed::Gone
        | NotReplayed::Shorter { .. }
        | NotReplayed::MadeAnew { .. }
        | NotReplayed::LostEnd { .. } => NotRead::Lost { run, why },
        NotReplayed::Trimmed { .. } | NotReplayed::Unread { source: Unread::Header { .. }, .. } => {
            NotRead::Unfit { run, why }
        }
    }
}

/// Place of a worker, with the connection that it works by.
struct PlaceOfSite {
    place: Workplace,
    connected: Arc<Connected>,
}

impl AtWork for PlaceOfSite {
    fn leave(self: Box<Self>) {
        let Self { place, connected } = *self;
        connected.wait(place.leave());
    }
}

/// Log of a run that several parts of this process write to, as one writer.
struct SharedLog(Arc<Mutex<StreamLog>>);

impl Log for SharedLog {
    fn make(&mut self, copy: &RunCopy<'_>) -> Result<(), JournalError> {
        locked(&self.0).make(copy)
    }

    fn commit(&mut self, batch: &Stamped) -> Result<Committed, NotCommitted> {
        locked(&self.0).commit(batch)
    }

    fn settle(&mut self, most: Option<Duration>) -> Result<(), NotCommitted> {
        locked(&self.0).settle(most)
    }

    fn hold(&self) -> Hold {
        locked(&self.0).hold()
    }

    fn away(&self) -> Option<Away> {
        locked(&self.0).away()
    }
}
