//! Settings, fully resolved: flag over environment over a named file over `./cutover.toml` over the user's configuration over
//! the machine's over default. The default of the journal is a file in the state directory where systemd runs the process as a
//! service with one.
//!
//! Every layer gives texts; [`precedence`] decides who wins, and here each text becomes a value once, so that a bad one
//! is the same error wherever it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

#[cfg(feature = "cluster")]
use crate::cluster::servers::EngineSettings;
use crate::console::LogFormat;
use crate::credentials::chain::spec::Spec;
use crate::engine::lane::LaneSettings;
use crate::gate::settings::GateSettings;
use crate::hands::Via;
use crate::lock::IfLocked;
use crate::retry::Patience;
use crate::transport::settings::TransportSettings;
use crate::values::on_off;
use crate::values::zone::{BadZone, Zone};
use crate::waves::halt::HaltRules;
use crate::waves::window::{Deadline, Hours, Window};

mod apart;
mod checks;
pub(crate) mod directories;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod example;
pub(crate) mod file;
pub(crate) mod flags;
pub(crate) mod hands;
pub(crate) mod hooks;
mod hours;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod layers;
pub(crate) mod limits;
pub(crate) mod names;
pub(crate) mod origin;
pub(crate) mod parse;
mod precedence;
pub(crate) mod resolved;
pub(crate) mod strict;
pub(crate) mod tips;
pub(crate) mod trust;

use apart::Outputs;
use error::SettingsError;
use layers::Layers;
use limits::Loosened;
use origin::Origin;
use parse::{Destination, header};
use resolved::Resolved;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) journal: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) destination: Option<Destination>,
    /// Profile that these settings were resolved for.
    pub(crate) profile: Option<String>,
    /// Profile of rows that name no target.
    pub(crate) chosen_profile: Option<String>,
    /// Name for the account, which tells apart two that use the same endpoint.
    pub(crate) account: Option<String>,
    /// Places to look for credentials.
    pub(crate) credentials: Spec,
    /// Limit on the requests per second of all accounts together: the rate of a flag or a variable; `None` without one.
    pub(crate) rate_of_all: Option<f64>,
    pub(crate) gate: GateSettings,
    pub(crate) lane: LaneSettings,
    pub(crate) transport: TransportSettings,
    pub(crate) max_changes: Option<u64>,
    pub(crate) max_drift: u64,
    pub(crate) steering: Steering,
    pub(crate) if_locked: IfLocked,
    /// Time since its launch in which a launch has to begin.
    pub(crate) start_within: Option<Duration>,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// File that the metrics of a launch are written to.
    pub(crate) metrics_file: Option<PathBuf>,
    /// File of the keys that approvals of a sealed plan have to be signed with; `None` if a name is enough.
    pub(crate) approvers: Option<PathBuf>,
    /// Choice of who makes the requests; `None` where that depends on where the credentials are.
    pub(crate) via: Option<Via>,
    /// Servers that keep the logs of runs.
    #[cfg(feature = "cluster")]
    pub(crate) engine: Option<EngineSettings>,
    /// Texts of the settings that the journal records with the run.
    pub(crate) texts: BTreeMap<&'static str, String>,
    /// Values of the settings that a plan may set, each with its origin.
    pub(crate) held: BTreeMap<&'static str, (String, Origin)>,
    /// Limits that flags make wider.
    pub(crate) loosened: Vec<Loosened>,
    /// Values that a command to type next has to repeat as flags.
    pub(crate) by_hand: BTreeMap<String, String>,
    /// Flag that names the destination, without dashes; `None` if no flag does.
    pub(crate) destination_by_flag: Option<&'static str>,
    pub(crate) account_by_flag: bool,
    /// True where the journal is in the state directory of a service, because nothing names another.
    pub(crate) journal_by_service: bool,
}

impl Settings {
    /// Reads the settings of one account, with its profile if it has one.
    pub(crate) fn read(layers: &Layers, profile: Option<&str>) -> Result<Self, SettingsError> {
        Self::from_resolved(&layers.resolve(profile)?)
    }

    fn from_resolved(resolved: &Resolved) -> Result<Self, SettingsError> {
        let concurrency = resolved.value(&keys::CONCURRENCY)?;
        let log_format = resolved.value(&keys::LOG_FORMAT)?;
        Ok(Self {
            journal: resolved.value(&keys::JOURNAL)?,
            log_format,
            log_file: resolved.optional(&keys::LOG_FILE)?,
            destination: destination_of(resolved)?,
            profile: resolved.profile().map(str::to_owned),
            chosen_profile: resolved.optional(&keys::PROFILE)?,
            account: resolved.optional(&keys::ACCOUNT)?,
            credentials: spec_of(resolved)?,
            rate_of_all: resolved.of_launch(&keys::RATE)?.and_then(|rate| rate.per_second()),
            gate: GateSettings {
                per_second: rate_of_one(resolved)?,
                burst: resolved.value(&keys::BURST)?,
                concurrency,
                max_throttle: resolved.value(&keys::MAX_THROTTLE)?,
            },
            lane: LaneSettings {
                concurrency,
                rate_cap: rate_cap_of_one(resolved)?,
                concurrency_cap: resolved.cap(&keys::CONCURRENCY)?,
                patience: Patience::with_attempts(resolved.value(&keys::ATTEMPTS)?),
                preflight: resolved.value(&keys::PREFLIGHT)?,
                complete_pair: resolved.value(&keys::COMPLETE_PAIR)?,
                dialect: resolved.value(&keys::DIALECT)?,
                verify: resolved.value(&keys::VERIFY)?,
                verify_timeout: resolved.value(&keys::VERIFY_TIMEOUT)?,
            },
            transport: TransportSettings {
                timeout: resolved.value(&keys::TIMEOUT)?,
                connect_timeout: resolved.value(&keys::CONNECT_TIMEOUT)?,
                read_timeout: resolved.optional(&keys::READ_TIMEOUT)?,
                ca_bundle: resolved.file(&keys::CA_BUNDLE)?,
                leaves_within: None,
            },
            max_changes: resolved.optional(&keys::MAX_CHANGES)?,
            max_drift: resolved.value(&keys::MAX_DRIFT)?,
            steering: Steering::from_resolved(resolved)?,
            if_locked: resolved.value(&keys::IF_LOCKED)?,
            start_within: resolved.optional(&keys::START_WITHIN)?,
            scenario: resolved.value(&keys::SCENARIO)?,
            seed: resolved.value(&keys::SEED)?,
            metrics_file: resolved.file(&keys::METRICS_FILE)?,
            approvers: resolved.file(&keys::APPROVERS)?,
            via: via_of(resolved)?,
            #[cfg(feature = "cluster")]
            engine: engine_of(resolved)?,
            texts: resolved.texts(),
            held: resolved.held(),
            loosened: resolved.loosened.clone(),
            by_hand: resolved.by_hand(),
            destination_by_flag: ["endpoint", "region"]
                .into_iter()
                .find(|flag| resolved.origin(flag) == Some(&Origin::Flag)),
            account_by_flag: resolved.origin("account") == Some(&Origin::Flag),
            journal_by_service: resolved.origin("journal") == Some(&Origin::StateDirectory),
        })
    }
}

impl Settings {
    /// Files that a process writes by these settings and by its verb, with the verb's flag.
    pub(crate) fn outputs<'p>(&'p self, of_verb: Option<(&'static str, &'p Path)>) -> Outputs<'p> {
        Outputs {
            journal: &self.journal,
            log_file: self.log_file.as_deref(),
            metrics_file: self.metrics_file.as_deref(),
            of_verb,
        }
    }

    /// Value that holds instead of the one that a plan sets, and its origin; `None` if the plan's own holds, or the same text.
    pub(crate) fn instead_of(&self, key: &str, planned: &str) -> Option<&(String, Origin)> {
        let (text, origin) = self.held.get(key)?;
        match origin {
            _ if text == planned => None,
            Origin::Plan(_) | Origin::Begun(_) => None,
            // The plan's deadline holds beside all others, unless a flag replaces them.
            _ if key == "deadline" => self.held.get(key).filter(|_| *origin == Origin::Flag),
            Origin::Flag
            | Origin::Environment(_)
            | Origin::Profile { .. }
            | Origin::File(_)
            | Origin::StateDirectory
            | Origin::Default => self.held.get(key),
        }
    }
}

/// Settings by which a run begins, waits and stops.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    pub(crate) halt: HaltRules,
    pub(crate) hours: Option<Hours>,
    /// Time zone that was named; `None` for the machine's.
    pub(crate) zone: Option<Zone>,
    pub(crate) deadline: Option<Deadline>,
    /// Deadlines of other layers. All of them hold; the order of times of day depends on the clock.
    pub(crate) other_deadlines: Vec<Deadline>,
    pub(crate) reserve_rollback: bool,
    pub(crate) ignore_forecast: bool,
    pub(crate) approval_timeout: Option<Duration>,
    pub(crate) pause_file: Option<PathBuf>,
    pub(crate) stop_file: Option<PathBuf>,
}

impl Steering {
    fn from_resolved(resolved: &Resolved) -> Result<Self, SettingsError> {
        let hours = resolved.optional(&keys::WINDOW)?.flatten();
        let deadline = resolved.optional(&keys::DEADLINE)?.flatten();
        let zone = resolved.optional(&keys::TIMEZONE)?;
        Ok(Self {
            halt: HaltRules {
                max_failed: resolved.optional(&keys::MAX_FAILED)?,
                min_sample: Some(resolved.value(&keys::MIN_SAMPLE)?),
                consecutive_failures: resolved.optional(&keys::CONSECUTIVE_FAILURES)?,
                same_cause: resolved.optional(&keys::SAME_CAUSE)?,
            },
            hours,
            zone,
            deadline,
            other_deadlines: resolved.other_deadlines()?,
            reserve_rollback: resolved.value(&keys::RESERVE_ROLLBACK)?,
            ignore_forecast: resolved.value(&keys::IGNORE_FORECAST)?,
            approval_timeout: resolved.optional(&keys::APPROVAL_TIMEOUT)?,
            pause_file: resolved.file(&keys::PAUSE_FILE)?,
            stop_file: resolved.file(&keys::STOP_FILE)?,
        })
    }

    /// Time in which changes may be sent, for a launch that begins at `now`.
    pub(crate) fn window(&self, now: Timestamp) -> Result<Window, SettingsError> {
        let zone = self.zone()?;
        let deadline = self.deadlines().map(|deadline| deadline.instant(now, &zone.rules)).min();
        Ok(Window { hours: self.hours, zone, deadline })
    }

    /// Zone that hours are read in. The machine's has to be found only if the hours or a deadline depend on it.
    fn zone(&self) -> Result<Zone, BadZone> {
        match &self.zone {
            None if self.hours.is_none() && !self.deadlines().any(Deadline::needs_zone) => {
                Ok(Zone::of_machine_for_people())
            }
            Some(_) | None => self.zone_of_clocks(),
        }
    }

    /// Zone in which a time is read that somebody wrote without one.
    pub(crate) fn zone_of_clocks(&self) -> Result<Zone, BadZone> {
        self.zone.clone().map_or_else(Zone::of_machine, Ok)
    }

    fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        self.deadline.into_iter().chain(self.other_deadlines.iter().copied())
    }
}

/// Rate of one account: the lower of the value that won and the profile's own, which no flag or variable raises.
fn rate_of_one(resolved: &Resolved) -> Result<Option<f64>, SettingsError> {
    let won = resolved.value(&keys::RATE)?.per_second();
    Ok(match (won, resolved.of_profile(keys::RATE.key.name, keys::RATE.read)?.and_then(|rate| rate.per_second())) {
        (Some(won), Some(said)) => Some(won.min(said)),
        (one, None) | (None, one) => one,
    })
}

/// Rate that a wave may not pass, whatever its plan says.
fn rate_cap_of_one(resolved: &Resolved) -> Result<Option<f64>, SettingsError> {
    let said = resolved.of_profile(keys::RATE.key.name, keys::RATE.read)?.and_then(|rate| rate.per_second());
    let cap = resolved.cap(&keys::RATE)?.and_then(|rate| rate.per_second());
    Ok(said.into_iter().chain(cap).reduce(f64::min))
}

/// Places to look for credentials, as the profile names them.
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
        region: resolved.optional(&keys::REGION)?.map(|region| region.name),
        iam_endpoint: text("iam_endpoint")?,
        metadata_endpoint: resolved.optional(&keys::METADATA_ENDPOINT)?.flatten(),
        one_of_several: false,
        withheld: resolved.withheld.clone(),
    })
}

#[cfg(feature = "cluster")]
fn via_of(resolved: &Resolved) -> Result<Option<Via>, SettingsError> {
    resolved.optional(&keys::VIA)
}

/// Returns no choice: a machine that is alone has none.
#[cfg(not(feature = "cluster"))]
#[expect(clippy::unnecessary_wraps, reason = "a build with workers has a setting for it")]
fn via_of(_: &Resolved) -> Result<Option<Via>, SettingsError> {
    Ok(None)
}

#[cfg(feature = "cluster")]
fn engine_of(resolved: &Resolved) -> Result<Option<EngineSettings>, SettingsError> {
    let Some(servers) = resolved.optional(&keys::ENGINE)? else { return Ok(None) };
    Ok(Some(EngineSettings {
        servers,
        n_replicas: resolved.optional(&keys::ENGINE_REPLICAS)?,
        credentials: resolved.file(&keys::ENGINE_CREDENTIALS)?,
        ca: resolved.file(&keys::ENGINE_CA)?,
    }))
}

/// Takes the endpoint before the region, unless the region is set in a higher layer.
fn destination_of(resolved: &Resolved) -> Result<Option<Destination>, SettingsError> {
    let endpoint = resolved.optional(&keys::ENDPOINT)?;
    let region = resolved.optional(&keys::REGION)?.map(|region| Destination::Service(region.endpoint));
    let region_is_higher = resolved.origin("region").map(Origin::rank) > resolved.origin("endpoint").map(Origin::rank);
    Ok(if region_is_higher { region } else { endpoint.or(region) })
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
        let settings = Settings::from_resolved(&resolved(&[])).unwrap();
        assert_eq!(settings.gate.per_second, Some(10.0));
        assert_eq!(settings.destination, None);
    }

    #[test]
    fn a_bad_value_is_an_error_that_says_where_it_stands() {
        let error = Settings::from_resolved(&resolved(&[("rate", "fast".to_owned())])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`--rate`: `fast` is not a rate"), "{text}");
    }
}
