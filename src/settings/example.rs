//! Commented settings file that `init` writes.

use std::fmt::Write as _;

use super::key::VIA;
use super::keys::KEYS;
use super::names::{CREDENTIAL_KEYS, HOOK_KEYS, RECEIVER_KEYS};

/// The commented example that `init` writes.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# Settings of cutover. A flag wins over the environment (CUTOVER_…), that over a file named by --config, that over\n\
         # this file, this over cutover/cutover.toml in your configuration directory, and that over /etc/cutover/cutover.toml.\n\
         # Where it just lies in a folder it may set pace, limits and hours; for more, tell `cutover trust` of it, or name it.\n\
         # A relative path leads from this file, that of `journal` and of `scenario` from where you are.\n\
         # No secret belongs here: credentials come from the environment, from files of their own, or from a command (see\n\
         # `cutover config show`).\n",
    );
    for key in KEYS.iter().filter(|key| key.in_engine().is_none() && key.name != VIA) {
        _ = write!(text, "\n# {}\n# {} = {}\n", key.help, key.name, quoted(key.example));
    }
    text.push_str(EXAMPLE_PROFILES);
    for (key, _, help) in CREDENTIAL_KEYS {
        _ = writeln!(text, "#   {key:<18}  {help}");
    }
    text.push_str(EXAMPLE_RECEIVERS);
    for (key, _, help) in RECEIVER_KEYS {
        _ = writeln!(text, "#   {key:<18}  {help}");
    }
    text.push_str(EXAMPLE_HOOKS);
    for (key, _, help) in HOOK_KEYS {
        _ = writeln!(text, "#   {key:<18}  {help}");
    }
    let in_engine = KEYS.iter().filter_map(|key| Some((key.in_engine()?, key)));
    for (nth, (name, key)) in in_engine.enumerate() {
        let table = if nth == 0 { EXAMPLE_ENGINE } else { "" };
        _ = write!(text, "{table}# {}\n# {name} = {}\n", key.help, quoted(key.example));
    }
    for key in KEYS.iter().filter(|key| key.name == VIA) {
        _ = write!(text, "{EXAMPLE_ELSEWHERE}# {}\n# {} = {}\n", key.help, key.name, quoted(key.example));
    }
    text
}

fn quoted(value: &str) -> String {
    if value.parse::<f64>().is_ok() { value.to_owned() } else { format!("\"{value}\"") }
}

/// Table of settings that a build by choice has.
const EXAMPLE_ENGINE: &str = "\n# [engine]\n";
/// Profile with the setting that such a build has for an account.
const EXAMPLE_ELSEWHERE: &str = "\n# [profiles.prod-c]\n";

const EXAMPLE_PROFILES: &str = r#"
# An account of its own for each target that rows name in their column `target`: where it is, how fast, and whose
# credentials. Below is one with a token, and one with a key pair.
#
# [profiles.prod-a]
# region = "ap-southeast-3"
# rate = 5
# token_env = "PROD_A_TOKEN"
#
# [profiles.prod-b]
# endpoint = "https://sms.cn-north-4.myhuaweicloud.com"
# access_key_env = "PROD_B_AK"
# secret_key_env = "PROD_B_SK"
#
# A profile names one kind of credentials:
"#;

const EXAMPLE_HOOKS: &str = r#"
# Commands for the shell around each run and its waves, in the folder of this file; a plan file may have others, which run as well.
# Each reads JSON about the run on standard input.
#
# [hooks]
# before_run = "/usr/local/bin/change-is-released"
# after_run = "logger -t cutover ended"
# timeout = "60s"
#
# Keys of the table:
"#;

const EXAMPLE_RECEIVERS: &str = r#"
# Who is told when a launch starts, when a wave waits for somebody, when the run halts, and how the launch ends. A run waits for
# none of them. `cutover doctor --notify` sends a test to each.
# They belong to one job: put them, like `metrics_file`, into a file of their own and start the job with --config. In /etc/cutover
# or ~/.config/cutover, every launch tells them, also one by hand, and a ping then hides that the job did not run.
#
# [notify.ops]
# kind = "webhook"
# format = "slack"
# url_env = "OPS_WEBHOOK"
# on = ["waiting", "halt", "end"]
#
# [notify.duty]
# kind = "smn"
# topic_urn = "urn:smn:ap-southeast-3:PROJECT:duty"
#
# [notify.nightly]
# kind = "ping"
# url_file = "nightly.url"
#
# [notify.mail]
# kind = "command"
# command = "jq -r .text | mail -s cutover ops@example.org"
# on = ["end"]
#
# Keys of a receiver:
"#;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::entry::Authority;
    use super::super::file::parse;
    use super::*;

    #[test]
    fn the_example_names_every_setting_with_a_value_that_reads() {
        let (settings, _) = example().split_once(EXAMPLE_PROFILES).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let uncommented: String = settings
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| KEYS.iter().any(|key| line.starts_with(&format!("{} = ", key.name))))
            .fold(String::new(), |all, line| all + line + "\n");
        let file = parse(PathBuf::from("cutover.toml"), Authority::User, &uncommented).unwrap();
        let of_choice =
            example().split_once(EXAMPLE_ENGINE).map_or_else(String::new, |(_, of_choice)| of_choice.to_owned());
        let (in_engine, of_account) = of_choice.split_once(EXAMPLE_ELSEWHERE).unwrap_or_default();
        let of_account: Vec<&str> = of_account.lines().filter_map(|line| line.strip_prefix("# via = ")).collect();
        assert_eq!(of_account.len(), KEYS.iter().filter(|key| key.name == VIA).count());
        let in_engine = Some(in_engine).filter(|engine| !engine.is_empty()).map_or_else(String::new, |engine| {
            let keys = engine.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
            keys.fold("[engine]\n".to_owned(), |all, line| all + line + "\n")
        });
        let engine = parse(PathBuf::from("cutover.toml"), Authority::User, &in_engine).unwrap();
        assert_eq!(file.values.len() + engine.values.len() + of_account.len(), KEYS.len());
        for key in KEYS.iter().filter(|key| key.name != VIA) {
            let of_file = if key.in_engine().is_some() { &engine } else { &file };
            assert_eq!(of_file.values[key.name], key.example);
        }
    }

    #[test]
    fn the_sample_is_the_example() {
        // A build by choice has a table more.
        let all = example();
        assert_eq!(include_str!("../../samples/cutover.toml"), all.split(EXAMPLE_ENGINE).next().unwrap_or_default());
    }
}
