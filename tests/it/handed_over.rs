//! Directories that a service manager hands over: one for state, and one with credentials as files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::TOKEN;
use crate::tools;

/// Makes a command of the binary as of a service without a home, with these directories of systemd's.
fn of_service(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "CUTOVER_AUTH_TOKEN"] {
        command.env_remove(name);
    }
    command
        .env("CUTOVER_METADATA_ENDPOINT", "off")
        .env("STATE_DIRECTORY", format!("{}:/nowhere", lab.path("state").display()))
        .env("CREDENTIALS_DIRECTORY", lab.path("credentials"));
    command
}

fn ended(command: Command) -> Ended {
    Launch::start(command).end()
}

/// Makes the folders, with these files of credentials.
fn lab_with(credentials: &[(&str, &str)]) -> Lab {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    fs::create_dir(lab.path("state")).unwrap();
    fs::create_dir(lab.path("credentials")).unwrap();
    write_credentials(&lab, credentials);
    lab
}

fn write_credentials(lab: &Lab, credentials: &[(&str, &str)]) {
    for (name, text) in credentials {
        let path = lab.path("credentials").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }
}

#[test]
fn a_service_keeps_its_journal_and_its_locks_in_its_state_directory_and_the_next_command_finds_them() {
    let _machine = shared();
    let lab = lab_with(&[("HW_AUTH_TOKEN", TOKEN)]);
    let served = lab.serve("plan.csv", "latency_ms = [1, 1]\n");
    let args = ["run", "plan.csv", "--yes", "--no-progress", "--events", "--endpoint", &served.url];
    let launch = Launch::start(of_service(&lab, &args));
    assert!(launch.reaches("launch_began"));
    assert_eq!(fs::read_dir(lab.path("state/locks")).unwrap().count(), 1, "the lock of the account");
    let ended_well = launch.end().exits(0);
    assert!(!ended_well.stderr.contains("warning:"), "{}", ended_well.stderr);
    assert!(lab.path("state/cutover.db").exists() && !lab.path("cutover.db").exists());

    // What is printed is typed by somebody who is not the service.
    let journal = format!("--journal {}", lab.path("state/cutover.db").display());
    let hint = ended(of_service(&lab, &["status", "nosuch"])).exits(2).stderr;
    assert!(hint.contains(&format!("cutover runs {journal}")), "{hint}");
    let other = ["report", "--format", "json", "--journal", "other.db"];
    ended(of_service(&lab, &other)).exits(2).says("other.db");

    let shown = ended(of_service(&lab, &["config", "show"])).exits(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("journal ")).unwrap();
    assert!(line.ends_with("/state/cutover.db in the state directory of this service (STATE_DIRECTORY)"), "{line}");
    let mut relative = of_service(&lab, &["runs"]);
    relative.env("STATE_DIRECTORY", "state");
    ended(relative).exits(2).says("STATE_DIRECTORY): is not an absolute path");
}

/// A kind of credentials: its variables, its files, and where `config show` says that they are from.
type Kind<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_file_of_the_credentials_directory_stands_for_the_variable_of_its_name_whatever_the_kind() {
    let _machine = shared();
    let url_of = |url: &str, text: &str| text.replace("URL", url);
    let kinds: [Kind<'_>; 6] = [
        (&[], &[("CUTOVER_AUTH_TOKEN", "sandbox-token\n")], "CUTOVER_AUTH_TOKEN in `DIR`"),
        (&[("HW_AUTH_TOKEN", TOKEN)], &[("HW_AUTH_TOKEN", "another")], "HW_AUTH_TOKEN"),
        (
            &[],
            &[
                ("HUAWEICLOUD_SDK_AK", "sandbox-ak\r\n"),
                ("HUAWEICLOUD_SDK_SK", "sandbox-sk\n"),
                ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
                ("HW_USER_NAME", ""),
            ],
            "HUAWEICLOUD_SDK_AK in `DIR`",
        ),
        (
            &[("HW_ACCESS_KEY", "sandbox-ak"), ("HW_PROJECT_ID", "sandbox-project")],
            &[("HW_SECRET_KEY", "sandbox-sk")],
            "HW_ACCESS_KEY in the environment and HW_SECRET_KEY in `DIR`",
        ),
        (
            &[],
            &[("HW_USER_NAME", "ops"), ("HW_PASSWORD", TOKEN), ("HW_DOMAIN_NAME", "acme"), ("HW_AUTH_URL", "URL")],
            "HW_USER_NAME in `DIR`",
        ),
        (&[("CUTOVER_PROFILE", "p")], &[("NIGHT_TOKEN", TOKEN)], "NIGHT_TOKEN in `DIR` of the profile `p`"),
    ];
    for (variables, files, origin) in kinds {
        let lab = lab_with(&[]);
        let served = lab.serve("plan.csv", "");
        let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (*name, url_of(&served.url, text))).collect();
        write_credentials(&lab, &files.iter().map(|(name, text)| (*name, text.as_str())).collect::<Vec<_>>());
        if origin.contains("profile") {
            lab.write("cutover.toml", "[profiles.p]\ntoken_env = \"NIGHT_TOKEN\"\n");
        }
        let command = |args: &[&str]| {
            let mut command = of_service(&lab, &[args, &["--endpoint", &served.url]].concat());
            command.envs(variables.iter().copied());
            command
        };
        let looked = ended(command(&["plan", "plan.csv"]));
        assert_eq!(looked.code, Some(0), "{origin}: {}", looked.stderr);
        assert!(!looked.stderr.contains("warning:"), "{}", looked.stderr);
        let origin = origin.replace("DIR", &lab.path("credentials").display().to_string());
        let shown: Value =
            serde_json::from_str(&ended(command(&["config", "show", "--json"])).exits(0).stdout).unwrap();
        assert_eq!(shown["credentials"]["origin"], origin.as_str());
        let examined = ended(command(&["doctor"]));
        assert!(examined.stdout.contains(&format!("from {origin}")), "{origin}: {}", examined.stdout);
    }
}

/// The volume of a Secret: links into a hidden folder, and a mode that lets everybody read, unless `defaultMode` says otherwise.
/// source: kubernetes `pkg/volume/util/atomic_writer.go`
#[test]
fn a_mounted_secret_is_read_through_its_links_and_warned_of_where_everybody_can_read_it() {
    let _machine = shared();
    let lab = lab_with(&[]);
    let served = lab.serve("plan.csv", "");
    let folder = lab.path("credentials");
    let hidden = folder.join("..2026_11_28_22_00_00.123456789");
    fs::create_dir(&hidden).unwrap();
    symlink(hidden.file_name().unwrap(), folder.join("..data")).unwrap();
    fs::write(hidden.join("HW_AUTH_TOKEN"), TOKEN).unwrap();
    symlink("..data/HW_AUTH_TOKEN", folder.join("HW_AUTH_TOKEN")).unwrap();
    for (mode, is_warned) in [(0o644, true), (0o440, false)] {
        fs::set_permissions(hidden.join("HW_AUTH_TOKEN"), fs::Permissions::from_mode(mode)).unwrap();
        let looked = ended(of_service(&lab, &["plan", "plan.csv", "--endpoint", &served.url])).exits(0);
        let warned = looked.stderr.contains("warning: everybody can read HW_AUTH_TOKEN in `");
        assert_eq!(warned, is_warned, "{mode:o}: {}", looked.stderr);
    }
}

#[test]
fn credentials_that_cannot_be_read_are_an_error_before_anything_is_sent_and_none_of_another_kind_stand_in() {
    if tools::lack(&["setpriv"]) {
        return;
    }
    let _machine = shared();
    let lab = lab_with(&[("HW_AUTH_TOKEN", "s3cret"), ("HUAWEICLOUD_SDK_SK", "s3\ncret\n")]);
    let served = lab.serve("plan.csv", "");
    // Credentials of another kind, which would be found next.
    fs::create_dir_all(lab.path(".huaweicloud")).unwrap();
    lab.write(".huaweicloud/credentials", "[basic]\nak = sandbox-ak\nsk = sandbox-sk\n");
    let plan = |directory: &str, variables: &[(&str, &str)]| {
        let mut command = as_somebody(&lab, &["plan", "plan.csv", "--endpoint", &served.url]);
        command.env("CREDENTIALS_DIRECTORY", directory).envs(variables.iter().copied());
        let refused = ended(command);
        assert!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
        refused
    };
    let folder = lab.path("credentials");
    let directory = folder.to_str().unwrap();
    let unless = "; unset CREDENTIALS_DIRECTORY if it is not meant for cutover";
    for absent in [&format!("{directory}/absent"), &format!("{directory}/HW_AUTH_TOKEN")] {
        plan(absent, &[]).exits(2).says(&format!("`{absent}`, named by CREDENTIALS_DIRECTORY, cannot be looked into"));
    }
    plan("credentials", &[]).exits(2).says("CREDENTIALS_DIRECTORY is to be an absolute path, and is `credentials`");
    fs::create_dir(lab.path("half")).unwrap();
    lab.write("half/HUAWEICLOUD_SDK_AK", "sandbox-ak\n");
    let half = lab.path("half");
    let missing =
        format!("is set, and the file `{}` is not there, or empty\n", half.join("HUAWEICLOUD_SDK_SK").display());
    plan(half.to_str().unwrap(), &[]).exits(2).says(&missing).says("`LoadCredential=HUAWEICLOUD_SDK_SK:PATH`");
    let is_root = fs::metadata(&folder).unwrap().uid() == 0;
    if is_root {
        plan(directory, &[])
            .exits(2)
            .says(&format!("HW_AUTH_TOKEN in `{directory}` cannot be read: Permission denied"));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        plan(directory, &[]).exits(2).says("cannot be looked into: Permission denied").says(unless);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::remove_file(folder.join("HW_AUTH_TOKEN")).unwrap();
    fs::set_permissions(folder.join("HUAWEICLOUD_SDK_SK"), fs::Permissions::from_mode(0o444)).unwrap();
    let pair = [("HUAWEICLOUD_SDK_AK", "sandbox-ak")];
    plan(directory, &pair).exits(2).says(&format!("HUAWEICLOUD_SDK_SK in `{directory}` has a line break in it"));
    assert!(served.ledger().is_empty());
}

/// Makes a command of the binary for a user whom permissions stop; as the user of the test, if that is not root.
fn as_somebody(lab: &Lab, args: &[&str]) -> Command {
    let mut command = if fs::metadata(lab.path(".")).unwrap().uid() == 0 {
        let binary = lab.path("cutover");
        if !binary.exists() {
            fs::copy(env!("CARGO_BIN_EXE_cutover"), &binary).unwrap();
            fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let words = ["--reuid=65534", "--regid=65534", "--clear-groups", binary.to_str().unwrap()];
        lab.command_of("setpriv", &[&words, args].concat())
    } else {
        lab.command(args)
    };
    command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
    command
}
