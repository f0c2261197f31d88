//! Settings from the environment: time zones, variables, proxies, home folders. A bad value is an error, and nothing is sent.

use std::process::Command;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::tools;

fn with(mut command: Command, variables: &[(&str, &str)]) -> Ended {
    command.envs(variables.iter().copied());
    Launch::start(command).end()
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
    // A bad zone is only reported where nothing depends on it.
    run(&[], "Nonsense").exits(0);
    run(&["--deadline", "2999-01-01T00:00:00Z"], "Nonsense").exits(0).says("UTC, for `Nonsense`");
    run(&["--window", "00:00-23:59:59", "--timezone", "UTC"], "Nonsense").exits(0);
    // The zone is always named.
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
    // A profile names the variables with its own secrets.
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
    Launch::start(command).end().exits(0);
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
    // A usable proxy is used and named.
    let proxy = [("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1")];
    let ended = with(lab.command(&plan), &proxy).says("the proxy 127.0.0.1:1 could not be reached");
    assert!(!ended.stderr.contains("hunter2"));
    // An exception with a port is honoured.
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
    // An empty variable counts as not set, and the next source is used.
    let keys = [
        ("CUTOVER_AUTH_TOKEN", ""),
        ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
        ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
    ];
    with(lab.command(&[&RUN[..], &[&sandbox.url]].concat()), &keys).exits(0);
}

#[test]
fn only_a_plain_file_of_bounded_size_is_read_wherever_a_text_is_named() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    assert!(Command::new("mkfifo").arg(lab.path("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", lab.path("zero")).unwrap();
    std::fs::File::create(lab.path("large")).unwrap().set_len(4 * 1024 * 1024 + 1).unwrap();
    std::fs::create_dir_all(lab.path(".huaweicloud")).unwrap();
    let no_file = "it is a device, a pipe or a socket; only a plain file of at most 4 MiB is read";
    for (bad, says) in [("zero", no_file), ("pipe", no_file), ("large", "it has more than 4 MiB")] {
        // A secret may be shorter than other texts.
        let of_secret = says.replace("4 MiB", "16 KiB");
        let linked = |name: &str| {
            _ = std::fs::remove_file(lab.path(name));
            std::os::unix::fs::symlink(lab.path(bad), lab.path(name)).unwrap();
        };
        let plans = |more: &[&str], variables: &[(&str, &str)]| {
            let mut command = lab.command(&[&["plan", "plan.csv", "--endpoint", "https://127.0.0.1:1"], more].concat());
            command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
            with(command, variables)
        };
        for key in ["token_file", "credentials_file", "password_file"] {
            let user = if key == "password_file" { "user_name = 'u'\ndomain_name = 'd'\n" } else { "" };
            lab.write("cutover.toml", &format!("[profiles.a]\n{key} = '{bad}'\n{user}"));
            let says = if key == "credentials_file" { says } else { &of_secret };
            plans(&["--profile", "a"], &[]).exits(2).says(&format!("`{bad}` cannot be read: {says}"));
        }
        std::fs::remove_file(lab.path("cutover.toml")).unwrap();
        let ca = lab.path(bad).display().to_string();
        plans(&["--ca-bundle", &ca], &[("HW_AUTH_TOKEN", "t")])
            .exits(2)
            .says(&format!("{bad}` cannot be read: {says}"));
        let pod = [
            ("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
            ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", bad),
        ];
        plans(&[], &pod).exits(5).says(&format!("`{bad}` cannot be read: {of_secret}"));
        linked(".huaweicloud/credentials");
        plans(&[], &[]).exits(2).says(&format!(".huaweicloud/credentials` cannot be read: {says}"));
        std::fs::remove_file(lab.path(".huaweicloud/credentials")).unwrap();
        linked("cutover.toml");
        plans(&[], &[]).exits(2).says("could not read the settings file `cutover.toml`").says(says);
        std::fs::remove_file(lab.path("cutover.toml")).unwrap();
    }
}

/// A file system allows any characters in the names of files.
#[test]
fn no_name_of_a_file_moves_a_terminal_or_breaks_a_line() {
    let _machine = shared();
    let lab = Lab::new();
    let evil = "e\u{1b}[31mvil\n\u{202e}.csv";
    lab.write(evil, &plan(2, "stopped,syncing"));
    lab.write(&evil.replace('e', "b"), "source_id,copystate\na,bogus\n");
    lab.write("cutover.toml", "[profiles.a]\ntoken_file = \"f\\u001b[31m\\nx\"\n");
    std::fs::write(lab.path("f\u{1b}[31m\nx"), "t\n").unwrap();
    let (report, none) = (format!("r{evil}"), format!("n{evil}"));
    let bad = evil.replace('e', "b");
    for args in [
        &["check", evil][..],
        &["check", &bad],
        &["check", &none],
        &["plan", evil, "--endpoint", "sandbox", "-o", &report],
        &["run", evil, "--yes", "--endpoint", "sandbox", "--report", "x\u{1b}[31m\n.csv"],
        &["status"],
        &["runs"],
        &["explain", "vm-00001"],
        &["rollback", "-o", "back\u{1b}[31m\n.csv"],
        &["init", "dir\u{1b}[31m\n"],
        &["status", "--journal", "none\u{1b}[31m\n.db"],
        &["plan", evil, "--endpoint", "http://127.0.0.1:1", "--profile", "a", "--attempts", "1"],
    ] {
        for form in [&[][..], &["--json"], &["--log-format", "json"]] {
            let ended = lab.cutover(&[args, form].concat());
            let text = ended.stdout + &ended.stderr;
            let is_evil = |c: char| c != '\n' && c != '\t' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(is_evil), "{args:?} {form:?}: {text:?}");
            assert!(!text.contains("vil\n") && !text.contains("[31m\n"), "{args:?} {form:?}: {text}");
        }
    }
}

/// A bad value in a variable is reported by the variable's name.
#[test]
fn each_variable_that_cannot_be_used_is_named() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let keys: [&str; 36] = [
        "JOURNAL",
        "LOG_FORMAT",
        "ENDPOINT",
        "REGION",
        "PROFILE",
        "ACCOUNT",
        "RATE",
        "BURST",
        "CONCURRENCY",
        "ATTEMPTS",
        "TIMEOUT",
        "CONNECT_TIMEOUT",
        "READ_TIMEOUT",
        "CA_BUNDLE",
        "PREFLIGHT",
        "VERIFY",
        "VERIFY_TIMEOUT",
        "COMPLETE_PAIR",
        "DIALECT",
        "MAX_THROTTLE",
        "METADATA_ENDPOINT",
        "MAX_CHANGES",
        "MAX_DRIFT",
        "MAX_FAILED",
        "MIN_SAMPLE",
        "CONSECUTIVE_FAILURES",
        "SAME_CAUSE",
        "WINDOW",
        "TIMEZONE",
        "DEADLINE",
        "RESERVE_ROLLBACK",
        "APPROVAL_TIMEOUT",
        "IGNORE_FORECAST",
        "APPROVERS",
        "SCENARIO",
        "SEED",
    ];
    let names = keys.iter().map(|key| format!("CUTOVER_{key}")).chain(["CUTOVER_CONFIG".to_owned()]);
    let verbs: [&[&str]; 3] = [
        &["config", "show"],
        &["run", "plan.csv", "--yes", "--endpoint", "sandbox"],
        &["run", "plan.csv", "--yes", "--endpoint", "https://127.0.0.1:9", "--attempts", "1"],
    ];
    for name in names {
        for text in [&b"no such/place"[..], b"\xff\xfe"] {
            let text = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(text);
            let ended = |verb: &&[&str]| {
                let mut command = lab.command(verb);
                command.env(&name, text);
                Launch::start(command).end()
            };
            let ends: Vec<Ended> = verbs.iter().map(ended).collect();
            // An account may have any name.
            let is_free = name == "CUTOVER_ACCOUNT" && text == "no such/place";
            assert!(is_free || ends.iter().any(|ended| ended.code == Some(2)), "{name} {text:?} is taken by all");
            for ended in ends.iter().filter(|ended| ended.code == Some(2)) {
                assert!(ended.stderr.contains(&name), "{name} {text:?}: {}", ended.stderr);
            }
        }
    }
    lab.cutover(&["run", "plan.csv", "--yes", "--endpoint", "sandbox"]).exits(0);
    let mut weak = lab.command(&["serve", "--listen", "127.0.0.1:0"]);
    weak.env("CUTOVER_SERVE_TOKEN", "short");
    Launch::start(weak).end().exits(2).says("CUTOVER_SERVE_TOKEN");
    // A flag takes precedence over the variable, and the message is about the flag.
    let mut by_flag = lab.command(&["status", "--journal", "none.db"]);
    by_flag.env("CUTOVER_JOURNAL", "cutover.db");
    let ended = Launch::start(by_flag).end().exits(2);
    assert!(!ended.stderr.contains("CUTOVER_JOURNAL"), "{}", ended.stderr);
}

/// A secret in a settings file is not printed, wherever the file breaks.
#[test]
fn no_settings_file_that_cannot_be_read_gives_a_secret_away() {
    const SECRET: &str = "Tr0ub4dor-hunter2-x9";
    let _machine = shared();
    let lab = Lab::new();
    let values = [
        "S",
        "\"S",
        "\"S\" x",
        "'S",
        "\"\"\"\nS\n",
        "'''\nS\n''' '",
        "\"\\qS\"",
        "\"\\u12S\"",
        "[\"S\"",
        "[S]",
        "[\"S\"]",
        "{ a = \"S\"",
        "{ S = 1, S = 2 }",
        "{ a = \"S\" }",
        "2026-01-01TS",
        "0xS",
        "1.S",
        "trueS",
        "\"S\"\nS",
        "\"ok\"\nS = 1\nS = 1",
        "\"S\"\u{7f}",
    ];
    let places = [
        "password = V",
        "token = V",
        "rate = V",
        "endpoint = V",
        "[profiles.a]\nsecret_key = V",
        "[profiles.a]\ntoken_env = V",
        "[profiles.a]\npassword_file = V",
        "[profiles.a]\ncredential_command = V",
        "[profiles.a]\niam_endpoint = V",
        "profiles.a.token = V",
        "profiles.a.password.x = V",
        "profiles = { a = { token = V } }",
        "profiles = V",
        "[profiles.a.V]\nrate = 5",
        "[profiles.V",
        "V = 5",
        "\"V\" 5",
        "[[profiles]]\ntoken = V",
    ];
    let (mut found, mut n_broken) = (Vec::new(), 0);
    for (place, value) in places.iter().flat_map(|place| values.map(|value| (place, value))) {
        let text = place.replace('V', &value.replace('S', SECRET));
        lab.write("cutover.toml", &text);
        for form in [&["config", "show"][..], &["check", "nosuch.csv", "--json"], &["trust", "--show"]] {
            let ended = lab.cutover(form);
            // A readable value that is no secret by its key is shown as it is.
            if ended.code != Some(0) {
                n_broken += 1;
                let told = ended.stdout + &ended.stderr;
                if told.contains(&SECRET[..8]) || told.contains(&SECRET[10..18]) {
                    found.push(format!("{text:?} {form:?}: {told}"));
                }
            }
        }
    }
    assert!(n_broken > 300, "{n_broken}");
    assert!(found.is_empty(), "{} of {n_broken}\n{}", found.len(), found.join("\n"));
}

/// A line that cannot be read may contain anything, also a secret.
#[test]
fn a_settings_file_that_is_not_toml_is_told_in_one_line_without_what_stands_there() {
    let lab = Lab::new();
    lab.write("cutover.toml", "verify = true\nrate = \u{1b}[31mhunter2\0\r\n");
    let ended = lab.cutover(&["config", "show"]).exits(2);
    assert!(
        ended.stderr.starts_with("error: the settings file `cutover.toml` is not TOML: line 2, column 9: "),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.lines().count() == 1 && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

/// Times for people are in their own zone with the offset; those for programs and in the journal are in UTC.
#[test]
fn people_are_told_times_by_their_clocks_and_programs_in_utc() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let new_run = [&RUN[..], &[sandbox.url.as_str(), "--new"]].concat();
    let verbs = [&new_run[..], &["status"], &["explain", "vm-00001"], &["runs"]];
    let by = |args: &[&str], tz: &str| with(lab.command(args), &[("TZ", tz)]).exits(0);
    let in_utc = |text: &str| text.split_whitespace().any(|word| word.starts_with("20") && word.contains('Z'));
    for verb in verbs {
        for (tz, offset) in [("Asia/Shanghai", " +08:00"), ("AAA-5:30", " +05:30"), ("UTC", " +00:00")] {
            let ended = by(verb, tz);
            assert!(ended.stdout.contains(offset) && !in_utc(&ended.stdout), "{verb:?} {tz}: {}", ended.stdout);
        }
        let ended = by(verb, "Nonsense/X");
        let says = "warning: `Nonsense/X`, as TZ in the environment has it, is no time zone: times are shown in UTC\n";
        assert!(ended.stderr.contains(says) && ended.stdout.contains(" +00:00"), "{verb:?}: {}", ended.stderr);
        for tz in ["Asia/Shanghai", "Nonsense/X"] {
            let ended = by(&[verb, &["--json"]].concat(), tz);
            assert!(!ended.stdout.contains("+08:00") && !ended.stderr.contains("shown in UTC"), "{verb:?} {tz}");
        }
    }
    let csv = by(&["report", "--format", "csv"], "Asia/Shanghai").stdout;
    assert!(csv.contains("Z,") && !csv.contains("+08:00"), "{csv}");
    // The zone of the plan takes precedence over the machine's, also when the run is read later.
    lab.write("plan.toml", "files = ['plan.csv']\n[window]\ntimezone = 'America/Sao_Paulo'\n");
    for args in [&["run", "plan.toml", "--yes", "--rate", "off", "--endpoint", &sandbox.url][..], &["status"]] {
        let ended = by(args, "Asia/Shanghai");
        assert!(ended.stdout.contains(" -03:00") && !ended.stdout.contains("+08:00"), "{args:?}: {}", ended.stdout);
    }
}

/// Prose is folded at the width of a terminal, commands stay on one line, and a pipe has no width.
#[test]
fn on_a_terminal_prose_is_folded_and_commands_are_not() {
    if tools::lack(&["script"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate,migrationcycle\nvm-1,stopped,syncing\nvm-2,stopped,syncing\n");
    let long = "the source is held by somebody who has not said why, or for how long, or whether anybody may ask";
    let fault = format!(
        "[[fault]]\nsources = [\"vm-2\"]\nkind = \"status\"\nstatus = 400\ncode = \"SMS.9001\"\nmessage = \"{long}\"\n"
    );
    let sandbox = lab.serve("plan.csv", &fault);
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(1);
    let on_terminal = |columns: usize, verb: &str| {
        let cutover = env!("CARGO_BIN_EXE_cutover");
        let shell = format!("stty cols {columns}; '{cutover}' {verb}");
        let mut command = lab.command_of("script", &["-qec", &shell, "/dev/null"]);
        command.env("TZ", "UTC");
        Launch::start(command).end().stdout.replace('\r', "")
    };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for verb in ["status", "explain vm-2", "runs", "plan none.csv", "check none.csv"] {
        let args: Vec<&str> = verb.split(' ').collect();
        let piped = with(lab.command(&args), &[("TZ", "UTC")]);
        let piped = piped.stderr + &piped.stdout;
        for columns in [80, 60] {
            let shown = on_terminal(columns, verb);
            for line in shown.lines().filter(|line| !line.trim_start().starts_with("cutover ")) {
                let is_one_word = words(line).len() <= 1 || line.contains('`');
                assert!(line.chars().count() <= columns || is_one_word, "{verb} {columns}: {line}\n{shown}");
            }
            // Nothing is lost or cut, and each command is complete.
            for line in piped.lines().filter(|line| line.trim_start().starts_with("cutover ")) {
                assert!(shown.lines().any(|shown| shown.trim() == line.trim()), "{verb} {columns}: {line}\n{shown}");
            }
            if verb != "runs" {
                assert_eq!(words(&shown), words(&piped), "{verb} {columns}");
            }
        }
    }
    let wide = lab.cutover(&["status"]).exits(0).stdout;
    assert!(wide.lines().any(|line| line.contains(long)), "no text is cut short: {wide}");
}
