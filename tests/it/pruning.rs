//! Old runs: they leave the journal for archives, nothing is lost on the way, and what stays is proven as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cutover::journal::chain;
use cutover::journal::tombstone::{Archive, Tombstone};
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::bundle::{by_hand_said, lacks_tools};
use super::chained::{remove, tamper};
use super::lab::home::Lab;
use super::lab::launch::{Ended, Launch};
use super::lab::machine::shared;
use super::lab::plan;
use super::lab::served::Served;

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr))
}

fn verify(lab: &Lab, args: &[&str]) -> Value {
    let ended = lab.cutover(&[&["audit", "verify", "--json"], args].concat());
    let document = document(&ended);
    assert_eq!(ended.code, Some(if document["ok"] == true { 0 } else { 7 }), "{document:#}");
    document
}

#[track_caller]
fn is_ok(document: &Value) {
    assert_eq!(document["ok"], true, "{document:#}");
}

fn prune(lab: &Lab, more: &[&str]) -> Value {
    let ended = lab.cutover(&[&["journal", "prune", "--keep", "0d", "--archive", "old", "--json"], more].concat());
    document(&ended.exits(0))
}

/// Runs that the journal holds or names, each with its anchor and true if it was taken out.
fn anchors(verified: &Value) -> BTreeMap<String, (String, bool)> {
    let of = |list: &str, pruned: bool| {
        let all = verified[list].as_array().cloned().unwrap_or_default();
        let text = |run: &Value, field: &str| run[field].as_str().unwrap().to_owned();
        all.into_iter().map(move |run| (text(&run, "run"), (text(&run, "anchor_hash"), pruned))).collect::<Vec<_>>()
    };
    of("runs", false).into_iter().chain(of("pruned", true)).collect()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|line| line["run"].as_str().unwrap()).collect()
}

fn proofs(document: &Value, list: &str) -> Vec<String> {
    is_ok(document);
    document[list].as_array().unwrap().iter().map(|run| run["proven_by"].as_str().unwrap().to_owned()).collect()
}

/// Makes a run that ends, one that is killed with rows left, and another that ends; returns their ids.
fn three_runs() -> (Lab, Served, [String; 3]) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "cutovering,cutovering"));
    lab.write("long.csv", &plan(40, "cutovering,cutovering"));
    let sandbox = lab.serve("long.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    let killed = lab.begin(&sandbox, &["run", "long.csv", "--rate", "20", "--preflight", "off"]);
    assert!(killed.reaches("attempt_started"));
    killed.kill();
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    let ids = [1, 2, 3].map(|run| lab.journal().text(&format!("SELECT id FROM run WHERE run = {run}")));
    (lab, sandbox, ids)
}

#[test]
fn ended_runs_leave_for_archives_and_what_stays_is_proven_as_it_was() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, sandbox, [first, killed, third]) = three_runs();
    lab.make_key("mine");
    lab.cutover(&["audit", "sign", &first, "--key", "mine", "-o", "head"]).exits(0);
    let before = anchors(&verify(&lab, &[]));

    let shown = prune(&lab, &["--dry-run"]);
    assert_eq!((names(&shown["pruned"]), names(&shown["kept"])), (vec![&*first, &*third], vec![&*killed]));
    assert!(!lab.path("old").exists() && anchors(&verify(&lab, &[])) == before);
    let info = document(&lab.cutover(&["journal", "info", "--keep", "0d", "--json"]).exits(0));
    assert_eq!(info["would_free"]["runs"], 2, "{info:#}");
    let told = lab.cutover(&["journal", "info", "--keep", "0d"]).exits(0).stdout;
    let command = "`cutover journal prune --keep 0d --archive DIR` would take out 2 runs";
    assert!(told.contains(command) && told.matches(", would be taken out\n").count() == 2, "{told}");
    let told = lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old", "--dry-run"]).exits(0).stdout;
    assert!(told.starts_with("2 runs would be taken out: 40 rows, about "), "{told}");
    assert_eq!(
        document(&lab.cutover(&["journal", "info", "--keep", "1d", "--json"]).exits(0))["would_free"]["runs"],
        0
    );

    let done = prune(&lab, &[]);
    assert_eq!((names(&done["pruned"]), names(&done["kept"])), (vec![&*first, &*third], vec![&*killed]));
    let next = done["kept"][0]["next"].as_str().unwrap();
    assert!(
        next.starts_with(&format!("cutover resume {killed}")) && done["kept"][0]["why"] == "unfinished",
        "{done:#}"
    );
    let freed = shown["pruned"].as_array().unwrap().iter().map(|run| run["bytes"].as_u64().unwrap()).sum::<u64>();
    let (was, is) = (done["bytes_before"].as_u64().unwrap(), done["bytes"].as_u64().unwrap());
    assert_eq!((is, done["free_bytes"].as_u64()), (fs::metadata(lab.path("cutover.db")).unwrap().len(), Some(0)));
    assert!(was - is > freed / 2 && was - is < freed * 2, "{freed} were to be freed, and {} were", was - is);

    // The anchors are those of before; the archives are the files that the journal names.
    let after = verify(&lab, &["--archive", "old"]);
    is_ok(&after);
    let both = [(first.clone(), true), (killed.clone(), false), (third.clone(), true)];
    assert_eq!(anchors(&after), both.map(|(run, pruned)| (run.clone(), (before[&run].0.clone(), pruned))).into());
    assert!(after["pruned"].as_array().unwrap().iter().all(|run| run["archive_checked"] == true), "{after:#}");
    let told = lab.cutover(&["audit", "verify", "--archive", "old"]).exits(0).stdout;
    assert!(told.contains("  proven  by its tombstone, and by its archive, which is as it was written\n"), "{told}");
    let told = lab.cutover(&["audit", "verify"]).exits(0).stdout;
    assert!(told.contains("  proven  by its tombstone alone\n"), "{told}");
    // The anchor of a run that left stands for its archive, and with that for those before it. Its tombstone alone does not.
    let of_third = ["--anchor", &before[&third].0];
    assert_eq!(proofs(&verify(&lab, &[&of_third[..], &["--archive", "old"]].concat()), "pruned"), ["anchor", "anchor"]);
    assert_eq!(proofs(&verify(&lab, &of_third), "pruned"), ["itself", "anchor"]);
    let by_key = ["--signature", "head.sig", "--signer", "mine.pub"];
    assert_eq!(proofs(&verify(&lab, &by_key), "pruned"), ["signature", "itself"]);

    // A stranger has what there is to know, without the journal.
    for run in [&first, &third] {
        let archive = format!("old/{run}.zip");
        let checked = verify(&lab, &["--bundle", &archive, "--anchor", &before[run].0]);
        assert_eq!((&checked["proven_by"], &checked["rows"]), (&Value::from("anchor"), &Value::from(20)));
        let unzipped = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        let folder = lab.path(run);
        assert!(
            Command::new("python3")
                .args(["-c", unzipped])
                .arg(lab.path(&archive))
                .arg(&folder)
                .status()
                .unwrap()
                .success()
        );
        by_hand_said(&folder.join(run)).unwrap();
        lab.cutover(&["status", run])
            .exits(2)
            .says(&format!("run {run} of 20 rows ended with 0 (done) and was taken out of the journal"))
            .says(&format!("`cutover audit verify --bundle {run}.zip`"));
    }

    // Later runs name the tombstones. What is exported from here on is whole.
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    let now = verify(&lab, &[]);
    let newest = now["anchor"].as_str().unwrap();
    let proven = verify(&lab, &["--anchor", newest]);
    assert_eq!(
        (proofs(&proven, "runs"), proofs(&proven, "pruned")),
        (vec!["anchor".to_owned(); 2], vec!["anchor".into(); 2])
    );
    for (name, more) in [("one", &[][..]), ("all", &["--all-runs"])] {
        lab.cutover(&[&["audit", "export", "-o", name], more].concat()).exits(0);
        is_ok(&verify(&lab, &["--bundle", name]));
        let said = by_hand_said(&lab.path(name)).unwrap();
        assert_eq!(said.contains("2 runs were taken out before"), name == "all", "{said}");
    }
    lab.cutover(&["audit", "sign", "--key", "mine", "-o", "newer"]).exits(0);
    is_ok(&verify(&lab, &["--signature", "newer.sig", "--signer", "mine.pub"]));

    // The one that was left unfinished is finished as it says, and leaves, too.
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    lab.cutover(&words).exits(0);
    assert_eq!(prune(&lab, &[])["pruned"].as_array().unwrap().len(), 2);
    is_ok(&verify(&lab, &["--archive", "old"]));
    is_ok(&verify(&lab, &["--signature", "newer.sig", "--signer", "mine.pub"]));
    lab.cutover(&["runs"]).exits(0).says("4 runs were taken out of the journal");
    assert_eq!(document(&lab.cutover(&["runs", "--json"]).exits(0))["pruned"], 4);
}

/// Makes the tombstones' chain right again.
fn rechain_tombstones(conn: &Connection) {
    let id: String = conn.query_row("SELECT id FROM journal", [], |row| row.get(0)).unwrap();
    let mut prev: chain::Hash = Sha256::digest(format!("cutover.tombstones.v1\n{id}\n")).into();
    let mut statement = conn.prepare("SELECT tombstone, detail FROM tombstone ORDER BY tombstone").unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let stored: Vec<(u64, String)> = found.collect::<Result<_, _>>().unwrap();
    for (nth, detail) in &stored {
        let hash: chain::Hash = Sha256::digest(format!("{}\n{nth}\n{detail}\n", chain::hex(&prev))).into();
        let update = "UPDATE tombstone SET prev = ?2, hash = ?3 WHERE tombstone = ?1";
        conn.execute(update, rusqlite::params![nth, prev, hash]).unwrap();
        prev = hash;
    }
    conn.execute("UPDATE journal SET n_pruned = ?1, pruned_head = ?2", rusqlite::params![stored.len(), prev]).unwrap();
}

/// Name of an alteration, the alteration, and one of its findings.
type Attack<'a> = (&'a str, &'a dyn Fn(&Connection), &'a str);

#[test]
fn a_tombstone_that_was_written_by_somebody_else_is_found_or_has_no_archive() {
    let _machine = shared();
    let (lab, sandbox, [_, killed, _]) = three_runs();
    prune(&lab, &[]);
    lab.launch(&sandbox, &["run", "plan.csv", "--new", "--rate", "off"]).exits(0);
    let journal = lab.path("cutover.db");
    let untouched = lab.path("untouched.sqlite");
    Connection::open(&journal).unwrap().execute("VACUUM INTO ?1", [untouched.to_str().unwrap()]).unwrap();
    let found_after = |by: &dyn Fn(&Connection)| {
        for beside in ["cutover.db-wal", "cutover.db-shm"] {
            _ = fs::remove_file(lab.path(beside));
        }
        fs::copy(&untouched, &journal).unwrap();
        tamper(&journal, by);
        let verified = verify(&lab, &["--archive", "old"]);
        let findings = verified["findings"].as_array().unwrap();
        findings.iter().map(|found| found["finding"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(found_after(&|_| ()).is_empty());
    // Whoever can write the file can write all that a tombstone says, and has no archive for it.
    let forged = {
        let journal = cutover::journal::Journal::open_to_read(&journal).unwrap();
        let first = journal.tombstones().unwrap().swap_remove(0).tombstone;
        let run = journal.pruned_record(&journal.find_run(&killed).unwrap()).unwrap();
        let archive = Archive { name: format!("{killed}.zip"), ..first.archive.clone() };
        serde_json::to_string(&Tombstone { run, archive, ..first }).unwrap()
    };
    let more_rows = "UPDATE tombstone SET detail = replace(detail, '\"applied\":20', '\"applied\":19,\"refused\":1') WHERE tombstone = 1";
    let attacks: [Attack<'_>; 8] = [
        ("a text is changed", &|conn| assert_eq!(conn.execute(more_rows, []).unwrap(), 1), "tombstone_changed"),
        (
            "a text is changed, with all hashes",
            &|conn| {
                conn.execute(more_rows, []).unwrap();
                rechain_tombstones(conn);
            },
            "tombstones_differ",
        ),
        (
            "a column is changed",
            &|conn| conn.execute_batch("UPDATE tombstone SET run_key = 'x' WHERE tombstone = 2").unwrap(),
            "tombstone_changed",
        ),
        (
            "the last is removed",
            &|conn| conn.execute_batch("DELETE FROM tombstone WHERE tombstone = 2").unwrap(),
            "number_missing",
        ),
        (
            "all are removed, with their count",
            &|conn| {
                conn.execute_batch("DELETE FROM tombstone; UPDATE journal SET n_pruned = 0, pruned_head = NULL")
                    .unwrap();
            },
            "run_missing",
        ),
        ("a run has both", &|conn| conn.execute_batch("UPDATE run SET run = 3 WHERE run = 4").unwrap(), "not_pruned"),
        (
            "the count is another",
            &|conn| conn.execute_batch("UPDATE journal SET n_pruned = 3").unwrap(),
            "tombstones_missing",
        ),
        (
            "a run is removed, and a tombstone written in its place",
            &|conn| {
                remove(conn, 2);
                let insert = "INSERT INTO tombstone (tombstone, run, id, detail, prev, hash) VALUES (3, 2, ?1, ?2, zeroblob(32), zeroblob(32))";
                conn.execute(insert, [&killed, &forged]).unwrap();
                rechain_tombstones(conn);
            },
            "archive_differs",
        ),
    ];
    for (what, by, expected) in attacks {
        let findings = found_after(by);
        assert!(findings.iter().any(|found| found == expected), "{what}: {findings:?}");
        assert!(expected != "archive_differs" || findings.len() == 1, "{what}: {findings:?}");
    }

    // The archives themselves.
    found_after(&|_| ());
    let archives: Vec<_> = fs::read_dir(lab.path("old")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = fs::read(&archives[0]).unwrap();
    let differs = |by: &dyn Fn(&Path)| {
        by(&archives[0]);
        let verified = verify(&lab, &["--archive", "old"]);
        _ = fs::remove_file(&archives[0]);
        fs::write(&archives[0], &kept).unwrap();
        assert_eq!(verified["findings"][0]["finding"], "archive_differs", "{verified:#}");
    };
    differs(&|archive| fs::remove_file(archive).unwrap());
    differs(&|archive| fs::write(archive, &kept[1..]).unwrap());
    differs(&|archive| _ = fs::copy(&archives[1], archive).unwrap());
    differs(&|archive| {
        fs::rename(archive, lab.path("moved.zip")).unwrap();
        std::os::unix::fs::symlink(lab.path("moved.zip"), archive).unwrap();
    });
    is_ok(&verify(&lab, &["--archive", "old"]));
}

/// Draws numbers that are the same in each run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn killed_at_any_moment_every_run_is_whole_in_the_journal_or_in_its_archive() {
    let _machine = shared();
    let (lab, _sandbox, [first, killed, third]) = three_runs();
    let before = anchors(&verify(&lab, &[]));
    let template = lab.path("template.sqlite");
    Connection::open(lab.path("cutover.db")).unwrap().execute("VACUUM INTO ?1", [template.to_str().unwrap()]).unwrap();
    let anew = || {
        for left in ["cutover.db", "cutover.db-wal", "cutover.db-shm"] {
            _ = fs::remove_file(lab.path(left));
        }
        _ = fs::remove_dir_all(lab.path("old"));
        fs::copy(&template, lab.path("cutover.db")).unwrap();
    };
    let args = ["journal", "prune", "--keep", "0d", "--archive", "old"];
    // As long as one takes that nobody kills.
    anew();
    let began = Instant::now();
    lab.cutover(&args).exits(0);
    let takes = u64::try_from(began.elapsed().as_millis()).unwrap();
    let (mut dice, mut n_killed, mut n_halfway) = (Dice(7), 0, 0);
    anew();
    while n_killed < 25 {
        let pruning = Launch::start(lab.command(&args));
        std::thread::sleep(Duration::from_millis(dice.below(takes + takes / 8)));
        let was_killed = pruning.kill().code.is_none();
        n_killed += u32::from(was_killed);
        let now = verify(&lab, &["--archive", "old"]);
        is_ok(&now);
        let found = anchors(&now);
        let same = before.iter().all(|(run, (anchor, _))| found.get(run).is_some_and(|(found, _)| found == anchor));
        assert!(same && found.len() == before.len() && !found[&killed].1, "{n_killed}: {found:#?}");
        n_halfway += u32::from(found[&first].1 != found[&third].1);
        if !was_killed {
            assert_eq!(found.values().filter(|(_, pruned)| *pruned).count(), 2);
            let mut left = fs::read_dir(lab.path("old")).unwrap().map(|entry| entry.unwrap().file_name());
            assert!(left.all(|name| name.to_string_lossy().ends_with(".zip")), "something was left behind");
            anew();
        }
    }
    lab.cutover(&args).exits(0);
    is_ok(&verify(&lab, &["--archive", "old"]));
    assert_eq!(lab.journal().count("SELECT count(*) FROM event WHERE run <> 2"), 0);
    assert!(n_halfway > 0, "it was never killed between two runs");
}

#[test]
fn archives_that_are_missing_or_altered_say_nothing_against_the_journal() {
    let _machine = shared();
    let (lab, _sandbox, [first, _, third]) = three_runs();
    prune(&lab, &[]);
    fs::remove_file(lab.path(&format!("old/{first}.zip"))).unwrap();
    let told = lab.cutover(&["audit", "verify", "--archive", "old"]).exits(7).stdout;
    let said =
        "The journal is as it was written: 1 run; 1 archive of runs that were taken out of it is missing or altered.\n";
    assert!(told.starts_with(said), "{told}");
    lab.write(&format!("old/{third}.zip"), "something else");
    let told = lab.cutover(&["audit", "verify", "--archive", "old"]).exits(7).stdout;
    assert!(told.contains("; 2 archives of runs that were taken out of it are missing or altered.\n"), "{told}");
    assert!(told.ends_with("\nBring them back from a backup into the folder that --archive names.\n"), "{told}");
    lab.cutover(&["audit", "verify", "--archive", "old", "-q"])
        .exits(7)
        .says("error: 2 archives of runs that were taken out of the journal are missing or altered, such as this: ")
        .says("hint: bring them back from a backup into the folder that --archive names");
}

/// A run is judged anew once it is locked: it may have been launched since it was chosen.
#[test]
fn a_run_that_is_launched_again_while_an_older_one_is_taken_out_stays() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("one.csv", &plan(1, "stopped,syncing"));
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00002\"]\nkind = \"silent\"\n");
    lab.launch(&sandbox, &["run", "one.csv"]).exits(0);
    lab.launch(&sandbox, &["run", "plan.csv", "--verify-timeout", "1s"]).exits(1);
    let [first, second] = [1, 2].map(|run| lab.journal().text(&format!("SELECT id FROM run WHERE run = {run}")));
    // Nobody else can write, which holds it between the archive of the first run and the tombstone.
    let writer = Connection::open(lab.path("cutover.db")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let pruning = Launch::start(lab.command(&["journal", "prune", "--keep", "0d", "--archive", "old", "--json"]));
    let until = Instant::now() + Duration::from_secs(20);
    while !lab.path(&format!("old/{first}.zip")).exists() {
        assert!(Instant::now() < until, "no archive was made");
        std::thread::sleep(Duration::from_millis(5));
    }
    pruning.signal("STOP");
    writer.execute_batch("ROLLBACK").unwrap();
    lab.launch(&sandbox, &["retry", &second]).exits(0);
    pruning.signal("CONT");
    let done = document(&pruning.end().exits(0));
    assert_eq!((names(&done["pruned"]), &done["young"]), (vec![&*first], &Value::from(1)), "{done:#}");
    is_ok(&verify(&lab, &["--archive", "old"]));
}

#[test]
fn a_launch_goes_on_while_older_runs_leave_and_its_own_run_stays() {
    let _machine = shared();
    let (lab, sandbox, [first, killed, third]) = three_runs();
    let size = || fs::metadata(lab.path("cutover.db")).unwrap().len();
    let goes_on = |rate: &str| {
        let launch = lab.begin(&sandbox, &["run", "long.csv", "--new", "--rate", rate, "--preflight", "off"]);
        assert!(launch.reaches_nth("attempt_ended", 2));
        launch
    };
    let launch = goes_on("25");
    let done = prune(&lab, &[]);
    assert_eq!(names(&done["pruned"]), [&*first, &*third]);
    assert_eq!((done["kept"][0]["run"].as_str(), &done["kept"][1]["why"]), (Some(&*killed), &Value::from("going_on")));
    // The file is written anew once nobody would have to wait for it.
    assert!(done["free_bytes"].as_u64().unwrap() > 0, "{done:#}");
    launch.end().exits(0);
    let large = size();
    assert_eq!(prune(&lab, &[])["pruned"].as_array().unwrap().len(), 1);
    assert!(size() < large, "{} bytes are as many as before", size());
    // From then on space is given back beside a launch, which takes no harm.
    lab.launch(&sandbox, &["run", "long.csv", "--new", "--rate", "off"]).exits(0);
    let launch = goes_on("25");
    let before = size();
    let done = prune(&lab, &[]);
    assert_eq!((names(&done["pruned"]).len(), done["free_bytes"].as_u64()), (1, Some(0)), "{done:#}");
    launch.end().exits(0);
    prune(&lab, &["--dry-run"]);
    is_ok(&verify(&lab, &["--archive", "old"]));
    assert!(before > 0 && lab.journal().count("SELECT count(*) FROM run") == 2);
    // Two at once: the second one waits for nobody.
    let lock = lab.path("cutover.db.prune.lock");
    let file = fs::File::create(&lock).unwrap();
    file.lock().unwrap();
    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(6);
}

#[test]
fn what_cannot_be_archived_stays_in_the_journal() {
    let _machine = shared();
    let (lab, _sandbox, [first, killed, third]) = three_runs();
    let before = anchors(&verify(&lab, &[]));
    let args = ["journal", "prune", "--keep", "0d", "--archive", "old"];
    let stays = || assert_eq!(anchors(&verify(&lab, &[])), before);
    // The folder is a file, lies nowhere, or is on a full disk.
    lab.write("old", "somebody's");
    lab.cutover(&args).exits(2).says("archives cannot be put into");
    fs::remove_file(lab.path("old")).unwrap();
    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "no/such"]).exits(2);
    lab.cutover(&["journal", "prune", "--keep", "400", "--archive", "old"]).exits(2).says("is not an age");
    stays();
    let full = Launch::start(lab.limited("ulimit -f 150", &args)).end();
    assert_eq!(full.code, Some(70), "{}{}", full.stdout, full.stderr);
    stays();
    assert_eq!(fs::read_dir(lab.path("old")).unwrap().count(), 0, "something was left behind");
    // Something else has the name, or the same run as it was before has it.
    let place = lab.path(&format!("old/{first}.zip"));
    std::os::unix::fs::symlink("/etc/passwd", &place).unwrap();
    lab.cutover(&args).exits(3).says(&format!("run {first} stays in the journal"));
    fs::remove_file(&place).unwrap();
    lab.cutover(&["audit", "export", &killed, "-o", place.to_str().unwrap()]).exits(0);
    lab.cutover(&args).exits(3).says("it holds another run, or this one as it was before");
    fs::remove_file(&place).unwrap();
    let now = anchors(&verify(&lab, &["--archive", "old"]));
    assert_eq!((now[&first].1, now[&third].1), (false, true));
    // A run that is not what it was stays for whoever looks into it.
    tamper(&lab.path("cutover.db"), |conn| {
        conn.execute_batch("UPDATE row SET verdict = 'already' WHERE run = 1 AND row = 1").unwrap();
    });
    let ended = lab.cutover(&args).exits(7);
    assert!(ended.stderr.contains(&first), "{}", ended.stderr);
    assert!(lab.journal().count("SELECT count(*) FROM run WHERE run = 1") == 1 && !place.exists());
}

#[test]
fn journals_of_earlier_versions_are_pruned_and_proven_as_they_were() {
    let _machine = shared();
    for schema in ["schema-3", "schema-7", "schema-9", "schema-10"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals").join(schema);
        let lab = Lab::new();
        for (from, to) in [("journal.sqlite", "cutover.db"), ("head", "head"), ("head.sig", "head.sig")] {
            fs::copy(folder.join(from), lab.path(to)).unwrap();
        }
        fs::copy(folder.join("../signer.pub"), lab.path("signer.pub")).unwrap();
        let before = anchors(&verify(&lab, &[]));
        assert_eq!(names(&prune(&lab, &[])["pruned"]).len(), 2, "{schema}");
        let after = anchors(&verify(&lab, &["--archive", "old"]));
        assert_eq!(after, before.into_iter().map(|(run, (anchor, _))| (run, (anchor, true))).collect(), "{schema}");
        for anchor in fs::read_to_string(folder.join("anchors")).unwrap().lines() {
            is_ok(&verify(&lab, &["--anchor", anchor]));
        }
        let signed = verify(&lab, &["--signature", "head.sig", "--signer", "signer.pub"]);
        assert!(proofs(&signed, "pruned").contains(&"signature".to_owned()), "{schema}: {signed:#}");
        lab.write("plan.csv", &plan(2, "cutovering,cutovering"));
        let sandbox = lab.serve("plan.csv", "");
        lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
        is_ok(&verify(&lab, &["--archive", "old"]));
    }
}
