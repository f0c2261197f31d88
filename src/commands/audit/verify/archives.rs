//! Archives of runs that were taken out of a journal: each is the file that its tombstone names, and holds the run as that says.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::bundle::BundleToCheck;
use crate::audit::finding::Finding;
use crate::audit::result::{Audit, PrunedRun};
use crate::exit::Exit;
use crate::files::open::open_itself;
use crate::files::sum::sha256;
use crate::files::temporary::writable_folder;
use crate::journal::Journal;
use crate::journal::chain::{Hash, hex};
use crate::journal::tombstone::{Archive, PrunedRecord, StoredTombstone, Tombstone};
use crate::verb::error::{CommandError, output_failed, whole_text};

/// Problems of archives, by the hash of the tombstone; `None` for an archive that is as it was written.
pub(super) struct CheckedArchives(HashMap<Hash, Option<String>>);

impl CheckedArchives {
    /// Checks the archive of every tombstone. Each is unpacked in turn.
    pub(super) fn check(journal: &Journal, folder: &Path) -> Result<Self, CommandError> {
        let (room, mut checked) = (writable_folder(None).map_err(CommandError::Start)?, HashMap::new());
        for StoredTombstone { tombstone, hash, .. } in journal.tombstones()? {
            checked.insert(hash, problem_of(&tombstone, folder, &room)?);
        }
        Ok(Self(checked))
    }

    /// Adds what was found to an audit of the same journal.
    pub(super) fn tell(&self, audit: &mut Audit, tombstones: &[StoredTombstone]) {
        let Audit { pruned, findings, .. } = audit;
        for PrunedRun { nth, tombstone, is_archive_checked, .. } in pruned {
            let stored = tombstones.iter().find(|stored| stored.nth == *nth);
            match stored.and_then(|stored| self.0.get(&stored.hash)) {
                Some(None) => *is_archive_checked = true,
                Some(Some(problem)) => {
                    let (other, problem) = (tombstone.run.id.clone(), problem.clone());
                    findings.push(Finding::ArchiveDiffers { tombstone: *nth, other, problem });
                }
                // It was made since.
                None => (),
            }
        }
    }
}

fn problem_of(tombstone: &Tombstone, folder: &Path, room: &Path) -> Result<Option<String>, CommandError> {
    let name = &tombstone.archive.name;
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Ok(Some("its archive has a name that is no file's".to_owned()));
    }
    let path = folder.join(name);
    let sum = match sum_of(&path) {
        Ok(sum) => sum,
        Err(error) => return Ok(Some(format!("its archive `{name}` cannot be read: {error}"))),
    };
    if sum != tombstone.archive {
        return Ok(Some(format!("its archive `{name}` is another file: its SHA-256 is {}", sum.sha256)));
    }
    Ok(match record_in(&path, room)? {
        Ok(record) if record == tombstone.run => None,
        Ok(_) => Some(format!("its archive `{name}` holds a run that is not what the tombstone says")),
        Err(problem) => Some(format!("its archive `{name}`: {problem}")),
    })
}

/// Returns name, hash and size of a plain file.
pub(in crate::commands) fn sum_of(path: &Path) -> io::Result<Archive> {
    let mut file: File = open_itself(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let (sum, bytes) = sha256(&mut file)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Archive { name, sha256: hex(&sum), bytes })
}

/// Checks a bundle as a stranger would, and returns what its journal says of the run, or what is wrong with it.
pub(in crate::commands) fn record_in(path: &Path, room: &Path) -> Result<Result<PrunedRecord, String>, CommandError> {
    let bundle = BundleToCheck { path, room, run: None, anchor: None, signers: None };
    match bundle.check(Journal::pruned_record) {
        Ok((audit, record)) if audit.is_ok() => Ok(Ok(record)),
        Ok((audit, _)) => Ok(Err(audit.in_one_line())),
        Err(CommandError::Output { what, source }) => Err(CommandError::Output { what, source }),
        Err(CommandError::Input { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
            Err(output_failed(room)(source))
        }
        Err(error) if matches!(error.exit(), Exit::Integrity | Exit::Usage) => Ok(Err(whole_text(&error))),
        Err(error) => Err(error),
    }
}
