//! Directories of the user, and of the service as which systemd runs the process.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::files::home::{foreign_home, named_home};

/// Directory of this program below a base directory of the user, by the XDG base directory specification; `None` if neither the
/// variable nor `HOME` is an absolute path.
pub(crate) fn user_directory(
    environment: &impl Fn(&str) -> Option<OsString>,
    variable: &str,
    below_home: &str,
) -> Option<PathBuf> {
    let base = environment(variable)
        .and_then(absolute)
        .or_else(|| named_home(environment).map(|home| home.join(below_home)))?;
    Some(base.join("cutover"))
}

/// Directory for state that belongs to no journal: that of the user if `XDG_STATE_HOME` names one, else the service's, else the
/// one below `HOME`, unless that is another's. A service with a dynamic user has no home of its own.
pub(crate) fn state_directory(environment: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let is_named = environment(STATE_HOME).and_then(absolute).is_some();
    let of_service = || environment(STATE_DIRECTORY).and_then(|directories| first_of_service(&directories));
    let of_service = if is_named { None } else { of_service() };
    let of_user = || user_directory(environment, STATE_HOME, ".local/state");
    of_service.or_else(|| of_user().filter(|_| is_named || foreign_home(environment).is_none()))
}

/// Variable of the user's base directory for state.
const STATE_HOME: &str = "XDG_STATE_HOME";

/// Variable with the directories that systemd makes for a service (`StateDirectory=`), with colons between them.
/// source: systemd.exec(5)
pub(super) const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// Returns the first directory of [`STATE_DIRECTORY`]; `None` if it is not an absolute path.
pub(super) fn first_of_service(directories: &OsStr) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let first = directories.as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
    absolute(OsStr::from_bytes(first).to_owned())
}

fn absolute(text: OsString) -> Option<PathBuf> {
    Some(PathBuf::from(text)).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_where_somebody_said_else_the_services_else_at_home() {
        let state = |variables: &[(&str, &str)]| {
            let found =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text));
            state_directory(&found).map(|path| path.display().to_string())
        };
        let (home, service, named) =
            (("HOME", "/home/ops"), (STATE_DIRECTORY, "/var/lib/cutover:/var/lib/more"), (STATE_HOME, "/state"));
        assert_eq!(state(&[home, service, named]).unwrap(), "/state/cutover");
        assert_eq!(state(&[home, service]).unwrap(), "/var/lib/cutover");
        assert_eq!(state(&[home]).unwrap(), "/home/ops/.local/state/cutover");
        for no_path in ["", "cutover", ":/var/lib/cutover"] {
            assert_eq!(state(&[home, (STATE_DIRECTORY, no_path)]).unwrap(), "/home/ops/.local/state/cutover");
        }
        assert_eq!(state(&[]), None);
    }
}
