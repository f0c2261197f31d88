//! Verbs, and what each of them takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use clap::Subcommand;

use super::arguments::{
    AnyRunArg, FilterArgs, LaunchArgs, ListFormat, PlanArgs, RunArg, RunsArgs, SelectionArgs, ShowArgs,
};
#[cfg(feature = "cluster")]
use super::arguments::{CollectArgs, WorkerArgs};
use super::codes;
use super::of_settings::{OfDialect, OfEngine, OfLaunch, OfNight, OfSteering, ServiceArgs, SettingFlags};
use crate::formats::Format;
use crate::journal::chain::Code;
use crate::settings::parse::run_key;
use crate::values::age::Age;

/// Commands of `control`, as its help lists them.
const COMMANDS: &str = "\
Commands:
  pause            Send nothing new until `continue`; what is on its way is awaited and proven
  continue         Go on
  rate N           Requests per second of each account from now on: 5, 0.5, 30/m, off
  concurrency N    Requests under way at once in each account
  skip ID          Do not send this row; also before the next launch of a run that does not go on now
  release WAVE     Let a wave begin that waits for approval, or what is behind its canary
  drain            Start nothing new, settle what is open and end, as the first Ctrl-C does
  abort            Also let go of what is on the wire, as the second does

Each command is in the journal, with who gave it, where, when and why.
";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a commented example plan and settings file; overwrite nothing
    #[command(after_help = codes::of_files("the files are there"))]
    Init {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Validate a plan offline; print every problem; send nothing
    #[command(after_help = codes::of_check())]
    Check {
        #[command(flatten)]
        plan: PlanArgs,
        #[command(flatten)]
        dialect: SettingFlags<OfDialect>,
    },
    /// Read the live states and print what would change, what is there already, and what would be blocked
    #[command(after_help = codes::of_plan())]
    Plan {
        #[command(flatten)]
        plan: PlanArgs,
        /// Seal it: write rows, terms and the states that were seen to a file that `run` takes
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Name of the person who seals it [default: the user]
        #[arg(long = "as", value_name = "NAME", requires = "output")]
        name: Option<String>,
        /// Replace the file
        #[arg(long, requires = "output")]
        force: bool,
        /// End with 10 if there is something to change, and with 0 if there is nothing; blocked rows are not changed
        #[arg(long)]
        exit_code: bool,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Agree to a sealed plan
    #[command(after_help = codes::of_approve())]
    Approve {
        /// The sealed plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Name of the person who agrees
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// Sign it with this SSH key, or with the private half that the agent (`SSH_AUTH_SOCK`) or a FIDO key has of it
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Change, verify and journal every row of a plan; an unfinished run of the same plan is taken up
    #[command(after_help = codes::of_launches())]
    Run {
        #[command(flatten)]
        plan: PlanArgs,
        /// Start afresh, even if an unfinished run of this plan is there
        #[arg(long)]
        new: bool,
        /// Only show what would happen, as `plan` does, and the run that would be made or gone on with
        #[arg(long)]
        dry_run: bool,
        /// Names the slot of a schedule, such as "$(date +%F)" [variable: `CUTOVER_RUN_KEY`]: the first launch with a key makes
        /// the run, later ones go on with it; once it has ended, they print its summary and end as it did
        #[arg(long, value_name = "KEY", conflicts_with = "new", value_parser = run_key)]
        run_key: Option<String>,
        #[command(flatten)]
        launch: LaunchArgs,
        #[command(flatten)]
        steering: SettingFlags<OfSteering>,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        of_launch: SettingFlags<OfLaunch>,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Take an unfinished run up again, without the plan file
    #[command(after_help = codes::of_launches())]
    Resume {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        steering: SettingFlags<OfSteering>,
        #[command(flatten)]
        launch: LaunchArgs,
        #[command(flatten)]
        of_launch: SettingFlags<OfLaunch>,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
        /// Follow the run that another machine leads, and go on with it when that is not heard for seven seconds
        #[cfg(feature = "cluster")]
        #[arg(long, requires = "yes", help_heading = "Engine")]
        standby: bool,
        /// Write first to the log of the run again what it has lost and this journal has; asks unless `--yes` is given
        #[cfg(feature = "cluster")]
        #[arg(long, requires = "run", conflicts_with = "standby", help_heading = "Engine")]
        restore_log: bool,
    },
    /// Open the rows again that did not get on target, and run
    #[command(after_help = codes::of_launches())]
    Retry {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        selection: SelectionArgs,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        steering: SettingFlags<OfSteering>,
        #[command(flatten)]
        launch: LaunchArgs,
        #[command(flatten)]
        of_launch: SettingFlags<OfLaunch>,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Settle rows in doubt by reading them; send no change
    #[command(after_help = codes::of_launches())]
    Reconcile {
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        show: ShowArgs,
        #[command(flatten)]
        of_launch: SettingFlags<OfLaunch>,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// State of a run, also while it runs
    #[command(after_help = codes::of_status())]
    Status {
        #[command(flatten)]
        run: RunArg,
        /// Print again until the run ends
        #[arg(long, conflicts_with = "json")]
        watch: bool,
        /// Rows that are done, are on the way, and could go back, if it stopped now
        #[arg(long)]
        if_stopped: bool,
        /// Answer a monitoring system such as Nagios or Icinga: one line with figures, and its exit codes. Of several runs that go on,
        /// the worst; without any, the one launched last
        #[arg(long, conflicts_with_all = ["json", "watch", "if_stopped"])]
        check: bool,
    },
    /// Run the real plan with the real engine against the sandbox, hours in seconds; say whether it is ready
    #[command(after_help = codes::of_rehearse())]
    Rehearse {
        #[command(flatten)]
        plan: PlanArgs,
        /// Begin where the servers are now, and not where the plan would have them; only reads are sent
        #[arg(long)]
        from_live: bool,
        #[command(flatten)]
        steering: SettingFlags<OfSteering>,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Steer a run that goes on, from any terminal that can open its journal
    #[command(
        override_usage = "cutover control [OPTIONS] [RUN] COMMAND [ARG]",
        after_help = format!("{COMMANDS}\n{}", codes::of_control())
    )]
    Control {
        /// The run (its id, a prefix of it, or nothing for the one that goes on), then the command
        #[arg(value_name = "WORDS", hide = true, num_args = 0..=3)]
        words: Vec<String>,
        /// Reason; it is journaled with who and where
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Write the way back of a run as a plan: only rows that changed, where they were seen before
    #[command(after_help = codes::of_journal())]
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
    /// The runs in the journal, newest first
    #[command(after_help = codes::of_journal())]
    Runs {
        #[command(flatten)]
        runs: RunsArgs,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Copy a run from the servers of its log into the journal
    #[cfg(feature = "cluster")]
    #[command(after_help = codes::of_collect())]
    Collect {
        #[command(flatten)]
        run: CollectArgs,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Make the requests of accounts whose credentials are here, for runs that other machines lead
    #[cfg(feature = "cluster")]
    #[command(after_help = codes::of_worker())]
    Worker {
        #[command(flatten)]
        targets: WorkerArgs,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// One row's whole story
    #[command(after_help = codes::of_journal())]
    Explain {
        /// A source id, the beginning of one, or the name of a row
        #[arg(value_name = "ID")]
        source_id: String,
        /// A run's id, the beginning of one, its key, or the name of its plan [default: the one that goes on, else the one launched last]
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// The evidence, from the journal alone
    #[command(after_help = codes::of_journal())]
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
    #[command(after_help = codes::of_doctor())]
    Doctor {
        /// Also send a test to every receiver of notices ([notify.NAME] in the settings)
        #[arg(long)]
        notify: bool,
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        engine: SettingFlags<OfEngine>,
    },
    /// Let the settings file of a folder name endpoints, credentials and files; it is remembered by place and content
    #[command(after_help = codes::of_files("it is as it was asked for"))]
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
    /// Take old runs out of the journal, or see how large it is
    Journal {
        #[command(subcommand)]
        verb: JournalVerb,
    },
    /// Serve a read-only page over the journal: runs, live progress, rows, one row's story, reports
    #[command(after_help = codes::of_journal())]
    Serve {
        /// Address to listen on. Elsewhere than on this machine needs a token, from the environment variable
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
    #[command(after_help = codes::of_files("it was told to stop"))]
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
        /// Encoding of that plan, if it is neither UTF-8 nor has a byte-order mark
        #[arg(long, value_name = "NAME", requires = "plan", value_parser = crate::texts::encoding)]
        encoding: Option<&'static encoding_rs::Encoding>,
        #[command(flatten)]
        night: SettingFlags<OfNight>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Each setting, and where it comes from; which credentials would be used
    #[command(after_help = codes::of_files("it could answer"))]
    Show {
        #[command(flatten)]
        service: ServiceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourcesVerb {
    /// List sources
    #[command(after_help = codes::of_sources())]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// All that the service says of one source
    #[command(after_help = codes::of_source())]
    Show {
        #[arg(value_name = "SOURCE_ID")]
        id: String,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Write a CSV plan of sources, each expected where it was seen
    #[command(after_help = codes::of_sources())]
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
    pub(super) fn service(&self) -> &ServiceArgs {
        match self {
            SourcesVerb::List { service, .. }
            | SourcesVerb::Show { service, .. }
            | SourcesVerb::Plan { service, .. } => service,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Recompute the hash chains and what the events add up to, and compare
    #[command(after_help = codes::of_audit())]
    Verify {
        #[command(flatten)]
        run: AnyRunArg,
        /// The code that a run printed and that was kept elsewhere: proves that no tail was cut off
        #[arg(long, value_name = "CODE")]
        anchor: Option<Code>,
        /// A signature of its head, as `audit sign` or ssh-keygen wrote it
        #[arg(long, value_name = "FILE", group = "signed")]
        signature: Option<PathBuf>,
        /// The file that was signed [default: the signature's name without .sig]
        #[arg(long, value_name = "FILE", requires = "signature")]
        head: Option<PathBuf>,
        /// Public keys, one on a line: one of them has to have signed
        #[arg(long, value_name = "FILE", requires = "signed")]
        signer: Option<PathBuf>,
        /// Instead of the journal, what `audit export` wrote: its files against its manifest, and each against its journal
        #[arg(long, value_name = "DIR|ZIP", conflicts_with = "signature", group = "signed")]
        bundle: Option<PathBuf>,
        /// The folder with the archives of runs that `journal prune` took out: each has to be the file that the journal names, and
        /// is verified
        #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "bundle"])]
        archive: Option<PathBuf>,
    },
    /// Put all that is known of a run into one folder or ZIP, with what a stranger needs to check it by hand
    ///
    /// `audit verify --bundle` checks it; so does its own check.py, which needs nothing but Python. `audit checker` prints that
    /// program, for whoever does not take it from a stranger.
    #[command(after_help = codes::of_audit())]
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
    #[command(after_help = codes::of_files("it is printed"))]
    Checker,
    /// Sign the head of a run with an SSH key; `ssh-keygen -Y verify -n cutover-head` accepts the signature
    #[command(after_help = codes::of_audit())]
    Sign {
        #[command(flatten)]
        run: RunArg,
        /// A private key, or a public one whose private half the agent (`SSH_AUTH_SOCK`) or a FIDO key has
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File for the head; its signature goes beside it, with .sig behind the name [default: RUN.head]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalVerb {
    /// Take runs that ended long ago out of the journal, each into an archive first, which is verified
    ///
    /// An archive is the bundle of `audit export`, in a file RUN.zip. Of each run a tombstone stays in the journal: its id, rows,
    /// verdicts and anchor, and the archive's hash. A run that goes on, or has rows without a verdict, stays. Killed at any moment,
    /// nothing is lost, and the same command again goes on.
    #[command(after_help = codes::of_prune())]
    Prune {
        /// Keep the runs whose last launch ended within this time: 400d, 13 months, 12h
        #[arg(long, value_name = "AGE", value_parser = Age::from_str)]
        keep: Age,
        /// The folder for the archives, which is made if it is not there
        #[arg(long, value_name = "DIR")]
        archive: PathBuf,
        /// Only show which runs would be taken out
        #[arg(long)]
        dry_run: bool,
    },
    /// Contents of the journal, and the size of each run
    #[command(after_help = codes::of_journal())]
    Info {
        /// Say what `prune` would free with this
        #[arg(long, value_name = "AGE", value_parser = Age::from_str)]
        keep: Option<Age>,
    },
}

/// Verb that launches a run.
pub(crate) struct LaunchVerb<'v> {
    pub(crate) name: &'static str,
    /// Plan that it names.
    pub(crate) plan: Option<&'v Path>,
}

impl Verb {
    /// Tells whether a flag names the slot of a timetable.
    pub(crate) fn has_run_key(&self) -> bool {
        matches!(self, Verb::Run { run_key: Some(_), .. })
    }

    /// Returns the launch that this verb is; `None` for a verb that launches nothing.
    pub(crate) fn launches(&self) -> Option<LaunchVerb<'_>> {
        let of = |name, plan| Some(LaunchVerb { name, plan });
        match self {
            Verb::Run { plan, dry_run: false, .. } => of("run", Some(&*plan.plan)),
            Verb::Resume { .. } => of("resume", None),
            Verb::Retry { .. } => of("retry", None),
            Verb::Reconcile { .. } => of("reconcile", None),
            #[cfg(feature = "cluster")]
            Verb::Collect { .. } | Verb::Worker { .. } => None,
            Verb::Run { dry_run: true, .. }
            | Verb::Init { .. }
            | Verb::Check { .. }
            | Verb::Plan { .. }
            | Verb::Approve { .. }
            | Verb::Status { .. }
            | Verb::Rehearse { .. }
            | Verb::Control { .. }
            | Verb::Rollback { .. }
            | Verb::Runs { .. }
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Doctor { .. }
            | Verb::Trust { .. }
            | Verb::Config { .. }
            | Verb::Sources { .. }
            | Verb::Audit { .. }
            | Verb::Journal { .. }
            | Verb::Serve { .. }
            | Verb::Sandbox { .. } => None,
        }
    }

    /// Returns the file that the verb writes besides those of settings, with the flag that names it.
    pub(crate) fn output(&self) -> Option<(&'static str, &Path)> {
        let (flag, path) = match self {
            Verb::Run { launch, .. } | Verb::Resume { launch, .. } | Verb::Retry { launch, .. } => {
                ("--report", launch.report.as_deref())
            }
            Verb::Plan { output, .. }
            | Verb::Rollback { output, .. }
            | Verb::Report { output, .. }
            | Verb::Sources { verb: SourcesVerb::Plan { output, .. } }
            | Verb::Audit { verb: AuditVerb::Sign { output, .. } } => ("-o", output.as_deref()),
            Verb::Audit { verb: AuditVerb::Export { output, .. } } => ("-o", Some(output.as_path())),
            #[cfg(feature = "cluster")]
            Verb::Collect { .. } | Verb::Worker { .. } => return None,
            Verb::Audit { verb: AuditVerb::Verify { .. } | AuditVerb::Checker }
            | Verb::Sources { verb: SourcesVerb::List { .. } | SourcesVerb::Show { .. } }
            | Verb::Reconcile { .. }
            | Verb::Init { .. }
            | Verb::Check { .. }
            | Verb::Approve { .. }
            | Verb::Status { .. }
            | Verb::Rehearse { .. }
            | Verb::Control { .. }
            | Verb::Runs { .. }
            | Verb::Explain { .. }
            | Verb::Doctor { .. }
            | Verb::Trust { .. }
            | Verb::Config { .. }
            | Verb::Journal { .. }
            | Verb::Serve { .. }
            | Verb::Sandbox { .. } => return None,
        };
        Some((flag, path?))
    }
}

fn format(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| format!("is none of {}", Format::ALL.map(Format::name).join(", ")))
}
