//! Proof of every statement: runs against an endpoint where everything goes wrong that can.
//!
//! Each seed is one plan, one endpoint in this process and a few launches of the binary, killed, paused and resumed; `Theme`
//! says what each seed is about. The endpoint records the true history of every server: who moved it, each change that came
//! and each look that was given. Afterwards the journal's events are compared with that record.
//!
//! Claim of each verdict. A *look* is an answered read that shows a word in every field that the plan names; nobody can know
//! more than the looks that were given.
//!
//! | verdict | is untrue unless |
//! |---|---|
//! | `applied` | a change came, a look that was asked for after the last answer showed the target, and it was there |
//! | `already` | a look showed the target, and no change ever came (those refused by the quota left out) |
//! | `no_effect` | the last change was answered 2xx, and a look after the end of the window did not show the target |
//! | `overtaken` | a look showed a field that is neither what it was nor the target; after a change, two that agree |
//! | `refused` | the last answer was the service's own no; after an earlier doubt, a look since then shows no target |
//! | `failed` | the last answer was no refusal, and a look since then does not show the target |
//! | `blocked` | no change ever came, and a look showed a ground: a state that ignores updates, an expectation not met |
//! | `unverified` | the last change was answered 2xx, and no look of its own had shown the target since |
//!
//! Claims about changes: none comes for a row whose last look showed it on target or moved, none after one whose answer
//! leaves a doubt without a look in between, none that depends on a look without one directly before it, none for a settled
//! row; *before* is the state before the first one; `rollback` names every row with a change.
//!
//! `CUTOVER_TRUTH_SEED=7` runs one seed again, `CUTOVER_TRUTH_SEEDS=100..200` runs others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::dice::Dice;
use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;

mod claims;
mod draws;
mod mischief;
mod world;

use claims::{Fault, Line, Night, Told};
use mischief::Theme;
use world::{World, now_us};

const N_ROWS: usize = 50;
const N_SEEDS: u64 = 40;
/// Runs at the same time; they mostly wait.
const AT_ONCE: usize = 16;
const WINDOW_MS: u64 = 1500;
/// Time within which every row meets its pause, and every change before it is proven.
const PAUSE: Duration = Duration::from_secs(5);
const KIND_DRIVER: u64 = 9;

#[test]
fn nothing_that_it_says_is_untrue() {
    let _machine = shared();
    let seeds = seeds();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (next, told) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    if let Some(story) = night(seed, runtime.handle()) {
                        told.lock().unwrap().insert(seed, story);
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    let stories: Vec<String> = told.values().cloned().collect();
    assert!(told.is_empty(), "untrue in seeds {:?}\n\n{}", told.keys().collect::<Vec<_>>(), stories.join("\n"));
}

/// Returns the seeds from the environment, else the first forty. The slowest theme begins first.
fn seeds() -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("`{text}` is no seed"));
    if let Ok(one) = std::env::var("CUTOVER_TRUTH_SEED") {
        return vec![number(&one)];
    }
    let range = std::env::var("CUTOVER_TRUTH_SEEDS").unwrap_or_else(|_| N_SEEDS.to_string());
    let (from, to) =
        range.split_once("..").map_or_else(|| (0, number(&range)), |(from, to)| (number(from), number(to)));
    let mut seeds: Vec<u64> = (from..to).collect();
    seeds.sort_by_key(|seed| Theme::from_seed(*seed) != Theme::Halves);
    seeds
}

/// Makes one run of one seed. Returns `None` if nothing was untrue.
fn night(seed: u64, runtime: &tokio::runtime::Handle) -> Option<String> {
    let lab = Lab::new();
    let world = Arc::new(World::new(seed, N_ROWS));
    lab.write("plan.csv", &world.plan());
    let url = world::serve(&world, runtime);
    let mut driver = Driver {
        lab: &lab,
        world: &world,
        url,
        theme: Theme::from_seed(seed),
        dice: Dice::from_decision(&[seed, KIND_DRIVER]),
        launches: Vec::new(),
        notes: String::new(),
    };
    let rollback = driver.drive();
    let Driver { launches, mut notes, theme, .. } = driver;
    let estate = world.estate();
    let night = Night { launches: &launches, window_us: WINDOW_MS * 1000, rollback: &rollback };
    let lines = lines(&lab);
    let mut faults: Vec<Fault> = Vec::new();
    for (n, server) in estate.servers.iter().enumerate() {
        match lines.get(&server.id) {
            Some(line) => faults.extend(claims::faults(n, server, line, &night)),
            None => _ = writeln!(notes, "the journal has no row {}", server.id),
        }
    }
    if faults.is_empty() && notes.is_empty() {
        return None;
    }
    let mut text = format!("seed {seed} ({theme:?}):\n{notes}");
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for Fault { rule, source, text: what } in &faults {
        let server = &estate.servers[*source];
        writeln!(text, "  {}: {rule}: {what}", server.id).unwrap();
    }
    // One whole story of each kind is enough.
    for Fault { rule, source, text: what } in &faults {
        let n_told = told.entry(rule).or_default();
        *n_told += 1;
        if *n_told == 1 {
            let server = &estate.servers[*source];
            let story = claims::story(server, &lines[&server.id], &launches);
            writeln!(text, "\n  {rule}: {what}\n{story}").unwrap();
        }
    }
    Some(text)
}

/// Driver that launches, kills, pauses and resumes.
struct Driver<'a> {
    lab: &'a Lab,
    world: &'a World,
    url: String,
    theme: Theme,
    dice: Dice,
    launches: Vec<u64>,
    notes: String,
}

impl Driver<'_> {
    /// Drives the whole run, and returns what `rollback` printed at its end.
    fn drive(&mut self) -> String {
        const RUN: &[&str] = &["run", "plan.csv"];
        const RESUME: &[&str] = &["resume"];
        let n_kills = if self.theme.kills() { self.dice.between(1, 4) } else { 0 };
        for n in 0..n_kills {
            let launch = self.begin(if n == 0 { RUN } else { RESUME });
            std::thread::sleep(Duration::from_millis(self.dice.between(150, 1500)));
            launch.kill();
        }
        let mut launch = self.begin(RUN);
        if self.theme.pauses() {
            self.pause(&mut launch);
        }
        let ended = launch.end();
        self.ends(&ended);
        if self.n_unsettled() > 0 && self.dice.percent(50) {
            self.launch(&["reconcile"]);
        }
        // Each answer about the account ends a launch.
        for _ in 0..self.theme.n_resumes() {
            if self.n_unsettled() > 0 {
                self.launch(RESUME);
            }
        }
        if self.dice.percent(70) && self.n_unsettled() == 0 {
            self.launch(&["retry", "--only", "refused,failed,no_effect,unverified,blocked"]);
        }
        self.world.calm();
        for _ in 0..3 {
            if self.n_unsettled() > 0 {
                self.launch(RUN);
            }
        }
        let ended = Launch::start(self.lab.command(&["audit", "verify"])).end();
        if ended.code != Some(0) {
            writeln!(self.notes, "audit verify ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr).unwrap();
        }
        let ended = Launch::start(self.lab.command(&["rollback"])).end();
        if !matches!(ended.code, Some(0 | 1)) {
            writeln!(self.notes, "rollback ended with {:?}: {}", ended.code, ended.stderr).unwrap();
        }
        ended.stdout + &ended.stderr
    }

    fn begin(&mut self, verb: &[&str]) -> Launch {
        let window = format!("{WINDOW_MS}ms");
        let mut args = verb.to_vec();
        args.extend(["--endpoint", &self.url, "--no-progress", "--rate", self.theme.rate(), "--timeout", "1s"]);
        args.extend(["--verify-timeout", &window, "--attempts", "4"]);
        if verb[0] != "reconcile" {
            args.extend(["--pause-file", "pause", "--yes"]);
        }
        self.launches.push(now_us());
        Launch::start(self.lab.command(&args))
    }

    fn launch(&mut self, verb: &[&str]) {
        let launch = self.begin(verb);
        let ended = launch.end();
        self.ends(&ended);
    }

    /// Records an exit that no fault of the endpoint excuses.
    fn ends(&mut self, ended: &Ended) {
        if !matches!(ended.code, Some(0 | 1 | 3 | 4 | 5 | 8)) {
            writeln!(self.notes, "launch {} ended with {:?}: {}", self.launches.len(), ended.code, ended.stderr)
                .unwrap();
        }
    }

    /// Pauses once a few changes have come; somebody else then moves the rest.
    fn pause(&mut self, launch: &mut Launch) {
        let few = usize::try_from(self.dice.between(5, 15)).unwrap();
        for _ in 0..2000 {
            if self.world.n_puts() >= few {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.lab.write("pause", "");
        // Nothing leaves after the journal has the pause.
        while launch.is_running() && self.count("event", "kind = 'controlled'") == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.world.move_what_is_unsent();
        std::thread::sleep(PAUSE);
        std::fs::remove_file(self.lab.path("pause")).unwrap();
    }

    fn n_unsettled(&self) -> usize {
        if self.count("run", "1") == 0 { N_ROWS } else { self.count("v_row", "verdict IN ('pending', 'in_doubt')") }
    }

    /// Counts lines of the journal; 0 as long as it has no such table or view.
    fn count(&self, table: &str, which: &str) -> usize {
        let is_there = self.lab.path("cutover.db").exists()
            && self.lab.journal().count(&format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'")) == 1;
        if !is_there {
            return 0;
        }
        self.lab.journal().count(&format!("SELECT count(*) FROM {table} WHERE {which}"))
    }
}

/// Returns the journal's rows by source, from its public tables and views.
fn lines(lab: &Lab) -> BTreeMap<String, Line> {
    let journal = lab.journal();
    let field = |text: &String| (text != "null").then(|| text.clone());
    let rows = journal.table(
        "SELECT source_id, verdict, attempts, before_copystate, before_migrationcycle,
                (SELECT count(*) FROM v_attempt WHERE v_attempt.run = v_row.run AND v_attempt.row = v_row.row
                                                  AND outcome IS NOT 'unsent')
         FROM v_row",
    );
    let mut lines: BTreeMap<String, Line> = rows
        .iter()
        .map(|row| {
            let line = Line {
                verdict: row[1].clone(),
                attempts: row[2].parse().unwrap(),
                before: (field(&row[3]), field(&row[4])),
                n_sent: row[5].parse().unwrap(),
                told: Vec::new(),
            };
            (row[0].clone(), line)
        })
        .collect();
    let events = journal.table(
        "SELECT source_id, event.at, kind, detail FROM event JOIN row USING (run, row) ORDER BY event.lane, event.seq",
    );
    for event in events {
        let at: u64 = event[1].parse().unwrap();
        let told =
            Told { at: at * 1000 + 999, kind: event[2].clone(), detail: serde_json::from_str(&event[3]).unwrap() };
        lines.get_mut(&event[0]).unwrap().told.push(told);
    }
    lines
}
