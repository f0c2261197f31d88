//! File that is to be trusted, by its place, and the user's notes about it.

use std::path::{Path, PathBuf};

use crate::settings::entry;
use crate::settings::error::SettingsError;
use crate::settings::trust::{self, Notes};
use crate::verb::error::{CommandError, output_failed};

/// Purpose of a look at a file that asks for trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Aim {
    Show,
    Trust,
}

/// File that may be trusted, by its place, and the notes about it.
pub(super) struct FileToTrust {
    pub(super) path: PathBuf,
    /// Absolute path of the file.
    pub(super) place: PathBuf,
    pub(super) notes: Notes,
}

impl FileToTrust {
    pub(super) fn new(named: &Path) -> Result<Self, CommandError> {
        let path = if named.is_dir() { named.join(entry::NAME) } else { named.to_owned() };
        if path == Path::new("-") {
            return Err(CommandError::DashIsNoFile);
        }
        let unreadable = |source| SettingsError::Unreadable { path: path.clone(), source };
        let place = trust::place(&path).map_err(unreadable)?;
        let notes = Notes::of_user(&|name| std::env::var_os(name)).ok_or(SettingsError::NoStateFolder)?;
        Ok(Self { path, place, notes })
    }

    pub(super) fn is_settings_file(&self) -> bool {
        self.path.file_name() == Some(entry::NAME.as_ref())
    }

    pub(super) fn remember(&self, digest: &str) -> Result<(), CommandError> {
        self.notes.remember(&self.place, digest).map_err(output_failed(&self.path))
    }
}
