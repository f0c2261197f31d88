//! A file that is there whole or not at all: written beside its destination and renamed into place.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use tempfile::NamedTempFile;

/// Refuses a place in which a report cannot be written, before the work: the folder takes no new file, the destination is a
/// folder itself, or what is there is a journal.
pub fn check_destination(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "the destination is a folder"));
    }
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the destination has no file name"));
    }
    if is_no_file(path) {
        return Ok(());
    }
    if is_of_a_journal(path) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a journal is there, and is not replaced"));
    }
    temporary(path, path).map(drop)
}

/// Refuses a place in which the plan stands that the report is of.
pub fn check_is_not_the_plan(path: &Path, plan: &Path) -> io::Result<()> {
    let place = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    if place(path).is_some() && place(path) == place(plan) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the plan is there, and is not replaced"));
    }
    Ok(())
}

/// An SQLite database, or what SQLite keeps beside one.
/// source: `sqlite.org/fileformat.html` (the database header)
fn is_of_a_journal(path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut first = [0; MAGIC.len()];
    let is_database = File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == *MAGIC);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    is_database || path.exists() && ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end))
}

/// A device or a pipe, opened to be written to. Nobody may be there yet who reads a pipe, or ever come.
fn open_no_file(path: &Path) -> io::Result<File> {
    let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(at_once).open(path).map_err(|error| {
        let nobody = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
        if nobody { io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads from this pipe") } else { error }
    })?;
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - rustix::fs::OFlags::NONBLOCK)?;
    Ok(file)
}

/// A device or a pipe is there to be written to, and not to be replaced.
fn is_no_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Replaces the destination in one step once all of it is on disk; on an error it stays as it was. A new file is for the eyes
/// for which `like` is, from which it was made.
pub fn write_beside<E: From<io::Error>>(
    path: &Path,
    like: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
) -> Result<(), E> {
    write_file_beside(path, like, |file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// The same for what has to go back and forth in its file.
pub fn write_file_beside<E: From<io::Error>>(
    path: &Path,
    like: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    check_destination(path)?;
    if is_no_file(path) {
        let mut whole = tempfile::tempfile()?;
        write(&mut whole)?;
        whole.rewind()?;
        io::copy(&mut whole, &mut open_no_file(path)?)?;
        return Ok(());
    }
    let mut file = temporary(path, like)?;
    write(file.as_file_mut())?;
    if let Ok(replaced) = std::fs::metadata(path) {
        // Whatever the user takes away from new files, and whoever writes it.
        file.as_file().set_permissions(replaced.permissions())?;
        // Only root may give a file away.
        _ = fchown(file.as_file(), Some(replaced.uid()), Some(replaced.gid()));
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn temporary(path: &Path, like: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cutover-");
    // A temporary file is private by default; a report is as readable as the file that it replaces, or as what it tells of.
    let found = std::fs::metadata(path).or_else(|_| std::fs::metadata(like));
    let mode = found.map_or(0o666, |found| found.permissions().mode() & 0o666);
    builder.permissions(std::fs::Permissions::from_mode(mode));
    builder.tempfile_in(folder)
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
    fn a_report_is_for_the_eyes_of_what_it_tells_of_or_of_what_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, path) = (folder.path().join("cutover.db"), folder.path().join("report.csv"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(&journal, "").unwrap();
        set(&journal, 0o600);
        write_beside(&path, &journal, |out| out.write_all(b"new")).unwrap();
        assert_eq!(mode(&path), 0o600);
        // More than a new file of most users gets.
        set(&path, 0o664);
        write_beside(&path, &journal, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(mode(&path), 0o664);
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        let device = Path::new("/dev/full");
        check_destination(device).unwrap();
        let failed = write_beside(device, device, |out| out.write_all(b"new")).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert!(is_no_file(device));
        write_beside(Path::new("/dev/null"), device, |out| out.write_all(b"new")).unwrap();
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
