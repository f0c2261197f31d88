//! Whole runs, each a folder under `tests/nights`: a plan, the behaviour of the sandbox, the steps, and what has to be true
//! after each. Adding a folder adds a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::lab::home::{Lab, with_yes};
use super::lab::journal::Journal;
use super::lab::launch::{Ended, Launch};
use super::lab::served::Served;

/// Content of `night.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Night {
    /// Claim that the night shows.
    about: String,
    /// Plan whose sources the sandbox serves, if it is another one.
    #[serde(default = "plan")]
    serves: String,
    /// True if the profiles in `cutover.toml` name the sandbox by `{url}`, instead of a flag.
    #[serde(default)]
    by_profile: bool,
    step: Vec<Step>,
}

fn plan() -> String {
    "plan.csv".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Verb and its arguments, or an action of the test: see [`Stage::by_hand`].
    run: Vec<String>,
    /// Exit code; -1 for an end by a signal.
    #[serde(default)]
    exit: i32,
    /// Texts that have to be printed, to either stream.
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    says_not: Vec<String>,
    /// Actions while the step goes on.
    #[serde(default)]
    when: Vec<When>,
    /// Numbers of rows by verdict in the latest run; those not named are 0.
    verdicts: Option<BTreeMap<String, u64>>,
    /// Numbers of events in the journal, by kind.
    #[serde(default)]
    events: BTreeMap<String, u64>,
    /// Changes that the server has seen so far.
    sent: Option<usize>,
    /// Requests of any kind that the server has seen so far.
    asked: Option<usize>,
    /// True states of servers.
    #[serde(default)]
    truth: BTreeMap<String, String>,
    /// True if every server is where it was at the beginning.
    #[serde(default)]
    all_as_in_the_beginning: bool,
    /// Queries of the journal, each with its single value.
    #[serde(default)]
    sql: Vec<[String; 2]>,
    /// Most seconds that the step may take.
    within_s: Option<f64>,
    /// Fewest seconds that the step may take.
    at_least_s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    /// Kind of the event to wait for; without one, it happens right after what came before.
    event: Option<String>,
    #[serde(default = "one")]
    nth: usize,
    /// Steps that are taken then, in order; `@signal NAME` goes to the launch.
    #[serde(default)]
    then: Vec<Vec<String>>,
    #[serde(default)]
    says: Vec<String>,
    /// Most changes that the server may see within the next second.
    sends_at_most: Option<usize>,
}

fn one() -> usize {
    1
}

/// Fills in `{now+5}` with the time in five seconds and `{clock-60}` with the time of day a minute ago, both in UTC.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let inside = after.split_once('}');
        let time = inside.and_then(|(name, _)| time(name));
        if let (Some(time), Some((_, behind))) = (time, inside) {
            filled.push_str(&time);
            rest = behind;
        } else {
            filled.push('{');
            rest = after;
        }
    }
    filled + rest
}

fn time(name: &str) -> Option<String> {
    let (what, seconds) = name.split_at_checked(name.find(['+', '-'])?)?;
    let at = Timestamp::now() + SignedDuration::from_secs(seconds.parse().ok()?);
    match what {
        "now" => Some(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()),
        "clock" => Some(at.strftime("%H:%M:%S").to_string()),
        _ => None,
    }
}

/// Returns the printed lines for people, without events.
fn printed(ended: &Ended) -> String {
    let stdout: Vec<&str> =
        ended.stdout.lines().filter(|line| !line.contains(r#""schema":"cutover.event.v1""#)).collect();
    format!("{}\n{}", stdout.join("\n"), ended.stderr)
}

struct Stage {
    lab: Lab,
    sandbox: Served,
    by_profile: bool,
}

impl Stage {
    fn set(folder: &Path, night: &Night) -> Self {
        let lab = Lab::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            lab.write(&name, &filled(&text));
        }
        let scenario = fs::read_to_string(folder.join("scenario.toml")).unwrap_or_default();
        let settings = fs::read_to_string(folder.join("cutover.toml"));
        if settings.is_ok() {
            // The address of the sandbox is not known before it serves.
            fs::remove_file(lab.path("cutover.toml")).unwrap();
        }
        let sandbox = lab.serve(&night.serves, &scenario);
        if let Ok(settings) = settings {
            lab.write("cutover.toml", &settings.replace("{url}", &sandbox.url));
        }
        Self { lab, sandbox, by_profile: night.by_profile }
    }

    fn command(&self, args: &[String]) -> std::process::Command {
        let args: Vec<String> = args.iter().map(|arg| filled(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let goes_elsewhere = args.contains(&"--endpoint");
        match args[0] {
            _ if goes_elsewhere => self.lab.command(&args),
            "run" if self.by_profile => {
                self.lab.command(&[&args[..], &["--events", "--no-progress", "--yes"]].concat())
            }
            "run" | "resume" | "retry" | "reconcile" => self.lab.command(&with_yes(&self.sandbox, &args)),
            "plan" | "rehearse" => self.lab.command(&[&args[..], &["--endpoint", &self.sandbox.url]].concat()),
            _ => self.lab.command(&args),
        }
    }

    /// Takes a step that is no verb: `@move ID STATE CYCLE`, `@touch FILE`, `@remove FILE`, `@edit FILE FROM TO`, `@sql
    /// STATEMENT`. Returns `None` for a verb of the program.
    fn by_hand(&self, words: &[String]) -> Option<()> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["@move", id, copystate, cycle] => self.sandbox.move_to(id, copystate, cycle),
            ["@sql", statement] => {
                let journal = rusqlite::Connection::open(self.lab.path("cutover.db")).unwrap();
                journal.busy_timeout(Duration::from_secs(10)).unwrap();
                journal.execute_batch(statement).unwrap();
            }
            ["@touch", file] => self.lab.write(file, ""),
            ["@remove", file] => fs::remove_file(self.lab.path(file)).unwrap(),
            ["@edit", file, from, to] => {
                let text = fs::read_to_string(self.lab.path(file)).unwrap();
                assert!(text.contains(from), "`{from}` is not in {file}");
                self.lab.write(file, &text.replacen(from, to, 1));
            }
            _ => return None,
        }
        Some(())
    }

    /// Checks that every run's chains and sums hold, whatever happened.
    fn verify_the_journal(&self) {
        if !self.lab.path("cutover.db").exists() {
            return;
        }
        let runs = self.lab.journal().value("SELECT group_concat(id, ' ') FROM run");
        for run in runs.split(' ') {
            let verified = self.lab.cutover(&["audit", "verify", run]);
            assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
            self.check_a_bundle_of(run);
        }
    }

    /// Checks that the checker in bundles finds the same sums, and that the reports are those of the journal.
    fn check_a_bundle_of(&self, run: &str) {
        if super::tools::lack(&["python3"]) {
            return;
        }
        self.lab.cutover(&["audit", "export", run, "-o", &format!("bundle-{run}")]).exits(0);
        let bundle = self.lab.path(&format!("bundle-{run}"));
        let checked = std::process::Command::new("python3").arg(bundle.join("check.py")).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let verified = self.lab.cutover(&["audit", "verify", "--bundle", &format!("bundle-{run}")]);
        assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    }

    fn truth(&self) -> BTreeMap<String, String> {
        let truth = self.sandbox.truth().into_iter();
        truth.map(|(id, truth)| (id, format!("{}/{}", truth.copystate, truth.migrationcycle))).collect()
    }

    fn act(&self, launch: &Launch, when: &When) {
        if let Some(event) = &when.event {
            assert!(launch.reaches_nth(event, when.nth), "it ended before `{event}` number {}", when.nth);
        }
        let mut said = String::new();
        for words in &when.then {
            if let [signal, name] = &words[..]
                && signal == "@signal"
            {
                launch.signal(name);
            } else if self.by_hand(words).is_none() {
                let ended = Launch::start(self.command(words)).end();
                said.push_str(&printed(&ended));
                assert_eq!(ended.code, Some(0), "{words:?}:\n{}", ended.stderr);
            }
        }
        for text in &when.says {
            assert!(said.contains(text), "`{text}` is not in:\n{said}");
        }
        if let Some(most) = when.sends_at_most {
            let before = self.sandbox.changes().len();
            // Time passes: the claim is that nothing comes in it.
            std::thread::sleep(Duration::from_secs(1));
            let n_sent = self.sandbox.changes().len() - before;
            assert!(n_sent <= most, "{n_sent} changes came within a second, and at most {most} should");
        }
    }

    fn take(&self, step: &Step, began_with: &BTreeMap<String, String>) {
        let began = Instant::now();
        if self.by_hand(&step.run).is_none() {
            let launch = Launch::start(self.command(&step.run));
            for when in &step.when {
                self.act(&launch, when);
            }
            let ended = launch.end();
            let printed = printed(&ended);
            assert_eq!(ended.code.unwrap_or(-1), step.exit, "{:?}:\n{printed}", step.run);
            for text in &step.says {
                assert!(printed.contains(text.as_str()), "`{text}` is not in:\n{printed}");
            }
            for text in &step.says_not {
                assert!(!printed.contains(text.as_str()), "`{text}` is in:\n{printed}");
            }
        }
        let took = began.elapsed().as_secs_f64();
        assert!(step.within_s.is_none_or(|most| took <= most), "it took {took} s");
        assert!(step.at_least_s.is_none_or(|least| took >= least), "it took {took} s");
        self.check(step, began_with);
    }

    fn check(&self, step: &Step, began_with: &BTreeMap<String, String>) {
        if let Some(verdicts) = &step.verdicts {
            let journal: Journal = self.lab.journal();
            let mut found: BTreeMap<String, u64> = BTreeMap::new();
            for row in journal.rows() {
                *found.entry(row.verdict).or_default() += 1;
            }
            assert_eq!(&found, verdicts, "{:?}", step.run);
        }
        for (kind, n) in &step.events {
            let query =
                format!("SELECT count(*) FROM event WHERE kind = '{kind}' AND run = (SELECT max(run) FROM run)");
            assert_eq!(self.lab.journal().value(&query), n.to_string(), "events `{kind}`");
        }
        for [query, expected] in &step.sql {
            assert_eq!(&self.lab.journal().value(query), expected, "{query}");
        }
        if let Some(sent) = step.sent {
            assert_eq!(self.sandbox.changes().len(), sent, "changes sent");
        }
        if let Some(asked) = step.asked {
            assert_eq!(self.sandbox.ledger().len(), asked, "requests");
        }
        let truth = self.truth();
        for (id, expected) in &step.truth {
            assert_eq!(truth.get(id), Some(expected), "where {id} is");
        }
        if step.all_as_in_the_beginning {
            assert_eq!(&truth, began_with);
        }
    }
}

fn live_through(folder: &Path) {
    let text = fs::read_to_string(folder.join("night.toml")).unwrap();
    let night: Night = toml::from_str(&text).unwrap();
    assert!(!night.about.is_empty());
    let stage = Stage::set(folder, &night);
    let began_with = stage.truth();
    for step in &night.step {
        stage.take(step, &began_with);
    }
    stage.verify_the_journal();
}

#[test]
fn every_night_ends_as_it_should() {
    let _machine = super::lab::machine::shared();
    let nights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nights");
    let wanted = std::env::var("NIGHT").unwrap_or_default();
    let folders = fs::read_dir(nights).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.to_string_lossy().contains(&wanted)).collect();
    folders.sort();
    let n_nights = folders.len();
    assert!(n_nights >= 25 || !wanted.is_empty(), "{n_nights} nights");
    let left = Mutex::new(folders.into_iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(folder) = left.lock().unwrap().next() else { break };
                    let lived = std::panic::catch_unwind(|| live_through(&folder));
                    if let Err(panic) = lived {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                        failed.lock().unwrap().push(format!("{name}: {text}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {n_nights} nights failed:\n\n{}", failed.len(), failed.join("\n\n"));
}
