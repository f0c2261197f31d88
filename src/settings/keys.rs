//! The list of settings.

use super::strict::Stricter;

/// Every setting there is. Flags, environment (`CUTOVER_` and the name in capitals), files and `init`'s example are
/// made from this list.
#[expect(clippy::struct_excessive_bools, reason = "a table of marks that have nothing to do with each other")]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// What a settings file might say, where there is no default.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
    /// Harm that it can do in a stranger's hands.
    pub(crate) reach: Reach,
    /// What a run is carried out with, and so belongs in its journal.
    pub(crate) of_run: bool,
    /// Lets each account have its own.
    pub(crate) of_account: bool,
    /// Which of two values holds where an operator and somebody else have a say. None: a plan file may not set it.
    pub(crate) of_plan: Option<Stricter>,
    /// Makes its default a limit, too, which the operator alone makes wider. Of pace a default is no more than where one
    /// begins: a plan has its own.
    pub(crate) holds_by_default: bool,
    /// Whether a run keeps to it that was begun with it, unless a later launch is told otherwise.
    pub(crate) kept: bool,
    /// Whether it holds for the one launch that was given it by hand, though a plan's or a file's is kept.
    pub(crate) of_launch: bool,
    /// Whether a run goes on where and as it was begun, so that no later launch need name it.
    pub(crate) settled_by_run: bool,
    /// Another variable that the vendor's users know, behind our own.
    pub(crate) also_variable: Option<&'static str>,
}

/// Harm that a setting can do in a stranger's hands, and so whose word it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Speed, patience, rules for stopping, hours: at worst a run that is slow, or none.
    Pace,
    /// Looks of messages and reports.
    Looks,
    /// Decides where requests and credentials go, and in whose name.
    Redirects,
    /// A file or a variable that is read.
    Reads,
    /// A file that is written.
    Writes,
    /// A command.
    Executes,
    /// Guards against what nobody meant.
    Guards,
}

impl Reach {
    /// Reason for which a file that merely lies in the folder may not set this; none: it may.
    pub(crate) fn beyond_a_folder(self) -> Option<&'static str> {
        match self {
            Reach::Pace | Reach::Looks => None,
            Reach::Redirects => Some("says where requests and credentials go, or in whose name"),
            Reach::Reads => Some("names what is read"),
            Reach::Writes => Some("names a file that is written"),
            Reach::Executes => Some("runs a command"),
            Reach::Guards => Some("decides what is looked at, sent or held back"),
        }
    }
}

impl Key {
    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{OURS}{}", self.name.to_uppercase())
    }

    const fn of_account(self) -> Self {
        Self { of_account: true, ..self }
    }

    const fn of_plan(self, stricter: Stricter) -> Self {
        Self { of_plan: Some(stricter), ..self }
    }

    const fn holds_by_default(self) -> Self {
        Self { holds_by_default: true, ..self }
    }

    const fn kept(self, stricter: Stricter) -> Self {
        Self { of_plan: Some(stricter), kept: true, ..self }
    }

    const fn of_launch(self, stricter: Stricter) -> Self {
        Self { of_launch: true, ..self.kept(stricter) }
    }

    const fn settled_by_run(self) -> Self {
        Self { settled_by_run: true, ..self }
    }

    /// Whether a launch that is given it by hand might do without it the next time, if nobody gave it again. Of what is
    /// kept, a run keeps no more than it was begun with.
    pub(crate) fn is_lost_with_its_launch(&self) -> bool {
        !self.settled_by_run
    }

    /// Tells that it says where a run goes, or as whom. The run settles it, and who goes on with the run says it again all the
    /// same: a journal's word alone is nobody's.
    pub(crate) fn is_of_way(&self) -> bool {
        ["endpoint", "region", "profile", "account"].contains(&self.name)
    }

    /// Whether it is a limit of the one run, which is none of another's.
    pub(crate) fn is_of_one_run(&self) -> bool {
        self.kept && !self.of_launch
    }
}

const KEY: Key = Key {
    name: "",
    default: None,
    example: "",
    help: "",
    reach: Reach::Guards,
    of_run: true,
    of_account: false,
    of_plan: None,
    holds_by_default: false,
    kept: false,
    of_launch: false,
    settled_by_run: false,
    also_variable: None,
};

const fn of_run(name: &'static str, reach: Reach, default: &'static str, help: &'static str) -> Key {
    Key { name, reach, default: Some(default), example: default, help, ..KEY }
}

const fn of_process(name: &'static str, reach: Reach, default: &'static str, help: &'static str) -> Key {
    Key { name, reach, default: Some(default), example: default, help, of_run: false, ..KEY }
}

const fn unless_set(name: &'static str, reach: Reach, example: &'static str, help: &'static str) -> Key {
    Key { name, reach, default: None, example, help, ..KEY }
}

pub(crate) const KEYS: [Key; 38] = [
    of_process("journal", Reach::Writes, "cutover.db", "the journal: one SQLite file that holds every run")
        .settled_by_run(),
    of_process("log_format", Reach::Looks, "text", "how messages are written: text or json").settled_by_run(),
    unless_set(
        "endpoint",
        Reach::Redirects,
        "https://sms.ap-southeast-3.myhuaweicloud.com",
        "where the service is: https://…, or sandbox to try everything with no account",
    )
    .of_account()
    .settled_by_run(),
    Key {
        also_variable: Some("HW_REGION_NAME"),
        ..unless_set(
            "region",
            Reach::Redirects,
            "ap-southeast-3",
            "the region of the endpoint, where no endpoint is named",
        )
        .of_account()
        .settled_by_run()
    },
    unless_set("profile", Reach::Redirects, "prod", "the profile of rows that name no target").settled_by_run(),
    unless_set(
        "account",
        Reach::Redirects,
        "prod",
        "a name for the account, to tell apart two that use the same endpoint",
    )
    .of_account()
    .settled_by_run(),
    of_run(
        "rate",
        Reach::Pace,
        "10",
        "requests per second of each account, reads included; 30/m works; off is no limit of ours",
    )
    .of_account()
    .of_plan(Stricter::LowerRate),
    of_run("burst", Reach::Pace, "1", "how many requests may go at once after a pause")
        .of_account()
        .of_plan(Stricter::LowerNumber),
    of_run("concurrency", Reach::Pace, "8", "requests under way at once").of_account().of_plan(Stricter::LowerNumber),
    of_run("attempts", Reach::Pace, "5", "attempts per row and launch; throttled ones do not count")
        .of_plan(Stricter::LowerNumber),
    of_run("timeout", Reach::Pace, "30s", "how long one answer may take").of_account(),
    of_run("connect_timeout", Reach::Pace, "10s", "how long a connection may take to come about").of_account(),
    unless_set("read_timeout", Reach::Pace, "20s", "how long the next bytes of an answer may take").of_account(),
    unless_set(
        "ca_bundle",
        Reach::Redirects,
        "/etc/ssl/our-ca.pem",
        "certificates in PEM to trust beside the system's",
    )
    .of_account(),
    of_run("preflight", Reach::Guards, "on", "look at every row before anything is sent; off sends unseen"),
    of_run("verify", Reach::Guards, "on", "look at every row afterwards; off takes the service's word for it")
        .of_plan(Stricter::On)
        .holds_by_default(),
    of_run("verify_timeout", Reach::Pace, "30s", "how long a change may take to show")
        .of_plan(Stricter::Longer)
        .holds_by_default(),
    of_run(
        "complete_pair",
        Reach::Guards,
        "on",
        "fill in the half of the pair that a row leaves open from what was read",
    )
    .of_plan(Stricter::On)
    .holds_by_default(),
    of_run(
        "dialect",
        Reach::Guards,
        "auto",
        "the edition of the API to speak: 2025-11, 2026-01, or auto: as the plan spells it",
    ),
    of_run("max_throttle", Reach::Pace, "10m", "stop after being throttled for this long without one accepted request")
        .of_account()
        .of_plan(Stricter::Shorter),
    of_process(
        "metadata_endpoint",
        Reach::Redirects,
        "http://169.254.169.254",
        "where an ECS machine asks for the credentials of its agency; off never asks",
    )
    .of_account(),
    unless_set("max_changes", Reach::Pace, "100", "refuse to begin if more rows than this would be changed")
        .of_plan(Stricter::LowerNumber),
    of_run(
        "max_drift",
        Reach::Guards,
        "0",
        "refuse a sealed plan if more rows than this are no longer where it saw them",
    )
    .of_plan(Stricter::LowerNumber)
    .holds_by_default(),
    unless_set(
        "max_failed",
        Reach::Pace,
        "5%",
        "halt when more rows than this, or more than this part of them, failed",
    )
    .kept(Stricter::LowerShare),
    of_run("min_sample", Reach::Pace, "20", "rows that have to be tried before a percentage of failures counts")
        .kept(Stricter::LowerNumber)
        .holds_by_default(),
    unless_set("consecutive_failures", Reach::Pace, "5", "halt when this many rows failed one after another")
        .kept(Stricter::LowerNumber),
    unless_set("same_cause", Reach::Pace, "3", "halt when this many rows failed for one and the same cause")
        .kept(Stricter::LowerNumber),
    unless_set(
        "window",
        Reach::Pace,
        "22:00-04:00",
        "hours of the day in which changes may be sent; as a flag, off lifts all of them",
    )
    .of_launch(Stricter::Hours),
    unless_set(
        "timezone",
        Reach::Pace,
        "Europe/Berlin",
        "the time zone of the window and the deadline, if not the machine's",
    )
    .of_launch(Stricter::Zone),
    unless_set(
        "deadline",
        Reach::Pace,
        "2026-11-24T04:00",
        "nothing is begun that would not end by then; as a flag, off lifts all of them",
    )
    .of_launch(Stricter::Earlier),
    of_run(
        "reserve_rollback",
        Reach::Pace,
        "off",
        "keep free at the end of the window the time that a roll-back would take",
    )
    .of_launch(Stricter::On),
    unless_set("approval_timeout", Reach::Pace, "30m", "stop when nobody released a wave for this long")
        .kept(Stricter::Shorter),
    Key {
        of_run: false,
        ..unless_set(
            "approvers",
            Reach::Guards,
            "/etc/cutover/approvers",
            "whose approvals count, an allowed_signers file: only those with a signature by one of its keys",
        )
    },
    of_process("ignore_forecast", Reach::Guards, "off", "begin a wave although it would not end in time"),
    Key {
        of_run: false,
        ..unless_set("pause_file", Reach::Reads, "/run/cutover/pause", "pause while this file is there")
    },
    Key { of_run: false, ..unless_set("stop_file", Reach::Reads, "/run/cutover/stop", "stop when this file is there") },
    of_run("scenario", Reach::Reads, "calm", "the sandbox's night: calm, busy, bad-night or a file").settled_by_run(),
    of_run("seed", Reach::Looks, "1", "the sandbox's seed: the same seed is the same night").settled_by_run(),
];

/// What a profile may say about its credentials: names of places, never a secret.
pub(crate) const CREDENTIAL_KEYS: [(&str, Reach, &str); 15] = [
    ("token_env", Reach::Reads, "the variable that holds a ready IAM token"),
    ("token_file", Reach::Reads, "the file that holds one"),
    ("access_key_env", Reach::Reads, "the variable that holds the access key"),
    ("secret_key_env", Reach::Reads, "the variable that holds the secret key"),
    ("security_token_env", Reach::Reads, "the variable that holds a temporary key's security token"),
    ("credentials_file", Reach::Reads, "a file such as ~/.huaweicloud/credentials"),
    ("user_name", Reach::Redirects, "the IAM user that gets tokens"),
    ("domain_name", Reach::Redirects, "the account that the user belongs to"),
    ("password_env", Reach::Reads, "the variable that holds the user's password"),
    ("password_file", Reach::Reads, "the file that holds it"),
    ("credential_command", Reach::Executes, "a command that prints credentials as JSON"),
    ("agency", Reach::Redirects, "on: the ECS agency of this machine, and nothing else"),
    ("project_id", Reach::Redirects, "the project that requests are signed and tokens are scoped for"),
    ("project_name", Reach::Redirects, "the project by its name"),
    ("iam_endpoint", Reach::Redirects, "where tokens come from"),
];

/// What people write who mean to put a secret into a settings file.
pub(crate) const SECRETS: [&str; 12] = [
    "token",
    "auth_token",
    "access_key",
    "ak",
    "secret_key",
    "sk",
    "password",
    "security_token",
    "secret",
    "access_key_id",
    "secret_access_key",
    "credentials",
];

/// Names a settings file.
pub(crate) const CONFIG: &str = "CUTOVER_CONFIG";

/// Names a settings file, and is no setting.
pub(crate) const CONFIG_FLAG: &str = "config";

/// Variables of ours that are no settings: secrets, which have no place among those, and where settings stand.
pub(crate) const VARIABLES: [&str; 8] = [
    CONFIG,
    "CUTOVER_AUTH_TOKEN",
    "CUTOVER_SERVE_TOKEN",
    "CUTOVER_SANDBOX_TOKEN",
    "CUTOVER_SANDBOX_AK",
    "CUTOVER_SANDBOX_SK",
    "CUTOVER_SANDBOX_SECURITY_TOKEN",
    "CUTOVER_SANDBOX_PROJECT",
];

/// How the variables begin that are ours.
pub(crate) const OURS: &str = "CUTOVER_";

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of a variable that the sources ask the environment for.
    fn asked_for(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                asked_for(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            let quoted = product.split('"').skip(1).step_by(2);
            let names = quoted.filter(|text| text.starts_with(OURS) && *text != OURS && !text.contains(' '));
            found.extend(names.filter(|_| !path.ends_with("tests.rs")).map(str::to_owned));
        }
    }

    #[test]
    fn every_variable_that_is_asked_for_is_known() {
        let mut found = Vec::new();
        asked_for(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > VARIABLES.len(), "{found:?}");
        for name in found.iter().filter(|name| !name.contains('{')) {
            assert!(VARIABLES.contains(&name.as_str()), "{name}");
        }
    }
}
