//! Making of a journal that is complete before it has its name: a process that is killed meanwhile leaves nothing in the way, and a
//! journal that is found is whole. A file that SQLite makes by itself has a half-written change beside it for a while.
//!
//! The whole of it is made in memory and written to a file that has no name yet, which then gets its own, unless somebody was
//! faster. Where a file system has no such files, one under a name of its own is renamed.
//!
//! source: open(2) (`O_TMPFILE`), renameat2(2) (`RENAME_NOREPLACE`)

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::{Connection, MAIN_DB};
use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags, RenameFlags};

use super::beside::beside;
use super::error::JournalError;
use super::schema;
use crate::files;
use crate::files::left::Left;

/// Makes an empty journal, if nothing is there; replaces nothing.
pub(super) fn make(path: &Path) -> io::Result<()> {
    // A log left by another journal would be taken for this one's; beside an empty file, SQLite discards it.
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if is_there(path) || ["-wal", "-shm", "-journal"].iter().any(|suffix| is_there(&beside(path, suffix))) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let journal = whole().map_err(io::Error::other)?;
    let folder = files::folder::folder_of(path);
    match place_unnamed(path, folder, &journal) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => place_renamed(path, folder, &journal)?,
        placed => placed?,
    }
    // The name survives a power failure as the content does.
    File::open(folder)?.sync_all()
}

/// Returns an empty journal in memory.
pub(super) fn empty() -> Result<Connection, JournalError> {
    let mut conn = Connection::open_in_memory()?;
    schema::harden(&conn)?;
    schema::tune(&conn)?;
    schema::migrate(&mut conn)?;
    Ok(conn)
}

/// Returns all pages of an empty journal in WAL mode.
fn whole() -> Result<Vec<u8>, JournalError> {
    /// Offsets of the write and read versions in the header, which say that there is a log.
    ///
    /// source: sqlite.org/fileformat2.html (section 1.3.3)
    const VERSIONS: std::ops::Range<usize> = 18..20;
    const WITH_LOG: u8 = 2;
    let mut pages = empty()?.serialize(MAIN_DB)?.to_vec();
    pages[VERSIONS].fill(WITH_LOG);
    Ok(pages)
}

fn fill(mut file: &File, mode: u32, journal: &[u8]) -> io::Result<()> {
    // The umask took away rights that this file is to have.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(journal)?;
    file.sync_all()
}

/// Places it by way of a file without a name, which is gone if the process dies.
fn place_unnamed(path: &Path, folder: &Path, journal: &[u8]) -> io::Result<()> {
    let mode = files::mode::private_mode(folder);
    let unnamed = OFlags::TMPFILE.bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).custom_flags(unnamed).mode(mode).open(folder)?;
    fill(&file, mode, journal)?;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Places it by way of a file with a random name. One that is left by a killed process is removed by the next maker there.
fn place_renamed(path: &Path, folder: &Path, journal: &[u8]) -> io::Result<()> {
    let prefix = prefix(path);
    Left::Files.remove_from(folder, &prefix);
    // New, and for its owner alone; removed with the value unless it was renamed.
    let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
    // The lock marks it as in use.
    rustix::fs::flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
    fill(file.as_file(), files::mode::private_mode(folder), journal)?;
    Ok(rustix::fs::renameat_with(CWD, file.path(), CWD, path, RenameFlags::NOREPLACE)?)
}

fn prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".new-");
    prefix
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn names_in(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_journal_has_its_name_once_it_is_whole_and_leaves_nothing_beside_it() {
        for place in [place_unnamed, place_renamed] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cutover.db");
            place(&path, folder.path(), &whole().unwrap()).unwrap();
            assert_eq!(names_in(folder.path()), ["cutover.db"]);
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.nlink(), found.mode() & 0o777), (1, files::mode::private_mode(folder.path())));
            let conn = Connection::open(&path).unwrap();
            let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            let check: String = conn.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
            assert_eq!((mode.as_str(), check.as_str()), ("wal", "ok"));
            assert!(schema::is_of_newest(&conn).unwrap());
        }
    }

    #[test]
    fn what_is_there_already_is_not_replaced() {
        for place in [place_unnamed, place_renamed] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cutover.db");
            fs::write(&path, "somebody's").unwrap();
            let error = place(&path, folder.path(), b"ours").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"somebody's");
            assert_eq!(names_in(folder.path()), ["cutover.db"]);
        }
    }

    #[test]
    fn a_log_that_is_left_of_another_journal_is_not_taken_for_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cutover.db-wal"), "left").unwrap();
        assert!(make(&folder.path().join("cutover.db")).is_err());
        assert_eq!(names_in(folder.path()), ["cutover.db-wal"]);
    }

    #[test]
    fn what_a_killed_launch_left_is_taken_away_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at(".cutover.db.new-left"), "half").unwrap();
        fs::write(at("theirs"), "theirs").unwrap();
        std::os::unix::fs::symlink(at("theirs"), at(".cutover.db.new-link")).unwrap();
        fs::hard_link(at("theirs"), at(".cutover.db.new-name")).unwrap();
        fs::create_dir(at(".cutover.db.new-folder")).unwrap();
        fs::write(at(".cutover.db.new-live"), "half").unwrap();
        let live = File::open(at(".cutover.db.new-live")).unwrap();
        rustix::fs::flock(&live, FlockOperation::NonBlockingLockExclusive).unwrap();
        place_renamed(&at("cutover.db"), folder.path(), &whole().unwrap()).unwrap();
        let stay = ["folder", "link", "live", "name"].map(|end| format!(".cutover.db.new-{end}"));
        assert_eq!(names_in(folder.path())[..4], stay.map(OsString::from));
        assert_eq!(names_in(folder.path())[4..], ["cutover.db", "theirs"]);
        assert_eq!(fs::read(at("theirs")).unwrap(), b"theirs");
    }
}
