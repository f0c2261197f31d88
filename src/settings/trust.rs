//! Trust in settings files that lie in a folder: remembered by place and content, in the user's own state directory.
//!
//! Whoever sends a folder chooses what is in it. So `./cutover.toml` may set pace, halt rules and hours, and what goes beyond
//! that ([`Risk`](super::key::Risk)) holds only after somebody was shown it and trusted it. One changed byte, or another
//! folder, and it has to be trusted again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::directories::state_directory;
use crate::files;

/// Bytes of a note that are read at most; a note is one short line.
const LONGEST: u64 = 64 * 1024;

/// Notes of trusted settings files, a file for each place.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Note {
    path: String,
    sha256: String,
    at: Timestamp,
}

/// Trust in a file at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Never,
    /// Trusted once, with another content.
    Changed,
    /// Trusted with this very content.
    Unchanged,
}

/// The digest of a file's content.
pub(crate) fn digest(content: &[u8]) -> String {
    crate::journal::chain::hex(&Sha256::digest(content))
}

/// Place of a file: the canonical path of its folder, and its own name in it. A link is known by where it lies and not by
/// where it leads, because its settings apply in that folder.
pub(crate) fn place(path: &Path) -> io::Result<PathBuf> {
    let folder = files::folder::folder_of(path);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(folder.canonicalize()?.join(name))
}

impl Notes {
    /// Notes of the user; `None` if the environment names neither a home nor a state directory.
    pub(crate) fn of_user(environment: &impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let state = state_directory(environment)?;
        Some(Self { folder: state.join("trusted") })
    }

    pub(crate) fn knows(&self, place: &Path, digest: &str) -> Trust {
        match self.note(place) {
            Some(note) if note.sha256 == digest => Trust::Unchanged,
            Some(_) => Trust::Changed,
            None => Trust::Never,
        }
    }

    /// Reads the note about a place; `None` if there is none, or if somebody else could have written it.
    fn note(&self, place: &Path) -> Option<Note> {
        let file = files::open::open_itself(&self.path_of(place)).ok()?;
        let found = file.metadata().ok()?;
        let is_ours =
            found.is_file() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok().filter(|_| is_ours)
    }

    pub(crate) fn remember(&self, place: &Path, digest: &str) -> io::Result<()> {
        files::folder::make_private_folders(&self.folder)?;
        let note = Note { path: place.display().to_string(), sha256: digest.to_owned(), at: Timestamp::now() };
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(serde_json::to_string(&note).expect("texts are JSON").as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(self.path_of(place))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets a place; `false` if there was no note of it.
    pub(crate) fn forget(&self, place: &Path) -> io::Result<bool> {
        match fs::remove_file(self.path_of(place)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn path_of(&self, place: &Path) -> PathBuf {
        self.folder.join(digest(place.as_os_str().as_bytes()) + ".json")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn trust_is_for_a_place_and_a_content_and_for_nobody_else_to_give() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes { folder: dir.path().join("state/trusted") };
        let (here, there) = (Path::new("/here/cutover.toml"), Path::new("/there/cutover.toml"));
        assert_eq!(notes.knows(here, "a"), Trust::Never);
        notes.remember(here, "a").unwrap();
        assert_eq!(notes.knows(here, "a"), Trust::Unchanged);
        assert_eq!(notes.knows(here, "b"), Trust::Changed);
        assert_eq!(notes.knows(there, "a"), Trust::Never);
        assert_eq!(notes.folder.metadata().unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(notes.path_of(here), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(notes.knows(here, "a"), Trust::Never, "anybody could have written it");
        fs::remove_file(notes.path_of(here)).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, r#"{"path":"x","sha256":"a","at":"2026-01-01T00:00:00Z"}"#).unwrap();
        std::os::unix::fs::symlink(&elsewhere, notes.path_of(here)).unwrap();
        assert_eq!(notes.knows(here, "a"), Trust::Never, "a link");
        assert!(notes.forget(here).unwrap() && !notes.forget(here).unwrap());
    }
}
