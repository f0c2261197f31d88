//! Silence: what each ending prints on each stream, as a table, and the rules that cron relies on.

use std::fmt::Write as _;

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::journal::Journal;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};

/// Ways of calling a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    Quiet,
    /// As in most crontabs: with `-q`, and results thrown away.
    QuietToNull,
    Json,
}

impl Mode {
    const ALL: [Mode; 4] = [Mode::Plain, Mode::Quiet, Mode::QuietToNull, Mode::Json];

    fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Quiet => "-q",
            Mode::QuietToNull => "-q >/dev/null",
            Mode::Json => "--json",
        }
    }

    /// Name of the journal of a call.
    fn journal(self) -> String {
        format!("{self:?}.db")
    }

    /// Calls the verb in this way, with a journal that is not there yet.
    fn call(self, lab: &Lab, args: &[String], token: &str) -> Ended {
        _ = std::fs::remove_file(lab.path(&self.journal()));
        let journal = self.journal();
        let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
        words.extend(["--journal", &journal, "--no-progress"]);
        match self {
            Mode::Plain => (),
            Mode::Quiet | Mode::QuietToNull => words.push("-q"),
            Mode::Json => words.push("--json"),
        }
        let redirected = if self == Mode::QuietToNull { ">/dev/null" } else { "" };
        let script = format!("exec \"$0\" \"$@\" {redirected}");
        let words = [&["-c", &script, env!("CARGO_BIN_EXE_cutover")], &words[..]].concat();
        let mut command = lab.command_of("sh", &words);
        command.env("CUTOVER_AUTH_TOKEN", token);
        Launch::start(command).end()
    }

    /// Checks the rule of this way to call a launch.
    #[track_caller]
    fn holds(self, ended: &Ended, code: i32) {
        assert_eq!(ended.code, Some(code), "{}: {}", self.name(), ended.stderr);
        match self {
            Mode::Quiet | Mode::QuietToNull => is_silent_or_one_error(ended),
            Mode::Json => _ = document(ended),
            Mode::Plain if ended.stdout.is_empty() => {
                let n_errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
                assert_eq!(n_errors, 1, "without a summary, an error says how it ended: {}", ended.stderr);
            }
            Mode::Plain => {
                let first = ended.stdout.lines().next().unwrap();
                assert!(first.ends_with('.') && first.contains("target"), "the first line is no sentence: {first}");
            }
        }
    }
}

/// Checks that a verb with `-q` wrote nothing at all if it ended with 0, and else one line with the error and one with the hint.
#[track_caller]
fn is_silent_or_one_error(ended: &Ended) {
    assert_eq!(ended.stdout, "");
    if ended.code == Some(0) {
        assert_eq!(ended.stderr, "");
        return;
    }
    let lines: Vec<&str> = ended.stderr.lines().collect();
    match lines[..] {
        [error] => assert!(error.starts_with("error: "), "{}", ended.stderr),
        [error, "", hint] => {
            assert!(error.starts_with("error: ") && hint.starts_with("hint: "), "{}", ended.stderr);
        }
        _ => panic!("neither silent nor one error: {}", ended.stderr),
    }
}

/// Parses the only document on standard output, which says the code that the process ended with.
#[track_caller]
fn document(ended: &Ended) -> Value {
    let document: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout));
    assert_eq!(document["exit"]["code"], ended.code.unwrap(), "{document}");
    document
}

/// One way for a launch to end.
struct Ending {
    name: &'static str,
    code: i32,
    args: Vec<String>,
}

fn ending(name: &'static str, code: i32, args: &[&str]) -> Ending {
    Ending { name, code, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

const EVERY_CHANGE_HANGS: &str = "[[fault]]\nshare = 1.0\nkind = \"hang_after\"\n";

const REFUSES_ONE: &str = "[[fault]]\nsources = [\"vm-00001\"]\nkind = \"forbidden\"\ntimes = 0\n";

/// Seven endings, and sandboxes on which they depend.
fn endings(lab: &Lab, held: &Served) -> Vec<Ending> {
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("refuses.toml", REFUSES_ONE);
    let there = |i| format!("[[source]]\nid = \"vm-0000{i}\"\ncopystate = \"stopped\"\nmigrationcycle = \"syncing\"\n");
    lab.write("there.toml", &(1..=3).map(there).collect::<String>());
    let run = ["run", "plan.csv", "--yes", "--rate", "off", "--endpoint"];
    let inside = |more: &[&'static str]| [&run[..], &["sandbox"], more].concat();
    // So slow that the first answer is there before the second row is sent.
    let halts = ["--scenario", "refuses.toml", "--concurrency", "1", "--consecutive-failures", "1"];
    let halted = [&["run", "plan.csv", "--yes", "--rate", "8", "--endpoint", "sandbox"], &halts[..]].concat();
    vec![
        ending("well", 0, &inside(&[])),
        ending("nothing to do", 0, &inside(&["--scenario", "there.toml"])),
        ending("not on target", 1, &inside(&["--scenario", "refuses.toml"])),
        ending("halted", 4, &halted),
        ending("locked", 6, &[&run[..], &[&held.url]].concat()),
        ending("credentials", 5, &[&run[..], &[&held.url, "--account", "other"]].concat()),
        ending("unreachable", 8, &[&run[..], &["http://127.0.0.1:1", "--attempts", "1"]].concat()),
    ]
}

/// Words that differ from day to day, each with the one that stands for it in the table.
fn changing(lab: &Lab, mode: Mode, held: &Served, holder: u32) -> Vec<(String, &'static str)> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut words = vec![
        (held.url.clone(), "http://127.0.0.1:PORT"),
        (format!("pid {holder} on {}", host.trim()), "pid PID on HOST"),
        (lab.path("").display().to_string(), "HOME/"),
        (mode.journal(), "JOURNAL"),
    ];
    if lab.path(&mode.journal()).exists() {
        let journal = Journal::open(&lab.path(&mode.journal()));
        if journal.count("SELECT count(*) FROM run") > 0 {
            words.insert(0, (journal.text("SELECT id FROM run"), "RUN"));
        }
    }
    words
}

/// Returns a line with a word in the place of each that differs from day to day, and of a time of the day.
fn lasting(line: &str, changing: &[(String, &'static str)]) -> String {
    let line = changing.iter().fold(line.to_owned(), |line, (word, by)| line.replace(word, by));
    match line.find("since 2") {
        Some(at) => format!("{}since TIME{}", &line[..at], &line[at + "since 2026-11-28T10:00:00Z".len()..]),
        None => line,
    }
}

/// Adds a call to the table: of each stream the lines and bytes, and of results and progress the first line. Bytes are counted as shown.
fn add(table: &mut String, mode: Mode, ended: &Ended, changing: &[(String, &'static str)]) {
    writeln!(table, "  {:<14} exit {}", mode.name(), ended.code.unwrap()).unwrap();
    let is_quiet = mode == Mode::Quiet || mode == Mode::QuietToNull;
    for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let lines: Vec<String> = text.lines().map(|line| lasting(line, changing)).collect();
        let n_bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        if mode == Mode::Json && stream == "stdout" {
            writeln!(table, "    {stream}: one document, {}", document(ended)["schema"].as_str().unwrap()).unwrap();
            continue;
        }
        let size =
            if is_quiet { format!("lines {}, bytes {n_bytes}", lines.len()) } else { format!("lines {}", lines.len()) };
        writeln!(table, "    {stream}: {size}").unwrap();
        let n_shown = if is_quiet { lines.len() } else { 1 };
        lines.iter().take(n_shown).for_each(|line| writeln!(table, "      | {line}").unwrap());
    }
}

#[test]
fn each_ending_prints_what_the_table_says_and_cron_sends_mail_when_something_is_wrong() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("held.csv", &plan(50, "stopped,syncing"));
    let held = lab.serve("held.csv", "");
    let holder = lab.begin(&held, &["run", "held.csv", "--rate", "1", "--journal", "held.db"]);
    assert!(holder.reaches("attempt_started"));
    let mut table = String::new();
    for Ending { name, code, args } in endings(&lab, &held) {
        writeln!(table, "{name}").unwrap();
        for mode in Mode::ALL {
            let token = if name == "credentials" { "wrong" } else { TOKEN };
            let ended = mode.call(&lab, &args, token);
            mode.holds(&ended, code);
            add(&mut table, mode, &ended, &changing(&lab, mode, &held, holder.pid()));
        }
    }
    holder.kill();
    insta::assert_snapshot!("endings", table);
}

/// A call of a verb, and its exit code.
type Call = (&'static [&'static str], i32);

/// Calls that end in each other way, and of the other verbs that answer by their code. `sealed.plan` was edited, and so was `altered.db`.
const CALLS: [Call; 32] = [
    (&["run", "plan.csv", "--yes", "--endpoint", "sandbox", "--max-changes", "1"], 3),
    (&["run", "plan.csv", "--endpoint", "sandbox"], 2),
    (&["run", "bad.csv", "--yes", "--endpoint", "sandbox"], 2),
    (&["run", "none.csv", "--yes", "--endpoint", "sandbox"], 2),
    (&["run", "plan.csv", "--yes"], 2),
    (&["run"], 2),
    (&["run", "plan.csv", "--quick"], 2),
    (&["runn"], 2),
    (&["run", "plan.csv", "--yes", "--endpoint", "sandbox", "--rate", "x"], 2),
    (&["run", "sealed.plan", "--yes", "--endpoint", "sandbox"], 7),
    (&["run", "plan.csv", "--yes", "--endpoint", "sandbox", "--report", "full.csv", "--journal", "full.db"], 70),
    (&["resume", "--yes", "--endpoint", "sandbox", "--journal", "off.db"], 1),
    (&["retry", "--yes", "--scenario", "refuses.toml", "--journal", "off.db"], 1),
    (&["reconcile", "--journal", "off.db"], 1),
    (&["resume", "--yes", "--journal", "altered.db"], 7),
    (&["resume", "--yes", "--journal", "none.db"], 2),
    (&["rehearse", "plan.csv"], 0),
    (&["rehearse", "plan.csv", "--scenario", "refuses.toml"], 1),
    (&["rehearse", "plan.csv", "--scenario", "refuses.toml", "--max-failed", "0", "--concurrency", "1"], 4),
    (&["plan", "plan.csv", "--endpoint", "http://127.0.0.1:1", "--attempts", "1"], 8),
    (&["check", "plan.csv"], 0),
    (&["check", "bad.csv"], 2),
    (&["audit", "verify", "--journal", "off.db"], 0),
    (&["audit", "verify", "--journal", "altered.db"], 7),
    (&["audit", "export", "-o", "evidence.zip", "--journal", "altered.db"], 7),
    (&["audit", "export", "-o", "evidence.zip", "--journal", "off.db"], 0),
    (&["doctor", "--endpoint", "sandbox"], 0),
    (&["doctor", "--endpoint", "http://127.0.0.1:1"], 8),
    (&["trust", "none"], 2),
    (&["control", "pause"], 2),
    (&["sources", "show", "vm-1", "--endpoint", "http://127.0.0.1:1", "--attempts", "1"], 8),
    (&["explain", "vm-9", "--journal", "off.db"], 2),
];

#[test]
fn every_verb_that_answers_by_its_code_is_silent_or_says_one_error() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("bad.csv", "source_id,copystate\nvm-1,finishd\nvm-2,finishd\n");
    lab.write("refuses.toml", REFUSES_ONE);
    std::os::unix::fs::symlink("/dev/full", lab.path("full.csv")).unwrap();
    let inside = ["--endpoint", "sandbox", "--yes", "--rate", "off", "--scenario", "refuses.toml"];
    for journal in ["off.db", "altered.db"] {
        lab.cutover(&[&["run", "plan.csv", "--journal", journal], &inside[..]].concat()).exits(1);
    }
    rusqlite::Connection::open(lab.path("altered.db")).unwrap().execute("UPDATE row SET name = 'x'", []).unwrap();
    lab.cutover(&["plan", "plan.csv", "-o", "sealed.plan", "--endpoint", "sandbox"]).exits(0);
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    lab.write("sealed.plan", &sealed.replace("vm-00002", "vm-00009"));
    for (args, code) in CALLS {
        println!("{args:?}");
        is_silent_or_one_error(&lab.cutover(&[args, &["-q"]].concat()).exits(code));
        _ = std::fs::remove_file(lab.path("evidence.zip"));
        // With a document as well, the error is still said, and once.
        let ended = lab.cutover(&[args, &["-q", "--json"]].concat()).exits(code);
        serde_json::from_str::<Value>(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout));
        is_silent_or_one_error(&Ended { stdout: String::new(), ..ended });
        _ = std::fs::remove_file(lab.path("evidence.zip"));
    }
}

#[test]
fn an_interrupted_launch_says_one_error_however_often_it_was_told() {
    let _machine = shared();
    for (signals, code, says) in [
        (&["TERM"][..], 143, "error: terminated by a signal; "),
        (&["INT", "INT"], 130, "error: interrupted; "),
        (&["INT", "INT", "INT"], 130, "error: interrupted three times, and left at once: "),
    ] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(20, "stopped,syncing"));
        let faults = if signals.len() == 1 { "latency_ms = [100, 200]" } else { EVERY_CHANGE_HANGS };
        let sandbox = lab.serve("plan.csv", faults);
        let run = ["run", "plan.csv", "--yes", "-q", "--json", "--rate", "100", "--endpoint", &sandbox.url];
        let launch = Launch::start(lab.command(&run));
        sandbox.reach(2);
        let n_drains = || lab.journal().n_events("drain_began");
        for (nth, signal) in signals.iter().enumerate() {
            launch.signal(signal);
            while nth == 0 && n_drains() == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        let ended = launch.end().exits(code).says(says).says("`cutover ");
        document(&ended);
        is_silent_or_one_error(&Ended { stdout: String::new(), ..ended });
    }
}
