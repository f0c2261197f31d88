//! The command line, as given: every setting is optional here, and resolved elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit;
use crate::formats::Format;
use crate::journal::chain::Code;
use crate::ledger::cause::Only;
use crate::settings::resolve::CONFIG_FLAG;

/// Moves many servers of Huawei Cloud's Server Migration Service to a target state, and proves what happened to each.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    max_term_width = 110,
    after_help = exit::table(),
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The journal: one SQLite file that holds every run [default: cutover.db]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Common")]
    journal: Option<String>,
    /// Where the service is: https://…, or sandbox to try everything with no account
    #[arg(long, value_name = "URL|sandbox", global = true, help_heading = "Common")]
    endpoint: Option<String>,
    /// A settings file, which goes before those of the folder, the user and the machine
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common")]
    config: Option<String>,
    /// The region of the endpoint, where no endpoint is named: ap-southeast-3, cn-north-4, …
    #[arg(long, value_name = "NAME", global = true, help_heading = "Common")]
    region: Option<String>,
    /// The profile of rows that name no target
    #[arg(long, value_name = "NAME", global = true, help_heading = "Common")]
    profile: Option<String>,
    /// Print one JSON document to standard output, however it ends
    #[arg(long, global = true, help_heading = "Common")]
    pub(crate) json: bool,
    /// How messages are written: text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Common")]
    log_format: Option<String>,
    /// Say nothing where all is well, and one error where it is not; reports, tables and documents that were asked for are printed
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Common")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = "Common")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a commented example plan and settings file; overwrite nothing
    Init {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Validate a plan offline; print every problem; send nothing
    Check {
        #[command(flatten)]
        plan: PlanArgs,
        #[command(flatten)]
        dialect: DialectArg,
    },
    /// Read the live states and print what would change, what is there already, and what would be blocked
    Plan {
        #[command(flatten)]
        plan: PlanArgs,
        /// Seal it: write rows, terms and the states that were seen to a file that `run` takes
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Who seals it [default: the user]
        #[arg(long = "as", value_name = "NAME", requires = "output")]
        name: Option<String>,
        /// Replace the file
        #[arg(long, requires = "output")]
        force: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Agree to a sealed plan
    Approve {
        /// The sealed plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Who agrees
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// Sign it with this SSH key, or with the private half that the agent (`SSH_AUTH_SOCK`) or a FIDO key has of it
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Change, verify and journal every row of a plan; an unfinished run of the same plan is taken up
    Run {
        #[command(flatten)]
        plan: PlanArgs,
        /// Start afresh, even if an unfinished run of this plan is there
        #[arg(long)]
        new: bool,
        /// Only show what would happen, as `plan` does
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        launch: LaunchArgs,
        #[command(flatten)]
        steering: SteeringArgs,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Take an unfinished run up again, without the plan file
    Resume {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        steering: SteeringArgs,
        #[command(flatten)]
        launch: LaunchArgs,
    },
    /// Open the rows again that did not get on target, and run
    Retry {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        selection: SelectionArgs,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        steering: SteeringArgs,
        #[command(flatten)]
        launch: LaunchArgs,
    },
    /// Settle rows in doubt by reading them; send no change
    Reconcile {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Where a run stands, also while it runs
    Status {
        #[command(flatten)]
        run: RunArg,
        /// Print again until the run ends
        #[arg(long, conflicts_with = "json")]
        watch: bool,
        /// What is done, on the way, and could go back, if it stopped now
        #[arg(long)]
        if_stopped: bool,
    },
    /// Run the real plan with the real engine against the sandbox, hours in seconds; say whether it is ready
    Rehearse {
        #[command(flatten)]
        plan: PlanArgs,
        /// Begin where the servers are now, and not where the plan would have them; only reads are sent
        #[arg(long)]
        from_live: bool,
        #[command(flatten)]
        steering: SteeringArgs,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Steer a run that goes on, from any terminal that can open its journal
    #[command(
        override_usage = "cutover control [OPTIONS] [RUN] COMMAND [ARG]",
        after_help = "\
Commands:
  pause            Send nothing new until `continue`; what is on its way is awaited and proven
  continue         Go on
  rate N           Requests per second of each account from now on: 5, 0.5, 30/m, off
  concurrency N    Requests under way at once in each account
  skip ID          Do not send this row; also before the next launch of a run that does not go on now
  release WAVE     Let a wave begin that waits for approval, or what is behind its canary
  drain            Start nothing new, settle what is open and end, as the first Ctrl-C does
  abort            Also let go of what is on the wire, as the second does

Each command is in the journal, with who gave it, where, when and why."
    )]
    Control {
        /// The run (its id, a prefix of it, or nothing for the one that goes on), then the command
        #[arg(value_name = "WORDS", hide = true, num_args = 0..=3)]
        words: Vec<String>,
        /// Why; it is journaled with who and where
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Write the way back of a run as a plan: only rows that changed, where they were seen before
    Rollback {
        #[command(flatten)]
        run: RunArg,
        /// Write to a file, whole or not at all [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace the file
        #[arg(long)]
        force: bool,
    },
    /// The runs in the journal
    Runs,
    /// One row's whole story
    Explain {
        /// A source id, the beginning of one, or the name of a row
        #[arg(value_name = "ID")]
        source_id: String,
        /// A run's id or a prefix of it [default: the one that goes on, else the one launched last]
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// The evidence, from the journal alone
    Report {
        #[command(flatten)]
        run: RunArg,
        #[arg(long, value_name = "csv|html|json|junit|md|xlsx", value_parser = format)]
        format: Format,
        /// Write to a file, whole or not at all
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Look at credentials, clock, permissions, endpoint, journal and disk; change nothing
    Doctor {
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Let the settings file of a folder name endpoints, credentials and files; it is remembered by place and content
    Trust {
        /// The file, or its folder
        #[arg(value_name = "FILE", default_value = "cutover.toml")]
        file: PathBuf,
        /// Only show what it sets
        #[arg(long, conflicts_with = "forget")]
        show: bool,
        /// Trust it no longer
        #[arg(long)]
        forget: bool,
    },
    /// The settings
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// The inventory: list, show, or make a plan of it
    Sources {
        #[command(subcommand)]
        verb: SourcesVerb,
    },
    /// Prove that the journal was not altered
    Audit {
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Serve a read-only page over the journal: runs, live progress, rows, one row's story, reports
    Serve {
        /// Where to listen. Elsewhere than on this machine needs a token, from the environment variable
        /// `CUTOVER_SERVE_TOKEN` or from --token-file
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787")]
        listen: SocketAddr,
        /// Reads the token from the first line of a file. Without it and without the variable one is made, and shown once as a
        /// link
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Lets everybody on this machine read the journal here, whatever its own rights say
        #[arg(long, conflicts_with = "token_file")]
        no_token: bool,
        /// Another name that people may use for this machine, such as that of a proxy before it
        #[arg(long = "allow-host", value_name = "NAME")]
        hosts: Vec<String>,
    },
    /// Serve the API on loopback, with the documented state machine, quotas and faults, from a seed
    Sandbox {
        /// 0: any that is free
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// So many made-up sources
        #[arg(long, value_name = "N", conflicts_with = "plan")]
        sources: Option<usize>,
        /// The sources of a plan
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// How that plan is encoded, if it is neither UTF-8 nor has a byte-order mark
        #[arg(long, value_name = "NAME", requires = "plan", value_parser = crate::texts::encoding)]
        encoding: Option<&'static encoding_rs::Encoding>,
        #[command(flatten)]
        night: NightArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Each setting, and where it comes from; which credentials would be used
    Show {
        #[command(flatten)]
        service: ServiceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourcesVerb {
    /// List sources
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// All that the service says of one source
    Show {
        #[arg(value_name = "SOURCE_ID")]
        id: String,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Write a CSV plan of sources, each expected where it was seen
    Plan {
        #[command(flatten)]
        filter: FilterArgs,
        /// The copystate that they shall have
        #[arg(long, value_name = "WORD", required_unless_present = "to_cycle")]
        to_state: Option<String>,
        /// The migrationcycle that they shall have
        #[arg(long, value_name = "WORD")]
        to_cycle: Option<String>,
        /// Write to a file, whole or not at all
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace the file
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

impl SourcesVerb {
    fn service(&self) -> &ServiceArgs {
        match self {
            SourcesVerb::List { service, .. }
            | SourcesVerb::Show { service, .. }
            | SourcesVerb::Plan { service, .. } => service,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Csv,
    Json,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Filter")]
pub(crate) struct FilterArgs {
    /// Only sources in this state
    #[arg(long, value_name = "WORD")]
    pub(crate) state: Option<String>,
    /// Only sources in this migration cycle
    #[arg(long, value_name = "WORD")]
    pub(crate) cycle: Option<String>,
    /// Only sources with this in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Only sources whose agent is connected, or only those whose is not
    #[arg(long, value_name = "true|false")]
    pub(crate) connected: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Recompute the hash chains and what the events add up to, and compare
    Verify {
        #[command(flatten)]
        run: AnyRunArg,
        /// The code that a run printed and that was kept elsewhere: proves that no tail was cut off
        #[arg(long, value_name = "CODE")]
        anchor: Option<Code>,
        /// A signature of its head, as `audit sign` or ssh-keygen wrote it
        #[arg(long, value_name = "FILE", group = "signed")]
        signature: Option<PathBuf>,
        /// What was signed [default: the signature's name without .sig]
        #[arg(long, value_name = "FILE", requires = "signature")]
        head: Option<PathBuf>,
        /// Public keys, one on a line: one of them has to have signed
        #[arg(long, value_name = "FILE", requires = "signed")]
        signer: Option<PathBuf>,
        /// Instead of the journal, what `audit export` wrote: its files against its manifest, and each against its journal
        #[arg(long, value_name = "DIR|ZIP", conflicts_with = "signature", group = "signed")]
        bundle: Option<PathBuf>,
    },
    /// Put all that is known of a run into one folder or ZIP, with what a stranger needs to check it by hand
    ///
    /// `audit verify --bundle` checks it; so does its own check.py, which needs nothing but Python. `audit checker` prints that
    /// program, for whoever does not take it from a stranger.
    Export {
        #[command(flatten)]
        run: RunArg,
        /// A folder that is not there yet, or a file that ends with .zip
        #[arg(short, long, value_name = "DIR|ZIP")]
        output: PathBuf,
        /// Sign the manifest, and with it every file, with this SSH key (as `audit sign` does)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Leave the journal's other runs in its copy
        #[arg(long)]
        all_runs: bool,
    },
    /// Print the program with which a stranger checks a bundle (check.py)
    Checker,
    /// Sign the head of a run with an SSH key; `ssh-keygen -Y verify -n cutover-head` accepts the signature
    Sign {
        #[command(flatten)]
        run: RunArg,
        /// A private key, or a public one whose private half the agent (`SSH_AUTH_SOCK`) or a FIDO key has
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where the head goes; its signature goes beside it, with .sig behind the name [default: RUN.head]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct RunArg {
    /// A run's id or a prefix of it [default: the one that goes on, else the one launched last]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AnyRunArg {
    /// A run's id or a prefix of it [default: all of them]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// CSV, TSV, JSON Lines, a plan file in TOML or a sealed plan; - is standard input
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Take state words that no edition of the API lists
    #[arg(long)]
    pub(crate) allow_unknown: bool,
    /// Take warnings for errors
    #[arg(long)]
    pub(crate) strict: bool,
    /// Take rows also from files that are not below the plan's own folder, or no plain files
    #[arg(long)]
    pub(crate) allow_outside: bool,
    /// How a plan is encoded that is neither UTF-8 nor has a byte-order mark, such as gb18030
    #[arg(long, value_name = "NAME", value_parser = crate::texts::encoding)]
    pub(crate) encoding: Option<&'static encoding_rs::Encoding>,
}

impl PlanArgs {
    /// Flags that say how this plan is read, each with a blank before it.
    pub(crate) fn reading(&self) -> String {
        let marks =
            [("allow-unknown", self.allow_unknown), ("strict", self.strict), ("allow-outside", self.allow_outside)];
        let marks = marks.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| format!(" --{name}"));
        marks.chain(self.encoding.map(|encoding| format!(" --encoding {}", encoding.name().to_lowercase()))).collect()
    }
}

/// Which rows a retry opens again. Without any of it: all that are not on target, but for those that somebody else moved
/// and those that somebody skipped.
#[derive(Args, Debug)]
pub(crate) struct SelectionArgs {
    /// Of rows with a verdict, open only those with these again, such as refused,failed, or with one cause of a verdict, as in refused:SMS.9004;
    /// rows that somebody else moved (overtaken) or skipped (skipped) only when named
    #[arg(long, value_delimiter = ',', value_name = "VERDICTS")]
    pub(crate) only: Vec<Only>,
    /// Of rows with a verdict, open only this one again, whatever it ended with: a source id, the beginning of one, or a name; may be given again
    #[arg(long, value_name = "ID", conflicts_with = "only")]
    pub(crate) row: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Launch")]
pub(crate) struct LaunchArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Allow targets from which there is no way back (finished, deleting, cleared)
    #[arg(long)]
    pub(crate) allow_irreversible: bool,
    /// Release a wave that needs approval, before it asks; may be given again
    #[arg(long, value_name = "WAVE")]
    pub(crate) approve: Vec<String>,
    /// Write a report at the end; the extension names the format (.csv, .html, .json, .md, .xlsx, or .xml for JUnit)
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Launch")]
pub(crate) struct ShowArgs {
    /// Print each event as one JSON object a line to standard output
    #[arg(long)]
    pub(crate) events: bool,
    /// No progress on standard error
    #[arg(long)]
    pub(crate) no_progress: bool,
}

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

fn format(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| format!("is none of {}", Format::ALL.map(Format::name).join(", ")))
}

type Given = Vec<(&'static str, String)>;

fn given(flags: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Given {
    flags.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

impl Common {
    fn given(&self) -> Given {
        given([
            (CONFIG_FLAG, self.config.clone()),
            ("journal", self.journal.clone()),
            ("endpoint", self.endpoint.clone()),
            ("region", self.region.clone()),
            ("profile", self.profile.clone()),
            ("log_format", self.log_format.clone()),
        ])
    }
}

impl NightArgs {
    fn given(&self) -> Given {
        given([("scenario", self.scenario.clone()), ("seed", self.seed.clone())])
    }
}

impl DialectArg {
    fn given(&self) -> Given {
        given([("dialect", self.dialect.clone())])
    }
}

impl ServiceArgs {
    fn given(&self) -> Given {
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
    fn given(&self) -> Given {
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

impl Flags {
    /// Flags that say how the named plan is read; empty without a plan.
    pub(crate) fn reading(&self) -> String {
        match &self.verb {
            Verb::Check { plan, .. }
            | Verb::Plan { plan, .. }
            | Verb::Run { plan, .. }
            | Verb::Rehearse { plan, .. } => plan.reading(),
            Verb::Init { .. }
            | Verb::Approve { .. }
            | Verb::Trust { .. }
            | Verb::Control { .. }
            | Verb::Rollback { .. }
            | Verb::Status { .. }
            | Verb::Runs
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Audit { .. }
            | Verb::Reconcile { .. }
            | Verb::Resume { .. }
            | Verb::Retry { .. }
            | Verb::Doctor { .. }
            | Verb::Config { .. }
            | Verb::Sources { .. }
            | Verb::Sandbox { .. } => String::new(),
        }
    }

    /// The settings that were given as flags.
    pub(crate) fn given(&self) -> Given {
        let mut all = self.common.given();
        match &self.verb {
            Verb::Plan { service, .. } | Verb::Reconcile { service, .. } => all.extend(service.given()),
            Verb::Run { service, steering, .. }
            | Verb::Resume { service, steering, .. }
            | Verb::Rehearse { service, steering, .. }
            | Verb::Retry { service, steering, .. } => {
                all.extend(service.given());
                all.extend(steering.given());
            }
            Verb::Check { dialect, .. } => all.extend(dialect.given()),
            Verb::Doctor { service } | Verb::Config { verb: ConfigVerb::Show { service } } => {
                all.extend(service.given());
            }
            Verb::Sources { verb } => all.extend(verb.service().given()),
            Verb::Sandbox { night, .. } => all.extend(night.given()),
            Verb::Init { .. }
            | Verb::Approve { .. }
            | Verb::Trust { .. }
            | Verb::Control { .. }
            | Verb::Rollback { .. }
            | Verb::Status { .. }
            | Verb::Runs
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Audit { .. } => (),
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::report::next::OF_SENDING;
    use crate::settings::keys::KEYS;

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
    }

    /// The names of flags that a verb takes, as settings are called.
    fn taken_by(verb: &str) -> Vec<String> {
        let mut command = Flags::command();
        command.build();
        let verb = command.find_subcommand(verb).unwrap();
        verb.get_arguments().filter_map(|arg| arg.get_long()).map(|long| long.replace('-', "_")).collect()
    }

    #[test]
    fn a_launch_that_looks_is_given_no_flag_that_it_does_not_take() {
        let (looks, carries) = (taken_by("reconcile"), taken_by("resume"));
        for key in
            KEYS.iter().filter(|key| key.is_lost_with_its_launch() && carries.iter().any(|taken| taken == key.name))
        {
            let is_of_sending = OF_SENDING.contains(&key.name);
            assert_eq!(looks.iter().any(|taken| taken == key.name), !is_of_sending, "{}", key.name);
        }
        for name in OF_SENDING {
            assert!(
                carries.iter().any(|taken| taken == name) && taken_by("retry").iter().any(|taken| taken == name),
                "{name}"
            );
        }
    }

    #[test]
    fn the_help_of_run_shows_every_setting_with_its_default() {
        let mut command = Flags::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        // Where an agency is asked for is the machine's, not the run's.
        for key in KEYS.iter().filter(|key| !["approvers", "metadata_endpoint"].contains(&key.name)) {
            let flag = key.name.replace('_', "-");
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(&flag)).expect(key.name);
            let help = arg.get_help().unwrap().to_string();
            if let Some(default) = key.default {
                assert!(help.contains(&format!("[default: {default}]")), "{}: {help}", key.name);
            }
        }
    }
}
