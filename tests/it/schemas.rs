//! JSON documents and plan files, held against the schemas that we ship by a reader of JSON Schema that is not ours.

use std::path::Path;

use serde_json::{Value, json};

use crate::lab::home::{Lab, with_yes};
use crate::lab::machine::shared;
use crate::lab::{id, plan};
use crate::python::Python;
use crate::reports;

const READERS: [&str; 2] = ["jsonschema==4.26.0", "rfc3339-validator==0.1.4"];

/// Document of `collect`.
pub(crate) const COLLECTED: &str = include_str!("schemas/collected.json");
/// Document of `runs --engine`.
pub(crate) const SERVED: &str = include_str!("schemas/served.json");

/// Line of an event that only a run has whose requests workers make.
const LANE_SERVED: &str = include_str!("schemas/lane_served.json");

/// Returns what a snapshot of the library's tests holds.
pub(crate) fn snapshot(of: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(of).join("snapshots");
    let text = std::fs::read_to_string(folder.join(format!("cutover__{of}__tests__{name}.snap"))).unwrap();
    text.splitn(3, "---\n").nth(2).unwrap().to_owned()
}

/// Files of documents, in a folder of their own.
struct Documents {
    folder: Lab,
    files: Vec<String>,
}

impl Documents {
    fn add(&mut self, name: &str, text: &str) {
        self.folder.write(name, text);
        self.files.push(self.folder.path(name).to_str().unwrap().to_owned());
    }

    /// Adds the documents that a verb printed: one, after a line for each event if it was asked for those.
    fn printed(&mut self, text: &str) {
        assert!(!text.is_empty());
        self.add(&format!("{}.json", self.files.len()), text);
    }
}

/// Removes the comment marks from lines that would be TOML without them.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let inside = line.strip_prefix("# ").unwrap_or(line);
        let is_toml = inside.starts_with('[') || inside.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        if is_toml { inside } else { line }.to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

/// Adds what tells of a finished run, of its retry, and of the way back.
fn of_a_finished_run(documents: &mut Documents) {
    let (lab, sandbox) = reports::night();
    let mut verb = |args: &[&str]| documents.printed(&lab.cutover(args).stdout);
    verb(&["status", "--json"]);
    verb(&["runs", "--json"]);
    verb(&["report", "--format", "json"]);
    verb(&["audit", "verify", "--json"]);
    verb(&["rollback", "--json"]);
    verb(&["status", "--json", "nosuch"]);
    for i in 1..=12 {
        verb(&["explain", &id(i), "--json"]);
    }
    verb(&with_yes(&sandbox, &["retry", "--verify-timeout", "1s", "--attempts", "1", "--json"]));
    verb(&["rehearse", "plan.jsonl", "--json"]);
    verb(&["plan", "plan.jsonl", "--json", "--endpoint", &sandbox.url]);
}

/// Adds what tells of a run that goes on, and of one that was killed.
fn of_unfinished_runs(documents: &mut Documents) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "1"]);
    assert!(launch.reaches("attempt_ended"));
    documents.printed(&lab.cutover(&["status", "--json"]).stdout);
    documents.printed(&launch.kill().stdout);
    lab.cutover(&["control", "skip", &id(30), "--reason", "not tonight"]).exits(0);
    for args in [&["status", "--json"][..], &["explain", &id(30), "--json"], &["doctor", "--json"]] {
        documents.printed(&lab.cutover(args).stdout);
    }
}

/// Adds what tells of a service that does not let us in or throttles us, of a page between it and us, and of a plan with errors.
fn of_refusals(documents: &mut Documents) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(9, "stopped,syncing"));
    let strict = lab.serve_to("plan.csv", "", "another-token");
    documents.printed(&lab.launch(&strict, &["run", "plan.csv", "--json"]).exits(5).stdout);
    documents.printed(&lab.cutover(&["doctor", "--json", "--endpoint", &strict.url]).exits(5).stdout);
    let redirecting = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"redirect\"\ntimes = 0\n");
    documents.printed(&lab.launch(&redirecting, &["run", "plan.csv", "--rate", "off", "--json"]).exits(4).stdout);
    let throttling = lab.serve("plan.csv", "[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 429\ntimes = 0\n");
    let throttled = lab.begin(&throttling, &["run", "plan.csv"]);
    assert!(throttled.reaches("cool_down_began"));
    documents.printed(&throttled.kill().stdout);
    lab.write("odd.csv", "source_id,copystate\nvm-1,stoped\nvm-1,\n");
    documents.printed(&lab.cutover(&["run", "odd.csv", "--json"]).exits(2).stdout);
}

/// Adds what tells of a journal, of runs that left it, and of their archives.
fn of_old_runs(documents: &mut Documents) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "1", "--max-changes", "1"]);
    let prune = ["journal", "prune", "--keep", "0d", "--archive", "old", "--json"];
    for args in [
        &[&prune[..], &["--dry-run"]].concat()[..],
        &["journal", "info", "--json"],
        &["journal", "info", "--keep", "0d", "--json"],
        &prune,
        &["runs", "--json"],
        &["audit", "verify", "--archive", "old", "--json"],
        &["journal", "info", "--json"],
    ] {
        documents.printed(&lab.cutover(args).exits(0).stdout);
    }
    let killed = lab.begin(&sandbox, &["run", "plan.csv", "--new", "--rate", "1", "--preflight", "off"]);
    assert!(killed.reaches("run_started"));
    documents.printed(&killed.kill().stdout);
    documents.printed(&lab.cutover(&prune).exits(0).stdout);
}

/// Adds notices as a command gets them, of a run with a row off target and of a plan with errors; and what tells of undelivered ones.
fn of_notices(documents: &mut Documents) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("odd.csv", "source_id,copystate\nvm-1,stoped\n");
    let kept = "[notify.kept]\nkind = 'command'\ncommand = 'cat >> kept'\n";
    lab.write("cutover.toml", &format!("{kept}[notify.lost]\nkind = 'command'\ncommand = 'false'\n"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00002\"]\nkind = \"forbidden\"\n");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(1);
    lab.cutover(&["run", "odd.csv", "--yes", "--endpoint", &sandbox.url]).exits(2);
    documents.printed(&std::fs::read_to_string(lab.path("kept")).unwrap());
    for args in [&["status", "--json"][..], &["runs", "--json"], &["config", "show", "--json"]] {
        documents.printed(&lab.cutover(args).stdout);
    }
}

/// Adds settings, and plan files: the sample, the example with and without its comments, and one with most keys.
fn of_files(documents: &mut Documents) {
    let lab = Lab::new();
    lab.cutover(&["init", "."]).exits(0);
    let example = std::fs::read_to_string(lab.path("plan.toml")).unwrap();
    documents.add("example.toml", &example);
    documents.add("uncommented.toml", &uncommented(&example));
    documents.add("sample.toml", include_str!("../../samples/estate.toml"));
    documents.add("whole.toml", include_str!("plans/whole.toml"));
    lab.write(
        "cutover.toml",
        "burst = 3\n[profiles.a]\nconcurrency = 4\ntoken_env = \"MINE\"\n[hooks]\nafter_run = \"true\"\n",
    );
    for args in [&["config", "show", "--json"][..], &["config", "show", "--profile", "a", "--json"]] {
        documents.printed(&lab.cutover(args).stdout);
    }
    documents.printed(&lab.cutover(&["trust", "--show", "--json"]).stdout);
}

/// Adds what hooks read, and what tells of them.
fn of_hooks(documents: &mut Documents) {
    let lab = Lab::new();
    let plan = "rows = [{ source_id = \"vm-1\", copystate = \"stopped\", migrationcycle = \"syncing\" }]\n\
                [hooks]\nbefore_wave = \"cat >before.json\"\nafter_run = \"cat >after.json\"\n";
    lab.write("plan.toml", plan);
    let sandbox = lab.serve("plan.toml", "");
    documents.printed(&lab.cutover(&["trust", "plan.toml", "--json"]).exits(0).stdout);
    documents.printed(&lab.cutover(&["plan", "plan.toml", "--json", "--endpoint", &sandbox.url]).exits(0).stdout);
    documents.printed(&lab.launch(&sandbox, &["run", "plan.toml", "--json"]).exits(0).stdout);
    for name in ["before.json", "after.json"] {
        documents.printed(&std::fs::read_to_string(lab.path(name)).unwrap());
    }
}

#[test]
fn every_document_holds_to_its_schema_and_no_broken_one_does() {
    let Some(python) = Python::with(&READERS) else { return };
    let _machine = shared();
    let mut documents = Documents { folder: Lab::new(), files: Vec::new() };
    for (of, name) in [
        ("report", "summary.json"),
        ("report", "report.json"),
        ("report", "runs.json"),
        ("report", "explain.vm-failed.json"),
        ("report", "events.jsonl"),
        ("audit", "audit.json"),
        ("audit", "audit.altered.json"),
    ] {
        documents.add(name, &snapshot(of, name));
    }
    // Of verbs that are not in every build, which print the same fields.
    documents.add("collected.json", COLLECTED);
    documents.add("served.json", SERVED);
    documents.add("lane_served.json", LANE_SERVED);
    of_a_finished_run(&mut documents);
    of_unfinished_runs(&mut documents);
    of_refusals(&mut documents);
    of_old_runs(&mut documents);
    of_notices(&mut documents);
    of_files(&mut documents);
    of_hooks(&mut documents);
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schemas");
    let files: Vec<&str> = documents.files.iter().map(String::as_str).collect();
    let ran = python.run("schemas/hold.py", &[&[schemas], &files[..]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let held: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&held["without"], &held["kinds_without"]), (&json!([]), &json!([])), "no document had these");
    assert!(held["broken"].as_u64().unwrap() > 500, "{held}");
}
