//! Files of strangers: settings in a folder, paths in a plan, names of runs in a journal. Each attack here once took
//! something along, ran something or overrode a setting.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Request;

/// Makes a command as typed by somebody who names no settings file.
fn command(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command.env_remove("CUTOVER_CONFIG");
    command
}

fn typed(lab: &Lab, args: &[&str]) -> Ended {
    Launch::start(command(lab, args)).end()
}

fn with_plan() -> Lab {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab
}

const ATTACKS: [(&str, &str); 25] = [
    ("endpoint = 'http://127.0.0.1:1'", "`endpoint` says where requests and credentials go"),
    ("region = 'cn-north-4'", "`region`"),
    ("ca_bundle = 'ca.pem'", "`ca_bundle`"),
    ("metadata_endpoint = 'http://127.0.0.1:1'", "`metadata_endpoint`"),
    ("journal = '/tmp/elsewhere.db'", "`journal` names a file that is written"),
    ("profile = 'prod'", "`profile`"),
    ("account = 'other'", "`account`"),
    ("pause_file = '/etc/passwd'", "`pause_file` names what is read"),
    ("stop_file = '/etc/passwd'", "`stop_file`"),
    ("scenario = '/etc/passwd'", "`scenario`"),
    ("verify = 'off'", "`verify` decides what is looked at"),
    ("preflight = 'off'", "`preflight`"),
    ("complete_pair = 'off'", "`complete_pair`"),
    ("max_drift = 999", "`max_drift`"),
    ("[hooks]\nbefore_run = 'touch PWNED'", "`before_run` in [hooks]"),
    ("[hooks]\ntimeout = '5s'", "`timeout` in [hooks]"),
    ("ignore_forecast = true", "`ignore_forecast`"),
    ("approvers = 'mine'", "`approvers` decides what is looked at"),
    ("[profiles.a]\ncredential_command = 'touch PWNED'", "`credential_command` in [profiles.a] runs a command"),
    ("[profiles.a]\ntoken_env = 'HOME'", "`token_env` in [profiles.a] names what is read"),
    ("[profiles.a]\ntoken_file = '/etc/passwd'", "`token_file`"),
    ("[profiles.a]\npassword_file = '/etc/passwd'", "`password_file`"),
    ("[profiles.a]\niam_endpoint = 'https://evil.example'", "`iam_endpoint`"),
    ("[profiles.a]\nrate = 5", "`rate` in [profiles.a]"),
    ("[profiles.a]", "[profiles.a]"),
];

#[test]
fn what_lies_in_a_folder_redirects_executes_and_reads_nothing_until_it_is_trusted() {
    let lab = with_plan();
    for (attack, says) in ATTACKS {
        lab.write("cutover.toml", &format!("# a comment\nrate = 5\n{attack}\n"));
        let line = 2 + attack.lines().count();
        for verb in [&["check", "plan.csv"][..], &["doctor"], &["config", "show"], &["status"], &["runs"]] {
            let ended = typed(&lab, verb).exits(2).says(says).says(&format!("`cutover.toml`, line {line}: "));
            assert!(ended.stderr.contains("cutover trust --show"), "{}", ended.stderr);
        }
    }
    for verb in [&["plan", "plan.csv"][..], &["run", "plan.csv", "--yes"], &["rehearse", "plan.csv", "--from-live"]] {
        lab.write(
            "cutover.toml",
            "endpoint = 'http://127.0.0.1:1'\nprofile = 'a'\n[profiles.a]\ncredential_command = 'touch PWNED; false'\n",
        );
        typed(&lab, verb).exits(2).says("`cutover.toml`, line 1: `endpoint`").says("and so do 2 more");
    }
    assert!(!lab.path("PWNED").exists());
    // The JSON document names the key as well.
    let ended = typed(&lab, &["status", "--json"]).exits(2);
    assert!(ended.stdout.contains("cutover.error.v1") && ended.stdout.contains("`endpoint`"), "{}", ended.stdout);
}

#[test]
fn pace_limits_and_hours_of_a_folder_hold_and_are_said() {
    let lab = with_plan();
    let settings = "rate = '30/m'\nburst = 2\nconcurrency = 3\nattempts = 4\nmax_changes = 7\nmax_failed = '5%'\n\
                    window = '00:00-23:59:59'\ntimezone = 'UTC'\n";
    lab.write("cutover.toml", settings);
    let says =
        "`cutover.toml` of this folder (not trusted with more than pace, limits and hours) sets attempts 4, burst 2";
    typed(&lab, &["check", "plan.csv"]).exits(0).says(says);
    assert_eq!(typed(&lab, &["check", "plan.csv", "-q"]).exits(0).stderr, "");
    let shown = typed(&lab, &["config", "show"]).exits(0).stdout;
    assert!(
        shown.contains("in `cutover.toml`") && shown.contains("cutover.toml: in this folder, not trusted"),
        "{shown}"
    );
    // A folder without a settings file is silent.
    fs::remove_file(lab.path("cutover.toml")).unwrap();
    assert_eq!(typed(&lab, &["check", "plan.csv"]).exits(0).stderr, "");
}

#[test]
fn trust_is_in_one_content_at_one_place_and_shows_it_first() {
    let lab = with_plan();
    let settings = "endpoint = 'sandbox'\n[profiles.a]\ncredential_command = 'vault a'\ntoken_env = 'gAAAAA-hunter2'\n";
    lab.write("cutover.toml", settings);
    let shown = typed(&lab, &["trust", "--show"]).exits(0).stdout;
    for line in [
        "not trusted, sha256:",
        "1  `endpoint` = sandbox  (says where",
        "3  `credential_command` in [profiles.a] = vault a  (runs a command)",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    typed(&lab, &["check", "plan.csv"]).exits(2);
    // The values that a stranger would have sent are shown for judgement, from whichever folder.
    lab.write("tok", "");
    let names =
        "token_env = 'AWS_CONTAINER_AUTHORIZATION_TOKEN'\ntoken_file = 'tok'\npassword_file = '/run/user/0/agent'\n";
    lab.write("cutover.toml", &format!("[profiles.a]\n{names}"));
    let mut elsewhere = command(&lab, &["trust", "--show", lab.path("cutover.toml").to_str().unwrap()]);
    elsewhere.current_dir("/");
    let shown = Launch::start(elsewhere).end().exits(0).stdout;
    for value in [" = AWS_CONTAINER_AUTHORIZATION_TOKEN ", " = tok ", " = /run/user/0/agent "] {
        assert!(shown.contains(value), "{value}: {shown}");
    }
    lab.write("cutover.toml", "endpoint = 'sandbox'\n[profiles.a]\ncredential_command = 'vault a'\n");
    typed(&lab, &["trust"]).exits(0).says("trusted here, as it is now");
    typed(&lab, &["plan", "plan.csv"])
        .exits(0)
        .says("`cutover.toml` of this folder (trusted) sets endpoint sandbox, the profile a");
    let shown = typed(&lab, &["config", "show"]).exits(0).stdout;
    assert!(shown.contains("cutover.toml: in this folder, trusted"), "{shown}");
    // One byte more is another content.
    lab.write("cutover.toml", "endpoint = 'sandbox'\n[profiles.a]\ncredential_command = 'vault a;'\n");
    typed(&lab, &["check", "plan.csv"]).exits(2).says("it changed since it was trusted");
    lab.write("cutover.toml", "endpoint = 'sandbox'\n[profiles.a]\ncredential_command = 'vault a'\n");
    typed(&lab, &["check", "plan.csv"]).exits(0);
    // The same content in another folder, as a copy or a link.
    for link in [false, true] {
        let folder = lab.path(if link { "linked" } else { "copied" });
        fs::create_dir(&folder).unwrap();
        fs::copy(lab.path("plan.csv"), folder.join("plan.csv")).unwrap();
        if link {
            symlink(lab.path("cutover.toml"), folder.join("cutover.toml")).unwrap();
        } else {
            fs::copy(lab.path("cutover.toml"), folder.join("cutover.toml")).unwrap();
        }
        let mut there = command(&lab, &["check", "plan.csv"]);
        there.current_dir(&folder);
        Launch::start(there).end().exits(2).says("it just lies in this folder");
    }
    typed(&lab, &["trust", "--forget"]).exits(0).says("is trusted no longer");
    typed(&lab, &["check", "plan.csv"]).exits(2);
    let document = typed(&lab, &["trust", "cutover.toml", "--json"]).exits(0).stdout;
    assert!(document.contains("cutover.trust.v1") && document.contains("\"trusted\": true"), "{document}");
    typed(&lab, &["check", "plan.csv"]).exits(0);
    // A file that is no settings file, one that cannot be read, and a folder in which trust cannot be recorded.
    typed(&lab, &["trust", "plan.csv"]).exits(2).says("`--config FILE`");
    lab.write("night.toml", "rate = 5\nburst = 2\nendpoint = 'sandbox'\n");
    let taken =
        typed(&lab, &["trust", "night.toml"]).exits(2).says("`night.toml` was taken for a plan, since the settings");
    assert!(taken.stderr.contains("`cutover config show --config night.toml`"), "{}", taken.stderr);
    lab.write("cutover.toml", "endpoint = hunter2\n");
    let ended = typed(&lab, &["trust"]).exits(2).says("is not TOML: line 1");
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    lab.write("cutover.toml", "rate = 5\n");
    let mut homeless = command(&lab, &["trust"]);
    homeless.env_remove("HOME").env_remove("XDG_STATE_HOME");
    Launch::start(homeless).end().exits(2).says("neither HOME nor XDG_STATE_HOME is set");
}

#[test]
fn a_named_file_goes_before_the_folder_s_and_that_before_the_user_s() {
    let _machine = shared();
    let lab = with_plan();
    fs::create_dir_all(lab.path("config/cutover")).unwrap();
    lab.write("config/cutover/cutover.toml", "rate = 3\nattempts = 3\nburst = 3\nseed = 3\nendpoint = 'sandbox'\n");
    lab.write("cutover.toml", "seed = 2\nlog_format = 'text'\ntimeout = '2s'\n");
    lab.write("named.toml", "timeout = '1s'\nverify = false\n[profiles.a]\ntoken_env = 'A'\n");
    let of = |args: &[&str], variables: &[(&str, &str)], key: &str| {
        let mut command = command(&lab, &[&["config", "show"], args].concat());
        command.envs(variables.iter().copied());
        let shown = Launch::start(command).end().exits(0).stdout;
        let line = shown.lines().find(|line| line.split(' ').next() == Some(key)).unwrap().to_owned();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let named = ["--config", "named.toml"];
    assert_eq!(of(&named, &[], "timeout"), "1s in `named.toml`");
    assert_eq!(of(&[], &[("CUTOVER_CONFIG", "named.toml")], "timeout"), "1s in `named.toml`");
    assert_eq!(of(&named, &[("CUTOVER_CONFIG", "none.toml")], "timeout"), "1s in `named.toml`", "a flag wins");
    assert_eq!(of(&named, &[("CUTOVER_TIMEOUT", "9s")], "timeout"), "9s in the environment (CUTOVER_TIMEOUT)");
    assert_eq!(of(&[], &[], "timeout"), "2s in `cutover.toml`");
    assert_eq!(of(&named, &[], "seed"), "2 in `cutover.toml`");
    assert!(of(&[], &[], "attempts").starts_with("3 in `/"));
    // A file that is named explicitly has the caller's authority.
    assert_eq!(of(&named, &[], "verify"), "off in `named.toml`");
    typed(&lab, &["check", "plan.csv", "--config", "none.toml"])
        .exits(2)
        .says("could not read the settings file `none.toml`");
    typed(&lab, &["check", "plan.csv", "--config", "."]).exits(2);
    let mut command = command(&lab, &["check", "plan.csv"]);
    command.env("CUTOVER_CONFIG", "none.toml");
    Launch::start(command).end().exits(2).says("none.toml");
    // Commands to type next name it as well.
    let refused = "[[fault]]\nsources = ['vm-00001']\nkind = 'status'\nstatus = 400\ncode = 'SMS.9001'\n";
    let sandbox = lab.serve("plan.csv", refused);
    lab.write("a file.toml", &format!("endpoint = '{}'\n", sandbox.url));
    typed(&lab, &["run", "plan.csv", "--yes", "--config", "a file.toml"]).exits(1);
    let status = typed(&lab, &["status"]).stdout;
    assert!(status.contains("--config 'a file.toml'"), "{status}");
}

#[test]
fn a_settings_file_in_other_hands_is_refused_wherever_it_lies() {
    let lab = with_plan();
    fs::create_dir_all(lab.path("config/cutover")).unwrap();
    for (name, args) in
        [("cutover.toml", &[][..]), ("config/cutover/cutover.toml", &[]), ("named.toml", &["--config", "named.toml"])]
    {
        lab.write(name, "rate = 5\n");
        let check = || typed(&lab, &[&["check", "plan.csv"], args].concat());
        for mode in [0o666, 0o622, 0o664] {
            fs::set_permissions(lab.path(name), Permissions::from_mode(mode)).unwrap();
            check().exits(2).says("others than its owner can write it").says("chmod go-w ");
        }
        fs::set_permissions(lab.path(name), Permissions::from_mode(0o644)).unwrap();
        check().exits(0);
        // Only root can give a file away.
        if chown(lab.path(name), Some(4711), None).is_ok() {
            check().exits(2).says("it belongs to the user with the id 4711, and neither to you nor to root");
            if name == "cutover.toml" {
                typed(&lab, &["trust"]).exits(2).says("4711");
            }
        }
        fs::remove_file(lab.path(name)).unwrap();
    }
}

#[test]
fn of_a_secret_s_file_one_line_is_sent_and_no_key() {
    let _machine = shared();
    let lab = with_plan();
    let sandbox = lab.serve("plan.csv", "");
    lab.write("key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n");
    lab.write("late", "x\n-----BEGIN CERTIFICATE-----\n");
    lab.write("long", &"x".repeat(16 * 1024 + 1));
    lab.write("good", "sandbox-token\n");
    let pipe = Command::new("mkfifo").arg(lab.path("pipe")).status().unwrap();
    assert!(pipe.success());
    symlink("/dev/zero", lab.path("zeros")).unwrap();
    let of_a_token = |file: &str| format!("token_file = '{file}'");
    let of_a_password = |file: &str| {
        let iam = &sandbox.url;
        format!("user_name = 'ops'\ndomain_name = 'acme'\npassword_file = '{file}'\niam_endpoint = '{iam}'")
    };
    let plans = |profile: &str| {
        let named = format!("endpoint = '{}'\nprofile = 'a'\n[profiles.a]\n{profile}\n", sandbox.url);
        lab.write("named.toml", &named);
        typed(&lab, &["plan", "plan.csv", "--config", "named.toml"])
    };
    let no_plain_file = "it is a device, a pipe or a socket; only a plain file of at most 16 KiB is read";
    for (file, says) in [
        ("key", "-----BEGIN"),
        ("late", "-----BEGIN"),
        ("long", "it has more than 16 KiB"),
        ("/dev/zero", no_plain_file),
        ("zeros", no_plain_file),
        ("pipe", no_plain_file),
    ] {
        plans(&of_a_token(file)).exits(2).says(says);
        plans(&of_a_password(file)).exits(2).says(says);
        // The token by which a container proves its identity, and the token for our own pages.
        let mut pod = command(&lab, &["plan", "plan.csv", "--endpoint", &sandbox.url]);
        pod.env_remove("CUTOVER_AUTH_TOKEN").env("HC_CONTAINER_CREDENTIALS_FULL_URI", &sandbox.url);
        pod.env("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
        Launch::start(pod).end().exits(5).says(says);
        let mut serve = command(&lab, &["serve", "--token-file", file]);
        serve.env_remove("CUTOVER_SERVE_TOKEN");
        Launch::start(serve).end().exits(2).says(says);
    }
    lab.write("folded", "sandbox-token\nand what somebody noted below\n");
    for profile in [of_a_token("folded"), of_a_password("folded")] {
        plans(&profile).exits(2).says("the secret in `folded` has a line break in it");
    }
    assert!(sandbox.ledger().is_empty());
    plans(&of_a_token("good")).exits(0);
    plans(&of_a_password("good")).exits(0);
    plans(&of_a_token("good")).exits(0);
    typed(&lab, &["run", "plan.csv", "--config", "named.toml", "--yes"]).exits(0);
}

/// A name in a settings file means a file beside it, and not one that a stranger put into the current folder.
#[test]
fn what_a_settings_file_names_is_looked_for_beside_it() {
    let _machine = shared();
    let lab = with_plan();
    let sandbox = lab.serve("plan.csv", "");
    for folder in ["etc", "config", "config/cutover", "config/etc", "night"] {
        fs::create_dir(lab.path(folder)).unwrap();
    }
    fs::copy(lab.path("plan.csv"), lab.path("night/plan.csv")).unwrap();
    let kinds = [
        ("token_file = 'tok'", "token"),
        ("credentials_file = 'keys'", "keys"),
        ("user_name = 'ops'\ndomain_name = 'acme'\npassword_file = 'tok'\niam_endpoint = 'URL'", "password"),
        ("token_file = '../etc/tok'", "token by a path"),
        ("token_file = '~/etc/tok'", "token at home"),
    ];
    let keys = |ak: &str| format!("[basic]\nak = {ak}\nsk = sandbox-sk\nproject_id = sandbox-project\n");
    for (folder, token, ak) in [("etc", "sandbox-token", "sandbox-ak"), ("night", "a-strangers-token", "strange")] {
        lab.write(&format!("{folder}/tok"), token);
        lab.write(&format!("{folder}/keys"), &keys(ak));
    }
    let there = |args: &[&str]| {
        let mut command = command(&lab, args);
        command.current_dir(lab.path("night")).env_remove("CUTOVER_AUTH_TOKEN");
        Launch::start(command).end()
    };
    for (kind, what) in kinds {
        let text = format!("profile = 'a'\nendpoint = 'URL'\n[profiles.a]\n{kind}\n").replace("URL", &sandbox.url);
        lab.write("etc/op.toml", &text);
        let ended = there(&["plan", "plan.csv", "--config", "../etc/op.toml"]);
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
        // By the user's own settings file, which nobody names.
        lab.write("config/cutover/cutover.toml", &text);
        for (name, to) in [("tok", "config/cutover"), ("keys", "config/cutover"), ("tok", "config/etc")] {
            fs::copy(lab.path("etc").join(name), lab.path(to).join(name)).unwrap();
        }
        let ended = there(&["plan", "plan.csv"]);
        fs::remove_file(lab.path("config/cutover/cutover.toml")).unwrap();
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
    }
    // Paths that are no secrets: certificates, approvers, flag files.
    let with = |key: &str| {
        lab.write("etc/op.toml", &format!("endpoint = '{}'\n{key}\n", sandbox.url));
        let mut command = command(&lab, &["run", "plan.csv", "--new", "--yes", "--config", "../etc/op.toml"]);
        command.current_dir(lab.path("night"));
        command
    };
    lab.write("night/stop", "");
    lab.write("night/certs", "not one");
    Launch::start(with("stop_file = 'stop'")).end().exits(0);
    lab.write("etc/stop", "");
    Launch::start(with("stop_file = 'stop'")).end().exits(4);
    fs::remove_file(lab.path("etc/stop")).unwrap();
    let mut by_tls = with("ca_bundle = 'certs'");
    by_tls.args(["--endpoint", "https://127.0.0.1:9"]);
    Launch::start(by_tls).end().exits(2).says("../etc/certs");
    // A flag and the environment mean the current folder.
    let mut of_flag = with("");
    of_flag.args(["--stop-file", "stop"]);
    Launch::start(of_flag).end().exits(4);
    let mut of_environment = with("");
    of_environment.env("CUTOVER_STOP_FILE", "stop");
    Launch::start(of_environment).end().exits(4);
}

#[test]
fn the_files_that_a_plan_names_lie_below_its_folder_and_are_plain() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("night/sub")).unwrap();
    let rows = plan(2, "stopped,syncing");
    for name in ["night/rows.csv", "night/sub/rows.csv", "outside.csv"] {
        lab.write(name, &rows);
    }
    lab.write("secret.csv", "id,state\nhunter2,hunter2\n");
    symlink("/dev/zero", lab.path("night/zero.csv")).unwrap();
    symlink("../secret.csv", lab.path("night/link.csv")).unwrap();
    symlink("..", lab.path("night/up")).unwrap();
    assert!(Command::new("mkfifo").arg(lab.path("night/pipe.csv")).status().unwrap().success());
    let check = |file: &str, more: &[&str]| {
        lab.write("night/plan.toml", &format!("files = [{file:?}]\n"));
        typed(&lab, &[&["check", "night/plan.toml"], more].concat())
    };
    let absolute = lab.path("secret.csv").display().to_string();
    for file in [
        "/dev/zero",
        "/dev/stdin",
        "/etc/passwd",
        "/proc/self/environ",
        "zero.csv",
        "link.csv",
        "up/secret.csv",
        "../secret.csv",
        "sub/../../secret.csv",
        "pipe.csv",
        &absolute,
    ] {
        let ended = check(file, &[]).exits(2).says("--allow-outside");
        assert!(!ended.stderr.contains("hunter2") && !ended.stderr.contains("root:"), "{file}: {}", ended.stderr);
    }
    for file in ["rows.csv", "sub/rows.csv", "./sub/../rows.csv"] {
        check(file, &[]).exits(0);
    }
    for file in ["../outside.csv", "up/outside.csv"] {
        check(file, &["--allow-outside"]).exits(0);
    }
    check("/dev/zero", &["--allow-outside"]).exits(2).says("it is a device");
    // The folder of a plan on standard input is the current one.
    let mut piped = command(&lab, &["check", "-"]);
    piped.stdin(fs::File::open(lab.path("night/plan.toml")).map(Stdio::from).unwrap());
    lab.write("night/plan.toml", "files = ['outside.csv', 'night/../../etc/passwd']\n");
    Launch::start(piped).end().exits(2).says("night/../../etc/passwd");
}

#[test]
fn a_stream_without_an_end_is_no_plan() {
    let lab = Lab::new();
    let endless = "yes 'vm-1,stopped,syncing' | head -c 1100000000";
    let mut command = lab.command_of("sh", &["-c", &format!("{endless} | {} check -", env!("CARGO_BIN_EXE_cutover"))]);
    command.env("TMPDIR", lab.path(""));
    Launch::start(command).end().exits(2).says("more than 1 GiB came");
}

#[test]
fn a_run_that_is_called_otherwise_than_we_call_any_is_no_name_of_a_file() {
    let _machine = shared();
    let lab = with_plan();
    fs::create_dir(lab.path("below")).unwrap();
    let journal = ["--journal", "below/cutover.db"];
    typed(&lab, &[&["run", "plan.csv", "--endpoint", "sandbox", "--yes"], &journal[..]].concat()).exits(0);
    for id in ["../../evil", "x/../../../evil", "--help", "UPPER", "", "a b", "$(id)", &"x".repeat(41), "é"] {
        let conn = Connection::open(lab.path("below/cutover.db")).unwrap();
        conn.execute("UPDATE run SET id = ?1", [id]).unwrap();
        drop(conn);
        fs::create_dir_all(lab.path("below/cutover.db.x")).unwrap();
        for verb in [
            &["status"][..],
            &["resume", "--yes"],
            &["retry", "--yes"],
            &["runs"],
            &["audit", "verify"],
            &["report", "--format", "csv"],
        ] {
            let ended = typed(&lab, &[verb, &journal[..]].concat()).exits(7);
            assert!(!ended.stdout.contains("evil"), "{verb:?}: {}", ended.stdout);
        }
    }
    let entries = |folder: &str| {
        fs::read_dir(lab.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    for name in entries("").into_iter().chain(entries("below/cutover.db.x")) {
        assert!(!name.to_string_lossy().contains("evil"), "{name:?}");
    }
    typed(&lab, &["status", "../../evil", "--journal", "below/cutover.db"]).exits(7);
}

/// A shell takes each proposed command and runs nothing in a name.
#[test]
fn what_is_proposed_to_type_is_quoted_for_a_shell() {
    let _machine = shared();
    for name in [
        "a b.csv",
        "it's.csv",
        "$(touch PWNED).csv",
        "`touch PWNED`.csv",
        "-rf.csv",
        "a\nb.csv",
        "a;touch PWNED.csv",
        "~.csv",
        "e\u{1b}[31m.csv",
    ] {
        let lab = Lab::new();
        lab.write(name, &plan(1, "stopped,syncing"));
        let named = if name.starts_with('-') { format!("./{name}") } else { name.to_owned() };
        let sealed = format!("sealed {named}").replace("sealed ./", "./sealed ");
        let ended = typed(&lab, &["plan", &named, "--endpoint", "sandbox", "-o", &sealed]).exits(0);
        let (_, run) = ended.stderr.split_once("next: ").unwrap();
        let mut shell = lab.command_of("sh", &["-c", &format!("PATH=$BIN:$PATH; {}", run.trim())]);
        shell.env("BIN", std::path::Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap());
        Launch::start(shell).end().exits(0);
        assert!(!lab.path("PWNED").exists() && lab.path("cutover.db").exists(), "{run}");
    }
}

/// Makes a lab in which the operator has settings, with a stranger's plan.
fn against(operator: &str, terms: &str) -> Lab {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("config/cutover")).unwrap();
    lab.write("config/cutover/cutover.toml", operator);
    lab.write("rows.csv", &plan(3, "stopped,syncing"));
    lab.write("plan.toml", &format!("files = ['rows.csv']\n{terms}"));
    lab
}

const RUN: [&str; 5] = ["run", "plan.toml", "--yes", "--no-progress", "--endpoint"];

#[test]
fn a_plan_loosens_nothing_that_its_operator_set_and_stands_in_the_difference() {
    let _machine = shared();
    let operator = "max_changes = 1\nrate = 4\nverify = 'on'\nattempts = 2\nmax_failed = 0\nburst = 1\n";
    let hostile = "[policy]\nmax_changes = 999999\nrate = 'off'\nverify = 'off'\ncomplete_pair = 'off'\nattempts = 99\nburst = 99\n\
                   concurrency = 2\nverify_timeout = '60s'\n[halt]\nmax_failed = '100%'\n";
    let lab = against(operator, hostile);
    let sandbox = lab.serve("plan.toml", "");
    let refused = typed(&lab, &[&RUN[..], &[&sandbox.url]].concat()).exits(3);
    let user = lab.path("config/cutover/cutover.toml").display().to_string();
    for says in [
        format!("the plan's `max_changes` 999999 does not hold for this launch: it is 1 in `{user}`"),
        format!("    rate off  (does not hold: it is 4 in `{user}`)"),
        format!("    verify off  (does not hold: it is on in `{user}`)"),
        "    complete_pair off  (does not hold: it is on by default)".to_owned(),
        format!("    attempts 99  (does not hold: it is 2 in `{user}`)"),
        format!("    max_failed 100%  (does not hold: it is 0 in `{user}`)"),
        "    concurrency 2\n".to_owned(),
        "`verify` is not switched off by a plan; `--verify off` does it for a launch".to_owned(),
    ] {
        assert!(refused.stderr.contains(&says), "{says} is not in:\n{}", refused.stderr);
    }
    assert!(sandbox.changes().is_empty());
    let shown = typed(&lab, &["plan", "plan.toml", "--json", "--endpoint", &sandbox.url]).exits(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let set = document["set_by_plan"].as_array().unwrap();
    let of = |name: &str| set.iter().find(|set| set["name"] == name).unwrap();
    assert_eq!((&of("max_changes")["holds"], &of("max_changes")["instead"]), (&false.into(), &"1".into()));
    assert_eq!(of("concurrency")["holds"], true);
    // Only a flag loosens a limit, and says so; other limits stay as strict as they were.
    let ended = typed(&lab, &[&RUN[..], &[&sandbox.url, "--max-changes", "9"]].concat()).exits(0);
    let loosened = format!("`--max-changes 9` loosens `max_changes` for this launch: it is 1 in `{user}`");
    assert!(ended.stderr.contains(&loosened), "{}", ended.stderr);
    assert_eq!(lab.journal().tally()["applied"], 3, "each was proven");
    let changes = sandbox.changes();
    assert!(all_took(&changes) > Duration::from_millis(250), "four a second: {changes:?}");
}

/// Returns the time from the first request to the last, as the service saw them. A loaded machine may delay any of them, for
/// which the pace makes up by one interval: this matters little over all of them, and much between two.
fn all_took(changes: &[Request]) -> Duration {
    let at = |change: Option<&Request>| change.expect("some were sent").at_us;
    Duration::from_micros(at(changes.last()) - at(changes.first()))
}

#[test]
fn neither_a_wave_nor_the_environment_nor_a_folder_loosens_what_somebody_else_set() {
    let _machine = shared();
    let waves = "[[waves]]\nname = 'w'\nrate = 'off'\nconcurrency = 64\nhalt.max_failed = '100%'\n\
                 rows = [{ source_id = 'w-1' }, { source_id = 'w-2' }, { source_id = 'w-3' }]\n\
                 [defaults]\ncopystate = 'stopped'\nmigrationcycle = 'syncing'\n";
    let lab = against("rate = 2\nconcurrency = 2\n", "");
    lab.write("plan.toml", waves);
    let sandbox = lab.serve("plan.toml", "");
    let ended = typed(&lab, &[&RUN[..], &[&sandbox.url]].concat()).exits(0);
    for says in [
        "rate of w off  (does not hold: it is 2 at most)",
        "concurrency of w 64  (does not hold: it is 2 at most)",
        "max_failed of w 100%",
    ] {
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
    }
    let changes = sandbox.changes();
    assert!(changes.len() == 3 && all_took(&changes) > Duration::from_millis(500), "two a second: {changes:?}");
    // The folder's file is a stranger's like the plan, and the environment is no flag.
    let lab = against("max_changes = 1\n", "");
    lab.write("cutover.toml", "max_changes = 999\n");
    typed(&lab, &[&RUN[..], &["sandbox"]].concat()).exits(3).says("--max-changes allows 1");
    let lab = against("", "[policy]\nmax_changes = 1\n");
    let mut command = command(&lab, &[&RUN[..], &["sandbox"]].concat());
    command.env("CUTOVER_MAX_CHANGES", "999");
    Launch::start(command).end().exits(3).says("--max-changes allows 1");
}

#[test]
fn hours_of_a_plan_and_of_its_operator_hold_both_or_neither_is_guessed() {
    let _machine = shared();
    let hours = |hours: &str, zone: &str| format!("window = '{hours}'\ntimezone = '{zone}'\n");
    let in_plan = |text: &str, zone: &str| format!("[window]\nhours = '{text}'\ntimezone = '{zone}'\n");
    let run = |lab: &Lab, more: &[&str]| typed(lab, &[&RUN[..], &["sandbox"], more].concat());
    // Each alone is open at some time of the day; together they are never open, or are in two zones.
    for (operator, plan) in [
        (hours("00:00-12:00", "UTC"), in_plan("12:00-23:59", "UTC")),
        (hours("00:00-23:00", "UTC"), in_plan("01:00-23:59", "Asia/Tokyo")),
    ] {
        let lab = against(&operator, &plan);
        run(&lab, &[]).exits(2).says("and one of them cannot stand for both").says("says for this launch which holds");
        assert!(!lab.path("cutover.db").exists());
        let flags = ["--window", "00:00-23:59:59", "--timezone", "UTC"];
        run(&lab, &flags).exits(0).says("`--window 00:00-23:59:59` loosens `window` for this launch");
    }
    // The earlier deadline holds, whoever set it.
    let (past, future) = ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    for (operator, plan) in [(past, future), (future, past)] {
        let lab = against(&format!("deadline = '{operator}'\n"), &format!("[window]\ndeadline = '{plan}'\n"));
        run(&lab, &[]).exits(4);
        run(&lab, &["--deadline", future, "--new"]).exits(0);
    }
    // A plan's zone does not shift the operator's hours: closed for an hour before and after now, in any zone.
    let now = jiff::Timestamp::now();
    let at = |hours: i64| (now + jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let lab = against(&hours(&format!("{}-{}", at(2), at(4)), "UTC"), "[window]\ntimezone = 'Etc/GMT-3'\n");
    let shown = typed(&lab, &["plan", "plan.toml", "--endpoint", "sandbox"]).exits(0);
    assert!(shown.stdout.contains("timezone Etc/GMT-3  (does not hold: it is UTC in"), "{}", shown.stdout);
}
