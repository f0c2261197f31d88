//! Environments in which a schedule, a container or another user starts the program: what it does in each, and what it says.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};
use crate::tools;

const ZONE: &str = "Europe/Berlin";
/// Part of the warning that no lock of the account can be held.
const UNSEEN: &str = "another run of this account would not be noticed";

/// Environment of a process, and what is to be found after it has run a plan. `{lab}` stands for the path of the laboratory.
struct Setting<'a> {
    name: &'a str,
    /// User that the process runs as; that of the test if it is none.
    uid: Option<u32>,
    umask: &'a str,
    variables: &'a [(&'a str, &'a str)],
    /// A part of each warning, in their order.
    warnings: &'a [&'a str],
    journal: &'a str,
    /// Rights of the journal, and of the report.
    mode: u32,
}

const CRON: [(&str, &str); 4] =
    [("HOME", "{lab}/home"), ("LOGNAME", "ada"), ("SHELL", "/bin/sh"), ("PATH", "/usr/bin:/bin")];

const OF_CRON: Setting<'static> = Setting {
    name: "cron's",
    uid: None,
    umask: "022",
    variables: &CRON,
    warnings: &[],
    journal: "work/cutover.db",
    mode: 0o600,
};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a laboratory that other users may look into, with a plan in the folder that they work in.
fn lab() -> Lab {
    let lab = Lab::new();
    for folder in ["work", "home", "state", "foreign/.config/cutover", "foreign/.huaweicloud"] {
        fs::create_dir_all(lab.path(folder)).unwrap();
    }
    // Copied by another process: a file that this one has open to write is busy in whatever another test starts meanwhile.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_cutover")).arg(lab.path("cutover")).status();
    assert!(copied.unwrap().success());
    lab.write("work/plan.csv", &plan(2, "stopped,syncing"));
    lab.write("foreign/.config/cutover/cutover.toml", "rate = \"not for you\"\n");
    lab.write("foreign/.huaweicloud/credentials", "[basic]\nak = not-for-you\nsk = not-for-you\n");
    set(&lab.path("."), 0o755);
    set(&lab.path("foreign"), 0o700);
    lab
}

impl Setting<'_> {
    fn command(&self, lab: &Lab, args: &[&str]) -> Command {
        let folder = lab.path("").display().to_string();
        let binary = lab.path("cutover");
        let mut words =
            vec!["sh".to_owned(), "-c".to_owned(), format!("umask {}; exec \"$@\"", self.umask), "sh".to_owned()];
        if let Some(uid) = self.uid {
            words.extend(["setpriv".to_owned(), "--clear-groups".to_owned()]);
            words.extend(["reuid", "regid"].map(|flag| format!("--{flag}={uid}")));
            for folder in ["work", "state"] {
                std::os::unix::fs::chown(lab.path(folder), Some(uid), Some(uid)).unwrap();
            }
        }
        words.push(binary.display().to_string());
        let mut command = Command::new("/bin/sh");
        command.args(&words[1..]).args(args).env_clear().current_dir(lab.path("work"));
        for (name, text) in self.variables {
            command.env(name, text.replace("{lab}", folder.trim_end_matches('/')));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ended(&self, lab: &Lab, args: &[&str], more: &[(&str, &str)]) -> Ended {
        let mut command = self.command(lab, args);
        command.envs(more.iter().copied());
        Launch::start(command).end()
    }

    /// Runs the plan, and compares warnings, files and their rights.
    fn carries_the_plan_out(&self, sandbox: &Served) {
        let lab = lab();
        let args = [
            "run",
            "plan.csv",
            "--yes",
            "--no-progress",
            "--rate",
            "off",
            "--window",
            "00:00-23:59:59",
            "--timezone",
            ZONE,
        ];
        let report = ["--report", "report.xlsx", "--endpoint", &sandbox.url];
        let ended = self.ended(&lab, &[&args[..], &report].concat(), &[("CUTOVER_AUTH_TOKEN", TOKEN)]);
        let Ended { stderr, .. } = ended.exits(0).says(&format!("in the time zone {ZONE}"));
        let told: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
        let folder = lab.path("").display().to_string();
        let expected: Vec<String> =
            self.warnings.iter().map(|text| text.replace("{lab}", folder.trim_end_matches('/'))).collect();
        let is_told =
            told.len() == expected.len() && told.iter().zip(&expected).all(|(told, part)| told.contains(part));
        assert!(is_told, "{}: {told:#?} instead of {expected:#?}", self.name);
        for path in [self.journal, "work/report.xlsx"] {
            let found = fs::metadata(lab.path(path)).unwrap_or_else(|error| panic!("{}: {path}: {error}", self.name));
            assert_eq!(found.mode() & 0o777, self.mode, "{}: {path}", self.name);
            assert!(self.uid.is_none_or(|uid| found.uid() == uid), "{}: {path}", self.name);
        }
        for folder in ["work", "state"] {
            let names = fs::read_dir(lab.path(folder)).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
            assert!(left.is_empty(), "{}: {left:?} in {folder}", self.name);
        }
        // A journal that is thrown away, and a workbook without a destination, are temporary files.
        let token = [("CUTOVER_AUTH_TOKEN", TOKEN)];
        self.ended(&lab, &["plan", "plan.csv", "--endpoint", &sandbox.url], &token).exits(0);
        self.ended(&lab, &["report", "--format", "xlsx"], &[]).exits(0);
        // Whoever asks later in the same environment is answered.
        let asked = self.ended(&lab, &["status", "--check"], &[]).exits(0);
        assert_eq!(asked.stderr, "", "{}", self.name);
    }
}

#[test]
fn a_plan_is_carried_out_in_every_environment_and_what_is_missing_there_is_told() {
    let _machine = shared();
    let plan_of_all = Lab::new();
    plan_of_all.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = plan_of_all.serve("plan.csv", "");
    let none = Setting { name: "none", variables: &[], warnings: &["no home directory: another run"], ..OF_CRON };
    let temporary = |name, variables| Setting { name, variables, ..OF_CRON };
    let umask = |umask, mode| Setting { name: umask, umask, mode, ..OF_CRON };
    let mut all = vec![
        none,
        OF_CRON,
        temporary("TMPDIR gone", &[("HOME", "{lab}/home"), ("TMPDIR", "/nowhere")]),
        temporary("TMPDIR that takes no files", &[("HOME", "{lab}/home"), ("TMPDIR", "/proc")]),
        temporary("TMPDIR a file", &[("HOME", "{lab}/home"), ("TMPDIR", "{lab}/cutover")]),
        temporary("TMPDIR empty", &[("HOME", "{lab}/home"), ("TMPDIR", "")]),
        umask("002", 0o660),
        umask("022", 0o600),
        umask("077", 0o600),
        umask("027", 0o640),
    ];
    if is_root() && !tools::lack(&["setpriv"]) {
        all.extend([
            Setting {
                name: "systemd's, with a user of its own",
                uid: Some(12345),
                variables: &[
                    ("HOME", "/"),
                    ("PATH", "/usr/bin:/bin"),
                    ("STATE_DIRECTORY", "{lab}/state"),
                    ("INVOCATION_ID", "00000000000000000000000000000000"),
                ],
                journal: "state/cutover.db",
                ..OF_CRON
            },
            Setting {
                name: "a container's, with a user without a name",
                uid: Some(12345),
                variables: &[("HOME", "/"), ("PATH", "/usr/bin:/bin")],
                warnings: &[UNSEEN],
                ..OF_CRON
            },
            Setting {
                name: "sudo's, with the home of another",
                uid: Some(65534),
                variables: &[("HOME", "{lab}/foreign"), ("SUDO_USER", "ada")],
                warnings: &[
                    "the settings file `{lab}/foreign/.config/cutover/cutover.toml` is passed over: it may not be read",
                    UNSEEN,
                ],
                ..OF_CRON
            },
        ]);
    }
    for setting in all {
        setting.carries_the_plan_out(&sandbox);
    }
}

#[test]
fn a_zone_that_cannot_be_found_is_an_error_for_hours_and_told_wherever_times_are_shown() {
    let _machine = shared();
    let lab = lab();
    let sandbox = lab.serve("work/plan.csv", "");
    let args = ["run", "plan.csv", "--yes", "--new", "--no-progress", "--rate", "off", "--endpoint", &sandbox.url];
    let run = |zone: &str, more: &[&str]| {
        OF_CRON.ended(&lab, &[&args[..], more].concat(), &[("CUTOVER_AUTH_TOKEN", TOKEN), ("TZ", zone)])
    };
    run("UTC", &[]).exits(0);
    let n_before = sandbox.ledger().len();
    for (zone, told) in [
        ("Mars/Olympus", "`Mars/Olympus`"),
        (":", "`:`"),
        (":/nowhere", "`:/nowhere`"),
        ("/etc/passwd", "`/etc/passwd`"),
        ("CET-1CEST,M13.5.0,M10.5.0", "`CET-1CEST,M13.5.0,M10.5.0`"),
        ("a\u{1b}[31m\nb\u{202e}", "`a\\u{1b}[31m\\nb\\u{202e}`"),
    ] {
        let bad = format!("{told}, as TZ in the environment has it, is no time zone");
        for hours in [&["--window", "00:00-23:59:59"][..], &["--deadline", "23:59:59"]] {
            run(zone, hours).exits(2).says(&format!("error: {bad}"));
        }
        let asked = OF_CRON.ended(&lab, &["runs", "--since", "00:00"], &[("TZ", zone)]).exits(2);
        asked.says(&bad).says("write the time with its offset");
        for verb in ["status", "runs"] {
            let shown = OF_CRON.ended(&lab, &[verb], &[("TZ", zone)]).exits(0);
            shown.says(&format!("warning: {bad}")).says("times are shown in UTC");
        }
    }
    assert_eq!(sandbox.ledger().len(), n_before, "nothing was asked or sent");
    for (zone, told) in [
        ("", "UTC, for TZ is empty"),
        (":Asia/Shanghai", "Asia/Shanghai (by TZ)"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3 (by TZ)"),
    ] {
        run(zone, &["--window", "00:00-23:59:59"]).exits(0).says(&format!("in the time zone {told}"));
    }
}

/// Variables or profile with a secret, and the name under which a bad one is told.
struct Way<'a> {
    told: &'a str,
    variable: Option<&'a str>,
    /// Other variables that are needed for it.
    beside: &'a [(&'a str, &'a str)],
    /// Profile, and the text of the file `secret` that it names.
    profile: &'a str,
    file: fn(&str) -> String,
    /// Texts that it cannot have: a password in a file may have blanks and quotation marks, and files in INI form have their own.
    bad: &'a [&'a str],
}

const BAD: [&str; 4] = ["s3c\nret", "s3cret\n\n", "s3c ret", "\"s3cret\""];

const VARIABLE: Way<'static> =
    Way { told: "", variable: None, beside: &[], profile: "", file: str::to_owned, bad: &BAD };

const KEYS: [(&str, &str); 2] = [("HUAWEICLOUD_SDK_AK", "sandbox-ak"), ("HUAWEICLOUD_SDK_SK", "sandbox-sk")];
const OLD_KEYS: [(&str, &str); 2] = [("HW_ACCESS_KEY", "sandbox-ak"), ("HW_SECRET_KEY", "sandbox-sk")];
const USER: [(&str, &str); 3] = [("HW_USER_NAME", "ada"), ("HW_PASSWORD", TOKEN), ("HW_DOMAIN_NAME", "estate")];

#[test]
fn a_credential_with_a_line_break_a_blank_or_a_quotation_mark_is_an_error_by_every_way_and_nothing_is_sent() {
    let _machine = shared();
    let lab = lab();
    let sandbox = lab.serve("work/plan.csv", "");
    let variable = |name, beside| Way { told: name, variable: Some(name), beside, ..VARIABLE };
    let named = |told, profile| Way { told, variable: Some("OUR_SECRET"), profile, ..VARIABLE };
    let in_file = |profile, file, bad| Way { told: "secret`", profile, file, bad, ..VARIABLE };
    let ways = [
        variable("CUTOVER_AUTH_TOKEN", &[][..]),
        variable("HW_AUTH_TOKEN", &[]),
        variable("HUAWEICLOUD_SDK_AK", &KEYS),
        variable("HUAWEICLOUD_SDK_SK", &KEYS),
        variable("HUAWEICLOUD_SDK_SECURITY_TOKEN", &KEYS),
        variable("HUAWEICLOUD_SDK_PROJECT_ID", &KEYS),
        variable("HW_ACCESS_KEY", &OLD_KEYS),
        variable("HW_SECRET_KEY", &OLD_KEYS),
        variable("HW_SECURITY_TOKEN", &OLD_KEYS),
        variable("HW_PASSWORD", &USER),
        named("OUR_SECRET", "token_env = 'OUR_SECRET'"),
        named("OUR_SECRET", "access_key_env = 'HUAWEICLOUD_SDK_AK'\nsecret_key_env = 'OUR_SECRET'"),
        named("OUR_SECRET", "user_name = 'ada'\ndomain_name = 'estate'\npassword_env = 'OUR_SECRET'"),
        in_file("token_file = 'secret'", str::to_owned, &BAD[..]),
        in_file("user_name = 'ada'\ndomain_name = 'estate'\npassword_file = 'secret'", str::to_owned, &BAD[..2]),
        in_file(
            "credentials_file = 'secret'",
            |secret| format!("[basic]\nak = sandbox-ak\nsk = {secret}\n"),
            &["s3c\nret", "s3c ret"],
        ),
        Way {
            told: "`credential_command`",
            profile: "credential_command = 'cat secret'",
            file: |secret| serde_json::json!({ "token": secret }).to_string(),
            ..VARIABLE
        },
    ];
    for (n, way) in ways.iter().enumerate() {
        for bad in way.bad.iter().copied() {
            lab.write("work/secret", &(way.file)(bad));
            set(&lab.path("work/secret"), 0o600);
            let url = &sandbox.url;
            lab.write("work/named.toml", &format!("[profiles.p]\nendpoint = '{url}'\n{}\n", way.profile));
            let profile = ["--config", "named.toml", "--profile", "p"];
            let place = if way.profile.is_empty() { vec!["--endpoint", url] } else { profile.to_vec() };
            let mut variables = way.beside.to_vec();
            variables.extend([("HUAWEICLOUD_SDK_IAM_ENDPOINT", url.as_str())]);
            variables.extend(way.profile.contains("access_key_env").then_some(KEYS[0]));
            variables.extend(way.variable.map(|name| (name, bad)));
            let ended = OF_CRON.ended(&lab, &[&["plan", "plan.csv"], &place[..]].concat(), &variables);
            let said = format!("way {n} ({}), {bad:?}: {}", way.told, ended.stderr);
            assert_eq!(ended.code, Some(2), "{said}");
            assert!(ended.stderr.contains(way.told) && !ended.stderr.contains("s3c"), "{said}");
        }
    }
    // An empty one is not set, and where it alone is named, that is an error.
    let empty = |args: &[&str], variables: &[(&str, &str)]| {
        OF_CRON.ended(&lab, &[&["plan", "plan.csv"], args].concat(), variables)
    };
    let at = ["--endpoint", &sandbox.url];
    let without = [("CUTOVER_METADATA_ENDPOINT", "off"), ("CUTOVER_AUTH_TOKEN", ""), ("HW_PASSWORD", "")];
    empty(&at, &without).exits(5).says("no credentials are set");
    for profile in ["token_file = 'secret'", "user_name = 'ada'\ndomain_name = 'estate'\npassword_file = 'secret'"] {
        for nothing in ["", "\n"] {
            lab.write("work/secret", nothing);
            lab.write("work/named.toml", &format!("[profiles.p]\nendpoint = '{}'\n{profile}\n", sandbox.url));
            empty(&["--config", "named.toml", "--profile", "p"], &[]).exits(2).says("is empty");
        }
    }
    assert!(sandbox.ledger().is_empty());
}

#[test]
fn the_machine_s_settings_go_behind_all_others_and_are_passed_over_where_they_may_not_be_read() {
    let may_mount = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) || tools::lack(&["setpriv"]) {
        return;
    }
    let _machine = shared();
    let lab = lab();
    fs::create_dir_all(lab.path("etc/cutover")).unwrap();
    lab.write("etc/cutover/cutover.toml", "rate = \"3\"\nburst = 2\n");
    fs::create_dir_all(lab.path("home/.config/cutover")).unwrap();
    lab.write("home/.config/cutover/cutover.toml", "rate = \"4\"\n");
    let show = |before: &str| {
        let script = format!("mount --bind ../etc /etc; exec {before} ../cutover config show");
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", &script])
            .env_clear()
            .env("HOME", lab.path("home"))
            .env("PATH", "/usr/bin:/bin:/usr/sbin");
        command.current_dir(lab.path("work")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Launch::start(command).end().exits(0)
    };
    let line = |shown: &Ended, key: &str| {
        shown.stdout.lines().find(|line| line.starts_with(key)).map(str::to_owned).unwrap_or_default()
    };
    let shown = show("");
    assert!(line(&shown, "burst").contains("/etc/cutover/cutover.toml"), "{}", shown.stdout);
    let rate = line(&shown, "rate");
    assert!(rate.contains('4') && rate.contains("home/.config/cutover/cutover.toml"), "{}", shown.stdout);
    set(&lab.path("etc/cutover/cutover.toml"), 0o600);
    let shown = show("setpriv --reuid=65534 --regid=65534 --clear-groups");
    assert!(line(&shown, "burst").contains("by default"), "{}", shown.stdout);
    shown.says("warning: the settings file `/etc/cutover/cutover.toml` is passed over: it may not be read");
}

/// Names of all that is in a folder, also below it.
fn all_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { [all_in(&path), vec![path]].concat() } else { vec![path] }).collect()
}

#[test]
fn sudo_takes_neither_settings_nor_credentials_nor_state_from_the_home_of_another() {
    const ADA: u32 = 12345;
    if !is_root() || tools::lack(&["sudo", "chown"]) {
        return;
    }
    let _machine = shared();
    let sandbox = {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(2, "stopped,syncing"));
        lab.serve("plan.csv", "")
    };
    let at = ["run", "plan.csv", "--new", "--yes", "--no-progress", "--rate", "off", "--endpoint", &sandbox.url];
    // With `-E` the environment is that of the caller, and so is `HOME`; without it, that of the user whom sudo takes.
    for (sudo, keeps_home) in [(&["-E"][..], true), (&["-E", "-u", "nobody"], true), (&["-u", "nobody"], false)] {
        let lab = lab();
        let home = lab.path("foreign");
        fs::create_dir_all(home.join(".local/state")).unwrap();
        let ended = |variables: &[&str]| {
            let mut command = Command::new("sudo");
            command.args(sudo).args(variables).arg(lab.path("cutover")).args(at).env_clear();
            command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", &home).current_dir(lab.path("work"));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Launch::start(command).end()
        };
        let given = Command::new("chown").args(["-R", &ADA.to_string()]).arg(&home).status().unwrap();
        assert!(given.success());
        // Whoever is not stopped by rights could read and write all of it.
        for path in [home.clone(), home.join(".local/state"), lab.path("work")] {
            set(&path, 0o777);
        }
        let token = format!("CUTOVER_AUTH_TOKEN={TOKEN}");
        let foreign = format!(
            "HOME is `{}`, which belongs to the user with the id {ADA}, and neither to you nor to root",
            home.display()
        );
        if keeps_home {
            ended(&[&token]).exits(2).says("cutover.toml` is not taken: it belongs to the user with the id 12345");
            fs::remove_dir_all(home.join(".config")).unwrap();
        }
        let before = all_in(&home);
        let told = ended(&[&token]).exits(0);
        assert_eq!(told.stderr.contains(&foreign), keeps_home, "{sudo:?}: {}", told.stderr);
        told.says(UNSEEN);
        let none = ended(&["CUTOVER_METADATA_ENDPOINT=off"]).exits(5);
        none.says("no credentials are set");
        assert_eq!(all_in(&home), before, "{sudo:?}");
    }
}
