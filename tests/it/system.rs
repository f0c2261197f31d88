//! Samples for jobs without an operator: each is run, or validated, by the program that it is written for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};
use crate::left_out::left_out;
use crate::python::Python;
use crate::tools;

/// Id of the user as whom the samples run.
const USER: u32 = 64_321;
const KEYS: [(&str, &str); 2] = [("HUAWEICLOUD_SDK_AK", "sandbox-ak"), ("HUAWEICLOUD_SDK_SK", "sandbox-sk")];

fn path_of(name: &str) -> String {
    format!("{}/samples/unattended/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn sample(name: &str) -> String {
    fs::read_to_string(path_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the Python that knows the formats of the samples.
fn python() -> Option<Python> {
    Python::with(&["ansible-core", "check-jsonschema", "kubernetes-validate"])
}

fn documents(python: &Python, name: &str) -> Value {
    let ran = python.run("system/documents.py", &[&path_of(name)]);
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn is_root(lab: &Lab) -> bool {
    fs::metadata(lab.path(".")).unwrap().uid() == 0
}

/// Makes a laboratory whose files everybody can pass by, with a plan of servers that are not on target.
fn lab() -> Lab {
    let lab = Lab::new();
    fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(lab.path("etc")).unwrap();
    fs::create_dir(lab.path("state")).unwrap();
    lab.write("etc/nightly.csv", &plan(3, "stopped,syncing"));
    lab
}

fn serve(lab: &Lab, scenario: &str) -> Served {
    lab.serve("etc/nightly.csv", scenario)
}

/// Writes secrets to a folder, each in a file that is named like its variable.
fn write_secrets(folder: &Path, secrets: &[(&str, &str)], mode: u32) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in secrets {
        fs::write(folder.join(name), format!("{text}\n")).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Returns a time zone in which it is now 23:00 or later, but not midnight: within the window of the samples.
fn zone_of_the_night() -> String {
    let hour = Timestamp::now().as_second().rem_euclid(86_400) / 3_600;
    // `Etc/GMT+5` is five hours behind. source: tz database, `etcetera`
    let behind = (hour - 23).rem_euclid(24);
    if behind <= 12 { format!("Etc/GMT+{behind}") } else { format!("Etc/GMT-{}", 24 - behind) }
}

#[test]
fn every_sample_is_named_in_the_readme() {
    let readme = include_str!("../../README.md");
    let folder = fs::read_dir(path_of("")).unwrap();
    let names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("(samples/unattended/{name})")), "{name}");
    }
}

/// A misspelt column is a warning otherwise, which an unattended night says to nobody, and nothing moves.
#[test]
fn every_sample_takes_a_warning_about_its_plan_for_an_error() {
    let readme = include_str!("../../README.md").split_once("One nightly slot").unwrap().1;
    let readme = readme.split_once("## Verdicts").unwrap().0.to_owned();
    let names =
        ["crontab", "cutover.service", "kubernetes.yaml", "playbook.yaml", "gitlab-ci.yml", "github-workflow.yml"];
    for (name, text) in names.map(|name| (name, sample(name))).into_iter().chain([("README.md", readme)]) {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words: Vec<&str> = lines
            .flat_map(|line| line.split(|sign: char| sign.is_whitespace() || "[],\"'`".contains(sign)))
            .filter(|word| !["", "-", "args:"].contains(word))
            .collect();
        let reads_a_plan = |pair: &&[&str]| pair[0].ends_with("cutover") && ["check", "plan", "run"].contains(&pair[1]);
        let commands: Vec<&[&str]> = words.windows(6).filter(|pair| reads_a_plan(pair)).collect();
        assert!(!commands.is_empty(), "{name}");
        for command in commands {
            assert!(command.contains(&"--strict"), "{name}: {command:?}");
        }
    }
}

/// Night of Debian's cron, which is ended with it.
struct Cron(Child);

impl Cron {
    /// Starts it shortly before it is 22:00 on its machine.
    fn start(lab: &Lab, at: &Until) -> Self {
        lab.write("zone", &format!("Zone Night {} - NIGHT\n", at.offset()));
        let zic = Command::new("zic").args(["-d"]).arg(lab.path(".")).arg(lab.path("zone")).status().unwrap();
        assert!(zic.success());
        fs::rename(lab.path("Night"), lab.path("localtime")).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/system/night.sh");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", script]).arg(lab.path(".").canonicalize().unwrap()).arg(lab.path("cutover"));
        command.env_remove("TZ").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Tells whether it runs a job now, or mails what one has written.
    fn is_busy(&self) -> bool {
        let pid = self.0.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        !children.trim().is_empty()
    }

    /// Waits until this holds.
    fn wait(&mut self, what: &str, until: Instant, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            if self.0.try_wait().unwrap().is_some() {
                let mut said = String::new();
                _ = std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said);
                panic!("cron ended before {what}: {said}");
            }
            assert!(Instant::now() < until, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Full minute at which cron looks at its tables next.
struct Until(i64);

impl Until {
    /// Returns the next full minute that leaves time to get ready, also on a busy machine.
    fn next_minute() -> Self {
        const TO_GET_READY: i64 = 8;
        Self((Timestamp::now().as_second() + TO_GET_READY).div_euclid(60) * 60 + 60)
    }

    /// Offset in minutes of a zone in which it is 22:00 at that minute.
    fn minutes_ahead(&self) -> i64 {
        let minutes = (22 * 60 - self.0.div_euclid(60)).rem_euclid(24 * 60);
        if minutes > 12 * 60 { minutes - 24 * 60 } else { minutes }
    }

    /// Date in that zone.
    fn day(&self) -> String {
        let there = Timestamp::from_second(self.0 + self.minutes_ahead() * 60).unwrap();
        there.to_string().split_once('T').unwrap().0.to_owned()
    }

    /// Offset as `zic` reads it.
    fn offset(&self) -> String {
        let minutes = self.minutes_ahead();
        let sign = if minutes < 0 { "-" } else { "" };
        format!("{sign}{}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    fn left(&self) -> Duration {
        let left = self.0 * 1_000 - Timestamp::now().as_millisecond();
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}

#[test]
fn cron_runs_the_sample_in_its_slot_and_mails_only_what_somebody_has_to_see() {
    if tools::lack(&["cron", "unshare", "zic"]) {
        return;
    }
    let lab = lab();
    if !is_root(&lab) {
        left_out("needs root: cron runs jobs as their users");
        return;
    }
    let crontab = sample("crontab");
    for folder in ["cron.d", "private", "mails"] {
        fs::create_dir(lab.path(folder)).unwrap();
    }
    fs::set_permissions(lab.path("mails"), fs::Permissions::from_mode(0o1777)).unwrap();
    let mails = lab.path("mails").canonicalize().unwrap();
    lab.write("sendmail", &format!("#!/bin/sh\n{{ echo \"to: $*\"; cat; }} > {}/$$\n", mails.display()));
    fs::copy(env!("CARGO_BIN_EXE_cutover"), lab.path("cutover")).unwrap();
    // A plan of which a row is not known to the service, and a journal and an account of its own: both slots are the same.
    lab.write("etc/bad.csv", &(plan(3, "stopped,syncing") + "vm-99999,stopped,syncing\n"));
    let bad = crontab.replace("nightly.csv", "bad.csv").replace("cutover/cutover.db", "cutover/bad.db");
    lab.write("cron.d/cutover", &crontab);
    lab.write("cron.d/bad", &bad.replace("MAILTO=", "CUTOVER_ACCOUNT=bad\nMAILTO="));
    write_secrets(&lab.path("etc/credentials"), &[("HW_AUTH_TOKEN", TOKEN)], 0o400);
    for owned in ["etc/credentials", "etc/credentials/HW_AUTH_TOKEN", "state"] {
        chown(lab.path(owned), Some(USER), Some(USER)).unwrap();
    }
    let served = serve(&lab, "");
    lab.write("etc/cutover.toml", &format!("endpoint = \"{}\"\n", served.url));

    let slot = Until::next_minute();
    let mut cron = Cron::start(&lab, &slot);
    // Only what follows disturbs somebody who measures time.
    std::thread::sleep(slot.left());
    let _machine = shared();
    let late = Instant::now() + Duration::from_mins(1);
    let state = lab.path("state");
    let mails_now = || fs::read_dir(&mails).unwrap().count();
    let has_ended = |name: &str| {
        let journal = state.join(name);
        journal.exists() && crate::lab::journal::Journal::open(&journal).n_events("launch_ended") == 1
    };
    cron.wait("both slots", late, |cron| {
        (has_ended("cutover.db") && has_ended("bad.db") || mails_now() == 2) && !cron.is_busy()
    });

    let said: Vec<String> =
        fs::read_dir(&mails).unwrap().map(|mail| fs::read_to_string(mail.unwrap().path()).unwrap()).collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    let (head, body) = said[0].split_once("\n\n").unwrap();
    assert!(head.contains(" ops@example.com\n") && head.contains("Subject: Cron <cutover@"), "{head}");
    assert!(body.starts_with("error: ") && body.contains("\nhint: "), "{body}");
    let journal = crate::lab::journal::Journal::open(&state.join("cutover.db"));
    assert_eq!(journal.tally()["applied"], 3);
    assert_eq!(journal.text("SELECT run_key FROM run"), format!("nightly-{}", slot.day()));
    let found = fs::metadata(state.join("cutover.db")).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (USER, 0o600));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_service_and_its_timer_and_little_that_it_could_reach() {
    if tools::lack(&["systemd-analyze"]) {
        return;
    }
    let (service, timer) = (path_of("cutover.service"), path_of("cutover.timer"));
    let analyze = |args: &[&str]| {
        let ran = Command::new("systemd-analyze").args(args).env("NO_COLOR", "1").output().unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        (ran.status.success(), said)
    };
    assert_eq!(analyze(&["verify", "--man=no", &service, &timer]), (true, String::new()));
    let (is_well, said) = analyze(&["security", "--offline=true", "--threshold=40", &service]);
    assert!(is_well, "{said}");
    assert!(said.contains("Overall exposure level for cutover.service: "), "{said}");
}

#[test]
fn the_service_can_write_the_files_that_its_comments_set() {
    let text = sample("cutover.service");
    let named = |key: &str| {
        let begins = format!("#     {key} = \"");
        let path = text.lines().find_map(|line| line.strip_prefix(&begins)?.strip_suffix('"')).unwrap();
        Path::new(path).parent().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(of_service("LogsDirectory").concat(), named("log_file").strip_prefix("/var/log/").unwrap());
    let writable = of_service("ReadWritePaths").concat();
    assert!(writable.split(' ').any(|path| path.trim_start_matches('-') == named("metrics_file")), "{writable}");
    // The collector is another user.
    let umask = u32::from_str_radix(&of_service("UMask").concat(), 8).unwrap();
    assert_eq!(umask & 0o044, 0, "{umask:o}");
}

/// Value of a key of the service, the last one that it has.
fn of_service(key: &str) -> Vec<String> {
    let begins = format!("{key}=");
    sample("cutover.service").lines().filter_map(|line| Some(line.strip_prefix(&begins)?.to_owned())).collect()
}

/// Command of the service, as its shell gets it. source: systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers"
fn command_of_service() -> String {
    let line = of_service("ExecStart").concat();
    let script =
        line.strip_prefix("/bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).expect("a line of the shell");
    assert!(!script.contains('\''), "{script}");
    script.replace("%%", "%").replace("$$", "$")
}

#[test]
fn the_service_runs_on_what_systemd_hands_it_and_a_second_start_sends_nothing() {
    let _machine = shared();
    let lab = lab();
    let names: Vec<String> = of_service("LoadCredential");
    let names: Vec<&str> = names.iter().map(|line| line.split_once(':').unwrap().0).collect();
    let secrets: Vec<(&str, &str)> = KEYS.into_iter().filter(|(name, _)| names.contains(name)).collect();
    write_secrets(&lab.path("credentials"), &secrets, 0o400);
    let served = serve(&lab, "");
    lab.write("etc/cutover.toml", &format!("endpoint = \"{}\"\n", served.url));
    let script = command_of_service().replace("/usr/local/bin/cutover", env!("CARGO_BIN_EXE_cutover"));
    let script = script.replace("/etc/cutover", lab.path("etc").to_str().unwrap());
    let start = || {
        let mut command = lab.command_of("sh", &["-c", &script]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", zone_of_the_night());
        command.env("STATE_DIRECTORY", lab.path("state")).env("CREDENTIALS_DIRECTORY", lab.path("credentials"));
        // Only the one below /etc/cutover is read without being named, and tests do not write there.
        command.env("CUTOVER_CONFIG", lab.path("etc/cutover.toml")).current_dir(lab.path("state"));
        Launch::start(command).end()
    };
    start().exits(0);
    assert_eq!(served.changes().len(), 3);
    start().exits(0);
    assert_eq!(served.changes().len(), 3, "the key is used up");
    let journal = crate::lab::journal::Journal::open(&lab.path("state/cutover.db"));
    assert_eq!(journal.count("SELECT count(*) FROM run"), 1);
}

/// A slot that is made up for in the morning belongs to the day before, and one on a day on which the clocks change to its own.
#[test]
fn the_key_of_the_service_is_the_day_on_which_its_slot_began() {
    let script = command_of_service();
    let (_, rest) = script.split_once("nightly-$(").unwrap();
    let date = rest.split_once(')').unwrap().0;
    assert!(date.contains("-d \"21 hours ago\""), "{date}");
    for (begins, day) in [
        ("2026-11-28 22:00", "2026-11-28"),
        ("2026-11-28 23:59", "2026-11-28"),
        ("2026-11-29 07:00", "2026-11-28"),
        ("2026-11-29 20:30", "2026-11-28"),
        // The clocks go forward, and back.
        ("2026-03-29 22:00", "2026-03-29"),
        ("2026-10-25 22:00", "2026-10-25"),
        ("2026-10-25 19:30", "2026-10-24"),
    ] {
        let in_utc = format!("date -u -d @$(date -d '{begins}' +%s) '+%F %T UTC'");
        let then = date.replace("\"21", &format!("\"$({in_utc}) 21"));
        let said = Command::new("sh").args(["-c", &then]).env("TZ", "Europe/Berlin").output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said.stdout).trim(),
            day,
            "{begins}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
}

/// Codes of the table in the README.
fn exit_codes() -> Vec<u8> {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("## Exit codes").unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = rows.filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    rows.flat_map(|(codes, _)| codes.split(", ").filter_map(|code| code.parse().ok())).collect()
}

#[test]
fn what_is_tried_again_by_itself_is_what_nothing_was_sent_of() {
    let codes = exit_codes();
    assert!(codes.contains(&8) && codes.contains(&143), "{codes:?}");
    let waits: Vec<u8> =
        of_service("RestartPreventExitStatus").concat().split(' ').map(|code| code.parse().unwrap()).collect();
    let again: Vec<u8> = codes.iter().copied().filter(|code| !waits.contains(code)).collect();
    assert_eq!(again, [0, 6, 8], "of systemd");
    let Some(python) = python() else { return };
    let job = &documents(&python, "kubernetes.yaml")[1]["spec"]["jobTemplate"]["spec"];
    let rules = job["podFailurePolicy"]["rules"].as_array().unwrap();
    let of = |action: &str| {
        let of_code = rules.iter().filter(|rule| rule["action"] == action).filter_map(|rule| rule.get("onExitCodes"));
        of_code.map(|codes| codes["values"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((of("FailJob"), of("Ignore")), (vec![serde_json::json!([2, 3, 7])], vec![serde_json::json!([8])]));
    assert_eq!(job["backoffLimit"], 0);
    let gitlab = &documents(&python, "gitlab-ci.yml")[0]["cutover-nightly"];
    assert_eq!(gitlab["retry"]["exit_codes"], serde_json::json!([6, 8]));
}

/// Makes a folder as a volume of a `ConfigMap` or a `Secret` is: links into a hidden folder.
/// source: kubernetes `pkg/volume/util/atomic_writer.go`
fn volume(folder: &Path, files: &[(&str, &str)], mode: u32) {
    let hidden = folder.join("..2026_11_28_22_00_00.123456789");
    write_secrets(&hidden, &[], mode);
    symlink(hidden.file_name().unwrap(), folder.join("..data")).unwrap();
    for (name, text) in files {
        let file = hidden.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        _ = chown(&file, None, Some(USER));
        symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
    }
}

/// Checks words of the job that every schema would let pass if they were others.
fn is_careful(documents: &Value, pod: &Value, container: &Value) {
    assert_eq!(documents[0]["spec"]["accessModes"], serde_json::json!(["ReadWriteOncePod"]));
    assert_eq!(documents[1]["spec"]["concurrencyPolicy"], "Forbid");
    assert_eq!((&pod["restartPolicy"], &pod["securityContext"]["runAsNonRoot"]), (&"Never".into(), &true.into()));
    let limits = &container["securityContext"];
    assert_eq!((&limits["readOnlyRootFilesystem"], &limits["allowPrivilegeEscalation"]), (&true.into(), &false.into()));
    let mounts: Vec<&Value> =
        container["volumeMounts"].as_array().unwrap().iter().filter(|mount| mount["readOnly"] != true).collect();
    assert_eq!(mounts.len(), 2, "the journal and what is temporary are written to: {mounts:?}");
}

#[test]
fn kubernetes_accepts_the_job_and_its_container_runs_as_a_user_without_a_name() {
    if tools::lack(&["setpriv"]) {
        return;
    }
    let Some(python) = python() else { return };
    let validated = python.run_module("kubernetes_validate", &["--strict", &path_of("kubernetes.yaml")], &[]);
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stdout));
    let pod = &documents(&python, "kubernetes.yaml")[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    is_careful(&documents(&python, "kubernetes.yaml"), pod, container);

    let _machine = shared();
    let lab = lab();
    let served = serve(&lab, "");
    let mount = |path: &str| lab.path("pod").join(path.trim_start_matches('/'));
    let settings = format!("endpoint = \"{}\"\n", served.url);
    let rows = plan(3, "stopped,syncing");
    volume(&mount("/etc/cutover"), &[("nightly.csv", &rows), ("cutover.toml", &settings)], 0o644);
    volume(&mount("/run/credentials/cutover"), &KEYS, 0o440);
    // The root of a volume with `fsGroup` belongs to that group, and hands it on.
    let state = mount("/var/lib/cutover");
    fs::create_dir_all(&state).unwrap();
    _ = chown(&state, None, Some(USER));
    fs::set_permissions(&state, fs::Permissions::from_mode(0o2770)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_cutover"), lab.path("cutover")).unwrap();

    let mounts: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    let inside = |text: &str| match mounts.iter().find(|path| text.starts_with(**path)) {
        Some(_) => mount(text).to_str().unwrap().to_owned(),
        None => text.to_owned(),
    };
    let words = |of: &str| container[of].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    assert_eq!(words("command").collect::<Vec<_>>(), ["cutover"]);
    let night = zone_of_the_night();
    let args: Vec<String> = words("args")
        .map(|word| inside(&word.replace("$(RUN_KEY)", "cutover-nightly-29412345").replace("Etc/UTC", &night)))
        .collect();
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert_eq!(user, u64::from(USER));
    let start = || {
        let as_user = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
        let binary = lab.path("cutover").to_str().unwrap().to_owned();
        let words: Vec<String> =
            as_user.into_iter().filter(|_| is_root(&lab)).chain([binary]).chain(args.clone()).collect();
        let mut command = lab.command_of("setpriv", &words.iter().map(String::as_str).collect::<Vec<_>>());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/").current_dir("/");
        for variable in container["env"].as_array().unwrap() {
            let Some(value) = variable["value"].as_str() else { continue };
            command.env(variable["name"].as_str().unwrap(), inside(value));
        }
        // Found without being named only below /etc/cutover, where tests do not write.
        command.env("CUTOVER_CONFIG", mount("/etc/cutover/cutover.toml"));
        Launch::start(command).end()
    };
    let ended = start().exits(0);
    assert!(!ended.stderr.contains("warning:"), "{}", ended.stderr);
    assert_eq!(served.changes().len(), 3);
    start().exits(0);
    assert_eq!(served.changes().len(), 3, "the key is used up");
}

/// Path with the folder of the binary first.
fn path_with_binary() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn ansible_changes_what_is_not_on_target_and_nothing_at_its_second_play() {
    let Some(python) = python() else { return };
    let _machine = shared();
    let lab = lab();
    let served = serve(&lab, "");
    write_secrets(&lab.path("etc/credentials"), &KEYS, 0o400);
    lab.write(
        "inventory",
        "[cutover]\nlocalhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n",
    );
    let file = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let (inventory, playbook) = (file("inventory"), path_of("playbook.yaml"));
    let places = [
        format!("cutover_plan={}", file("etc/nightly.csv")),
        format!("cutover_journal={}", file("cutover.db")),
        format!("cutover_credentials={}", file("etc/credentials")),
    ];
    let play = |url: &str, more: &[&str]| {
        let mut args = vec!["playbook", "-i", &inventory, &playbook];
        for place in &places {
            args.extend(["-e", place]);
        }
        args.extend(more);
        let path = path_with_binary();
        let variables = [("PATH", path.as_str()), ("LC_ALL", "C.UTF-8"), ("CUTOVER_ENDPOINT", url), ("NO_COLOR", "1")];
        let ran = python.run_module("ansible", &args, &variables);
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        let recap = said.lines().rev().find(|line| line.starts_with("localhost ")).unwrap_or(&said).to_owned();
        (recap, said)
    };
    let expect = |(recap, said): (String, String), changed: u32, failed: u32| {
        let counts = format!("changed={changed}");
        assert!(recap.contains(&counts) && recap.contains(&format!("failed={failed} ")), "{said}");
    };
    expect(play(&served.url, &["--check"]), 1, 0);
    assert!(served.changes().is_empty(), "check mode sends nothing");
    expect(play(&served.url, &[]), 1, 0);
    assert_eq!(served.changes().len(), 3);
    expect(play(&served.url, &[]), 0, 0);
    expect(play("http://127.0.0.1:9", &[]), 0, 1);
    assert_eq!(served.changes().len(), 3);
}

/// Runs lines of a job in the shell that its runner has, with these variables.
fn job(lab: &Lab, served: &Served, shell: &[&str], lines: &str, variables: &[(String, String)]) -> Ended {
    let lines = lines.replace("/var/lib/cutover", lab.path("state").to_str().unwrap());
    let mut command = lab.command_of(shell[0], &[&shell[1..], &["-c", &lines]].concat());
    command.env_clear().env("PATH", path_with_binary()).env("HOME", lab.path(".")).current_dir(lab.path("etc"));
    command.env("CUTOVER_ENDPOINT", &served.url).envs(KEYS);
    for (name, value) in variables {
        command.env(name, value.replace("/var/lib/cutover", lab.path("state").to_str().unwrap()));
    }
    Launch::start(command).end()
}

fn variables_of(table: &Value) -> Vec<(String, String)> {
    let all = table.as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn with(mut variables: Vec<(String, String)>, more: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    variables
}

fn lines(list: &Value) -> String {
    list.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn gitlab_accepts_the_jobs_and_their_scripts_run() {
    let Some(python) = python() else { return };
    accepted(&python, "vendor.gitlab-ci", "gitlab-ci.yml");
    let jobs = &documents(&python, "gitlab-ci.yml")[0];
    let _machine = shared();
    let lab = lab();
    let served = serve(&lab, "");
    let variables = with(variables_of(&jobs["variables"]), &[("CI_PIPELINE_ID", "1234")]);
    let run = |list: &Value| job(&lab, &served, &["sh", "-e"], &lines(list), &variables).exits(0);
    run(&jobs["check-plan"]["script"]);
    for _ in 0..2 {
        run(&jobs["cutover-nightly"]["script"]);
        run(&jobs["cutover-nightly"]["after_script"]);
        assert_eq!(served.changes().len(), 3);
    }
    let artifacts = &jobs["cutover-nightly"]["artifacts"];
    for name in [&artifacts["paths"][0], &artifacts["reports"]["junit"]] {
        assert!(lab.path("etc").join(name.as_str().unwrap()).exists(), "{name}");
    }
}

#[test]
fn github_accepts_the_workflow_and_its_steps_run() {
    let Some(python) = python() else { return };
    accepted(&python, "vendor.github-workflows", "github-workflow.yml");
    let nightly = &documents(&python, "github-workflow.yml")[0]["jobs"]["nightly"];
    let _machine = shared();
    let lab = lab();
    let served = serve(&lab, "");
    let summary = lab.path("summary.md");
    let own = [("GITHUB_RUN_ID", "1234"), ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    let variables = with(variables_of(&nightly["env"]), &own);
    for step in nightly["steps"].as_array().unwrap() {
        let Some(script) = step["run"].as_str() else { continue };
        for (name, value) in variables_of(&step["env"]) {
            assert_eq!(value, format!("${{{{ secrets.{name} }}}}"));
            assert!(KEYS.iter().any(|(known, _)| *known == name), "{name}");
        }
        job(&lab, &served, &["bash", "-e"], script, &variables).exits(0);
    }
    assert_eq!(served.changes().len(), 3);
    assert!(fs::read_to_string(summary).unwrap().contains("applied"));
}

/// Holds a file against the schema that its program has published.
fn accepted(python: &Python, schema: &str, name: &str) {
    let checked = python.run_module("check_jsonschema", &["--builtin-schema", schema, &path_of(name)], &[]);
    assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stdout));
}
