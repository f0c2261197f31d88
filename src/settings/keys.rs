//! The list of settings.

/// Every setting there is. Flags, environment (`CUTOVER_` and the name in capitals), files and `init`'s example are
/// made from this list.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// What a settings file might say, where there is no default.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
    /// What a run is carried out with, and so belongs in its journal.
    pub(crate) of_run: bool,
}

const fn of_run(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default: Some(default), example: default, help, of_run: true }
}

const fn of_process(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default: Some(default), example: default, help, of_run: false }
}

const fn unless_set(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { name, default: None, example, help, of_run: true }
}

pub(crate) const KEYS: [Key; 17] = [
    of_process("journal", "cutover.db", "the journal: one SQLite file that holds every run"),
    of_process("log_format", "text", "how messages are written: text or json"),
    unless_set(
        "endpoint",
        "https://sms.ap-southeast-3.myhuaweicloud.com",
        "where the service is: https://…, or sandbox to try everything with no account",
    ),
    unless_set("account", "prod", "a name for the account, to tell apart two that use the same endpoint"),
    of_run("rate", "10", "requests per second, reads included; 30/m works; off is no limit of ours"),
    of_run("burst", "1", "how many requests may go at once after a pause"),
    of_run("concurrency", "8", "requests under way at once"),
    of_run("attempts", "5", "attempts per row and launch; throttled ones do not count"),
    of_run("timeout", "30s", "how long one answer may take"),
    of_run("preflight", "on", "look at every row before anything is sent; off sends unseen"),
    of_run("verify", "on", "look at every row afterwards; off takes the service's word for it"),
    of_run("verify_timeout", "30s", "how long a change may take to show"),
    of_run("complete_pair", "on", "fill in the half of the pair that a row leaves open from what was read"),
    of_run("max_throttle", "10m", "stop after being throttled for this long without one accepted request"),
    unless_set("max_changes", "100", "refuse to begin if more rows than this would be changed"),
    of_run("scenario", "calm", "the sandbox's night: calm, busy, bad-night or a file"),
    of_run("seed", "1", "the sandbox's seed: the same seed is the same night"),
];
