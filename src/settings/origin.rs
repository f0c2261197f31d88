//! Origins of values, from the flag that wins over all to the default that anything wins over.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    /// A plan file.
    Plan(String),
    /// The run as it was begun, after all that had a say then.
    Begun(String),
    Profile {
        name: String,
        path: PathBuf,
    },
    File(PathBuf),
    Default,
}

impl Origin {
    /// Who wins: the highest.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Origin::Flag => 5,
            Origin::Environment(_) => 4,
            Origin::Plan(_) | Origin::Begun(_) => 3,
            Origin::Profile { .. } => 2,
            Origin::File(_) => 1,
            Origin::Default => 0,
        }
    }

    /// Folder in which a relative path is looked for: the settings file's, whoever reads it from wherever; else the current one.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Origin::Profile { path, .. } | Origin::File(path) => path.parent().unwrap_or(Path::new("")),
            Origin::Flag | Origin::Environment(_) | Origin::Plan(_) | Origin::Begun(_) | Origin::Default => {
                Path::new("")
            }
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
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// A text, and whose word it is.
pub(super) type Held = (String, Origin);
