//! Time zones: the one in which hours are read, and its origin.
//!
//! The C library silently takes an unknown zone for UTC: a window at night would then open during business hours. Here an
//! unknown zone is an error, and UTC is the machine's zone only where the machine has none.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::words::nearest;

/// Time zone, with the name that people are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub rules: TimeZone,
    named: String,
}

/// Reason for which there is no zone to read hours in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadZone {
    #[error("`{name}` is no time zone such as Europe/Berlin or UTC{}", suggested(suggestion.as_deref()))]
    Unknown { name: String, suggestion: Option<String> },
    #[error("`{name}`, as TZ in the environment has it, is no time zone{}", suggested(suggestion.as_deref()))]
    InEnvironment { name: String, suggestion: Option<String> },
    #[error("the machine's time zone cannot be read: `{}` {problem}", path.display())]
    OfMachine { path: PathBuf, problem: String },
}

fn suggested(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named)
    }
}

/// File in which the C library finds the machine's zone, unless TZ says otherwise.
const LOCALTIME: &str = "/etc/localtime";

impl Zone {
    /// Finds a zone by its name. POSIX rules are not names: in them, `UTC+3` lies to the west.
    pub fn from_name(name: &str) -> Result<Self, BadZone> {
        match of_name(name) {
            Some(rules) => Ok(Self { named: rules.iana_name().unwrap_or(name).to_owned(), rules }),
            None => Err(BadZone::Unknown { name: name.to_owned(), suggestion: near(name) }),
        }
    }

    /// Finds the machine's zone: TZ, as POSIX and the C library read it, else `/etc/localtime`.
    pub fn of_machine() -> Result<Self, BadZone> {
        Self::of_machine_with(std::env::var_os("TZ").as_deref(), Path::new(LOCALTIME))
    }

    /// Finds the machine's zone where only people read times in it: if it cannot be found, UTC, with the reason in its name.
    #[must_use]
    pub fn of_machine_for_people() -> Self {
        Self::of_machine().unwrap_or_else(|bad| Self { rules: TimeZone::UTC, named: format!("UTC, for {bad}") })
    }

    /// Formats an instant as the zone's clocks show it, with the offset.
    #[must_use]
    pub fn shows(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.rules.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// Formats an instant likewise, to the millisecond.
    #[must_use]
    pub fn shows_exactly(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.rules.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
    }

    fn of_machine_with(variable: Option<&OsStr>, localtime: &Path) -> Result<Self, BadZone> {
        match variable {
            Some(text) if text.is_empty() => {
                Ok(Self { rules: TimeZone::UTC, named: "UTC, for TZ is empty".to_owned() })
            }
            Some(text) => Self::in_environment(&text.to_string_lossy()),
            None => Self::of_localtime(localtime),
        }
    }

    /// source: POSIX.1-2024, 8.3 (`TZ`): a name or a rule, and what the implementation likes behind a colon; the C
    /// library also takes the path of a file.
    fn in_environment(text: &str) -> Result<Self, BadZone> {
        let name = text.strip_prefix(':').unwrap_or(text);
        let rules = if name.starts_with('/') {
            of_file(Path::new(name)).ok()
        } else {
            of_name(name).or_else(|| TimeZone::posix(name).ok())
        };
        match rules {
            Some(rules) => Ok(Self { named: format!("{} (by TZ)", rules.iana_name().unwrap_or(name)), rules }),
            None => Err(BadZone::InEnvironment { name: text.to_owned(), suggestion: near(name) }),
        }
    }

    fn of_localtime(path: &Path) -> Result<Self, BadZone> {
        // A dangling link exists, but is no zone: only a missing file means UTC.
        if let Err(error) = path.symlink_metadata()
            && error.kind() == io::ErrorKind::NotFound
        {
            let named = format!("UTC, for the machine has no `{}`", path.display());
            return Ok(Self { rules: TimeZone::UTC, named });
        }
        let rules = of_file(path).map_err(|problem| BadZone::OfMachine { path: path.to_owned(), problem })?;
        Ok(Self { named: format!("{} (the machine's)", rules.iana_name().unwrap_or("local time")), rules })
    }
}

fn of_name(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}

/// Finds the zone by the name in the file's path or the path it links to, else by the file's content.
fn of_file(path: &Path) -> Result<TimeZone, String> {
    let linked = std::fs::canonicalize(path).map_err(|error| format!("leads nowhere: {error}"))?;
    let text = linked.to_string_lossy();
    if let Some(zone) = text.split_once("/zoneinfo/").and_then(|(_, name)| of_name(name)) {
        return Ok(zone);
    }
    let bytes = crate::texts::bytes(&linked).map_err(|error| format!("cannot be read: {error}"))?;
    TimeZone::tzif("local time", &bytes).map_err(|_| "holds no time zone".to_owned())
}

fn near(name: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_variable(text: &str) -> Result<String, String> {
        let zone = Zone::of_machine_with(Some(OsStr::new(text)), Path::new("/nowhere/localtime"));
        zone.map(|zone| zone.to_string()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn what_the_environment_says_is_a_zone_or_an_error_and_never_utc_in_silence() {
        for (text, named) in [
            ("Europe/Berlin", "Europe/Berlin (by TZ)"),
            (":Europe/Berlin", "Europe/Berlin (by TZ)"),
            ("europe/berlin", "Europe/Berlin (by TZ)"),
            ("UTC", "UTC (by TZ)"),
            ("UTC0", "UTC0 (by TZ)"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3 (by TZ)"),
            ("<+0330>-3:30", "<+0330>-3:30 (by TZ)"),
            ("", "UTC, for TZ is empty"),
        ] {
            assert_eq!(by_variable(text), Ok(named.to_owned()), "{text}");
        }
        for text in [
            "Nonsense",
            "Europe/Berln",
            ":Europe/Berln",
            "Etc/Unknown",
            " Europe/Berlin",
            "Europe/Berlin ",
            "Europe",
            ":",
            "/etc/passwd",
            "/nowhere/zoneinfo",
            "+02:00",
            "CET-1CEST,M13.5.0,M10.5.0",
        ] {
            let bad = by_variable(text).unwrap_err();
            assert!(bad.starts_with(&format!("`{text}`, as TZ in the environment has it")), "{bad}");
        }
        assert!(by_variable("Europe/Berln").unwrap_err().ends_with("(did you mean `Europe/Berlin`?)"));
    }

    #[test]
    fn a_rule_of_posix_has_the_offsets_that_it_writes() {
        let at = |text: &str| {
            let zone = Zone::in_environment("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
            text.parse::<jiff::Timestamp>().unwrap().to_zoned_datetime(zone.rules).strftime("%:z").to_string()
        };
        assert_eq!((at("2026-07-01T00:00:00Z"), at("2026-12-01T00:00:00Z")), ("+02:00".into(), "+01:00".into()));
    }

    #[test]
    fn the_machine_s_own_zone_is_a_file_or_a_link_and_utc_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("localtime");
        let zone = || Zone::of_machine_with(None, &path).map(|zone| zone.to_string()).map_err(|bad| bad.to_string());
        assert_eq!(zone(), Ok(format!("UTC, for the machine has no `{}`", path.display())));
        let zones = folder.path().join("zoneinfo/Europe");
        std::fs::create_dir_all(&zones).unwrap();
        std::fs::write(zones.join("Berlin"), "what is in it is not looked at").unwrap();
        std::os::unix::fs::symlink(zones.join("Berlin"), &path).unwrap();
        assert_eq!(zone(), Ok("Europe/Berlin (the machine's)".to_owned()));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere/zoneinfo/Europe/Berlin", &path).unwrap();
        assert!(zone().unwrap_err().contains("leads nowhere"));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "TZif, or so it says").unwrap();
        assert!(zone().unwrap_err().ends_with("holds no time zone"));
    }

    #[test]
    fn a_name_that_somebody_wrote_is_a_name() {
        assert_eq!(Zone::from_name("europe/berlin").unwrap().to_string(), "Europe/Berlin");
        for bad in ["", "Europe/Berln", "UTC+3", "CET-1CEST,M3.5.0,M10.5.0/3", "Etc/Unknown", "Mars/Olympus"] {
            assert!(Zone::from_name(bad).is_err(), "{bad}");
        }
    }
}
