//! Bundles of evidence that somebody altered, with every hash and sum made again that needs no key: `check.py` and `audit
//! verify --bundle` find each of them, and find nothing in an untouched one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cutover::control::{By, Command as Steered};
use cutover::digest::Digester;
use cutover::event::kind::EventKind;
use cutover::event::lane::{CoolDownCause, LaneEvent, LaneId, LaneStop};
use cutover::event::outcome::Outcome;
use cutover::event::row::RowEvent;
use cutover::event::rules::Rules;
use cutover::event::run::RunEvent;
use cutover::event::verdict::{Ground, Verdict};
use cutover::journal::Journal;
use cutover::journal::new_run::{NewLane, NewRun, RowSink};
use cutover::model::state::{SeenState, TargetState};
use cutover::model::words::Word;
use cutover::model::{Row, RowId, SourceId};
use cutover::waves::Terms;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::chained::{rechain, tamper};
use super::lab::home::Lab;
use super::lab::launch::{Ended, Launch};
use super::lab::machine::shared;
use super::lab::plan;
use super::tools;

/// Makes a signed bundle of a run of five rows, one of which is refused.
fn bench() -> (Lab, PathBuf) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(1);
    lab.make_key("mine");
    lab.cutover(&["audit", "export", "-o", "bundle", "--key", "mine"]).exits(0);
    let bundle = lab.path("bundle");
    (lab, bundle)
}

fn by_hand(bundle: &Path) -> Output {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/src/audit/bundle/check.py");
    Command::new("python3").arg(check).arg(bundle).output().unwrap()
}

/// Runs `check.py`, and returns what it printed if it found nothing.
pub(super) fn by_hand_said(bundle: &Path) -> Result<String, String> {
    let out = by_hand(bundle);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(matches!(out.status.code(), Some(0 | 1)), "{said}");
    if out.status.success() { Ok(said) } else { Err(said) }
}

pub(super) fn by_verb(lab: &Lab, bundle: &Path, more: &[&str]) -> Ended {
    let bundle = bundle.to_str().unwrap();
    Launch::start(lab.command(&[&["audit", "verify", "--bundle", bundle], more].concat())).end()
}

/// Copies a bundle, alters it, and makes its manifest again unless `alter` did.
pub(super) fn altered(bundle: &Path, name: &str, alter: impl FnOnce(&Path)) -> PathBuf {
    let copy = bundle.with_file_name(name);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(bundle).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    alter(&copy);
    copy
}

pub(super) fn new_sums(bundle: &Path) {
    let script = "rm -f SHA256SUMS.sig; ls | grep -v SHA256SUMS | xargs sha256sum > SHA256SUMS.new; mv SHA256SUMS.new SHA256SUMS";
    assert!(Command::new("sh").args(["-c", script]).current_dir(bundle).status().unwrap().success());
}

fn edit(path: &Path, edit: impl FnOnce(String) -> String) {
    fs::write(path, edit(fs::read_to_string(path).unwrap())).unwrap();
}

fn sql(bundle: &Path, statement: &str) {
    rusqlite::Connection::open(bundle.join("journal.db")).unwrap().execute_batch(statement).unwrap();
}

#[track_caller]
fn both_find(lab: &Lab, bundle: &Path, hand: &str, verb: &str) {
    let said = by_hand_said(bundle).unwrap_err();
    assert!(said.contains(hand), "`{hand}` is not in:\n{said}");
    let ended = by_verb(lab, bundle, &[]).exits(7);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains(verb), "`{verb}` is not in:\n{said}");
}

/// Names each of the two checkers that does not refuse a bundle, or does not say why as it should.
fn what_misses(lab: &Lab, bundle: &Path, hand: &str, verb: &str) -> impl Iterator<Item = String> {
    let by_hand = match by_hand_said(bundle) {
        Ok(_) => Some("by check.py".to_owned()),
        Err(said) if said.contains(hand) && !said.contains("Traceback") => None,
        Err(said) => Some(format!("by check.py for another reason: {said}")),
    };
    let ended = by_verb(lab, bundle, &[]);
    let is_found = ended.code == Some(7) && ended.stdout.contains(verb);
    let by_verb = (!is_found).then(|| format!("by the verb: {:?} {}{}", ended.code, ended.stdout, ended.stderr));
    by_hand.into_iter().chain(by_verb)
}

pub(super) fn lacks_tools() -> bool {
    tools::lack(&["ssh-keygen", "python3", "sha256sum"])
}

#[test]
fn verdicts_that_were_changed_in_row_and_reports_with_new_sums_are_found() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let said = by_hand_said(&bundle).unwrap();
    assert!(said.contains("4 of 5 rows on target") && said.contains("only the manifest covers report.html"), "{said}");
    let held = by_verb(&lab, &bundle, &[]).exits(0);
    assert!(held.stdout.contains("signed  by SHA256:"), "{}", held.stdout);
    assert!(
        held.stdout.contains("report.html") && !held.stdout.contains("not the one of this version"),
        "{}",
        held.stdout
    );
    let public = by_verb(&lab, &bundle, &["--signer", "mine.pub", "--json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&public.stdout).unwrap();
    assert!(document["bundle"]["signed_by"]["fingerprint"].as_str().unwrap().starts_with("SHA256:"));

    let row = "row 1: verdict, http_status";
    let forged = altered(&bundle, "forged", |copy| {
        sql(
            copy,
            "UPDATE row SET verdict = 'refused', http_status = 403, on_target = 0 WHERE row IN (1, 2);
             UPDATE row SET verdict = 'applied', http_status = 200, on_target = 1 WHERE row = 3",
        );
        for report in ["report.csv", "report.html"] {
            edit(&copy.join(report), |text| {
                text.replace("applied", "@").replace("refused", "applied").replace('@', "refused")
            });
        }
        new_sums(copy);
    });
    both_find(&lab, &forged, row, "row 1: standing, http_status");
    // Alterations in one report only.
    for (name, report, from, to) in [
        ("csv", "report.csv", "vm-00003,cutovering,cutovering,refused", "vm-00003,cutovering,cutovering,applied"),
        ("json", "report.json", "\"verdict\":\"refused\"", "\"verdict\":\"applied\""),
        ("sum", "report.json", "\"refused\":1", "\"refused\":0"),
        ("more", "report.csv", "row,source_id", "row,source_id,source_id"),
    ] {
        let forged = altered(&bundle, name, |copy| {
            edit(&copy.join(report), |text| {
                assert!(text.contains(from), "{report} has no {from}");
                text.replacen(from, to, 1)
            });
            new_sums(copy);
        });
        both_find(&lab, &forged, report, report);
    }
    // Only the manifest covers the report for people, and the manifest is signed.
    let page = altered(&bundle, "page", |copy| edit(&copy.join("report.html"), |text| text + " "));
    both_find(&lab, &page, "report.html is not the file that the manifest names", "`report.html` is not the file");
    new_sums(&page);
    fs::copy(bundle.join("SHA256SUMS.sig"), page.join("SHA256SUMS.sig")).unwrap();
    let unsigned = by_verb(&lab, &page, &[]).exits(7);
    assert!(unsigned.stdout.contains("the signature is not of this manifest"), "{}", unsigned.stdout);
    fs::remove_file(page.join("SHA256SUMS.sig")).unwrap();
    let unsigned = by_verb(&lab, &page, &["--signer", "mine.pub"]).exits(7);
    assert!(unsigned.stdout.contains("nobody signed the manifest"), "{}", unsigned.stdout);
    let unsigned = by_verb(&lab, &page, &[]).exits(0);
    assert!(unsigned.stdout.contains("signed  by nobody"), "{}", unsigned.stdout);
    assert!(by_hand_said(&page).unwrap().contains("nobody signed the manifest"));
}

#[test]
fn a_folder_with_what_its_manifest_does_not_know_is_refused_whatever_it_is() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let strange = |name: &str, alter: &dyn Fn(&Path)| altered(&bundle, name, alter);
    let known = [
        (
            strange("more", &|copy| fs::write(copy.join("more.txt"), "x").unwrap()),
            "is not in the manifest",
            "is not in its manifest",
        ),
        (
            strange("less", &|copy| fs::remove_file(copy.join("report.md")).unwrap()),
            "is in the manifest and not here",
            "has no report.md",
        ),
        (
            strange("link", &|copy| {
                fs::rename(copy.join("report.md"), copy.join("../elsewhere.md")).unwrap();
                symlink("../elsewhere.md", copy.join("report.md")).unwrap();
            }),
            "something is not as cutover writes it",
            "`report.md` is no plain file",
        ),
        (
            strange("pipe", &|copy| {
                fs::remove_file(copy.join("report.md")).unwrap();
                assert!(Command::new("mkfifo").arg(copy.join("report.md")).status().unwrap().success());
            }),
            "report.md is no plain file",
            "`report.md` is no plain file",
        ),
        (
            strange("device", &|copy| {
                fs::remove_file(copy.join("report.md")).unwrap();
                symlink("/dev/zero", copy.join("report.md")).unwrap();
            }),
            "something is not as cutover writes it",
            "`report.md` is no plain file",
        ),
        (
            strange("folder", &|copy| fs::create_dir(copy.join("more")).unwrap()),
            "is not in the manifest",
            "is not in its manifest",
        ),
        (
            strange("path", &|copy| {
                edit(&copy.join("SHA256SUMS"), |text| text.replace("  report.md", "  ../report.md"));
            }),
            "is not as it was written",
            "of its manifest is not as it was written",
        ),
        (
            strange("twice", &|copy| {
                edit(&copy.join("SHA256SUMS"), |text| text.clone() + text.lines().next().unwrap() + "\n");
            }),
            "is not as it was written",
            "of its manifest is not as it was written",
        ),
        (
            strange("huge", &|copy| fs::write(copy.join("SHA256SUMS"), " ".repeat(1 << 20)).unwrap()),
            "SHA256SUMS is too long",
            "of its manifest is not as it was written",
        ),
        (
            strange("many", &|copy| (0..100).for_each(|n| fs::write(copy.join(format!("f{n}")), "").unwrap())),
            "more than 64 files",
            "more than 64 files",
        ),
    ];
    for (copy, hand, verb) in &known {
        both_find(&lab, copy, hand, verb);
    }
    // Checking leaves nothing behind in the bundle.
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names(&bundle);
    by_hand_said(&bundle).unwrap();
    by_verb(&lab, &bundle, &[]).exits(0);
    assert_eq!(names(&bundle), before);
}

/// Alters the journal or another file of a bundle, with every hash and sum made again that needs no key.
#[test]
fn what_the_events_do_not_add_up_to_is_found_in_each_column_and_file() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let columns = "started attempts throttled doubted looked before_copystate before_migrationcycle after_copystate after_migrationcycle \
         moved_copystate moved_migrationcycle http_status error_code error_msg request_id first_sent_at last_sent_at settled_at reason ground \
         last_word on_target";
    for column in columns.split_whitespace() {
        let value = if column == "on_target" { "1" } else { "'7'" };
        let forged = altered(&bundle, column, |copy| {
            sql(copy, &format!("UPDATE row SET {column} = {value} WHERE row = 3"));
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(said.contains(&format!("row 3: {column}: not what its events add up to")), "{said}");
    }
    for (n, (statement, says)) in [
        ("UPDATE run SET exit_code = 0", "run: exit_code"),
        ("UPDATE run SET settings = json_set(settings, '$.verify', 'off')", "run: settings"),
        ("UPDATE run SET plan_path = 'other.csv'", "where the plan came from"),
        ("UPDATE row SET line = 99 WHERE row = 2", "where the plan came from"),
        ("UPDATE row SET name = 'db' WHERE row = 2", "plan.jsonl: line 2 is not row 2"),
        ("DELETE FROM row WHERE row = 5", "there are events, and the journal has no such row"),
        ("UPDATE lane SET endpoint = 'https://elsewhere' WHERE lane = 1", "lane 1: it is not the account"),
        ("UPDATE lane SET throttled = 3 WHERE lane = 1", "lane 1: it is not what its events say"),
        ("UPDATE lane SET seq = seq + 1 WHERE lane = 1", "lane 1: the head in the journal"),
        (
            "DROP TRIGGER event_is_never_changed; UPDATE event SET at = at + 1 WHERE lane = 1 AND seq = 3",
            "lane 1: event 3 is not as it was written",
        ),
        (
            "DROP TRIGGER event_is_never_removed; DELETE FROM event WHERE lane = 1 AND seq = 3",
            "lane 1: event 3 is not as it was written",
        ),
        ("ALTER TABLE event RENAME TO e; CREATE VIEW event AS SELECT * FROM e", "`event` is no table"),
    ]
    .into_iter()
    .enumerate()
    {
        let forged = altered(&bundle, &format!("sql{n}"), |copy| {
            sql(copy, statement);
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(said.contains(says), "{statement}: `{says}` is not in:\n{said}");
        let code = by_verb(&lab, &forged, &[]).code;
        assert_eq!(code, Some(7), "{statement}");
    }
    for (name, file, alter) in [
        ("head1", "head", "anchor 0"),
        ("plan1", "plan.jsonl", "[]\n"),
        ("plan2", "plan.jsonl", ""),
        ("csv1", "report.csv", ""),
        ("json1", "report.json", "{}"),
        ("json2", "report.json", &"[".repeat(1 << 20)),
        ("db1", "journal.db", "SQLite format 3\0"),
        ("db2", "journal.db", ""),
    ] {
        let forged = altered(&bundle, name, |copy| {
            fs::write(copy.join(file), alter).unwrap();
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(!said.contains("Traceback"), "{said}");
        let ended = by_verb(&lab, &forged, &[]);
        assert!(matches!(ended.code, Some(7 | 2)), "{name}: {:?} {}", ended.code, ended.stderr);
    }
}

/// Name of an alteration, words of what `check.py` finds, and the alteration.
type Attack<'a> = (&'a str, &'a str, &'a dyn Fn(&Path));

fn replaced(file: &'static str, from: &'static str, to: &'static str) -> impl Fn(&Path) {
    move |copy| {
        edit(&copy.join(file), |text| {
            assert!(text.contains(from), "{file} has no {from}");
            text.replacen(from, to, 1)
        });
    }
}

fn with_failed_rows(copy: &Path) {
    edit(&copy.join("report.json"), |text| {
        let rows = text.split("\"rows\":[\n").nth(1).unwrap().strip_suffix("\n]}\n").unwrap();
        let failed = rows.replace("\"applied\"", "\"failed\"").replace('\n', "");
        text.replacen("\"rows\":[\n", &format!("\"rows\":[{failed}],\"x\":[\n"), 1)
    });
}

fn with_column(name: &'static str, value: &'static str) -> impl Fn(&Path) {
    move |copy| {
        edit(&copy.join("report.csv"), |text| {
            let line = |(n, line): (usize, &str)| format!("{line},{}\n", if n == 0 { name } else { value });
            text.lines().enumerate().map(line).collect()
        });
    }
}

fn with_another_anchor(copy: &Path) {
    edit(&copy.join("head"), |text| {
        let anchor = text.lines().find_map(|line| line.strip_prefix("anchor ")).unwrap();
        text.replace(anchor, &anchor.replace(|digit: char| digit.is_ascii_hexdigit(), "0"))
    });
}

/// Values that occur twice, or besides the known ones, are found, whichever of the two a reader would take.
#[test]
fn what_is_told_twice_or_besides_in_a_report_a_head_or_approvals_is_found() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let approvals = |text: &'static str| move |copy: &Path| fs::write(copy.join("approvals.json"), text).unwrap();
    let begins = "{\"schema\":\"cutover.report.v1\",";
    let attacks: [Attack; 20] = [
        ("rows before the rows", "report.json", &with_failed_rows),
        (
            "a first line that says more",
            "report.json",
            &replaced("report.json", begins, "{\"schema\":\"cutover.report.v1\",\"headline\":\"All 5 rows failed\","),
        ),
        ("another first line", "report.json", &replaced("report.json", begins, "{\"schema\":\"cutover.report.v0\",")),
        (
            "a field of a row twice",
            "report.json",
            &replaced("report.json", "\"verdict\":\"applied\"", "\"verdict\":\"failed\",\"verdict\":\"applied\""),
        ),
        (
            "a field more of a row",
            "report.json",
            &replaced("report.json", "\"extra\":{}", "\"extra\":{},\"outcome\":\"failed\""),
        ),
        (
            "a field more of the summary",
            "report.json",
            &replaced("report.json", "\"summary\":{", "\"summary\":{\"headline\":\"x\","),
        ),
        (
            "a field of the summary twice",
            "there twice",
            &replaced("report.json", "\"on_target\":", "\"on_target\":0,\"on_target\":"),
        ),
        ("rows behind the rows", "report.json", &replaced("report.json", "\n]}\n", "\n],\"rows\":[]}\n")),
        ("a line behind the last", "report.json", &replaced("report.json", "\n]}\n", "\n]}\n{}\n")),
        ("a column twice", "report.csv", &with_column("verdict", "failed")),
        ("a column that is none", "report.csv", &with_column("outcome", "failed")),
        ("a cell that no column names", "report.csv", &replaced("report.csv", "\n2,", "\n2,2,")),
        ("a line more", "report.csv", &|copy: &Path| edit(&copy.join("report.csv"), |text| text + "6,vm-00006\n")),
        ("approvals of what was not sealed", "approvals.json", &approvals("{\"approvals\":[{\"as\":\"CISO\"}]}\n")),
        ("approvals that cannot be read", "approvals.json", &approvals(".\n")),
        ("approvals that are nothing", "approvals.json", &approvals("null\n")),
        ("another anchor", "the anchor", &with_another_anchor),
        ("another count of runs in the head", "head", &replaced("head", "\nruns 1\n", "\nruns 2\n")),
        ("a line more in the head", "head", &|copy: &Path| {
            edit(&copy.join("head"), |text| text + "note all is well\n");
        }),
        ("another first line of the head", "head", &replaced("head", "cutover.head.v", "head.v")),
    ];
    let mut missed = Vec::new();
    for (n, (what, hand, alter)) in attacks.into_iter().enumerate() {
        let forged = altered(&bundle, &format!("told{n}"), alter);
        new_sums(&forged);
        let file = match hand {
            "the anchor" => "head",
            "there twice" => "report.json",
            file => file,
        };
        missed.extend(what_misses(&lab, &forged, hand, &format!("{file}: ")).map(|by| format!("{what}: {by}")));
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
}

#[test]
fn a_sealed_plan_has_the_approvals_that_it_began_with_to_the_letter() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "");
    lab.cutover(&["plan", "plan.csv", "--endpoint", &sandbox.url, "-o", "sealed.plan", "--as", "Ada"]).exits(0);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bo"]).exits(0);
    lab.launch(&sandbox, &["run", "sealed.plan", "--rate", "off"]).exits(0);
    lab.cutover(&["audit", "export", "-o", "bundle"]).exits(0);
    let bundle = lab.path("bundle");
    assert!(by_hand_said(&bundle).unwrap().contains("approved as Bo"));
    by_verb(&lab, &bundle, &[]).exits(0);
    for (name, from, to) in [
        ("twice", "\"approvals\": [", "\"approvals\": [], \"approvals\": ["),
        ("more", "\"approvals\": [", "\"note\": \"approved by all\", \"approvals\": ["),
        ("other", "\"Bo\"", "\"CISO\""),
    ] {
        let forged = altered(&bundle, name, |copy| {
            edit(&copy.join("approvals.json"), |text| {
                assert!(text.contains(from), "{text}");
                text.replacen(from, to, 1)
            });
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(said.contains("approvals.json") || said.contains("there twice"), "{name}: {said}");
        let ended = by_verb(&lab, &forged, &[]).exits(7);
        assert!(ended.stdout.contains("approvals.json: they are not those"), "{name}: {}", ended.stdout);
    }
    let forged = altered(&bundle, "none", |copy| {
        fs::remove_file(copy.join("approvals.json")).unwrap();
        new_sums(copy);
    });
    both_find(&lab, &forged, "approvals.json is here only if", "approvals.json: they are not those");
}

#[test]
fn a_journal_in_a_bundle_has_the_schema_of_its_version_and_nothing_that_never_ends() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let for_days = "GENERATED ALWAYS AS (CASE WHEN instr(hex(zeroblob(5000000)), hex(zeroblob(2000000)) || ''1'') > 0
        THEN ''vm'' ELSE ''vm'' END)";
    let never_ends = format!(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'host        TEXT', 'host TEXT {for_days}')
         WHERE name = 'run' AND sql LIKE '%host        TEXT,%'"
    );
    for (n, (statement, says)) in [
        (&*never_ends, "the table `run` is none that cutover makes"),
        (
            "DROP VIEW v_attempt; CREATE VIEW v_attempt AS SELECT 'forged' AS request_id, 1 AS ended_at, 'x' AS source_id,
             'x' AS sent_copystate, 'x' AS sent_migrationcycle, '' AS run, 'accepted' AS outcome",
            "the view `v_attempt` is none that cutover makes",
        ),
        ("DROP VIEW v_row", "1 of the tables, indexes, views and triggers"),
        ("CREATE VIEW v_more AS SELECT 1", "the view `v_more` is none that cutover makes"),
        ("CREATE TABLE more (a)", "the table `more` is none that cutover makes"),
        ("CREATE INDEX more ON row (note)", "the index `more` is none that cutover makes"),
        (
            "CREATE TRIGGER more AFTER INSERT ON event BEGIN SELECT 1; END",
            "the trigger `more` is none that cutover makes",
        ),
        ("DROP TRIGGER event_is_never_removed", "1 of the tables, indexes, views and triggers"),
    ]
    .into_iter()
    .enumerate()
    {
        let forged = altered(&bundle, &format!("schema{n}"), |copy| {
            sql(copy, statement);
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(said.contains(says), "{statement}: `{says}` is not in:\n{said}");
        assert_eq!(by_verb(&lab, &forged, &[]).code, Some(7), "{statement}");
    }
}

/// Makes a bundle of rows with two-line notes and a column of their own.
fn bench_with_notes() -> (Lab, PathBuf) {
    let lab = Lab::new();
    let rows = "vm-1,cutovering,cutovering,\"two\nlines\",=r1\nvm-2,cutovering,cutovering,,r2\n";
    lab.write("plan.csv", &format!("source_id,copystate,migrationcycle,note,file\n{rows}"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    lab.cutover(&["audit", "export", "-o", "bundle"]).exits(0);
    let bundle = lab.path("bundle");
    (lab, bundle)
}

/// Rewrites reports as a version without the columns behind `last_sent_at` wrote them. One of the plan's own columns has the
/// name of a column that this version has.
fn with_fewer_columns(copy: &Path) {
    edit(&copy.join("report.csv"), |text| {
        let mut lines = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut fewer = csv::Writer::from_writer(Vec::new());
        for line in lines.records() {
            let cells: Vec<String> = line.unwrap().iter().map(|cell| cell.replace("plan_file", "file")).collect();
            fewer.write_record(cells[..26].iter().chain(&cells[29..])).unwrap();
        }
        String::from_utf8(fewer.into_inner().unwrap()).unwrap()
    });
    edit(&copy.join("report.json"), |text| {
        let without = |line: &str| match (line.find(",\"moved_copystate\":"), line.find(",\"extra\":")) {
            (Some(from), Some(to)) => format!("{}{}\n", &line[..from], &line[to..]),
            _ => format!("{line}\n"),
        };
        text.lines().map(without).collect()
    });
}

/// Rewrites the summary as a version with fewer fields and a shorter anchor wrote it.
fn with_fewer_fields(copy: &Path) {
    edit(&copy.join("report.json"), |text| {
        let anchor = text.split("\"anchor\":\"").nth(1).unwrap().split('"').next().unwrap();
        let digits = anchor.replace('-', "");
        let short: Vec<&str> = [0, 5, 10, 15].into_iter().map(|at| &digits[at..at + 5]).collect();
        let hash = text.split(",\"anchor_hash\":\"").nth(1).unwrap().split('"').next().unwrap();
        let text = text.replace(anchor, &short.join("-")).replace(&format!(",\"anchor_hash\":\"{hash}\""), "");
        let fewer = text.replace(",\"moved\":0", "").replace(",\"stated\":false", "").replace(",\"run_key\":null", "");
        assert!(fewer.len() < text.len() - 20, "{text}");
        fewer
    });
}

fn of_form(copy: &Path, form: u32) {
    fs::write(copy.join("form"), format!("cutover.bundle.v1\nform {form}\n")).unwrap();
    new_sums(copy);
}

#[test]
fn a_bundle_of_an_earlier_form_is_compared_as_far_as_it_goes() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench_with_notes();
    by_hand_said(&bundle).unwrap();
    let told = by_verb(&lab, &bundle, &["--json"]).exits(0);
    assert!(told.stdout.contains("\"form\": 2,"), "{}", told.stdout);
    let earlier = altered(&bundle, "earlier", |copy| {
        with_fewer_columns(copy);
        with_fewer_fields(copy);
        of_form(copy, 0);
    });
    let held = by_verb(&lab, &earlier, &[]).exits(0);
    assert!(held.stdout.contains("form    0, of an earlier version: its reports were compared"), "{}", held.stdout);
    let said = by_hand_said(&earlier).unwrap_err();
    assert!(said.contains("the bundle is of form 0, and this checks form 2: take the checker of"), "{said}");
    // A bundle in the form of this version has to have everything that this version writes.
    for (n, fewer) in [with_fewer_columns as fn(&Path), with_fewer_fields].into_iter().enumerate() {
        let forged = altered(&bundle, &format!("fewer{n}"), |copy| {
            fewer(copy);
            new_sums(copy);
        });
        let ended = by_verb(&lab, &forged, &[]).exits(7);
        assert!(ended.stdout.contains("report."), "{}", ended.stdout);
    }
    // Values in an earlier form have to agree with the journal, and there may be no more of them than in this form.
    let replaced = |name: &str, file: &str, from: &str, to: &str| {
        let forged = altered(&earlier, name, |copy| {
            edit(&copy.join(file), |text| {
                assert!(text.contains(from), "{file} has no {from}");
                text.replacen(from, to, 1)
            });
            new_sums(copy);
        });
        let ended = by_verb(&lab, &forged, &[]).exits(7);
        assert!(ended.stdout.contains(&format!("{file}: ")), "{name}: {}", ended.stdout);
    };
    for (n, (file, from, to)) in [
        ("report.csv", "applied", "failed"),
        ("report.csv", "two\nlines", "two\nother lines"),
        ("report.csv", "'=r1", "'=r2"),
        ("report.csv", "row,source_id", "row,source_id,source_id"),
        ("report.csv", ",file\n", ",moved_copystate\n"),
        ("report.csv", ",file\n", ",plan_file\n"),
        ("report.csv", ",last_sent_at,", ","),
        ("report.json", "\"verdict\":\"applied\"", "\"verdict\":\"failed\""),
        ("report.json", "\"verdict\":\"applied\"", "\"verdict\":\"failed\",\"verdict\":\"applied\""),
        ("report.json", "\"row\":1,", ""),
        ("report.json", "\"file\":\"=r1\"", "\"file\":\"=r1\",\"x\":\"\""),
        ("report.json", "\"applied\":2", "\"applied\":1"),
        ("report.json", "\"applied\":2", "\"applied\":1,\"applied\":2"),
        ("report.json", "\"applied\":2", "\"applied\": 2"),
        ("report.json", "\"applied\":2", "\"done\":2"),
        ("report.json", "\"unsettled\":{\"pending\":0,\"in_doubt\":0},", ""),
        ("report.json", "\"anchor\":\"", "\"anchor\":\"0000"),
        ("report.json", "\"lanes\":[{", "\"lanes\":[{},{"),
    ]
    .into_iter()
    .enumerate()
    {
        replaced(&format!("of-earlier{n}"), file, from, to);
    }
}

#[test]
fn of_a_bundle_of_a_later_form_nothing_is_said_but_that_it_is_one() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    for (form, name) in [(3, "later"), (4_000_000_000, "far-later")] {
        let later = altered(&bundle, name, |copy| {
            with_column("colour", "red")(copy);
            of_form(copy, form);
        });
        let ended = by_verb(&lab, &later, &[]).exits(2).says("hint: verify it with the newer cutover");
        let says = format!("was made by a newer cutover (form {form}, this program knows 2)");
        assert!(ended.stderr.contains(&says) && ended.stdout.is_empty(), "{}{}", ended.stdout, ended.stderr);
        let said = by_hand_said(&later).unwrap_err();
        assert!(!said.contains("report.csv") && !said.contains("as they were written"), "{said}");
    }
    for (n, form) in
        ["", "form 2\n", "cutover.bundle.v1\n", "cutover.bundle.v1\nform 2\nmore\n", "cutover.bundle.v1\nform -1\n"]
            .into_iter()
            .enumerate()
    {
        let forged = altered(&bundle, &format!("form{n}"), |copy| {
            fs::write(copy.join("form"), form).unwrap();
            new_sums(copy);
        });
        both_find(&lab, &forged, "form is not as it was written", "its `form` is not as it was written");
    }
    let without = altered(&bundle, "without", |copy| {
        fs::remove_file(copy.join("form")).unwrap();
        new_sums(copy);
    });
    both_find(&lab, &without, "form is not in the manifest", "it has no form");
}

/// Adding to a bundle requires a higher form: an earlier version would take the bundle for forged, and this one the earlier
/// bundles.
#[test]
fn files_columns_fields_and_words_of_a_bundle_are_those_of_its_form() {
    let _machine = shared();
    let (_lab, bundle) = bench_with_notes();
    let mut files: Vec<String> =
        fs::read_dir(&bundle).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let head = fs::read_to_string(bundle.join("head")).unwrap();
    let words: Vec<&str> = head.lines().filter_map(|line| line.split(' ').next()).collect();
    let report = fs::read_to_string(bundle.join("report.csv")).unwrap();
    let report_json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bundle.join("report.json")).unwrap()).unwrap();
    let mut fields = Vec::new();
    fields_of("", &report_json["summary"], &mut fields);
    let all =
        [files.join(" "), words.join(" "), report.lines().next().unwrap().to_owned(), fields.join(" ")].join("\n");
    assert_eq!(fs::read_to_string(bundle.join("form")).unwrap(), "cutover.bundle.v1\nform 2\n");
    assert_eq!(all, OF_FORM_2, "raise `BundleForm::CURRENT`, and FORM in check.py, with it");
}

fn fields_of(of: &str, value: &serde_json::Value, fields: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                fields.push(format!("{of}{name}"));
                // Facts about a person differ from machine to machine.
                if name != "who" {
                    fields_of(&format!("{of}{name}."), value, fields);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().take(1).for_each(|value| fields_of(of, value, fields)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => (),
    }
}

const OF_FORM_2: &str = "README.md SHA256SUMS check.py form head journal.db plan.jsonl report.csv report.html report.json report.md report.xlsx report.xml\n\
     cutover.head.v2 journal runs time run plan rows anchor previous lane lane\n\
     row,source_id,copystate,migrationcycle,verdict,before_copystate,before_migrationcycle,after_copystate,\
     after_migrationcycle,attempts,http_status,error_code,error_msg,request_id,wave,target,name,first_sent_at,\
     settled_at,reason,throttled,note,line,expect_copystate,expect_migrationcycle,last_sent_at,moved_copystate,\
     moved_migrationcycle,file,plan_file\n\
     anchor anchor_hash attempts causes elapsed_s exit exit.code exit.name exit.reason journal lanes \
     lanes.account lanes.endpoint lanes.lane lanes.name lanes.on_target lanes.per_second lanes.rows \
     lanes.settled lanes.stated lanes.stopped lanes.throttled last_launch last_launch.at last_launch.host \
     last_launch.launch last_launch.pid last_launch.user last_launch.verb last_launch.version last_launch.who \
     launches moved on_target paper paper.name paper.reason paper.require_approvals paper.seal paper.ticket \
     plan plan.digest plan.path plan.rows run run_key running schema started_at steering steering.forecast \
     steering.history steering.hooks steering.paused steering.stage steering.waits throttled under_way unproven unsettled \
     unsettled.in_doubt unsettled.pending verdicts verdicts.already verdicts.applied verdicts.blocked \
     verdicts.failed verdicts.no_effect verdicts.overtaken verdicts.refused verdicts.unverified waves \
     waves.on_target waves.rows waves.settled waves.wave";

#[test]
fn a_folder_with_holes_is_not_written_out_and_a_long_line_is_read_no_further_than_it_can_be_one() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let hollow = altered(&bundle, "hollow", |copy| {
        fs::File::options().write(true).open(copy.join("report.csv")).unwrap().set_len(300 << 20).unwrap();
        new_sums(copy);
    });
    let ended = by_verb(&lab, &hollow, &[]).exits(7);
    assert!(ended.stderr.contains("its files are far longer than what is in them"), "{}", ended.stderr);
    let long = altered(&bundle, "long", |copy| {
        let name = "x".repeat(1 << 20);
        edit(&copy.join("report.json"), |text| {
            text.replace("\"extra\":", &format!("\"{name}\":\"{name}\",\"extra\":"))
        });
        edit(&copy.join("report.csv"), |text| text.replace(",vm-", &format!(",{name}vm-")));
        new_sums(copy);
    });
    let ended = by_verb(&lab, &long, &[]).exits(7);
    assert!(ended.stdout.contains("report.csv: source_id") && ended.stdout.len() < 5_000, "{}", ended.stdout.len());
}

/// Python program that makes archives that other programs might extract differently.
const ARCHIVES: &str = r##"
import io, stat, struct, zipfile, zlib
whole = zipfile.ZipFile("bundle.zip")
names = whole.namelist()
folder = names[0].split("/")[0]
def made(name, more=(), method=zipfile.ZIP_DEFLATED, skip=()):
    with zipfile.ZipFile(name, "w", method) as out:
        for n in names:
            if n not in skip:
                out.writestr(n, whole.read(n))
        for n, text in more:
            out.writestr(n, text)
made("same.zip", [(folder + "/", "")])
made("twice.zip", [(folder + "/report.md", "another")])
made("up.zip", [("../report.md", "x")])
made("up2.zip", [(folder + "/../../report.md", "x")])
made("absolute.zip", [("/tmp/report.md", "x")])
made("more.zip", [(folder + "/more.md", "x")])
made("nested.zip", [(folder + "/a/report.md", "x")])
link = zipfile.ZipInfo(folder + "/report.md")
link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
made("link.zip", [(link, "/etc/passwd")], skip=(folder + "/report.md",))
made("bomb.zip", [(folder + "/bomb.md", b"\0" * (300 << 20))])
open("behind.zip", "wb").write(open("bundle.zip", "rb").read() + b"x")
open("before.zip", "wb").write(b"#!/bin/sh\n" + open("bundle.zip", "rb").read())
open("short.zip", "wb").write(open("bundle.zip", "rb").read()[:-100])
open("none.zip", "wb").write(b"x" * 100)
def in_folder(name, before):
    with zipfile.ZipFile(name, "w") as out:
        for n in names:
            out.writestr(before + n.split("/")[1], whole.read(n))
in_folder("dots.zip", "../")
in_folder("dot.zip", "./")
in_folder("root.zip", "/")
in_folder("drive.zip", "C:/")
in_folder("flat.zip", "")
made("upper.zip", [(folder + "/REPORT.md", "x")])
made("manifest.zip", [(folder + "/sha256sums", "x")])
made("stored.zip", method=zipfile.ZIP_STORED)
made("bzip2.zip", method=zipfile.ZIP_BZIP2)
# What a program reads that begins at the beginning, and not at the directory.
def begins(name):
    data = open("stored.zip", "rb").read()
    return data, data.index(name)
data, at = begins(b"bundle/report.csv")
open("local.zip", "wb").write(data[:at] + b"bundle/repart.csv" + data[at + 17:])
open("flags.zip", "wb").write(data[:at - 24] + b"\x01" + data[at - 23:])
open("method.zip", "wb").write(data[:at - 22] + b"\x08" + data[at - 21:])
open("size.zip", "wb").write(data[:at - 8] + b"\x01\0\0\0" + data[at - 4:])
open("sum.zip", "wb").write(data[:at - 16] + b"\0\0\0\0" + data[at - 12:])
packed = bytearray(open("bundle.zip", "rb").read())
packed[whole.getinfo(folder + "/report.csv").header_offset + 120] ^= 255
open("corrupt.zip", "wb").write(packed)
old = struct.pack("<L", whole.getinfo(folder + "/report.csv").CRC)
open("sums.zip", "wb").write(open("bundle.zip", "rb").read().replace(old, b"\1\2\3\4"))
def hidden(name, more, at):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as out:
        for n in names[:at]:
            out.writestr(n, whole.read(n))
        out.writestr(*more)
        del out.filelist[-1]
        for n in names[at:]:
            out.writestr(n, whole.read(n))
hidden("hidden1.zip", (folder + "/report.csv", "forged"), 0)
hidden("hidden2.zip", (folder + "/report.csv", "forged"), 3)
hidden("hidden3.zip", (folder + "/report.csv", "forged"), len(names))
comment = zipfile.ZipInfo(folder + "/report.md")
comment.comment = b"PK\x03\x04"
made("comment.zip", [(comment, whole.read(folder + "/report.md"))], skip=(folder + "/report.md",))
# Another name for other programs, by the field of Info-ZIP.
other = zipfile.ZipInfo(folder + "/report.md")
path = b"\x01" + struct.pack("<L", zlib.crc32(other.filename.encode())) + (folder + "/other.md").encode()
other.extra = struct.pack("<HH", 0x7075, len(path)) + path
made("path.zip", [(other, whole.read(folder + "/report.md"))], skip=(folder + "/report.md",))
# Behind the end of what is deflated, and still within what the entry says that it is long.
deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
text = whole.read(folder + "/report.md")
local = io.BytesIO()
with zipfile.ZipFile(local, "w") as out:
    out.writestr(folder + "/report.csv", "forged")
inner = local.getvalue()[: 30 + len(folder + "/report.csv") + 6]
packed = deflate.compress(text) + deflate.flush() + inner
last = (folder + "/report.md").encode()
head = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, zlib.crc32(text), len(packed), len(text), len(last), 0)
made("inside.zip", skip=(folder + "/report.md",))
data = open("inside.zip", "rb").read()
start = zipfile.ZipFile("inside.zip").start_dir
n = len(names)
more = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHLL", 0, 0, 0, 0o600 << 16, start) + last
directory = data[start:-22] + more
new = data[:start] + b"PK\x03\x04" + head + last + packed
end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, n, n, len(directory), len(new), 0)
open("inside.zip", "wb").write(new + directory + end)
"##;

#[test]
fn an_archive_is_taken_as_it_was_exported_and_no_other_is() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, _bundle) = bench();
    lab.cutover(&["audit", "export", "-o", "bundle.zip", "--key", "mine"]).exits(0);
    lab.write("made.py", ARCHIVES);
    assert!(Command::new("python3").arg("made.py").current_dir(lab.path(".")).status().unwrap().success());
    for good in ["bundle.zip", "same.zip", "stored.zip", "flat.zip"] {
        by_verb(&lab, &lab.path(good), &["--signer", "mine.pub"]).exits(0);
    }
    let mut passed = Vec::new();
    let bad = "twice up up2 absolute more nested link bomb behind before short none dots dot root drive upper manifest bzip2 local flags \
         method size sum hidden1 hidden2 hidden3 comment path inside corrupt sums";
    for bad in bad.split_whitespace() {
        let ended = by_verb(&lab, &lab.path(&format!("{bad}.zip")), &[]);
        if ended.code != Some(7) || !ended.stderr.contains("is not what it was") {
            passed.push(format!("{bad}: {:?} {}", ended.code, ended.stderr));
        }
    }
    assert!(passed.is_empty(), "taken:\n{}", passed.join("\n"));
    // An exported bundle is accepted under any file name.
    for (n, name) in ["-rf.zip", "..zip", "SHA256SUMS.zip", "the evidence.zip", "béweis.zip"].into_iter().enumerate() {
        let (folder, name) = (format!("named{n}"), name.to_owned());
        fs::create_dir(lab.path(&folder)).unwrap();
        let path = lab.path(&folder).join(name);
        lab.cutover(&["audit", "export", "-o", path.to_str().unwrap()]).exits(0);
        by_verb(&lab, &path, &[]).exits(0);
    }
    symlink(lab.path("bundle.zip"), lab.path("linked.zip")).unwrap();
    by_verb(&lab, &lab.path("nosuch.zip"), &[]).exits(2);
}

#[test]
fn a_bundle_holds_one_run_and_no_byte_of_another() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("other.csv", &plan(3, "cutovering,cutovering").replace("vm-", "payroll-"));
    lab.write("plan.csv", &plan(2, "cutovering,cutovering"));
    for plan in ["other.csv", "plan.csv"] {
        let sandbox = lab.serve(plan, "");
        lab.launch(&sandbox, &["run", plan, "--rate", "off"]).exits(0);
    }
    lab.cutover(&["audit", "export", "-o", "one"]).exits(0);
    lab.cutover(&["audit", "export", "-o", "all", "--all-runs"]).exits(0);
    let has = |bundle: &str| {
        let bytes = fs::read(lab.path(bundle).join("journal.db")).unwrap();
        bytes.windows(8).any(|window| window == b"payroll-")
    };
    assert!(!has("one") && has("all"));
    for bundle in ["one", "all"] {
        assert!(by_hand_said(&lab.path(bundle)).unwrap().contains("2 rows"), "{bundle}");
        by_verb(&lab, &lab.path(bundle), &[]).exits(0);
        // Events are as hard to remove from it as from the original.
        let journal = rusqlite::Connection::open(lab.path(bundle).join("journal.db")).unwrap();
        assert!(journal.execute("DELETE FROM event", []).is_err(), "{bundle}");
    }
}

/// Makes two runs in one journal, and bundles of the second alone and of both.
fn bench_of_two() -> (Lab, PathBuf, PathBuf) {
    let lab = Lab::new();
    lab.write("other.csv", &plan(3, "cutovering,cutovering").replace("vm-", "payroll-"));
    lab.write("plan.csv", &plan(2, "cutovering,cutovering"));
    for plan in ["other.csv", "plan.csv"] {
        let sandbox = lab.serve(plan, "");
        lab.launch(&sandbox, &["run", plan, "--rate", "off"]).exits(0);
    }
    lab.cutover(&["audit", "export", "-o", "one"]).exits(0);
    lab.cutover(&["audit", "export", "-o", "all", "--all-runs"]).exits(0);
    let (one, all) = (lab.path("one"), lab.path("all"));
    (lab, one, all)
}

/// Name of an alteration, the bundle to alter, words of what `check.py` finds, and the alteration.
type AttackOn<'a> = (&'a str, &'a Path, &'a str, &'a dyn Fn(&Path));

/// Every view of the journal also shows a run that the reports do not cover.
#[test]
fn a_journal_in_a_bundle_has_one_run_or_all_of_them_and_each_is_checked() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, one, all) = bench_of_two();
    let with_all = |edits: &str| {
        let (from, edits) = (all.join("journal.db"), edits.to_owned());
        move |copy: &Path| {
            fs::copy(&from, copy.join("journal.db")).unwrap();
            sql(copy, &edits);
        }
    };
    let of_the_other = |table: &str| {
        let (from, table) = (all.join("journal.db"), table.to_owned());
        move |copy: &Path| {
            let from = from.display();
            sql(
                copy,
                &format!(
                    "PRAGMA foreign_keys = OFF; ATTACH '{from}' AS whole;
                     INSERT INTO {table} SELECT * FROM whole.{table} WHERE run = 1"
                ),
            );
        }
    };
    let with_a_command = |copy: &Path| {
        sql(
            copy,
            "PRAGMA foreign_keys = OFF; INSERT INTO control (run, at, command, given_by) VALUES (1, 0, '{}', '{}')",
        );
    };
    let edited = |edits: &'static str| move |copy: &Path| sql(copy, edits);
    let failed = "UPDATE row SET verdict = 'failed', on_target = 0 WHERE run = 1";
    let attacks: [AttackOn; 14] = [
        ("another run that is forged", &one, "row 1: verdict", &with_all(failed)),
        ("another run in an excerpt", &one, "an excerpt", &with_all("UPDATE journal SET excerpt = 1")),
        ("rows of another", &one, "table `row` has entries of run number 1", &of_the_other("row")),
        ("events of another", &one, "table `event` has entries of run number 1", &of_the_other("event")),
        ("lanes of another", &one, "table `lane` has entries of run number 1", &of_the_other("lane")),
        ("a command of another", &one, "table `control` has entries of run number 1", &with_a_command),
        ("no excerpt", &one, "2 runs were made in", &edited("UPDATE journal SET excerpt = 0")),
        ("an excerpt of one", &one, "an excerpt", &|copy: &Path| {
            sql(copy, "UPDATE journal SET n_runs = 1");
            replaced("head", "\nruns 2\n", "\nruns 1\n")(copy);
        }),
        ("more runs than there are", &all, "5 runs were made in", &|copy: &Path| {
            sql(copy, "UPDATE journal SET n_runs = 5");
            replaced("head", "\nruns 2\n", "\nruns 5\n")(copy);
        }),
        (
            "rows of the other",
            &all,
            "row 2: verdict",
            &edited("UPDATE row SET verdict = 'failed', on_target = 0 WHERE run = 1 AND row = 2"),
        ),
        ("the end of the other", &all, "exit_code", &edited("UPDATE run SET exit_code = 1 WHERE run = 1")),
        (
            "a plan of the other",
            &all,
            "began with",
            &edited("UPDATE row SET target = 'forged' WHERE run = 1 AND row = 2"),
        ),
        (
            "a head of the other",
            &all,
            "head",
            &edited("UPDATE lane SET head = zeroblob(32) WHERE run = 1 AND lane = 1"),
        ),
        ("an event of the other", &all, "event 2", &|copy: &Path| {
            tamper(&copy.join("journal.db"), |conn| {
                conn.execute_batch("UPDATE event SET at = at + 1 WHERE run = 1 AND lane = 1 AND seq = 2").unwrap();
            });
        }),
    ];
    let mut missed = Vec::new();
    for (n, (what, bundle, hand, alter)) in attacks.into_iter().enumerate() {
        let forged = altered(bundle, &format!("two{n}"), alter);
        new_sums(&forged);
        missed.extend(what_misses(&lab, &forged, hand, "").map(|by| format!("{what}: {by}")));
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
    let said = by_hand_said(&all).unwrap();
    assert!(said.contains("2 rows, anchor") && said.contains("and run ") && said.contains("3 rows, anchor"), "{said}");
    let told = by_verb(&lab, &all, &["--json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&document["rows"], document["runs"].as_array().unwrap().len()), (&2.into(), 2));
    assert!(document["bundle"]["files"].is_number());
}

fn behind_the_end(bytes: &[u8]) -> impl Fn(&Path) {
    |copy| {
        let mut journal = fs::File::options().append(true).open(copy.join("journal.db")).unwrap();
        journal.write_all(bytes).unwrap();
    }
}

/// SQLite reads no further than the header says, but a recipient of the file has all of it.
#[test]
fn a_journal_in_a_bundle_ends_where_it_says_and_no_file_has_the_name_of_another_in_other_letters() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let (page, few) = ([7; 4096], b"0123456789");
    let with_its_count = |copy: &Path| {
        let path = copy.join("journal.db");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([0; 4096]);
        // The page count is ignored if the file was last written by a program that does not maintain it.
        bytes[92..96].copy_from_slice(&[0; 4]);
        fs::write(path, bytes).unwrap();
    };
    let cut = |copy: &Path| {
        let path = copy.join("journal.db");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 4096]).unwrap();
    };
    let twin = |name: &'static str| move |copy: &Path| fs::write(copy.join(name), "x").unwrap();
    let attacks: [Attack; 8] = [
        ("a page behind the end", "behind its end", &behind_the_end(&page)),
        ("some bytes behind the end", "behind its end", &behind_the_end(few)),
        ("a page that nothing counts", "behind its end", &with_its_count),
        ("a page less", "", &cut),
        ("a report in other letters", "only in case", &twin("Report.csv")),
        ("a journal in other letters", "only in case", &twin("JOURNAL.DB")),
        ("a manifest in other letters", "not as it was written", &twin("sha256sums")),
        ("a signature in other letters", "not as it was written", &twin("sha256sums.SIG")),
    ];
    let mut missed = Vec::new();
    for (n, (what, hand, alter)) in attacks.into_iter().enumerate() {
        let forged = altered(&bundle, &format!("end{n}"), alter);
        new_sums(&forged);
        missed.extend(what_misses(&lab, &forged, hand, "").map(|by| format!("{what}: {by}")));
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
}

#[test]
fn files_of_the_bundle_of_another_run_are_found() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, one, _all) = bench_of_two();
    let id = |bundle: &Path| {
        let head = fs::read_to_string(bundle.join("head")).unwrap();
        head.lines().find_map(|line| line.strip_prefix("run ")).unwrap().to_owned()
    };
    let first = lab.journal().text("SELECT id FROM run WHERE run = 1");
    lab.cutover(&["audit", "export", &first, "-o", "first"]).exits(0);
    let first = lab.path("first");
    let mut passed = Vec::new();
    for file in ["journal.db", "head", "plan.jsonl", "report.csv", "report.json"] {
        let forged = altered(&one, &format!("with-{file}"), |copy| {
            fs::copy(first.join(file), copy.join(file)).unwrap();
            new_sums(copy);
        });
        by_hand_said(&forged).unwrap_err();
        let ended = by_verb(&lab, &forged, &[]);
        if ended.code != Some(7) {
            passed.push(format!("{file}: {:?} {}{}", ended.code, ended.stdout, ended.stderr));
        }
    }
    assert!(passed.is_empty(), "not found:\n{}", passed.join("\n"));
    // Other checks do not accept a part of the id.
    let part = altered(&one, "part", |copy| {
        let id = id(&one);
        edit(&copy.join("head"), |text| text.replace(&format!("\nrun {id}\n"), &format!("\nrun {}\n", &id[..8])));
        new_sums(copy);
    });
    both_find(&lab, &part, "no such run", "in its journal");
}

#[test]
fn the_checker_is_printed_as_it_is_in_every_bundle_and_its_hash_is_published() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let printed = lab.cutover(&["audit", "checker"]).exits(0).stdout;
    assert_eq!(printed, fs::read_to_string(bundle.join("check.py")).unwrap());
    let sums = fs::read_to_string(bundle.join("SHA256SUMS")).unwrap();
    let sum = sums.lines().find(|line| line.ends_with("  check.py")).unwrap().split(' ').next().unwrap().to_owned();
    for readme in [bundle.join("README.md"), Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")] {
        assert!(fs::read_to_string(&readme).unwrap().contains(&sum), "{} does not name {sum}", readme.display());
    }
    for (args, code) in [(&["--help"][..], 0), (&["-x"], 1), (&[".", "."], 1)] {
        let told = Command::new("python3").arg(bundle.join("check.py")).args(args).output().unwrap();
        let said = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
        assert_eq!((told.status.code(), said.lines().count()), (Some(code), 1), "{args:?}: {said}");
        assert!(said.starts_with("usage: python3 check.py [FOLDER]"), "{args:?}: {said}");
    }
    fs::write(bundle.join("check.py"), "print('all is well')\n").unwrap();
    new_sums(&bundle);
    let told = by_verb(&lab, &bundle, &[]).exits(0);
    assert!(told.stdout.contains("its check.py is not the one of this version"), "{}", told.stdout);
}

/// A bundle is read elsewhere: the path at which it was made means nothing there.
#[test]
fn a_bundle_names_its_own_journal_and_no_place_of_its_maker() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    let here = lab.path("");
    for name in
        ["head", "plan.jsonl", "report.json", "report.csv", "report.html", "report.md", "report.junit.xml", "README.md"]
    {
        let Ok(text) = fs::read_to_string(bundle.join(name)) else { continue };
        assert!(!text.contains(here.to_str().unwrap().trim_end_matches('/')), "{name}: {text}");
        assert!(!text.contains("--journal /"), "{name}: {text}");
    }
    let report = fs::read_to_string(bundle.join("report.json")).unwrap();
    assert_eq!(report.matches("\"journal\":\"journal.db\"").count(), 1, "{report}");
    let forged = altered(&bundle, "elsewhere", |copy| {
        let moved = report.replace("\"journal\":\"journal.db\"", "\"journal\":\"/srv/prod/cutover.db\"");
        fs::write(copy.join("report.json"), moved).unwrap();
        new_sums(copy);
    });
    let told = by_verb(&lab, &forged, &[]).exits(7).stdout;
    assert!(told.contains("journal of its summary: not what the journal says"), "{told}");
    assert!(by_hand_said(&forged).is_err_and(|said| said.contains("summary.journal is not")));
}

fn seen(dice: &mut StdRng) -> Option<SeenState> {
    let word = |dice: &mut StdRng| {
        let words = ["syncing", "CUTOVERING", "Finished", "odd_é\"word"];
        words.get(dice.random_range(0..6)).map(|word| Word::new(word))
    };
    let seen = SeenState { copystate: word(dice), migrationcycle: word(dice) };
    // A look without either field has failed and is none.
    Some(seen).filter(|seen| seen.copystate.is_some() || seen.migrationcycle.is_some())
}

fn text(dice: &mut StdRng) -> String {
    let texts = [
        "",
        "no",
        "=1+1",
        "a,b \"c\"\n☃",
        "skipped by ada",
        "verification is switched off",
        "\u{202e}x\u{1b}[1m",
        "-1",
    ];
    texts[dice.random_range(0..texts.len())].to_owned()
}

fn some<T>(dice: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    if dice.random_range(0..3) > 0 { Some(make(dice)) } else { None }
}

fn outcome(dice: &mut StdRng) -> Outcome {
    let status = 400 + dice.random_range(0..200);
    let code = some(dice, |_| "SMS.9004".to_owned());
    match dice.random_range(0..8) {
        0 | 1 => Outcome::Accepted { status: 200 },
        2 => Outcome::Rejected { status, code, message: text(dice) },
        3 => Outcome::Unauthenticated { status: 401, code, message: text(dice) },
        4 => Outcome::Barred { status: 403, code, message: text(dice) },
        5 => Outcome::Throttled {
            status: some(dice, |_| 503),
            retry_after_ms: some(dice, |dice| dice.random_range(0..9_000)),
            quota: None,
            message: text(dice),
        },
        6 => Outcome::Unsent { cause: text(dice) },
        _ => Outcome::Lost { status: some(dice, |_| 502), code, cause: text(dice) },
    }
}

/// Makes an event that may or may not be possible for the row.
fn event(dice: &mut StdRng, row: RowId, attempt: u32) -> EventKind {
    match dice.random_range(0..10) {
        0 | 1 => RowEvent::Seen { seen: seen(dice) }.about(row),
        2..5 => RowEvent::AttemptStarted { attempt, sends: TargetState::default() }.about(row),
        5 | 6 => {
            let request_id = some(dice, |dice| format!("{:x}", dice.random::<u64>()));
            RowEvent::AttemptEnded {
                attempt,
                outcome: outcome(dice),
                request_id,
                took_ms: dice.random_range(0..400),
                via: None,
            }
            .about(row)
        }
        7 => RowEvent::Settled {
            verdict: Verdict::ALL[dice.random_range(0..Verdict::ALL.len())],
            seen: seen(dice),
            reason: some(dice, text),
            ground: if dice.random_range(0..4) == 0 {
                Some(Ground::ALL[dice.random_range(0..Ground::ALL.len())])
            } else {
                None
            },
        }
        .about(row),
        8 => RowEvent::Reopened { cause: text(dice) }.about(row),
        _ if dice.random_range(0..2) == 0 => RowEvent::Left { cause: text(dice) }.about(row),
        _ => RowEvent::Moved { seen: seen(dice).unwrap_or_default() }.about(row),
    }
}

fn of_run(dice: &mut StdRng) -> EventKind {
    match dice.random_range(0..5) {
        0 => LaneEvent::QuotaLearned { per_second: dice.random::<f64>() * 40.0, stated: dice.random() }.into(),
        1 => LaneEvent::ReadThrottled {
            request_id: None,
            retry_after_ms: some(dice, |dice| dice.random_range(0..9_000)),
        }
        .into(),
        2 => LaneEvent::CoolDownBegan { wait_ms: dice.random_range(0..9_000), cause: CoolDownCause::Throttled }.into(),
        3 => LaneEvent::Stopped { cause: LaneStop::Throttled, message: text(dice) }.into(),
        _ => RunEvent::Controlled { command: Steered::Pause, by: By::default(), control: None }.into(),
    }
}

/// Makes a journal whose rows have any history that the ledger accepts, possible in a real run or not.
fn seeded(path: &Path, seed: u64, rules: Rules) {
    const ROWS: u32 = 40;
    let mut dice = StdRng::seed_from_u64(seed);
    let mut rows = Vec::new();
    let mut digester = Digester::new();
    for n in 1..=ROWS {
        let row = Row {
            id: RowId(n),
            line: n + 1,
            file: some(&mut dice, |_| "rows.csv".into()),
            source_id: SourceId::new(&format!("vm-{n}")).unwrap(),
            wants: TargetState {
                copystate: Some(Word::new("Cutovering")),
                migrationcycle: some(&mut dice, |_| Word::new("cutovering")),
            },
            expects: TargetState { copystate: some(&mut dice, |_| Word::new("syncing")), migrationcycle: None },
            wave: some(&mut dice, text),
            account: None,
            name: some(&mut dice, text),
            note: some(&mut dice, text),
            extra: some(&mut dice, |dice| {
                vec![
                    ("owner".to_owned(), text(dice)),
                    ("verdict".to_owned(), text(dice)),
                    ("=x".to_owned(), text(dice)),
                ]
            })
            .unwrap_or_default(),
        };
        digester.row(&row);
        rows.push(row);
    }
    let plan_digest = digester.finish().to_string();
    let lanes = [NewLane { name: "a".into(), endpoint: "https://e".into(), account: "x".into(), takes_unnamed: true }];
    let settings = serde_json::json!({"rate": "10"});
    let new = NewRun {
        id: "seeded",
        made_at: jiff::Timestamp::now(),
        plan_path: "plan.csv",
        plan_digest: &plan_digest,
        n_rows: ROWS,
        lanes: &lanes,
        settings: &settings,
        given: std::collections::BTreeMap::new(),
        terms: &Terms::default(),
        run_key: None,
    };
    let mut journal = Journal::open(path).unwrap();
    let run = journal
        .create_run(&new, |sink: &mut RowSink<'_>| {
            rows.iter().try_for_each(|row| sink.row(row, seen(&mut dice).as_ref()))
        })
        .unwrap()
        .run;
    if rules != Rules::default() {
        tamper(path, |conn| {
            conn.execute("UPDATE run SET rules = ?1", [rules.name()]).unwrap();
            let began = if rules.is_first() { String::new() } else { format!(",\"rules\":\"{}\"", rules.name()) };
            let update = "UPDATE event SET detail = replace(detail, ',\"rules\":\"third\"', ?1)
                          WHERE instr(detail, ',\"rules\":\"third\"') > 0";
            assert_eq!(conn.execute(update, [began]).unwrap(), 1);
            rechain(conn, 1);
        });
    }
    let mut started = [0; ROWS as usize + 1];
    for _ in 0..1_500 {
        if dice.random_range(0..40) == 0 {
            let lane = LaneId(dice.random_range(0..2));
            let kind = of_run(&mut dice);
            if lane == LaneId::FIRST || matches!(kind, EventKind::Run(RunEvent::Controlled { .. })) {
                journal.append(run, [(lane, kind)]).unwrap();
            }
            continue;
        }
        let row = RowId(dice.random_range(1..=ROWS));
        let of_row = &mut started[row.0 as usize];
        let mut kind = event(&mut dice, row, *of_row);
        if let EventKind::Row(_, RowEvent::AttemptStarted { attempt, .. }) = &mut kind {
            *attempt += 1;
        }
        let begins = matches!(kind, EventKind::Row(_, RowEvent::AttemptStarted { .. }));
        // Most of them are impossible, and refused.
        if journal.append(run, [(LaneId::FIRST, kind)]).is_ok() && begins {
            *of_row += 1;
        }
    }
}

#[test]
fn the_checker_adds_up_as_the_ledger_does_whatever_happened() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    for seed in 0..12 {
        let rules = [Rules::Third, Rules::Second, Rules::First][usize::try_from(seed).unwrap() % 3];
        let journal = format!("seeded{seed}.db");
        seeded(&lab.path(&journal), seed, rules);
        let bundle = format!("bundle{seed}");
        let exported = lab.cutover(&["audit", "export", "-o", &bundle, "--journal", &journal]);
        assert_eq!(exported.code, Some(0), "seed {seed}: {}", exported.stdout);
        let bundle = lab.path(&bundle);
        if let Err(said) = by_hand_said(&bundle) {
            panic!("seed {seed}: {said}");
        }
        by_verb(&lab, &bundle, &[]).exits(0);
        // A control that the check finds something: one cell of one row is altered.
        let forged = altered(&bundle, &format!("forged{seed}"), |copy| {
            sql(copy, &format!("UPDATE row SET attempts = attempts + 1 WHERE row = {}", seed + 1));
            new_sums(copy);
        });
        let said = by_hand_said(&forged).unwrap_err();
        assert!(said.contains(&format!("row {}: attempts: not what", seed + 1)), "{said}");
    }
}
