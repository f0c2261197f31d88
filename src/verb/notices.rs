//! Notices of a launch: what is told to the receivers that the settings name, read from the journal alone.
//!
//! A verb that launches opens them before its plan is read, so that the end is told of whatever comes in between; the launch says which
//! run they are about once it has one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;

use crate::console::Console;
use crate::credentials::chain;
use crate::credentials::identity::Credentials;
use crate::event::verdict::Verdict;
use crate::exit::Exit;
use crate::journal::notices::NoticeOutcome;
use crate::journal::{Journal, RunKey};
use crate::metrics::figures::plan_name;
use crate::notices::desk::{Delivery, Desk};
use crate::notices::notice::{Notice, NoticeAccount, NoticeCause, NoticeCounts, NoticeExit, NoticePlan, Occasion};
use crate::notices::receiver::{Receiver, Surroundings};
use crate::notices::settings::ReceiverSettings;
use crate::notices::smn::OfRun;
use crate::report::causes::cause_text;
use crate::report::status;
use crate::report::summary::{LaneOf, Summary};
use crate::settings::Settings;
use crate::settings::error::{KeyPlace, SettingsError};
use crate::settings::layers::Layers;
use crate::transport::secrets::guarded::Guarded;
use crate::verb::reach::Reach;
use crate::waves::Terms;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Notices of one launch; without receivers they do nothing. Clones are the same notices.
#[derive(Clone, Default)]
pub(crate) struct Notices(Option<Arc<NoticesOfLaunch>>);

struct NoticesOfLaunch {
    verb: &'static str,
    /// `None` once the end was told, or is not to be told.
    desk: Mutex<Option<Desk>>,
    /// Set once the wait for the last notices is over.
    is_enough: AtomicBool,
    subject: Mutex<Option<NoticedRun>>,
    credentials_of_run: OfRun,
    /// Addresses and keys of all receivers.
    secrets: Vec<Guarded>,
    /// Reach of the launch, as far as it is known: of a trial nobody hears.
    reach: Mutex<Reach>,
    /// Name of the plan, once that was read.
    plan: Mutex<Option<String>>,
    /// Notices of the ends of other runs, each with the thread that waits for them.
    of_closed: Mutex<Vec<(Notices, Option<JoinHandle<()>>)>>,
}

/// Run that a launch carries, and its journal.
#[derive(Clone)]
pub(crate) struct NoticedRun {
    pub(crate) journal: PathBuf,
    pub(crate) key: RunKey,
    pub(crate) run: String,
    /// Number of the launch.
    pub(crate) launch: u32,
}

impl Notices {
    /// Opens the notices of a verb that launches: those of all receivers that can be written to, and the error of the first that cannot,
    /// which is a warning in a trial. Warns, and has none, where nobody can be told at all.
    pub(crate) fn open(
        verb: &'static str,
        console: Console,
        layers: &Layers,
        settings: &Settings,
    ) -> (Self, Result<(), SettingsError>) {
        let credentials_of_run = OfRun::default();
        let (receivers, bad) = partitioned(receivers(layers, settings, &credentials_of_run));
        (
            Self::to(receivers, verb, console, credentials_of_run, Reach::of_settings(settings)),
            of_launch(bad, console, settings),
        )
    }

    fn to(
        receivers: Vec<Receiver>,
        verb: &'static str,
        console: Console,
        credentials_of_run: OfRun,
        reach: Reach,
    ) -> Self {
        if receivers.is_empty() {
            return Self::default();
        }
        let secrets = receivers.iter().flat_map(Receiver::secrets).collect();
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<NoticesOfLaunch>| {
            let told = std::sync::Weak::clone(shared);
            let clerk = Arc::new(move |delivery: &Delivery| note(console, told.upgrade().as_deref(), delivery));
            let desk = Desk::open(receivers, clerk);
            if let Err(error) = &desk {
                console.warn(&format!("nobody is told of this launch: {error}"));
            }
            NoticesOfLaunch {
                verb,
                desk: Mutex::new(desk.ok()),
                is_enough: AtomicBool::new(false),
                subject: Mutex::default(),
                credentials_of_run,
                secrets,
                reach: Mutex::new(reach),
                plan: Mutex::default(),
                of_closed: Mutex::default(),
            }
        });
        Self(Some(shared))
    }

    /// Tells whether anybody is told.
    pub(crate) fn has_receivers(&self) -> bool {
        self.0.is_some()
    }

    /// Sets how far the launch reaches, once its accounts are known.
    pub(crate) fn reaches(&self, reach: Reach) {
        if let Some(shared) = &self.0 {
            *shared.reach.lock().unwrap_or_else(PoisonError::into_inner) = reach;
        }
    }

    /// Tells whether there are receivers, and they are not told.
    pub(crate) fn are_withheld(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.reach() == Reach::ThisProcess)
    }

    /// Names the plan, as soon as it was read.
    pub(crate) fn of_plan(&self, terms: &Terms, path: &str) {
        if let Some(shared) = &self.0 {
            let name = plan_name(terms.name.as_deref(), path);
            *shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        }
    }

    /// Addresses and keys of all receivers, which no text of a launch may repeat.
    pub(crate) fn secrets(&self) -> &[Guarded] {
        self.0.as_ref().map_or(&[], |shared| &shared.secrets)
    }

    /// Sets the run that they are about, and the credentials that it has for a service.
    pub(crate) fn are_about(&self, subject: NoticedRun, credentials: Option<Arc<Credentials>>) {
        let Some(shared) = &self.0 else { return };
        *shared.subject() = Some(subject);
        if let Some(credentials) = credentials {
            // A launch has one run, and sets them once.
            _ = shared.credentials_of_run.set(credentials);
        }
    }

    /// Sets the path of the journal at the end, which may be that of a saved copy.
    pub(crate) fn journal_is_at(&self, path: &Path) {
        if let Some(subject) = self.0.as_ref().and_then(|shared| shared.subject().clone()) {
            self.are_about(NoticedRun { journal: path.to_owned(), ..subject }, None);
        }
    }

    /// Has the receivers told of an occasion of the run; `said` is what the journal's event says, if that is more than its counts.
    pub(crate) fn tell(&self, about: Occasion, said: Option<String>) {
        let Some(shared) = &self.0 else { return };
        let (Some(subject), verb) = (shared.subject().clone(), shared.verb) else { return };
        if let Some(desk) = &*shared.desk()
            && shared.reach() == Reach::Outside
        {
            desk.tell(about, move || subject.notice(about, verb, said.as_deref(), None));
        }
    }

    /// Has nobody told of the end: nothing is launched.
    pub(crate) fn tell_nobody(&self) {
        if let Some(shared) = &self.0 {
            drop(shared.desk().take());
        }
    }

    /// Ends the wait for the last notices, also one that is yet to come.
    pub(crate) fn wait_no_longer(&self) {
        if let Some(shared) = &self.0 {
            shared.is_enough.store(true, Ordering::Relaxed);
            shared.of_closed().iter().for_each(|(notices, _)| notices.wait_no_longer());
        }
    }

    /// Has the receivers told of the end of another run, which this launch closed, by notices of its own. Only the end of this process
    /// waits for them.
    pub(crate) fn tell_end_of(&self, closed: NoticedRun, exit: Exit, open: impl FnOnce(&'static str) -> Self) {
        let Some(shared) = &self.0 else { return };
        let notices = open(shared.verb);
        notices.are_about(closed, None);
        let of_closed = notices.clone();
        match thread::Builder::new().spawn(move || of_closed.end(exit, None, None)) {
            Ok(telling) => shared.of_closed().push((notices, Some(telling))),
            Err(_) => notices.end(exit, None, None),
        }
    }

    /// Tells of the end of the process, and waits until all is delivered or given up, for ten seconds at most.
    pub(crate) fn end(&self, exit: Exit, error: Option<&str>, hint: Option<&str>) {
        let Some(shared) = &self.0 else { return };
        shared.end(exit, error, hint);
        let telling: Vec<_> = shared.of_closed().iter_mut().filter_map(|(_, telling)| telling.take()).collect();
        for telling in telling {
            // A thread that panicked has told that.
            _ = telling.join();
        }
    }
}

impl NoticesOfLaunch {
    fn end(&self, exit: Exit, error: Option<&str>, hint: Option<&str>) {
        let Some(desk) = self.desk().take().filter(|_| self.reach() == Reach::Outside) else { return };
        let (subject, verb) = (self.subject().clone(), self.verb);
        let end = NoticeExit { code: exit.code(), name: exit.name(), reason: None };
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (error, hint) = (error.map(str::to_owned), hint.map(plain));
        let last = move || {
            if let Some(subject) = subject {
                return subject.notice(Occasion::End, verb, error.as_deref(), Some(end));
            }
            let without_error =
                if exit == Exit::Done { "nothing was to do, and no run was made" } else { exit.meaning() };
            let text = error.map_or_else(|| without_error.to_owned(), |error| plain(&error));
            Notice { exit: Some(end), next: hint, plan_name: plan, ..Notice::new(Occasion::End, verb, text) }
        };
        desk.close(last, &self.is_enough);
    }

    fn subject(&self) -> std::sync::MutexGuard<'_, Option<NoticedRun>> {
        self.subject.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Reach {
        *self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_closed(&self) -> std::sync::MutexGuard<'_, Vec<(Notices, Option<JoinHandle<()>>)>> {
        self.of_closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Option<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receiver that cannot be written to, whatever is tried.
pub(crate) struct BadReceiver {
    pub(crate) name: String,
    /// Settings file with its table.
    path: PathBuf,
    /// Key of the table, and what is wrong with what that names.
    pub(crate) problem: String,
}

/// Opens all receivers that settings name, with the secrets of each.
pub(crate) fn receivers(layers: &Layers, settings: &Settings, of_run: &OfRun) -> Vec<Result<Receiver, BadReceiver>> {
    let environment = |name: &str| std::env::var_os(name);
    let credentials = || match chain::find(&settings.credentials, &settings.transport, &environment) {
        Ok(Some(found)) => Ok(Arc::new(found.credentials)),
        Ok(None) => Err("no credentials are set".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let around = Surroundings {
        transport: &settings.transport,
        environment: &environment,
        withheld: &settings.credentials.withheld,
        credentials: &credentials,
        of_run,
    };
    let open = |(receiver, path): (&ReceiverSettings, &Path)| {
        let bad = |problem| BadReceiver { name: receiver.name.clone(), path: path.to_owned(), problem };
        Receiver::open(receiver, &around).map_err(bad)
    };
    layers.receivers().map(open).collect()
}

/// Refuses settings with a receiver that cannot be written to: whoever relies on it would learn that in the night.
pub(crate) fn must_be_told(console: Console, layers: &Layers, settings: &Settings) -> Result<(), SettingsError> {
    of_launch(partitioned(receivers(layers, settings, &OfRun::default())).1, console, settings)
}

/// Warns of a receiver that cannot be written to, and refuses it no more, where nobody would be told.
fn of_launch(refused: Result<(), SettingsError>, console: Console, settings: &Settings) -> Result<(), SettingsError> {
    match (Reach::of_settings(settings), refused) {
        (Reach::ThisProcess, Err(bad)) => {
            console.warn(&bad.to_string());
            Ok(())
        }
        (Reach::ThisProcess | Reach::Outside, refused) => refused,
    }
}

fn partitioned(all: Vec<Result<Receiver, BadReceiver>>) -> (Vec<Receiver>, Result<(), SettingsError>) {
    let (mut receivers, mut bad) = (Vec::new(), Vec::new());
    for receiver in all {
        match receiver {
            Ok(receiver) => receivers.push(receiver),
            Err(problem) => bad.push(problem),
        }
    }
    let n_more = bad.len().saturating_sub(1);
    let refused = bad.into_iter().next().map_or(Ok(()), |BadReceiver { name, path, problem }| {
        Err(SettingsError::Receiver { place: KeyPlace::of_receiver(&path, name), problem, n_more })
    });
    (receivers, refused)
}

/// Journals the outcome of a notice, if there is a run, and says what was not delivered. A journal that does not take it is not waited
/// for.
fn note(console: Console, shared: Option<&NoticesOfLaunch>, delivery: &Delivery) {
    let Delivery { receiver, about, tries, problem } = delivery;
    if let Some(problem) = problem {
        console.warn(&format!("notice `{}` ({}) was not delivered: {}", plain(receiver), about.name(), plain(problem)));
    }
    let Some(NoticedRun { journal, run, launch, .. }) = shared.and_then(|shared| shared.subject().clone()) else {
        return;
    };
    let outcome = NoticeOutcome {
        launch,
        at: Timestamp::now(),
        receiver: receiver.clone(),
        about: about.name().to_owned(),
        tries: *tries,
        problem: problem.clone(),
    };
    if let Err(error) = Journal::open_to_note(&journal).and_then(|mut journal| journal.note(&run, &outcome)) {
        console.warn(&format!("the outcome of notice `{}` is not in the journal: {error}", plain(receiver)));
    }
}

impl NoticedRun {
    /// Makes a notice from what the journal says at this moment; without counts and anchor if it cannot be read.
    fn notice(&self, about: Occasion, verb: &'static str, said: Option<&str>, exit: Option<NoticeExit>) -> Notice {
        let Self { journal, key, run, launch } = self;
        let summary = || {
            let open = Journal::open_to_read(journal)?;
            Summary::from_journal(&open, &open.run(*key)?, journal)
        };
        let of_run = |text| Notice { run: Some(plain(run)), launch: Some(*launch), ..Notice::new(about, verb, text) };
        match summary() {
            Ok(summary) => with_summary(of_run(text(about, &summary, said)), &summary, exit),
            Err(_) => Notice { exit, ..of_run(said.map_or_else(|| about.name().to_owned(), plain)) },
        }
    }
}

/// Returns what happened, in one sentence.
fn text(about: Occasion, summary: &Summary, said: Option<&str>) -> String {
    let left = || format!("{} of {} still to do", summary.n_unsettled(), count(u64::from(summary.plan.rows), "row"));
    match (about, said) {
        (Occasion::Start, _) => format!("launch {} begins: {}", summary.launches, left()),
        (Occasion::Waiting, _) => summary.steering.lines(&summary.commands, true, None).join(" "),
        (Occasion::Halt | Occasion::Test, said) => format!("{}; {}", said.map(plain).unwrap_or_default(), left()),
        (Occasion::End, Some(error)) => format!("{}; {}", plain(error), summary.sentence()),
        (Occasion::End, None) => summary.sentence(),
    }
}

fn with_summary(notice: Notice, summary: &Summary, exit: Option<NoticeExit>) -> Notice {
    let verdicts = Verdict::ALL.into_iter().map(|verdict| (verdict.name(), summary.verdicts.get(verdict)));
    let reason = summary.exit.reason.as_deref().filter(|reason| !reason.is_empty()).map(plain);
    let account =
        |lane: &LaneOf| NoticeAccount { name: plain(&lane.lane.account), endpoint: plain(&lane.lane.endpoint) };
    Notice {
        plan_name: Some(plan_name(summary.paper.name.as_deref(), &summary.plan.path)),
        accounts: summary.lanes.iter().map(account).collect(),
        next: next(notice.about, summary),
        plan: Some(NoticePlan { path: plain(&summary.plan.path), digest: plain(&summary.plan.digest) }),
        counts: Some(NoticeCounts {
            rows: summary.plan.rows,
            on_target: summary.on_target,
            verdicts: verdicts.collect(),
            pending: summary.unsettled.pending,
            in_doubt: summary.unsettled.in_doubt,
        }),
        cause: summary.causes.first().map(|cause| NoticeCause {
            verdict: plain(&cause.verdict),
            rows: cause.n_rows,
            text: cause_text(cause),
        }),
        exit: exit.map(|exit| NoticeExit { reason, ..exit }),
        anchor: Some(summary.anchor.clone()),
        anchor_hash: Some(summary.anchor_hash.clone()),
        ..notice
    }
}

/// Returns the command to type next; `None` if nothing has to be done.
fn next(about: Occasion, summary: &Summary) -> Option<String> {
    match about {
        Occasion::Start => Some(summary.commands.watch()),
        Occasion::Waiting => status::steering(summary).1,
        Occasion::Halt | Occasion::Test => Some(summary.commands.status()),
        Occasion::End => summary.first_steps().map(|(first, then)| match then {
            Some(then) => format!("{} && {then}", first.command),
            None => first.command,
        }),
    }
}
