//! Origins of values, from a flag, which wins over all others, to the default, which wins over none.

use std::fmt;
use std::path::{Path, PathBuf};

/// Origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    /// A plan file.
    Plan(String),
    /// The run as it was begun, with the values that held then.
    Begun(String),
    Profile {
        name: String,
        path: PathBuf,
    },
    File(PathBuf),
    /// Directory that systemd made for the service.
    StateDirectory,
    Default,
}

impl Origin {
    /// Rank among origins: the value of the highest wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Origin::Flag => 5,
            Origin::Environment(_) => 4,
            Origin::Plan(_) | Origin::Begun(_) => 3,
            Origin::Profile { .. } => 2,
            Origin::File(_) => 1,
            Origin::StateDirectory | Origin::Default => 0,
        }
    }

    /// Folder that a relative path begins at: the settings file's for its values, else the current one, as an empty path.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Origin::Profile { path, .. } | Origin::File(path) => path.parent().unwrap_or(Path::new("")),
            Origin::Flag
            | Origin::Environment(_)
            | Origin::Plan(_)
            | Origin::Begun(_)
            | Origin::StateDirectory
            | Origin::Default => Path::new(""),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("given as a flag"),
            Origin::Environment(name) => write!(f, "in the environment ({name})"),
            Origin::Plan(name) | Origin::Begun(name) => write!(f, "in {name}"),
            Origin::Profile { name, path } => write!(f, "in the profile `{name}` of `{}`", path.display()),
            Origin::File(path) => write!(f, "in `{}`", path.display()),
            Origin::StateDirectory => f.write_str("in the state directory of this service (STATE_DIRECTORY)"),
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// Text of a value, and its origin.
pub(super) type Held = (String, Origin);
