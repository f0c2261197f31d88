//! Answers by exit code alone: `status --check` for monitoring systems, and `plan --exit-code` for scripts.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::served::TOKEN;
use crate::lab::{id, plan};
use crate::tools;

/// Asks as a monitoring system does, and holds the answer to the form: one line with a state, figures that add up, and nothing on
/// standard error.
#[track_caller]
fn check(lab: &Lab, args: &[&str], code: i32, word: &str, said: &str) {
    let ended = lab.cutover(&[&["status", "--check"], args].concat());
    holds(&ended, code, word, said);
}

#[track_caller]
fn holds(ended: &Ended, code: i32, word: &str, said: &str) {
    let Ended { stdout, stderr, .. } = ended;
    assert_eq!((ended.code, stderr.as_str()), (Some(code), ""), "{stdout}");
    let line = stdout.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && line.starts_with(&format!("CUTOVER {word} - ")), "{stdout}");
    assert!(line.contains(said), "`{said}` is not in {line}");
    match line.split_once(" | ") {
        None => assert_eq!(code, 3, "{line}"),
        Some((_, figures)) => {
            let figure = |name: &str| -> f64 {
                let text = figures.split(' ').find_map(|figure| figure.strip_prefix(&format!("{name}="))).unwrap();
                text.trim_end_matches('s').split(';').next().unwrap().parse().unwrap()
            };
            let parts = ["on_target", "not_on_target", "unsettled"].map(figure);
            assert!((parts.iter().sum::<f64>() - figure("rows")).abs() < 0.5, "{line}");
            // The time of a run that is in an archive is not known any more.
            assert!(line.contains(" taken out of the journal ") || figure("elapsed") >= 0.0, "{line}");
        }
    }
}

#[test]
fn a_monitoring_system_is_told_in_its_own_codes_where_a_run_stands() {
    let _machine = shared();
    let lab = Lab::new();
    check(&lab, &[], 3, "UNKNOWN", "there is no journal");
    lab.write("small.csv", &plan(2, "stopped,syncing"));
    lab.write("large.csv", &plan(60, "stopped,syncing"));
    let sandbox = lab.serve("large.csv", "");
    lab.launch(&sandbox, &["run", "small.csv"]).exits(0);
    check(&lab, &[], 0, "OK", "of small.csv ended with 0 (done); 2 of 2 rows on target, 0 unsettled");

    let launch = lab.begin(&sandbox, &["run", "large.csv", "--rate", "10"]);
    assert!(launch.reaches("attempt_ended"));
    check(&lab, &[], 0, "OK", "of large.csv goes on; ");
    let status = lab.cutover(&["status"]).exits(0).stdout;
    let run = lab.journal().text("SELECT id FROM run ORDER BY run DESC LIMIT 1");
    assert!(status.contains("  nothing: it goes on by itself; watch it, or steer it: "), "{status}");
    assert!(status.contains(&format!("  cutover status {run} --watch\n")) && !status.contains(" pause\n"), "{status}");
    lab.cutover(&["control", "pause", "--reason", "phone call"]).exits(0);
    check(&lab, &[], 1, "WARNING", "of large.csv goes on: paused since ");
    check(&lab, &[], 1, "WARNING", &format!(": phone call (`cutover control {run} continue` lets it go on); "));
    launch.kill();
    check(&lab, &[], 2, "CRITICAL", "of large.csv was cut off");
    lab.cutover(&["control", "continue"]).exits(0);
    // A run that is named is asked about, whatever was launched later.
    let first = lab.journal().text("SELECT id FROM run ORDER BY run LIMIT 1");
    check(&lab, &[&first], 0, "OK", "of small.csv");
    check(&lab, &["nonsense"], 3, "UNKNOWN", "nonsense");
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    check(&lab, &[], 0, "OK", "of large.csv ended with 0 (done); 60 of 60 rows");
}

#[test]
fn a_refused_launch_is_not_hidden_by_the_run_before_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("first.csv", &plan(2, "stopped,syncing"));
    lab.write("second.csv", &plan(5, "stopped,syncing"));
    let sandbox = lab.serve("second.csv", "");
    lab.launch(&sandbox, &["run", "first.csv"]).exits(0);
    lab.launch(&sandbox, &["run", "second.csv", "--max-changes", "1"]).exits(3);
    check(&lab, &[], 2, "CRITICAL", "of second.csv ended with 3 (refused): 3 rows would be changed");
}

#[test]
fn a_run_that_is_in_an_archive_is_answered_for_as_it_ended() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("good.csv", &plan(2, "stopped,syncing"));
    lab.write("bad.csv", &plan(5, "stopped,syncing"));
    let sandbox = lab.serve("bad.csv", "[[fault]]\nsources = [\"vm-00004\"]\nkind = \"forbidden\"\ntimes = 99\n");
    let prune = || lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    lab.launch(&sandbox, &["run", "good.csv", "--run-key", "night"]).exits(0);
    let good = lab.journal().text("SELECT id FROM run");
    prune();
    let says = format!(
        "run {good} of good.csv ended with 0 (done); 2 of 2 rows on target, 0 unsettled; taken out of the journal "
    );
    for named in [&[][..], &[&good[..]], &["night"], &["good.csv"]] {
        check(&lab, named, 0, "OK", &says);
    }
    let gone = "error: the journal holds no run any more, and the last was this: run ";
    for verb in [
        &["status"][..],
        &["report", "--format", "csv"],
        &["resume"],
        &["retry"],
        &["rollback"],
        &["explain", "vm-00001"],
    ] {
        let ended = lab
            .cutover(verb)
            .exits(2)
            .says(gone)
            .says(&good)
            .says("ended with 0 (done) and was taken out of the journal ");
        assert!(
            ended.stderr.contains("`cutover audit verify --bundle ") && !ended.stderr.contains(" yet"),
            "{}",
            ended.stderr
        );
    }
    lab.cutover(&["status", "good.csv"])
        .exits(2)
        .says(&format!("error: run {good} of 2 rows ended with 0 (done) and was taken out"));
    lab.cutover(&["status", "bad.csv"]).exits(2).says("the journal has no run `bad.csv`");
    lab.launch(&sandbox, &["run", "bad.csv"]).exits(1);
    check(&lab, &[], 2, "CRITICAL", "of bad.csv ended with 1 (not_on_target); 4 of 5 rows on target");
    prune();
    check(
        &lab,
        &[],
        2,
        "CRITICAL",
        "of bad.csv ended with 1 (not_on_target); 4 of 5 rows on target, 0 unsettled; taken out of",
    );
    check(&lab, &["night"], 0, "OK", &says);
    check(&lab, &["other.csv"], 3, "UNKNOWN", "the journal has no run `other.csv`");
    let listed = lab.cutover(&["runs"]).exits(0);
    assert_eq!(listed.stdout, "");
    assert!(
        listed.stderr.starts_with("the journal holds no run any more\n2 runs were taken out of the journal"),
        "{}",
        listed.stderr
    );
}

#[test]
fn a_wave_that_nobody_released_waits_for_a_person() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write(
        "rows.csv",
        &plan(3, "stopped,syncing").replace("syncing\n", "syncing,pilot\n").replace("cycle\n", "cycle,wave\n"),
    );
    lab.write("plan.toml", "files = [\"rows.csv\"]\n[[waves]]\nname = \"pilot\"\napproval = true\n");
    let sandbox = lab.serve("rows.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.toml"]);
    assert!(launch.reaches("wait_began"));
    let run = lab.journal().text("SELECT id FROM run");
    let waits = format!("waits for approval of wave `pilot`: `cutover control {run} release pilot` gives it; ");
    check(&lab, &[], 1, "WARNING", &format!("of plan.toml goes on: {waits}"));
    lab.cutover(&["control", "release", "pilot"]).exits(0);
    launch.end().exits(0);
    check(&lab, &[], 0, "OK", "ended with 0");
}

#[test]
fn an_account_that_was_stopped_waits_for_a_person_while_others_go_on() {
    let _machine = shared();
    let lab = Lab::new();
    let mut rows = "source_id,copystate,migrationcycle,target\n".to_owned();
    for i in 1..=40 {
        writeln!(rows, "{},stopped,syncing,{}", id(i), if i % 2 == 0 { "a" } else { "b" }).unwrap();
    }
    lab.write("plan.csv", &rows);
    let sandbox = lab.serve("plan.csv", "");
    let profile = |name: &str| {
        format!("[profiles.{name}]\nendpoint = '{}'\ntoken_env = 'TOKEN_{name}'\naccount = '{name}'\n", sandbox.url)
    };
    lab.write("cutover.toml", &(profile("a") + &profile("b")));
    let mut command = lab.command(&["run", "plan.csv", "--yes", "--events", "--no-progress", "--rate", "10"]);
    command.env("TOKEN_a", TOKEN).env("TOKEN_b", "wrong").env_remove("CUTOVER_AUTH_TOKEN");
    let launch = Launch::start(command);
    assert!(launch.reaches_nth("attempt_ended", 3));
    check(&lab, &[], 1, "WARNING", "goes on: 1 account stopped; ");
    launch.kill();
    check(&lab, &[], 2, "CRITICAL", "was cut off");
}

#[test]
fn an_open_question_waits_for_a_person() {
    if tools::lack(&["script"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let run = format!("exec {} run plan.csv --endpoint {}", env!("CARGO_BIN_EXE_cutover"), sandbox.url);
    let mut terminal = lab.command_of("script", &["-qec", &run, "/dev/null"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut shown, mut out) = (Vec::new(), terminal.stdout.take().unwrap());
    let mut byte = [0];
    while !shown.ends_with(b"[y/N]") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    check(
        &lab,
        &[],
        1,
        "WARNING",
        "of plan.csv goes on: it looks at the servers, or asks whether to go on; 0 of 3 rows",
    );
    terminal.stdin.take().unwrap().write_all(b"n\n").unwrap();
    assert_eq!(terminal.wait_with_output().unwrap().status.code(), Some(3));
    check(&lab, &[], 2, "CRITICAL", "ended with 3 (refused)");
}

#[test]
fn whatever_goes_wrong_is_unknown_and_nothing_else() {
    let _machine = shared();
    let lab = Lab::new();
    // Arguments and settings that are errors elsewhere (2).
    check(&lab, &["--nonsense"], 3, "UNKNOWN", "unexpected argument '--nonsense'");
    check(&lab, &["--json"], 3, "UNKNOWN", "'--check' cannot be used with '--json'");
    check(&lab, &["--config", "none.toml"], 3, "UNKNOWN", "none.toml");
    let mut command = lab.command(&["status", "--check"]);
    command.env("CUTOVER_NONSENSE", "1");
    holds(&Launch::start(command).end(), 3, "UNKNOWN", "CUTOVER_NONSENSE");
    // A file that is no journal (7).
    lab.write("cutover.db", &"not a journal ".repeat(1_000));
    check(&lab, &[], 3, "UNKNOWN", "the file is not a journal of cutover");
    check(&lab, &["--journal", "a|b.db"], 3, "UNKNOWN", "a¦b.db");
    // An answer that cannot be delivered (70).
    let mut command = lab.command(&["status", "--check"]);
    command.stdout(Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap()));
    assert_eq!(command.status().unwrap().code(), Some(3));
}

#[test]
fn a_plan_tells_by_its_code_whether_there_is_something_to_change() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let show = |args: &[&str]| lab.cutover(&[&["plan", "plan.csv", "--endpoint", &sandbox.url], args].concat());
    show(&[]).exits(0);
    show(&["--exit-code"]).exits(10);
    let document: Value = serde_json::from_str(&show(&["--exit-code", "--json"]).exits(10).stdout).unwrap();
    assert_eq!(document["schema"], "cutover.plan.v1");
    show(&["--exit-code", "-o", "sealed.plan"]).exits(10);
    assert!(lab.path("sealed.plan").exists());
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(0);
    show(&["--exit-code"]).exits(0);
    // What would be blocked is not changed, and an error stays what it is.
    lab.write("plan.csv", "source_id,copystate\nunknown-server,stopped\n");
    show(&["--exit-code"]).exits(0);
    lab.write("plan.csv", "source_id,copystate\n");
    show(&["--exit-code"]).exits(2);
    lab.cutover(&["plan", "sealed.plan", "--exit-code", "--endpoint", "http://127.0.0.1:1"]).exits(8);
}
