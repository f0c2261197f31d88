//! Live view of a run: rendered once for everybody who looks, and sent to each when it changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::links::run_link;
use super::reader::Reader;
use crate::journal::{Journal, JournalError};
use crate::report::holder::Holder;
use crate::report::html::overview::{Moments, Overview};
use crate::report::status::where_it_is;
use crate::report::summary::Summary;
use crate::waves::forecast::spoken;
use crate::wording::plain::plain;
use crate::wording::sieve::Form;

/// Interval between looks at the journal; each change is on every page within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Interval of looks without new events: whether a launch is still alive is not in the journal.
const LOOK_ANYWAY_EVERY: Duration = Duration::from_secs(5);
/// Time over which the present rate is averaged.
const LATELY: SignedDuration = SignedDuration::from_secs(10);
/// Number of the last events that are shown.
const MOMENTS: u32 = 12;

/// Part of a run's page that is sent again when it changes.
#[derive(Template)]
#[template(path = "serve/live.html", config = ".askama.toml")]
pub(super) struct Live<'a> {
    summary: &'a Summary,
    overview: Overview<'a>,
    /// Present state of the run, and what it waits for.
    lines: Vec<String>,
    /// Changes a second, and an estimate for the rest.
    pace: Option<(String, Option<String>)>,
    moments: Moments,
}

/// Renders the part of a run's page that changes, as it is now.
pub(super) fn shown(journal: &Journal, id: &str, path: &Path) -> Result<String, JournalError> {
    journal.at_one_instant(|| {
        let run = journal.find_run(id)?;
        let summary = Summary::from_journal(journal, &run, path)?;
        let holder = Holder::look_up(path, &run);
        let mut lines = Vec::new();
        if let Some(running) = &summary.running {
            lines.push(where_it_is(running, holder, None));
            if holder == Holder::Gone {
                lines.push(format!("To go on with it: {}", plain(&summary.commands.resume())));
            }
        }
        if summary.running.is_some() || !summary.steering.paused.is_empty() {
            lines.extend(summary.steering.lines(&summary.commands, holder != Holder::Gone, None));
        }
        let now = Timestamp::now();
        if summary.running.is_some() && holder != Holder::Gone {
            lines.extend(summary.throttled_line());
        }
        let pace = if summary.running.is_some() && holder != Holder::Gone {
            let since = now.checked_sub(LATELY).unwrap_or(Timestamp::UNIX_EPOCH);
            let lately = journal.between(run.key, since, now)?;
            Some((a_second(lately.sent), left(summary.n_unsettled(), lately.settled)))
        } else {
            None
        };
        let overview = Overview::new(&summary, |source_id| {
            let (row, _) = journal.row_of_source(run.key, source_id).ok()??;
            Some(format!("{}/rows/{}", run_link(&run.id), row.id))
        });
        let moments = Moments::from_events(&journal.told_lately(run.key, MOMENTS)?);
        let live = Live { summary: &summary, overview, lines, pace, moments };
        Ok(Form::Text.fit(&live.render().expect("writing to a string does not fail")))
    })
}

fn a_second(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate that people read")]
    let per_second = n as f64 / LATELY.as_secs_f64();
    format!("{per_second:.1}")
}

/// Estimates the time for the rest at the present rate; `None` if nothing was settled lately or nothing is left.
fn left(n_left: u64, n_lately: u64) -> Option<String> {
    let window = LATELY.unsigned_abs().as_secs();
    (n_lately > 0 && n_left > 0).then(|| spoken(Duration::from_secs(n_left * window / n_lately)))
}

pub(super) type PageText = Arc<str>;

/// Watchers, one for each run that somebody looks at.
#[derive(Clone)]
pub(super) struct Watchers {
    reader: Reader,
    journal: PathBuf,
    pub(super) stop: CancellationToken,
    runs: Arc<Mutex<HashMap<String, watch::Sender<PageText>>>>,
    starting: Arc<tokio::sync::Mutex<()>>,
}

impl Watchers {
    pub(super) fn new(reader: Reader, journal: PathBuf, stop: CancellationToken) -> Self {
        Self { reader, journal, stop, runs: Arc::default(), starting: Arc::default() }
    }

    /// Subscribes to the view of a run. One watcher serves all subscribers.
    pub(super) async fn watch(&self, id: &str) -> Result<watch::Receiver<PageText>, JournalError> {
        if let Some(told) = self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(told.subscribe());
        }
        // The first subscriber renders for all who come meanwhile.
        let _first = self.starting.lock().await;
        if let Some(told) = self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(told.subscribe());
        }
        let n_events = self.n_events(id).await?;
        let first = self.look(id).await?;
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, heard) = watch::channel(first);
        runs.insert(id.to_owned(), told.clone());
        tokio::spawn(self.clone().keep_telling(id.to_owned(), told, n_events));
        Ok(heard)
    }

    async fn look(&self, id: &str) -> Result<PageText, JournalError> {
        let (id, path) = (id.to_owned(), self.journal.clone());
        self.reader.read(move |journal| shown(journal, &id, &path)).await.map(PageText::from)
    }

    /// Sends each change until nobody listens any more, or the journal cannot be read. The pages are then disconnected, and told
    /// the error when they ask again.
    async fn keep_telling(self, id: String, told: watch::Sender<PageText>, mut n_events: u64) {
        let mut looked_at = Instant::now();
        loop {
            let began = Instant::now();
            let Ok(now) = self.n_events(&id).await else { break };
            if n_events != now || looked_at.elapsed() >= LOOK_ANYWAY_EVERY {
                // A view is not finished if nobody waits for it any more.
                let looked = tokio::select! {
                    looked = self.look(&id) => looked,
                    () = told.closed() => if self.lets_go(&id, &told) { return } else { continue },
                };
                let Ok(text) = looked else { break };
                told.send_if_modified(|before| {
                    let is_new = *before != text;
                    *before = text;
                    is_new
                });
                (n_events, looked_at) = (now, Instant::now());
            }
            // Adding up a large run takes longer: from some 150,000 rows on, a change takes more than a second to show.
            let pause = LOOK_EVERY.max(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = self.stop.cancelled() => return,
            }
            if self.lets_go(&id, &told) {
                return;
            }
        }
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Ends a watcher without listeners, and tells whether it did. The next subscriber gets a new one.
    fn lets_go(&self, id: &str, told: &watch::Sender<PageText>) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alone = told.receiver_count() == 0;
        if is_alone {
            runs.remove(id);
        }
        is_alone
    }

    /// Counts the events of a run: cheap, and another number whenever something happened.
    async fn n_events(&self, id: &str) -> Result<u64, JournalError> {
        let id = id.to_owned();
        self.reader.read(move |journal| journal.n_events(journal.find_run(&id)?.key)).await
    }
}
