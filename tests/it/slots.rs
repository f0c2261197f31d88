//! Scheduled slots: run keys, what a launch does at the lock of another one, the time that it has to begin, and plans without rows.

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::dice::Dice;
use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::{shared, signal};
use crate::lab::plan;
use crate::lab::served::Served;

/// Fast enough for a test, and slow enough to be met while it goes on.
const PACED: [&str; 4] = ["--rate", "20", "--preflight", "off"];

/// A plan of ten rows, of which the service refuses one.
fn lab() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(10, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\ntimes = 99\n");
    (lab, sandbox)
}

/// Calls a launching verb at a sandbox like cron.
fn call(lab: &Lab, sandbox: &Served, args: &[&str]) -> Ended {
    let with = [args, &["--endpoint", &sandbox.url, "--no-progress"]].concat();
    let yes: &[&str] = if args.first() == Some(&"reconcile") { &[] } else { &["--yes"] };
    Launch::start(lab.command(&[&with, yes].concat())).end()
}

fn n_runs(lab: &Lab) -> usize {
    lab.journal().count("SELECT count(*) FROM run")
}

/// Begins a run of another plan in the same account, and pauses it, so that it goes on and holds the account.
fn holder(lab: &Lab, sandbox: &Served, more: &[&str]) -> Launch {
    lab.write("pause", "");
    lab.write("held.csv", &plan(2, "stopped,syncing"));
    let launch = lab.begin(sandbox, &[&["run", "held.csv", "--pause-file", "pause"], more].concat());
    assert!(launch.reaches("controlled"));
    launch
}

fn release(lab: &Lab, holder: Launch) {
    std::fs::remove_file(lab.path("pause")).unwrap();
    holder.end().exits(0);
}

#[test]
fn of_twenty_launches_at_once_some_of_them_killed_there_is_one_run_and_each_ends_with_its_code() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let args = [&["run", "plan.csv", "--run-key", "night", "--if-locked", "wait=2m"], &PACED[..]].concat();
    let mut launches: Vec<Launch> = (0..20).map(|_| lab.begin(&sandbox, &args)).collect();
    let (mut dice, mut killed, mut told_to_end) = (Dice(7), Vec::new(), Vec::new());
    // Whoever carries the run is ended twice, and others with it.
    for (n_changes, name) in [(2, "KILL"), (5, "TERM")] {
        sandbox.reach(n_changes);
        let pid = u32::try_from(lab.journal().count("SELECT pid FROM run")).unwrap();
        let carrier = launches.iter().position(|launch| launch.pid() == pid).expect("one of them carries the run");
        let mut ending = vec![launches.swap_remove(carrier)];
        for _ in 0..3 {
            let n = dice.below(u32::try_from(launches.len()).unwrap());
            ending.push(launches.swap_remove(usize::try_from(n).unwrap()));
        }
        for launch in &ending {
            signal(name, launch.pid());
        }
        if name == "KILL" { &mut killed } else { &mut told_to_end }.extend(ending);
    }
    for ended in killed.into_iter().map(Launch::end) {
        assert_eq!(ended.code, None, "{}", ended.stderr);
    }
    for ended in told_to_end.into_iter().map(Launch::end) {
        ended.exits(143);
    }
    assert_eq!(launches.len(), 12);
    for ended in launches.into_iter().map(Launch::end) {
        let ended = ended.exits(1);
        assert!(ended.stderr.contains("9 of 10 rows are on target"), "{}", ended.stderr);
    }
    assert_eq!(n_runs(&lab), 1);
    assert_eq!(lab.journal().text("SELECT run_key || verdicts FROM (SELECT run_key, (SELECT count(*) FROM v_row WHERE verdict = 'applied') AS verdicts FROM v_run)"), "night9");
    let n_sent = sandbox.changes().len();
    call(&lab, &sandbox, &["run", "plan.csv", "--run-key", "night"]).exits(1).says("of the key `night` has ended");
    assert_eq!(sandbox.changes().len(), n_sent);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn a_key_makes_one_run_goes_on_with_it_and_is_used_up_when_that_has_ended() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let slot =
        |key: &str, more: &[&str]| call(&lab, &sandbox, &[&["run", "plan.csv", "--run-key", key], more].concat());
    // Halted after one failure: the rest is left.
    slot("first", &["--consecutive-failures", "1", "--concurrency", "1"]).exits(4);
    // A launch with another key leaves it alone, and says so on one line.
    let other =
        slot("second", &[]).exits(1).says("of the same target is unfinished: `cutover runs --unfinished` shows it");
    assert_eq!(other.stderr.matches("unfinished").count(), 2, "{}", other.stderr);
    assert_eq!(n_runs(&lab), 2);
    slot("first", &[]).exits(1).says("taking up run").says("(key `first`)");
    let n_asked = sandbox.ledger().len();
    let again = slot("first", &["--json", "--report", "again.html"]).exits(1);
    let document: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((document["run_key"].as_str(), document["exit"]["code"].as_u64()), (Some("first"), Some(1)));
    assert!(lab.path("again.html").exists());
    let quiet = slot("first", &["-q"]).exits(1);
    assert!(quiet.stdout.is_empty() && quiet.stderr.starts_with("error: "), "{}", quiet.stderr);
    assert_eq!(sandbox.ledger().len(), n_asked, "nothing was asked");
    let run = lab.journal().text("SELECT id FROM run WHERE run_key = 'first'");
    assert_eq!(lab.journal().text("SELECT group_concat(launches) FROM run"), "2,1");
    // Another plan, another target.
    lab.write("other.csv", &plan(3, "stopped,syncing"));
    let of_other = |more: &[&str]| call(&lab, &sandbox, &[&["run", "other.csv", "--run-key", "first"], more].concat());
    of_other(&[])
        .exits(2)
        .says(&format!("is that of run {run}, which has another plan"))
        .says(&format!("cutover status {run}"));
    let elsewhere = lab.serve("plan.csv", "");
    call(&lab, &elsewhere, &["run", "plan.csv", "--run-key", "first"]).exits(2).says("which has another target");
    slot("first", &["--new"]).exits(2);
    assert_eq!((n_runs(&lab), sandbox.ledger().len()), (2, n_asked));
    // A row that is opened again makes the run one that goes on, and the key's code is that of its end.
    sandbox.move_to("vm-00003", "stopped", "syncing");
    call(&lab, &sandbox, &["retry", &run]).exits(0);
    slot("first", &["-q"]).exits(0);
}

#[test]
fn the_key_of_a_run_that_is_in_an_archive_is_still_used_up_and_ends_with_its_code() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("good.csv", &plan(2, "stopped,syncing"));
    let slot =
        |plan: &str, key: &str, more: &[&str]| call(&lab, &sandbox, &[&["run", plan, "--run-key", key], more].concat());
    slot("plan.csv", "bad", &[]).exits(1);
    slot("good.csv", "good", &[]).exits(0);
    let archive = ["journal", "prune", "--keep", "0d", "--archive", "old"];
    lab.cutover(&archive).exits(0);
    assert_eq!(n_runs(&lab), 0);
    let n_asked = sandbox.ledger().len();
    slot("plan.csv", "bad", &[])
        .exits(1)
        .says("ended with 1 (not_on_target) and was taken out")
        .says("nothing was sent");
    slot("good.csv", "good", &[]).exits(0).says("ended with 0 (done) and was taken out").says("nothing is sent");
    let quiet = slot("good.csv", "good", &["-q"]).exits(0);
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
    let told = slot("good.csv", "good", &["--json"]).exits(0);
    let document: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(document["exit"]["code"], 0);
    // Another plan under the key is still an error.
    slot("good.csv", "bad", &[]).exits(2).says("which has another plan");
    assert_eq!((n_runs(&lab), sandbox.ledger().len()), (0, n_asked));
}

#[test]
fn a_key_may_come_from_the_environment_and_has_to_be_one() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let with = |key: &str, args: &[&str]| {
        let args = [&["run", "plan.csv", "--yes", "--no-progress", "--endpoint", &sandbox.url], args].concat();
        let mut command = lab.command(&args);
        command.env("CUTOVER_RUN_KEY", key);
        Launch::start(command).end()
    };
    with("$(date +%F)", &[])
        .exits(2)
        .says("`CUTOVER_RUN_KEY` has a command or a variable in it that no shell has replaced");
    with("night", &["--new"]).exits(2).says("unset CUTOVER_RUN_KEY");
    lab.cutover(&["run", "plan.csv", "--run-key", ""]).exits(2).says("is empty");
    assert!(sandbox.ledger().is_empty() && !lab.path("cutover.db").exists());
    with("night", &[]).exits(1);
    // The flag goes before the variable, and a variable that is empty is not set.
    with("night", &["--run-key", "day"]).exits(1);
    with("", &[]).exits(1);
    let keys =
        lab.journal().text("SELECT group_concat(coalesce(run_key, '-')) FROM (SELECT run_key FROM run ORDER BY run)");
    assert_eq!(keys, "night,day,-");
    // What a dry run shows uses no key up, and other verbs do not mind the variable.
    with("dry", &["--dry-run"]).exits(0);
    assert_eq!(n_runs(&lab), 3);
}

#[test]
fn an_unfinished_run_of_a_key_is_taken_up_by_hand_without_it() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let halted = ["--consecutive-failures", "1", "--concurrency", "1"];
    call(&lab, &sandbox, &[&["run", "plan.csv", "--run-key", "night"], &halted[..]].concat()).exits(4);
    call(&lab, &sandbox, &["run", "plan.csv"]).exits(1).says("(key `night`) where it stands");
    assert_eq!(n_runs(&lab), 1);
}

#[test]
fn at_the_lock_of_another_launch_one_fails_is_skipped_or_waits() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let holding = holder(&lab, &sandbox, &[]);
    let launches: [&[&str]; 3] = [
        &["run", "plan.csv", "--run-key", "night"],
        &["run", "plan.csv", "--run-key", "night", "--journal", "elsewhere.db"],
        &["resume"],
    ];
    for launch in launches {
        call(&lab, &sandbox, launch).exits(6).says("another launch holds");
        let skip = |more: &[&str]| call(&lab, &sandbox, &[launch, &["--if-locked", "skip"], more].concat()).exits(0);
        let skipped = skip(&[]);
        assert!(skipped.stdout.is_empty(), "{}", skipped.stdout);
        assert!(
            skipped.stderr.lines().last().unwrap().starts_with("skipped: another launch holds "),
            "{}",
            skipped.stderr
        );
        let document: Value = serde_json::from_str(&skip(&["--json"]).stdout).unwrap();
        assert_eq!(document["exit"]["code"], 0);
        let quiet = skip(&["-q"]);
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""), "{launch:?}");
        let waited = call(&lab, &sandbox, &[launch, &["--if-locked", "wait=300ms"]].concat()).exits(6);
        assert!(waited.stderr.contains("nothing was sent"), "{}", waited.stderr);
        let begun = Instant::now();
        let late = ["--if-locked", "wait=1h", "--start-within", "300ms"];
        call(&lab, &sandbox, &[launch, &late[..]].concat()).exits(4).says("could not begin within 300 ms of");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    call(&lab, &sandbox, &["reconcile", "--if-locked", "skip", "--metrics-file", "skipped.prom"]).exits(0);
    assert!(!lab.path("skipped.prom").exists(), "a launch that is skipped is no success");
    assert!(!lab.path("elsewhere.db").exists(), "no journal is made for a launch that is skipped");
    assert_eq!(lab.journal().count("SELECT count(*) FROM run WHERE run_key IS NOT NULL"), 0, "no key is used up");
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let waits = Launch::start(lab.command(&with_yes(&sandbox, &["run", "plan.csv", "--if-locked", "wait"])));
        while !listens(waits.pid(), name) {
            std::thread::sleep(Duration::from_millis(5));
        }
        waits.signal(name);
        waits.end().exits(code).says("during the wait: another launch holds");
    }
    let waits = lab.begin(&sandbox, &["run", "plan.csv", "--run-key", "night", "--if-locked", "wait"]);
    while !listens(waits.pid(), "TERM") {
        std::thread::sleep(Duration::from_millis(5));
    }
    release(&lab, holding);
    waits.end().exits(1).says("waiting for at most 5 min: another launch holds");
}

/// Tells whether a process handles a signal by itself.
///
/// source: `proc_pid_status(5)` (`SigCgt`), signal(7)
fn listens(pid: u32, name: &str) -> bool {
    let number = match name {
        "HUP" => 1,
        "INT" => 2,
        _ => 15,
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
    mask.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & (1 << (number - 1)) != 0)
}

/// Hours of the day that are an hour from now, in UTC.
fn hours_to_come() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let hour = |ahead: u64| (seconds / 3600 + ahead) % 24;
    format!("{:02}:00-{:02}:00", hour(2), hour(3))
}

#[test]
fn what_cannot_begin_in_its_time_ends_and_has_sent_nothing() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("pause", "");
    lab.write("plan.toml", "[[waves]]\nname = \"all\"\nfiles = [\"plan.csv\"]\napproval = true\n");
    let hours = hours_to_come();
    let window = ["--window", &hours, "--timezone", "UTC", "--start-within", "10m"];
    let cases: [(&str, &[&str], &str); 3] = [
        // Known at once: it is not waited for.
        ("plan.csv", &window, "could not begin within 10 min of its launch: it would wait for the window to open"),
        (
            "plan.csv",
            &["--pause-file", "pause", "--start-within", "1s"],
            "could not begin within 1 s of its launch: paused by",
        ),
        (
            "plan.toml",
            &["--start-within", "1s"],
            "could not begin within 1 s of its launch: waiting for approval of wave `all`",
        ),
    ];
    for (name, args, says) in cases {
        let begun = Instant::now();
        let ended = call(&lab, &sandbox, &[&["run", name, "--new"], args].concat()).exits(4).says(says);
        assert!(ended.stderr.contains("nothing was sent by this launch; 10 rows left to do: "), "{}", ended.stderr);
        assert!(begun.elapsed() < Duration::from_secs(30), "{name} {args:?}");
        let drain =
            "SELECT json_extract(detail, '$.reason') FROM event WHERE kind = 'drain_began' ORDER BY run DESC LIMIT 1";
        assert_eq!(lab.journal().text(drain), "not_begun");
    }
    let launch = lab.begin(&sandbox, &["run", "plan.toml", "--new", "--start-within", "4s", "-q"]);
    assert!(launch.reaches("wait_began"));
    lab.cutover(&["control", "pause"]).exits(0);
    let ended =
        launch.end().exits(4).says("it is paused, so that no launch begins: lift that first: `cutover control ");
    assert!(ended.stderr.contains(" continue`, then `cutover resume "), "{}", ended.stderr);
    lab.cutover(&["control", "continue"]).exits(0);
    assert!(sandbox.changes().is_empty());
    // What has begun in time goes on for as long as it takes.
    let slow = ["run", "plan.csv", "--new", "--rate", "4", "--start-within", "1s"];
    call(&lab, &sandbox, &slow).exits(1);
}

#[test]
fn a_report_that_an_earlier_launch_could_not_write_is_settled_by_one_of_its_key_that_writes_its_own() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let full = lab.path("full.json");
    for (key, settles) in [("same", "full.json"), ("other", "other.json"), ("reconciled", "")] {
        let slot = |more: &[&str]| call(&lab, &sandbox, &[&["run", "plan.csv", "--run-key", key], more].concat());
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        slot(&["--report", "full.json"]).exits(70).says("could not write `full.json`");
        let run = lab.journal().text(&format!("SELECT id FROM run WHERE run_key = '{key}'"));
        // What is still missing is another launch's, and has a command that settles it.
        for more in [&["-q"][..], &[]] {
            let told = slot(more).exits(70).says("of an earlier launch: could not write `full.json`");
            assert!(told.stderr.contains(&format!("cutover reconcile {run}")), "{}", told.stderr);
        }
        let own = slot(&["--report", "full.json"]).exits(70).says("could not write `full.json`");
        assert!(!own.stderr.contains("of an earlier launch"), "{}", own.stderr);
        std::fs::remove_file(&full).unwrap();
        if settles.is_empty() {
            call(&lab, &sandbox, &["reconcile", &run]).exits(1);
        } else {
            let ended = slot(&["-q", "--report", settles]).exits(1);
            assert!(!ended.stderr.contains("No space left"), "{}", ended.stderr);
            let report: Value = serde_json::from_str(&std::fs::read_to_string(lab.path(settles)).unwrap()).unwrap();
            let summary = report.get("summary").unwrap_or(&report);
            assert_eq!(summary["exit"]["code"], 1, "{key}: the report has the end that it settles");
            lab.cutover(&["audit", "verify", &run, "--anchor", summary["anchor"].as_str().unwrap()]).exits(0);
        }
        let n_events = lab.journal().count("SELECT count(*) FROM event");
        let quiet = slot(&["-q"]).exits(1);
        assert!(!quiet.stderr.contains("No space left"), "{}", quiet.stderr);
        slot(&["-q", "--report", "later.json"]).exits(1);
        assert_eq!(lab.journal().count("SELECT count(*) FROM event"), n_events, "{key}: it is settled once");
        lab.cutover(&["audit", "verify", &run]).exits(0);
        _ = std::fs::remove_file(&full);
    }
}

#[test]
fn a_launch_that_a_file_stops_before_it_sends_says_so_and_what_is_left() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("stopf", "");
    for more in [&["-q"][..], &[], &["--preflight", "off"]] {
        let run = ["run", "plan.csv", "--new", "--stop-file", "stopf"];
        let ended = call(&lab, &sandbox, &[&run[..], more].concat()).exits(4);
        let says =
            "error: drained by the file stopf; nothing was sent by this launch; 10 rows left to do: cutover resume ";
        assert!(ended.stderr.contains(says), "{more:?}: {}", ended.stderr);
    }
    assert!(sandbox.changes().is_empty());
}

#[test]
fn a_bad_key_or_duration_is_told_with_its_flag_its_value_and_what_it_may_be() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let range = "a duration is more than 0s and at most 168h, which is a week";
    for (flag, value, says) in [
        ("--start-within", "0s", format!("error: `--start-within`: `0s` is too short: {range}\n")),
        ("--start-within", "200h", format!("error: `--start-within`: `200h` is too long: {range}\n")),
        ("--if-locked", "wait=0s", format!("error: `--if-locked`: `0s` is too short: {range}\n")),
        ("--verify-timeout", "0", format!("error: `--verify-timeout`: `0` is too short: {range}\n")),
        ("--timeout", "soon", "error: `--timeout`: `soon` is not a duration such as 30s, 500ms or 2m\n".to_owned()),
        ("--run-key", "", "invalid value '' for '--run-key <KEY>': is empty\n".to_owned()),
        (
            "--run-key",
            "a\tb",
            "invalid value 'a\\tb' for '--run-key <KEY>': has characters that do not print".to_owned(),
        ),
    ] {
        lab.cutover(&["run", "plan.csv", "--yes", "--endpoint", "sandbox", flag, value]).exits(2).says(&says);
    }
    assert!(!lab.path("cutover.db").exists());
}

#[test]
fn a_plan_without_rows_is_an_error_unless_it_may_be_empty() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    let header = "source_id,copystate,migrationcycle\n";
    lab.write("empty.csv", header);
    lab.write("empty.tsv", &header.replace(',', "\t"));
    lab.write("empty.jsonl", "# no rows\n");
    lab.write("empty.toml", "files = ['empty.csv']\n");
    lab.write("rowless.toml", "rows = []\n");
    for name in ["empty.csv", "empty.tsv", "empty.jsonl", "empty.toml", "rowless.toml"] {
        for verb in ["check", "plan", "run", "rehearse"] {
            let at = if verb == "check" { vec![] } else { vec!["--endpoint", &sandbox.url] };
            let args = |more: &[&'static str]| [&[verb, name][..], &at, more].concat();
            lab.cutover(&args(&[])).exits(2).says("the plan has no rows (`--allow-empty` takes such a plan)");
            let ended = lab.cutover(&args(&["--allow-empty"])).exits(0);
            assert_eq!((ended.stdout + &ended.stderr).lines().count(), 1, "{verb} {name}");
            let quiet = lab.cutover(&args(&["--allow-empty", "-q"])).exits(0);
            assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""), "{verb} {name}");
            let json = lab.cutover(&args(&["--allow-empty", "--json"])).exits(0);
            serde_json::from_str::<Value>(&json.stdout).unwrap();
        }
    }
    // An export that broke off has not even a header.
    lab.write("rows.csv", &plan(2, "stopped,syncing"));
    lab.write("broken-off.toml", "files = ['rows.csv', 'broken-off.csv']\n");
    for text in ["", " \n\n", "# nothing to do\n", "sep=;\n", ",,\n"] {
        lab.write("broken-off.csv", text);
        for verb in ["check", "run"] {
            let at = if verb == "check" { vec![] } else { vec!["--endpoint", &sandbox.url] };
            for name in ["broken-off.csv", "broken-off.toml"] {
                let args = [&[verb, name, "--allow-empty"][..], &at].concat();
                lab.cutover(&args).exits(2).says("broken-off.csv:1:1: error: the file is empty, not even a header");
            }
        }
    }
    // It is no plan without rows in any other notation, either.
    let header = "1:1: error: the file is empty, not even a header (`--allow-empty` takes a header without rows)";
    let line = "1:1: error: the file is empty, with no line at all (`--allow-empty` takes a comment line, such as `# no rows`)";
    let rows = "1:1: error: the file is empty, or names no rows: it has neither `files` nor `rows` (`--allow-empty` takes `rows = []`)";
    lab.write("of-lines.toml", "files = ['rows.csv', 'e.jsonl']\n");
    for (name, text, plan, says) in [
        ("e.tsv", "", "e.tsv", header),
        ("e.jsonl", "", "e.jsonl", line),
        ("e.jsonl", "\n \n", "e.jsonl", line),
        ("e.ndjson", "", "e.ndjson", line),
        ("e.jsonl", "", "of-lines.toml", line),
        ("e.toml", "", "e.toml", rows),
        ("e.toml", "# a plan\n", "e.toml", rows),
        ("e.toml", "name = \"night\"\n", "e.toml", rows),
    ] {
        lab.write(name, text);
        for verb in ["check", "plan", "run", "rehearse"] {
            let at = if verb == "check" { vec![] } else { vec!["--endpoint", &sandbox.url] };
            lab.cutover(&[&[verb, plan, "--allow-empty"][..], &at].concat()).exits(2).says(&format!("{name}:{says}\n"));
        }
    }
    // Anything else that is wrong with it is an error all the same.
    lab.write("broken.csv", "source,state\n");
    lab.cutover(&["run", "broken.csv", "--allow-empty", "--endpoint", &sandbox.url]).exits(2);
    assert!(!lab.path("cutover.db").exists() && sandbox.ledger().is_empty());
    // No key is used up.
    let slot = |plan: &str| call(&lab, &sandbox, &["run", plan, "--allow-empty", "--run-key", "night"]);
    slot("empty.csv").exits(0);
    slot("plan.csv").exits(1);
    // A key that is used by then is that of another plan, also after its run is in an archive.
    let n_asked = sandbox.ledger().len();
    for _ in 0..2 {
        slot("empty.csv").exits(2).says("the run key `night` is that of run ").says(", which has another plan");
        lab.cutover(&[
            "run",
            "empty.csv",
            "--allow-empty",
            "--run-key",
            "night",
            "--dry-run",
            "--endpoint",
            &sandbox.url,
        ])
        .exits(2)
        .says(", which has another plan");
        lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    }
    assert_eq!(sandbox.ledger().len(), n_asked);
}

#[test]
fn without_a_run_to_report_a_line_says_that_no_report_is_written() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("empty.csv", "source_id,copystate,migrationcycle\n");
    let report = |args: &[&str], file| call(&lab, &sandbox, &[args, &["--report", file]].concat()).exits(0);
    let empty = ["run", "empty.csv", "--allow-empty"];
    report(&empty, "new.csv").says("and no run is made; no report is written to `new.csv`\n");
    lab.write("old.csv", "of yesterday");
    let told = report(&empty, "old.csv");
    let line = "the plan `empty.csv` has no rows: nothing is to do, and no run is made; no report is written to `old.csv`, and what \
                is there is of before\n";
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", line));
    let holding = holder(&lab, &sandbox, &[]);
    let skipped = report(&["run", "plan.csv", "--if-locked", "skip"], "old.csv");
    assert!(
        skipped.stderr.contains("; nothing was sent; no report is written to `old.csv`, and what"),
        "{}",
        skipped.stderr
    );
    release(&lab, holding);
    lab.write("good.csv", &plan(2, "stopped,syncing"));
    let slot = ["run", "good.csv", "--run-key", "night"];
    report(&slot, "good.html");
    assert!(lab.path("good.html").exists());
    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "archives"]).exits(0);
    report(&slot, "later.html").says("; nothing is sent; no report is written to `later.html`\n");
    assert_eq!(std::fs::read_to_string(lab.path("old.csv")).unwrap(), "of yesterday");
    assert!(!lab.path("new.csv").exists() && !lab.path("later.html").exists());
}

#[test]
fn a_dry_run_says_which_run_a_launch_would_make_or_go_on_with_and_changes_nothing() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("other.csv", &plan(3, "stopped,syncing"));
    let dry = |plan: &str, more: &[&str]| {
        let args = ["run", plan, "--dry-run", "--endpoint", &sandbox.url];
        lab.cutover(&[&args[..], more].concat())
    };
    let slot =
        |plan: &str, key: &str, more: &[&str]| call(&lab, &sandbox, &[&["run", plan, "--run-key", key], more].concat());
    let events = || lab.journal().value("SELECT (SELECT count(*) FROM event) || ' ' || (SELECT count(*) FROM run)");
    let shown = |ended: Ended, says: &str| {
        let ended = ended.exits(0).says(says);
        assert!(ended.stdout.starts_with("10 rows: "), "{}", ended.stdout);
    };
    shown(dry("plan.csv", &["--run-key", "night"]), "a launch with the key `night`, which is free, makes a new run\n");
    shown(dry("plan.csv", &[]), "a launch makes a new run\n");
    assert!(!lab.path("cutover.db").exists());

    slot("plan.csv", "night", &["--consecutive-failures", "1", "--concurrency", "1"]).exits(4);
    let (run, before) = (lab.journal().text("SELECT id FROM run"), events());
    let left = lab.journal().count("SELECT count(*) FROM row WHERE verdict IS NULL");
    let rows = format!("run {run}: {} rows settled, which stay as they are, {left} left\n", 10 - left);
    let goes_on = format!("a launch with the key `night` goes on with {rows}");
    shown(dry("plan.csv", &["--run-key", "night"]), &goes_on);
    shown(dry("plan.csv", &[]), &format!("a launch goes on with {rows}"));
    shown(dry("plan.csv", &["--new"]), "a launch makes a new run\n");
    shown(dry("plan.csv", &["--run-key", "day"]), "with the key `day`, which is free, makes a new run\n");
    let of_another = |says: &str| dry("other.csv", &["--run-key", "night"]).exits(2).says(says);
    of_another(&format!("the run key `night` is that of run {run}, which has another plan"));
    assert_eq!(events(), before);

    slot("plan.csv", "night", &[]).exits(1);
    let (n_asked, before) = (sandbox.ledger().len(), events());
    let ended = format!(
        "run {run} of this key has ended: a launch with the key `night` sends nothing and ends with 1 (not_on_target)"
    );
    let told = dry("plan.csv", &["--run-key", "night"]).exits(0);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", format!("{ended}\n").as_str()));
    let document: Value =
        serde_json::from_str(&dry("plan.csv", &["--run-key", "night", "--json"]).exits(0).stdout).unwrap();
    assert_eq!((&document["exit"]["code"], document["message"].as_str()), (&0.into(), Some(ended.as_str())));
    of_another("which has another plan");
    assert_eq!((sandbox.ledger().len(), events()), (n_asked, before), "nothing is asked or written");

    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    dry("plan.csv", &["--run-key", "night"])
        .exits(0)
        .says("was taken out of the journal")
        .says("a launch with the key `night` sends nothing and ends with 1 (not_on_target)");
    of_another("which has another plan");
    assert_eq!((sandbox.ledger().len(), n_runs(&lab)), (n_asked, 0));

    let holding = lab.begin(&sandbox, &["run", "other.csv", "--run-key", "held", "--rate", "1", "--preflight", "off"]);
    assert!(holding.reaches("attempt_started"));
    dry("other.csv", &["--run-key", "held"]).exits(0).says(" left; another launch holds it now\n");
    holding.kill();
}

#[test]
fn a_key_is_that_of_a_seal_also_after_its_run_is_in_an_archive() {
    let _machine = shared();
    let (lab, sandbox) = lab();
    lab.write("good.csv", &plan(2, "stopped,syncing"));
    let seal = |name: &str| lab.cutover(&["plan", "good.csv", "-o", name, "--endpoint", &sandbox.url]).exits(0);
    let slot = |plan: &str| call(&lab, &sandbox, &["run", plan, "--run-key", "night"]);
    seal("first.plan");
    slot("first.plan").exits(0);
    seal("second.plan");
    for _ in 0..2 {
        slot("second.plan").exits(2).says("which was made from another seal of the plan; nothing was sent");
        slot("good.csv").exits(2).says("which was made from another seal of the plan");
        slot("first.plan").exits(0);
        lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    }
}
