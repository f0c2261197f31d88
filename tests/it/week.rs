//! A week of one scheduled job that nobody watches, and what its operator finds each morning.
//!
//! The job is a line of a crontab. Each night brings something that does go wrong; `week.md` says what it is, and what comes of it: the
//! exit code, the mail that cron sends, the metrics, the notices, and what is on target. The test plays the nights and compares
//! each with the page. The time of day is shown to the processes by libfaketime, so that the seven nights have seven dates.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::peer::{Answer, Asked, serve};
use crate::tools;

const PAGE: &str = include_str!("week.md");

/// The operator's settings: where the service is, and who hears of it.
const SETTINGS: &str = r#"
endpoint = "ENDPOINT"
rate = "40"
verify_timeout = "2s"
timeout = "2s"
connect_timeout = "1s"
attempts = 2
metrics_file = "cutover.prom"

[notify.ops]
kind = "webhook"
url = "HEARD/ops"

[notify.watchdog]
kind = "ping"
url = "HEARD/ping"
"#;

/// Variables and limits of a launch of the job, besides its clock.
#[derive(Default)]
struct Circumstances<'a> {
    /// Ready token of the account.
    token: Option<&'a str>,
    /// Words of the shell before the job, such as a limit.
    before: &'a str,
}

struct Week {
    lab: Lab,
    /// The service; gone on the last night.
    sandbox: Option<Served>,
    heard: Arc<Mutex<Vec<String>>>,
    /// Library that shows another time of day, as the loader is told of it.
    preload: String,
}

impl Week {
    fn new(preload: String) -> Self {
        let lab = Lab::new();
        lab.write("everything.csv", &rows(260));
        let sandbox = lab.serve("everything.csv", "");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hearing = Arc::clone(&heard);
        let receiver = serve(move |asked| {
            hearing.lock().unwrap_or_else(PoisonError::into_inner).push(told(asked));
            Answer::new(200, "{}")
        });
        lab.write("cutover.toml", &SETTINGS.replace("ENDPOINT", &sandbox.url).replace("HEARD", &receiver));
        Self { lab, sandbox: Some(sandbox), heard, preload }
    }

    /// The job as cron begins it, at this time of a clock that may be set again while it goes on.
    fn begin(&self, at: &str, circumstances: &Circumstances<'_>) -> Launch {
        self.set_clock(at);
        let job = job().replace("/srv/cutover", self.lab.path("").to_str().unwrap());
        // Whoever kills the job kills the program, not only the shell.
        let script = format!("{}\n{}", circumstances.before, job.replace("&& cutover", "&& exec cutover"));
        let mut command = self.lab.command_of("sh", &["-c", &script]);
        // Cron's own environment is this small.
        let path = PathBuf::from(env!("CARGO_BIN_EXE_cutover")).parent().unwrap().display().to_string();
        command
            .env("PATH", format!("{path}:/usr/bin:/bin"))
            .env("TZ", "UTC")
            .env("LD_PRELOAD", &self.preload)
            .env("FAKETIME_TIMESTAMP_FILE", self.lab.path("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        if let Some(token) = circumstances.token {
            command.env("CUTOVER_AUTH_TOKEN", token);
        }
        Launch::start(command)
    }

    fn set_clock(&self, at: &str) {
        let at: DateTime = at.parse().unwrap();
        let ahead = TimeZone::UTC.to_timestamp(at).unwrap().as_second() - Timestamp::now().as_second();
        // Renamed into place: a process may read it at any moment.
        self.lab.write("clock.new", &format!("{ahead:+}"));
        std::fs::rename(self.lab.path("clock.new"), self.lab.path("clock")).unwrap();
    }

    /// Limit of the shell under which the journal soon takes no more: that of the size of a file stands in for a full disk.
    fn limit(&self) -> String {
        let now = std::fs::metadata(self.lab.path("cutover.db")).unwrap().len();
        format!("ulimit -f {}", (now + 300_000) / 512)
    }

    /// Findings of the morning after a launch, as the page shows them.
    fn morning(&self, ended: &Ended) -> String {
        let code = ended.code.map_or_else(|| "none: it was killed".to_owned(), |code| code.to_string());
        let mail = format!("{}{}", ended.stdout, ended.stderr);
        let mut heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        // Each receiver hears in order, and none waits for the other.
        heard.sort_by_key(|line| line.starts_with("/ping"));
        let found = [
            format!("exit code: {code}"),
            listed("mail", mail.lines().filter(|line| !line.is_empty())),
            listed("notices", heard.iter().map(String::as_str)),
            listed("metrics", self.metrics().iter().map(String::as_str)),
        ];
        let found = found.map(|part| part.trim_end().to_owned()).join("\n") + "\n";
        // The rest differs from one week to the next.
        let folder = self.lab.path("");
        let endpoint = self.lab.path("cutover.toml");
        let endpoint = std::fs::read_to_string(endpoint).unwrap();
        let endpoint = endpoint.split('"').nth(1).unwrap();
        let found = found.replace(endpoint, "https://sms.example").replace(folder.to_str().unwrap(), "/srv/cutover/");
        ["rows left to do", "in doubt", "are still to do", "are in doubt", "changes left"]
            .iter()
            .fold(without_dice(&found), |found, phrase| without_number(&found, phrase))
    }

    /// Gauges of the job's last launch.
    fn metrics(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.lab.path("cutover.prom")).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.rsplit(' ').next()?.parse::<f64>().ok()
        };
        #[expect(clippy::cast_possible_truncation, reason = "times of this century")]
        let date = |name| value(name).map(|at| Timestamp::from_second(at as i64).unwrap().strftime("%F").to_string());
        let unsettled = value("cutover_run_unsettled_rows").map(|n| if n > 0.0 { "some" } else { "none" });
        let ended = date("cutover_run_ended_timestamp_seconds");
        let elapsed = value("cutover_run_elapsed_seconds").filter(|_| ended.is_some());
        let elapsed = elapsed.map(|s| if s < 60.0 { "under a minute" } else { "a minute or more" });
        let or_absent = |text: Option<String>| text.unwrap_or_else(|| "absent".to_owned());
        vec![
            format!("exit code {}", or_absent(value("cutover_run_exit_code").map(|code| code.to_string()))),
            format!("started {}", or_absent(date("cutover_run_started_timestamp_seconds"))),
            format!("ended {}", or_absent(ended)),
            format!("elapsed {}", or_absent(elapsed.map(str::to_owned))),
            format!("unsettled rows {}", or_absent(unsettled.map(str::to_owned))),
            format!("last success {}", or_absent(date("cutover_run_last_success_timestamp_seconds"))),
        ]
    }

    fn service(&self) -> &Served {
        self.sandbox.as_ref().expect("it is there until Sunday")
    }

    fn on_target(&self) -> usize {
        self.service().truth().values().filter(|truth| truth.copystate == "stopped").count()
    }
}

/// The nights of the page, each launch of the job a block.
#[test]
fn each_morning_of_a_week_is_as_the_page_says() {
    let _machine = shared();
    let Some(preload) = tools::faketime() else { return };
    let mut week = Week::new(preload);
    let plain = Circumstances::default();
    let mut mornings = Vec::new();

    // Monday: while the job runs, the clock is set back by an hour, then ahead by a day.
    week.lab.write("estate.csv", &rows(40));
    let job = week.begin("2026-12-07T02:00:00", &plain);
    week.service().reach(5);
    week.set_clock("2026-12-07T01:00:00");
    week.service().reach(20);
    week.set_clock("2026-12-08T01:30:00");
    mornings.push(week.morning(&job.end()));

    // Tuesday: twenty rows are new, and the token ends in the middle.
    week.lab.write("estate.csv", &rows(60));
    let job = week.begin("2026-12-08T02:00:00", &plain);
    week.service().reach(45);
    week.service().expire_tokens();
    mornings.push(week.morning(&job.end()));
    // The operator read the mail and renewed it. The second slot of the night goes on.
    let token = week.service().fresh_token();
    let renewed = Circumstances { token: Some(&token), ..plain };
    mornings.push(week.morning(&week.begin("2026-12-08T03:00:00", &renewed).end()));

    // Wednesday: there is nothing to do, and the list says so.
    week.lab.write("estate.csv", HEADER);
    mornings.push(week.morning(&week.begin("2026-12-09T02:00:00", &renewed).end()));

    // Thursday: somebody edited the list.
    week.lab.write("estate.csv", &rows(80).replace("vm-00061,stopped", "vm-00061,stoped"));
    mornings.push(week.morning(&week.begin("2026-12-10T02:00:00", &renewed).end()));

    // Friday: the job is killed. The next slot goes on, and a second launch comes while it does.
    week.lab.write("estate.csv", &rows(120));
    let job = week.begin("2026-12-11T02:00:00", &renewed);
    week.service().reach(80);
    mornings.push(week.morning(&job.kill()));
    let job = week.begin("2026-12-11T03:00:00", &renewed);
    week.service().reach(90);
    mornings.push(week.morning(&week.begin("2026-12-11T03:00:05", &renewed).end()));
    mornings.push(week.morning(&job.end()));

    // Saturday: the disk is full.
    week.lab.write("estate.csv", &rows(260));
    let full = Circumstances { before: &week.limit(), ..renewed };
    mornings.push(week.morning(&week.begin("2026-12-12T02:00:00", &full).end()));
    mornings.push(week.morning(&week.begin("2026-12-12T03:00:00", &renewed).end()));

    assert_eq!(week.on_target(), 260);

    // Sunday: nobody is there.
    week.lab.write("estate.csv", &rows(261));
    nothing_is_sent_again_unseen(&week.service().ledger());
    week.sandbox = None;
    mornings.push(week.morning(&week.begin("2026-12-13T02:00:00", &renewed).end()));

    week.lab.cutover(&["audit", "verify"]).exits(0);
    compare(&mornings);
}

const HEADER: &str = "source_id,copystate,migrationcycle\n";

/// A plan of the first `n` rows.
fn rows(n: usize) -> String {
    plan(n, "stopped,syncing")
}

/// Line of the crontab on the page, without its times: cron gives it to the shell.
fn job() -> String {
    let line = blocks("crontab").next().expect("the page has the line").lines().last().unwrap();
    // In a crontab a per cent sign is escaped.
    line.splitn(6, ' ').last().unwrap().replace("\\%", "%")
}

/// Blocks of the page of one language.
fn blocks(language: &'static str) -> impl Iterator<Item = &'static str> {
    let of_language = move |block: &&str| block.starts_with(language);
    // Every other piece is between two fences; the first line is the language.
    PAGE.split("```")
        .skip(1)
        .step_by(2)
        .filter(of_language)
        .map(|block| block.split_once('\n').expect("it has lines").1)
}

/// Text of a notice as it was heard: to whom, and what of it does not differ from week to week.
fn told(asked: &Asked) -> String {
    let Ok(notice) = serde_json::from_str::<Value>(&asked.body) else { return asked.path.clone() };
    let text = |name: &str| notice[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", asked.path, text("about"), text("text"))
}

/// Lines under a title, or the word that there are none.
fn listed<'a>(title: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines.map(|line| format!("\n  {line}")).collect();
    if lines.is_empty() { format!("{title}: none") } else { format!("{title}:{}", lines.concat()) }
}

/// Replaces what differs of each run's id: the time of day, and the random end.
fn without_dice(text: &str) -> String {
    let mut pieces = text.split(" 202612").map(str::to_owned).collect::<Vec<_>>();
    pieces
        .iter_mut()
        .skip(1)
        .filter(|piece| piece[2..].starts_with('t'))
        .for_each(|piece| piece.replace_range(2..14, "t…"));
    pieces.join(" 202612")
}

/// Replaces the number in front of a phrase: how far a launch came before it was cut off is another each time.
fn without_number(text: &str, phrase: &str) -> String {
    let marked = format!(" {phrase}");
    let blurred = text.split_inclusive(&marked).map(|piece| {
        let Some(before) = piece.strip_suffix(phrase) else { return piece.to_owned() };
        let number = before.trim_end().rsplit(' ').next().unwrap_or_default();
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return piece.to_owned();
        }
        format!("{}N {phrase}", before.trim_end().strip_suffix(number).expect("it ends with it"))
    });
    blurred.collect()
}

/// Compares what was found with the page, and shows all of it where they differ.
fn compare(mornings: &[String]) {
    let of_page: Vec<&str> = blocks("morning").collect();
    let found: Vec<&str> = mornings.iter().map(String::as_str).collect();
    if of_page != found {
        let page: Vec<String> = mornings.iter().map(|morning| format!("```morning\n{morning}```\n")).collect();
        panic!("the mornings were these:\n\n{}", page.join("\n"));
    }
}
