//! Metrics: the file of a launch, the page of `serve`, and the alert rules and the dashboard that are made for them. Prometheus' own
//! `promtool` reads all of it.

#![expect(clippy::float_cmp, reason = "values are whole, or compared with themselves")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::serve::Site;
use crate::tools;

const FILE: &str = "cutover.prom";
/// Token that `serve` is given.
const TOKEN: &str = "a-token-of-the-collector-0123456789";

/// Names of the metrics, in the order in which they are written.
const NAMES: [&str; 10] = [
    "cutover_run_rows",
    "cutover_run_unsettled_rows",
    "cutover_run_exit_code",
    "cutover_run_started_timestamp_seconds",
    "cutover_run_ended_timestamp_seconds",
    "cutover_run_last_success_timestamp_seconds",
    "cutover_run_elapsed_seconds",
    "cutover_run_waiting",
    "cutover_requests_total",
    "cutover_rate_requests_per_second",
];

/// Samples of a text: each with its value, by its name and labels.
struct Scraped {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Scraped {
    /// Reads a text, which `promtool` has nothing to say about.
    #[track_caller]
    fn of_text(text: &str) -> Self {
        let checked = promtool(&["check", "metrics"], text);
        let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
        assert!(checked.status.success() && said.is_empty(), "{said}\n{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| line.rsplit_once(' ').unwrap());
        let samples = samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        Self { samples: samples.collect(), text: text.to_owned() }
    }

    #[track_caller]
    fn of_file(lab: &Lab) -> Self {
        Self::of_text(&std::fs::read_to_string(lab.path(FILE)).unwrap())
    }

    /// Values of a metric, by the labels that its samples have besides those given.
    fn values(&self, name: &str, labels: &str) -> Vec<f64> {
        let is_it =
            |sample: &str| sample.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        let of_it = self
            .samples
            .iter()
            .filter(|(sample, _)| is_it(sample) && labels.split(',').all(|label| sample.contains(label)));
        of_it.map(|(_, value)| *value).collect()
    }

    /// The one value of a metric with these labels.
    #[track_caller]
    fn value(&self, name: &str, labels: &str) -> f64 {
        match self.values(name, labels)[..] {
            [value] => value,
            ref values => panic!("{name} {labels}: {values:?}\n{}", self.text),
        }
    }

    #[track_caller]
    fn exits(&self, code: u32) {
        assert_eq!(self.values("cutover_run_exit_code", ""), [f64::from(code)], "{}", self.text);
    }
}

fn promtool(args: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    let piped = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn accepts(checked: &Output) {
    let said = [&checked.stdout, &checked.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(checked.status.success(), "{said}");
}

/// Waits until a file says something.
#[track_caller]
fn reaches(lab: &Lab, says: &str) {
    let until = Instant::now() + Duration::from_mins(1);
    while !std::fs::read_to_string(lab.path(FILE)).is_ok_and(|text| text.contains(says)) {
        assert!(Instant::now() < until, "the file does not say `{says}`");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "plan.csv", "--metrics-file", FILE], more].concat()
}

/// Launches to the end with this code, and reads what the file tells of it.
#[track_caller]
fn told_after(lab: &Lab, sandbox: &Served, args: &[&str], code: u32) -> Scraped {
    lab.launch(sandbox, args).exits(code.cast_signed());
    let told = Scraped::of_file(lab);
    told.exits(code);
    told
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_good_run_is_told_whole_and_to_the_collector() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let began = now();
    let args = with_yes(&sandbox, &run(&["--rate", "50"])).join(" ");
    let mut umask =
        lab.command_of("sh", &["-c", &format!("umask 022; exec \"$0\" {args}"), env!("CARGO_BIN_EXE_cutover")]);
    umask.env("CUTOVER_AUTH_TOKEN", crate::lab::served::TOKEN);
    Launch::start(umask).end().exits(0);
    let told = Scraped::of_file(&lab);
    told.exits(0);
    let id = lab.journal().text("SELECT id FROM run");
    for name in NAMES {
        assert!(!told.values(name, "plan=\"plan.csv\"").is_empty(), "{name}");
        if name != "cutover_run_last_success_timestamp_seconds" {
            let labels = format!("plan=\"plan.csv\",run=\"{id}\"");
            assert_eq!(told.values(name, &labels), told.values(name, ""), "{name}");
        }
    }
    assert_eq!(told.value("cutover_run_rows", "verdict=\"applied\""), 5.0);
    assert_eq!(told.values("cutover_run_rows", "").iter().sum::<f64>(), 5.0);
    assert_eq!(told.value("cutover_run_unsettled_rows", ""), 0.0);
    assert_eq!(told.value("cutover_requests_total", "outcome=\"accepted\""), 5.0);
    assert_eq!(told.value("cutover_rate_requests_per_second", "target="), 50.0);
    assert_eq!(told.values("cutover_run_waiting", ""), [0.0; 6]);
    let [started, ended, success] = ["started", "ended", "last_success"]
        .map(|what| told.value(&format!("cutover_run_{what}_timestamp_seconds"), ""));
    // The journal has milliseconds.
    assert!(began - 0.001 <= started && started < ended && ended <= now(), "{}", told.text);
    assert_eq!(success, ended);
    assert!(!told.text.contains("vm-0"), "no label is the id of a source: {}", told.text);
    let mode = |name: &str| std::fs::metadata(lab.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(FILE), mode("cutover.db")), (0o644, 0o600), "the collector is another user");
    assert!(
        std::fs::read_dir(lab.path(""))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(".cutover-") })
    );
}

#[test]
fn a_launch_that_fails_is_told_with_its_code_and_the_last_success_stays() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("estate.csv", &plan(6, "stopped,syncing"));
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("estate.csv", "");
    let told_after = |args: &[&str], code: u32| told_after(&lab, &sandbox, &run(args), code);
    let success = |told: &Scraped| told.value("cutover_run_last_success_timestamp_seconds", "plan=\"plan.csv\"");
    let first = success(&told_after(&["--rate", "off"], 0));
    let has_run = |told: &Scraped| told.text.contains("run=\"");

    // A row that the service does not know, the policy, the clock.
    lab.write("plan.csv", &plan(7, "stopped,syncing"));
    let told = told_after(&["--max-changes", "1"], 3);
    assert!(has_run(&told) && success(&told) == first, "{}", told.text);
    assert_eq!(told.value("cutover_run_unsettled_rows", ""), 7.0);
    let told = told_after(&["--deadline", "2020-01-01T00:00:00Z", "--new"], 4);
    assert!(has_run(&told) && success(&told) == first, "{}", told.text);
    let told = told_after(&["--rate", "off"], 1);
    assert_eq!(told.value("cutover_run_rows", "verdict=\"blocked\""), 1.0);
    assert_eq!((told.value("cutover_run_rows", "verdict=\"applied\""), success(&told)), (3.0, first));

    // Nobody to be, nobody there, and nothing to read.
    let before_a_run = |command: Command, code: i32| {
        let ended = Launch::start(command).end().exits(code);
        let told = Scraped::of_file(&lab);
        told.exits(code.unsigned_abs());
        assert!(!has_run(&told) && told.values("cutover_run_rows", "").is_empty(), "{}", told.text);
        assert_eq!(success(&told), first, "{}\n{}", told.text, ended.stderr);
        let [started, ended] = ["started", "ended"]
            .map(|what| told.value(&format!("cutover_run_{what}_timestamp_seconds"), "plan=\"plan.csv\""));
        assert!(started <= ended && now() - ended < 60.0);
    };
    let mut nobody = lab.command(&with_yes(&sandbox, &run(&["--new"])));
    nobody.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
    before_a_run(nobody, 5);
    lab.write("plan.csv", "source_id,copystate\nvm-00001,no such state\n");
    before_a_run(lab.command(&run(&["--yes", "--endpoint", &sandbox.url])), 2);
    std::fs::remove_file(lab.path("plan.csv")).unwrap();
    before_a_run(lab.command(&run(&["--yes", "--endpoint", &sandbox.url])), 2);

    // A later success moves it; so does a launch that only looks, and one for which the journal is not asked.
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let second = success(&told_after(&["--rate", "off", "--new"], 0));
    assert!(second > first);
    std::fs::remove_file(lab.path("cutover.db")).unwrap();
    lab.write("plan.csv", "source_id\n");
    lab.cutover(&run(&["--yes", "--endpoint", &sandbox.url])).exits(2);
    assert_eq!(success(&Scraped::of_file(&lab)), second, "the former file has it, where no journal does");
}

/// Arguments and variables of a launch that cannot use them, and a part of what it says.
type Unusable<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_launch_that_cannot_read_its_settings_or_open_its_log_is_told_and_the_last_success_stays() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let success = |told: &Scraped| told.value("cutover_run_last_success_timestamp_seconds", "plan=\"plan.csv\"");
    let first = success(&told_after(&lab, &sandbox, &run(&["--rate", "off"]), 0));
    lab.write("named.toml", &format!("metrics_file = '{FILE}'\nwindow = 'off'\n"));
    let cases: [Unusable<'_>; 7] = [
        (&run(&["--window", "bogus"]), &[], "`bogus`"),
        (&run(&["--config", "absent.toml"]), &[], "could not read the settings file"),
        (&run(&[]), &[("CUTOVER_RAET", "5")], "CUTOVER_RAET"),
        (&["run", "plan.csv"], &[("CUTOVER_METRICS_FILE", FILE), ("CUTOVER_RATE", "fast")], "`fast`"),
        (&["run", "plan.csv", "--config", "named.toml", "--rate", "fast"], &[], "`fast`"),
        (&run(&["--log-file", "."]), &[], "the log file"),
        (&run(&["--log-file", "x.csv", "--report", "./x.csv"]), &[], "name one file"),
    ];
    for (args, variables, why) in cases {
        lab.write(FILE, &format!("cutover_run_last_success_timestamp_seconds{{plan=\"plan.csv\"}} {first}\n"));
        let mut command = lab.command(&with_yes(&sandbox, args));
        command.envs(variables.iter().copied());
        Launch::start(command).end().exits(2).says(why);
        let told = Scraped::of_file(&lab);
        told.exits(2);
        assert_eq!(success(&told), first, "{args:?}: {}", told.text);
        assert!(told.text.contains("cutover_run_exit_code{plan=\"plan.csv\"} 2\n"), "{args:?}: {}", told.text);
    }
    // Where the metrics would destroy something, they are not written.
    let clash = ["run", "plan.csv", "--metrics-file", "other.csv", "--report", "./other.csv"];
    lab.launch(&sandbox, &clash).exits(2).says("`--metrics-file` and `--report` name one file");
    assert!(!lab.path("other.csv").exists());
}

/// Launch of thirty rows that takes several seconds, and has sent some of them.
fn under_way() -> (Lab, Served, Launch) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &run(&["--rate", "4"]));
    assert!(launch.reaches("attempt_ended"));
    (lab, sandbox, launch)
}

#[test]
fn the_time_of_a_run_that_was_cut_off_does_not_grow_while_nobody_carries_it() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox, killed) = under_way();
    killed.kill();
    // The time in which nobody carries it.
    std::thread::sleep(Duration::from_secs(3));
    std::fs::remove_file(lab.path(FILE)).unwrap();
    lab.write("pause", "");
    let paused = lab.begin(&sandbox, &["resume", "--metrics-file", FILE, "--pause-file", "pause"]);
    reaches(&lab, "cutover_run_elapsed_seconds");
    let (told, read_at) = (Scraped::of_file(&lab), now());
    let [before, began] = ["json_extract(detail, '$.cut_off_ms')", "at"].map(|what| {
        let of_last = format!("SELECT CAST({what} AS TEXT) FROM event WHERE kind = 'launch_began' ORDER BY at DESC");
        lab.journal().text(&of_last).parse::<f64>().unwrap() / 1000.0
    });
    let (elapsed, longest) = (told.value("cutover_run_elapsed_seconds", ""), before + read_at - began);
    assert!(
        before < elapsed && elapsed <= longest,
        "{before} s, and {elapsed} s with those since {began}, at {read_at}"
    );
    paused.signal("TERM");
    paused.end().exits(143);
}

#[test]
fn a_service_that_is_away_is_told() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab.cutover(&run(&["--yes", "--attempts", "1", "--endpoint", "http://127.0.0.1:1"])).exits(8);
    Scraped::of_file(&lab).exits(8);
}

#[test]
fn a_launch_that_is_killed_has_no_end_and_one_that_it_locked_out_is_told_beside_it() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox, goes_on) = under_way();
    reaches(&lab, "run=\"");
    lab.launch(&sandbox, &run(&[])).exits(6);
    let told = Scraped::of_file(&lab);
    told.exits(6);
    assert_eq!(told.values("cutover_run_started_timestamp_seconds", "").len(), 2, "{}", told.text);
    goes_on.kill();
    let told = Scraped::of_file(&lab);
    assert_eq!(told.values("cutover_run_started_timestamp_seconds", "run=\"").len(), 1, "{}", told.text);
    assert!(told.values("cutover_run_ended_timestamp_seconds", "run=\"").is_empty(), "{}", told.text);
    assert!(told.values("cutover_run_exit_code", "run=\"").is_empty(), "{}", told.text);
    assert!(told.value("cutover_run_unsettled_rows", "") > 0.0);
    // Whoever goes on with it ends it for the collector as well.
    let told = told_after(&lab, &sandbox, &["resume", "--metrics-file", FILE, "--rate", "off"], 0);
    assert_eq!(told.value("cutover_run_rows", "verdict=\"applied\""), 30.0);
}

#[test]
fn a_wait_is_told_while_it_lasts_and_rows_in_doubt_until_they_are_looked_at() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("pause", "");
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"hang_after\"\n");
    let paused = lab.begin(&sandbox, &run(&["--pause-file", "pause", "--timeout", "60s"]));
    // Written anew without anything that happens in the run.
    reaches(&lab, "for=\"pause_file\"} 1");
    let told = Scraped::of_file(&lab);
    assert_eq!(told.value("cutover_run_waiting", "for=\"approval\""), 0.0);
    assert!(told.values("cutover_run_ended_timestamp_seconds", "").is_empty());
    let first = told.value("cutover_run_elapsed_seconds", "");
    let until = Instant::now() + Duration::from_mins(1);
    while Scraped::of_file(&lab).value("cutover_run_elapsed_seconds", "") <= first {
        assert!(Instant::now() < until, "the time of a launch that waits grows as well");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_file(lab.path("pause")).unwrap();
    sandbox.reach(2);
    paused.signal("TERM");
    paused.signal("TERM");
    let ended = paused.end().exits(143);
    Scraped::of_file(&lab).exits(143);
    // The command that is printed keeps the file up to date.
    let reconcile = ended.stderr.split("cutover reconcile").nth(1).unwrap();
    assert!(reconcile.contains(&format!("--metrics-file {FILE}")), "{}", ended.stderr);
    let told = told_after(&lab, &sandbox, &["reconcile", "--metrics-file", FILE], 0);
    assert_eq!(told.value("cutover_requests_total", "outcome=\"lost\""), 2.0);
}

#[test]
fn a_slot_that_is_over_is_told_again_a_plan_without_rows_is_a_success_and_a_skipped_launch_is_nothing() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("rows.csv", &plan(2, "stopped,syncing"));
    lab.write("night.toml", "name = 'night'\nfiles = ['rows.csv']\n");
    let sandbox = lab.serve("rows.csv", "");
    let slot = ["run", "night.toml", "--metrics-file", FILE, "--run-key", "monday"];
    let success = || Scraped::of_file(&lab).value("cutover_run_last_success_timestamp_seconds", "plan=\"night\"");
    lab.launch(&sandbox, &slot).exits(0);
    let first = Scraped::of_file(&lab);
    // The folder of a collector may be lost with the machine.
    std::fs::remove_file(lab.path(FILE)).unwrap();
    lab.launch(&sandbox, &slot).exits(0);
    let again = Scraped::of_file(&lab);
    let pace = |sample: &String| sample.starts_with("cutover_rate_requests_per_second");
    for (sample, value) in first.samples.iter().filter(|(sample, _)| !pace(sample)) {
        assert_eq!(again.samples.get(sample), Some(value), "{sample}: {}", again.text);
    }

    // So is one that has left the journal since, as far as its tombstone tells.
    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    lab.write(
        FILE,
        "cutover_run_exit_code{plan=\"night\"} 2\ncutover_run_started_timestamp_seconds{plan=\"night\"} 1\n",
    );
    lab.launch(&sandbox, &slot).exits(0);
    let pruned = Scraped::of_file(&lab);
    pruned.exits(0);
    for name in
        ["cutover_run_rows", "cutover_run_ended_timestamp_seconds", "cutover_run_last_success_timestamp_seconds"]
    {
        assert_eq!(pruned.values(name, ""), first.values(name, ""), "{}", pruned.text);
    }
    assert!(pruned.values("cutover_requests_total", "").is_empty(), "nobody knows any more: {}", pruned.text);

    lab.write("rows.csv", "source_id,copystate,migrationcycle\n");
    lab.launch(&sandbox, &["run", "night.toml", "--metrics-file", FILE, "--allow-empty"]).exits(0);
    let empty = Scraped::of_file(&lab);
    empty.exits(0);
    assert!(
        !empty.text.contains("run=\"") && success() > first.value("cutover_run_last_success_timestamp_seconds", "")
    );

    lab.write("rows.csv", &plan(2, "stopped,syncing"));
    lab.write("pause", "");
    lab.write("other.csv", &plan(1, "stopped,syncing"));
    let holds = lab.begin(&sandbox, &["run", "other.csv", "--pause-file", "pause", "--preflight", "off"]);
    assert!(holds.reaches("controlled"));
    let skipped = ["run", "night.toml", "--metrics-file", FILE, "--if-locked", "skip", "--run-key", "tuesday"];
    lab.launch(&sandbox, &skipped).exits(0).says("skipped");
    assert_eq!(std::fs::read_to_string(lab.path(FILE)).unwrap(), empty.text);
    std::fs::remove_file(lab.path("pause")).unwrap();
    holds.end();
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_launch_and_one_warning_in_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("node.prom", "node_load1 0.5\n");
    let sandbox = lab.serve("plan.csv", "");
    let run = |file: &str| lab.launch(&sandbox, &["run", "plan.csv", "--metrics-file", file]);
    // The collector reads by the end of the name.
    for file in ["absent/a.prom", "node.prom", "plan.csv", "new.txt", "a.prom.new", ".prom", "/dev/stdout", "."] {
        run(file).exits(2).says(&format!("metrics cannot be written to `{file}`")).says("hint: ");
    }
    let mut variable = lab.command(&with_yes(&sandbox, &["run", "plan.csv"]));
    variable.env("CUTOVER_METRICS_FILE", "absent/a.prom");
    Launch::start(variable).end().exits(2).says("CUTOVER_METRICS_FILE");
    assert_eq!(std::fs::read_to_string(lab.path("node.prom")).unwrap(), "node_load1 0.5\n");
    assert!(sandbox.ledger().is_empty() && !lab.path("cutover.db").exists());
    assert!(!lab.path("new.txt").exists() && !lab.path(".prom").exists());

    std::fs::create_dir(lab.path("there")).unwrap();
    assert!(Command::new("mkfifo").arg(lab.path("pipe")).status().unwrap().success());
    let launch = lab.begin(&sandbox, &["run", "pipe", "--metrics-file", "there/a.prom"]);
    // It opens once the launch reads its plan, and so after the file was tried.
    let mut pipe = std::fs::OpenOptions::new().write(true).open(lab.path("pipe")).unwrap();
    std::fs::rename(lab.path("there"), lab.path("gone")).unwrap();
    pipe.write_all(plan(3, "stopped,syncing").as_bytes()).unwrap();
    drop(pipe);
    // It is written as the launch begins and as it ends.
    let ended = launch.end().exits(0).says("the metrics could not be written to `there/a.prom`");
    assert_eq!(ended.stderr.matches("the metrics could not").count(), 1, "{}", ended.stderr);
}

/// The folder is that of a disk of its own, which takes names and no bytes.
#[test]
fn a_disk_without_room_for_the_file_is_an_error_before_the_launch() {
    let may_mount = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("left out: nothing can be mounted here");
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let on_full_disk = |more: &[&str]| {
        let args =
            with_yes(&sandbox, &[&["run", "plan.csv", "--metrics-file", "small/a.prom"], more].concat()).join(" ");
        let script = format!(
            "mkdir -p small && mount -t tmpfs -o size=64k small small || exit 99
            cat /dev/zero > small/all 2> /dev/null; {} {args}; code=$?; ls -A small; exit $code",
            env!("CARGO_BIN_EXE_cutover")
        );
        let ended = Launch::start(lab.command_of("unshare", &["-rm", "sh", "-c", &script])).end().exits(2);
        assert!(ended.stderr.contains("metrics cannot be written to `small/a.prom`"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "all\n", "nothing is left there");
    };
    on_full_disk(&["-q"]);
    on_full_disk(&["--dry-run"]);
    assert!(sandbox.ledger().is_empty() && !lab.path("cutover.db").exists());
}

#[test]
fn a_dry_run_tries_the_files_that_the_launch_would_write_and_leaves_none() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let files = || {
        let names = std::fs::read_dir(lab.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();
    let ends = |more: &[&str], code: i32| {
        for dry in [&["--dry-run"][..], &[]] {
            if code != 0 || !dry.is_empty() {
                lab.launch(&sandbox, &[&["run", "plan.csv"], more, dry].concat()).exits(code);
            }
        }
    };
    ends(&["--metrics-file", "absent/a.prom"], 2);
    ends(&["--metrics-file", "a.txt"], 2);
    ends(&["--log-file", "absent/a.log"], 2);
    ends(&["--report", "absent/a.csv"], 2);
    ends(&["--report", "a.unknown"], 2);
    ends(&["--report", "plan.csv"], 2);
    ends(&["--metrics-file", FILE, "--report", "a.csv"], 0);
    assert_eq!(files(), before);
}

/// A slip in the name of a run is no launch of the night's plan.
#[test]
fn a_launch_that_knows_neither_plan_nor_run_leaves_the_file_as_it_is() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &run(&["--rate", "off"])).exits(0);
    let told = || std::fs::read_to_string(lab.path(FILE)).unwrap();
    let before = told();
    for args in [&["retry", "TYPO"][..], &["resume", "TYPO"], &["reconcile", "TYPO"], &["retry", "--rate", "fast"]] {
        let mut command = lab.command(&[args, &["--metrics-file", FILE, "--endpoint", &sandbox.url]].concat());
        if args[0] != "reconcile" {
            command.arg("--yes");
        }
        Launch::start(command).end().exits(2);
        assert_eq!(told(), before, "{args:?}");
    }
    std::fs::remove_file(lab.path("plan.csv")).unwrap();
    lab.launch(&sandbox, &run(&[])).exits(2);
    assert!(told().contains("cutover_run_exit_code{plan=\"plan.csv\"} 2\n"), "{}", told());
}

#[test]
fn what_only_looks_or_rehearses_writes_no_metrics() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    for verb in [&["plan", "plan.csv"][..], &["rehearse", "plan.csv"], &["run", "plan.csv", "--dry-run"], &["doctor"]] {
        let mut command = lab.command(&[verb, &["--endpoint", &sandbox.url]].concat());
        command.env("CUTOVER_METRICS_FILE", FILE);
        Launch::start(command).end().exits(0);
    }
    assert!(!lab.path(FILE).exists());
}

#[test]
fn the_doctor_says_whether_a_collector_would_find_anything() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    for (umask, file, health, code) in [
        ("022", FILE, "ok", 0),
        ("027", FILE, "ok", 0),
        ("077", FILE, "warning", 0),
        ("022", "absent/a.prom", "problem", 2),
    ] {
        let doctor = format!("umask {umask}; exec \"$0\" doctor --json --endpoint {}", sandbox.url);
        let mut command = lab.command_of("sh", &["-c", &doctor, env!("CARGO_BIN_EXE_cutover")]);
        command.env("CUTOVER_METRICS_FILE", file);
        let ended = Launch::start(command).end().exits(code);
        let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let checks = document["patients"][0]["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["what"] == "metrics file").unwrap();
        assert_eq!(check["health"], health, "{umask} {file}: {check}");
    }
    assert!(!lab.path(FILE).exists());
}

#[test]
fn the_page_tells_the_latest_run_of_each_plan_and_only_with_the_token() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("estate.csv", &plan(6, "stopped,syncing"));
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("night.toml", "name = 'the \"night\"'\nfiles = ['estate.csv']\n");
    let sandbox = lab.serve("estate.csv", "");
    lab.launch(&sandbox, &run(&["--rate", "off"])).exits(0);
    lab.launch(&sandbox, &run(&["--rate", "off", "--new"])).exits(0);
    let of_file = Scraped::of_file(&lab);
    let killed = lab.begin(&sandbox, &["run", "night.toml", "--new", "--pause-file", "night.toml"]);
    assert!(killed.reaches("controlled"));

    let site = Site::over(&lab, &[("CUTOVER_SERVE_TOKEN", TOKEN)]);
    let scrape = |headers: &str| site.answers("/metrics", headers);
    assert!(scrape("").starts_with("HTTP/1.1 401 "), "{}", scrape(""));
    assert!(scrape("authorization: Bearer wrong\r\n").starts_with("HTTP/1.1 401 "));
    let told = || {
        let answer = scrape(&format!("authorization: Bearer {TOKEN}\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        Scraped::of_text(body)
    };
    let page = told();
    for (sample, value) in &of_file.samples {
        assert_eq!(page.samples.get(sample), Some(value), "{sample}: {}", page.text);
    }
    let night = "plan=\"the \\\"night\\\"\"";
    assert_eq!(page.value("cutover_run_waiting", &format!("{night},for=\"pause_file\"")), 1.0);
    assert!(page.values("cutover_run_ended_timestamp_seconds", night).is_empty());
    let elapsed = |page: &Scraped| page.value("cutover_run_elapsed_seconds", night);
    assert!(elapsed(&told()) > elapsed(&page), "the time of a launch that waits grows as well");
    killed.kill();
    let page = told();
    assert_eq!(page.value("cutover_run_waiting", &format!("{night},for=\"pause_file\"")), 0.0, "nobody waits any more");
    assert_eq!(elapsed(&told()), elapsed(&page));
}

#[test]
fn the_alert_rules_say_what_the_scenarios_expect() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    accepts(&promtool(&["check", "rules", "--lint-fatal", &format!("{top}samples/cutover-alerts.yml")], ""));
    accepts(&promtool(&["test", "rules", &format!("{top}tests/it/metrics/alerts.test.yml")], ""));
}

/// Prometheus is asked about the expressions as if each were a recording rule.
#[test]
fn every_query_of_the_dashboard_reads() {
    if tools::lack(&["promtool"]) {
        return;
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../samples/cutover-grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() >= panels.len());
    let rules = |queries: &[&str]| {
        let rules: Vec<_> = (1..)
            .zip(queries)
            .map(|(nth, query)| serde_json::json!({"record": format!("query_{nth}"), "expr": query.replace("$__rate_interval", "5m")}))
            .collect();
        serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()
    };
    let lab = Lab::new();
    let path = lab.path("rules.yml");
    std::fs::write(&path, rules(&queries)).unwrap();
    accepts(&promtool(&["check", "rules", path.to_str().unwrap()], ""));
    // A query that does not read is found.
    std::fs::write(&path, rules(&["sum by (plan (cutover_run_rows)"])).unwrap();
    assert!(!promtool(&["check", "rules", path.to_str().unwrap()], "").status.success());
}
