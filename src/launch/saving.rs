//! Rescue of a journal that was removed, moved or overwritten during a launch: its content is saved from the file that is still open,
//! as far as that is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::audit::beforehand::{self, CheckFor};
use crate::audit::result::AuditError;
use crate::console::Console;
use crate::engine::stop::Stop;
use crate::event::run::DrainReason;
use crate::journal::place::{Gone, How, JournalFiles};
use crate::journal::{Journal, JournalError, RunKey};
use crate::recorder::kept::Kept;
use crate::recorder::sent::Sent;
use crate::recorder::watch::{Rescue, Watch};
use crate::verb::error::CommandError;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::{audit, files};

/// Facts about a journal that is gone.
pub(super) struct Lost {
    what: String,
    left: String,
    /// Path under which all of it is saved, at the end of the launch at the latest; `None` if that is not possible.
    pub(super) saved: Option<PathBuf>,
    /// True if a whole copy is saved already, and the launch goes on in that.
    pub(super) is_copied: bool,
    /// True if the file is whole and another process changed its content: exit 7, and not 70.
    is_altered: bool,
    /// List of what was sent, to which the rest of the launch is added; `None` if it could not be written.
    list: Option<Kept>,
}

impl Lost {
    /// Error of a launch whose journal is not saved whole.
    pub(super) fn error(&self, n_sent: u64) -> CommandError {
        let told = self.told(n_sent);
        if self.is_altered { CommandError::JournalAltered(told) } else { CommandError::JournalGone(told) }
    }

    /// Tells whether the list of what was sent could not be written to its end.
    pub(super) fn is_list_cut_short(&self) -> bool {
        self.list.as_ref().is_some_and(|list| !list.is_whole())
    }

    /// Returns the loss in one line, with the count of changes that were sent until the end.
    pub(super) fn told(&self, n_sent: u64) -> String {
        let list = if self.is_list_cut_short() { "; the list could not be written to its end" } else { "" };
        format!("{}: stopped after {}; {}{list}", self.what, count(n_sent, "change"), self.left)
    }
}

/// Loss of the journal, shared with the recorder, which notices it; set at most once.
#[derive(Clone, Default)]
pub(super) struct Losing(Arc<OnceLock<Lost>>);

impl Losing {
    pub(super) fn lost(&self) -> Option<&Lost> {
        self.0.get()
    }

    /// Path of the whole copy in which the launch goes on.
    pub(super) fn copied(&self) -> Option<&Path> {
        self.lost().filter(|lost| lost.is_copied)?.saved.as_deref()
    }

    /// Path of the saved journal.
    pub(super) fn saved(&self) -> Option<&Path> {
        self.lost().and_then(|lost| lost.saved.as_deref())
    }

    /// Checks for the recorder, and its action on a loss: drain the run, then save the open file, or a copy, or a list of what was sent.
    pub(super) fn watch(
        &self,
        journal: &Journal,
        run: RunKey,
        stop: &Stop,
        sent: &Sent,
        (kept, console): (Kept, Console),
    ) -> Result<Watch, JournalError> {
        let (losing, stop, sent, kept_then) = (self.clone(), stop.clone(), sent.clone(), kept.clone());
        let sent_then = sent.clone();
        let gone = move |journal: &Journal, place: &JournalFiles, gone: &Gone| {
            // A file that was removed may have been overwritten before.
            let left = if gone.is_elsewhere() && is_whole(journal, run).is_ok() {
                Remains::of_whole(place)
            } else {
                Remains::of_written_over(journal, run, place, &kept_then)
            };
            let told = left.told(gone, place, sent_then.n());
            let is_copied = matches!(left, Remains::Copied(..));
            let is_listed = matches!(left, Remains::Parts { of_sent: Some(_), .. });
            let lost = Lost {
                what: gone.to_string(),
                left: told,
                saved: left.saved().map(Path::to_owned),
                is_copied,
                is_altered: gone.is_altered(),
                list: is_listed.then(|| kept_then.clone()),
            };
            _ = losing.0.set(lost);
            // Set before the drain, whose observers read the reason.
            stop.drain(DrainReason::JournalGone);
            left.rescue()
        };
        let check = move |journal: &Journal| is_whole(&journal.again().map_err(|error| error.to_string())?, run);
        let compare = move |journal: &Journal| is_as_begun(journal, run);
        let log_held = move |log: u64, readers: &[String]| console.warn(&log_is_held(log, readers));
        Ok(Watch {
            place: journal.place()?,
            gone: Box::new(gone),
            check: Box::new(check),
            compare: Box::new(compare),
            kept,
            sent,
            held: Box::new(log_held),
        })
    }
}

/// State of a journal that is gone, as far as it is saved.
enum Remains {
    /// All of it, in the file that is open.
    Open(PathBuf),
    /// All of it, in a copy that was made at once.
    Copied(PathBuf, Box<Journal>),
    /// Copy of what could be read of it, and a list of what was sent.
    Parts {
        of_journal: Option<PathBuf>,
        of_sent: Option<PathBuf>,
    },
    Nothing,
}

impl Remains {
    fn of_whole(place: &JournalFiles) -> Self {
        free_place(place, "saved", "").map_or(Remains::Nothing, |(path, _)| Remains::Open(path))
    }

    fn of_written_over(journal: &Journal, run: RunKey, place: &JournalFiles, kept: &Kept) -> Self {
        let mut of_journal = None;
        if let Some((path, _)) = free_place(place, "saved", "") {
            let copied = journal.copy_to(&path).and_then(|()| Journal::open(&path));
            match copied {
                Ok(mut copy) => {
                    if is_whole(&copy, run).is_ok() && journal.goes_on_in(&mut copy).unwrap_or(false) {
                        return Remains::Copied(path, Box::new(copy));
                    }
                    of_journal = Some(path);
                }
                Err(_) => _ = std::fs::remove_file(path),
            }
        }
        let of_sent = free_place(place, "sent", ".csv").and_then(|(path, file)| {
            if kept.write_to(file).is_ok_and(|written| written) {
                return Some(path);
            }
            _ = std::fs::remove_file(path);
            None
        });
        Remains::Parts { of_journal, of_sent }
    }

    /// Path of the whole journal.
    fn saved(&self) -> Option<&Path> {
        match self {
            Remains::Open(path) | Remains::Copied(path, _) => Some(path),
            Remains::Parts { .. } | Remains::Nothing => None,
        }
    }

    fn told(&self, gone: &Gone, place: &JournalFiles, n_sent: u64) -> String {
        let left = match self {
            Remains::Open(path) | Remains::Copied(path, _) => {
                format!("everything that was recorded is saved as `{}`", path.display())
            }
            Remains::Parts { of_journal, of_sent } => told_of_parts(of_journal.as_deref(), of_sent.as_deref(), n_sent),
            Remains::Nothing => "there is no place where what was recorded could be saved".to_owned(),
        };
        let now_at = place.now_at().filter(|_| gone.is_elsewhere()).map_or_else(String::new, |now_at| {
            format!("; the file itself, `{}`, lacks what was recorded last", now_at.display())
        });
        format!("{left}{now_at}")
    }

    fn rescue(self) -> Rescue {
        match self {
            Remains::Open(path) => Rescue::AtTheEnd(path),
            Remains::Copied(_, journal) => Rescue::In(journal),
            Remains::Parts { of_sent: Some(_), .. } => Rescue::Apart,
            Remains::Parts { of_sent: None, .. } | Remains::Nothing => Rescue::Nowhere,
        }
    }
}

fn told_of_parts(of_journal: Option<&Path>, of_sent: Option<&Path>, n_sent: u64) -> String {
    let of_journal = match of_journal {
        Some(path) => format!("`{}` has what can still be read of it, which is not all", path.display()),
        None => "nothing can be read of it any more".to_owned(),
    };
    let of_sent = match of_sent {
        Some(path) => format!(
            "`{}` lists what this launch sent, with the request ids; what was recorded before it is in no other file of ours",
            path.display()
        ),
        None if n_sent == 0 => "this launch has sent nothing".to_owned(),
        None => "the request ids of what this launch sent are in no other file of ours".to_owned(),
    };
    format!("what was recorded could not be saved whole: {of_journal}; {of_sent}")
}

/// Checks the file, and the run from its first event to its last.
fn is_whole(journal: &Journal, run: RunKey) -> Result<(), String> {
    journal.check_pages().map_err(|error| error.to_string())?;
    let record = journal.run(run).map_err(|error| error.to_string())?;
    audit::run::verify(journal, &record).map(drop).map_err(|error| error.to_string())
}

/// Checks the run as a launch does that goes on with it.
fn is_as_begun(journal: &Journal, run: RunKey) -> Result<(), How> {
    let held = journal.again().and_then(|journal| Ok((journal.run(run)?, journal)));
    let (record, journal) = held.map_err(|error| How::Unlike(error.to_string()))?;
    beforehand::run(&journal, &record, CheckFor::Launch).map_err(|error| match error {
        AuditError::Altered(_) => How::Altered(error.to_string()),
        AuditError::Journal(_) | AuditError::ShortAnchor { .. } => How::Unlike(error.to_string()),
    })
}

/// Warning of a log that grows: its size in MiB, and the processes whose reading keeps it from being written back.
pub(crate) fn log_is_held(log: u64, readers: &[String]) -> String {
    let size = log >> 20;
    if readers.is_empty() {
        // The system does not list the readers.
        return format!(
            "the journal's log has {size} MiB and grows with every change: something keeps it from being written back, as \
             whoever reads in it for long does"
        );
    }
    let who = plain(&readers.join(", "));
    format!(
        "{who} has been reading the journal all along: its log has {size} MiB and grows with every change until that ends"
    )
}

/// Makes a new file with the journal's mode and owner: beside the journal, else in the current folder, else in that for temporary files.
fn free_place(place: &JournalFiles, what: &str, extension: &str) -> Option<(PathBuf, File)> {
    let journal = place.path();
    let name = journal.file_name()?.to_string_lossy();
    let name = format!("{name}.{what}-{}{extension}", Timestamp::now().strftime("%Y%m%dt%H%M%S"));
    let beside = journal.parent().map(Path::to_owned);
    let folders = beside.into_iter().chain(std::env::current_dir()).chain([std::env::temp_dir()]);
    let mut places = folders.map(|folder| folder.join(&name));
    places.find_map(|path| made(&path, place).ok().map(|file| (path, file)))
}

fn made(path: &Path, place: &JournalFiles) -> io::Result<File> {
    let file = files::open::create_new(path, place.mode())?;
    // Only root may give a file away; any other user has only journals of their own.
    let (user, group) = place.owner();
    _ = fchown(&file, Some(user), Some(group));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_is_named_if_it_is_known_and_nobody_is_made_up() {
        let known = log_is_held(18 << 20, &["process 7 (`sqlite3`)".to_owned()]);
        assert!(known.starts_with("process 7 (`sqlite3`) has been reading the journal all along: its log has 18 MiB"));
        let unknown = log_is_held(18 << 20, &[]);
        assert!(unknown.contains("something keeps it") && !unknown.contains("process"), "{unknown}");
    }

    #[test]
    fn a_list_that_ends_too_early_is_told_as_one() {
        use crate::event::Event;
        use crate::event::lane::LaneId;
        use crate::event::row::RowEvent;
        use crate::model::RowId;
        use crate::model::state::TargetState;
        use crate::recorder::observer::Observer as _;

        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::beside(&folder.path().join("cutover.db"));
        let (reader, writer) = io::pipe().unwrap();
        assert!(kept.write_to(File::from(std::os::fd::OwnedFd::from(writer))).unwrap());
        let (what, left) = ("the journal was cut off".to_owned(), "`s.csv` lists what this launch sent".to_owned());
        let lost = Lost { what, left, saved: None, is_copied: false, is_altered: false, list: Some(kept.clone()) };
        assert!(lost.told(3).ends_with("stopped after 3 changes; `s.csv` lists what this launch sent"));
        drop(reader);
        let sends = TargetState { copystate: None, migrationcycle: None };
        let kind = RowEvent::AttemptStarted { attempt: 1, sends }.about(RowId(1));
        let begun = Event { lane: LaneId::FIRST, seq: 1, at: Timestamp::UNIX_EPOCH, kind };
        assert!(kept.on_event(&begun, None).is_err());
        assert!(lost.told(3).ends_with("sent; the list could not be written to its end"), "{}", lost.told(3));
    }

    #[test]
    fn what_is_lost_is_said_and_where_the_rest_is() {
        let (copy, sent) = (Path::new("c.db"), Path::new("s.csv"));
        let told = told_of_parts(Some(copy), Some(sent), 3);
        assert!(told.contains("`c.db` has what can still be read of it, which is not all"), "{told}");
        assert!(told.contains("`s.csv` lists what this launch sent, with the request ids"), "{told}");
        let told = told_of_parts(None, None, 3);
        assert!(told.contains("nothing can be read of it any more"), "{told}");
        assert!(told.ends_with("the request ids of what this launch sent are in no other file of ours"), "{told}");
        assert!(told_of_parts(None, None, 0).ends_with("this launch has sent nothing"));
    }
}
