//! Log: all that is told, in a file; decisions and requests for those who ask; priorities for the system's journal.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;

const RUN: [&str; 7] = ["run", "plan.csv", "--yes", "--rate", "off", "--endpoint", "sandbox"];

fn read(lab: &Lab, name: &str) -> String {
    std::fs::read_to_string(lab.path(name)).unwrap()
}

/// Line of a log in text.
#[derive(Debug)]
struct Line<'a> {
    level: &'a str,
    run: &'a str,
    told: &'a str,
}

/// Takes the lines of a log apart; each has a time, a level and a run.
#[track_caller]
fn lines(log: &str) -> Vec<Line<'_>> {
    let line = |line| {
        let parts: Vec<&str> = str::splitn(line, 4, ' ').collect();
        let [at, level, run, told] = parts[..] else { panic!("not a line of a log: {line}") };
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["error", "warning", "info", "debug", "trace"].contains(&level), "{line}");
        Line { level, run: run.strip_prefix("run=").unwrap(), told }
    };
    log.lines().map(line).collect()
}

#[test]
fn a_log_file_has_all_that_is_told_even_with_q_and_is_appended_to() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let ended = lab.cutover(&[&RUN[..], &["-q", "--log-file", "run.log"]].concat()).exits(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let first = read(&lab, "run.log");
    let mode = |name| std::fs::metadata(lab.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run.log"), mode("cutover.db"));
    let run = lab.journal().text("SELECT id FROM run");
    for (told, of_run) in
        [("cutover 0.", "-"), ("looking at 3 rows at sandbox", &run), ("All 3 rows are on target", &run)]
    {
        let line = lines(&first).into_iter().find(|line| line.told.starts_with(told));
        let line = line.unwrap_or_else(|| panic!("`{told}` is not in:\n{first}"));
        assert_eq!((line.level, line.run), ("info", of_run));
    }
    let failed = lab.cutover(&["run", "plan.csv", "--log-file", "run.log", "-v"]).exits(2).says("no endpoint is set");
    let both = read(&lab, "run.log");
    assert!(both.starts_with(&first), "{both}");
    let said = lines(&both).into_iter().find(|line| line.level == "error").unwrap();
    assert_eq!(said.told, "no endpoint is set");
    assert!(failed.stderr.contains("error: no endpoint is set"));
    // By the variable as well, and of a verb that carries no run.
    let mut command = lab.command(&["check", "plan.csv"]);
    command.env("CUTOVER_LOG_FILE", "other.log");
    Launch::start(command).end().exits(0);
    assert!(lines(&read(&lab, "other.log")).iter().all(|line| line.run == "-"));
}

/// A few rows that are throttled, fail and are sent again.
const NIGHT: &str = "
[quota]
per_second = 20
stated = true
applies_to = \"changes\"
[[fault]]
sources = [\"vm-00001\"]
kind = \"status\"
status = 503
[[fault]]
sources = [\"vm-00002\"]
kind = \"slow_effect\"
after_ms = 3500
";

/// Runs the plan with a log in JSON, and returns its objects.
fn logged(lab: &Lab, endpoint: &str, more: &[&str]) -> (Vec<Value>, Ended) {
    let run = ["run", "plan.csv", "--yes", "--rate", "off", "--endpoint", endpoint];
    let ended = lab.cutover(&[&run[..], &["--log-format", "json", "--log-file", "run.log"], more].concat()).exits(0);
    let log = read(lab, "run.log");
    (log.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), ended)
}

#[test]
fn with_v_decisions_are_told_and_with_two_of_them_requests() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", NIGHT);
    let (log, ended) = logged(&lab, &sandbox.url, &["-vv", "--no-progress"]);
    let run = lab.journal().text("SELECT id FROM run");
    let of_level = |level: &str| log.iter().filter(|line| line["level"] == level).collect::<Vec<_>>();
    let decisions = of_level("debug");
    let told = |row: Option<&str>, text: &str| {
        let is_it = |line: &&&Value| {
            line["row"].as_str() == row && line["message"].as_str().is_some_and(|message| message.contains(text))
        };
        let found = decisions.iter().find(is_it);
        assert!(found.is_some(), "{row:?} {text}: {decisions:#?}");
        assert!(found.unwrap()["run"] == run.as_str() || found.unwrap()["run"].is_null());
    };
    told(None, "takes its credentials from");
    told(None, " rows by pages of the list: fewer requests");
    told(None, "the pace of account `default` goes from");
    told(None, "ms before its next request: throttled");
    let row = Some("vm-00001");
    told(row, "attempt 1 sends stopped/syncing, ");
    told(row, "503");
    told(row, "is in doubt: looked at before anything is sent");
    told(row, "was looked at: it is syncing/syncing");
    told(row, "attempt 2 sends");
    told(row, "is settled as applied");
    told(Some("vm-00002"), "does not show its target yet: looked at again in ");
    let requests = of_level("trace");
    let answered = |method: &str, path: &str, status: u64| {
        let is_it = |line: &&&Value| {
            line["method"] == method && line["path"].as_str().unwrap().starts_with(path) && line["status"] == status
        };
        let found = requests.iter().find(is_it).unwrap_or_else(|| panic!("{method} {path} {status}: {requests:#?}"));
        assert!(found["took_ms"].is_u64() && found["request_id"].is_string(), "{found}");
        found["row"].clone()
    };
    assert_eq!(answered("PUT", "/v3/sources/vm-00001/changestate", 503), "vm-00001");
    assert_eq!(answered("PUT", "/v3/sources/vm-00003/changestate", 200), "vm-00003");
    assert_eq!(answered("GET", "/v3/sources?limit=200&offset=0", 200), Value::Null);
    assert!(requests.iter().any(|line| line["message"] == "sends" && line.get("status").is_none()));
    // Standard error has the same, in the same form.
    let lines: Vec<Value> = ended.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.iter().filter(|line| line["level"] == "trace").count(), requests.len());
    // With one, there are decisions and no requests; with none, neither; with -q, they are in the file alone.
    for (more, levels, shown) in [(&["-v"][..], 1, true), (&[], 0, false), (&["-q", "-vv"], 2, false)] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(2, "stopped,syncing"));
        let (log, ended) = logged(&lab, "sandbox", more);
        let has = |level: &str| usize::from(log.iter().any(|line| line["level"] == level));
        assert_eq!(has("debug") + has("trace"), levels, "{more:?}");
        assert_eq!(ended.stderr.contains("\"debug\""), shown, "{more:?}: {}", ended.stderr);
    }
}

#[test]
fn with_v_preflight_and_steering_say_what_they_decide_and_why() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("estate.csv", &plan(3, "stopped,syncing"));
    lab.write("rows.csv", &plan(4, "stopped,syncing,pilot").replacen("cycle\n", "cycle,wave\n", 1));
    lab.write("night.toml", "files = ['rows.csv']\n[[waves]]\nname = 'pilot'\ncanary = { rows = 1 }\n");
    let sandbox = lab.serve("estate.csv", "");
    lab.write("pause", "");
    let flags = ["--rate", "off", "-v", "--pause-file", "pause", "--log-file", "run.log"];
    let launch = lab.begin(&sandbox, &[&["run", "night.toml"], &flags[..]].concat());
    assert!(launch.reaches("controlled"));
    let until = Instant::now() + Duration::from_secs(30);
    while !read(&lab, "run.log").contains("is to be sent") {
        assert!(Instant::now() < until, "{}", read(&lab, "run.log"));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(lab.path("pause")).unwrap();
    launch.end().exits(1);
    let log = read(&lab, "run.log");
    let decisions: Vec<&str> =
        lines(&log).into_iter().filter(|line| line.level == "debug").map(|line| line.told).collect();
    for decision in [
        "no change leaves until the run goes on",
        "changes may leave again",
        "account `default`: 4 rows by pages of the list first",
        "account `default`: what no page shows for certain is looked at by id",
        "row=vm-00001 is to be sent: ",
        "row=vm-00004 is not sent (blocked): ",
        "the canary of wave `pilot` is over: each of its rows has its verdict",
        "wave `pilot` is over: each of its rows has its verdict",
    ] {
        assert!(decisions.iter().any(|told| told.starts_with(decision)), "{decision}: {decisions:#?}");
    }
    assert!(!log.contains(" trace "), "requests are told with -vv alone");
}

#[test]
fn a_log_file_that_was_moved_away_is_opened_again_at_a_signal() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let flags = ["--rate", "20", "-v", "--log-file", "run.log"];
    let launch = lab.begin(&sandbox, &[&["run", "plan.csv"], &flags[..]].concat());
    assert!(launch.reaches_nth("attempt_ended", 3));
    std::fs::rename(lab.path("run.log"), lab.path("run.log.1")).unwrap();
    launch.signal("USR1");
    let until = Instant::now() + Duration::from_secs(30);
    while !lab.path("run.log").exists() {
        assert!(Instant::now() < until, "it was not opened again");
        std::thread::sleep(Duration::from_millis(5));
    }
    launch.end().exits(0);
    let (before, after) = (read(&lab, "run.log.1"), read(&lab, "run.log"));
    assert!(before.contains("looking at 30 rows") && !before.contains("All 30 rows are on target"), "{before}");
    assert!(after.contains("All 30 rows are on target") && !after.contains("looking at 30 rows"), "{after}");
    let sent: Vec<String> = (1..=30).map(|i| format!("row={} attempt 1 sends", crate::lab::id(i))).collect();
    let both = before + &after;
    assert!(sent.iter().all(|line| both.contains(line)), "nothing is lost on the way: {both}");
    lines(&both);
}

#[test]
fn the_signal_of_whoever_rotates_logs_ends_no_process_and_is_not_ignored_by_its_children() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(8, "stopped,syncing"));
    // The hook is vetoed by its own code where the signal is ignored in a child: the shell tells of a child that a signal ended by 128
    // and the number of the signal, which is 10.
    lab.write("cutover.toml", "[hooks]\nbefore_run = '''kill -USR1 $PPID; sh -c 'kill -USR1 $$'; test $? -eq 138'''\n");
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "10"]);
    assert!(launch.reaches_nth("attempt_ended", 2));
    launch.signal("USR1");
    launch.end().exits(0).says("before_run");
}

#[test]
fn nobody_has_to_take_the_diagnostics_for_the_run_to_go_on() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(300, "stopped,syncing"));
    // The pipe is open, and nobody reads from it.
    let mut command = lab.command(&[&RUN[..], &["-vv", "--no-progress", "--log-file", "run.log"]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                _ = child.kill();
                panic!("it waits for a reader of its diagnostics");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(ended.code(), Some(0));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    let log = read(&lab, "run.log");
    assert!(log.len() > text.len() && log.contains("ends with 0"), "more was told than a pipe holds");
    assert_eq!(lab.journal().tally()["applied"], 300);
}

#[test]
fn levels_in_the_log_are_those_of_the_matter() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("bad.csv", "source_id,copystate,odd\nvm-1,finishd,1\n");
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    lab.cutover(&["run", "bad.csv", "--yes", "--log-file", "bad.log"]).exits(2);
    let bad = read(&lab, "bad.log");
    let level_of = |log: &str, told: &str| {
        lines(log).into_iter().find(|line| line.told.contains(told)).map(|line| line.level.to_owned())
    };
    assert_eq!(level_of(&bad, "bad.csv:2:6: error: ").as_deref(), Some("error"), "{bad}");
    assert_eq!(level_of(&bad, "bad.csv:1:21: warning: ").as_deref(), Some("warning"), "{bad}");
    lab.write("cutover.toml", "[hooks]\nbefore_run = 'exit 1'\n");
    lab.cutover(&[&RUN[..], &["--log-file", "run.log"]].concat());
    let log = read(&lab, "run.log");
    assert_eq!(level_of(&log, "vetoed").as_deref(), Some("warning"), "{log}");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing_and_one_that_cannot_be_opened_is_an_error_of_usage() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    for (journal, quiet) in [("loud.db", &["--no-progress"][..]), ("quiet.db", &["-q"])] {
        let more = ["--log-file", "/dev/full", "-vv", "--journal", journal];
        let ended = lab.cutover(&[&RUN[..], &more, quiet].concat()).exits(0);
        let warnings: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains("No space left on device"), "{}", ended.stderr);
        assert!(quiet == ["--no-progress"] || ended.stderr.lines().count() == 1, "{}", ended.stderr);
    }
    lab.write("kept.log", "");
    symlink("kept.log", lab.path("link.log")).unwrap();
    std::fs::hard_link(lab.path("kept.log"), lab.path("second.log")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(lab.path("pipe.log")).status().unwrap().success());
    std::fs::create_dir(lab.path("folder.log")).unwrap();
    let size = |name: &str| std::fs::metadata(lab.path(name)).map(|found| found.len()).ok();
    for bad in ["none/run.log", "link.log", "second.log", "pipe.log", "folder.log", "loud.db", "plan.csv"] {
        let before = size(bad);
        let ended = lab.cutover(&[&RUN[..], &["--log-file", bad, "--journal", "new.db"]].concat()).exits(2);
        let ended = ended.says(&format!("error: the log file `{bad}` cannot be opened"));
        assert!(ended.stderr.contains("hint: name a plain file"), "{}", ended.stderr);
        assert_eq!(size(bad), before, "{bad}");
        assert!(!lab.path("new.db").exists(), "nothing is begun");
    }
    lab.write("theirs.log", "");
    if chown(lab.path("theirs.log"), Some(1), None).is_ok() {
        let hint =
            "hint: it belongs to daemon: type the command as that user (`sudo -u daemon cutover run plan.csv --yes";
        let ended = lab.cutover(&[&RUN[..], &["--log-file", "theirs.log", "--journal", "new.db"]].concat()).exits(2);
        ended.says(hint).says("--log-file theirs.log --journal new.db`), or name a plain file in a folder");
    } else {
        println!("left out: only root can play two users");
    }
    // An untrusted folder's own file may not say what is written.
    lab.write("cutover.toml", "log_file = \"run.log\"\n");
    let mut command = lab.command(&["check", "plan.csv"]);
    command.env_remove("CUTOVER_CONFIG");
    Launch::start(command).end().exits(2).says("names a file that is written");
    assert!(!lab.path("run.log").exists());
}

#[test]
fn messages_have_priorities_where_standard_error_is_the_stream_to_the_journal_and_nowhere_else() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("bad.csv", "source_id,copystate\nvm-1,finishd\n");
    let told = |args: &[&str], stream: &dyn Fn(&File) -> String| {
        let path = lab.path("stderr");
        let stderr = File::create(&path).unwrap();
        let mut command = lab.command(args);
        command.env("JOURNAL_STREAM", stream(&stderr)).stdout(Stdio::null()).stderr(stderr);
        command.status().unwrap();
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let this = |file: &File| file.metadata().map(|found| format!("{}:{}", found.dev(), found.ino())).unwrap();
    let another = |file: &File| file.metadata().map(|found| format!("{}:{}", found.dev(), found.ino() + 1)).unwrap();
    let run = [&RUN[..], &["-v", "--no-progress"]].concat();
    let text = told(&run, &this);
    assert!(text.lines().all(|line| line.starts_with("<6>") || line.starts_with("<7>debug: ")), "{text}");
    assert!(text.contains("<6>looking at 3 rows") && text.contains("<6>    vm-00003"), "{text}");
    let text = told(&["run", "bad.csv", "--yes"], &this);
    assert!(text.contains("<3>bad.csv:2:6: error: ") && text.contains("<3>error: the plan has 1 error"), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')) && text.contains("<3>hint: "), "{text}");
    let text = told(&["run"], &this);
    assert!(text.lines().all(|line| line.starts_with("<3>")), "{text}");
    let text = told(&[&RUN[..], &["--log-format", "json", "--new", "--no-progress"]].concat(), &this);
    assert!(text.lines().all(|line| line.starts_with("<6>{\"at\":")), "{text}");
    // The variable is inherited by programs whose standard error leads elsewhere.
    for stream in [&another as &dyn Fn(&File) -> String, &|_| String::new(), &|_| "8:".to_owned()] {
        let text = told(&["run", "bad.csv", "--yes"], stream);
        assert!(!text.contains('<') && text.contains("error: the plan has 1 error"), "{text}");
    }
}
