//! Flags of settings, by the verbs that take them.

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct NightArgs {
    /// The sandbox's night: calm, busy, bad-night or a file [default: calm]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Sandbox")]
    scenario: Option<String>,
    /// The sandbox's seed: the same seed is the same night [default: 1]
    #[arg(long, value_name = "N", help_heading = "Sandbox")]
    seed: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct DialectArg {
    /// The edition of the API to speak: 2025-11, 2026-01, or auto: as the plan spells it [default: auto]
    #[arg(long, value_name = "EDITION|auto")]
    dialect: Option<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceArgs {
    /// A name for the account, to tell apart two that use the same endpoint
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Requests per second of each account, and given here of all accounts together, reads included; 30/m works; off is
    /// no limit of ours [default: 10]
    #[arg(long, value_name = "N")]
    rate: Option<String>,
    /// How many requests may go at once after a pause [default: 1]
    #[arg(long, value_name = "N")]
    burst: Option<String>,
    /// Requests under way at once [default: 8]
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,
    /// Attempts per row and launch; throttled ones do not count [default: 5]
    #[arg(long, value_name = "N")]
    attempts: Option<String>,
    /// How long one answer may take [default: 30s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// How long a connection may take to come about [default: 10s]
    #[arg(long, value_name = "DURATION")]
    connect_timeout: Option<String>,
    /// How long the next bytes of an answer may take
    #[arg(long, value_name = "DURATION")]
    read_timeout: Option<String>,
    /// Certificates in PEM to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<String>,
    /// Look at every row before anything is sent; off sends unseen [default: on]
    #[arg(long, value_name = "on|off")]
    preflight: Option<String>,
    /// Look at every row afterwards; off takes the service's word for it [default: on]
    #[arg(long, value_name = "on|off")]
    verify: Option<String>,
    /// How long a change may take to show [default: 30s]
    #[arg(long, value_name = "DURATION")]
    verify_timeout: Option<String>,
    /// Fill in the half of the pair that a row leaves open from what was read [default: on]
    #[arg(long, value_name = "on|off")]
    complete_pair: Option<String>,
    #[command(flatten)]
    dialect: DialectArg,
    /// Stop after being throttled for this long without one accepted request [default: 10m]
    #[arg(long, value_name = "DURATION")]
    max_throttle: Option<String>,
    /// Refuse to begin if more rows than this would be changed
    #[arg(long, value_name = "N")]
    max_changes: Option<String>,
    #[command(flatten)]
    night: NightArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Steering")]
pub(crate) struct SteeringArgs {
    /// Refuse a sealed plan if more rows than this are no longer where it saw them [default: 0]
    #[arg(long, value_name = "N")]
    max_drift: Option<String>,
    /// Halt when more rows than this, or more than this part of those that were tried, failed
    #[arg(long, value_name = "N|P%")]
    max_failed: Option<String>,
    /// Rows that have to be tried before a percentage of failures counts [default: 20]
    #[arg(long, value_name = "N")]
    min_sample: Option<String>,
    /// Halt when this many rows failed one after another
    #[arg(long, value_name = "N")]
    consecutive_failures: Option<String>,
    /// Halt when this many rows failed for one and the same cause
    #[arg(long, value_name = "N")]
    same_cause: Option<String>,
    /// Hours of the day in which changes may be sent, such as 22:00-04:00
    #[arg(long, value_name = "HH:MM-HH:MM")]
    window: Option<String>,
    /// The time zone of the window and the deadline, if not the machine's
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Nothing is begun that would not end by then: 04:00, 2026-11-24T04:00 or 2026-11-24T04:00:00Z
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// Keep free at the end of the window the time that a roll-back would take [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", require_equals = true)]
    reserve_rollback: Option<String>,
    /// Begin a wave although it would not end in time [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", require_equals = true)]
    ignore_forecast: Option<String>,
    /// Stop when nobody released a wave for this long
    #[arg(long, value_name = "DURATION")]
    approval_timeout: Option<String>,
    /// Pause while this file is there
    #[arg(long, value_name = "FILE")]
    pause_file: Option<String>,
    /// Stop when this file is there
    #[arg(long, value_name = "FILE")]
    stop_file: Option<String>,
}

pub(super) type Given = Vec<(&'static str, String)>;

pub(super) fn given(flags: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Given {
    flags.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

impl NightArgs {
    pub(super) fn given(&self) -> Given {
        given([("scenario", self.scenario.clone()), ("seed", self.seed.clone())])
    }
}

impl DialectArg {
    pub(super) fn given(&self) -> Given {
        given([("dialect", self.dialect.clone())])
    }
}

impl ServiceArgs {
    pub(super) fn given(&self) -> Given {
        let mut all = given([
            ("account", self.account.clone()),
            ("rate", self.rate.clone()),
            ("burst", self.burst.clone()),
            ("concurrency", self.concurrency.clone()),
            ("attempts", self.attempts.clone()),
            ("timeout", self.timeout.clone()),
            ("connect_timeout", self.connect_timeout.clone()),
            ("read_timeout", self.read_timeout.clone()),
            ("ca_bundle", self.ca_bundle.clone()),
            ("preflight", self.preflight.clone()),
            ("verify", self.verify.clone()),
            ("verify_timeout", self.verify_timeout.clone()),
            ("complete_pair", self.complete_pair.clone()),
            ("max_throttle", self.max_throttle.clone()),
            ("max_changes", self.max_changes.clone()),
        ]);
        all.extend(self.dialect.given());
        all.extend(self.night.given());
        all
    }
}

impl SteeringArgs {
    pub(super) fn given(&self) -> Given {
        given([
            ("max_drift", self.max_drift.clone()),
            ("max_failed", self.max_failed.clone()),
            ("min_sample", self.min_sample.clone()),
            ("consecutive_failures", self.consecutive_failures.clone()),
            ("same_cause", self.same_cause.clone()),
            ("window", self.window.clone()),
            ("timezone", self.timezone.clone()),
            ("deadline", self.deadline.clone()),
            ("reserve_rollback", self.reserve_rollback.clone()),
            ("ignore_forecast", self.ignore_forecast.clone()),
            ("approval_timeout", self.approval_timeout.clone()),
            ("pause_file", self.pause_file.clone()),
            ("stop_file", self.stop_file.clone()),
        ])
    }
}
