//! Settings, fully resolved: flag over environment over a named file over `./cutover.toml` over the user's configuration over
//! the machine's over default.
//!
//! Every layer gives texts; [`precedence`] decides who wins, and here each text becomes a value once, so that a bad one
//! is the same error wherever it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::console::LogFormat;
use crate::credentials::chain::Spec;
use crate::credentials::fitness::fit_for_a_header;
use crate::engine::lane::LaneSettings;
use crate::gate::settings::GateSettings;
use crate::model::dialect::BadDialect;
use crate::retry::Patience;
use crate::transport::endpoint::Endpoint;
use crate::transport::{TransportSettings, region};
use crate::values::zone::{BadZone, Zone};
use crate::values::{duration, on_off, positive, positive_count, rate, share, unless_off, whole};
use crate::waves::halt::HaltRules;
use crate::waves::window::{BadWindow, Deadline, Hours, Window};

mod checks;
pub(crate) mod directories;
pub(crate) mod error;
pub(crate) mod example;
pub(crate) mod file;
pub(crate) mod flags;
pub(crate) mod hands;
mod hours;
pub(crate) mod keys;
pub(crate) mod layers;
pub(crate) mod limits;
pub(crate) mod origin;
mod precedence;
pub(crate) mod resolved;
pub(crate) mod said;
pub(crate) mod strict;
pub(crate) mod tips;
pub(crate) mod trust;

use error::SettingsError;
use layers::Layers;
use limits::Loosened;
use origin::Origin;
use resolved::Resolved;

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

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) journal: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) destination: Option<Destination>,
    /// The profile that all this is for.
    pub(crate) profile: Option<String>,
    /// The profile of rows that name no target.
    pub(crate) chosen_profile: Option<String>,
    /// Tells accounts apart that a bare token cannot.
    pub(crate) account: Option<String>,
    /// Where to look for credentials.
    pub(crate) credentials: Spec,
    /// What the requests of all accounts together may not pass: the rate, where it was given for this launch.
    pub(crate) rate_of_all: Option<f64>,
    pub(crate) gate: GateSettings,
    pub(crate) lane: LaneSettings,
    pub(crate) transport: TransportSettings,
    pub(crate) max_changes: Option<u64>,
    pub(crate) max_drift: u64,
    pub(crate) steering: Steering,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// Whose signatures under a sealed plan count; none: every name does.
    pub(crate) approvers: Option<PathBuf>,
    /// The texts of what a run is carried out with, for its journal.
    pub(crate) texts: BTreeMap<&'static str, String>,
    /// Of what a plan may have a say in, what holds, and whose word that is.
    pub(crate) held: BTreeMap<&'static str, (String, Origin)>,
    /// Limits that flags make wider.
    pub(crate) loosened: Vec<Loosened>,
    /// What was given to this launch and holds for it alone.
    pub(crate) by_hand: BTreeMap<String, String>,
    /// The flag that says where requests go; none: a file does, which speaks of every run.
    pub(crate) destination_by_flag: Option<&'static str>,
    pub(crate) account_by_flag: bool,
}

impl Settings {
    /// Settings for one account: with what a profile says, or without.
    pub(crate) fn read(layers: &Layers, profile: Option<&str>) -> Result<Self, SettingsError> {
        Self::of(&layers.resolve(profile)?)
    }

    fn of(resolved: &Resolved) -> Result<Self, SettingsError> {
        let concurrency = resolved.value("concurrency", positive)?;
        let log_format = resolved.value("log_format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("is neither text nor json".to_owned()),
        })?;
        Ok(Self {
            journal: resolved.value("journal", journal)?,
            log_format,
            destination: destination_of(resolved)?,
            profile: resolved.profile().map(str::to_owned),
            chosen_profile: resolved.optional("profile", name)?,
            account: resolved.optional("account", name)?,
            credentials: spec_of(resolved)?,
            rate_of_all: resolved.of_launch("rate", per_second)?.flatten(),
            gate: GateSettings {
                per_second: rate_of_one(resolved)?,
                burst: resolved.value("burst", positive)?,
                concurrency,
                max_throttle: resolved.value("max_throttle", duration)?,
            },
            lane: LaneSettings {
                concurrency,
                rate_cap: rate_cap_of_one(resolved)?,
                concurrency_cap: resolved.cap("concurrency", positive)?,
                patience: Patience::with_attempts(resolved.value("attempts", positive)?),
                preflight: resolved.value("preflight", on_off)?,
                complete_pair: resolved.value("complete_pair", on_off)?,
                dialect: resolved.value("dialect", |text| text.parse().map_err(|bad: BadDialect| bad.to_string()))?,
                verify: resolved.value("verify", on_off)?,
                verify_timeout: resolved.value("verify_timeout", duration)?,
            },
            transport: TransportSettings {
                timeout: resolved.value("timeout", duration)?,
                connect_timeout: resolved.value("connect_timeout", duration)?,
                read_timeout: resolved.optional("read_timeout", duration)?,
                ca_bundle: resolved.file("ca_bundle")?,
            },
            max_changes: resolved.optional("max_changes", whole)?,
            max_drift: resolved.value("max_drift", whole)?,
            steering: Steering::of(resolved)?,
            scenario: resolved.value("scenario", |text| Ok(text.to_owned()))?,
            seed: resolved.value("seed", whole)?,
            approvers: resolved.file("approvers")?,
            texts: resolved.texts(),
            held: resolved.held(),
            loosened: resolved.loosened.clone(),
            by_hand: resolved.by_hand(),
            destination_by_flag: ["endpoint", "region"]
                .into_iter()
                .find(|flag| resolved.origin(flag) == Some(&Origin::Flag)),
            account_by_flag: resolved.origin("account") == Some(&Origin::Flag),
        })
    }
}

impl Settings {
    /// What holds instead of what a plan sets, and whose word that is. None: the plan's holds, or what comes to the same.
    pub(crate) fn instead_of(&self, key: &str, planned: &str) -> Option<&(String, Origin)> {
        let (text, origin) = self.held.get(key)?;
        match origin {
            _ if text == planned => None,
            Origin::Plan(_) | Origin::Begun(_) => None,
            // Each deadline holds, unless a flag says otherwise.
            _ if key == "deadline" => self.held.get(key).filter(|_| *origin == Origin::Flag),
            Origin::Flag | Origin::Environment(_) | Origin::Profile { .. } | Origin::File(_) | Origin::Default => {
                self.held.get(key)
            }
        }
    }
}

/// When a run begins, waits and stops.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    pub(crate) halt: HaltRules,
    pub(crate) hours: Option<Hours>,
    /// The one that somebody named; else it is the machine's.
    pub(crate) zone: Option<Zone>,
    pub(crate) deadline: Option<Deadline>,
    /// Those of others. Which comes first, the clock says.
    pub(crate) other_deadlines: Vec<Deadline>,
    pub(crate) reserve_rollback: bool,
    pub(crate) ignore_forecast: bool,
    pub(crate) approval_timeout: Option<Duration>,
    pub(crate) pause_file: Option<PathBuf>,
    pub(crate) stop_file: Option<PathBuf>,
}

impl Steering {
    fn of(resolved: &Resolved) -> Result<Self, SettingsError> {
        let window = |bad: BadWindow| bad.to_string();
        let hours =
            resolved.optional("window", |text| unless_off(text, |text| text.parse().map_err(window)))?.flatten();
        let deadline =
            resolved.optional("deadline", |text| unless_off(text, |text| text.parse().map_err(window)))?.flatten();
        let zone =
            resolved.optional("timezone", |text| Zone::from_name(text).map_err(|bad: BadZone| bad.to_string()))?;
        Ok(Self {
            halt: HaltRules {
                max_failed: resolved.optional("max_failed", share)?,
                min_sample: Some(resolved.value("min_sample", whole)?),
                consecutive_failures: resolved.optional("consecutive_failures", positive_count)?,
                same_cause: resolved.optional("same_cause", positive_count)?,
            },
            hours,
            zone,
            deadline,
            other_deadlines: resolved
                .other_deadlines
                .iter()
                .filter_map(|(text, origin)| {
                    let read = |text: &str| unless_off(text, |text| text.parse().map_err(window));
                    let value = |problem| SettingsError::Value { key: "deadline", origin: origin.clone(), problem };
                    read(text).map_err(value).transpose()
                })
                .collect::<Result<_, _>>()?,
            reserve_rollback: resolved.value("reserve_rollback", on_off)?,
            ignore_forecast: resolved.value("ignore_forecast", on_off)?,
            approval_timeout: resolved.optional("approval_timeout", duration)?,
            pause_file: resolved.file("pause_file")?,
            stop_file: resolved.file("stop_file")?,
        })
    }

    /// When changes may be sent, for a launch that begins now.
    pub(crate) fn window(&self, now: Timestamp) -> Result<Window, SettingsError> {
        let zone = self.zone()?;
        let deadline = self.deadlines().map(|deadline| deadline.instant(now, &zone.rules)).min();
        Ok(Window { hours: self.hours, zone, deadline })
    }

    /// The zone that hours are read in. One that cannot be found is an error where anything depends on it.
    fn zone(&self) -> Result<Zone, BadZone> {
        match &self.zone {
            Some(named) => Ok(named.clone()),
            None if self.hours.is_none() && !self.deadlines().any(Deadline::needs_zone) => {
                Ok(Zone::of_machine_for_people())
            }
            None => Zone::of_machine(),
        }
    }

    fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        self.deadline.into_iter().chain(self.other_deadlines.iter().copied())
    }
}

/// Requests in a second; none for `off`.
fn per_second(text: &str) -> Result<Option<f64>, String> {
    rate(text).map(|rate| rate.per_second())
}

/// A rate that was given for this launch caps what a profile allows, and does not raise it.
fn rate_of_one(resolved: &Resolved) -> Result<Option<f64>, SettingsError> {
    let won = resolved.value("rate", per_second)?;
    Ok(match (won, resolved.of_profile("rate", per_second)?.flatten()) {
        (Some(won), Some(said)) => Some(won.min(said)),
        (one, None) | (None, one) => one,
    })
}

/// Rate that a wave may not pass, whatever its plan says.
fn rate_cap_of_one(resolved: &Resolved) -> Result<Option<f64>, SettingsError> {
    let said = resolved.of_profile("rate", per_second)?.flatten();
    let cap = resolved.cap("rate", per_second)?.flatten();
    Ok(said.into_iter().chain(cap).reduce(f64::min))
}

/// Where to look for credentials, as the profile has it.
fn spec_of(resolved: &Resolved) -> Result<Spec, SettingsError> {
    let text = |key| resolved.of_profile(key, |text| Ok(text.to_owned()));
    Ok(Spec {
        profile: resolved.profile().map(str::to_owned),
        folder: resolved.folder_of_profile().to_owned(),
        token_env: text("token_env")?,
        token_file: text("token_file")?,
        access_key_env: text("access_key_env")?,
        secret_key_env: text("secret_key_env")?,
        security_token_env: text("security_token_env")?,
        credentials_file: text("credentials_file")?,
        user_name: text("user_name")?,
        domain_name: text("domain_name")?,
        password_env: text("password_env")?,
        password_file: text("password_file")?,
        credential_command: text("credential_command")?,
        agency: resolved.of_profile("agency", on_off)?.unwrap_or(false),
        project_id: resolved.of_profile("project_id", header)?,
        project_name: text("project_name")?,
        region: resolved.optional("region", name)?,
        iam_endpoint: text("iam_endpoint")?,
        metadata_endpoint: resolved
            .optional("metadata_endpoint", |text| unless_off(text, metadata_endpoint))?
            .flatten(),
        one_of_several: false,
        secret_variables: resolved.secret_variables().to_vec(),
    })
}

/// Checked where it stands: what is printed of it then holds no password.
fn metadata_endpoint(text: &str) -> Result<String, String> {
    Endpoint::of_this_machine(text).map(|_| text.to_owned()).map_err(|bad| bad.to_string())
}

/// What goes out in a header beside the credentials.
fn header(text: &str) -> Result<String, String> {
    fit_for_a_header(text).map(|()| text.to_owned()).map_err(|unfit| unfit.to_string())
}

fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A file, and nothing that SQLite would take for something else.
///
/// source: sqlite.org/uri.html, sqlite.org/inmemorydb.html
fn journal(text: &str) -> Result<PathBuf, String> {
    let kind = match text {
        "-" => "standard input",
        _ if text.starts_with("file:") => "an address",
        _ if text.starts_with(':') => "a name of SQLite's own",
        _ => return resolved::path(text),
    };
    Err(format!("`{text}` is {kind}, and a journal is a file (one of that name is `./{text}`)"))
}

/// The endpoint wins over the region, unless the region stands in a higher layer.
fn destination_of(resolved: &Resolved) -> Result<Option<Destination>, SettingsError> {
    let endpoint = resolved.optional("endpoint", destination)?;
    let region = resolved.optional("region", |name| region::endpoint(name).map(Destination::Service))?;
    let region_is_higher = resolved.origin("region").map(Origin::rank) > resolved.origin("endpoint").map(Origin::rank);
    Ok(if region_is_higher { region } else { endpoint.or(region) })
}

fn destination(text: &str) -> Result<Destination, String> {
    if text == "sandbox" {
        return Ok(Destination::Sandbox);
    }
    text.parse().map(Destination::Service).map_err(|error: crate::transport::endpoint::BadEndpoint| error.to_string())
}

/// The text of a setting, if it can be its value.
pub(crate) fn check(key: &'static str, text: &str) -> Result<String, String> {
    let layers = Layers::of_one(key, text);
    match layers.resolve(None).and_then(|resolved| Settings::of(&resolved)) {
        Ok(_) => Ok(text.to_owned()),
        Err(SettingsError::Value { problem, .. }) => Err(problem),
        Err(error) => Err(error.to_string()),
    }
}

/// The same of what a profile says about its credentials, as far as that can be known without asking anybody.
fn check_credential(key: &str, text: &str) -> Result<String, String> {
    match key {
        "agency" => on_off(text).map(|_| text.to_owned()),
        "project_id" => header(text),
        _ => name(text),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn resolved(flags: &[(&'static str, String)]) -> Resolved {
        Layers::read(flags.to_vec(), |_| None::<OsString>).unwrap().resolve(None).unwrap()
    }

    #[test]
    fn every_default_is_a_value() {
        let settings = Settings::of(&resolved(&[])).unwrap();
        assert_eq!(settings.gate.per_second, Some(10.0));
        assert_eq!(settings.destination, None);
    }

    #[test]
    fn a_bad_value_is_an_error_that_says_where_it_stands() {
        let error = Settings::of(&resolved(&[("rate", "fast".to_owned())])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`rate` given as a flag: `fast` is not a rate"), "{text}");
    }
}
