//! Errors of settings, and hints on what to do about each.

use std::fmt;
use std::path::{Path, PathBuf};

use super::entry::{FileEntry, FileTable, NAME, PROFILES};
use super::hands::OtherHands;
use super::key::ENGINE;
use super::origin::Origin;
use crate::values::zone::BadZone;
use crate::wording::amounts::count;
use crate::wording::shell::{shell_path, shell_word};

/// A setting that cannot be used, and where it stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{}: {problem}", place_of_value(key, origin))]
    Value { key: &'static str, origin: Origin, problem: String },
    #[error("could not read the settings file `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Does not quote the line: a secret may stand in it.
    #[error("the settings file `{}` is not TOML: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },
    #[error("{place} has an unknown key{}", unknown_key(key, *suggestion))]
    UnknownKey { place: KeyPlace, key: String, suggestion: Option<&'static str> },
    #[error("{place} has a key `{key}`, and secrets do not belong into settings")]
    Secret { place: KeyPlace, key: String },
    #[error("{place}: `{key}` is {shape}, not a plain value")]
    Shape { place: KeyPlace, key: String, shape: &'static str },
    #[error("the settings file `{}` has `{below}` otherwise than as [{below}.NAME]", path.display())]
    TablesShape { path: PathBuf, below: &'static str },
    #[error("{place}: {problem}")]
    InTable { place: KeyPlace, problem: String },
    /// Receiver of notices that cannot be written to, and how many others there are.
    #[error("{place}: {problem}{}", more_receivers(*n_more))]
    Receiver { place: KeyPlace, problem: String, n_more: usize },
    #[error(transparent)]
    Untrusted(Box<Untrusted>),
    #[error("the file `{}` is not taken: {problem}", path.display())]
    InOtherHands { path: PathBuf, problem: OtherHands },
    #[error("there is no place to remember in what is trusted: neither HOME nor XDG_STATE_HOME is set")]
    NoStateFolder,
    #[error("`{}` is neither the settings file of a folder, which is called `{}`, nor a plan with hooks", .0.display(), NAME)]
    NotOfAFolder(PathBuf),
    /// File that asks for trust, by no name of a settings file, and has errors as a plan.
    #[error(
        "`{}` was taken for a plan, since the settings file of a folder is called `{}`, and has {} as one",
        path.display(),
        NAME,
        count(*n_errors as u64, "error")
    )]
    TakenForPlan { path: PathBuf, n_errors: usize },
    #[error("{variable} is set, and is no setting{}", suggest(suggestion.as_deref()))]
    UnknownVariable { variable: String, suggestion: Option<String> },
    #[error("`{key}` is `{one}` {of_one} and `{other}` {of_other}, and one of them cannot stand for both")]
    Unlike { key: &'static str, one: String, of_one: Box<Origin>, other: String, of_other: Box<Origin> },
    /// Two outputs, by the flags that name them.
    #[error("`{one}` and `{other}` name one file, `{}`, and each needs its own", path.display())]
    SameFile { one: &'static str, other: &'static str, path: PathBuf },
    /// The time zone that the window or a deadline depends on cannot be found.
    #[error(transparent)]
    Zone(#[from] BadZone),
    /// No zone for a time that somebody wrote, as against the hours of a launch.
    #[error(transparent)]
    ZoneOfTime(BadZone),
    #[error("there is no profile `{name}`{}", suggest(suggestion.as_deref()))]
    UnknownProfile { name: String, suggestion: Option<String>, known: Vec<String> },
}

/// Key of a folder's file that such a file may set only once it is trusted.
#[derive(Debug, thiserror::Error)]
#[error("`{}`, line {}: {said} {does}{}: {}; nothing was sent", path.display(), said.line, self.more(), self.why())]
pub(crate) struct Untrusted {
    pub(super) path: PathBuf,
    pub(super) said: FileEntry,
    pub(super) does: &'static str,
    /// Number of the file's other keys that need trust.
    pub(super) n_more: usize,
    /// The file was trusted before, with another content.
    pub(super) was_trusted: bool,
}

impl Untrusted {
    fn more(&self) -> String {
        match self.n_more {
            0 => String::new(),
            1 => ", and so does 1 more".to_owned(),
            n => format!(", and so do {n} more"),
        }
    }

    fn why(&self) -> &'static str {
        if self.was_trusted { "it changed since it was trusted" } else { "it just lies in this folder" }
    }
}

/// Place of a key: a settings file, or a table in it.
#[derive(Debug)]
pub(crate) struct KeyPlace {
    pub(super) path: PathBuf,
    pub(super) table: Option<FileTable>,
}

impl KeyPlace {
    pub(crate) fn of_receiver(path: &Path, name: String) -> Self {
        Self { path: path.to_owned(), table: Some(FileTable::Receiver(name)) }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(table) = &self.table {
            write!(f, "{table} in ")?;
        }
        write!(f, "the settings file `{}`", self.path.display())
    }
}

impl SettingsError {
    /// Advice on what to do next; `None` if the text says it already.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            SettingsError::Secret { place: KeyPlace { table: Some(FileTable::Receiver(_)), .. }, .. } => {
                Some("name where it stands: secret_env, secret_file".to_owned())
            }
            SettingsError::Secret { .. } => Some(
                "name where it stands: token_env, token_file, secret_key_env, password_env, password_file".to_owned(),
            ),
            SettingsError::TablesShape { below: PROFILES, .. } => {
                Some("profile = \"NAME\" chooses one, [profiles.NAME] defines one".to_owned())
            }
            SettingsError::UnknownVariable { variable, .. } => Some(format!(
                "`unset {}` if it is meant for something else; `cutover run --help` lists the settings",
                shell_word(variable)
            )),
            SettingsError::ZoneOfTime(_) => Some(
                "write the time with its offset, as in 2026-11-24T22:00+01:00, or name the zone in CUTOVER_TIMEZONE"
                    .to_owned(),
            ),
            SettingsError::Zone(_) => {
                Some("`--timezone Europe/Berlin` names the zone of the window and the deadline".to_owned())
            }
            SettingsError::UnknownProfile { known, .. } if known.is_empty() => {
                Some("no settings file defines any; `cutover init` writes an example".to_owned())
            }
            SettingsError::UnknownProfile { known, .. } => Some(format!("there are: {}", known.join(", "))),
            SettingsError::Untrusted(untrusted) => Some(format!(
                "`cutover trust --show` shows all that it sets, `cutover trust` trusts it as it is now; or name it with \
                 `--config {}`",
                shell_path(&untrusted.path)
            )),
            SettingsError::InOtherHands { path, problem: OtherHands::Mode(_) } => {
                Some(format!("look at what it says, then `chmod go-w {}`", shell_path(path)))
            }
            SettingsError::InOtherHands { path, problem: OtherHands::Owner(_) } => Some(format!(
                "look at what it says; to have it as your own, `cp {0} NEW && mv NEW {0}`",
                shell_path(path)
            )),
            SettingsError::Unlike { key, .. } => {
                Some(format!("`--{}` says for this launch which holds", key.replace('_', "-")))
            }
            SettingsError::NoStateFolder => Some(
                "set XDG_STATE_HOME or STATE_DIRECTORY to a folder of the user of the job, here and in the job"
                    .to_owned(),
            ),
            SettingsError::SameFile { one: "--journal", other, .. } => {
                Some(format!("name another file with `{other}`"))
            }
            SettingsError::SameFile { one, other, .. } => Some(format!("name another file with `{one}` or `{other}`")),
            SettingsError::NotOfAFolder(_) => Some("name the file with `--config FILE` instead".to_owned()),
            SettingsError::TakenForPlan { path, .. } => {
                let file = shell_path(path);
                Some(format!(
                    "settings need no trust where their file is named: `cutover config show --config {file}` shows them; of a plan, \
                     `cutover check {file}` lists the errors"
                ))
            }
            SettingsError::TablesShape { .. } | SettingsError::InTable { .. } => {
                Some("samples/cutover.toml, or what `cutover init` writes, has an example of each".to_owned())
            }
            SettingsError::Receiver { .. } => Some(
                "`cutover doctor` shows every receiver, and `cutover doctor --notify` sends a test to each".to_owned(),
            ),
            SettingsError::Value { key: ENGINE, .. } => Some(
                "`--engine nats://HOST:4222`, or tls://, several with commas between; a user is named by `credentials` in [engine], \
                 the file that has the secret"
                    .to_owned(),
            ),
            SettingsError::Value { .. }
            | SettingsError::Unreadable { .. }
            | SettingsError::Syntax { .. }
            | SettingsError::UnknownKey { .. }
            | SettingsError::Shape { .. } => None,
        }
    }
}

/// Quotes a key that looks like one, and gives the length of any other: a secret may have been put in front of the `=`.
fn unknown_key(key: &str, suggestion: Option<&str>) -> String {
    let is_word = key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte));
    if is_word || suggestion.is_some() {
        return format!(" `{key}`{}", suggest(suggestion));
    }
    format!(" of {}, which is like none and not repeated here", count(key.chars().count() as u64, "character"))
}

/// Names a value as whoever set it did: by the flag that was typed, else by its key and the place where that stands.
fn place_of_value(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("`--{}`", key.replace('_', "-")),
        Origin::Environment(_)
        | Origin::Plan(_)
        | Origin::Begun(_)
        | Origin::Profile { .. }
        | Origin::File(_)
        | Origin::StateDirectory
        | Origin::Default => format!("`{key}` {origin}"),
    }
}

fn more_receivers(n_more: usize) -> String {
    if n_more == 0 { String::new() } else { format!(" (and so with {})", count(n_more as u64, "more receiver")) }
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}
