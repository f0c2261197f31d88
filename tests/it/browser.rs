//! Pages as people see them, in a real Chromium: the report and the served pages, at phone and desktop widths, in light and
//! dark.
//!
//! The screenshots stay under `target/screenshots` for a person to look at.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cutover::event::lane::LaneId;
use cutover::event::outcome::Outcome;
use cutover::event::row::RowEvent;
use cutover::event::run::RunEvent;
use cutover::event::verdict::Verdict;
use cutover::exit::Exit;
use cutover::journal::Journal;
use cutover::journal::new_run::{NewLane, NewRun};
use cutover::model::state::{SeenState, TargetState};
use cutover::model::words::Word;
use cutover::model::{Row, RowId, SourceId};
use cutover::waves::Terms;
use rusqlite::OpenFlags;
use serde_json::json;

use crate::lab::home::Lab;
use crate::lab::machine::{alone, shared};
use crate::lab::plan;
use crate::python::{Python, once, said};
use crate::serve::Site;
use crate::tools;

/// Packages that are installed once from the registry, beside what cargo builds. Nothing of them is shipped.
const PACKAGES: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// A browser, and the program that drives it.
#[derive(Clone)]
struct Browser {
    packages: PathBuf,
    chromium: PathBuf,
    /// Link that is opened before any other page of a site.
    link: String,
}

impl Browser {
    /// Returns the browser; `None` if it cannot be installed here, in which case the test is left out.
    fn installed() -> Option<Self> {
        if tools::lack(&["node", "npm", "chromium"]) {
            return None;
        }
        let packages = once(&PACKAGES.join("+"), |place| {
            std::fs::create_dir_all(place).unwrap();
            std::fs::write(place.join("package.json"), "{}").unwrap();
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--cache"]).arg(place.join("cache"));
            let ran = npm.args(PACKAGES).current_dir(place).output().unwrap();
            said(&ran, &format!("`npm install {}`", PACKAGES.join(" ")))
        })?;
        Some(Self { packages, chromium: tools::find("chromium")?, link: String::new() })
    }

    /// Returns the browser with access to a site by the link that was printed.
    fn at(&self, site: &Site) -> Self {
        Self { link: site.link.clone(), ..self.clone() }
    }

    fn command(&self, theme: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser/look.mjs");
        let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        let mut command = Command::new("node");
        command.arg(script).arg(theme).env("PACKAGES", &self.packages).env("SHOTS", shots);
        command.env("CHROMIUM", &self.chromium).env("NO_PROXY", "*").env("LINK", &self.link);
        command
    }

    #[track_caller]
    fn holds(&self, theme: &str, args: &[&str]) {
        let ran = self.command(theme).args(args).output().unwrap();
        assert!(ran.status.success(), "{theme}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn report(lab: &Lab) -> String {
    lab.cutover(&["report", "--format", "html", "-o", "report.html"]).exits(0);
    lab.path("report.html").to_str().unwrap().to_owned()
}

/// Makes a run of ten rows in two waves, with a refusal, a lost answer, a state that swallows updates, and a quota.
fn small() -> Lab {
    let lab = Lab::new();
    let rows = plan(10, "stopped,syncing").replace("source_id,copystate,migrationcycle", "id,state,cycle,wave");
    let rows: Vec<String> = rows
        .lines()
        .enumerate()
        .map(
            |(i, line)| {
                if i == 0 { line.to_owned() } else { format!("{line},{}", if i < 4 { "pilot" } else { "main" }) }
            },
        )
        .collect();
    lab.write("plan.csv", &rows.join("\n"));
    let sandbox = lab.serve(
        "plan.csv",
        "[quota]\nper_second = 20\n\
         [[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n\
         [[fault]]\nsources = [\"vm-00005\"]\nkind = \"reset_after\"\n\
         [[source]]\nid = \"vm-00007\"\ncopystate = \"unavailable\"\nmigrationcycle = \"checking\"\n",
    );
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "50"]).exits(1);
    lab
}

#[test]
fn a_small_report_reads_on_every_screen_on_paper_and_without_scripts() {
    let Some(browser) = Browser::installed() else { return };
    let _machine = shared();
    let lab = small();
    let file = report(&lab);
    browser.holds("report", &[&file, "report-10", "10"]);
    browser.holds("search", &[&file, "10", "vm-00005", "refused", "1"]);
}

#[test]
fn a_report_of_a_hundred_thousand_rows_opens_and_finds() {
    let Some(browser) = Browser::installed() else { return };
    let _machine = shared();
    let lab = Lab::new();
    large(&lab.path("cutover.db"), 100_000);
    let file = report(&lab);
    browser.holds("report", &[&file, "report-100000", "100000"]);
    browser.holds("search", &[&file, "100000", "vm-77777", "refused", "1000"]);
}

/// Makes a journal with this many rows, every hundredth of which was refused.
pub(crate) fn large(path: &Path, n_rows: u32) {
    let mut journal = Journal::open(path).unwrap();
    let lane = NewLane {
        name: "acme".to_owned(),
        endpoint: "https://sms.example.com".to_owned(),
        account: "acme".to_owned(),
        takes_unnamed: true,
    };
    let wants = || TargetState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("syncing")) };
    let row = |id: u32| Row {
        id: RowId(id),
        line: id + 1,
        file: None,
        source_id: SourceId::new(&format!("vm-{id:05}")).unwrap(),
        wants: wants(),
        expects: TargetState::default(),
        wave: Some(format!("wave-{}", id % 3)),
        account: None,
        name: Some(format!("host-{id}.example.com")),
        note: None,
        extra: Vec::new(),
    };
    let lanes = [lane];
    let new = NewRun {
        id: "large",
        made_at: jiff::Timestamp::now(),
        plan_path: "plan.csv",
        plan_digest: "sha256:0",
        n_rows,
        lanes: &lanes,
        settings: &json!({}),
        given: std::collections::BTreeMap::new(),
        terms: &Terms::default(),
        run_key: None,
    };
    let run = journal
        .create_run(&new, |sink| (1..=n_rows).try_for_each(|id| sink.row(&row(id), None)))
        .unwrap_or_else(|error: cutover::journal::JournalError| panic!("{error}"))
        .run;
    let began = RunEvent::LaunchBegan {
        launch: 1,
        verb: "run".into(),
        pid: 1,
        host: "host".into(),
        user: None,
        who: cutover::whoami::Who::default(),
        version: "0".into(),
        given: [].into(),
        cut_off_ms: 0,
    };
    journal.append(run, [(LaneId::RUN, began.into())]).unwrap();
    for first in (1..=n_rows).step_by(10_000) {
        let kinds = (first..(first + 10_000).min(n_rows + 1)).flat_map(|id| {
            let row = RowId(id);
            let message = "You do not have permission".to_owned();
            let (outcome, verdict, seen) = if id % 100 == 0 {
                let code = Some("SMS.0515".to_owned());
                (Outcome::Rejected { status: 403, code, message }, Verdict::Refused, None)
            } else {
                let seen =
                    SeenState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("syncing")) };
                (Outcome::Accepted { status: 200 }, Verdict::Applied, Some(seen))
            };
            let request_id = Some(format!("request-{id}"));
            let took_ms = u64::from(id % 400);
            [
                RowEvent::AttemptStarted { attempt: 1, sends: wants() }.about(row),
                RowEvent::AttemptEnded { attempt: 1, outcome, request_id, took_ms, via: None }.about(row),
                RowEvent::Settled { verdict, seen, reason: None, ground: None }.about(row),
            ]
        });
        journal.append(run, kinds.map(|kind| (LaneId::FIRST, kind))).unwrap();
    }
    let ended =
        RunEvent::LaunchEnded { exit: Exit::NotOnTarget, reason: None, elapsed_ms: 60_000, refusal: None }.into();
    journal.append(run, [(LaneId::RUN, ended)]).unwrap();
}

#[test]
fn a_hostile_plan_and_a_hostile_server_stay_text() {
    const NAME: &str = "</noscript><script>hacked=1</script><img src=x onerror=\"hacked=1\">";
    const WAVE: &str = "'\"><svg onload=hacked=1>";
    const NOTE: &str = "</style></title></textarea><iframe src=javascript:hacked=1>";
    const ERROR: &str = "<b onclick='hacked=1'>no</b>-->]]>";
    let Some(browser) = Browser::installed() else { return };
    let _machine = shared();
    let lab = Lab::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let extra = "<script>hacked=2</script>";
    lab.write(
        "plan.csv",
        &format!(
            "source_id,copystate,migrationcycle,name,wave,note,{}\nvm-00001,stopped,syncing,{},{},{},{}\n\
             <u>vm,stopped,syncing,,,,\n",
            quoted(extra),
            quoted(NAME),
            quoted(WAVE),
            quoted(NOTE),
            quoted(ERROR)
        ),
    );
    let scenario = format!(
        "[[fault]]\nsources = [\"vm-00001\"]\nkind = \"status\"\nstatus = 400\ncode = \"<i>SMS</i>\"\nmessage = {}\n\
         [[source]]\nid = \"<u>vm\"\ncopystate = \"unavailable\"\nmigrationcycle = \"<s>cycle</s>\"\n",
        serde_json::to_string(ERROR).unwrap()
    );
    let sandbox = lab.serve("plan.csv", &scenario);
    lab.launch(&sandbox, &["run", "plan.csv"]).exits(1);
    let file = report(&lab);
    let site = Site::over(&lab, &[]);
    browser.at(&site).holds("hostile", &[&file, &site.run(), NAME, WAVE, ERROR, "<u>vm"]);
}

#[test]
fn every_page_is_fit_for_screens_keyboards_and_screen_readers() {
    let Some(browser) = Browser::installed() else { return };
    let _machine = shared();
    let lab = small();
    let site = Site::over(&lab, &[]);
    browser.at(&site).holds("served", &[&site.url, &site.run()]);
}

/// Returns the contents that a page showed, each with its time.
fn followed(mut child: Child) -> Vec<(i64, String)> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let shown = lines.next().expect("the page was watched to its end").unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(&shown).unwrap()
}

#[test]
fn the_page_of_a_run_follows_it_to_its_end_within_a_second() {
    let Some(browser) = Browser::installed() else { return };
    let _machine = alone();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    // Held before its first change until the page is open.
    lab.write("hold", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "15", "--pause-file", "hold"]);
    assert!(launch.reaches("controlled"));
    let site = Site::over(&lab, &[]);
    let mut child = browser
        .at(&site)
        .command("follow")
        .args([&site.run(), "All 60 rows are on target."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut watching = String::new();
    stdout.read_line(&mut watching).unwrap();
    assert_eq!(watching, "watching\n");
    child.stdout = Some(stdout.into_inner());
    std::fs::remove_file(lab.path("hold")).unwrap();
    launch.end().exits(0);
    let shown = followed(child);
    let settled: Vec<i64> = lab
        .journal()
        .text("SELECT json_group_array(settled_at) FROM (SELECT settled_at FROM row ORDER BY settled_at)")
        .trim_matches(['[', ']'])
        .split(',')
        .map(|at| at.parse().unwrap())
        .collect();
    assert!(shown.len() >= 5, "it moved with the run: {shown:?}");
    for (i, at) in settled.iter().enumerate() {
        let n_settled = i + 1;
        let first = shown.iter().find(|(_, text)| n_on_target(text) >= n_settled).expect("all are shown in the end");
        assert!(first.0 - at <= 1000, "row {n_settled} was settled at {at}, and shown {} ms later", first.0 - at);
    }
}

fn n_on_target(sentence: &str) -> usize {
    let number = sentence.trim_start_matches("All ").split(' ').next().unwrap();
    number.parse().unwrap_or(0)
}

/// Most bytes of a picture in the README, for readers with a slow connection.
const MOST_BYTES: usize = 200_000;
const PICTURES: [&str; 3] = ["report.png", "live.png", "progress.png"];

/// Makes the pictures again from the sample night with `UPDATE_PICTURES=1 cargo test --locked --test it pictures`.
#[test]
fn the_pictures_in_the_readme_are_there_and_small() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        take_pictures(&top.join("samples"));
    }
    let readme = std::fs::read_to_string(top.join("README.md")).unwrap();
    for name in PICTURES {
        let bytes = std::fs::read(top.join("samples").join(name)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() < MOST_BYTES, "{name}: {} bytes", bytes.len());
        assert!(readme.contains(&format!("(samples/{name})")), "{name} is shown");
    }
}

fn take_pictures(samples: &Path) {
    let browser = Browser::installed().expect("pictures need a browser");
    let python = Python::with(&["pyte==0.8.2"]).expect("pictures need a Python");
    let _machine = alone();
    let lab = Lab::new();
    std::fs::create_dir(lab.path("samples")).unwrap();
    for name in ["estate.csv", "night.toml"] {
        std::fs::copy(samples.join(name), lab.path("samples").join(name)).unwrap();
    }
    let night = "run samples/estate.csv --endpoint sandbox --scenario samples/night.toml --timeout 5s --verify-timeout 5s \
                 --allow-irreversible --yes";
    let night: Vec<&str> = night.split_whitespace().collect();
    let picture = |url: &str, name: &str, width: &str, height: &str, scheme: &str| {
        browser.holds("picture", &[url, samples.join(name).to_str().unwrap(), width, height, scheme]);
    };
    let page = lab.path("terminal.html");
    let command =
        format!("cd {} && exec {} {}", lab.path(".").display(), env!("CARGO_BIN_EXE_cutover"), night.join(" "));
    let shown = ["20", "110", "24", page.to_str().unwrap(), "sh", "-c", &command];
    let terminal = std::thread::scope(|threads| {
        let ran = threads.spawn(|| python.run("browser/terminal.py", &shown));
        while n_answers(&lab).is_none_or(|n| n < 120) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let site = Site::over(&lab, &[]);
        let live = samples.join("live.png");
        browser.at(&site).holds("picture", &[&site.run(), live.to_str().unwrap(), "1100", "900", "dark"]);
        ran.join().unwrap()
    });
    assert!(terminal.status.success(), "{}", String::from_utf8_lossy(&terminal.stderr));
    picture(&format!("file://{}", page.display()), "progress.png", "1040", "520", "dark");
    picture(&format!("file://{}", report(&lab)), "report.png", "1100", "960", "light");
}

/// Counts the answers so far; `None` while there is no journal.
fn n_answers(lab: &Lab) -> Option<u32> {
    let journal =
        rusqlite::Connection::open_with_flags(lab.path("cutover.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    journal.query_row("SELECT count(*) FROM event WHERE kind = 'attempt_ended'", [], |row| row.get(0)).ok()
}
