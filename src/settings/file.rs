//! Settings files: `./cutover.toml`, then `cutover/cutover.toml` in the user's configuration directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::keys::{CREDENTIAL_KEYS, KEYS, SECRETS};
use super::{Place, SettingsError};
use crate::model::words::nearest;
use crate::texts;

pub(crate) const NAME: &str = "cutover.toml";

/// The table of profiles in a settings file: `[profiles.NAME]`.
const PROFILES: &str = "profiles";

#[derive(Clone)]
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) values: BTreeMap<String, String>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// An account and its ways, as a settings file has it.
#[derive(Clone, Default)]
pub(super) struct Profile {
    pub(super) values: BTreeMap<String, String>,
}

/// The files that are there, the one that wins first, and what was passed over.
#[derive(Default)]
pub(super) struct Found {
    pub(super) files: Vec<SettingsFile>,
    pub(super) warnings: Vec<String>,
}

/// Nobody named any of them: what may not be read, such as in somebody else's home, is passed over.
pub(super) fn read_all(environment: &impl Fn(&str) -> Option<OsString>) -> Result<Found, SettingsError> {
    let mut paths = vec![PathBuf::from(NAME)];
    paths.extend(user_directory(environment, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join(NAME)));
    let mut found = Found::default();
    for path in paths {
        match texts::read(&path) {
            Ok(text) => found.files.push(parse(path, &text)?),
            Err(error) => found.warnings.extend(unread(&path, error)?),
        }
    }
    Ok(found)
}

/// What a file that was not read means: nothing where there is none, a warning where it may not be read.
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

/// The product's own directory among the user's, as the XDG base directory specification has it.
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

fn parse(path: PathBuf, text: &str) -> Result<SettingsFile, SettingsError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error| SettingsError::Syntax { path: path.clone(), problem: texts::not_toml(text, &error) })?;
    let mut values = BTreeMap::new();
    let mut profiles = BTreeMap::new();
    for (key, value) in table {
        if key == PROFILES {
            profiles = parse_profiles(&path, value)?;
            continue;
        }
        let known = KEYS.iter().map(|known| known.name).chain([PROFILES]);
        let text = known_text(&path, None, &key, value, known)?;
        values.insert(key, text);
    }
    Ok(SettingsFile { path, values, profiles })
}

fn parse_profiles(path: &Path, value: toml::Value) -> Result<BTreeMap<String, Profile>, SettingsError> {
    let shape = || SettingsError::ProfilesShape { path: path.to_owned() };
    let toml::Value::Table(table) = value else { return Err(shape()) };
    let mut profiles = BTreeMap::new();
    for (name, value) in table {
        let toml::Value::Table(table) = value else { return Err(shape()) };
        let mut profile = Profile::default();
        for (key, value) in table {
            let of_account = KEYS.iter().filter(|known| known.of_account).map(|known| known.name);
            let known = of_account.chain(CREDENTIAL_KEYS.iter().map(|(known, _)| *known));
            let text = known_text(path, Some(&name), &key, value, known)?;
            profile.values.insert(key, text);
        }
        profiles.insert(name, profile);
    }
    Ok(profiles)
}

/// The value of a key that is known. What is not is named without its value, which may be a secret.
fn known_text(
    path: &Path,
    profile: Option<&str>,
    key: &str,
    value: toml::Value,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<String, SettingsError> {
    if !known.clone().any(|known| known == key) {
        let place = Place { path: path.to_owned(), profile: profile.map(str::to_owned) };
        if SECRETS.contains(&key) {
            return Err(SettingsError::Secret { place, key: key.to_owned() });
        }
        let suggestion = nearest(key, known);
        return Err(SettingsError::UnknownKey { place, key: key.to_owned(), suggestion });
    }
    as_flag(value).map_err(|shape| SettingsError::Shape {
        place: Place { path: path.to_owned(), profile: profile.map(str::to_owned) },
        key: key.to_owned(),
        shape,
    })
}

/// As one would write it as a flag, or what it is instead.
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

/// The commented example that `init` writes.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# Settings of cutover. A flag wins over the environment (CUTOVER_…), that over this file, and this over\n\
         # cutover/cutover.toml in your configuration directory. No secret belongs here: credentials come from the\n\
         # environment, from files of their own, or from a command (see `cutover config show`).\n",
    );
    for key in &KEYS {
        let value = key.example;
        let quoted = if value.parse::<f64>().is_ok() { value.to_owned() } else { format!("\"{value}\"") };
        _ = write!(text, "\n# {}\n# {} = {quoted}\n", key.help, key.name);
    }
    text.push_str(EXAMPLE_PROFILES);
    for (key, help) in CREDENTIAL_KEYS {
        _ = writeln!(text, "#   {key:<18}  {help}");
    }
    text
}

const EXAMPLE_PROFILES: &str = r#"
# An account of its own for each target that rows name in their column `target`: where it is, how fast, and whose
# credentials. Below is one with a token, and one with a key pair.
#
# [profiles.prod-a]
# region = "ap-southeast-3"
# rate = 5
# token_env = "PROD_A_TOKEN"
#
# [profiles.prod-b]
# endpoint = "https://sms.cn-north-4.myhuaweicloud.com"
# access_key_env = "PROD_B_AK"
# secret_key_env = "PROD_B_SK"
#
# A profile names one kind of credentials:
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_names_every_setting_with_a_value_that_reads() {
        let (settings, _) = example().split_once(EXAMPLE_PROFILES).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let uncommented: String = settings
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| KEYS.iter().any(|key| line.starts_with(&format!("{} = ", key.name))))
            .fold(String::new(), |all, line| all + line + "\n");
        let file = parse(PathBuf::from("cutover.toml"), &uncommented).unwrap();
        assert_eq!(file.values.len(), KEYS.len());
        for key in &KEYS {
            assert_eq!(file.values[key.name], key.example);
        }
    }

    #[test]
    fn the_sample_is_the_example() {
        assert_eq!(include_str!("../../samples/cutover.toml"), example());
    }

    fn refused(text: &str) -> String {
        let Err(error) = parse(PathBuf::from("cutover.toml"), text) else { panic!("it was taken") };
        error.to_string()
    }

    #[test]
    fn a_profile_holds_what_an_account_may_have_of_its_own_and_no_secret() {
        let text = "profile = 'a'\n[profiles.a]\nrate = 5\ntoken_env = 'A'\n[profiles.b]\nendpoint = 'https://x'\n";
        let file = parse(PathBuf::from("cutover.toml"), text).unwrap();
        assert_eq!(file.values["profile"], "a");
        assert_eq!(file.profiles["a"].values["rate"], "5");
        assert_eq!(file.profiles["b"].values["endpoint"], "https://x");
        let place = "the profile `a` in the settings file `cutover.toml`";
        assert_eq!(refused("[profiles.a]\nseed = 1"), format!("{place} has an unknown key `seed`"));
        assert_eq!(
            refused("[profiles.a]\ntoken_evn = 'A'"),
            format!("{place} has an unknown key `token_evn` (did you mean `token_env`?)")
        );
        let secret = refused("[profiles.a]\npassword = 'hunter2'");
        assert_eq!(secret, format!("{place} has a key `password`, and secrets do not belong into settings"));
        assert_eq!(refused("[profiles.a]\nrate = [1]"), format!("{place}: `rate` is a list, not a plain value"));
        let shape = "the settings file `cutover.toml` defines profiles otherwise than as [profiles.NAME]";
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
        let Err(error) = parse(PathBuf::from("cutover.toml"), "raet = 5") else { panic!("it was taken") };
        assert!(error.to_string().ends_with("unknown key `raet` (did you mean `rate`?)"), "{error}");
    }

    #[test]
    fn values_of_any_plain_type_are_taken_as_flags_are() {
        let file = parse(PathBuf::new(), "rate = 0.5\nverify = false\ntimeout = \"5s\"\nseed = 7").unwrap();
        assert_eq!(file.values["rate"], "0.5");
        assert_eq!(file.values["verify"], "off");
        assert_eq!(file.values["timeout"], "5s");
        assert_eq!(file.values["seed"], "7");
    }
}
