//! Commands to a run from a machine on which it does not go on.

use super::{server, url};
use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;

const HEAD: [&str; 4] = ["run", "plan.csv", "--rate", "2"];

/// A run that goes on in one folder, and another folder, from which it is steered.
struct Steered {
    engine: String,
    here: Lab,
    there: Lab,
    sandbox: Served,
}

impl Steered {
    fn new(engine: String) -> Self {
        let here = Lab::new();
        here.write("plan.csv", &plan(60, "stopped,syncing"));
        let sandbox = here.serve("plan.csv", "");
        Self { engine, here, there: Lab::new(), sandbox }
    }

    /// Begins a launch, which has sent something when this returns.
    fn begin(&self, args: &[&str]) -> Launch {
        let n_before = self.sandbox.changes().len();
        let launch = self.here.begin(&self.sandbox, &[args, &["--engine", &self.engine]].concat());
        self.sandbox.reach(n_before + 1);
        launch
    }

    fn run(&self) -> String {
        self.here.journal().text("SELECT id FROM run")
    }

    /// Gives a command from the other folder, with the journal there as it was at some time.
    fn asks(&self, words: &[&str]) -> Ended {
        if !self.there.path("cutover.db").exists() {
            let journal = rusqlite::Connection::open(self.here.path("cutover.db")).unwrap();
            journal.execute("VACUUM INTO ?1", [self.there.path("cutover.db").to_str().unwrap()]).unwrap();
        }
        let run = self.run();
        self.there.cutover(&[&["control", &run], words, &["--engine", &self.engine, "--reason", "elsewhere"]].concat())
    }

    fn taken(&self) -> Vec<String> {
        let taken = "SELECT detail ->> '$.command.is' FROM event WHERE kind = 'controlled' ORDER BY seq";
        self.here.journal().table(taken).into_iter().flatten().collect()
    }
}

#[test]
fn a_run_is_steered_from_a_machine_on_which_it_does_not_go_on() {
    let _machine = shared();
    let Some(server) = server() else { return };
    let steered = Steered::new(url(&server));
    let launch = steered.begin(&HEAD);
    steered.asks(&["pause"]).exits(0).says("pause: taken by run");
    let by = "SELECT detail ->> '$.by.reason' FROM event WHERE kind = 'controlled'";
    assert_eq!(steered.here.journal().text(by), "elsewhere");
    steered.asks(&["continue"]).exits(0);
    steered.asks(&["rate", "3"]).exits(0);
    steered.asks(&["skip", "vm-00060"]).exits(0);
    steered.asks(&["skip", "vm-00060"]).exits(2).says("was skipped already");
    steered.asks(&["skip", "vm-00001"]).exits(2);
    steered.asks(&["release", "pilot"]).exits(2).says("no wave");
    steered.asks(&["abort"]).exits(0);
    launch.end();
    assert_eq!(steered.taken(), ["pause", "continue", "rate", "skip", "abort"]);
    // Nobody leads it now: what the next launch may begin with waits for that, and nothing else is asked.
    steered.asks(&["pause"]).exits(2).says("does not go on now").says(&format!("--engine {}", steered.engine));
    steered.asks(&["skip", "vm-00059"]).exits(0).says("its next launch begins with this");
    steered.here.launch(&steered.sandbox, &["resume", "--rate", "off"]).exits(1);
    assert_eq!(steered.taken()[5..], ["skip"]);
    let skipped = ["vm-00059", "vm-00060"].map(|id| steered.here.journal().row(id).attempts);
    assert_eq!(skipped, [0, 0]);
}

#[test]
fn what_was_asked_of_a_launch_that_died_is_taken_by_the_next_one_once() {
    let _machine = shared();
    let Some(server) = server() else { return };
    let steered = Steered::new(url(&server));
    let launch = steered.begin(&HEAD);
    steered.asks(&["skip", "vm-00060"]).exits(0);
    launch.signal("STOP");
    // It is heard no more, and has not ended.
    steered.asks(&["skip", "vm-00059"]).exits(0).says("its next launch begins with this");
    launch.kill();
    steered.here.launch(&steered.sandbox, &["resume", "--rate", "off"]).exits(1);
    assert_eq!(steered.taken(), ["skip", "skip"]);
    assert_eq!(steered.here.journal().row("vm-00059").attempts, 0);
}
