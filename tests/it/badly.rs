//! Verbs that read, given input that cannot be read or a destination that cannot be written; and reading where nothing can be
//! written.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use cutover::formats::Format;
use rusqlite::Connection;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::tools;

const VERBS: [&[&str]; 6] = [
    &["report", "--format", "csv"],
    &["explain", "vm-00001"],
    &["status"],
    &["runs"],
    &["audit", "verify"],
    &["audit", "export", "-o", "bundle"],
];

/// Makes two runs of the same rows, and `still.db`, one file with both.
fn two_runs() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "");
    for _ in 0..2 {
        lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--new"]).exits(0);
    }
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute("VACUUM INTO ?1", [lab.path("still.db").to_str().unwrap()]).unwrap();
    (lab, sandbox)
}

impl Ended {
    /// Checks that it ended with an error, its cause if any, and a hint; before it only the choice of the run.
    #[track_caller]
    fn complains(self, code: i32, texts: &[&str]) {
        let Ended { stdout, stderr, .. } = self.exits(code);
        let error = if stderr.starts_with("run ") { stderr.split_once('\n').unwrap().1 } else { &stderr };
        assert!(error.starts_with("error: ") && error.contains("\n\nhint: "), "{stderr}");
        for text in texts {
            assert!(stderr.contains(text), "`{text}` is not in:\n{stderr}");
        }
        assert_eq!(stdout, "");
    }
}

/// Checks that a verb that failed left no file of its own in a folder.
#[track_caller]
fn nothing_is_left_in(folder: &Path) {
    let names = names_in(folder);
    assert!(!names.iter().any(|name| name.starts_with(".cutover-") || name.starts_with("bundle")), "{names:?}");
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_no_journal_is_called_what_it_is_by_every_verb() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("short.db", "notes\n");
    lab.write("notes.db", &"these are notes, and no journal\n".repeat(400));
    lab.write("empty.db", "");
    fs::create_dir(lab.path("folder.db")).unwrap();
    Connection::open(lab.path("other.db")).unwrap().execute_batch("CREATE TABLE run (id)").unwrap();
    for (journal, code, says, next) in [
        ("nosuch.db", 2, "there is no journal `nosuch.db`", "name it with `--journal PATH`"),
        (
            "short.db/x.db",
            2,
            "could not read the journal `short.db/x.db`\n  caused by: Not a directory",
            "--journal PATH",
        ),
        ("short.db", 7, "the file is not a journal of cutover", "name another file"),
        ("notes.db", 7, "the file is not a journal of cutover", "name another file"),
        ("other.db", 7, "the file is not a journal of cutover", "name another file"),
        ("empty.db", 2, "the journal holds no run yet", "`cutover run PLAN` makes one"),
        ("folder.db", 2, "`folder.db` is a folder, and a journal is a file", "name a file in it"),
    ] {
        for verb in VERBS {
            lab.cutover(&[verb, &["--journal", journal]].concat()).complains(code, &[says, next]);
        }
    }
    assert_eq!(fs::read(lab.path("empty.db")).unwrap(), b"");
    nothing_is_left_in(&lab.path("."));
}

#[test]
fn a_journal_that_was_cut_off_is_damaged_wherever_the_cut_is() {
    let _machine = shared();
    let (lab, _sandbox) = two_runs();
    let whole = fs::read(lab.path("still.db")).unwrap();
    let (page, n_pages) = (4096, whole.len() / 4096);
    assert!(n_pages > 20 && whole.len() % page == 0);
    let on_pages = [1, 2, n_pages / 2, n_pages - 1].map(|n| n * page);
    let within = [99, 600, page + 1, n_pages / 2 * page + 1_000, whole.len() - 1];
    for length in on_pages.into_iter().chain(within) {
        fs::write(lab.path("cut.db"), &whole[..length]).unwrap();
        for verb in VERBS {
            let ended = lab.cutover(&[verb, &["--journal", "cut.db"]].concat());
            println!("{length} of {}, {verb:?}", whole.len());
            ended.complains(7, &["the journal is damaged", "keep the file as it is"]);
        }
    }
    // The rest is too short to look like a database.
    for length in [1, 15, 16] {
        fs::write(lab.path("cut.db"), &whole[..length]).unwrap();
        lab.cutover(&["audit", "verify", "--journal", "cut.db"]).complains(7, &["not a journal of cutover"]);
    }
    nothing_is_left_in(&lab.path("."));
}

#[test]
fn a_table_that_is_gone_is_damage() {
    let _machine = shared();
    let (lab, _sandbox) = two_runs();
    Connection::open(lab.path("still.db")).unwrap().execute_batch("ALTER TABLE row RENAME TO rows").unwrap();
    for verb in [&["report", "--format", "csv"][..], &["status"], &["audit", "verify"]] {
        let ended = lab.cutover(&[verb, &["--journal", "still.db"]].concat());
        ended.complains(7, &["the journal is damaged: no such table: row\n"]);
    }
}

/// Returns the columns of a table that hold texts.
fn texts_of(journal: &Connection, table: &str) -> Vec<String> {
    let mut columns = journal.prepare("SELECT name FROM pragma_table_info(?1) WHERE type = 'TEXT'").unwrap();
    columns.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Copies `still.db` with one value that this program cannot have written. The file otherwise stays consistent.
fn spoil(lab: &Lab, table: &str, column: &str, value: &str) {
    fs::copy(lab.path("still.db"), lab.path("spoiled.db")).unwrap();
    let with_schema = |change: &str| {
        let journal = Connection::open(lab.path("spoiled.db")).unwrap();
        journal.execute_batch(&format!("PRAGMA writable_schema = ON; {change}")).unwrap();
    };
    with_schema(
        "CREATE TABLE kept AS SELECT name, sql FROM sqlite_schema;
         UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT, ', ''), ') STRICT', ')') WHERE type = 'table';
         DELETE FROM sqlite_schema WHERE type = 'trigger'",
    );
    let journal = Connection::open(lab.path("spoiled.db")).unwrap();
    let kept: Vec<(String, String)> = {
        let mut kept = journal.prepare("SELECT name, sql FROM kept WHERE sql LIKE 'CREATE TRIGGER%'").unwrap();
        kept.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    journal.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    let which = match table {
        "row" => "row = 5",
        "event" => "row = 5 AND kind = 'row_settled'",
        "lane" => "lane = 1",
        _ => "true",
    };
    let spoils = format!("UPDATE {table} SET {column} = {value} WHERE run = 2 AND {which}");
    assert_eq!(journal.execute(&spoils, []).unwrap(), 1);
    drop(journal);
    with_schema(
        "UPDATE sqlite_schema SET sql = (SELECT kept.sql FROM kept WHERE kept.name = sqlite_schema.name)
         WHERE type = 'table' AND name <> 'kept'",
    );
    let journal = Connection::open(lab.path("spoiled.db")).unwrap();
    for (_, trigger) in kept {
        journal.execute_batch(&trigger).unwrap();
    }
    journal.execute_batch("DROP TABLE kept").unwrap();
}

#[test]
fn a_text_that_is_no_text_is_damage_to_every_verb_that_reads_it() {
    let _machine = shared();
    let (lab, sandbox) = two_runs();
    let still = Connection::open(lab.path("still.db")).unwrap();
    let mut wrong = Vec::new();
    for table in ["row", "event", "run", "lane"] {
        let columns = texts_of(&still, table);
        assert!(!columns.is_empty());
        for column in columns {
            for value in ["CAST(X'61FF62' AS TEXT)", "X'6162'"] {
                spoil(&lab, table, &column, value);
                for verb in VERBS.iter().chain(&[&["report", "--format", "html"][..]]) {
                    let Ended { code, stderr, .. } = lab.cutover(&[*verb, &["--journal", "spoiled.db"]].concat());
                    _ = fs::remove_dir_all(lab.path("bundle"));
                    let proves = verb[0] == "audit";
                    if !(code == Some(7) || code == Some(0) && !proves) {
                        wrong.push(format!("{table}.{column} = {value}, {verb:?}: {code:?} {stderr}"));
                    }
                }
                let args = ["resume", "--journal", "spoiled.db"];
                let Ended { code, stderr, .. } = lab.launch(&sandbox, &args);
                if !matches!(code, Some(0 | 7)) {
                    wrong.push(format!("{table}.{column} = {value}, resume: {code:?} {stderr}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_journal_that_is_not_of_the_version_that_it_names_is_damaged() {
    let _machine = shared();
    let (lab, sandbox) = two_runs();
    let newest =
        i64::try_from(fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count()).unwrap();
    for version in -1..newest {
        fs::copy(lab.path("still.db"), lab.path("other.db")).unwrap();
        let other = Connection::open(lab.path("other.db")).unwrap();
        other.pragma_update(None, "user_version", version).unwrap();
        drop(other);
        let damaged = ["the journal is damaged: ", "the schema of the journal was altered: "];
        let damaged = damaged[usize::from((1..newest).contains(&version))];
        let says = format!("that it is of version {version}");
        for verb in VERBS {
            println!("{version}, {verb:?}");
            lab.cutover(&[verb, &["--journal", "other.db"]].concat()).complains(7, &[damaged, &says]);
        }
        lab.launch(&sandbox, &["resume", "--journal", "other.db"]).complains(7, &[damaged, &says]);
    }
    nothing_is_left_in(&lab.path("."));
}

#[test]
fn a_run_that_is_not_one_is_told_with_those_that_it_could_be() {
    let _machine = shared();
    let (lab, _sandbox) = two_runs();
    let ids: Vec<String> =
        (1..=2).map(|n| lab.journal().text(&format!("SELECT id FROM run WHERE run = {n}"))).collect();
    // Both ids begin with the same day, or at least with the same century.
    let (first, second) = (&ids[0], &ids[1]);
    for verb in
        [&["report", "--format", "csv"][..], &["status"], &["audit", "verify"], &["audit", "export", "-o", "bundle"]]
    {
        let named = |run| lab.cutover(&[verb, &[run]].concat());
        named("nosuch").complains(2, &["the journal has no run `nosuch`", "`cutover runs` shows them"]);
        named("20").complains(2, &["`20` could be any of ", first, second, "`cutover runs` shows them"]);
    }
    let explain = |run| lab.cutover(&["explain", "vm-00001", "--run", run]);
    explain("nosuch").complains(2, &["the journal has no run `nosuch`"]);
    explain("20").complains(2, &["`20` could be any of ", first, second]);
    lab.cutover(&["explain", "vm-0000"]).complains(2, &["`vm-0000` could be any of vm-00001, ", "type more of its id"]);
    lab.cutover(&["explain", "vm-9"]).complains(2, &["vm-9", " --format csv` lists the rows"]);
    nothing_is_left_in(&lab.path("."));
}

#[test]
fn a_destination_that_cannot_be_is_told_before_the_journal_is_looked_for() {
    if tools::lack(&["setpriv"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    fs::create_dir(lab.path("folder")).unwrap();
    fs::create_dir(lab.path("sealed")).unwrap();
    fs::set_permissions(lab.path("sealed"), fs::Permissions::from_mode(0o555)).unwrap();
    // As anybody may put it into a folder for all: it would be in the way only at the end.
    fs::create_dir(lab.path("shared")).unwrap();
    fs::set_permissions(lab.path("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::symlink("theirs", lab.path("shared/report.csv")).unwrap();
    let is_of_root = fs::metadata(lab.path(".")).unwrap().uid() == 0;
    for (path, cause) in [
        ("nosuch/report.csv", "No such file or directory"),
        ("folder", "the destination is a folder"),
        ("sealed/report.csv", "Permission denied"),
    ]
    .into_iter()
    .chain(is_of_root.then_some(("shared/report.csv", "what is there belongs to somebody else")))
    {
        let ended = as_anybody(&lab, &["report", "--format", "csv", "-o", path]);
        ended.complains(
            2,
            &[&format!("cannot be written to `{path}`\n  caused by: {cause}"), "name a file in a folder"],
        );
    }
    for (path, says) in [("folder", "`folder` is there already"), ("nosuch/bundle", "No such file or directory")] {
        as_anybody(&lab, &["audit", "export", "-o", path]).complains(2, &[says, "name a"]);
    }
    as_anybody(&lab, &["audit", "export", "-o", "sealed/bundle"]).complains(2, &["Permission denied"]);
    assert_eq!(names_in(&lab.path("sealed")), Vec::<String>::new());
    made_writable(&lab.path("sealed"));
}

/// A limit on the size of files stands in for a full disk, as in other tests. The journal needs no other file beside it.
#[test]
fn a_report_that_finds_the_disk_full_leaves_the_old_one_and_nothing_else() {
    let _machine = shared();
    let (lab, _sandbox) = two_runs();
    let full = |blocks: u32, args: &[&str]| {
        let limit = format!("ulimit -f {blocks}");
        Launch::start(lab.limited(&limit, &[args, &["--journal", "still.db"]].concat())).end()
    };
    for format in Format::ALL.map(Format::name) {
        lab.write("report", "of yesterday");
        let ended = full(1, &["report", "--format", format, "-o", "report"]).exits(70);
        // A workbook is first written to a temporary file.
        let cause = if format == "xlsx" { "a temporary file in `" } else { "File too large" };
        let says = format!("\nerror: could not write `report`\n  caused by: {cause}");
        assert!(ended.stderr.contains(&says), "{format}: {}", ended.stderr);
        assert_eq!(fs::read_to_string(lab.path("report")).unwrap(), "of yesterday", "{format}");
    }
    let copy = "error: the journal could not be copied to `";
    full(8, &["audit", "export", "-o", "bundle"]).complains(70, &[copy, "make room"]);
    let n_blocks = u32::try_from(fs::metadata(lab.path("still.db")).unwrap().len().div_ceil(512)).unwrap();
    // Enough for the copy of the journal, but not for the archive of everything.
    full(n_blocks, &["audit", "export", "-o", "bundle"]).exits(0);
    fs::remove_dir_all(lab.path("bundle")).unwrap();
    nothing_is_left_in(&lab.path("."));
}

/// Runs the binary as a user without privileges: permissions do not stop root.
fn as_anybody(lab: &Lab, args: &[&str]) -> Ended {
    let is_root = fs::metadata(lab.path(".")).unwrap().uid() == 0;
    if !is_root {
        return lab.cutover(args);
    }
    // Other users may have no access to the folder in which the binary was built.
    let binary = lab.path("cutover");
    if !binary.exists() {
        fs::copy(env!("CARGO_BIN_EXE_cutover"), &binary).unwrap();
        fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut words = vec!["--reuid=65534", "--regid=65534", "--clear-groups", binary.to_str().unwrap()];
    words.extend(args);
    Launch::start(lab.command_of("setpriv", &words)).end()
}

/// Makes a folder that nobody can write to with these files of the journal, and one beside it that everybody can.
fn made_read_only(lab: &Lab, name: &str, suffixes: &[&str]) {
    let folder = lab.path(name);
    fs::create_dir(&folder).unwrap();
    for suffix in suffixes {
        let copy = folder.join(format!("cutover.db{suffix}"));
        fs::copy(lab.path(&format!("cutover.db{suffix}")), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    fs::create_dir_all(lab.path("out")).unwrap();
    fs::set_permissions(lab.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
}

/// Makes a folder writable again, since otherwise not even its owner could empty it.
fn made_writable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Checks that every verb reads the copy like the original, and leaves the folder as it was.
#[track_caller]
fn is_read_as_the_original(lab: &Lab, name: &str) {
    let folder = lab.path(name);
    let before = names_in(&folder);
    let journal = format!("{name}/cutover.db");
    let read = |args: &[&str]| as_anybody(lab, &[args, &["--journal", &journal]].concat()).exits(0).stdout;
    for verb in [&["report", "--format", "csv"][..], &["explain", "vm-00001"], &["runs"], &["audit", "verify"]] {
        // Commands to type next name the copy.
        let copied = read(verb).replace(&format!(" --journal {journal}"), "");
        assert_eq!(copied, lab.cutover(verb).exits(0).stdout, "{verb:?}");
    }
    read(&["status"]);
    let bundle = format!("out/{name}");
    read(&["audit", "export", "-o", &bundle]);
    let exported = format!("{bundle}/journal.db");
    let verify = &["audit", "verify"];
    assert_eq!(lab.cutover(&[&verify[..], &["--journal", &exported]].concat()).stdout, read(verify));
    assert_eq!(names_in(&folder), before);
    made_writable(&folder);
}

#[test]
fn a_copy_where_nothing_can_be_written_is_read_whatever_was_copied_with_it() {
    if tools::lack(&["setpriv"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(300, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "latency_ms = [5, 10]\n");
    // Killed, so that the log holds changes that the file lacks.
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off"]);
    assert!(launch.reaches_nth("attempt_ended", 40));
    launch.kill();
    assert!(fs::metadata(lab.path("cutover.db-wal")).unwrap().len() > 0);
    made_read_only(&lab, "log", &["", "-wal"]);
    made_read_only(&lab, "index", &["", "-wal", "-shm"]);
    for name in ["log", "index"] {
        is_read_as_the_original(&lab, name);
    }
    // Without any file beside it, and with an empty log.
    lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    let wal = lab.path("cutover.db-wal");
    Connection::open(lab.path("cutover.db")).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    made_read_only(&lab, "alone", &[""]);
    fs::write(&wal, "").unwrap();
    made_read_only(&lab, "empty", &["", "-wal"]);
    for name in ["alone", "empty"] {
        assert_eq!(fs::read(lab.path(&format!("{name}/cutover.db"))).unwrap()[18], 2, "it is in WAL mode");
        is_read_as_the_original(&lab, name);
    }
    // Only the file itself is read-only.
    let out = lab.path("out/cutover.db");
    fs::copy(lab.path("alone/cutover.db"), &out).unwrap();
    assert!(fs::metadata(&out).unwrap().permissions().readonly());
    as_anybody(&lab, &["audit", "verify", "--journal", "out/cutover.db"]).exits(0);
    // The file is not even readable.
    fs::set_permissions(&out, fs::Permissions::from_mode(0o000)).unwrap();
    as_anybody(&lab, &["audit", "verify", "--journal", "out/cutover.db"]).complains(
        2,
        &["could not read the journal `out/cutover.db`\n  caused by: Permission denied", "that you may read"],
    );
}

#[test]
fn an_older_journal_where_nothing_can_be_written_is_told_to_be_copied() {
    if tools::lack(&["setpriv"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    let newest = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    let old = Connection::open(lab.path("cutover.db")).unwrap();
    old.execute_batch(include_str!("../../migrations/0001_journal.sql")).unwrap();
    for mode in ["DELETE", "WAL"] {
        let marks =
            format!("PRAGMA application_id = 0x63757476; PRAGMA user_version = 1; PRAGMA journal_mode = {mode}");
        old.execute_batch(&marks).unwrap();
        old.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        made_read_only(&lab, mode, &[""]);
        let journal = format!("{mode}/cutover.db");
        for verb in VERBS {
            let verb: Vec<&str> = verb.iter().map(|word| if *word == "bundle" { "out/bundle" } else { word }).collect();
            let ended = as_anybody(&lab, &[&verb[..], &["--journal", &journal]].concat());
            let says = format!("(schema 1, this program reads {newest})");
            ended.complains(2, &[&says, "copy it, with the log", "to a folder that can be written to"]);
        }
        assert_eq!(names_in(&lab.path(mode)), ["cutover.db"]);
        made_writable(&lab.path(mode));
    }
    nothing_is_left_in(&lab.path("out"));
}
