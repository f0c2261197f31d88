//! Journals that somebody overwrites, cuts off or swaps while a run goes on: the damage is noticed before more is sent, and
//! the changes already sent are known afterwards.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::lab::home::Lab;
use crate::lab::journal::Journal;
use crate::lab::launch::Ended;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;

/// Damage to the journal, done in its folder. `old.db` is an older copy of it, `other.db` the journal of another run.
const HARMS: [(&str, &str); 11] = [
    ("cut off", "truncate -s 0 cutover.db"),
    ("cut short", "truncate -s 12288 cutover.db"),
    ("overwritten by an older copy", "cp old.db cutover.db"),
    ("overwritten by an older copy, its log emptied", "cp old.db cutover.db; truncate -s 0 cutover.db-wal"),
    ("overwritten by an older copy, its log deleted", "cp old.db cutover.db; rm -f cutover.db-wal"),
    ("overwritten by another journal", "cat other.db > cutover.db"),
    ("overwritten by something else", "seq 100000 > cutover.db"),
    ("another one linked to its name", "ln -f other.db cutover.db"),
    ("garbled in the middle", "dd if=/dev/urandom of=cutover.db bs=4096 seek=2 count=6 conv=notrunc"),
    ("its log cut off", "truncate -s 0 cutover.db-wal"),
    ("its index deleted", "rm cutover.db-shm"),
];

/// Makes a journal with a run of three rows.
fn journal_before(lab: &Lab, name: &str) {
    lab.write("few.csv", &plan(3, "stopped,syncing"));
    let few = lab.serve("few.csv", "");
    lab.launch(&few, &["run", "few.csv", "--rate", "off", "--journal", name]).exits(0);
}

fn sh(lab: &Lab, script: &str) {
    let done = Command::new("sh").args(["-c", script]).current_dir(lab.path(".")).output().unwrap();
    assert!(done.status.success(), "{script}: {done:?}");
}

/// Damages the journal of a run that has been going on long enough for several checkpoints.
fn harmed(lab: &Lab, sandbox: &Served, harm: &str) -> (Ended, usize) {
    let launch = lab.begin(sandbox, &["run", "plan.csv", "--rate", "200"]);
    assert!(launch.reaches_nth("attempt_ended", 60));
    sh(lab, harm);
    let n_before = sandbox.changes().len();
    (launch.end(), n_before)
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once('`').map(|(quoted, _)| quoted)
}

/// Checks that every change that the server saw is in the table, with its request id if it was answered.
fn lists_what_was_sent(path: &Path, sandbox: &Served) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(text.starts_with("at,source_id,attempt,event,http_status,request_id\n"), "{text}");
    let of =
        |event: &str| -> HashSet<&str> { lines.iter().filter(|line| line[3] == event).map(|line| line[1]).collect() };
    let (begun, accepted) = (of("begun"), of("accepted"));
    for change in sandbox.changes() {
        assert!(begun.contains(change.source_id.as_deref().unwrap()), "{change:?} is not in the table");
    }
    assert!(accepted.len() >= 60, "{}", accepted.len());
    assert!(lines.iter().all(|line| line[3] != "accepted" || !line[5].is_empty()), "{text}");
}

#[test]
fn a_journal_that_is_written_over_stops_the_run_before_more_is_sent() {
    let _machine = shared();
    // A command from another process makes the open journal drop its page cache.
    for steered in [false, true] {
        for (harm, script) in HARMS.into_iter().skip(if steered { 8 } else { 0 }) {
            println!("{harm}, steered: {steered}");
            let lab = Lab::new();
            journal_before(&lab, "other.db");
            journal_before(&lab, "cutover.db");
            sh(&lab, "cp cutover.db old.db && chmod 640 cutover.db");
            lab.write("plan.csv", &plan(300, "stopped,syncing"));
            let sandbox = lab.serve("plan.csv", "");
            let command = format!("'{}' control rate 100; {script}", env!("CARGO_BIN_EXE_cutover"));
            let (ended, n_before) = harmed(&lab, &sandbox, if steered { &command } else { script });
            let n_sent = sandbox.changes().len();
            let ended = ended.exits(70);
            let n_told: usize = ended
                .stderr
                .split_once(": stopped after ")
                .unwrap_or_else(|| panic!("{harm}: {}", ended.stderr))
                .1
                .split_once(' ')
                .unwrap()
                .0
                .parse()
                .unwrap();
            assert!((n_sent..=n_sent + 8).contains(&n_told), "{harm}: {n_told} told, {n_sent} sent: {}", ended.stderr);
            assert!(n_sent <= n_before + 40, "{harm}: {n_before} were sent before, {n_sent} in the end");
            for untrue in ["nothing was sent", "no change was sent", "there is no journal", "the journal has each"] {
                assert!(!ended.stderr.contains(untrue), "{harm}: {}", ended.stderr);
            }
            let whole = quoted(&ended.stderr, "everything that was recorded is saved as `");
            let sent = quoted(&ended.stderr, "which is not all; `").or_else(|| quoted(&ended.stderr, "any more; `"));
            let named = whole.or(sent).unwrap_or_else(|| panic!("{harm}: {}", ended.stderr));
            let mode = std::fs::metadata(lab.path(named)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640, "{harm}: it is for the eyes that the journal was for");
            match whole {
                Some(saved) => {
                    let journal = Journal::open(&lab.path(saved));
                    let ended_with = "SELECT exit_code FROM run ORDER BY run DESC LIMIT 1";
                    assert_eq!(journal.count(ended_with), 70, "{harm}");
                    let left = format!("{} rows left to do: cutover resume ", 300 - n_sent);
                    assert!(ended.stderr.contains(&left), "{harm}: {}", ended.stderr);
                    lab.cutover(&["audit", "verify", "--journal", saved]).exits(0);
                    lab.launch(&sandbox, &["resume", "--rate", "off", "--journal", saved]).exits(0);
                    assert_eq!(sandbox.changes().len(), 300, "{harm}: each row was sent once");
                }
                None => lists_what_was_sent(&lab.path(named), &sandbox),
            }
        }
    }
}

/// Damage to a journal after a checkpoint, when the next reads come from the file. `older.db` is the journal earlier in the
/// same run. A command from another process makes the launch drop its page cache.
const WHILE_ON_THE_WIRE: [(&str, &str); 5] = [
    ("an older copy of it", "cat older.db > cutover.db; CONTROL"),
    ("an older copy, which is as large", "dd if=older.db of=cutover.db bs=4096 conv=notrunc; CONTROL"),
    ("its pages, each but the first", "CONTROL; dd if=/dev/urandom of=cutover.db bs=4096 seek=1 count=60 conv=notrunc"),
    ("its last pages", "dd if=/dev/urandom of=cutover.db bs=4096 seek=20 count=60 conv=notrunc; CONTROL"),
    ("something else", "seq 100000 > cutover.db; CONTROL"),
];

#[test]
fn what_is_on_the_wire_when_a_journal_is_written_over_is_listed_with_what_came_of_it() {
    let _machine = shared();
    let write_back = |lab: &Lab| {
        let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
        journal.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    for (harm, script) in WHILE_ON_THE_WIRE {
        println!("{harm}");
        let lab = Lab::new();
        lab.write("plan.csv", &plan(300, "stopped,syncing"));
        let sandbox = lab.serve("plan.csv", "latency_ms = [700, 900]\n");
        let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--concurrency", "24"]);
        assert!(launch.reaches_nth("attempt_ended", 24));
        write_back(&lab);
        std::fs::copy(lab.path("cutover.db"), lab.path("older.db")).unwrap();
        assert!(launch.reaches_nth("attempt_ended", 24));
        // The next requests are on their way.
        sandbox.reach(48 + 20);
        write_back(&lab);
        let control = format!("'{}' control rate 100 || true", env!("CARGO_BIN_EXE_cutover"));
        sh(&lab, &script.replace("CONTROL", &control));
        let ended = launch.end().exits(70);
        let changes = sandbox.changes();
        assert!(changes.len() < 48 + 3 * 24, "{harm}: {} were sent", changes.len());
        let sent = quoted(&ended.stderr, "which is not all; `").or_else(|| quoted(&ended.stderr, "any more; `"));
        if let Some(saved) = quoted(&ended.stderr, "everything that was recorded is saved as `") {
            let journal = Journal::open(&lab.path(saved));
            let sum = "SELECT count(*) FROM row WHERE attempts = 1 AND request_id IS NOT NULL";
            assert_eq!(journal.count(sum), changes.len(), "{harm}");
            continue;
        }
        let text = std::fs::read_to_string(lab.path(sent.unwrap_or_else(|| panic!("{}", ended.stderr)))).unwrap();
        let answered: HashSet<&str> = text
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|line| line[3] == "accepted" && !line[5].is_empty())
            .map(|line| line[1])
            .collect();
        let sent: HashSet<&str> = changes.iter().filter_map(|change| change.source_id.as_deref()).collect();
        assert_eq!(answered, sent, "{harm}: {}", ended.stderr);
    }
}

#[test]
fn a_journal_that_somebody_packs_goes_on() {
    let _machine = shared();
    let lab = Lab::new();
    journal_before(&lab, "cutover.db");
    let sql = |script: &str| {
        let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
        journal.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        journal.execute_batch(script).unwrap();
    };
    sql("CREATE TABLE filler AS SELECT zeroblob(1 << 20); DROP TABLE filler");
    lab.write("plan.csv", &plan(100, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "60"]);
    assert!(launch.reaches_nth("attempt_ended", 20));
    let size = || std::fs::metadata(lab.path("cutover.db")).unwrap().len();
    assert!(size() > 1 << 20);
    sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(size() < 1 << 20, "it is shorter");
    launch.end().exits(0);
    assert_eq!(lab.journal().count("SELECT count(*) FROM row WHERE run = 2 AND verdict = 'applied'"), 100);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn a_journal_that_was_only_touched_goes_on() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(100, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "60"]);
    assert!(launch.reaches_nth("attempt_ended", 20));
    sh(&lab, "touch cutover.db cutover.db-wal; chmod 600 cutover.db");
    launch.end().exits(0);
    assert_eq!(lab.journal().tally()["applied"], 100);
    lab.cutover(&["audit", "verify"]).exits(0);
    assert_eq!(
        std::fs::read_dir(lab.path("."))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().contains("saved") })
            .count(),
        0
    );
}

/// A wait, the run's arguments, the scenario, and the event after which the wait has begun.
type Wait<'a> = (&'a str, &'a [&'a str], &'a str, (&'a str, usize));

#[test]
fn a_journal_that_is_written_over_while_the_run_waits_is_noticed_before_it_goes_on() {
    let _machine = shared();
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let hour = (since_1970.as_secs() / 3600 + 6) % 24;
    let window = format!("{hour:02}:00-{hour:02}:01");
    let throttles = "[quota]\nper_minute = 8\nstated = false\nretry_after = true\n";
    let waits: [Wait; 5] = [
        ("a pause", &["plan.csv", "--pause-file", "pause"], "", ("controlled", 1)),
        (
            "a window",
            &["plan.csv", "--window", &window, "--timezone", "UTC", "--ignore-forecast"],
            "",
            ("wait_began", 1),
        ),
        ("an approval", &["approval.toml"], "", ("wait_began", 1)),
        ("a soak", &["soak.toml"], "", ("wait_began", 1)),
        // The page, seven changes, and the first one beyond the quota.
        ("a cool-down", &["plan.csv"], throttles, ("attempt_ended", 8)),
    ];
    for (wait, args, scenario, (event, nth)) in waits {
        for harm in ["truncate -s 0 cutover.db", "cp other.db cutover.db"] {
            println!("{wait}: {harm}");
            let lab = Lab::new();
            journal_before(&lab, "other.db");
            lab.write("plan.csv", &plan(30, "stopped,syncing"));
            lab.write("few.csv", "source_id,copystate\nvm-00030,stopped\n");
            lab.write("most.csv", &plan(29, "stopped,syncing"));
            let waves = |waits: &str| {
                format!(
                    "[[waves]]\nname = \"one\"\nfiles = [\"few.csv\"]\n{waits}\n[[waves]]\nname = \"two\"\nfiles = [\"most.csv\"]\n"
                )
            };
            lab.write("approval.toml", &waves("approval = true"));
            lab.write("soak.toml", &waves("soak = \"1h\""));
            lab.write("pause", "");
            let sandbox = lab.serve("plan.csv", scenario);
            let launch = lab.begin(&sandbox, &[&["run"], args].concat());
            assert!(launch.reaches_nth(event, nth), "{wait}");
            let n_before = sandbox.changes().len();
            sh(&lab, harm);
            launch.end().exits(70).says("stopped after ");
            assert_eq!(sandbox.changes().len(), n_before, "{wait}: {harm}");
        }
    }
}

/// Edits that `audit verify` would find, by somebody who may write the file: a row sent elsewhere, believed done, or gone.
const EDITS: [&str; 6] = [
    "UPDATE row SET copystate = 'finished', migrationcycle = 'cutovered'",
    "UPDATE row SET source_id = 'vm-999' WHERE row = 5",
    "UPDATE row SET verdict = 'applied', standing = 'settled', on_target = 1 WHERE row > 3",
    "DELETE FROM row WHERE row > 3",
    "UPDATE row SET wave_no = 7 WHERE row = 5",
    "UPDATE lane SET endpoint = 'http://127.0.0.1:9' WHERE lane = 1",
];

fn write_to(lab: &Lab, edit: &str) {
    let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
    assert!(journal.execute(edit, []).unwrap() > 0, "{edit}");
}

#[test]
fn what_somebody_writes_into_a_run_that_waits_is_neither_sent_nor_believed() {
    let _machine = shared();
    for edit in EDITS {
        for (verb, args) in [("run", &["plan.csv"][..]), ("resume", &[])] {
            let lab = Lab::new();
            lab.write("plan.csv", &plan(6, "stopped,syncing"));
            let sandbox = lab.serve("plan.csv", "");
            lab.write("hold", "");
            let begun = |verb: &str, args: &[&str]| {
                let launch = lab.begin(&sandbox, &[&[verb], args, &["--pause-file", "hold"]].concat());
                assert!(launch.reaches("controlled"));
                launch
            };
            let launch = begun("run", &["plan.csv"]);
            let launch = if verb == "run" {
                launch
            } else {
                launch.kill();
                begun(verb, args)
            };
            write_to(&lab, edit);
            std::fs::remove_file(lab.path("hold")).unwrap();
            launch.end().exits(7).says("was altered while the run went on").says("stopped after 0 changes");
            assert!(sandbox.changes().is_empty(), "{edit}");
        }
    }
}

#[test]
fn what_somebody_writes_into_a_wave_that_is_to_come_is_neither_sent_nor_believed() {
    let _machine = shared();
    for edit in EDITS {
        let lab = Lab::new();
        let rows = plan(6, "stopped,syncing");
        let with_waves: String = (0_u32..)
            .zip(rows.lines())
            .map(|(i, line)| match i {
                0 => format!("{line},wave\n"),
                1..=3 => format!("{line},one\n"),
                _ => format!("{line},two\n"),
            })
            .collect();
        lab.write("rows.csv", &with_waves);
        let waves = "files = [\"rows.csv\"]\n[[waves]]\nname = \"one\"\nsoak = \"2s\"\n[[waves]]\nname = \"two\"\n";
        lab.write("plan.toml", waves);
        let sandbox = lab.serve("plan.toml", "");
        let launch = lab.begin(&sandbox, &["run", "plan.toml", "--rate", "off"]);
        assert!(launch.reaches("wait_began"));
        write_to(&lab, edit);
        launch.end().exits(7).says("was altered while the run went on");
        assert_eq!(sandbox.changes().len(), 3, "{edit}");
    }
}
