//! Several runs in one journal at once, and commands that come as one of them ends.

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;

/// Begins a run in an account of its own and pauses it, so that it goes on.
fn paused(lab: &Lab, sandbox: &Served, name: &str) -> (Launch, String) {
    let launch = lab.begin(sandbox, &["run", name, "--pause-file", "pause"]);
    assert!(launch.reaches("controlled"));
    let newest = "SELECT id FROM run ORDER BY run DESC LIMIT 1";
    (launch, lab.journal().text(newest))
}

#[test]
fn which_of_several_runs_is_meant_has_to_be_said() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("pause", "");
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    lab.write("other.csv", &plan(6, "stopped,syncing"));
    let (one, other) = (lab.serve("plan.csv", ""), lab.serve("other.csv", ""));
    let (first, first_id) = paused(&lab, &one, "plan.csv");
    // A run that goes on is the one that is meant, though another was launched later.
    lab.cutover(&["status"]).exits(0).says(&first_id);
    let (second, second_id) = paused(&lab, &other, "other.csv");
    let verbs: [&[&str]; 9] = [
        &["status"],
        &["status", "--json"],
        &["control", "pause"],
        &["control", "drain"],
        &["resume", "--yes"],
        &["retry", "--yes"],
        &["reconcile"],
        &["report", "--format", "csv"],
        &["explain", "vm-00001"],
    ];
    for verb in verbs {
        let ended = lab.cutover(verb).exits(2).says("2 runs are going on in this journal: ");
        assert!(ended.stderr.contains(&first_id) && ended.stderr.contains(&second_id), "{verb:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("name the one that is meant"), "{verb:?}: {}", ended.stderr);
    }
    assert_eq!(lab.journal().count("SELECT count(*) FROM control"), 0, "no command was put down for either");
    lab.cutover(&["status", &first_id]).exits(0);
    lab.cutover(&["control", &first_id, "drain"]).exits(0).says(&format!("taken by run {first_id}"));
    first.end().exits(4);
    // One of two runs is left.
    lab.cutover(&["control", "drain"]).exits(0).says(&format!("taken by run {second_id}"));
    second.end().exits(4);
    assert!(one.changes().is_empty() && other.changes().is_empty());
}

#[test]
fn a_command_that_comes_as_the_run_ends_is_taken_or_refused_and_never_lost() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(6, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let (mut n_taken, mut n_late) = (0, 0);
    // Commands are sent at several moments of a run, and just after it said that it ended.
    let moments =
        [("attempt_ended", 3), ("attempt_ended", 6), ("row_settled", 1), ("row_settled", 6), ("launch_ended", 1)];
    for round in 0..4 {
        for (kind, n) in moments {
            let launch = lab.begin(&sandbox, &["run", "plan.csv", "--new", "--preflight", "off", "--rate", "off"]);
            assert!(launch.reaches_nth(kind, n), "{kind} {n}");
            let command = lab.cutover(&["control", "drain"]);
            let ended = launch.end();
            assert!(matches!(ended.code, Some(0 | 4)), "{round} {kind}: {:?}: {}", ended.code, ended.stderr);
            let journal = lab.journal();
            let taken = "SELECT count(*) FROM event WHERE kind = 'controlled' AND run = (SELECT max(run) FROM run)";
            match command.code {
                Some(0) => n_taken += 1,
                Some(2) => n_late += 1,
                code => panic!("{round} {kind} {n}: {code:?}: {}", command.stderr),
            }
            assert_eq!(journal.count(taken), usize::from(command.code == Some(0)), "{kind} {n}: {}", command.stderr);
            assert_eq!(journal.count("SELECT count(*) FROM control WHERE taken_at IS NULL"), 0, "none is left behind");
            assert!(!command.stderr.contains("nothing was sent"), "{}", command.stderr);
        }
    }
    println!("{n_taken} were taken, {n_late} came too late");
    assert!(n_taken + n_late == 20 && n_late > 0);
}
