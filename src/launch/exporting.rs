//! Metrics of a launch in the file that the settings name: from its first step to its end, whatever that is.
//!
//! While a launch goes on, its figures are read from the journal by a task beside it, and nothing is done for an event. A launch that
//! ends before it has a run is told, too: the file has its exit code, and still the time of the last success.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::console::Console;
use crate::exit::Exit;
use crate::journal::read::outcomes::OutcomeCounts;
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::Tombstone;
use crate::journal::{Journal, JournalError};
use crate::metrics::figures::{Figures, LaunchEnd, plan_name};
use crate::metrics::file::MetricsFile;
use crate::metrics::pace::TargetPace;
use crate::metrics::plans;
use crate::settings::Settings;
use crate::settings::layers::Layers;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, whole_text};
use crate::verb::reach::Reach;
use crate::waves::Terms;
use crate::wording::plain::shown;

/// Interval at which the file is written anew while a launch goes on.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Part of the time that may be spent on writing it: one in this many, for a journal so large that adding it up takes long.
const PART_FOR_WRITING: u32 = 20;

/// Carries out a launch with its metrics file, if the settings name one. A file that cannot be written is an error before anything is
/// done. `plan` is the path of the plan, where the launch is of one.
pub(crate) fn with_metrics(
    context: &Context,
    plan: Option<&Path>,
    launch: impl FnOnce(LaunchMetrics) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let metrics = LaunchMetrics::tried(context.console, &context.layers, &context.settings, plan)?;
    let panics = EndsByPanic(&metrics);
    let ended = launch(metrics.clone());
    drop(panics);
    metrics.end(match &ended {
        Ok(exit) => *exit,
        Err(error) => error.exit(),
    });
    ended
}

/// Checks that the metrics file of a launch can be written, if the settings name one, and leaves it as it is.
pub(crate) fn try_metrics(context: &Context) -> Result<(), CommandError> {
    LaunchMetrics::tried(context.console, &context.layers, &context.settings, None).map(drop)
}

/// Tells of a launch that ends before it can begin, because its settings or its log file cannot be used.
pub(crate) fn tell_not_begun(console: Console, layers: &Layers, settings: &Settings, plan: Option<&Path>, exit: Exit) {
    match LaunchMetrics::tried(console, layers, settings, plan) {
        Ok(metrics) => metrics.end(exit),
        Err(error) => console.warn(&whole_text(&error)),
    }
}

/// Metrics file of a launch; nothing for a launch without one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaunchMetrics(Option<Arc<Exporter>>);

#[derive(Debug)]
struct Exporter {
    console: Console,
    file: MetricsFile,
    /// Journal of the settings.
    journal: PathBuf,
    /// Path of the plan, where the launch is of one.
    plan: Option<PathBuf>,
    began: Timestamp,
    told: Mutex<FileState>,
    /// The file was named for this launch, which writes it also as a trial.
    naming: Naming,
}

/// Way in which the file was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    ByFlag,
    BySettings,
}

/// State of the file, and of what it tells.
#[derive(Debug, Default)]
struct FileState {
    plan: Option<String>,
    run: Option<ToldRun>,
    /// Run that was taken out of the journal, and is told again.
    pruned: Option<Tombstone>,
    /// Last success of the plan before this launch, once it was looked for.
    last_success: OnceCell<Option<Timestamp>>,
    /// The file is complete, or stays as an earlier launch left it.
    is_over: bool,
    /// Reach of the launch, as far as it is known.
    reach: Reach,
    has_warned: bool,
}

#[derive(Debug)]
struct ToldRun {
    id: String,
    journal: PathBuf,
    role: RunRole,
    outcomes: OutcomeCounts,
    /// Paces of the gates, as they were last asked; empty before that.
    paces: Vec<TargetPace>,
    started_at: Option<Timestamp>,
}

/// Role of a run in a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunRole {
    Launched,
    /// Had ended before, and nothing of it is launched.
    ToldAgain,
}

/// Tells of a launch that panics what the process will end with.
struct EndsByPanic<'m>(&'m LaunchMetrics);

impl Drop for EndsByPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Exit::Internal);
        }
    }
}

impl LaunchMetrics {
    fn tried(
        console: Console,
        layers: &Layers,
        settings: &Settings,
        plan: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let Some(path) = &settings.metrics_file else { return Ok(Self(None)) };
        let began = Timestamp::now();
        let file = MetricsFile::tried(path, began)
            .map_err(|source| CommandError::MetricsFile { path: path.clone(), source })?;
        let (journal, plan) = (settings.journal.clone(), plan.map(Path::to_owned));
        let naming = if layers.is_by_flag("metrics_file") { Naming::ByFlag } else { Naming::BySettings };
        let told = Mutex::new(FileState { reach: Reach::of_settings(settings), ..FileState::default() });
        Ok(Self(Some(Arc::new(Exporter { console, file, journal, plan, began, told, naming }))))
    }

    /// Sets how far the launch reaches, once its accounts are known.
    pub(super) fn reaches(&self, reach: Reach) {
        if let Some(exporter) = &self.0 {
            exporter.told().reach = reach;
        }
    }

    /// Tells whether there is a file, and it stays as it is.
    pub(super) fn is_withheld(&self) -> bool {
        self.0.as_ref().is_some_and(|exporter| exporter.is_withheld(&exporter.told()))
    }

    /// Names the plan, as soon as it was read.
    pub(super) fn of_plan(&self, terms: &Terms, path: &str) {
        if let Some(exporter) = &self.0 {
            exporter.told().plan = Some(plan_name(terms.name.as_deref(), path));
        }
    }

    /// Names the run, as soon as the launch holds it.
    pub(super) fn of_run(&self, journal: &Path, run: &RunRecord) {
        self.name(journal, run, RunRole::Launched);
    }

    /// Names a run that has ended, which this launch only tells again: the file has its end, and no later one.
    pub(super) fn of_ended_run(&self, journal: &Path, run: &RunRecord) {
        self.name(journal, run, RunRole::ToldAgain);
    }

    /// Names a run that has ended and was taken out of the journal: the file has its end, too.
    pub(super) fn of_pruned_run(&self, tombstone: &Tombstone) {
        if let Some(exporter) = &self.0 {
            exporter.told().pruned = Some(tombstone.clone());
        }
    }

    fn name(&self, journal: &Path, run: &RunRecord, role: RunRole) {
        if let Some(exporter) = &self.0 {
            exporter.told().run = Some(ToldRun {
                id: run.id.clone(),
                journal: journal.to_owned(),
                role,
                outcomes: OutcomeCounts::default(),
                paces: Vec::new(),
                started_at: run.started_at,
            });
        }
    }

    /// Keeps the file up to date until the task is dropped.
    pub(super) fn keep_up_to_date(&self, paces: impl Fn() -> Vec<TargetPace> + Send + 'static) -> JoinSet<()> {
        let mut exporting = JoinSet::new();
        if let Some(exporter) = self.0.clone() {
            exporting.spawn(async move {
                loop {
                    let (writes, paces) = (Arc::clone(&exporter), paces());
                    let began = Instant::now();
                    if tokio::task::spawn_blocking(move || writes.goes_on(paces)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(WRITE_EVERY.max(began.elapsed() * PART_FOR_WRITING)).await;
                }
            });
        }
        exporting
    }

    /// Leaves the file to the launch that goes on: this one is skipped.
    pub(super) fn leave_as_it_is(&self) {
        if let Some(exporter) = &self.0 {
            exporter.told().is_over = true;
        }
    }

    /// Writes the end of the launch.
    fn end(&self, exit: Exit) {
        if let Some(exporter) = &self.0 {
            exporter.end(exit);
        }
    }
}

impl Exporter {
    fn is_withheld(&self, told: &FileState) -> bool {
        told.reach == Reach::ThisProcess && self.naming == Naming::BySettings
    }

    fn told(&self) -> MutexGuard<'_, FileState> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that the launch goes on, with these paces.
    fn goes_on(&self, paces: Vec<TargetPace>) {
        let told = &mut *self.told();
        if let Some(run) = &mut told.run {
            run.paces = paces;
            let figures = self.figures(told);
            self.write(told, Figures { ended: None, ..figures });
        }
    }

    /// Writes the end of the launch. One that knows neither plan nor run leaves the file as it is: nobody could tell of what it is.
    fn end(&self, exit: Exit) {
        let told = &mut *self.told();
        let now = Timestamp::now();
        let figures = match (&told.run, &told.pruned, self.plan_name(told)) {
            (Some(_), _, _) => self.figures(told),
            (None, Some(tombstone), plan) => Figures::of_pruned_run(plan, tombstone),
            (None, None, Some(plan)) => Figures::without_run(Some(plan), self.began, now, exit),
            (None, None, None) => {
                told.is_over = true;
                return;
            }
        };
        // The journal's own time, where it has one: `serve` tells the same.
        let is_of_before = |run: &ToldRun| run.role == RunRole::ToldAgain;
        let is_told_again = told.run.as_ref().map_or(told.pruned.is_some(), is_of_before);
        let recorded = figures.ended.map(|end| end.at).filter(|at| is_told_again || *at >= self.began);
        let at = recorded.unwrap_or(now);
        let ended = Some(LaunchEnd { at, exit_code: exit.code() });
        let success = (exit == Exit::Done).then_some(at);
        self.write(told, Figures { ended, last_success: success, ..figures });
        told.is_over = true;
    }

    /// Reads the figures of the run. Of a journal that cannot be read any more, the run's id and the launch's times are left.
    fn figures(&self, told: &mut FileState) -> Figures {
        let now = Timestamp::now();
        let run = told.run.as_mut().expect("asked for only where there is a run");
        let read = Journal::open_to_read(&run.journal).and_then(|journal| {
            let key = journal.find_run(&run.id)?.key;
            Figures::from_journal(&journal, key, &mut run.outcomes, now)
        });
        match read {
            Ok(mut figures) => {
                if let (Some(of_run), false) = (&mut figures.of_run, run.paces.is_empty()) {
                    of_run.paces.clone_from(&run.paces);
                }
                figures
            }
            Err(_) => Figures {
                run: Some(run.id.clone()),
                started_at: run.started_at.unwrap_or(self.began),
                ended: None,
                ..Figures::without_run(told.plan.clone(), self.began, now, Exit::Internal)
            },
        }
    }

    /// Name of the plan; that of the last run from the same file, if the plan could not be read.
    fn plan_name(&self, told: &FileState) -> Option<String> {
        told.plan.clone().or_else(|| {
            let path = self.plan.as_ref()?.display().to_string();
            let known = self.of_journal(|journal| plans::name_at(journal, &path));
            Some(known.unwrap_or_else(|| plan_name(None, &path)))
        })
    }

    /// Reads from the journal of the settings; nothing where there is none that can be read.
    fn of_journal<T>(&self, read: impl FnOnce(&Journal) -> Result<Option<T>, JournalError>) -> Option<T> {
        let is_there = self.journal.exists();
        let journal = is_there.then(|| Journal::open_to_read(&self.journal).ok()).flatten()?;
        read(&journal).ok().flatten()
    }

    /// Writes the file. What fails is told once, and stops nothing.
    fn write(&self, told: &mut FileState, figures: Figures) {
        if told.is_over || self.is_withheld(told) {
            return;
        }
        let before = *told.last_success.get_or_init(|| {
            let plan = figures.plan.as_deref()?;
            self.of_journal(|journal| plans::last_success(journal, plan))
        });
        let last_success = figures.last_success.max(before);
        if let Err(error) = self.file.write(&Figures { last_success, ..figures })
            && !told.has_warned
        {
            told.has_warned = true;
            let path = shown(self.file.path());
            self.console.warn(&format!("the metrics could not be written to `{path}`: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_that_panics_is_told_as_a_bug() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.prom");
        let began = Timestamp::now();
        let metrics = LaunchMetrics(Some(Arc::new(Exporter {
            console: Console { quiet: true, ..Console::PLAIN },
            file: MetricsFile::tried(&path, began).unwrap(),
            journal: folder.path().join("cutover.db"),
            plan: Some("night.csv".into()),
            began,
            told: Mutex::default(),
            naming: Naming::ByFlag,
        })));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ends = EndsByPanic(&metrics);
            panic!("a bug");
        }));
        assert!(panicked.is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("cutover_run_exit_code{plan=\"night.csv\"} 70\n"), "{text}");
        // The file is complete: nothing is written behind the end.
        metrics.end(Exit::Done);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
