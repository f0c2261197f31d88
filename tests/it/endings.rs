//! Ends of launches and other verbs: exit code, document, and the message when a result cannot be delivered.

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::journal::Journal;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;

/// Parses the only document on standard output.
#[track_caller]
fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| {
        panic!("{error}: standard output was:\n{}\nstandard error:\n{}", ended.stdout, ended.stderr)
    })
}

/// Runs a verb with its standard output to this path.
fn to(lab: &Lab, path: &str, args: &[&str]) -> Ended {
    let script = format!("exec \"$0\" \"$@\" > {path}");
    let words = [&["-c", &script, env!("CARGO_BIN_EXE_cutover")], args].concat();
    Launch::start(lab.command_of("sh", &words)).end()
}

#[test]
fn whatever_it_ends_with_json_is_told_in_one_document() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("bad.csv", "source_id,copystate\nvm-1,stopped\nvm-2,finishd\n,stopped\n");
    let dead = ["--endpoint", "http://127.0.0.1:1", "--attempts", "1"];
    let run = ["run", "plan.csv", "--yes"];
    let cases: [(Vec<&str>, i32); 17] = [
        (vec!["run"], 2),
        (vec!["runn", "plan.csv"], 2),
        (vec!["run", "plan.csv", "--quick"], 2),
        (vec!["run", "nosuch.csv", "--yes"], 2),
        (vec!["run", "bad.csv", "--yes", "--endpoint", "sandbox"], 2),
        (vec!["run", "plan.csv", "--endpoint", "sandbox"], 2),
        (run.to_vec(), 2),
        ([&run[..], &["--endpoint", "sandbox", "--rate", "x"]].concat(), 2),
        ([&run[..], &["--endpoint", "sandbox", "--max-changes", "1"]].concat(), 3),
        ([&["plan", "plan.csv"], &dead[..]].concat(), 8),
        ([&["sources", "list"], &dead[..]].concat(), 8),
        (vec!["retry", "nosuch"], 2),
        (vec!["explain", "vm-9"], 2),
        (vec!["status", "--journal", "nosuch.db"], 2),
        (vec!["report", "--format", "md", "-o", "nosuch/x"], 2),
        (vec!["control", "pause"], 2),
        (vec!["init", "new"], 0),
    ];
    for (args, code) in cases {
        let ended = lab.cutover(&[&args[..], &["--json"]].concat()).exits(code);
        let document = document(&ended);
        println!("{args:?}: {document}");
        let is_of_run = document["schema"] == "cutover.summary.v1";
        assert!(is_of_run || document["schema"] == "cutover.error.v1", "{args:?}: {document}");
        assert_eq!(document["exit"]["code"], code, "{args:?}");
        if !is_of_run {
            assert!(document["message"].is_string() && document["problems"].is_array(), "{args:?}: {document}");
        }
    }
    let bad = document(&lab.cutover(&["run", "bad.csv", "--yes", "--json", "--endpoint", "sandbox"]));
    let first = serde_json::json!({"file": "bad.csv", "line": 3, "column": 6, "severity": "error",
        "text": "unknown copystate \"finishd\"", "suggestion": "finished"});
    assert_eq!((bad["problems"].as_array().unwrap().len(), &bad["problems"][0]), (2, &first));
}

#[test]
fn without_credentials_or_a_way_to_the_service_the_codes_are_five_and_eight() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    for verb in [&["run", "plan.csv", "--yes"][..], &["plan", "plan.csv"], &["sources", "list"]] {
        let mut nobody = lab.command(&[verb, &["--endpoint", "http://127.0.0.1:1", "--json"]].concat());
        nobody.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
        let ended = Launch::start(nobody).end().exits(5).says("no credentials are set").says("hint: ");
        assert_eq!(document(&ended)["exit"]["name"], "credentials");
        let dead = [verb, &["--endpoint", "http://127.0.0.1:1", "--attempts", "1", "--json"]].concat();
        let ended = lab.cutover(&dead).exits(8).says("connection refused");
        assert_eq!(document(&ended)["exit"]["name"], "unreachable");
    }
    // The service that issues tokens cannot be reached, either.
    let mut user = lab.command(&["run", "plan.csv", "--yes", "--endpoint", "http://127.0.0.1:1"]);
    user.env_remove("CUTOVER_AUTH_TOKEN").env("HW_AUTH_URL", "http://127.0.0.1:1");
    user.envs([("HW_USER_NAME", "u"), ("HW_PASSWORD", "p"), ("HW_DOMAIN_NAME", "d")]);
    Launch::start(user).end().exits(8);
}

#[test]
fn what_cannot_be_looked_at_for_want_of_a_service_is_tried_later() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"hang_after\"\n");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off"]);
    sandbox.reach(2);
    launch.kill();
    let url = sandbox.url.clone();
    drop(sandbox);
    for verb in [&["reconcile", "--attempts", "1"][..], &["resume", "--attempts", "1", "--preflight", "off", "--yes"]] {
        let ended = lab.cutover(&[verb, &["--json", "--endpoint", &url]].concat()).exits(8);
        let ended = ended.says("2 in doubt: cutover reconcile ");
        assert_eq!(document(&ended)["exit"]["name"], "unreachable", "{verb:?}");
    }
}

#[test]
fn rows_that_are_all_blocked_stop_nothing() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate,expect_copystate\nvm-1,stopped,error\nvm-2,stopped,error\n");
    let sandbox = lab.serve("plan.csv", "");
    lab.write("plan.csv", "source_id,copystate,expect_copystate\nvm-1,stopped,cleared\nvm-2,stopped,cleared\n");
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(1);
    assert_eq!(lab.journal().tally()["blocked"], 2);
}

#[test]
fn quiet_says_nothing_of_what_is_well_and_one_line_of_the_rest() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00002\"]\nkind = \"silent\"\n");
    let run = ["run", "plan.csv", "--yes", "-q", "--verify-timeout", "1s", "--endpoint", &sandbox.url];
    let ended = lab.cutover(&run).exits(1);
    let (said, cause) = ("error: 2 of 3 rows are on target; 1 needs a look: no_effect, ", "(vm-00002)\n\nhint: ");
    assert!(ended.stdout.is_empty() && ended.stderr.starts_with(said), "{}", ended.stderr);
    assert!(ended.stderr.contains(cause) && ended.stderr.lines().count() == 3, "{}", ended.stderr);
    let ended = lab.cutover(&["retry", "--yes", "-q", "--endpoint", &sandbox.url]).exits(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

/// Verbs that answer by their exit code: silent for yes, one `error:` line with a hint for no.
#[test]
fn with_q_a_yes_is_silent_and_a_no_is_one_error() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("warned.csv", "source_id,copystate,rack\nvm-1,syncing,7\n");
    lab.write("bad.csv", "source_id,copystate\nvm-1,finishd\nvm-2,finishd\n");
    let sandbox = lab.serve("plan.csv", "");
    let at = ["--endpoint", &sandbox.url];
    let run = |more: &[&'static str]| [&["run", "plan.csv", "--yes", "--new"], &at[..], more].concat();
    lab.cutover(&run(&[])).exits(0);
    let doctor = [&["doctor"], &at[..]].concat();
    for verb in [
        &["check", "plan.csv"][..],
        &["check", "warned.csv"],
        &["audit", "verify"],
        &["init", "new"],
        &doctor,
        &run(&[]),
        &run(&["--events"]),
    ] {
        let ended = lab.cutover(&[verb, &["-q"]].concat()).exits(0);
        let told = if verb.contains(&"--events") { String::new() } else { ended.stdout };
        assert_eq!((told.as_str(), ended.stderr.as_str()), ("", ""), "{verb:?}");
    }
    // Requested output is printed even with `-q`.
    for verb in [&["status"][..], &["runs"], &["report", "--format", "csv"], &["check", "plan.csv", "--json"]] {
        assert!(!lab.cutover(&[verb, &["-q"]].concat()).exits(0).stdout.is_empty(), "{verb:?}");
    }
    lab.write("other.csv", &plan(2, "error,syncing"));
    let dead = ["doctor", "--endpoint", "http://127.0.0.1:1"];
    rusqlite::Connection::open(lab.path("cutover.db")).unwrap().execute("UPDATE row SET name = 'x'", []).unwrap();
    for (verb, code, says) in [
        (&["check", "bad.csv"][..], 2, "the plan `bad.csv` has 2 errors, the first: bad.csv:2:6: unknown copystate"),
        (&["check", "none.csv"], 2, "could not read the plan"),
        (&["audit", "verify"], 7, "is not what it was"),
        (&dead, 8, "Connection refused"),
    ] {
        let ended = lab.cutover(&[verb, &["-q"]].concat()).exits(code).says(says);
        assert!(ended.stdout.is_empty(), "{verb:?}: {}", ended.stdout);
        let (error, hint) = ended.stderr.split_once("\n\n").unwrap_or((&ended.stderr, "hint: none\n"));
        let lines: Vec<&str> = error.lines().filter(|line| !line.starts_with("  caused by: ")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{verb:?}: {}", ended.stderr);
        assert!(hint.starts_with("hint: ") && hint.lines().count() == 1, "{verb:?}: {}", ended.stderr);
    }
    // A missing safeguard is reported even with `-q`.
    let mut command = lab.command(&run(&["-q"]));
    let ended = Launch::start({
        command.env("XDG_STATE_HOME", "/dev/null/none");
        command
    })
    .end()
    .exits(0);
    assert!(ended.stderr.starts_with("warning: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("another run of this account would not be noticed"), "{}", ended.stderr);
}

#[test]
fn a_result_that_cannot_be_delivered_is_told_once_and_ends_with_seventy() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    // The run is settled first; the journal says how it ended, and the process why it ended otherwise.
    for (n, more) in [&["--events"][..], &["--json"], &["--events", "--json"], &[]].into_iter().enumerate() {
        let run = ["run", "plan.csv", "--rate", "off", "--new", "--yes", "--no-progress", "--endpoint", &sandbox.url];
        let ended = to(&lab, "/dev/full", &[&run[..], more].concat()).exits(70);
        let n_said = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(n_said == 1 && ended.stderr.contains("No space left on device"), "{more:?}: {}", ended.stderr);
        let journal = lab.journal();
        assert_eq!(journal.count("SELECT count(*) FROM run"), n + 1);
        assert_eq!(
            journal.rows().iter().filter(|row| row.verdict == "applied" || row.verdict == "already").count(),
            30
        );
        let ended_with = "SELECT exit_code FROM run ORDER BY run DESC LIMIT 1";
        assert_eq!(journal.count(ended_with), 70, "{more:?}: what is recorded is what the process ended with");
        let told = document(&lab.cutover(&["status", "--json"]).exits(0));
        let reason = told["exit"]["reason"].as_str().unwrap();
        assert!(told["exit"]["code"] == 70 && reason.contains("No space left on device"), "{more:?}: {told}");
        lab.cutover(&["audit", "verify"]).exits(0);
    }
    // A report that was written before says the same, and has the last event of the journal.
    let run = ["run", "plan.csv", "--rate", "off", "--new", "--yes", "--json", "--endpoint", &sandbox.url];
    to(&lab, "/dev/full", &[&run[..], &["--report", "report.json"]].concat()).exits(70);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(lab.path("report.json")).unwrap()).unwrap();
    let summary = report.get("summary").unwrap_or(&report);
    assert_eq!(summary["exit"]["code"], 70, "{summary}");
    lab.cutover(&["audit", "verify", "--anchor", summary["anchor"].as_str().unwrap()]).exits(0);
    assert_eq!(sandbox.changes().len(), 30);
    let reading: [&[&str]; 27] = [
        &["--help"],
        &["--version"],
        &["run", "--help"],
        &["check", "plan.csv"],
        &["check", "plan.csv", "--json"],
        &["plan", "plan.csv", "--endpoint", &sandbox.url],
        &["status"],
        &["status", "--json"],
        &["runs"],
        &["runs", "--json"],
        &["explain", "vm-00001"],
        &["explain", "vm-00001", "--json"],
        &["audit", "verify"],
        &["audit", "verify", "--json"],
        &["rollback", "--json"],
        &["reconcile", "--json"],
        &["doctor", "--endpoint", &sandbox.url, "--json"],
        &["sources", "list", "--endpoint", &sandbox.url],
        &["sources", "show", "vm-00001", "--endpoint", &sandbox.url],
        &["sources", "plan", "--to-state", "stopped", "--endpoint", &sandbox.url],
        &["rehearse", "plan.csv", "--endpoint", "sandbox"],
        &["init", "new", "--json"],
        &["approve", "plan.csv", "--as", "Ada", "--json"],
        &["report", "--format", "csv"],
        &["report", "--format", "html", "-o", "/dev/full"],
        &["config", "show"],
        &["run", "nosuch.csv", "--yes", "--json"],
    ];
    for args in reading {
        let ended = to(&lab, "/dev/full", args);
        assert_eq!(ended.code, Some(70), "{args:?}: {}", ended.stderr);
    }
    // A reader that has seen enough is no error.
    for more in [&["--events"][..], &["--json"], &[]] {
        let run = ["run", "plan.csv", "--rate", "off", "--new", "--yes", "--no-progress", "--endpoint", &sandbox.url];
        let script = "{ \"$0\" \"$@\"; echo $? > code; } | true";
        let words = [&["-c", script, env!("CARGO_BIN_EXE_cutover")], &run[..], more].concat();
        Launch::start(lab.command_of("sh", &words)).end();
        assert_eq!(std::fs::read_to_string(lab.path("code")).unwrap(), "0\n");
    }
}

#[test]
fn a_report_that_cannot_be_written_at_the_end_is_in_the_document_of_the_run() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    std::os::unix::fs::symlink("/dev/full", lab.path("full.csv")).unwrap();
    let run = ["run", "plan.csv", "--rate", "off", "--yes", "--json", "--endpoint", &sandbox.url];
    let ended = lab.cutover(&[&run[..], &["--report", "full.csv"]].concat()).exits(70);
    let ended = ended.says("could not write `full.csv`").says("30 changes left before that");
    let again = format!(
        "the run itself ended: All 30 rows are on target. Once there is room for the report, `cutover report {} --format csv \
         -o full.csv` writes it",
        lab.journal().text("SELECT id FROM run")
    );
    let ended = ended.says(&again);
    let told = document(&ended);
    assert_eq!((&told["schema"], &told["exit"]["code"]), (&"cutover.summary.v1".into(), &70.into()));
    assert_eq!(lab.journal().tally()["applied"], 30);
    let recorded = document(&lab.cutover(&["status", "--json"]).exits(0));
    assert_eq!((&recorded["exit"], &recorded["anchor"]), (&told["exit"], &told["anchor"]));
    lab.cutover(&["audit", "verify", "--anchor", told["anchor"].as_str().unwrap()]).exits(0);
}

#[test]
fn what_cannot_work_at_all_is_said_before_what_was_not_given() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("bad.csv", "source_id,copystate\nvm-1,finishd\n");
    lab.write("notes.db", &"these are notes, and no journal\n".repeat(400));
    let cases: [(&[&str], &str); 12] = [
        (&["run", "nosuch.csv", "--endpoint", "sandbox"], "could not read the plan"),
        (&["run", "bad.csv", "--endpoint", "sandbox"], "unknown copystate"),
        (&["run", "plan.csv"], "no endpoint is set"),
        (&["run", "plan.csv", "--endpoint", "sandbox", "--journal", "."], "is a folder"),
        (&["run", "plan.csv", "--endpoint", "sandbox", "--journal", "no/such.db"], "there is no folder `no`"),
        (&["run", "plan.csv", "--endpoint", "sandbox", "--approve", "x"], "the plan has no wave `x`"),
        (&["resume"], "there is no journal"),
        (&["retry"], "there is no journal"),
        (&["reconcile"], "there is no journal"),
        (&["resume", "--journal", "notes.db"], "not a journal of cutover"),
        (&["approve", "nosuch.sealed", "--as", " "], "could not read the plan"),
        (&["run", "plan.csv", "--endpoint", "sandbox"], "without a terminal nobody can be asked"),
    ];
    for (args, says) in cases {
        println!("{args:?}");
        let ended = lab.cutover(args).exits(if says == "not a journal of cutover" { 7 } else { 2 }).says(says);
        assert_eq!(
            ended.stderr.contains("without a terminal"),
            says.contains("without a terminal"),
            "{}",
            ended.stderr
        );
    }
    assert!(!lab.path("cutover.db").exists(), "where nobody was asked, nothing was begun");
}

#[test]
fn a_plan_that_is_missing_at_night_is_awaited_and_no_example_is_offered() {
    let _machine = shared();
    let lab = Lab::new();
    for more in [&["--run-key", "night"][..], &["-q"], &[]] {
        let ended = lab.cutover(&[&["run", "nosuch.csv", "--endpoint", "sandbox", "--yes"], more].concat()).exits(2);
        let place = lab.path("nosuch.csv");
        ended.says(&format!("hint: nothing was sent; it was looked for as {}: once", place.display()));
    }
    lab.cutover(&["check", "nosuch.csv"]).exits(2).says("hint: `cutover init` writes an example plan");
}

#[test]
fn a_folder_that_is_not_there_is_not_made_for_a_journal() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let run = ["run", "plan.csv", "--endpoint", "sandbox", "--yes", "--rate", "off", "--journal"];
    let cases = [
        ("no/such/x.db", "there is no folder `no/such` for the journal", "hint: `mkdir -p no/such` makes it"),
        ("~/x.db", "there is no folder `~` for the journal", "hint: write `$HOME`: only a shell knows"),
        (
            "~/nights/x.db",
            "there is no folder `~/nights` for the journal",
            "hint: write `$HOME/nights`: only a shell knows",
        ),
    ];
    for (journal, says, next) in cases {
        lab.cutover(&[&run[..], &[journal]].concat()).exits(2).says(says).says(next);
        let mut named = lab.command(&run[..run.len() - 1]);
        Launch::start({
            named.env("CUTOVER_JOURNAL", journal);
            named
        })
        .end()
        .exits(2)
        .says(says);
    }
    assert!(!lab.path("no").exists() && !lab.path("~").exists());
    std::fs::create_dir_all(lab.path("no/such")).unwrap();
    lab.cutover(&[&run[..], &["no/such/x.db"]].concat()).exits(0);
}

#[test]
fn what_is_written_beside_a_journal_is_for_the_eyes_that_it_is_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let _machine = shared();
    let lab = Lab::new();
    let mode = |name: &str| std::fs::metadata(lab.path(name)).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(lab.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    lab.write("plan.csv", &plan(3, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "");
    let run = ["run", "plan.csv", "--rate", "off", "--yes", "--endpoint", &sandbox.url];
    lab.cutover(&run).exits(0);
    set("cutover.db", 0o640);
    set("plan.csv", 0o600);
    for format in ["csv", "html", "json", "junit", "md", "xlsx"] {
        lab.cutover(&["report", "--format", format, "-o", format]).exits(0);
        assert_eq!(mode(format), 0o640, "{format}");
    }
    lab.cutover(&["audit", "export", "-o", "bundle.zip"]).exits(0);
    lab.cutover(&["audit", "export", "-o", "bundle"]).exits(0);
    assert_eq!([mode("bundle.zip"), mode("bundle")], [0o640, 0o750]);
    for entry in std::fs::read_dir(lab.path("bundle")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o640, "{entry:?}");
    }
    lab.cutover(&["rollback", "-o", "back.csv"]).exits(0);
    assert_eq!(mode("back.csv"), 0o640);
    lab.cutover(&["plan", "plan.csv", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    assert_eq!(mode("sealed.plan"), 0o600, "it holds what the plan held");
    // A replaced file keeps its permissions, whatever the umask takes from new files.
    set("sealed.plan", 0o664);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bob"]).exits(0);
    assert_eq!(mode("sealed.plan"), 0o664);
    set("csv", 0o666);
    lab.cutover(&["report", "--format", "csv", "-o", "csv"]).exits(0);
    assert_eq!(mode("csv"), 0o666);
}

#[test]
fn everything_that_is_left_is_named_at_the_end() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(100, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00001\"]\nkind = \"hang_after\"\n");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--concurrency", "1"]);
    sandbox.reach(1);
    launch.signal("INT");
    assert!(launch.reaches("drain_began"));
    launch.signal("INT");
    let ended =
        launch.end().exits(130).says("99 rows left to do: cutover resume ").says("1 in doubt: cutover reconcile ");
    assert_eq!(ended.stderr.matches("in doubt: cutover reconcile").count(), ended.stderr.matches("left to do").count());
    lab.launch(&sandbox, &["resume", "--rate", "off", "--timeout", "1s"]).exits(0);
}

/// Fates of a journal while a run goes on.
const FATES: [(&str, &str); 6] = [
    ("moved", "mv cutover.db elsewhere.db"),
    ("deleted", "rm cutover.db"),
    ("deleted with all that is beside it", "rm cutover.db cutover.db-wal cutover.db-shm"),
    ("replaced by a copy", "cp cutover.db copy.db && mv copy.db cutover.db"),
    ("its log deleted", "rm cutover.db-wal"),
    ("its folder renamed", "mv night yesterday"),
];

#[test]
fn a_journal_that_went_away_stops_the_run_and_all_of_it_is_saved() {
    let _machine = shared();
    for (fate, command) in FATES {
        println!("{fate}");
        let lab = Lab::new();
        lab.write("plan.csv", &plan(300, "stopped,syncing"));
        std::fs::create_dir(lab.path("night")).unwrap();
        let sandbox = lab.serve("plan.csv", "");
        let args = ["run", "plan.csv", "--rate", "60", "--journal", "night/cutover.db"];
        let launch = lab.begin(&sandbox, &args);
        assert!(launch.reaches_nth("attempt_ended", 20));
        let folder = if command.contains("night") { lab.path(".") } else { lab.path("night") };
        let done = std::process::Command::new("sh").args(["-c", command]).current_dir(&folder).status();
        assert!(done.unwrap().success(), "{fate}");
        let n_before = sandbox.changes().len();
        let ended = launch.end().exits(70).says(": stopped after ").says("everything that was recorded is saved as `");
        let n_sent = sandbox.changes().len();
        assert!(n_sent <= n_before + 20, "{fate}: {n_before} were sent before, {n_sent} in the end");
        for untrue in ["nothing was sent", "no change was sent", "there is no journal"] {
            assert!(!ended.stderr.contains(untrue), "{fate}: {}", ended.stderr);
        }
        let has_a_name = !(fate.starts_with("deleted") || fate == "replaced by a copy");
        assert_eq!(ended.stderr.contains("the file itself, `"), has_a_name, "{fate}: {}", ended.stderr);
        let (_, rest) = ended.stderr.split_once("everything that was recorded is saved as `").unwrap();
        let saved = lab.path(rest.split_once('`').unwrap().0);
        // The saved journal has every change that the server saw, verifies, and can be resumed.
        let saved = saved.to_str().unwrap();
        assert!(
            ended.stderr.contains(&format!("{} rows left to do: cutover resume ", 300 - n_sent)),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(" --journal "), "{fate}: {}", ended.stderr);
        let journal = Journal::open(saved.as_ref());
        let (ended_with, sent) =
            ("SELECT exit_code FROM run", "SELECT count(*) FROM v_attempt WHERE outcome <> 'unsent'");
        assert_eq!((journal.count(ended_with), journal.count(sent)), (70, n_sent), "{fate}");
        lab.cutover(&["audit", "verify", "--journal", saved]).exits(0);
        lab.launch(&sandbox, &["resume", "--rate", "off", "--journal", saved]).exits(0);
        assert_eq!(sandbox.changes().len(), 300, "{fate}: each row was sent once");
        assert_eq!(Journal::open(saved.as_ref()).tally()["applied"], 300, "{fate}");
    }
}

#[test]
fn a_journal_that_goes_away_while_the_run_waits_is_noticed_meanwhile() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.write("pause", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--pause-file", "pause", "--json"]);
    assert!(launch.reaches("controlled"));
    std::fs::remove_file(lab.path("cutover.db")).unwrap();
    // Nobody ends the pause: the run ends only because the loss is noticed.
    let ended = launch.end().exits(70).says("`cutover.db` is no longer there: stopped after 0 changes");
    assert_eq!(sandbox.changes().len(), 0);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["schema"], &last["exit"]["code"]), (&"cutover.summary.v1".into(), &70.into()));
}

#[test]
fn what_is_told_as_sent_never_goes_down() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(150, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "latency_ms = [20, 40]\n");
    let mut launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "60", "--concurrency", "32"]);
    assert!(launch.reaches("attempt_ended"));
    let mut told = Vec::new();
    let mut ask = || {
        let status = lab.cutover(&["status", "--json"]).exits(0);
        told.push(document(&status)["attempts"].as_u64().unwrap());
    };
    for _ in 0..2 {
        ask();
        // Intents that wait for their turn are withdrawn during a pause, which does not end by itself.
        lab.cutover(&["control", "pause"]).exits(0);
        (0..4).for_each(|_| ask());
        lab.cutover(&["control", "continue"]).exits(0);
    }
    while launch.is_running() {
        ask();
    }
    launch.end().exits(0);
    assert!(told.len() >= 10 && told.is_sorted(), "{told:?}");
    assert!(lab.journal().n_events("attempt_ended") > 150, "some were taken back");
    assert_eq!(document(&lab.cutover(&["status", "--json"]))["attempts"], 150);
}

/// Reads in the journal, like another process, until it is dropped.
fn reader_of(path: &std::path::Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    reader
}

#[test]
fn a_reader_that_holds_the_log_is_named_once_and_what_it_grew_to_is_given_back() {
    let _machine = shared();
    let lab = Lab::new();
    let all = plan(8000, "stopped,syncing");
    let (header, rows) = all.split_once('\n').unwrap();
    let (first, rest): (Vec<_>, Vec<_>) = rows.lines().enumerate().partition(|(n, _)| *n < 7000);
    for (name, rows) in [("first.csv", first), ("rest.csv", rest)] {
        let rows: Vec<&str> = std::iter::once(header).chain(rows.into_iter().map(|(_, row)| row)).collect();
        lab.write(name, &rows.join("\n"));
    }
    let waves = "[[waves]]\nname = \"first\"\nfiles = [\"first.csv\"]\n\
                 [[waves]]\nname = \"rest\"\napproval = true\nfiles = [\"rest.csv\"]\n";
    lab.write("plan.toml", waves);
    lab.write("plan.csv", &all);
    let sandbox = lab.serve("plan.csv", "");
    let mut launch = lab.begin(&sandbox, &["run", "plan.toml", "--rate", "off"]);
    assert!(launch.reaches_nth("attempt_ended", 20));
    let reader = reader_of(&lab.path("cutover.db"));
    // It waits with a thousand rows left, and with a large log.
    assert!(launch.reaches("wait_began"));
    let log = || std::fs::metadata(lab.path("cutover.db-wal")).map_or(0, |found| found.len());
    assert!(log() > 17 << 20, "{} bytes", log());
    let doctor = lab.cutover(&["doctor", "--endpoint", "sandbox"]);
    drop(reader);
    lab.cutover(&["control", "release", "rest"]).exits(0);
    // At the end the log is gone or empty, which is no evidence here.
    let mut least = log();
    while launch.is_running() {
        least = least.min(Some(log()).filter(|size| *size > 0).unwrap_or(least));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ended = launch.end().exits(0);
    let said = format!("process {} (`", std::process::id());
    assert_eq!(ended.stderr.matches("has been reading the journal all along").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(&said) && doctor.stdout.contains(&said), "{}{}", ended.stderr, doctor.stdout);
    assert!(least <= 8 << 20, "it had {least} bytes at least, once nobody read any more");
}

#[test]
fn a_copy_without_its_log_is_told_as_one_and_nothing_else_is() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(300, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let copied = |to: &str, suffixes: &[&str]| {
        std::fs::create_dir(lab.path(to)).unwrap();
        for suffix in suffixes {
            let (from, name) = (lab.path(&format!("cutover.db{suffix}")), format!("{to}/cutover.db{suffix}"));
            std::fs::copy(from, lab.path(&name)).unwrap();
        }
    };
    let warns = |journal: &str| {
        let verbs: [&[&str]; 4] = [&["status"], &["runs"], &["audit", "verify"], &["report", "--format", "csv"]];
        let warned = verbs.map(|verb| {
            let ended = lab.cutover(&[verb, &["--journal", journal]].concat()).exits(0);
            ended.stderr.contains("is a copy that was made while run ")
        });
        assert!(warned.iter().all(|is| *is == warned[0]), "{journal}: {warned:?}");
        warned[0]
    };
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "60"]);
    assert!(launch.reaches_nth("attempt_ended", 40));
    copied("alone", &[""]);
    copied("whole", &["", "-wal"]);
    rusqlite::Connection::open(lab.path("cutover.db"))
        .unwrap()
        .execute("VACUUM INTO ?1", [lab.path("vacuumed.db").to_str().unwrap()])
        .unwrap();
    lab.cutover(&["audit", "export", "-o", "bundle"]).exits(0);
    assert!(!warns("cutover.db"), "the journal itself, while it goes on");
    launch.kill();
    assert!(!warns("cutover.db"), "the journal of a launch that was killed");
    lab.cutover(&["control", "skip", "vm-00300"]).exits(0);
    assert!(!warns("cutover.db"), "and once it was written back");
    assert!(warns("alone/cutover.db"));
    for whole in ["whole/cutover.db", "vacuumed.db", "bundle/journal.db"] {
        assert!(!warns(whole), "{whole}");
    }
    std::os::unix::fs::symlink(lab.path("cutover.db"), lab.path("alone/link.db")).unwrap();
    assert!(!warns("alone/link.db"));
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(1);
    copied("ended", &[""]);
    assert!(!warns("ended/cutover.db"));
}

#[test]
fn a_journal_is_a_file_and_leaves_none_that_nobody_named() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let before = std::fs::read_dir(lab.path(".")).unwrap().count();
    for name in ["file:night.db", "file:night.db?mode=memory", "file:///tmp/night/x.db", ":memory:", "-", ""] {
        for verb in [&["run", "plan.csv", "--endpoint", "sandbox", "--yes"][..], &["status"], &["resume", "--yes"]] {
            let ended = lab.cutover(&[verb, &["--journal", name]].concat()).exits(2);
            assert!(ended.stderr.starts_with("error: `--journal`: "), "{name}: {}", ended.stderr);
            assert!(name.is_empty() || ended.stderr.contains(&format!("`./{name}`")), "{name}: {}", ended.stderr);
        }
    }
    let state = usize::from(lab.path("state").exists());
    assert_eq!(std::fs::read_dir(lab.path(".")).unwrap().count(), before + state);
    lab.cutover(&["run", "plan.csv", "--endpoint", "sandbox", "--yes", "--journal", "./file:night.db"]).exits(0);
    assert!(lab.path("file:night.db").exists());
}
