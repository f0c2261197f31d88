//! `runs`: which runs of a journal it lists, and in which form.

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::served::Served;
use crate::lab::{id, plan};

const REFUSES: &str = "[[fault]]\nsources = [\"vm-00021\"]\nkind = \"status\"\nstatus = 400\ncode = \"SMS.1104\"\n";

/// Names of the plans of the listed runs, in the order of the list.
fn listed(lab: &Lab, args: &[&str]) -> Vec<String> {
    let document = lab.cutover(&[&["runs", "--json"], args].concat()).exits(0).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    let plan = |run: &Value| run["plan"].as_str().unwrap().trim_end_matches(".csv").to_owned();
    document["runs"].as_array().unwrap().iter().map(plan).collect()
}

/// Begins a run of a plan with the twenty sources after this one.
fn begin(lab: &Lab, sandbox: &Served, name: &str, after: usize) -> Launch {
    let file = format!("{name}.csv");
    let mut rows = vec!["source_id,copystate,migrationcycle".to_owned()];
    rows.extend((after + 1..=after + 20).map(|i| format!("{},stopped,syncing", id(i))));
    lab.write(&file, &rows.join("\n"));
    lab.begin(sandbox, &["run", &file, "--rate", "20"])
}

#[test]
fn runs_are_chosen_by_time_end_and_number_in_any_combination() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(100, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", REFUSES);
    lab.cutover(&["runs"]).exits(2).says("there is no journal");
    begin(&lab, &sandbox, "done", 0).end().exits(0);
    let after_first = jiff::Timestamp::now().to_string();
    begin(&lab, &sandbox, "refused", 20).end().exits(1);
    let killed = begin(&lab, &sandbox, "killed", 40);
    assert!(killed.reaches_nth("attempt_ended", 5));
    killed.kill();
    let interrupted = begin(&lab, &sandbox, "interrupted", 60);
    assert!(interrupted.reaches_nth("attempt_ended", 5));
    interrupted.signal("INT");
    interrupted.end().exits(130);
    let before_last = jiff::Timestamp::now().to_string();
    let going = begin(&lab, &sandbox, "going", 80);
    assert!(going.reaches("attempt_ended"));
    lab.cutover(&["control", "pause"]).exits(0);

    for (args, plans) in [
        (&[][..], &["going", "interrupted", "killed", "refused", "done"][..]),
        (&["--unfinished"], &["going", "interrupted", "killed"]),
        (&["--failed"], &["interrupted", "killed", "refused"]),
        (&["--failed", "--unfinished"], &["interrupted", "killed"]),
        (&["--limit", "2"], &["going", "interrupted"]),
        (&["--failed", "--limit", "1"], &["interrupted"]),
        (&["--since", "7d"], &["going", "interrupted", "killed", "refused", "done"]),
        (&["--since", &after_first], &["going", "interrupted", "killed", "refused"]),
        (&["--since", &after_first, "--unfinished", "--failed", "--limit", "1"], &["interrupted"]),
        (&["--since", &before_last], &["going"]),
        // What goes on is of now, whenever it last recorded something.
        (&["--since", "2100-01-01T00:00Z"], &["going"]),
    ] {
        assert_eq!(listed(&lab, args), plans, "{args:?}");
    }
    going.kill();
    assert_eq!(listed(&lab, &["--failed", "--limit", "1"]), ["going"], "cut off, and not yet on target");
    assert_eq!(listed(&lab, &["--since", "2100-01-01T00:00Z"]), [""; 0]);

    // A run that is taken up is a run of now.
    let resumed_at = jiff::Timestamp::now().to_string();
    lab.launch(&sandbox, &["run", "interrupted.csv", "--rate", "off"]).exits(0);
    assert_eq!(listed(&lab, &["--since", &resumed_at]), ["interrupted"]);
    assert_eq!(listed(&lab, &["--failed"]), ["going", "killed", "refused"]);
}

#[test]
fn an_empty_list_is_one_line_for_people_and_no_failure() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(0);
    let none = lab.cutover(&["runs", "--failed"]).exits(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no run in the journal is like that\n"));
    let none = lab.cutover(&["runs", "--failed", "-q"]).exits(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", ""));
    assert_eq!(listed(&lab, &["--failed"]), [""; 0]);
    lab.cutover(&["runs", "--limit", "0"]).exits(2).says("`0` is not a whole number from 1 on");
}

#[test]
fn a_time_is_read_in_a_zone_that_is_said_and_in_none_that_cannot_be_found() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(0);
    let in_zone = |variable: (&str, &str), args: &[&str]| {
        let mut command = lab.command(&[&["runs"], args].concat());
        command.env(variable.0, variable.1);
        Launch::start(command).end()
    };
    let night = ["--since", "2026-07-24T22:00"];
    in_zone(("TZ", "Asia/Shanghai"), &night)
        .exits(0)
        .says("runs since 2026-07-24 22:00:00 +08:00 (Asia/Shanghai (by TZ))");
    in_zone(("CUTOVER_TIMEZONE", "Europe/Berlin"), &night)
        .exits(0)
        .says("runs since 2026-07-24 22:00:00 +02:00 (Europe/Berlin)");
    let lost = in_zone(("TZ", "Mars/Olympus"), &night).exits(2).says("`Mars/Olympus`, as TZ in the environment has it");
    assert_eq!(lost.stdout, "");
    // Without a clock to read it off, no zone is needed.
    in_zone(("TZ", "Mars/Olympus"), &["--since", "2026-07-24T22:00Z"]).exits(0);
    in_zone(("TZ", "Mars/Olympus"), &["--since", "24h"]).exits(0);
    for bad in ["7", "yesterday", "-7d", "2026-07-24T"] {
        lab.cutover(&["runs", &format!("--since={bad}")]).exits(2).says("is neither a duration such as 7d or 24h");
    }
}

#[test]
fn whole_names_go_into_a_pipe() {
    let _machine = shared();
    let lab = Lab::new();
    let name = format!("{}.csv", "a-plan-with-a-name-that-is-long-".repeat(5));
    lab.write(&name, &plan(1, "stopped,syncing"));
    let sandbox = lab.serve(&name, "");
    lab.launch(&sandbox, &["run", &name]).exits(0);
    let told = lab.cutover(&["runs"]).exits(0).stdout;
    assert!(told.contains(&name) && !told.contains('…') && told.lines().count() == 2, "{told}");
}

#[test]
fn runs_with_a_key_are_listed_with_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(0);
    let columns = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let told = lab.cutover(&["runs"]).exits(0).stdout;
    assert_eq!(columns(told.lines().next().unwrap())[..3], ["run", "plan", "rows"], "{told}");
    lab.launch(&sandbox, &["run", "plan.csv", "--run-key", "night of 28/11"]).exits(0);
    let told = lab.cutover(&["runs"]).exits(0).stdout;
    let keys: Vec<String> = told.lines().map(|line| columns(line)[2].clone()).collect();
    assert_eq!(keys, ["key", "night of 28/11", "-"], "{told}");
}

#[test]
fn without_a_name_the_run_launched_last_is_meant_also_if_it_was_refused() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("good.csv", &plan(2, "stopped,syncing"));
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "good.csv"]).exits(0);
    lab.launch(&sandbox, &["run", "plan.csv", "--max-changes", "1"]).exits(3);
    let [good, refused] = ["good.csv", "plan.csv"]
        .map(|plan| lab.journal().text(&format!("SELECT id FROM run WHERE plan_path = '{plan}'")));
    let says = format!(
        "run {refused}: the one launched last; no run is going on; it was refused before it began, and the run before it is {good}\n"
    );
    let told = lab.cutover(&["status"]).exits(0).says(&says).stdout;
    assert!(told.starts_with("Refused: 0 of 5 rows are on target"), "{told}");
    lab.cutover(&["explain", "vm-00004"]).exits(0).says(&says);
    lab.cutover(&["report", "--format", "csv"]).exits(0).says(&says);
    lab.launch(&sandbox, &["resume"]).exits(0).says(&format!("run {refused}: the unfinished one launched last; "));
    let told =
        lab.cutover(&["status"]).exits(0).says(&format!("run {refused}: the one launched last; no run is going on\n"));
    assert!(told.stdout.starts_with("All 5 rows are on target"), "{}", told.stdout);
}

#[test]
fn a_run_is_named_by_its_id_its_key_or_its_plan() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    std::fs::create_dir(lab.path("plans")).unwrap();
    std::fs::copy(lab.path("plan.csv"), lab.path("plans/nightly.csv")).unwrap();
    lab.write("named.toml", "name = \"web tier\"\nrows = [{ source_id = \"vm-00001\", copystate = \"stopped\" }]\n");
    let nightly = ["run", "plans/nightly.csv", "--rate", "off"];
    lab.launch(&sandbox, &nightly).exits(0);
    lab.launch(&sandbox, &nightly).exits(0);
    lab.launch(&sandbox, &["run", "named.toml"]).exits(0);
    let journal = lab.journal();
    let [first, second, named] =
        [1, 2, 3].map(|run| journal.text(&format!("SELECT id FROM run ORDER BY run LIMIT 1 OFFSET {}", run - 1)));
    let means = |text: &str, run: &str, why: &str| {
        let ended = lab.cutover(&["status", text, "--json"]).exits(0).says(why);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["run"], run, "{text}");
    };
    for text in ["nightly.csv", "plans/nightly.csv"] {
        means(text, &second, &format!("run {second}: the run of `{text}` that was launched last"));
    }
    means("web tier", &named, &format!("run {named}: the run of `web tier` that was launched last"));
    means("named.toml", &named, "the run of `named.toml`");
    means(&first, &first, "");
    for none in ["csv", "night", "web", "nightly", ""] {
        lab.cutover(&["status", none]).exits(2).says(&format!("the journal has no run `{none}`"));
    }
    // A key is given whole, and so goes before the beginning of another run's id.
    let key = &second[..second.len() - 1];
    rusqlite::Connection::open(lab.path("cutover.db"))
        .unwrap()
        .execute("UPDATE run SET run_key = ?1 WHERE id = ?2", [key, first.as_str()])
        .unwrap();
    means(key, &first, &format!("run {first}: the one with the key `{key}`"));
    // What somebody edited is read, and nothing is sent by it.
    lab.launch(&sandbox, &["resume", key]).exits(7);
}

#[test]
fn of_a_plan_the_run_that_goes_on_is_meant_before_the_one_launched_last() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let killed = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20"]);
    assert!(killed.reaches_nth("attempt_ended", 3));
    killed.kill();
    let open = lab.journal().text("SELECT id FROM run");
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    lab.cutover(&["status", "plan.csv"]).exits(0).says("the run of `plan.csv` that was launched last");
    let resumed = lab.begin(&sandbox, &["resume", "plan.csv", "--rate", "20"]);
    assert!(resumed.reaches("launch_began"));
    lab.cutover(&["control", "plan.csv", "pause"])
        .exits(0)
        .says(&format!("run {open}: the run of `plan.csv` that is going on"));
    lab.cutover(&["control", "plan.csv", "continue"]).exits(0);
    resumed.end().exits(0).says(&format!("run {open}: the unfinished run of `plan.csv` that was launched last"));
}

#[test]
fn a_row_is_explained_by_the_run_launched_last_that_has_it_unless_a_run_is_named() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("night.csv", &plan(3, "stopped,syncing"));
    lab.write("one.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("night.csv", "");
    for name in ["night.csv", "one.csv"] {
        lab.launch(&sandbox, &["run", name, "--rate", "off"]).exits(0);
    }
    let [night, one] = [1, 2].map(|run| lab.journal().text(&format!("SELECT id FROM run WHERE run = {run}")));
    let explained = |args: &[&str]| lab.cutover(&[&["explain"], args].concat());
    explained(&["vm-00001"]).exits(0).says(&format!("run {one}: the one launched last;"));
    explained(&["vm-00003"]).exits(0).says(&format!("run {night}: the one launched last that has such a row"));
    explained(&["vm-00003", "--run", "one.csv"]).exits(2).says("has no row `vm-00003`");
    let nowhere = explained(&["vm-00009"]).exits(2).says(&format!("the run `{one}` has no row `vm-00009`"));
    assert!(!nowhere.stderr.contains("archives"), "{}", nowhere.stderr);

    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    lab.launch(&sandbox, &["run", "one.csv", "--rate", "off", "--new"]).exits(0);
    explained(&["vm-00003"]).exits(2).says("2 runs in archives were not searched");
}
