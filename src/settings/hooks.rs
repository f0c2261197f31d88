//! Hooks of the operator: the table `[hooks]` of settings files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::values::duration;
use crate::waves::hooks::{Hook, TIMEOUT};

/// Key of the time that each may take.
pub(super) const TIMEOUT_KEY: &str = "timeout";

/// Hook of a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookSetting {
    /// Text for the shell.
    pub(crate) command: String,
    pub(crate) timeout: Duration,
    /// File that it stands in; it runs in that file's folder.
    pub(crate) path: PathBuf,
}

impl HookSetting {
    /// Place of its file, in words.
    pub(crate) fn origin(&self) -> String {
        format!("in `{}`", self.path.display())
    }
}

/// Reads the hooks of one file; the error says what is wrong with a value.
pub(super) fn read(path: &Path, values: &BTreeMap<String, String>) -> Result<BTreeMap<Hook, HookSetting>, String> {
    let timeout =
        values.get(TIMEOUT_KEY).map(|text| duration(text).map_err(|problem| format!("`{TIMEOUT_KEY}`: {problem}")));
    let timeout = timeout.transpose()?.unwrap_or(TIMEOUT);
    let mut hooks = BTreeMap::new();
    for hook in Hook::ALL {
        let Some(command) = values.get(hook.name()) else { continue };
        if command.trim().is_empty() || command.contains('\0') {
            return Err(format!("`{hook}` is no command: leave it out"));
        }
        hooks.insert(hook, HookSetting { command: command.clone(), timeout, path: path.to_owned() });
    }
    Ok(hooks)
}
