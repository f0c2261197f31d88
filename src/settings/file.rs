//! Settings files: the one that is named, `./cutover.toml`, the user's own, the machine's; and the authority of each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::directories::user_directory;
use super::entry::{Authority, FileEntry, FileTable, HOOKS, NAME, PROFILES, RECEIVERS};
use super::error::{KeyPlace, SettingsError, Untrusted};
use super::hands::{NotOwn, own_content};
use super::hooks::{self, HookSetting};
use super::key::{ENGINE, Key, Scope};
use super::keys::KEYS;
use super::names::{CREDENTIAL_KEYS, HOOK_KEYS, RECEIVER_KEYS, SECRETS};
use super::trust::{self, Notes, Trust};
use crate::files::identity::FileId;
use crate::model::words::nearest;
use crate::notices::settings::{ON, ReceiverSettings};
use crate::texts;
use crate::waves::hooks::Hook;

/// Settings file for all users of the machine.
const OF_MACHINE: &str = "/etc/cutover/cutover.toml";

#[derive(Clone)]
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) authority: Authority,
    pub(super) values: BTreeMap<String, String>,
    pub(super) profiles: BTreeMap<String, Profile>,
    pub(super) receivers: BTreeMap<String, ReceiverSettings>,
    pub(super) hooks: BTreeMap<Hook, HookSetting>,
    /// Its entries, in the order of their lines.
    pub(super) said: Vec<FileEntry>,
}

/// Settings and credentials of one account, as a settings file has them.
#[derive(Clone, Default)]
pub(super) struct Profile {
    pub(super) values: BTreeMap<String, String>,
}

/// Settings files that were read, the one that wins first, and a warning for each that was passed over.
#[derive(Default)]
pub(super) struct FoundFiles {
    pub(super) files: Vec<SettingsFile>,
    pub(super) warnings: Vec<String>,
}

/// A file that was read, but neither parsed nor compared with what is trusted.
pub(crate) struct RawSettingsFile {
    path: PathBuf,
    authority: Authority,
    id: FileId,
    content: Vec<u8>,
}

/// Reads every settings file. One that was not named is passed over with a warning if its permissions forbid reading.
pub(super) fn read_all(
    named: Option<&str>,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<FoundFiles, SettingsError> {
    let of_user = user_directory(environment, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join(NAME));
    let unnamed = [(Some(PathBuf::from(NAME)), Authority::Folder), (of_user, Authority::User)];
    let unnamed = unnamed.into_iter().chain([(Some(PathBuf::from(OF_MACHINE)), Authority::Machine)]);
    let (mut opened, mut found) = (Vec::new(), FoundFiles::default());
    if let Some(path) = named.map(PathBuf::from) {
        opened.push(open(&path, Authority::Named)?);
    }
    for (path, authority) in unnamed.filter_map(|(path, authority)| Some((path?, authority))) {
        match open(&path, authority) {
            Ok(file) => opened.push(file),
            Err(SettingsError::Unreadable { source, .. }) => found.warnings.extend(unread(&path, source)?),
            Err(error) => return Err(error),
        }
    }
    let notes = Notes::of_user(environment);
    let ids: Vec<_> = opened.iter().map(|file| (file.id, file.authority)).collect();
    for file in opened {
        // A file found in several ways counts once: rather as the named one than as any other, and as the folder's last.
        let is_also = |(id, authority): &(FileId, Authority)| {
            *id == file.id
                && *authority != file.authority
                && (file.authority == Authority::Folder || *authority == Authority::Named)
        };
        if !ids.iter().any(is_also) {
            found.files.push(file.judged(notes.as_ref())?);
        }
    }
    Ok(found)
}

/// Judges a failed reading: nothing if there is no file, a warning if its permissions forbid it, else an error.
fn unread(path: &Path, source: std::io::Error) -> Result<Option<String>, SettingsError> {
    match source.kind() {
        // A home that is a file, such as /dev/null, has no files.
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        ErrorKind::PermissionDenied => {
            Ok(Some(format!("the settings file `{}` is passed over: it may not be read", path.display())))
        }
        _ => Err(SettingsError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Reads a settings file, if only the user or root may have written it.
pub(crate) fn open(path: &Path, authority: Authority) -> Result<RawSettingsFile, SettingsError> {
    let (content, found) = own_content(path).map_err(|error| match error {
        NotOwn::Unreadable(source) => SettingsError::Unreadable { path: path.to_owned(), source },
        NotOwn::InOtherHands(problem) => SettingsError::InOtherHands { path: path.to_owned(), problem },
    })?;
    Ok(RawSettingsFile { path: path.to_owned(), authority, id: FileId::from_metadata(&found), content })
}

impl RawSettingsFile {
    pub(crate) fn digest(&self) -> String {
        trust::digest(&self.content)
    }

    pub(super) fn parsed(self) -> Result<SettingsFile, SettingsError> {
        let text = texts::text_of(&self.content)
            .map_err(|source| SettingsError::Unreadable { path: self.path.clone(), source })?;
        parse(self.path, self.authority, &text)
    }

    /// Parses the file, and returns its entries.
    pub(crate) fn says(self) -> Result<Vec<FileEntry>, SettingsError> {
        Ok(self.parsed()?.said)
    }

    /// Parses the file. A key that a folder's file may not set is an error, unless this content is trusted there.
    fn judged(mut self, notes: Option<&Notes>) -> Result<SettingsFile, SettingsError> {
        let mut known = Trust::Never;
        if self.authority == Authority::Folder
            && let Some((notes, place)) = notes.zip(trust::place(&self.path).ok())
        {
            known = notes.knows(&place, &self.digest());
        }
        if known == Trust::Unchanged {
            self.authority = Authority::Trusted;
        }
        let file = self.parsed()?;
        if file.authority != Authority::Folder {
            return Ok(file);
        }
        let mut beyond = file.said.iter().filter_map(|said| Some((said, said.beyond_a_folder()?)));
        match beyond.next() {
            None => Ok(file),
            Some((said, does)) => Err(SettingsError::Untrusted(Box::new(Untrusted {
                path: file.path.clone(),
                said: said.clone(),
                does,
                n_more: beyond.count(),
                was_trusted: known == Trust::Changed,
            }))),
        }
    }
}

impl SettingsFile {
    /// Line about what the current folder's own file sets; `None` for any other file, and for one that sets nothing.
    pub(super) fn told(&self) -> Option<String> {
        let whose = match self.authority {
            Authority::Trusted => "trusted",
            Authority::Folder => "not trusted with more than pace, limits and hours",
            Authority::Named | Authority::User | Authority::Machine => return None,
        };
        let settings = self.values.iter().map(|(key, value)| format!("{key} {value}"));
        let profiles = self.profiles.keys().map(|name| format!("the profile {name}"));
        let receivers = self.receivers.keys().map(|name| format!("the receiver {name} of notices"));
        let hooks = self.hooks.keys().map(|hook| format!("the hook {hook}"));
        let all: Vec<String> = settings.chain(profiles).chain(receivers).chain(hooks).collect();
        let sets = crate::wording::amounts::bounded(&all);
        (!all.is_empty()).then(|| format!("`{}` of this folder ({whose}) sets {sets}", self.path.display()))
    }
}

pub(super) fn parse(path: PathBuf, authority: Authority, text: &str) -> Result<SettingsFile, SettingsError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error| SettingsError::Syntax { path: path.clone(), problem: texts::not_toml(text, &error) })?;
    let mut values = BTreeMap::new();
    let (mut profiles, mut receivers, mut of_hooks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (key, value) in table {
        if key == PROFILES {
            let of_account = KEYS.iter().filter(|known| known.scope == Scope::Account).map(|known| known.name);
            let known: Vec<_> = of_account.chain(CREDENTIAL_KEYS.iter().map(|(known, _, _)| *known)).collect();
            let tables = parse_tables(&path, value, PROFILES, FileTable::Profile, &known)?;
            profiles = tables.into_iter().map(|(name, values)| (name, Profile { values })).collect();
            continue;
        }
        if key == RECEIVERS {
            let known = RECEIVER_KEYS.map(|(known, _, _)| known);
            receivers = parse_tables(&path, value, RECEIVERS, FileTable::Receiver, &known)?;
            continue;
        }
        if key == HOOKS {
            for (key, value) in keys_of(&path, FileTable::Hooks, value)? {
                let known = HOOK_KEYS.iter().map(|(known, _, _)| *known);
                let text = known_text(&path, Some(&FileTable::Hooks), &key, value, known)?;
                of_hooks.insert(key, text);
            }
            continue;
        }
        if key == ENGINE && in_engine().next().is_some() {
            for (key, value) in keys_of(&path, FileTable::Engine, value)? {
                let known = in_engine().map(|(known, _)| known);
                let text = known_text(&path, Some(&FileTable::Engine), &key, value, known)?;
                let (_, setting) = in_engine().find(|(known, _)| *known == key).expect("it is a known one");
                values.insert(setting.name.to_owned(), text);
            }
            continue;
        }
        let of_no_table = KEYS.iter().filter(|known| known.in_engine().is_none()).map(|known| known.name);
        let tables = in_engine().next().map(|_| ENGINE);
        let known = of_no_table.chain([PROFILES, RECEIVERS, HOOKS]).chain(tables);
        let text = known_text(&path, None, &key, value, known)?;
        values.insert(key, text);
    }
    let said = said(text, &values, &profiles, &receivers, &of_hooks);
    let receivers = read_receivers(&path, &receivers)?;
    let hooks = hooks::read(&path, &of_hooks).map_err(|problem| SettingsError::InTable {
        place: KeyPlace { path: path.clone(), table: Some(FileTable::Hooks) },
        problem,
    })?;
    Ok(SettingsFile { path, authority, values, profiles, receivers, hooks, said })
}

/// Settings that stand in the table of the engine, by their keys there; a build without the engine has no such settings.
fn in_engine() -> impl Iterator<Item = (&'static str, &'static Key)> + Clone {
    KEYS.iter().filter_map(|&key| Some((key.in_engine()?, key)))
}

/// Keys of a table that stands once.
fn keys_of(path: &Path, table: FileTable, value: toml::Value) -> Result<toml::Table, SettingsError> {
    if let toml::Value::Table(keys) = value {
        return Ok(keys);
    }
    let place = KeyPlace { path: path.to_owned(), table: Some(table) };
    Err(SettingsError::InTable { place, problem: "it is no table".to_owned() })
}

/// Lists what was read as entries, in the order of their lines.
fn said(
    text: &str,
    values: &BTreeMap<String, String>,
    profiles: &BTreeMap<String, Profile>,
    receivers: &BTreeMap<String, BTreeMap<String, String>>,
    hooks: &BTreeMap<String, String>,
) -> Vec<FileEntry> {
    let document = DeTable::parse(text).expect("it was read as TOML just before");
    let mut found: Vec<(usize, FileEntry)> = Vec::new();
    let mut add = |at: usize, table: Option<FileTable>, key: Option<&str>, value: Option<&String>| {
        let (key, value) = (key.map(str::to_owned), value.cloned().unwrap_or_default());
        found.push((at, FileEntry { line: 0, table, key, value }));
    };
    for (key, value) in document.get_ref() {
        let DeValue::Table(named) = value.get_ref() else {
            add(key.span().start, None, Some(key.get_ref()), values.get(&**key.get_ref()));
            continue;
        };
        if key.get_ref() == HOOKS {
            for (key, _) in named {
                add(key.span().start, Some(FileTable::Hooks), Some(key.get_ref()), hooks.get(&**key.get_ref()));
            }
            continue;
        }
        if key.get_ref() == ENGINE {
            for (key, _) in named {
                let setting = in_engine().find(|(known, _)| known == key.get_ref());
                let value = setting.and_then(|(_, setting)| values.get(setting.name));
                add(key.span().start, Some(FileTable::Engine), Some(key.get_ref()), value);
            }
            continue;
        }
        let is_receiver = key.get_ref() == RECEIVERS;
        for (name, of_table) in named {
            let DeValue::Table(keys) = of_table.get_ref() else { continue };
            let (name, at) = (&**name.get_ref(), name.span().start);
            let (table, values) = if is_receiver {
                (FileTable::Receiver(name.to_owned()), receivers.get(name))
            } else {
                (FileTable::Profile(name.to_owned()), profiles.get(name).map(|profile| &profile.values))
            };
            if keys.is_empty() {
                add(at, Some(table.clone()), None, None);
            }
            for (key, _) in keys {
                let value = values.and_then(|values| values.get(&**key.get_ref()));
                add(key.span().start, Some(table.clone()), Some(key.get_ref()), value);
            }
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let (mut line, mut counted) = (1, 0);
    let numbered = found.into_iter().map(|(at, said)| {
        line += text.get(counted..at).unwrap_or_default().matches('\n').count();
        counted = at.max(counted);
        FileEntry { line, ..said }
    });
    numbered.collect()
}

/// Reads the tables below one name, such as `[profiles.NAME]`: for each its values.
fn parse_tables(
    path: &Path,
    value: toml::Value,
    below: &'static str,
    table: fn(String) -> FileTable,
    known: &[&'static str],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, SettingsError> {
    let shape = || SettingsError::TablesShape { path: path.to_owned(), below };
    let toml::Value::Table(named) = value else { return Err(shape()) };
    let mut tables = BTreeMap::new();
    for (name, value) in named {
        let toml::Value::Table(keys) = value else { return Err(shape()) };
        let mut values = BTreeMap::new();
        for (key, value) in keys {
            let text = known_text(path, Some(&table(name.clone())), &key, value, known.iter().copied())?;
            values.insert(key, text);
        }
        tables.insert(name, values);
    }
    Ok(tables)
}

fn read_receivers(
    path: &Path,
    tables: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<BTreeMap<String, ReceiverSettings>, SettingsError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = |(name, values): (&String, &BTreeMap<String, String>)| {
        let bad = |problem| SettingsError::InTable { place: KeyPlace::of_receiver(path, name.clone()), problem };
        Ok((name.clone(), ReceiverSettings::read(name, values, folder).map_err(bad)?))
    };
    tables.iter().map(read).collect()
}

/// Value of a known key, in the form that a flag takes. An error names the key, never the value, which may be a secret.
fn known_text(
    path: &Path,
    table: Option<&FileTable>,
    key: &str,
    value: toml::Value,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<String, SettingsError> {
    if !known.clone().any(|known| known == key) {
        let place = KeyPlace { path: path.to_owned(), table: table.cloned() };
        if SECRETS.contains(&key) {
            return Err(SettingsError::Secret { place, key: key.to_owned() });
        }
        let suggestion = nearest(key, known);
        return Err(SettingsError::UnknownKey { place, key: key.to_owned(), suggestion });
    }
    let text = match (table, value) {
        // Occasions are a list, and read like words with commas between them.
        (Some(FileTable::Receiver(_)), toml::Value::Array(words)) if key == ON => words_of(words),
        (_, value) => as_flag(value),
    };
    text.map_err(|shape| SettingsError::Shape {
        place: KeyPlace { path: path.to_owned(), table: table.cloned() },
        key: key.to_owned(),
        shape,
    })
}

/// Words of a list with commas between them; of a list with anything else, what it is as an error.
fn words_of(list: Vec<toml::Value>) -> Result<String, &'static str> {
    let word = |value| if let toml::Value::String(word) = value { Some(word) } else { None };
    let words: Option<Vec<String>> = list.into_iter().map(word).collect();
    words.map(|words| words.join(",")).ok_or("a list of other things than words")
}

/// Value in the form that a flag takes; of a type that no flag has, the type as an error.
fn as_flag(value: toml::Value) -> Result<String, &'static str> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Boolean(true) => Ok("on".to_owned()),
        toml::Value::Boolean(false) => Ok("off".to_owned()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Datetime(_) => Err("a date"),
        toml::Value::Array(_) => Err("a list"),
        toml::Value::Table(_) => Err("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let Err(error) = parse(PathBuf::from("cutover.toml"), Authority::User, text) else { panic!("it was taken") };
        error.to_string()
    }

    #[test]
    fn a_profile_holds_what_an_account_may_have_of_its_own_and_no_secret() {
        let text = "profile = 'a'\n[profiles.a]\nrate = 5\ntoken_env = 'A'\n[profiles.b]\nendpoint = 'https://x'\n";
        let file = parse(PathBuf::from("cutover.toml"), Authority::User, text).unwrap();
        assert_eq!(file.values["profile"], "a");
        assert_eq!(file.profiles["a"].values["rate"], "5");
        assert_eq!(file.profiles["b"].values["endpoint"], "https://x");
        let place = "[profiles.a] in the settings file `cutover.toml`";
        assert_eq!(refused("[profiles.a]\nseed = 1"), format!("{place} has an unknown key `seed`"));
        assert_eq!(
            refused("[profiles.a]\ntoken_evn = 'A'"),
            format!("{place} has an unknown key `token_evn` (did you mean `token_env`?)")
        );
        let secret = refused("[profiles.a]\npassword = 'hunter2'");
        assert_eq!(secret, format!("{place} has a key `password`, and secrets do not belong into settings"));
        assert_eq!(refused("[profiles.a]\nrate = [1]"), format!("{place}: `rate` is a list, not a plain value"));
        let shape = "the settings file `cutover.toml` has `profiles` otherwise than as [profiles.NAME]";
        assert_eq!(refused("profiles = 'a'"), shape);
        assert_eq!(refused("[profiles]\na = 1"), shape);
    }

    #[test]
    fn a_file_that_may_not_be_read_is_passed_over_and_one_that_cannot_is_an_error() {
        let told = |kind: ErrorKind| unread(Path::new("/home/other/cutover.toml"), kind.into()).ok();
        assert_eq!(told(ErrorKind::NotFound), Some(None));
        assert_eq!(told(ErrorKind::NotADirectory), Some(None));
        let passed_over = "the settings file `/home/other/cutover.toml` is passed over: it may not be read";
        assert_eq!(told(ErrorKind::PermissionDenied), Some(Some(passed_over.to_owned())));
        assert_eq!(told(ErrorKind::InvalidData), None);
        assert_eq!(told(ErrorKind::IsADirectory), None);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let Err(error) = parse(PathBuf::from("cutover.toml"), Authority::User, "raet = 5") else {
            panic!("it was taken")
        };
        assert!(error.to_string().ends_with("unknown key `raet` (did you mean `rate`?)"), "{error}");
    }

    #[test]
    fn values_of_any_plain_type_are_taken_as_flags_are() {
        let file =
            parse(PathBuf::new(), Authority::User, "rate = 0.5\nverify = false\ntimeout = \"5s\"\nseed = 7").unwrap();
        assert_eq!(file.values["rate"], "0.5");
        assert_eq!(file.values["verify"], "off");
        assert_eq!(file.values["timeout"], "5s");
        assert_eq!(file.values["seed"], "7");
    }

    #[test]
    fn hooks_stand_in_a_table_of_their_own_and_need_trust() {
        let text = "[hooks]\nbefore_run = 'true'\ntimeout = '5s'\n";
        let file = parse(PathBuf::from("here/cutover.toml"), Authority::Folder, text).unwrap();
        let hook = &file.hooks[&Hook::BeforeRun];
        assert_eq!((hook.command.as_str(), hook.timeout.as_secs()), ("true", 5));
        let does: Vec<_> = file.said.iter().map(|said| (said.to_string(), said.beyond_a_folder())).collect();
        let runs = Some("runs a command");
        assert_eq!(does, [("`before_run` in [hooks]".to_owned(), runs), ("`timeout` in [hooks]".to_owned(), runs)]);
        let place = "[hooks] in the settings file `cutover.toml`";
        assert_eq!(
            refused("[hooks]\nbefore_runs = 'x'"),
            format!("{place} has an unknown key `before_runs` (did you mean `before_run`?)")
        );
        assert_eq!(refused("[hooks]\nafter_run = ' '"), format!("{place}: `after_run` is no command: leave it out"));
        assert!(refused("[hooks]\ntimeout = '0'").starts_with(&format!("{place}: `timeout`: ")));
        assert_eq!(refused("[hooks]\nafter_run = ['x']"), format!("{place}: `after_run` is a list, not a plain value"));
        assert_eq!(refused("hooks = 'x'"), format!("{place}: it is no table"));
    }

    #[test]
    fn what_a_file_says_is_known_with_its_lines_in_their_order() {
        let text = "# x\nrate = 5\n[profiles.b]\n[profiles.a]\nrate = 2\ntoken_env = 'A'\n";
        let file = parse(PathBuf::new(), Authority::Folder, text).unwrap();
        let told: Vec<String> = file.said.iter().map(|said| format!("{}: {said} {}", said.line, said.value)).collect();
        let expected =
            ["2: `rate` 5", "3: [profiles.b] ", "5: `rate` in [profiles.a] 2", "6: `token_env` in [profiles.a] A"];
        assert_eq!(told, expected);
        let beyond: Vec<bool> = file.said.iter().map(|said| said.beyond_a_folder().is_some()).collect();
        assert_eq!(beyond, [false, true, true, true]);
    }
}
