//! Editions of the API: each is addressed in its own words, and what it cannot express is not sent.

use std::collections::HashSet;

use crate::lab::home::Lab;
use crate::lab::launch::Ended;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Request, Served};

/// A server that reads show as `initialize/syncing`.
const BEGINNING: &str = r#"
[[source]]
id = "vm-00003"
copystate = "init"
migrationcycle = "syncing"
"#;

fn serve(lab: &Lab, edition: &str) -> Served {
    lab.serve("plan.csv", &format!("edition = \"{edition}\"\n{BEGINNING}"))
}

/// Returns the rows that would be sent, by the difference.
fn would_send(ended: &Ended) -> HashSet<String> {
    let sends = |line: &str| Some(line.split_once(" -> ")?.1.to_owned());
    ended.stdout.lines().filter_map(sends).collect()
}

/// Returns the bodies that were sent, row by row.
fn bodies(sandbox: &Served) -> Vec<String> {
    let body = |change: Request| {
        let sent = change.body.unwrap();
        let word = |word: Option<String>| word.unwrap_or_else(|| "*".to_owned());
        format!("{} {}/{}", change.source_id.unwrap(), word(sent.copystate), word(sent.migrationcycle))
    };
    let mut bodies: Vec<String> = sandbox.changes().into_iter().map(body).collect();
    bodies.sort();
    bodies
}

#[test]
fn each_edition_gets_its_own_spelling_and_auto_that_of_the_plan() {
    let _machine = shared();
    let spellings = [
        ("2025-11", "2025-11", ["initialize", "initialize", "initialize"]),
        ("2026-01", "2026-01", ["init", "init", "init"]),
        // The third row has no copystate of its own: it is filled in as reads spell it.
        ("auto", "2026-01", ["init", "initialize", "initialize"]),
    ];
    for (dialect, edition, [first, second, third]) in spellings {
        let lab = Lab::new();
        let rows = "vm-00001,INIT,replicating\nvm-00002,initialize,replicating\nvm-00003,,replicating\n";
        lab.write("plan.csv", &format!("source_id,copystate,migrationcycle\n{rows}"));
        let sandbox = serve(&lab, edition);
        let plan = ["plan", "plan.csv", "--endpoint", &sandbox.url, "--dialect", dialect];
        let spelled = |word: &str| format!("{word}/replicating");
        assert_eq!(would_send(&lab.cutover(&plan).exits(0)), HashSet::from([first, second, third].map(spelled)));
        lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--dialect", dialect]).exits(0);
        let expected = [
            format!("vm-00001 {first}/replicating"),
            format!("vm-00002 {second}/replicating"),
            format!("vm-00003 {third}/replicating"),
        ];
        assert_eq!(bodies(&sandbox), expected, "{dialect}");
        // The journal has what went over the wire.
        let journal = lab.journal();
        let begun = journal.text(
            "SELECT group_concat(said, ' ') FROM (SELECT detail ->> 'sends' ->> 'copystate' AS said FROM event
             WHERE kind = 'attempt_started' ORDER BY row)",
        );
        assert_eq!(begun, [first, second, third].join(" "), "{dialect}");
        assert_eq!(journal.text("SELECT settings ->> 'dialect' FROM run"), dialect);
    }
}

#[track_caller]
fn tells(ended: Ended, expected: &[&str]) {
    let ended = ended.exits(2);
    let found: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(": error: ")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_word_that_the_edition_does_not_have_is_told_and_nothing_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    let rows = "vm-1,premiging,setting\nvm-2,waiting,no_ready\nvm-3,stopped,syncing\n";
    lab.write("plan.csv", &format!("source_id,copystate,migrationcycle\n{rows}"));
    let sandbox = lab.serve("plan.csv", "edition = \"2025-11\"");
    let expected = [
        "plan.csv:2:6: error: the 2025-11 edition has no copystate \"premiging\"",
        "plan.csv:3:14: error: the 2025-11 edition has no migrationcycle \"no_ready\"",
    ];
    let old = ["--dialect", "2025-11"];
    tells(lab.launch(&sandbox, &[&["run", "plan.csv"], &old[..]].concat()), &expected);
    tells(lab.cutover(&[&["plan", "plan.csv", "--endpoint", &sandbox.url], &old[..]].concat()), &expected);
    tells(lab.cutover(&[&["check", "plan.csv"], &old[..]].concat()), &expected);
    lab.write("cutover.toml", "dialect = \"2025-11\"\n");
    tells(lab.cutover(&["check", "plan.csv"]), &expected);
    lab.cutover(&["check", "plan.csv", "--dialect", "2026-01"]).exits(0);
    assert_eq!(sandbox.ledger().len(), 0);
    assert!(!lab.path("cutover.db").exists());
}

#[test]
fn rows_that_are_sent_unseen_are_told_and_sent_in_the_spelling_of_the_edition() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "init,replicating"));
    let sandbox = lab.serve("plan.csv", "edition = \"2025-11\"");
    let unseen = ["plan.csv", "--endpoint", &sandbox.url, "--dialect", "2025-11", "--preflight", "off"];
    let shown = lab.cutover(&[&["plan"], &unseen[..]].concat()).exits(0);
    assert_eq!(would_send(&shown), HashSet::from(["initialize/replicating".to_owned()]));
    lab.cutover(&[&["run", "--yes"], &unseen[..]].concat()).exits(0);
    assert_eq!(bodies(&sandbox), ["vm-00001 initialize/replicating"]);
}

#[test]
fn half_a_pair_is_not_sent_to_the_edition_that_wants_both() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,"));
    let sandbox = serve(&lab, "2025-11");
    let expected =
        ["plan.csv:2:18: error: the 2026-01 edition wants both fields, and nothing fills in the migrationcycle"];
    for off in ["--complete-pair", "--preflight"] {
        let args = ["run", "plan.csv", "--dialect", "2026-01", off, "off"];
        tells(lab.launch(&sandbox, &args), &expected);
    }
    assert_eq!(sandbox.ledger().len(), 0);
    assert!(!lab.path("cutover.db").exists());
    lab.launch(&sandbox, &["run", "plan.csv", "--dialect", "2025-11", "--complete-pair", "off"]).exits(0);
    assert_eq!(bodies(&sandbox), ["vm-00001 stopped/*"]);
}

#[test]
fn a_run_that_is_gone_on_with_in_another_dialect_is_checked_again() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--max-changes", "1"]).exits(3);
    let resume = ["resume", "--dialect", "2026-01"];
    for off in ["--complete-pair", "--preflight"] {
        lab.launch(&sandbox, &[&resume[..], &[off, "off"]].concat())
            .exits(3)
            .says("the target of `vm-00001` cannot be said: the 2026-01 edition wants both fields");
    }
    assert_eq!(bodies(&sandbox), Vec::<String>::new());
    assert_eq!(lab.journal().tally()["pending"], 3);
    lab.launch(&sandbox, &resume).exits(0);
    assert_eq!(bodies(&sandbox).len(), 3);
}

#[test]
fn a_dialect_that_is_none_is_a_usage_error() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab.cutover(&["check", "plan.csv", "--dialect", "2027-01"])
        .exits(2)
        .says("`--dialect`: `2027-01` is none of auto, 2025-11, 2026-01");
    let mut command = lab.command(&["check", "plan.csv"]);
    command.env("CUTOVER_DIALECT", "new");
    crate::lab::launch::Launch::start(command)
        .end()
        .exits(2)
        .says("`dialect` in the environment (CUTOVER_DIALECT): `new` is none");
}
