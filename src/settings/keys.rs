//! Table of settings: each is written here once. Its value is used where [`super::Settings`] reads it.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "cluster")]
use super::key::FlagGroup::Engine;
use super::key::FlagGroup::{Common, Dialect, Launch, Night, Service, Steering};
#[cfg(feature = "cluster")]
use super::key::Lifetime::Home;
use super::key::Lifetime::{Route, Run, RunUnlessByHand, Settled};
use super::key::PlanTable::{Halt, Policy, Window};
use super::key::Risk::{Guards, Looks, Pace, Reads, Redirects, Writes};
use super::key::{Key, Setting};
use super::parse::{
    Destination, Region, deadline, destination, dialect, hours, journal, log_format, metadata_endpoint, name, path,
    region, text, zone,
};
use super::strict::Stricter::{
    Earlier, Hours, Longer, LowerNumber, LowerRate, LowerShare, On, Shorter, Zone as SameZone,
};
#[cfg(feature = "cluster")]
use crate::cluster::servers::{EngineServers, replicas, servers};
use crate::console::LogFormat;
#[cfg(feature = "cluster")]
use crate::hands::{Via, via};
use crate::lock::{IfLocked, if_locked};
use crate::model::dialect;
use crate::values::rate::Rate;
use crate::values::share::Share;
use crate::values::zone::Zone;
use crate::values::{duration, on_off, positive, positive_count, rate, share, whole};
use crate::waves::window;

/// Makes of each entry `NAME: type of its values, reader of its text, key` a static of its own and an element of [`KEYS`].
macro_rules! settings {
    ($($(#[$when:meta])? $setting:ident: $value:ty, $read:path, $key:expr;)*) => {
        $($(#[$when])? pub(crate) static $setting: Setting<$value> =
            Setting { read: $read, key: Key { check: |text| $read(text).map(drop), ..$key } };)*
        /// Every setting, in the order in which people see them.
        pub(crate) static KEYS: &[&Key] = &[$($(#[$when])? &$setting.key),*];
    };
}

settings! {
    JOURNAL: PathBuf, journal,
        Key::of_run("journal", Writes, "cutover.db", "the journal: one SQLite file that holds every run")
            .of_process()
            .flag(Common, "PATH")
            .lasting(Settled);
    LOG_FORMAT: LogFormat, log_format,
        Key::of_run("log_format", Looks, "text", "how messages are written: text or json")
            .of_process()
            .flag(Common, "FORMAT")
            .listed_behind("profile")
            .lasting(Settled);
    LOG_FILE: PathBuf, path,
        Key::unless_set(
            "log_file",
            Writes,
            "/var/log/cutover.log",
            "a file that gets every message as well, appended, also those that -q hides; opened again at SIGUSR1",
        )
        .of_process()
        .flag(Common, "FILE")
        .listed_behind("log_format")
        .lasting(Settled);
    ENDPOINT: Destination, destination,
        Key::unless_set(
            "endpoint",
            Redirects,
            "https://sms.ap-southeast-3.myhuaweicloud.com",
            "where the service is: https://…, or sandbox to try everything with no account",
        )
        .flag(Common, "URL|sandbox")
        .of_account()
            .lasting(Route);
    REGION: Region, region,
        Key::unless_set(
            "region",
            Redirects,
            "ap-southeast-3",
            "the region of the endpoint, where no endpoint is named",
        )
        .flag(Common, "NAME")
        .flag_help("the region of the endpoint, where no endpoint is named: ap-southeast-3, cn-north-4, …")
        .also_variable("HW_REGION_NAME")
        .of_account()
            .lasting(Route);
    PROFILE: String, name,
        Key::unless_set("profile", Redirects, "prod", "the profile of rows that name no target")
            .flag(Common, "NAME")
            .lasting(Route);
    ACCOUNT: String, name,
        Key::unless_set(
            "account",
            Redirects,
            "prod",
            "a name for the account, to tell apart two that use the same endpoint",
        )
        .flag(Service, "NAME")
        .of_account()
            .lasting(Route);
    RATE: Rate, rate,
        Key::of_run(
            "rate",
            Pace,
            "10",
            "requests per second of each account, reads included; 30/m works; off is no limit of ours",
        )
        .flag(Service, "N")
        .flag_help(
            "requests per second of each account, and given here of all accounts together, reads included; 30/m works; \
             off is no limit of ours",
        )
        .of_account()
        .of_plan(Policy, LowerRate);
    BURST: u32, positive,
        Key::of_run("burst", Pace, "1", "how many requests may go at once after a pause")
            .flag(Service, "N")
            .of_account()
            .of_plan(Policy, LowerNumber);
    CONCURRENCY: u32, positive,
        Key::of_run("concurrency", Pace, "8", "requests under way at once")
            .flag(Service, "N")
            .of_account()
            .of_plan(Policy, LowerNumber);
    ATTEMPTS: u32, positive,
        Key::of_run("attempts", Pace, "5", "attempts per row and launch; throttled ones do not count")
            .flag(Service, "N")
            .of_plan(Policy, LowerNumber);
    TIMEOUT: Duration, duration,
        Key::of_run("timeout", Pace, "30s", "how long one answer may take").flag(Service, "DURATION").of_account();
    CONNECT_TIMEOUT: Duration, duration,
        Key::of_run("connect_timeout", Pace, "10s", "how long a connection may take to come about")
            .flag(Service, "DURATION")
            .of_account();
    READ_TIMEOUT: Duration, duration,
        Key::unless_set("read_timeout", Pace, "20s", "how long the next bytes of an answer may take")
            .flag(Service, "DURATION")
            .of_account();
    CA_BUNDLE: PathBuf, path,
        Key::unless_set("ca_bundle", Redirects, "/etc/ssl/our-ca.pem", "certificates in PEM to trust beside the system's")
            .flag(Service, "FILE")
            .of_account();
    PREFLIGHT: bool, on_off,
        Key::of_run("preflight", Guards, "on", "look at every row before anything is sent; off sends unseen")
            .flag(Service, "on|off");
    VERIFY: bool, on_off,
        Key::of_run("verify", Guards, "on", "look at every row afterwards; off takes the service's word for it")
            .flag(Service, "on|off")
            .of_plan(Policy, On)
            .limited_by_default();
    VERIFY_TIMEOUT: Duration, duration,
        Key::of_run("verify_timeout", Pace, "30s", "how long a change may take to show")
            .flag(Service, "DURATION")
            .of_plan(Policy, Longer)
            .limited_by_default();
    COMPLETE_PAIR: bool, on_off,
        Key::of_run(
            "complete_pair",
            Guards,
            "on",
            "fill in the half of the pair that a row leaves open from what was read",
        )
        .flag(Service, "on|off")
        .of_plan(Policy, On)
        .limited_by_default();
    DIALECT: dialect::Dialect, dialect,
        Key::of_run(
            "dialect",
            Guards,
            "auto",
            "the edition of the API to speak: 2025-11, 2026-01, or auto: as the plan spells it",
        )
        .flag(Dialect, "EDITION|auto");
    MAX_THROTTLE: Duration, duration,
        Key::of_run("max_throttle", Pace, "10m", "stop after being throttled for this long without one accepted request")
            .flag(Service, "DURATION")
            .of_account()
            .of_plan(Policy, Shorter);
    METADATA_ENDPOINT: Option<String>, metadata_endpoint,
        Key::of_run(
            "metadata_endpoint",
            Redirects,
            "http://169.254.169.254",
            "where an ECS machine asks for the credentials of its agency; off never asks",
        )
        .of_process()
        .of_account();
    MAX_CHANGES: u64, whole,
        Key::unless_set("max_changes", Pace, "100", "refuse to begin if more rows than this would be changed")
            .flag(Service, "N")
            .of_plan(Policy, LowerNumber);
    MAX_DRIFT: u64, whole,
        Key::of_run(
            "max_drift",
            Guards,
            "0",
            "refuse a sealed plan if more rows than this are no longer where it saw them",
        )
        .flag(Steering, "N")
        .of_plan(Policy, LowerNumber)
        .limited_by_default();
    MAX_FAILED: Share, share,
        Key::unless_set("max_failed", Pace, "5%", "halt when more rows than this, or more than this part of them, failed")
            .flag(Steering, "N|P%")
            .flag_help("halt when more rows than this, or more than this part of those that were tried, failed")
            .of_plan(Halt, LowerShare).lasting(Run);
    MIN_SAMPLE: u64, whole,
        Key::of_run("min_sample", Pace, "20", "rows that have to be tried before a percentage of failures counts")
            .flag(Steering, "N")
            .of_plan(Halt, LowerNumber).lasting(Run)
            .limited_by_default();
    CONSECUTIVE_FAILURES: u64, positive_count,
        Key::unless_set("consecutive_failures", Pace, "5", "halt when this many rows failed one after another")
            .flag(Steering, "N")
            .of_plan(Halt, LowerNumber).lasting(Run);
    SAME_CAUSE: u64, positive_count,
        Key::unless_set("same_cause", Pace, "3", "halt when this many rows failed for one and the same cause")
            .flag(Steering, "N")
            .of_plan(Halt, LowerNumber).lasting(Run);
    WINDOW: Option<window::Hours>, hours,
        Key::unless_set(
            "window",
            Pace,
            "22:00-04:00",
            "hours of the day in which changes may be sent; as a flag, off lifts all of them",
        )
        .flag(Steering, "HH:MM-HH:MM")
        .flag_help("hours of the day in which changes may be sent, such as 22:00-04:00")
        .of_plan(Window("hours"), Hours).lasting(RunUnlessByHand);
    TIMEZONE: Zone, zone,
        Key::unless_set(
            "timezone",
            Pace,
            "Europe/Berlin",
            "the time zone of the window and the deadline, if not the machine's",
        )
        .flag(Steering, "ZONE")
        .of_plan(Window("timezone"), SameZone).lasting(RunUnlessByHand);
    DEADLINE: Option<window::Deadline>, deadline,
        Key::unless_set(
            "deadline",
            Pace,
            "2026-11-24T04:00",
            "nothing is begun that would not end by then; as a flag, off lifts all of them",
        )
        .flag(Steering, "TIME")
        .flag_help("nothing is begun that would not end by then: 04:00, 2026-11-24T04:00 or 2026-11-24T04:00:00Z")
        .of_plan(Window("deadline"), Earlier).lasting(RunUnlessByHand);
    RESERVE_ROLLBACK: bool, on_off,
        Key::of_run(
            "reserve_rollback",
            Pace,
            "off",
            "keep free at the end of the window the time that a roll-back would take",
        )
        .flag(Steering, "on|off")
        .switch()
        .of_plan(Window("reserve_rollback"), On).lasting(RunUnlessByHand);
    APPROVAL_TIMEOUT: Duration, duration,
        Key::unless_set("approval_timeout", Pace, "30m", "stop when nobody released a wave for this long")
            .flag(Steering, "DURATION")
            .of_plan(Policy, Shorter).lasting(Run);
    APPROVERS: PathBuf, path,
        Key::unless_set(
            "approvers",
            Guards,
            "/etc/cutover/approvers",
            "whose approvals count, an allowed_signers file: only those with a signature by one of its keys",
        )
        .of_process();
    IGNORE_FORECAST: bool, on_off,
        Key::of_run("ignore_forecast", Guards, "off", "begin a wave although it would not end in time")
            .of_process()
            .flag(Steering, "on|off")
            .listed_behind("reserve_rollback")
            .switch();
    PAUSE_FILE: PathBuf, path,
        Key::unless_set("pause_file", Reads, "/run/cutover/pause", "pause while this file is there")
            .of_process()
            .flag(Steering, "FILE");
    STOP_FILE: PathBuf, path,
        Key::unless_set("stop_file", Reads, "/run/cutover/stop", "stop when this file is there")
            .of_process()
            .flag(Steering, "FILE");
    METRICS_FILE: PathBuf, path,
        Key::unless_set(
            "metrics_file",
            Writes,
            "/var/lib/prometheus/node-exporter/cutover.prom",
            "metrics of the launch for Prometheus, where node_exporter's textfile collector reads them: a file for each job, so not \
             set in settings that all jobs read",
        )
        .of_process()
        .flag(Launch, "FILE");
    IF_LOCKED: IfLocked, if_locked,
        Key::of_run(
            "if_locked",
            Guards,
            "fail",
            "where another launch holds the run or the account: fail (6), skip (0, and it counts for nothing), or wait for it, \
             for 5m or as long as wait=DURATION says",
        )
        .of_process()
        .flag(Launch, "fail|skip|wait[=DURATION]")
        .lasting(Settled);
    START_WITHIN: Duration, duration,
        Key::unless_set(
            "start_within",
            Pace,
            "10m",
            "give up (4, nothing sent) what has sent no change within this time of its launch, whatever it waits for",
        )
        .of_process()
        .flag(Launch, "DURATION")
        .lasting(Settled);
    SCENARIO: String, text,
        Key::of_run("scenario", Reads, "calm", "the sandbox's night: calm, busy, bad-night or a file")
            .flag(Night, "NAME|FILE")
            .lasting(Settled);
    SEED: u64, whole,
        Key::of_run("seed", Looks, "1", "the sandbox's seed: the same seed is the same night")
            .flag(Night, "N")
            .lasting(Settled);
    #[cfg(feature = "cluster")]
    VIA: Via, via,
        Key::unless_set(
            "via",
            Redirects,
            "worker",
            "who makes the requests of an account: worker, elsewhere, or here; unless set, here where its credentials are, else a worker",
        )
        .of_process()
        .of_account();
    #[cfg(feature = "cluster")]
    ENGINE: EngineServers, servers,
        Key::unless_set(
            "engine",
            Redirects,
            "nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222",
            "the NATS servers that keep the log of a run, so that another machine can go on with it: nats:// or tls://HOST[:PORT], \
             several with commas between",
        )
        .flag(Engine, "URLS")
        .lasting(Home);
    #[cfg(feature = "cluster")]
    ENGINE_REPLICAS: usize, replicas,
        Key::unless_set(
            "engine_replicas",
            Guards,
            "3",
            "how many servers keep the log of a new run: 3, so that one of them can be lost, where they are a cluster, else 1",
        )
        .of_process();
    #[cfg(feature = "cluster")]
    ENGINE_CREDENTIALS: PathBuf, path,
        Key::unless_set(
            "engine_credentials",
            Reads,
            "/etc/cutover/engine.creds",
            "the file that the servers are opened with: a NATS .creds file, or the seed of an nkey",
        )
        .of_process();
    #[cfg(feature = "cluster")]
    ENGINE_CA: PathBuf, path,
        Key::unless_set(
            "engine_ca",
            Redirects,
            "/etc/ssl/engine-ca.pem",
            "certificates in PEM to trust in place of the system's, for tls://",
        )
        .of_process();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_settings_share_a_key_a_flag_or_a_variable_and_each_default_is_a_value() {
        let variables =
            KEYS.iter().flat_map(|key| std::iter::once(key.variable()).chain(key.also_variable.map(str::to_owned)));
        let flags = KEYS.iter().filter(|key| key.flag.is_some()).map(|key| format!("--{}", key.long()));
        let names: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).chain(variables).chain(flags).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        for key in KEYS {
            assert_eq!((key.check)(key.example), Ok(()), "{}", key.name);
            assert!(key.default.is_none_or(|default| default == key.example), "{}", key.name);
        }
    }
}
