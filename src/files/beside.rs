//! Files that are written whole or not at all: beside their destination, and then renamed into place.
//!
//! That replaces whatever has the name, also a link, and no link is followed: what it leads to stays as it is. Only a device, a pipe or
//! an open descriptor is written to as it is, also by a link of ours.

use std::ffi::OsString;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::folder::{folder_of, is_kept_by_another};
use super::identity::{FileId, is_ours_or_of};
use super::left::{Left, is_at};
use super::mode::{PRIVATE, umask};
use super::open::{create_new, open_at_once};
use super::stream::Stream;
use super::temporary::nameless_file;
use super::turn::wait_for_turn;

const PREFIX: &str = ".cutover-";

/// Refuses, before the work, a destination that a report cannot be written to: the folder accepts no new file, the destination
/// is a folder itself, or a journal is there.
pub(crate) fn check_destination(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "the destination is a folder"));
    }
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the destination has no file name"));
    }
    let stream = Stream::at(path)?;
    if is_of_a_journal(path) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a journal is there, and is not replaced"));
    }
    match stream {
        Some(stream) => stream.check(),
        None if is_kept_by_another(path) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "what is there belongs to somebody else, who alone may replace it in this folder",
        )),
        None => tempfile::tempfile_in(folder_of(path)).map(drop),
    }
}

/// Refuses, before the work, a destination beside which there is no room for so many bytes. Nothing is left there.
pub(crate) fn check_room(path: &Path, n_bytes: u64) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder_of(path))?;
    io::copy(&mut io::repeat(b'#').take(n_bytes), &mut file)?;
    file.sync_all()
}

/// Refuses a file that a journal consists of.
pub(crate) fn check_is_no_journal(path: &Path) -> io::Result<()> {
    if is_of_a_journal(path) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a journal is there"));
    }
    Ok(())
}

/// Tells whether a terminal shows what is written there.
pub(crate) fn leads_to_a_terminal(path: &Path) -> bool {
    Stream::at(path).is_ok_and(|stream| stream.is_some_and(|stream| stream.is_a_terminal()))
}

/// Refuses a destination that is the plan of the report.
pub(crate) fn check_is_not_the_plan(path: &Path, plan: &Path) -> io::Result<()> {
    let file = |path: &Path| FileId::at(path).ok();
    if file(path).is_some() && file(path) == file(plan) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the plan is there, and is not replaced"));
    }
    Ok(())
}

/// Tells whether a file is an SQLite database, or one that SQLite keeps beside it.
/// source: `sqlite.org/fileformat.html` (the database header)
fn is_of_a_journal(path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut first = [0; MAGIC.len()];
    let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    let mut begins_like_one =
        || open_at_once(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == *MAGIC);
    let is_database = is_file && begins_like_one();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    is_database || path.exists() && ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end))
}

/// Permitted readers of a new file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readers {
    mode: u32,
    /// User, besides us, who may own a file that is replaced.
    owner: Option<u32>,
}

impl Readers {
    /// Returns the readers of another file; the usual ones where there is none.
    pub(crate) fn of_file(like: &Path) -> Self {
        let found = std::fs::metadata(like);
        found.map_or_else(|_| Self::usual(), |found| Self { mode: found.mode() & 0o666, owner: Some(found.uid()) })
    }

    /// Returns the readers that the user's umask permits.
    pub(crate) fn usual() -> Self {
        Self { mode: 0o666 & !umask(), owner: None }
    }

    /// Mode of a new file.
    pub(crate) fn mode(self) -> u32 {
        self.mode
    }

    /// Restricts them to those that a mode permits, too.
    pub(crate) fn and(self, mode: u32) -> Self {
        Self { mode: self.mode & mode, ..self }
    }
}

/// Replaces the destination in one step once the whole file is on disk; on an error it stays as it was. A new file has the readers
/// of `like`, which its content comes from.
pub(crate) fn write_beside<E: From<io::Error>>(
    path: &Path,
    like: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
) -> Result<(), E> {
    write_for(path, Readers::of_file(like), write)
}

/// Does the same for these readers.
pub(crate) fn write_for<E: From<io::Error>>(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
) -> Result<(), E> {
    write_file_for(path, readers, |file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// Does the same for a writer that has to seek in its file.
pub(crate) fn write_file_for<E: From<io::Error>>(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    check_destination(path)?;
    if let Some(stream) = Stream::at(path)? {
        let mut whole = nameless_file()?;
        write(&mut whole)?;
        whole.rewind()?;
        io::copy(&mut whole, &mut stream.open()?)?;
        return Ok(());
    }
    let mut file = temporary(path)?;
    write(file.as_file_mut())?;
    let (mode, owners) = match replaced(path, readers) {
        // Keeps mode and owner of the replaced file, whatever the umask and whoever writes it.
        Some(replaced) => (replaced.mode() & 0o777, Some((replaced.uid(), replaced.gid()))),
        None => (readers.mode, None),
    };
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    if let Some((user, group)) = owners {
        // Fails for all but root, who alone may give a file away.
        _ = fchown(file.as_file(), Some(user), Some(group));
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Returns a regular file at the destination, if it is ours or belongs to the owner of the file that the new one is like. A file of
/// others, or behind a link, does not decide who may read the new one.
fn replaced(path: &Path, readers: Readers) -> Option<Metadata> {
    let found = std::fs::symlink_metadata(path).ok()?;
    (found.is_file() && is_ours_or_of(&found, readers.owner)).then_some(found)
}

/// Makes a temporary file, private until it is complete: under a name of the destination's, so that what a killed process left is taken
/// away by whoever writes there next, else under any that is free.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    named_after(path).or_else(|_| tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder_of(path)))
}

/// Makes the file under the destination's own name, locked as long as it is written.
fn named_after(path: &Path) -> io::Result<NamedTempFile> {
    let mut name = OsString::from(PREFIX);
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let name = folder_of(path).join(name);
    let made = wait_for_turn(|| made_and_locked(&name).transpose());
    made.unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}

/// Makes the file; `None` as long as another is there, which is taken away unless it is being written.
fn made_and_locked(name: &Path) -> io::Result<Option<NamedTempFile>> {
    let file = match create_new(name, PRIVATE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Left::Files.take_away(name).map(|()| None);
        }
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) if is_at(&file, name)? => {
            Ok(Some(NamedTempFile::from_parts(file, TempPath::try_from_path(name.to_owned())?)))
        }
        // Another process found it before it was locked, and takes it away as one that was left.
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(unworkable)) => {
            std::fs::remove_file(name)?;
            Err(unworkable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_fails_halfway_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        write_beside(&path, &path, |out| out.write_all(b"old")).unwrap();
        let failed = write_beside(&path, &path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_beside(&path, &path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_goes_with_the_next_write_and_what_another_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let report = at("report.csv");
        // As a process leaves it that is killed before it is renamed.
        temporary(&report).unwrap().keep().unwrap();
        std::fs::write(at(".cutover-backup"), "somebody's").unwrap();
        assert_eq!(names(), [".cutover-backup", ".cutover-report.csv.new"]);
        write_beside(&report, &report, |out| out.write_all(b"new")).unwrap();
        assert_eq!(names(), [".cutover-backup", "report.csv"]);
        let other = temporary(&report).unwrap();
        write_beside(&report, &report, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(names(), [".cutover-backup", ".cutover-report.csv.new", "report.csv"], "it is being written");
        other.persist(&report).unwrap();
        assert_eq!(names(), [".cutover-backup", "report.csv"]);
        std::os::unix::fs::symlink("report.csv", at(".cutover-report.csv.new")).unwrap();
        write_beside(&report, &report, |out| out.write_all(b"newest")).unwrap();
        assert_eq!(std::fs::read(&report).unwrap(), b"newest", "a link that waits there is not followed");
        std::fs::remove_file(at(".cutover-report.csv.new")).unwrap();
        std::fs::hard_link(at(".cutover-backup"), at(".cutover-report.csv.new")).unwrap();
        write_beside(&report, &report, |out| out.write_all(b"last")).unwrap();
        assert_eq!(names(), [".cutover-backup", ".cutover-report.csv.new", "report.csv"], "it has a second name");
    }

    #[test]
    fn a_report_is_for_the_eyes_of_what_it_tells_of_or_of_what_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, path) = (folder.path().join("cutover.db"), folder.path().join("report.csv"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(&journal, "").unwrap();
        set(&journal, 0o600);
        write_beside(&path, &journal, |out| out.write_all(b"new")).unwrap();
        assert_eq!(mode(&path), 0o600);
        // A mode with more rights than most users' new files have.
        set(&path, 0o664);
        write_beside(&path, &journal, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(mode(&path), 0o664);
    }

    #[test]
    fn a_link_that_stands_there_gives_nobody_more_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
        for (name, rights) in [("cutover.db", 0o600), ("theirs", 0o666)] {
            std::fs::write(at(name), name).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(rights)).unwrap();
        }
        std::os::unix::fs::symlink("theirs", at("report.csv")).unwrap();
        write_beside(&at("report.csv"), &at("cutover.db"), |out| out.write_all(b"new")).unwrap();
        assert_eq!((mode(&at("report.csv")), std::fs::read(at("report.csv")).unwrap()), (0o600, b"new".to_vec()));
        assert_eq!(std::fs::read(at("theirs")).unwrap(), b"theirs");
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        let device = Path::new("/dev/full");
        check_destination(device).unwrap();
        let failed = write_beside(device, device, |out| out.write_all(b"new")).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert!(Stream::at(device).unwrap().is_some());
        write_beside(Path::new("/dev/null"), device, |out| out.write_all(b"new")).unwrap();
    }

    #[test]
    fn a_pipe_of_somebody_else_is_a_trap_only_where_anybody_could_have_put_it() {
        const ANYBODY: Option<u32> = Some(65_534);
        let folder = tempfile::tempdir().unwrap();
        let (pipe, mode) = (folder.path().join("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        if std::os::unix::fs::chown(&pipe, ANYBODY, ANYBODY).is_err() {
            // Only root can act as two users.
            return;
        }
        check_destination(&pipe).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(check_destination(&pipe).unwrap_err().to_string().contains("belongs to somebody else"));
    }

    #[test]
    fn a_journal_and_the_plan_are_not_replaced_and_nobody_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("j.csv"), b"SQLite format 3\0and more").unwrap();
        std::fs::write(at("j.db-wal"), b"").unwrap();
        std::fs::write(at("plan.csv"), b"source_id\n").unwrap();
        std::os::unix::fs::symlink("plan.csv", at("link.csv")).unwrap();
        for kept in ["j.csv", "j.db-wal"] {
            assert!(check_destination(&at(kept)).is_err(), "{kept}");
            assert!(write_beside(&at(kept), &at(kept), |out| out.write_all(b"new")).is_err(), "{kept}");
        }
        for (path, is_free) in [("plan.csv", false), ("link.csv", false), ("other.csv", true), ("j.csv", true)] {
            assert_eq!(check_is_not_the_plan(&at(path), &at("plan.csv")).is_ok(), is_free, "{path}");
        }
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let failed = write_beside(&at("pipe"), &at("pipe"), |out| out.write_all(b"new")).unwrap_err();
        assert_eq!(failed.to_string(), "nobody reads from this pipe");
    }

    #[test]
    fn a_destination_that_cannot_be_is_told_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_destination(folder.path()).is_err());
        assert!(check_destination(&folder.path().join("absent/report.csv")).is_err());
        assert!(check_destination(&folder.path().join("report.csv")).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
