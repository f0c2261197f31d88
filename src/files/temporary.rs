//! Temporary files and folders. A `TMPDIR` that is gone, or that nobody may write to, is no reason to fail: the environment of a
//! scheduled job is seldom looked at.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::folder::private_folder_in;

/// Folders for what a machine keeps for a while.
/// source: Filesystem Hierarchy Standard 3.0, 3.18 and 5.15
const OF_MACHINE: [&str; 2] = ["/tmp", "/var/tmp"];

/// Returns the first folder in which a file can be made: the one of a destination, that of `TMPDIR`, those of the machine, and the
/// one that this process works in.
pub(crate) fn writable_folder(of_destination: Option<&Path>) -> io::Result<PathBuf> {
    in_first(of_destination, |folder| tempfile::tempfile_in(folder).map(|_| folder.to_owned()))
}

/// Makes a file without a name, which is gone with its last handle.
pub(crate) fn nameless_file() -> io::Result<File> {
    in_first(None, |folder| tempfile::tempfile_in(folder))
}

/// Makes a private folder for this process, which is removed with the value.
pub(crate) fn private_folder() -> io::Result<TempDir> {
    in_first(None, private_folder_in)
}

/// Tries folders until one serves. The error is that of the first, and names all of them.
fn in_first<T>(of_destination: Option<&Path>, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    // An empty variable is not set, and would be the folder that this process works in.
    let named = Some(std::env::temp_dir()).filter(|folder| !folder.as_os_str().is_empty());
    let own = of_destination.map(Path::to_owned).into_iter().chain(named);
    let folders = own.chain(OF_MACHINE.map(PathBuf::from)).chain([PathBuf::from(".")]);
    first_of(&folders.collect::<Vec<_>>(), make)
}

fn first_of<T>(folders: &[PathBuf], make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let mut first = None;
    for folder in folders {
        match make(folder) {
            Ok(one) => return Ok(one),
            Err(error) => _ = first.get_or_insert(error),
        }
    }
    let error = first.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    let tried: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
    Err(io::Error::new(error.kind(), format!("no temporary file can be made in any of {}: {error}", tried.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_serves_is_taken_and_all_are_named_where_none_does() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let make = |folder: &Path| tempfile::tempfile_in(folder).map(|_| folder.to_owned());
        let folders = [gone.clone(), folder.path().to_owned(), PathBuf::from(".")];
        assert_eq!(first_of(&folders, make).unwrap(), folder.path());
        let error = first_of(&[gone.clone(), gone.join("below")], make).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let said = format!("in any of `{}`, `{}`: ", gone.display(), gone.join("below").display());
        assert!(error.to_string().contains(&said), "{error}");
    }
}
