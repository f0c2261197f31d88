//! Directories of the user.

use std::ffi::OsString;
use std::path::PathBuf;

/// Directory of this program below a base directory of the user, by the XDG base directory specification; `None` if neither the
/// variable nor `HOME` is an absolute path.
pub(crate) fn user_directory(
    environment: &impl Fn(&str) -> Option<OsString>,
    variable: &str,
    below_home: &str,
) -> Option<PathBuf> {
    let absolute = |text: OsString| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let base = environment(variable)
        .and_then(absolute)
        .or_else(|| environment("HOME").and_then(absolute).map(|home| home.join(below_home)))?;
    Some(base.join("cutover"))
}
