//! Errors of a journal: how the program ends for each, and what to do next.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::entry::ErrorEntry;
use super::hints::{LOOKS_ANEW, hint_of_file};
use crate::exit::Exit;
use crate::journal::altered::{Additions, SchemaAltered};
use crate::journal::one_name::Misplaced;
use crate::journal::tombstone::Tombstone;
use crate::journal::{JournalError, LogError};
use crate::verb::here::Here;
use crate::wording::shell::{shell_path, shell_word};

/// The setting that may have named another file than the one that was meant.
const PLACE: &str = "journal";

pub(crate) fn entry_of_journal(error: &JournalError) -> ErrorEntry<'_> {
    use Exit::{Integrity, Internal, Locked, Refused, Unreachable, Usage};
    match error {
        JournalError::Absent(_) => {
            ErrorEntry::said(Usage, "name it with `--journal PATH`; `cutover run PLAN` makes one").of_setting(PLACE)
        }
        JournalError::Unreadable { path, .. } => ErrorEntry::typed(Usage, |here| {
            hint_of_file(path, here, "name one that you may read with `--journal PATH`")
        })
        .of_setting(PLACE),
        JournalError::Folder(_) => ErrorEntry::said(Usage, "name a file in it with `--journal PATH`").of_setting(PLACE),
        JournalError::NoFolder(folder) => ErrorEntry::typed(Usage, |_| hint_of_folder(folder)).of_setting(PLACE),
        JournalError::Misplaced(misplaced) => {
            ErrorEntry::typed(Usage, |_| hint_of_misplaced(misplaced)).of_setting(PLACE)
        }
        JournalError::Older { .. } => ErrorEntry::said(
            Usage,
            "copy it, with the log (`-wal`) if one lies beside it, to a folder that can be written to, and name the copy with \
             `--journal PATH`",
        ),
        JournalError::Newer { .. } => ErrorEntry::said(Usage, "use the newer cutover"),
        JournalError::NoRuns => ErrorEntry::said(Usage, "`cutover run PLAN` makes one").of_setting(PLACE),
        JournalError::UnknownRun(_) => ErrorEntry::typed(Usage, hint_of_runs).of_setting(PLACE),
        JournalError::AmbiguousRun { .. } | JournalError::KeyTaken { .. } => ErrorEntry::typed(Usage, hint_of_runs),
        JournalError::Pruned(tombstone) | JournalError::AllPruned(tombstone) => {
            ErrorEntry::typed(Usage, |_| hint_of_pruned(tombstone))
        }
        JournalError::NotAJournal => {
            ErrorEntry::said(Integrity, "name another file with `--journal PATH`").of_setting(PLACE)
        }
        JournalError::Damaged(_)
        | JournalError::NotAsTold { .. }
        | JournalError::NotOurs
        | JournalError::Illegal(_) => ErrorEntry::typed(Integrity, |_| {
            format!(
                "keep the file as it is; an earlier copy shows what it held, and `sqlite3 COPY .recover` what can still be \
                     read; {LOOKS_ANEW}"
            )
        }),
        JournalError::Log(LogError::Shorter { .. } | LogError::Gone { .. } | LogError::MadeAnew { .. }) => {
            ErrorEntry::said(
                Integrity,
                "keep the journal as it is: it has all that was recorded before this; the log may have acknowledged more, of what was about \
             to be recorded; `cutover resume RUN --restore-log` writes to the log again what it lacks",
            )
        }
        JournalError::Log(LogError::Stray { .. }) => ErrorEntry::said(
            Integrity,
            "keep the journal as it is: it has all that was recorded before that message; `cutover resume RUN`, on this machine, says how the \
             log is made anew of it",
        ),
        JournalError::Log(LogError::Away) => entry_of_log_servers(),
        JournalError::Held => ErrorEntry::typed(Locked, |here| {
            format!("try again once it goes on; `{}` shows how the run stands", here.reads("status"))
        }),
        JournalError::Log(LogError::NotMade) => ErrorEntry::said(
            Unreachable,
            "nothing was sent, and no run was made; the same command begins anew once the servers answer",
        ),
        JournalError::Log(LogError::OtherRun) => {
            ErrorEntry::said(Refused, "nothing was sent; the same command makes a run of another id")
        }
        JournalError::Log(LogError::PartTooLarge { .. }) => {
            ErrorEntry::said(Usage, "nothing was sent; shorten the columns of the plan that are only carried along")
        }
        JournalError::Replaced => ErrorEntry::typed(Locked, |here| {
            format!("`{}` tells of it, and `{}` of all runs", here.reads("status"), here.reads("runs"))
        }),
        JournalError::Added(additions) => ErrorEntry::typed(Integrity, |_| hint_of_additions(additions)),
        JournalError::Schema(altered) => ErrorEntry::typed(Integrity, |here| hint_of_schema(altered, here)),
        JournalError::Excerpt => {
            ErrorEntry::typed(Integrity, |_| format!("go on in the journal that it was copied from; {LOOKS_ANEW}"))
                .of_setting(PLACE)
        }
        JournalError::Beside { .. } => ErrorEntry::typed(Integrity, |_| {
            format!(
                "if no program is at work on the journal now, keep all of it as it is; an earlier copy shows what it held; \
                 {LOOKS_ANEW}"
            )
        }),
        JournalError::Full(_) => ErrorEntry::said(
            Internal,
            "make room and run the same command again: what was sent is known, and nothing is sent twice unseen",
        ),
        JournalError::Copy { .. } => ErrorEntry::said(Internal, "make room, or name a place on another disk"),
        JournalError::Unopenable { .. } => ErrorEntry::plain(Internal).of_setting(PLACE),
        JournalError::FailingDisk(_) => ErrorEntry::said(
            Internal,
            "look at its disk, and at quotas and limits on the size of files; the same command then goes on where it stands",
        ),
        JournalError::Abandoned
        | JournalError::Migration(_)
        | JournalError::Sqlite(_)
        | JournalError::Log(LogError::TooLarge { .. }) => ErrorEntry::plain(Internal),
    }
}

pub(super) fn entry_of_log_servers() -> ErrorEntry<'static> {
    ErrorEntry::said(Exit::Unreachable, "look at the servers and at the way to them, and run the same command again")
}

fn hint_of_runs(here: &Here) -> String {
    format!("`{}` shows them", here.reads("runs"))
}

pub(crate) fn hint_of_pruned(Tombstone { archive, .. }: &Tombstone) -> String {
    format!(
        "its reports are in the archive; in the folder where that lies, `cutover audit verify --bundle {}` checks it",
        shell_word(&archive.name)
    )
}

/// Takes out what is not ours, and nothing else: what was recorded stays, in the file and in a copy of it as it was.
fn hint_of_additions(additions: &Additions) -> String {
    let path = shell_path(&additions.path);
    format!(
        "nothing that was recorded is lost: keep a copy (`sqlite3 {path} \".backup COPY\"`), take out what was added (`sqlite3 \
         {path} {}`), and run the same command again",
        shell_word(&additions.taken_out())
    )
}

/// A copy without what was added shows what was recorded, as far as that is still so. Nothing that is read through anything else
/// than our tables is.
fn hint_of_schema(altered: &SchemaAltered, here: &Here) -> String {
    match altered.taken_out() {
        Some((path, drops)) => format!(
            "keep the file as it is, for whoever asks who did it; what was recorded since may be altered, too: copy it (`sqlite3 {} \
             \".backup COPY\"`), take out of the copy what was added (`sqlite3 COPY {}`), and hold that against an anchor that was \
             kept elsewhere (`cutover audit verify --anchor CODE --journal COPY`); {LOOKS_ANEW}",
            shell_path(path),
            shell_word(&drops)
        ),
        None => format!(
            "`{}` names each of them; keep the file as it is, for whoever asks who did it, and compare it with an earlier copy; \
             {LOOKS_ANEW}",
            here.reads("audit verify")
        ),
    }
}

fn hint_of_misplaced(misplaced: &Misplaced) -> String {
    match misplaced {
        Misplaced::NoFile(_) | Misplaced::LinkToNowhere(_) => "name a file with `--journal PATH`".to_owned(),
        Misplaced::Names { path, has_log, .. } => hint_of_names(&shell_path(path), *has_log),
        Misplaced::MountedAlone(_) => "mount the folder that the journal is in".to_owned(),
        Misplaced::Beside { path, .. } => hint_of_what_lies_beside(path),
    }
}

/// Removes nothing that may hold what was recorded last.
fn hint_of_what_lies_beside(path: &Path) -> String {
    let shown = shell_path(path);
    if path.symlink_metadata().is_ok_and(|found| found.is_file() && found.nlink() > 1) {
        return format!(
            "it may hold what was recorded last: remove the other name (`find \"$(stat -c %m {shown})\" -xdev -samefile \
             {shown}` finds it), and not this one"
        );
    }
    let aside = shell_word(&format!("{}.aside", path.display()));
    format!(
        "see who put it there (`ls -ld {shown}`), and put it aside: `mv {shown} {aside}`; do not delete it, for it may hold what \
         was recorded last, or lead to that"
    )
}

/// Names the way that keeps what was recorded last: a log lies beside one of the names, and no plain copy takes it along.
fn hint_of_names(path: &str, has_log: bool) -> String {
    let find = format!("`find \"$(stat -c %m {path})\" -xdev -samefile {path}`");
    if has_log {
        format!(
            "remove the other name ({find} finds it), and not this one, beside which the log lies; or copy both into one: \
             `sqlite3 {path} \".backup COPY\"`, and name the copy"
        )
    } else {
        format!(
            "{find} finds the names: keep the one beside which a log (`-wal`) lies, if there is one, and remove the others"
        )
    }
}

/// Says that the folder is not made in silence: a name that was typed may be a mistake.
fn hint_of_folder(folder: &Path) -> String {
    let text = folder.to_string_lossy();
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!(
                "write `$HOME{rest}`: only a shell knows what `~` is, and only at the beginning of a word without quotes"
            )
        }
        Some(_) | None => {
            format!("`mkdir -p {}` makes it; or name another file with `--journal PATH`", shell_path(folder))
        }
    }
}
