//! Home directory of the user, which an environment may name wrongly: `sudo -E` keeps that of the caller.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::identity::is_ours;

/// Home directory that belongs to somebody else than the user of this process or root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignHome {
    path: PathBuf,
    owner: u32,
}

impl fmt::Display for ForeignHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, owner } = self;
        let path = path.display();
        write!(f, "HOME is `{path}`, which belongs to the user with the id {owner}, and neither to you nor to root")
    }
}

/// Returns the directory that `HOME` names; `None` if it names no absolute path.
pub(crate) fn named_home(environment: &(impl Fn(&str) -> Option<OsString> + ?Sized)) -> Option<PathBuf> {
    environment("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

/// Returns the directory that `HOME` names, if it is another's; one that is not there is nobody's.
pub(crate) fn foreign_home(environment: &(impl Fn(&str) -> Option<OsString> + ?Sized)) -> Option<ForeignHome> {
    let path = named_home(environment)?;
    let found = std::fs::metadata(&path).ok().filter(|found| !is_ours(found))?;
    Some(ForeignHome { path, owner: found.uid() })
}
