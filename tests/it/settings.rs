//! Settings of the environment: zones, variables, proxies, homes. What is bad is an error, with nothing sent.

use std::process::Command;

use crate::lab::{Ended, Lab, Launch, plan, shared};

fn with(mut command: Command, variables: &[(&str, &str)]) -> Ended {
    command.envs(variables.iter().copied());
    Launch::of(command).end()
}

const RUN: [&str; 7] = ["run", "plan.csv", "--yes", "--no-progress", "--rate", "off", "--endpoint"];

#[test]
fn hours_in_a_zone_that_cannot_be_found_are_an_error_and_never_utc() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let run = |hours: &[&str], tz: &str| {
        with(lab.command(&[&RUN[..], &[&sandbox.url, "--new"], hours].concat()), &[("TZ", tz)])
    };
    let whole_day = ["--window", "00:00-23:59:59"];
    for hours in [&whole_day[..], &["--deadline", "23:59:59"], &["--deadline", "2999-01-01T00:00"]] {
        for tz in ["Nonsense", "Europe/Berln", ":Europe/Berln", "/etc/passwd", " UTC"] {
            run(hours, tz).exits(2).says(&format!("`{tz}`, as TZ in the environment has it, is no time zone"));
        }
    }
    assert!(sandbox.ledger().is_empty());
    assert!(!lab.path("cutover.db").exists() || lab.journal().count("SELECT count(*) FROM run") == 0);
    // Where nothing depends on it, it is told and nothing more.
    run(&[], "Nonsense").exits(0);
    run(&["--deadline", "2999-01-01T00:00:00Z"], "Nonsense").exits(0).says("UTC, for `Nonsense`");
    run(&["--window", "00:00-23:59:59", "--timezone", "UTC"], "Nonsense").exits(0);
    // Which zone it is, is always said.
    run(&whole_day, "Etc/GMT+3").exits(0).says("in the time zone Etc/GMT+3 (by TZ), now -03:00");
    run(&whole_day, ":UTC").exits(0).says("in the time zone UTC (by TZ), now +00:00");
    run(&whole_day, "AAA-5:30").exits(0).says("in the time zone AAA-5:30 (by TZ), now +05:30");
    run(&whole_day, "").exits(0).says("in the time zone UTC, for TZ is empty, now +00:00");
}

#[test]
fn a_variable_of_ours_that_is_no_setting_is_an_error() {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let check = |name: &str, text: &str| with(lab.command(&["check", "plan.csv"]), &[(name, text)]);
    check("CUTOVER_RAET", "5").exits(2).says("CUTOVER_RAET is set, and is no setting (did you mean `CUTOVER_RATE`?)");
    check("CUTOVER_ALLOW_IRREVERSIBLE", "on").exits(2).says("`cutover run --help` lists the settings");
    check("CUTOVER_RATE", "").exits(0);
    check("CUTOVER_RATE", "fast").exits(2).says("`rate` in the environment (CUTOVER_RATE)");
    // A profile names the variables of its own secrets.
    lab.write("cutover.toml", "[profiles.a]\ntoken_env = 'CUTOVER_TOKEN_OF_A'\n");
    check("CUTOVER_TOKEN_OF_A", "x").exits(0);
    check("CUTOVER_TOKEN_OF_B", "x").exits(2);
}

#[test]
fn a_bad_value_is_an_error_where_it_stands_also_if_it_is_not_used() {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    for (settings, says) in [
        ("rate = 'fast'\n", "`rate` in `cutover.toml`: `fast` is not a rate"),
        ("[profiles.unused]\nrate = 'fast'\n", "`rate` in the profile `unused` of `cutover.toml`"),
        (
            "[profiles.unused]\nproject_id = 'a b'\n",
            "`project_id` in the profile `unused` of `cutover.toml`: has a blank",
        ),
        ("timezone = 'Europe/Berln'\n", "(did you mean `Europe/Berlin`?)"),
        ("metadata_endpoint = 'http://me:hunter2@169.254.169.254'\n", "carries a user name or password"),
    ] {
        lab.write("cutover.toml", settings);
        let ended = with(lab.command(&["check", "plan.csv"]), &[("CUTOVER_RATE", "5")]).exits(2).says(says);
        assert!(!ended.stderr.contains("hunter2"));
    }
}

#[test]
fn a_home_that_is_nobody_s_has_no_settings() {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab.write("file", "");
    let home = lab.path("file").display().to_string();
    for (name, text) in [("HOME", home.as_str()), ("HOME", ""), ("HOME", "relative"), ("XDG_CONFIG_HOME", &home)] {
        with(lab.command(&["check", "plan.csv"]), &[(name, text)]).exits(0);
    }
    let mut command = lab.command(&["check", "plan.csv"]);
    command.env_remove("HOME").env_remove("XDG_CONFIG_HOME");
    Launch::of(command).end().exits(0);
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_before_anything_is_sent() {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let plan = ["plan", "plan.csv", "--endpoint", "https://sms.example.invalid", "--timeout", "5s"];
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        for text in ["socks5://me:hunter2@proxy:1080", "http://me:hunter2@proxy:port", "'http://me:hunter2@proxy'"] {
            let ended = with(lab.command(&plan), &[(variable, text)]).exits(2).says(variable);
            assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
        }
    }
    // One that can be used is gone by, and said.
    let proxy = [("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1")];
    let ended = with(lab.command(&plan), &proxy).says("the proxy 127.0.0.1:1 could not be reached");
    assert!(!ended.stderr.contains("hunter2"));
    // An exception with its port is an exception.
    let without = [proxy[0], ("NO_PROXY", "other.invalid, sms.example.invalid:443")];
    let ended = with(lab.command(&plan), &without).says("DNS");
    assert!(!ended.stderr.contains("the proxy"), "{}", ended.stderr);
}

#[test]
fn credentials_with_a_line_break_or_a_quotation_mark_are_an_error_and_nothing_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    for (name, text) in [("CUTOVER_AUTH_TOKEN", "s3cret\n"), ("CUTOVER_AUTH_TOKEN", "'s3cret'")] {
        let ended = with(lab.command(&[&RUN[..], &[&sandbox.url]].concat()), &[(name, text)]).exits(2).says(name);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
    assert!(sandbox.ledger().is_empty());
    // What is empty is not set, and what comes next is used.
    let keys = [
        ("CUTOVER_AUTH_TOKEN", ""),
        ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
        ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
    ];
    with(lab.command(&[&RUN[..], &[&sandbox.url]].concat()), &keys).exits(0);
}
