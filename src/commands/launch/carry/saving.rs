//! A journal that went away while the launch went on: what was sent stands in an open file that nobody finds any more, and
//! is saved from there.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::console::Console;
use crate::engine::stop::Stop;
use crate::event::DrainReason;
use crate::journal::place::{Gone, Place};
use crate::journal::{Journal, JournalError};
use crate::observe::sent::Sent;
use crate::recorder::Watch;
use crate::report::plain::{count, plain};

/// What is known of a journal that is gone.
pub(super) struct Lost {
    /// In one line, with what was sent until then.
    pub(super) why: String,
    /// Where all of it is saved at the end of the launch.
    pub(super) saved: Option<PathBuf>,
}

/// Shared with the writer, who notices it.
#[derive(Clone, Default)]
pub(super) struct Losing(Arc<OnceLock<Lost>>);

impl Losing {
    pub(super) fn lost(&self) -> Option<&Lost> {
        self.0.get()
    }

    /// Where the journal is from here on.
    pub(super) fn saved(&self) -> Option<&Path> {
        self.lost().and_then(|lost| lost.saved.as_deref())
    }

    /// Stops the run before more is sent, and finds a place to save what the open file holds.
    pub(super) fn watch(
        &self,
        journal: &Journal,
        stop: &Stop,
        sent: &Sent,
        console: Console,
    ) -> Result<Watch, JournalError> {
        let (losing, stop, sent) = (self.clone(), stop.clone(), sent.clone());
        let gone = move |place: &Place, gone: &Gone| {
            let saved = free_place(place.path());
            let lost = Lost { why: told(gone, place, sent.n(), saved.as_deref()), saved: saved.clone() };
            _ = losing.0.set(lost);
            // Who stops for it asks at once why.
            stop.drain(DrainReason::JournalGone);
            saved
        };
        let held = move |log: u64, readers: &[String]| console.warn(&log_is_held(log, readers));
        Ok(Watch { place: journal.place()?, gone: Box::new(gone), held: Box::new(held) })
    }
}

fn told(gone: &Gone, place: &Place, n_sent: u64, saved: Option<&Path>) -> String {
    let saved = match saved {
        Some(saved) => format!("everything that was recorded is saved as `{}`", saved.display()),
        None => "there is no place where what was recorded could be saved".to_owned(),
    };
    let now_at = place.now_at().map_or_else(String::new, |now_at| {
        format!("; the file itself, `{}`, lacks what was recorded last", now_at.display())
    });
    format!("{gone}: stopped after {}; {saved}{now_at}", count(n_sent, "change"))
}

/// What makes the log of a journal grow.
pub(in crate::commands) fn log_is_held(log: u64, readers: &[String]) -> String {
    let who = if readers.is_empty() { "another process".to_owned() } else { plain(&readers.join(", ")) };
    format!(
        "{who} has been reading the journal all along: its log has {} MiB and grows with every change until that ends",
        log >> 20
    )
}

/// A new file beside where the journal was, else where we are, else where temporary files go.
fn free_place(journal: &Path) -> Option<PathBuf> {
    let name = journal.file_name()?.to_string_lossy();
    let name = format!("{name}.saved-{}", Timestamp::now().strftime("%Y%m%dt%H%M%S"));
    let beside = journal.parent().map(Path::to_owned);
    let folders = beside.into_iter().chain(std::env::current_dir()).chain([std::env::temp_dir()]);
    let mut places = folders.map(|folder| folder.join(&name));
    places.find(|place| OpenOptions::new().write(true).create_new(true).open(place).is_ok())
}
