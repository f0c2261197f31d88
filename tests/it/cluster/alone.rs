//! A run with an engine on one machine: it is made, killed, gone on with, and refused where its log is not as it was left.

use super::{server, url};
use crate::lab::books::{Balance, balance_the_books};
use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::plan;

#[test]
fn a_run_is_logged_outside_and_goes_on_there_after_a_kill() {
    let _machine = shared();
    let Some(server) = server() else { return };
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let engine = url(&server);
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--engine", &engine]);
    sandbox.reach(5);
    launch.kill();
    let balance = balance_the_books(&sandbox, &lab.journal(), Balance::default());
    // The run knows where its log is.
    let status = lab.cutover(&["status"]).exits(0);
    assert!(status.stdout.contains("cutover resume") && !status.stdout.contains("--engine"), "{}", status.stdout);
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    balance_the_books(&sandbox, &lab.journal(), balance);
    assert_eq!(lab.journal().tally()["applied"], 60);
    assert_eq!(lab.journal().text("SELECT settings ->> 'engine' FROM run"), engine);
}

#[test]
fn a_launch_whose_servers_cannot_be_reached_makes_nothing_and_says_why() {
    let _machine = shared();
    let Some(mut server) = server() else { return };
    server.kill();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let engine = url(&server);
    let run = |engine: &str| lab.cutover(&["run", "plan.csv", "--yes", "--endpoint", "sandbox", "--engine", engine]);
    let ended = run(&engine).exits(8);
    assert!(ended.stderr.contains(&format!("{engine}: ")) && ended.stderr.contains("refused"), "{}", ended.stderr);
    assert!(!lab.path("cutover.db").exists());
    for secret in ["nats://ann:hunter2@127.0.0.1:4222", "nats://hunter2@127.0.0.1", "nats://127.0.0.1/hunter2"] {
        let ended = run(secret).exits(2).says("hint: `--engine nats://HOST:4222`");
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter2"), "{}", ended.stderr);
    }
}
