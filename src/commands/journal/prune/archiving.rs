//! Archives: each is made and verified in a folder of its own beside its place, and then gets its name.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use tempfile::TempDir;

use crate::audit;
use crate::audit::bundle::JOURNAL;
use crate::commands::audit::export::{Bundle, zip_of};
use crate::commands::audit::verify::archives::{record_in, sum_of};
use crate::files::folder::private_folder_named;
use crate::files::left::Left;
use crate::files::open::open_itself;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::{Archive, PrunedRecord};
use crate::verb::error::{CommandError, output_failed};

/// Beginning of the name of the folder in which an archive is made.
const WORK: &str = ".cutover-prune-";

/// Folder of archives.
pub(super) struct Archives<'a> {
    folder: PathBuf,
    /// Journal whose readers may read the archives.
    journal: &'a Path,
    work: TempDir,
    /// Lock on the folder `work`, which marks it as in use.
    _in_use: File,
}

/// Reason for which a run was not archived, and stays.
pub(super) enum NotArchived {
    /// The run is not what it was, or what was made of it does not verify.
    Altered(String),
    /// Something else has the archive's name.
    Occupied { path: PathBuf, problem: String },
}

impl<'a> Archives<'a> {
    /// Makes the folder if it is not there, and tries whether files can be made in it. What killed processes left there is removed.
    pub(super) fn open(folder: &Path, journal: &'a Path) -> Result<Self, CommandError> {
        let failed = |source| CommandError::Archives { path: folder.to_owned(), source };
        if !folder.exists() {
            make(folder, journal).map_err(failed)?;
        }
        let folder = folder.canonicalize().map_err(failed)?;
        Left::Folders.remove_from(&folder, WORK.as_ref());
        let work = private_folder_named(WORK, &folder).map_err(failed)?;
        let in_use = open_itself(work.path()).map_err(failed)?;
        rustix::fs::flock(&in_use, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self { folder, journal, work, _in_use: in_use })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the archive of a run, which is on disk and verified. One that is there already is verified and taken.
    pub(super) fn archive(
        &self,
        journal: &Journal,
        run: &RunRecord,
        record: &PrunedRecord,
    ) -> Result<Result<Archive, NotArchived>, CommandError> {
        let place = self.folder.join(format!("{}.zip", run.id));
        if fs::symlink_metadata(&place).is_err() {
            return self.make(journal, run, record, &place);
        }
        let sum = sum_of(&place);
        let problem = match (&sum, record_in(&place, self.work.path())?) {
            (Err(error), _) => error.to_string(),
            (Ok(_), Err(problem)) => problem,
            (Ok(_), Ok(found)) if found != *record => "it holds another run, or this one as it was before".to_owned(),
            (Ok(_), Ok(_)) => {
                // Whoever made it may have been killed before it was on disk.
                sync(&place).and_then(|()| sync(&self.folder)).map_err(output_failed(&place))?;
                return sum.map(Ok).map_err(output_failed(&place));
            }
        };
        Ok(Err(NotArchived::Occupied { path: place, problem }))
    }

    /// Makes an archive: exports, syncs, sums, verifies, and renames it to its place. Nobody else writes in the folder in which it
    /// is summed and verified.
    fn make(
        &self,
        journal: &Journal,
        run: &RunRecord,
        record: &PrunedRecord,
        place: &Path,
    ) -> Result<Result<Archive, NotArchived>, CommandError> {
        let folder = self.work.path().join("bundle");
        let zip = self.work.path().join(place.file_name().unwrap_or_default());
        fs::create_dir(&folder).map_err(output_failed(&folder))?;
        let exported = self.export(journal, run, &folder, &zip);
        fs::remove_dir_all(&folder).map_err(output_failed(&folder))?;
        if let Err(altered) = exported? {
            return Ok(Err(altered));
        }
        let sum = sum_of(&zip).map_err(output_failed(&zip))?;
        let problem = match record_in(&zip, self.work.path())? {
            Ok(found) if found == *record => {
                rename(&zip, place).and_then(|()| sync(&self.folder)).map_err(output_failed(place))?;
                return Ok(Ok(sum));
            }
            Ok(_) => "what was exported of it is not what the journal holds".to_owned(),
            Err(problem) => problem,
        };
        fs::remove_file(&zip).map_err(output_failed(&zip))?;
        Ok(Err(NotArchived::Altered(problem)))
    }

    fn export(
        &self,
        journal: &Journal,
        run: &RunRecord,
        folder: &Path,
        zip: &Path,
    ) -> Result<Result<(), NotArchived>, CommandError> {
        let path = folder.join(JOURNAL);
        journal.copy_run_to(run.key, &path)?;
        let mut copy = Journal::open_to_read(&path)?;
        copy.be_told_as(JOURNAL);
        let run = copy.find_run(&run.id)?;
        let audit = audit::verify_one(&copy, &run)?;
        if !audit.is_ok() {
            return Ok(Err(NotArchived::Altered(audit.in_one_line())));
        }
        Bundle { folder, journal: &copy, run: &run }.fill(None)?;
        drop(copy);
        zip_of(folder, zip, self.journal).map_err(output_failed(zip))?;
        Ok(Ok(()))
    }
}

/// Makes a folder for those who may read the journal.
fn make(folder: &Path, journal: &Path) -> io::Result<()> {
    let readers = fs::metadata(journal)?.mode() & 0o666;
    let mode = 0o700 | readers | (readers & 0o444) >> 2;
    DirBuilder::new().mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
    sync(crate::files::folder::folder_of(folder))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Renames a file, and replaces nothing. Some file systems cannot promise that, and then it was looked before.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP)
            if fs::symlink_metadata(to).is_err() =>
        {
            fs::rename(from, to)
        }
        renamed => Ok(renamed?),
    }
}
