//! One launch of a run: look, tell the difference, ask, send, prove, sum up.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::reading::{print, write_report};
use super::super::{CommandError, difference, stdout_failed};
use super::{Service, Venue, signals};
use crate::console::{self, Console};
use crate::engine::lane::Lane;
use crate::engine::stop::Stop;
use crate::engine::{self, Book, EngineError, Purpose, reader};
use crate::event::{DrainReason, EventKind, LaneId, LaneStop, Verdict};
use crate::exit::Exit;
use crate::gate::{Gate, Learned};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::{Phase, Standing};
use crate::model::RowId;
use crate::observe::Observer;
use crate::observe::events::EventLines;
use crate::observe::progress::{Counter, Gauges, Progress};
use crate::preflight::{self, Difference, PreflightError};
use crate::recorder::{self, JournalClosed, Recorder, Writing};
use crate::remote::endpoint::Endpoint;
use crate::remote::http::Http;
use crate::report::Format;
use crate::report::summary::{self, Summary};
use crate::sandbox::scenario::Scenario;
use crate::sandbox::{self, Sandbox, estate};
use crate::settings::Settings;

/// Rows of a group that are shown before a question, and by `plan`.
const SHOWN_BEFORE_A_RUN: usize = 5;
const SHOWN_BY_PLAN: usize = 50;

/// Who says yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    Asked {
        yes: bool,
        irreversible: bool,
    },
    /// `plan`: the difference is the result.
    OnlyShown,
    /// `reconcile`: there is nothing to consent to.
    NothingIsSent,
}

pub(super) struct Carry<'a> {
    pub(super) console: Console,
    pub(super) settings: &'a Settings,
    pub(super) run: &'a RunRecord,
    pub(super) service: Service,
    pub(super) verb: &'static str,
    pub(super) consent: Consent,
    pub(super) reopen: &'a [Verdict],
    /// The verdicts were named, and not left to us.
    pub(super) reopen_by_name: bool,
    pub(super) events: bool,
    pub(super) progress: bool,
    pub(super) report: Option<&'a (Format, PathBuf)>,
}

/// Ends a launch early, with what to say.
enum Halted {
    With(Exit, String),
    Error(CommandError),
}

impl From<JournalError> for Halted {
    fn from(error: JournalError) -> Self {
        Halted::Error(error.into())
    }
}

impl From<JournalClosed> for Halted {
    /// The recorder knows why, and is asked at the end.
    fn from(_: JournalClosed) -> Self {
        Halted::With(Exit::Internal, "the journal takes nothing more".to_owned())
    }
}

impl From<EngineError> for Halted {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Journal(error) => error.into(),
            EngineError::Closed(closed) => closed.into(),
            EngineError::Panicked => Halted::Error(CommandError::Panicked),
        }
    }
}

impl From<PreflightError> for Halted {
    fn from(error: PreflightError) -> Self {
        let text = error.to_string();
        match error {
            PreflightError::Credentials(_) => Halted::With(Exit::Credentials, text),
            PreflightError::Unreachable(_) => Halted::With(Exit::Refused, text),
            PreflightError::Throttled(_) => Halted::With(Exit::Halted, text),
            PreflightError::Stopped => Halted::With(Exit::Interrupted, text),
            PreflightError::Closed(closed) => closed.into(),
            PreflightError::Journal(error) => error.into(),
        }
    }
}

impl Carry<'_> {
    pub(super) fn out(&self, journal: Journal) -> Result<Exit, CommandError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)?;
        let ended = runtime.block_on(self.launch(journal, Instant::now()));
        // A question that nobody answered still sits on standard input.
        runtime.shutdown_background();
        let (exit, reason) = ended?;
        if let Some(reason) = reason
            && !matches!(exit, Exit::Done | Exit::NotOnTarget)
        {
            self.console.error(&reason);
        }
        Ok(exit)
    }

    /// From the journal alone, as `status` would tell it.
    pub(super) fn sum_up(&self, journal: &Path) -> Result<(), CommandError> {
        let journal = Journal::open_to_read(journal)?;
        let run = journal.run(self.run.key)?;
        let summary = Summary::of(&journal, &run, journal.path())?;
        if self.events && !self.console.json {
            // Standard output is for programs then.
            let mut text = Vec::new();
            summary.write_text(&mut text).map_err(stdout_failed)?;
            self.console.say(String::from_utf8_lossy(&text).trim_end());
        } else if self.events {
            print(|out| Ok(summary::write_json_line(&summary, out)?))?;
        } else {
            let json = self.console.json;
            print(|out| if json { summary::write_json(&summary, out) } else { Ok(summary.write_text(out)?) })?;
        }
        if let Some((format, path)) = self.report {
            write_report(&journal, &run, *format, path)?;
            self.console.say(&format!("report: {}", path.display()));
        }
        Ok(())
    }

    async fn launch(&self, journal: Journal, started: Instant) -> Result<(Exit, Option<String>), CommandError> {
        let path = journal.path().to_owned();
        let run = self.run;
        let tally = journal.tally(run.key)?;
        let learned = journal.learned_quota(&run.endpoint, &run.account)?;
        let reopened = journal.rows_with_verdict(run.key, self.reopen, self.reopen_by_name)?;
        let (endpoint, sandbox) = self.endpoint(&journal).await?;
        let remote = Http::new(endpoint, Arc::clone(&self.service.credentials), self.settings.timeout)
            .map_err(|error| CommandError::Http(error.to_string()))?;
        let progress = Progress::new(u64::from(run.n_rows), tally.settled(), self.console, self.progress);
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Counter(Arc::clone(&progress)))];
        if self.events {
            observers.push(Box::new(EventLines::new(&run.id)));
        }
        let (recorder, writing) = recorder::start(journal, run.key, observers).map_err(CommandError::Start)?;
        let book = Book::new(Journal::open_to_read(&path)?, run.key);
        let stop = Stop::default();
        let learned = learned.map(|(per_second, stated)| Learned { per_second, stated });
        let gate = Gate::new(&self.settings.gate, learned);
        let (lane, asks) = Lane::new(self.settings.lane.clone(), remote, gate, recorder.clone(), stop.clone());
        let lane = Arc::new(lane);
        let ended = Arc::default();
        signals::watch(stop, recorder.clone(), Arc::clone(&ended)).map_err(CommandError::Start)?;
        let reading = tokio::spawn(reader::serve(Arc::clone(&lane), asks));

        let carried = self.carry(&lane, &book, &recorder, &progress, &reopened).await;
        let (exit, reason) = match carried {
            Ok(()) => self.conclude(&lane, &book).await?,
            Err(Halted::With(exit, reason)) => (by_signal(&lane, exit), Some(reason)),
            Err(Halted::Error(error)) => {
                finish(&recorder, writing, exit_event(error.exit(), None, started)).await?;
                return Err(error);
            }
        };
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        progress.finish();
        reading.abort();
        drop(book);
        finish(&recorder, writing, exit_event(exit, reason.clone(), started)).await?;
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        Ok((exit, reason))
    }

    /// The in-process sandbox is seeded with the run's own rows.
    async fn endpoint(&self, journal: &Journal) -> Result<(Endpoint, Option<Sandbox>), CommandError> {
        match &self.service.venue {
            Venue::Service(endpoint) => Ok((endpoint.clone(), None)),
            Venue::Sandbox(scenario) => {
                let mut estate = Vec::new();
                journal.for_each_row(self.run.key, |row, _| {
                    estate.push(estate::seed_row(&row));
                    Ok::<_, JournalError>(())
                })?;
                let config = sandbox::Config {
                    estate,
                    scenario: Scenario::clone(scenario),
                    seed: self.settings.seed,
                    port: 0,
                    token: None,
                    keys: None,
                };
                let sandbox = sandbox::start(config).await.map_err(CommandError::Start)?;
                let endpoint = sandbox.url().parse().expect("a loopback address is an endpoint");
                Ok((endpoint, Some(sandbox)))
            }
        }
    }

    async fn carry(
        &self,
        lane: &Arc<Lane<Http>>,
        book: &Book,
        recorder: &Recorder,
        progress: &Arc<Progress>,
        reopened: &[(RowId, Standing)],
    ) -> Result<(), Halted> {
        recorder.record(LaneId::RUN, self.beginning(), None).await?;
        if !reopened.is_empty() {
            let cause = format!("asked for by `{}`", self.verb);
            let kinds = reopened.iter().map(|(row, _)| EventKind::RowReopened { row: *row, cause: cause.clone() });
            lane.record(kinds.collect(), None).await?;
        }
        if self.consent == Consent::NothingIsSent {
            let drawing = progress.draw(gauge(lane));
            let ran = engine::run(lane, book, Purpose::Reconcile).await;
            drawing.abort();
            return Ok(ran?);
        }
        if book.read(Journal::count_unsettled).await? == 0 {
            self.console.say("nothing is left to do");
            return Ok(());
        }
        match self.consider(lane, book).await {
            Ok(true) => (),
            Ok(false) => return Ok(()),
            Err(halted) => {
                self.put_back(lane, reopened).await?;
                return Err(halted);
            }
        }
        let drawing = progress.draw(gauge(lane));
        let ran = engine::run(lane, book, Purpose::Carry).await;
        drawing.abort();
        Ok(ran?)
    }

    /// Looks, tells the difference, and asks. False: telling it was all.
    async fn consider(&self, lane: &Arc<Lane<Http>>, book: &Book) -> Result<bool, Halted> {
        if self.settings.lane.preflight {
            self.console.say(&format!("looking at {} rows at {}", self.run.n_rows, self.run.endpoint));
            preflight::look(lane, book).await?;
        }
        let n_shown = if self.consent == Consent::OnlyShown { SHOWN_BY_PLAN } else { SHOWN_BEFORE_A_RUN };
        let difference = preflight::difference(lane, book, n_shown).await?;
        self.show(&difference)?;
        let Consent::Asked { yes, irreversible } = self.consent else { return Ok(false) };
        self.refuse_by_policy(&difference, irreversible)?;
        if difference.n_changes() > 0 && !yes {
            self.ask(lane, &difference).await?;
        }
        if difference.n_already + difference.n_blocked > 0 {
            preflight::settle(lane, book).await?;
        }
        Ok(true)
    }

    /// A retry that does not go ahead leaves the rows with the verdicts that they had.
    async fn put_back(&self, lane: &Lane<Http>, reopened: &[(RowId, Standing)]) -> Result<(), Halted> {
        let kinds = reopened.iter().filter_map(|(row, standing)| {
            let Phase::Settled(verdict) = standing.phase else { return None };
            let (seen, reason) = (standing.after.clone(), standing.reason.clone());
            Some(EventKind::RowSettled { row: *row, verdict, seen, reason })
        });
        let kinds: Vec<EventKind> = kinds.collect();
        if !kinds.is_empty() {
            lane.record(kinds, None).await?;
        }
        Ok(())
    }

    fn beginning(&self) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        if self.run.launches == 0 {
            kinds.push(EventKind::RunStarted {
                plan: self.run.plan_digest.clone(),
                rows: self.run.n_rows,
                settings: self.run.settings.clone(),
            });
        }
        kinds.push(EventKind::LaunchBegan {
            launch: self.run.launches + 1,
            verb: self.verb.to_owned(),
            pid: std::process::id(),
            host: crate::lock::host(),
            user: std::env::var("USER").ok(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        kinds
    }

    fn show(&self, difference: &Difference) -> Result<(), Halted> {
        let written = match (self.consent, self.console.json) {
            (Consent::OnlyShown, true) => console::result(|out| {
                let document = difference::document(self.run, difference);
                writeln!(out, "{document:#}")
            }),
            (Consent::OnlyShown, false) => console::result(|out| difference::render(difference, out)),
            (Consent::Asked { .. } | Consent::NothingIsSent, _) => {
                let mut text = Vec::new();
                difference::render(difference, &mut text).map(|()| {
                    self.console.say(String::from_utf8_lossy(&text).trim_end());
                })
            }
        };
        written.map_err(|error| Halted::Error(stdout_failed(error)))
    }

    fn refuse_by_policy(&self, difference: &Difference, irreversible: bool) -> Result<(), Halted> {
        let n_changes = difference.n_changes();
        if let Some(most) = self.settings.max_changes.filter(|most| n_changes > *most) {
            let reason =
                format!("{n_changes} rows would be changed, and --max-changes allows {most}; nothing was sent");
            return Err(Halted::With(Exit::Refused, reason));
        }
        if difference.n_irreversible > 0 && !irreversible {
            let reason = format!(
                "there is no way back from the target of {} rows (finished, deleting, cleared); \
                 --allow-irreversible says that this is meant; nothing was sent",
                difference.n_irreversible
            );
            return Err(Halted::With(Exit::Refused, reason));
        }
        Ok(())
    }

    async fn ask(&self, lane: &Lane<Http>, difference: &Difference) -> Result<(), Halted> {
        _ = write!(io::stderr(), "\n{}. Go on? [y/N] ", difference::headline(difference));
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer).map(|_| answer)
        });
        let answer = lane.stop.unless_draining(answer).await;
        let Some(answer) = answer else {
            return Err(Halted::With(Exit::Interrupted, "interrupted at the question; nothing was sent".to_owned()));
        };
        let answer = answer.ok().and_then(Result::ok).unwrap_or_default();
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Halted::With(Exit::Refused, "not agreed to; nothing was sent".to_owned()))
    }

    /// How a launch ended that was let run to its end, drained or not.
    async fn conclude(&self, lane: &Lane<Http>, book: &Book) -> Result<(Exit, Option<String>), CommandError> {
        if self.consent == Consent::OnlyShown {
            return Ok((Exit::Done, None));
        }
        let tally = book.read(Journal::tally).await?;
        let all_on_target = tally.on_target() == u64::from(self.run.n_rows);
        let finished = if all_on_target { Exit::Done } else { Exit::NotOnTarget };
        let in_doubt = match tally.in_doubt {
            0 => None,
            n => Some(format!("{n} in doubt: cutover reconcile {}", self.run.id)),
        };
        if tally.unsettled() == 0 {
            return Ok((finished, None));
        }
        if let Some((cause, message)) = lane.stopped() {
            let exit = match cause {
                LaneStop::Unauthenticated | LaneStop::Barred | LaneStop::Forbidden => Exit::Credentials,
                LaneStop::Throttled => Exit::Halted,
            };
            return Ok((by_signal(lane, exit).worst(exit), Some(message)));
        }
        let exit = by_signal(lane, finished);
        let reason = match (exit, in_doubt) {
            (Exit::Interrupted | Exit::Terminated, None) => {
                Some(format!("interrupted; cutover resume {} goes on", self.run.id))
            }
            (Exit::Interrupted | Exit::Terminated, Some(in_doubt)) => {
                Some(format!("interrupted; cutover resume {} goes on; {in_doubt}", self.run.id))
            }
            (_, Some(in_doubt)) => Some(in_doubt),
            (_, None) => Some(format!("{} rows were left: cutover resume {}", tally.pending, self.run.id)),
        };
        Ok((exit, reason))
    }
}

fn by_signal(lane: &Lane<Http>, otherwise: Exit) -> Exit {
    if lane.stop.has_reason(DrainReason::Interrupted) {
        Exit::Interrupted
    } else if lane.stop.has_reason(DrainReason::Terminated) {
        Exit::Terminated
    } else {
        otherwise
    }
}

fn gauge(lane: &Arc<Lane<Http>>) -> impl Fn() -> Gauges + Send + 'static {
    let lane = Arc::clone(lane);
    move || Gauges { gate: lane.gate.snapshot(), only_looking: lane.under_way.idle_since().is_some() }
}

fn exit_event(exit: Exit, reason: Option<String>, started: Instant) -> EventKind {
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    EventKind::LaunchEnded { exit, reason, elapsed_ms }
}

/// Records the end and waits for the last commit. If the journal refused anything, this says why.
async fn finish(recorder: &Recorder, writing: Writing, end: EventKind) -> Result<(), CommandError> {
    // If the journal takes nothing more, closing it says so.
    _ = recorder.record(LaneId::RUN, vec![end], None).await;
    Ok(recorder.close(writing).await?)
}
