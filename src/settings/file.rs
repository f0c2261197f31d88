//! Settings files: `./cutover.toml`, then `cutover/cutover.toml` in the user's configuration directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::SettingsError;
use super::keys::KEYS;
use crate::model::words::nearest;

pub(crate) const NAME: &str = "cutover.toml";

pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) values: BTreeMap<String, String>,
}

/// Those that are there, the one that wins first.
pub(super) fn read_all(environment: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<SettingsFile>, SettingsError> {
    let mut paths = vec![PathBuf::from(NAME)];
    paths.extend(user_directory(environment, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join(NAME)));
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => files.push(parse(path, &text)?),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => (),
            Err(source) => return Err(SettingsError::Unreadable { path, source }),
        }
    }
    Ok(files)
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
    let table: toml::Table =
        text.parse().map_err(|source| SettingsError::Syntax { path: path.clone(), source: Box::new(source) })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            let suggestion = nearest(&key, KEYS.iter().map(|known| known.name));
            return Err(SettingsError::UnknownKey { path, key, suggestion });
        };
        values.insert(known.name.to_owned(), as_flag(value));
    }
    Ok(SettingsFile { path, values })
}

/// As one would write it as a flag; what is no plain value is refused where it is read.
fn as_flag(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Boolean(true) => "on".to_owned(),
        toml::Value::Boolean(false) => "off".to_owned(),
        other => other.to_string(),
    }
}

/// The commented example that `init` writes.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# Settings of cutover. A flag wins over the environment (CUTOVER_…), that over this file, and this over\n\
         # cutover/cutover.toml in your configuration directory. No secret belongs here: the token comes from\n\
         # CUTOVER_AUTH_TOKEN or HW_AUTH_TOKEN.\n",
    );
    for key in &KEYS {
        let value = key.example;
        let quoted = if value.parse::<f64>().is_ok() { value.to_owned() } else { format!("\"{value}\"") };
        _ = write!(text, "\n# {}\n# {} = {quoted}\n", key.help, key.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_names_every_setting_with_a_value_that_reads() {
        let uncommented: String = example()
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
