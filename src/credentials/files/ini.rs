//! INI file as the SDKs read it → its sections, or the reason for which the SDKs would disagree about it.
//!
//! The SDK for Python reads it with `configparser`, which keeps quotes and what follows a `;` as part of a value; the one
//! for Go with `gopkg.in/ini.v1`, which drops both. The vendor's keys are letters and digits, so that Go's reading is the
//! key, and Python's is a wrong one: sent six times, it is locked. Where dropping them leaves no plain value, or where
//! a file is ambiguous, it is refused: an error costs a minute, and a wrong half of a key costs the account.
//!
//! source: `huaweicloudsdkcore/auth/provider.py`, docs.python.org/3/library/configparser.html; huaweicloud-sdk-go-v3
//! `core/auth/provider/profile_provider.go`, gopkg.in/ini.v1 `parser.go` (`readValue`)

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use secrecy::zeroize::Zeroizing;

const OURS: [&str; 4] = ["ak", "sk", "security_token", "project_id"];

pub(super) type IniSection = BTreeMap<String, IniValue>;

/// Value of a key, as it stands behind the `=`.
pub(super) struct IniValue {
    line: usize,
    text: Zeroizing<String>,
}

impl IniValue {
    /// Returns the value without quotes and without a comment behind it. An error does not repeat the value, which may be a
    /// secret.
    pub(super) fn plain(&self, key: &str) -> Result<&str, String> {
        let text = self.text.as_str();
        let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                let Some((value, behind)) = text[1..].split_once(quote) else {
                    return Err(self.bad(key, "has a quote that is never closed"));
                };
                if !behind.trim_start().is_empty() && !behind.trim_start().starts_with([';', '#']) {
                    return Err(self.bad(key, "has text behind its quotes"));
                }
                value
            }
            None => text.split([';', '#']).next().unwrap_or_default().trim(),
        };
        let is_odd = |c: char| matches!(c, '`' | ';' | '#' | '%' | '\\');
        if value.contains(is_odd) {
            return Err(self.bad(key, "has a character that is in no key, and that the SDKs read differently"));
        }
        Ok(value)
    }

    fn bad(&self, key: &str, what: &str) -> String {
        format!("says in line {} a `{key}` that {what}: write it bare, alone on its line", self.line)
    }
}

/// Parses sections and keys, with names in lower case. A line that is no part of an INI file is an error: it may be the rest of a
/// key.
pub(super) fn sections(text: &str) -> Result<BTreeMap<String, IniSection>, String> {
    let mut sections: BTreeMap<String, IniSection> = BTreeMap::new();
    let mut current = None;
    let text = Zeroizing::new(text.replace("\r\n", "\n"));
    // Lines that end in CR alone are split, too: otherwise several would be read as one.
    for (line, text) in (1..).zip(text.split(['\n', '\r']).map(str::trim)) {
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = text.strip_prefix('[') {
            let Some((name, _)) = rest.rsplit_once(']') else {
                return Err(format!("has in line {line} a `[` without its `]`"));
            };
            let name = name.trim().to_lowercase();
            match sections.entry(name.clone()) {
                Place::Vacant(place) => _ = place.insert(IniSection::new()),
                Place::Occupied(_) => return Err(format!("has [{name}] twice, the second time in line {line}")),
            }
            current = Some(name);
            continue;
        }
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return Err(format!("has in line {line} neither a section nor `key = value`"));
        };
        let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) else { continue };
        let key = key.trim().to_lowercase();
        match section.entry(key) {
            Place::Vacant(place) => _ = place.insert(IniValue { line, text: Zeroizing::new(value.trim().to_owned()) }),
            Place::Occupied(place) => {
                return Err(format!("has {} twice, the second time in line {line}", shown(place.key())));
            }
        }
    }
    inherited(&sections)?;
    Ok(sections)
}

/// Returns a key's name for messages, if it is a known one. Any other may be half of a secret that contains `=`.
fn shown(key: &str) -> String {
    if OURS.contains(&key) { format!("`{key}`") } else { "a key".to_owned() }
}

/// Refuses keys in `[DEFAULT]`, which are part of each section for Python, and of none for Go.
fn inherited(sections: &BTreeMap<String, IniSection>) -> Result<(), String> {
    let Some(defaults) = sections.get("default") else { return Ok(()) };
    match OURS.into_iter().find(|key| defaults.contains_key(*key)) {
        Some(key) => Err(format!("has `{key}` in [DEFAULT], which not every SDK reads: write it into [basic]")),
        None => Ok(()),
    }
}
