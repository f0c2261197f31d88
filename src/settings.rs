//! Settings, fully resolved: flag over environment over `./cutover.toml` over the user's configuration over default.
//!
//! Every layer gives texts; [`resolve`] decides who wins, and here each text becomes a value once, so that a bad one
//! is the same error wherever it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::engine::lane::LaneSettings;
use crate::gate::GateSettings;
use crate::remote::endpoint::Endpoint;
use crate::retry::Patience;

pub(crate) mod file;
pub(crate) mod flags;
mod keys;
pub(crate) mod resolve;

use resolve::{Origin, Resolved};

/// A setting that cannot be used, and where it stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("`{key}` {origin}: {problem}")]
    Value { key: &'static str, origin: Origin, problem: String },
    #[error("could not read the settings file `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the settings file `{}` is not TOML", path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("the settings file `{}` has an unknown key `{key}`{}", path.display(), suggest(*suggestion))]
    UnknownKey { path: PathBuf, key: String, suggestion: Option<&'static str> },
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Service(Endpoint),
    /// Inside this process, seeded with the plan's ids.
    Sandbox,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Service(endpoint) => endpoint.fmt(f),
            Destination::Sandbox => f.write_str("sandbox"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) journal: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) destination: Option<Destination>,
    /// Tells accounts apart that a bare token cannot.
    pub(crate) account: Option<String>,
    pub(crate) gate: GateSettings,
    pub(crate) lane: LaneSettings,
    pub(crate) timeout: Duration,
    pub(crate) max_changes: Option<u64>,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// The texts of what a run is carried out with, for its journal.
    pub(crate) texts: BTreeMap<&'static str, String>,
    /// Whether the destination was named by a flag, and not by a file that speaks of every run.
    pub(crate) destination_by_flag: bool,
}

impl Settings {
    pub(crate) fn of(resolved: &Resolved) -> Result<Self, SettingsError> {
        let concurrency = resolved.value("concurrency", positive)?;
        let log_format = resolved.value("log_format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("is neither text nor json".to_owned()),
        })?;
        Ok(Self {
            journal: resolved.value("journal", path)?,
            log_format,
            destination: resolved.optional("endpoint", destination)?,
            account: resolved.optional("account", |text| Ok(text.to_owned()))?,
            gate: GateSettings {
                per_second: resolved.value("rate", rate)?,
                burst: resolved.value("burst", positive)?,
                concurrency,
                max_throttle: resolved.value("max_throttle", duration)?,
            },
            lane: LaneSettings {
                concurrency,
                patience: Patience::of(resolved.value("attempts", positive)?),
                preflight: resolved.value("preflight", on_off)?,
                complete_pair: resolved.value("complete_pair", on_off)?,
                verify: resolved.value("verify", on_off)?,
                verify_timeout: resolved.value("verify_timeout", duration)?,
            },
            timeout: resolved.value("timeout", duration)?,
            max_changes: resolved
                .optional("max_changes", |text| text.parse().map_err(|_| format!("`{text}` is not a whole number")))?,
            scenario: resolved.value("scenario", |text| Ok(text.to_owned()))?,
            seed: resolved.value("seed", |text| text.parse().map_err(|_| format!("`{text}` is not a whole number")))?,
            texts: resolved.texts(),
            destination_by_flag: resolved.origin("endpoint") == Some(Origin::Flag),
        })
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn destination(text: &str) -> Result<Destination, String> {
    if text == "sandbox" {
        return Ok(Destination::Sandbox);
    }
    text.parse().map(Destination::Service).map_err(|error: crate::remote::endpoint::BadEndpoint| error.to_string())
}

fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a whole number from 1 on")),
        Ok(number) => Ok(number),
    }
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    }
}

/// `10` is a second, `30/m` a minute, `100/h` an hour; `off` is no limit of ours.
fn rate(text: &str) -> Result<Option<f64>, String> {
    if text == "off" {
        return Ok(None);
    }
    let (number, period) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match period.trim() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        _ => return Err(format!("`{text}` is not a rate such as 10, 0.5, 30/m, 600/h or off")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number / seconds >= 1.0 / 3600.0 && number / seconds <= 100_000.0 => {
            Ok(Some(number / seconds))
        }
        Ok(_) => Err(format!("`{text}` is not between one an hour and 100000 a second")),
        Err(_) => Err(format!("`{text}` is not a rate such as 10, 0.5, 30/m, 600/h or off")),
    }
}

/// `30s`, `500ms`, `2m`, `1h30m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration such as 30s, 500ms or 2m");
    let parsed = if let Ok(seconds) = text.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).map_err(|_| bad())?
    } else {
        let span: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(span).map_err(|_| bad())?
    };
    if parsed.is_zero() || parsed > Duration::from_hours(7 * 24) {
        return Err(format!("`{text}` is not between nothing and a week"));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_any_period() {
        assert_eq!(rate("10"), Ok(Some(10.0)));
        assert_eq!(rate("30/m"), Ok(Some(0.5)));
        assert_eq!(rate("off"), Ok(None));
        for bad in ["0", "-1", "ten", "10/fortnight", "nan", "inf", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        for bad in ["0", "-3s", "soon", "30 fortnights", "8d", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
