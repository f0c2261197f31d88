//! Permissions of files, and what was in their place before: links, pipes, hard links, folders of others.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::home::{Lab, with_yes};
use crate::lab::journal::Journal;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::{alone, shared};
use crate::lab::plan;
use crate::lab::served::Served;
use crate::tools;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits for the end, which has to come within half a minute: nothing waits for a peer that never comes.
#[track_caller]
fn soon(mut launch: Launch) -> Ended {
    let until = Instant::now() + Duration::from_secs(30);
    while launch.is_running() {
        if Instant::now() > until {
            launch.kill();
            panic!("it waits for somebody");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    launch.end()
}

/// Puts something in the place of a file; the second path is a file that must not be harmed.
type Plant = fn(&Path, &Path);

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Returns the only file of a folder whose name ends so.
fn the_one(folder: &Path, end: &str) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = names.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// Begins a launch that holds before its first change, and returns the paths of its locks.
fn held(lab: &Lab, sandbox: &Served, args: &[&str]) -> (Launch, [PathBuf; 2]) {
    lab.write("hold", "");
    let launch = lab.begin(sandbox, &[args, &["--pause-file", "hold"]].concat());
    assert!(launch.reaches("controlled"));
    let locks = [the_one(&lab.path("state/cutover/locks"), ".lock"), the_one(&lab.path("."), ".lock")];
    (launch, locks)
}

#[test]
fn what_stands_in_the_place_of_a_lock_is_neither_followed_nor_written_to() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let (launch, locks) = held(&lab, &sandbox, &["run", "plan.csv"]);
    launch.kill();
    lab.write("victim", "worth keeping");
    let plants: [(&str, Plant); 5] = [
        ("a link", |victim, place| symlink(victim, place).unwrap()),
        ("a link to nowhere", |victim, place| symlink(victim.with_file_name("made"), place).unwrap()),
        ("a second name", |victim, place| fs::hard_link(victim, place).unwrap()),
        ("a pipe", |_, place| pipe(place)),
        ("a folder", |_, place| fs::create_dir(place).unwrap()),
    ];
    for place in &locks {
        for (what, plant) in plants {
            _ = fs::remove_file(place);
            plant(&lab.path("victim"), place);
            let ended = soon(lab.begin(&sandbox, &["resume"]));
            ended.exits(3).says("is not one that cutover made").says("hint: see who put it there");
            assert_eq!(fs::read_to_string(lab.path("victim")).unwrap(), "worth keeping", "{what}");
            assert!(!lab.path("made").exists(), "{what}");
            soon(Launch::start(lab.command(&["status"]))).exits(0);
            _ = fs::remove_dir(place);
        }
        _ = fs::remove_file(place);
    }
    assert!(sandbox.changes().is_empty());
    // A lock file that a dead process left counts as free.
    fs::write(&locks[0], r#"{"pid":1,"host":"gone","since":"2026-01-01T00:00:00Z"}"#).unwrap();
    lab.write("hold", "");
    fs::remove_file(lab.path("hold")).unwrap();
    lab.launch(&sandbox, &["resume"]).exits(0);
}

#[test]
fn an_account_is_one_account_however_endpoint_and_target_are_spelled() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("cutover.toml", "[profiles.other]\nrate = \"5\"\n");
    let sandbox = lab.serve("plan.csv", "");
    let (launch, _) = held(&lab, &sandbox, &["run", "plan.csv"]);
    let port = sandbox.url.rsplit(':').next().unwrap();
    let again = ["run", "plan.csv", "--journal", "other.db"];
    for host in ["localhost", "LOCALHOST", "127.1", "0x7f000001"] {
        let url = format!("http://{host}:{port}");
        let ended = lab.cutover(&[&again[..], &["--yes", "--endpoint", &url]].concat());
        ended.exits(6).says("another launch holds account");
    }
    // A bare token is distinguished from another only by the name given to its account.
    let by_profile = lab.launch(&sandbox, &[&again[..], &["--profile", "other"]].concat());
    by_profile.exits(6).says("another launch holds account");
    lab.launch(&sandbox, &[&again[..], &["--account", "somebody-else"]].concat()).exits(0);
    launch.kill();
}

#[test]
fn a_key_is_one_account_whatever_name_it_is_given() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let begin = |args: &[&str]| {
        let mut command = lab.command(&with_yes(&sandbox, args));
        command.env_remove("CUTOVER_AUTH_TOKEN");
        command.envs([
            ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
            ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
            ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
        ]);
        Launch::start(command)
    };
    lab.write("hold", "");
    let launch = begin(&["run", "plan.csv", "--pause-file", "hold"]);
    assert!(launch.reaches("controlled"));
    begin(&["run", "plan.csv", "--journal", "other.db", "--account", "another"]).end().exits(6);
    launch.kill();
}

/// Begins the binary under a umask.
fn under(lab: &Lab, umask: &str, args: &[&str]) -> Launch {
    Launch::start(lab.limited(&format!("umask {umask}"), args))
}

#[test]
fn what_is_made_is_its_owners_alone_unless_it_is_a_groups() {
    let _machine = shared();
    let cases = [
        ("022", false, 0o600),
        ("000", false, 0o600),
        ("027", false, 0o640),
        ("007", false, 0o660),
        ("022", true, 0o640),
    ];
    for (umask, setgid, expected) in cases {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(3, "stopped,syncing"));
        set(&lab.path("plan.csv"), 0o664);
        if setgid {
            set(&lab.path("."), 0o2770);
        }
        let sandbox = lab.serve("plan.csv", "");
        lab.write("hold", "");
        let begin = |args: &[&str]| under(&lab, umask, &with_yes(&sandbox, args));
        let launch = begin(&["run", "plan.csv", "--pause-file", "hold"]);
        assert!(launch.reaches("controlled"));
        let lock = the_one(&lab.path("."), ".lock");
        for name in ["cutover.db", "cutover.db-wal", "cutover.db-shm", lock.to_str().unwrap()] {
            assert_eq!(mode(&lab.path(name)), expected, "{name} under {umask}");
        }
        assert_eq!(mode(&the_one(&lab.path("state/cutover/locks"), ".lock")), 0o600);
        for folder in ["state", "state/cutover", "state/cutover/locks"] {
            assert_eq!(mode(&lab.path(folder)) & 0o777, 0o700, "{folder} under {umask}");
        }
        fs::remove_file(lab.path("hold")).unwrap();
        launch.end().exits(0);
        let make = |args: &[&str], path: &str| {
            under(&lab, umask, args).end().exits(0);
            assert_eq!(mode(&lab.path(path)) & 0o777, expected, "{path} under {umask}");
        };
        make(&["report", "--format", "csv", "-o", "report.csv"], "report.csv");
        make(&["report", "--format", "xlsx", "-o", "report.xlsx"], "report.xlsx");
        make(&["audit", "export", "-o", "evidence.zip"], "evidence.zip");
        make(&["plan", "plan.csv", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url], "sealed.plan");
        make(
            &["plan", "plan.csv", "-o", "first.plan", "--journal", "none.db", "--endpoint", &sandbox.url],
            "first.plan",
        );
    }
}

#[test]
fn the_journal_that_plan_throws_away_is_nobody_elses_while_it_lasts() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    // It accepts the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    fs::create_dir(lab.path("tmp")).unwrap();
    for verb in [&["plan", "plan.csv"][..], &["rehearse", "plan.csv", "--from-live"]] {
        let mut command = lab.limited("umask 022", &[verb, &["--endpoint", &url]].concat());
        let launch = Launch::start({
            command.env("TMPDIR", lab.path("tmp"));
            command
        });
        drop(silent.accept().unwrap().0.peer_addr());
        let folder = the_one(&lab.path("tmp"), "");
        assert_eq!(mode(&folder), 0o700, "{verb:?}");
        assert_eq!(mode(&the_one(&folder, ".db")), 0o600, "{verb:?}");
        launch.kill();
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Makes a run that was begun and not ended.
fn begun() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    held(&lab, &sandbox, &["run", "plan.csv"]).0.kill();
    (lab, sandbox)
}

#[test]
fn a_journal_has_one_name_and_is_a_file() {
    let _machine = shared();
    let (lab, sandbox) = begun();
    let run = lab.journal().text("SELECT id FROM run");
    fs::create_dir(lab.path("elsewhere")).unwrap();
    fs::hard_link(lab.path("cutover.db"), lab.path("elsewhere/second.db")).unwrap();
    let writes: [&[&str]; 3] = [&["resume"], &["run", "plan.csv"], &["reconcile"]];
    let reads: [&[&str]; 4] = [&["status"], &["report", "--format", "csv"], &["audit", "verify"], &["runs"]];
    for journal in ["cutover.db", "elsewhere/second.db"] {
        for verb in writes {
            let ended = soon(lab.begin(&sandbox, &[verb, &["--journal", journal]].concat()));
            ended.exits(2).says("has 2 names (hard links)").says("-samefile");
        }
        for verb in reads {
            lab.cutover(&[verb, &["--journal", journal]].concat()).exits(2).says("has 2 names");
        }
    }
    fs::remove_file(lab.path("elsewhere/second.db")).unwrap();
    pipe(&lab.path("pipe.db"));
    symlink("pipe.db", lab.path("to-pipe.db")).unwrap();
    symlink("nowhere", lab.path("to-nowhere.db")).unwrap();
    for (journal, says) in [
        ("pipe.db", "is a device, a pipe or a socket"),
        ("to-pipe.db", "is a device, a pipe or a socket"),
        ("/dev/zero", "is a device, a pipe or a socket"),
        ("to-nowhere.db", "is a link that leads nowhere"),
    ] {
        for verb in [&["run", "plan.csv"][..], &["resume"]] {
            soon(lab.begin(&sandbox, &[verb, &["--journal", journal]].concat())).exits(2);
        }
        soon(lab.begin(&sandbox, &["run", "plan.csv", "--journal", journal])).exits(2).says(says);
        soon(Launch::start(lab.command(&["status", "--journal", journal]))).exits(2);
    }
    assert!(!lab.path("nowhere").exists());
    assert!(sandbox.changes().is_empty());
    // By a symbolic link it is the same journal, with the same lock.
    symlink(lab.path("cutover.db"), lab.path("elsewhere/link.db")).unwrap();
    lab.write("hold", "");
    let launch = lab.begin(&sandbox, &["resume", "--pause-file", "hold"]);
    assert!(launch.reaches("controlled"));
    assert!(lab.path(&format!("cutover.db.{run}.lock")).exists());
    let mut elsewhere = lab.command(&with_yes(&sandbox, &["resume", "--journal", "elsewhere/link.db"]));
    elsewhere.env("XDG_STATE_HOME", lab.path("other-state"));
    Launch::start(elsewhere).end().exits(6).says("another launch holds run");
    launch.kill();
}

#[test]
fn what_is_said_to_do_about_a_second_name_keeps_what_was_recorded_last() {
    let _machine = shared();
    if tools::lack(&["sqlite3"]) {
        return;
    }
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "20", "--concurrency", "2"]);
    assert!(launch.reaches_nth("attempt_ended", 6));
    launch.kill();
    let n_begun = lab.journal().n_events("attempt_started");
    fs::create_dir(lab.path("elsewhere")).unwrap();
    fs::hard_link(lab.path("cutover.db"), lab.path("elsewhere/second.db")).unwrap();
    symlink("cutover.db", lab.path("link.db")).unwrap();
    let says = |journal: &str| {
        let ended = lab.cutover(&["status", "--journal", journal]).exits(2).says("beside which the log lies");
        assert!(!ended.stderr.contains("`cp "), "{}", ended.stderr);
        the_command(&ended, "sqlite3 ")
    };
    let by_link =
        says("link.db").replace(&*lab.path("cutover.db").canonicalize().unwrap().to_string_lossy(), "cutover.db");
    let copies = says("cutover.db").replace(&*lab.path("cutover.db").to_string_lossy(), "cutover.db");
    assert_eq!(by_link, copies);
    assert!(lab.command_of("sh", &["-c", &copies]).status().unwrap().success(), "{copies}");
    assert_eq!(Journal::open(&lab.path("COPY")).n_events("attempt_started"), n_begun, "{copies}");
    // Under the other name there is no log to copy.
    let ended = lab.cutover(&["status", "--journal", "elsewhere/second.db"]).exits(2);
    let says = "keep the one beside which a log (`-wal`) lies";
    assert!(ended.stderr.contains(says) && !ended.stderr.contains("COPY"), "{}", ended.stderr);
}

/// Both names are found, even where a shell would interpret their characters.
#[test]
fn what_is_said_to_find_a_second_name_finds_it_as_it_is_typed() {
    let may_mount = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("left out: nothing can be mounted here");
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = begun();
    // On a file system of its own, because all of it is searched.
    let script = format!(
        r#"mkdir "it's here" && mount -t tmpfs small "it's here" && cp cutover.db cutover.db-wal "it's here" || exit 1
        cd "it's here" && ln cutover.db 'a "second" $HOME.db' || exit 1
        for journal in cutover.db 'a "second" $HOME.db'; do
            {} status --journal "$PWD/$journal" 2> said
            sh -c "$(sed -n 's/.*`\(find [^`]*\)`.*/\1/p' said)"
        done"#,
        env!("CARGO_BIN_EXE_cutover")
    );
    let Ended { stdout, stderr, .. } = Launch::start(lab.command_of("unshare", &["-rm", "sh", "-c", &script])).end();
    for name in ["it's here/cutover.db", "it's here/a \"second\" $HOME.db"] {
        assert_eq!(stdout.lines().filter(|line| line.ends_with(name)).count(), 2, "{stdout}{stderr}");
    }
}

/// The folder has a name that a shell would interpret.
#[test]
fn what_is_said_to_do_about_a_planted_lock_takes_it_away_as_it_is_typed() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let folder = "it's $(touch here); $HOME";
    fs::create_dir(lab.path(folder)).unwrap();
    let journal = format!("{folder}/cutover.db");
    lab.write("hold", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--journal", &journal, "--pause-file", "hold"]);
    assert!(launch.reaches("controlled"));
    launch.kill();
    fs::remove_file(lab.path("hold")).unwrap();
    let lock = the_one(&lab.path(folder), ".lock");
    lab.write("victim", "worth keeping");
    let plants: [(Plant, &[&str]); 3] = [
        (|victim, place| symlink(victim, place).unwrap(), &["ls -l ", "rm "]),
        (|_, place| pipe(place), &["ls -l ", "rm "]),
        (
            |victim, place| {
                fs::create_dir(place).unwrap();
                fs::copy(victim, place.join("kept")).unwrap();
            },
            &["ls -la ", "mv "],
        ),
    ];
    for (plant, commands) in plants {
        fs::remove_file(&lock).unwrap();
        plant(&lab.path("victim"), &lock);
        let ended = soon(lab.begin(&sandbox, &["resume", "--journal", &journal])).exits(3);
        for begins in commands {
            let command = the_command(&ended, begins);
            assert!(lab.command_of("sh", &["-c", &command]).status().unwrap().success(), "{command}");
        }
        assert!(lock.symlink_metadata().is_err());
        assert_eq!(fs::read_to_string(lab.path("victim")).unwrap(), "worth keeping");
        lab.write("hold", "");
        let launch = lab.begin(&sandbox, &["resume", "--journal", &journal, "--pause-file", "hold"]);
        assert!(launch.reaches("controlled"));
        launch.kill();
        fs::remove_file(lab.path("hold")).unwrap();
        assert!(lock.is_file());
    }
    let aside = PathBuf::from(format!("{}.aside", lock.display()));
    assert_eq!(fs::read_to_string(aside.join("kept")).unwrap(), "worth keeping");
    lab.launch(&sandbox, &["resume", "--journal", &journal]).exits(0);
}

/// Returns the command that begins so, as it was printed.
#[track_caller]
fn the_command(ended: &Ended, begins: &str) -> String {
    let (_, command) = ended.stderr.split_once(&format!("`{begins}")).expect("it is printed");
    format!("{begins}{}", command.split_once('`').unwrap().0)
}

#[test]
fn what_is_planted_beside_a_journal_is_not_taken_for_its_own() {
    let _machine = shared();
    let (lab, sandbox) = begun();
    lab.write("victim", "worth keeping");
    for suffix in ["-wal", "-shm"] {
        let place = lab.path(&format!("cutover.db{suffix}"));
        let aside = lab.path("aside");
        fs::rename(&place, &aside).unwrap();
        let plants: [Plant; 3] = [
            |victim, place| symlink(victim, place).unwrap(),
            |victim, place| fs::hard_link(victim, place).unwrap(),
            |_, place| pipe(place),
        ];
        for plant in plants {
            plant(&lab.path("victim"), &place);
            soon(lab.begin(&sandbox, &["resume"])).exits(2).says("beside the journal");
            soon(Launch::start(lab.command(&["status"]))).exits(2);
            assert_eq!(fs::read_to_string(lab.path("victim")).unwrap(), "worth keeping", "{suffix}");
            fs::remove_file(&place).unwrap();
        }
        fs::rename(&aside, &place).unwrap();
    }
    lab.launch(&sandbox, &["resume"]).exits(0);
}

/// The log may hold what was recorded last, as it does here.
#[test]
fn what_is_said_to_do_about_a_log_that_is_amiss_loses_nothing_of_it() {
    let _machine = shared();
    let (lab, _sandbox) = begun();
    let log = lab.path("cutover.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    let rows = || soon(Launch::start(lab.command(&["report", "--format", "csv"]))).exits(0).stdout.clone();
    let amiss = || soon(Launch::start(lab.command(&["status"]))).exits(2).says("what was recorded last");
    let typed = |command: &str| {
        // `find` complains about folders that disappear while it searches, and still finds the file.
        let typed = lab.command_of("sh", &["-c", command]).output().unwrap();
        String::from_utf8(typed.stdout).unwrap()
    };
    let before = rows();
    fs::create_dir(lab.path("elsewhere")).unwrap();

    fs::hard_link(&log, lab.path("elsewhere/log")).unwrap();
    let names = typed(&the_command(&amiss().says("and not this one"), "find "));
    let names: Vec<PathBuf> = names.lines().map(|name| lab.path(name)).collect();
    let (ours, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| **name == log);
    assert_eq!((ours.len(), others.len()), (1, 1), "{names:?}");
    fs::remove_file(others[0]).unwrap();
    assert_eq!(rows(), before);

    fs::rename(&log, lab.path("elsewhere/log")).unwrap();
    symlink(lab.path("elsewhere/log"), &log).unwrap();
    typed(&the_command(&amiss(), "mv "));
    assert_eq!(fs::read_link(lab.path("cutover.db-wal.aside")).unwrap(), lab.path("elsewhere/log"));
    fs::rename(lab.path("elsewhere/log"), &log).unwrap();
    assert_eq!(rows(), before);
}

#[test]
fn a_journal_that_is_mounted_alone_is_refused() {
    let may_mount = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("left out: nothing can be mounted here");
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = begun();
    fs::create_dir(lab.path("inside")).unwrap();
    fs::write(lab.path("inside/cutover.db"), "").unwrap();
    let script = format!(
        "mount --bind cutover.db inside/cutover.db && exec {} resume --yes --journal inside/cutover.db --endpoint {}",
        env!("CARGO_BIN_EXE_cutover"),
        sandbox.url
    );
    let mounted = |script: &str| Launch::start(lab.command_of("unshare", &["-rm", "sh", "-c", script])).end();
    mounted(&script).exits(2).says("is mounted as a single file").says("mount the folder");
    assert!(sandbox.changes().is_empty());
    // Together with its folder it is in its place.
    fs::create_dir(lab.path("whole")).unwrap();
    mounted(&script.replace("cutover.db inside/cutover.db", ". whole").replace("inside/", "whole/")).exits(0);
}

#[test]
fn a_report_goes_neither_through_a_link_nor_to_whom_the_journal_is_not_for() {
    let _machine = shared();
    let (lab, sandbox) = begun();
    lab.write("theirs", "worth keeping");
    set(&lab.path("theirs"), 0o666);
    let writes: [(&[&str], &str); 5] = [
        (&["report", "--format", "csv", "-o"], "report.csv"),
        (&["rollback", "--force", "-o"], "back.csv"),
        (&["plan", "plan.csv", "--force", "--endpoint", &sandbox.url, "-o"], "sealed.plan"),
        (&["sources", "plan", "--force", "--to-state", "stopped", "--endpoint", &sandbox.url, "-o"], "sources.csv"),
        (&["resume", "--yes", "--endpoint", &sandbox.url, "--report"], "night.csv"),
    ];
    for (verb, name) in writes {
        symlink("theirs", lab.path(name)).unwrap();
        let ended = lab.limited("umask 077", &[verb, &[name]].concat());
        Launch::start(ended).end().exits(0);
        assert_eq!(fs::read_to_string(lab.path("theirs")).unwrap(), "worth keeping", "{name}");
        // With nothing to roll back no plan is written.
        if name != "back.csv" {
            assert_eq!(mode(&lab.path(name)), 0o600, "{name}");
        }
    }
}

#[test]
fn no_two_things_that_a_launch_writes_are_one_file_however_it_is_named() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    fs::create_dir(lab.path("sub")).unwrap();
    symlink("one.csv", lab.path("sub/link.csv")).unwrap();
    symlink("../new.csv", lab.path("sub/dangling.csv")).unwrap();
    lab.write("sub/one.csv", "");
    fs::hard_link(lab.path("sub/one.csv"), lab.path("hard.csv")).unwrap();
    let sandbox = lab.serve("plan.csv", "");
    for (one, path, other, same) in [
        ("--log-file", "new.csv", "--report", "new.csv"),
        ("--log-file", "new.csv", "--report", "sub/../new.csv"),
        ("--metrics-file", "new.csv", "--report", "./sub/dangling.csv"),
        ("--metrics-file", "sub/one.csv", "--report", "sub/link.csv"),
        ("--log-file", "hard.csv", "--metrics-file", "sub/one.csv"),
        ("--journal", "new.csv", "--report", "./new.csv"),
        ("--journal", "new.db", "--log-file", "new.db-wal"),
        ("--journal", "new.db", "--metrics-file", "sub/../new.db"),
    ] {
        let ended = lab.launch(&sandbox, &["run", "plan.csv", one, path, other, same]).exits(2);
        ended.says(&format!("`{one}` and `{other}` name one file, `{same}`")).says("hint: name another file with");
        assert!(!lab.path("new.csv").exists() && !lab.path("new.db").exists() && sandbox.ledger().is_empty());
    }
    let by_variable = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env("CUTOVER_LOG_FILE", "log");
        Launch::start(command).end()
    };
    let both = "`--log-file` and `-o` name one file, `log`";
    by_variable(&["report", "--format", "csv", "-o", "log"]).exits(2).says(both).says("CUTOVER_LOG_FILE");
    // What is no plain file takes what several write.
    let several = ["run", "plan.csv", "--log-file", "/dev/null", "--report", "null.csv", "--rate", "off"];
    symlink("/dev/null", lab.path("null.csv")).unwrap();
    lab.launch(&sandbox, &several).exits(0);
}

#[test]
fn what_another_user_put_in_the_place_of_a_report_does_not_get_it() {
    const ANYBODY: u32 = 65_534;
    let _machine = shared();
    let (lab, sandbox) = begun();
    let gives = |path: &Path| std::os::unix::fs::chown(path, Some(ANYBODY), Some(ANYBODY));
    lab.write("report.csv", "put there before");
    set(&lab.path("report.csv"), 0o666);
    if gives(&lab.path("report.csv")).is_err() {
        println!("left out: only root can play two users");
        return;
    }
    lab.cutover(&["report", "--format", "csv", "-o", "report.csv"]).exits(0);
    let found = fs::metadata(lab.path("report.csv")).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid()), (0o600, 0));
    // A pipe with a reader, in a place where anybody may have put it.
    pipe(&lab.path("pipe.csv"));
    gives(&lab.path("pipe.csv")).unwrap();
    let reader = Command::new("cat").arg(lab.path("pipe.csv")).stdout(Stdio::piped()).spawn().unwrap();
    let to_pipe = || soon(Launch::start(lab.command(&["report", "--format", "csv", "-o", "pipe.csv"])));
    set(&lab.path("."), 0o1777);
    to_pipe().exits(2).says("belongs to somebody else");
    set(&lab.path("."), 0o700);
    // In a place where nobody else could have put it, it is the pipe of a program that is to read it.
    to_pipe().exits(0);
    let read = reader.wait_with_output().unwrap().stdout;
    assert!(read.starts_with(b"row,source_id"), "{}", String::from_utf8_lossy(&read));
    // A lock that another user left does not stop a launch, and is not written to.
    let lock = lab.path("state/cutover/locks");
    let name = the_one(&lock, ".lock");
    fs::write(&name, "left by another").unwrap();
    gives(&name).unwrap();
    lab.launch(&sandbox, &["resume"]).exits(0);
}

#[test]
fn a_terminal_of_somebody_else_is_written_to_by_whoever_sits_at_it() {
    let _machine = shared();
    if tools::lack(&["script"]) {
        return;
    }
    let (lab, _sandbox) = begun();
    let binary = env!("CARGO_BIN_EXE_cutover");
    // Under sudo and su, the terminal belongs to another user.
    let run = format!("chown 65534 $(tty) && exec {binary} report --format csv -o /dev/stdout");
    let ended = lab.command_of("script", &["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    if shown.contains("Operation not permitted") {
        println!("left out: only root can play two users");
        return;
    }
    assert!(ended.status.success() && shown.contains("row,source_id"), "{shown}");
}

#[test]
fn a_report_to_a_terminal_is_fit_for_one_by_whichever_name_it_goes_there() {
    let _machine = shared();
    if tools::lack(&["script"]) {
        return;
    }
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate,migrationcycle,name\nvm-1,cutovering,cutovering,vm\u{202e}tset\n");
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    for (to, format) in [("/dev/stdout", "csv"), ("/dev/tty", "csv"), ("/proc/self/fd/1", "json"), ("/dev/tty", "html")]
    {
        let run = format!("{} report --format {format} -o {to}", env!("CARGO_BIN_EXE_cutover"));
        let ended = lab.command_of("script", &["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success() && shown.contains("tset"), "{to} {format}: {shown}");
        assert!(!shown.contains('\u{202e}'), "{to} {format}: {shown:?}");
    }
    let back = format!("{} rollback --force -o /dev/tty", env!("CARGO_BIN_EXE_cutover"));
    let ended = lab.command_of("script", &["-qec", &back, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && shown.contains("tset") && !shown.contains('\u{202e}'), "{shown:?}");
    let run = format!("{} report --format xlsx -o /dev/tty", env!("CARGO_BIN_EXE_cutover"));
    let ended = lab.command_of("script", &["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", String::from_utf8_lossy(&ended.stdout));
}

#[test]
fn what_is_open_already_is_written_to_and_no_link_to_it_is_replaced() {
    let _machine = shared();
    let (lab, _sandbox) = begun();
    fs::create_dir(lab.path("dev")).unwrap();
    symlink("/proc/self/fd/1", lab.path("dev/stdout")).unwrap();
    symlink("stdout", lab.path("dev/log")).unwrap();
    let report = format!("{} report --format csv -o", env!("CARGO_BIN_EXE_cutover"));
    for (to, into) in [
        ("dev/stdout", "> ff.csv"),
        ("dev/log", "> ff.csv"),
        ("/proc/self/fd/1", "> ff.csv"),
        ("/dev/fd/5", "5> ff.csv 1>&5"),
        ("dev/stdout", ">> ff.csv"),
    ] {
        lab.write("ff.csv", "");
        let script = format!("{{ echo before; {report} {to}; echo after; }} {into}");
        assert!(lab.command_of("sh", &["-c", &script]).status().unwrap().success(), "{script}");
        let is_link = |name: &str| fs::symlink_metadata(lab.path(name)).unwrap().is_symlink();
        assert!(is_link("dev/stdout") && is_link("dev/log"), "{script}: replaced");
        let text = fs::read_to_string(lab.path("ff.csv")).unwrap();
        let is_whole = text.starts_with("before\nrow,source_id") && text.ends_with("\nafter\n");
        assert!(is_whole && text.lines().count() == 6, "{script}: {text}");
    }
    // A socket, as in a service under systemd: it cannot be opened again.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = lab.command(&["report", "--format", "csv", "-o", "dev/stdout"]);
    assert!(command.stdout(std::os::fd::OwnedFd::from(theirs)).status().unwrap().success());
    drop(command);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &ours, &mut text).unwrap();
    assert!(text.starts_with("row,source_id"), "{text}");
    // An open descriptor that cannot be written to is reported before any work.
    lab.cutover(&["report", "--format", "csv", "-o", "/proc/self/fd/0"]).exits(2).says("a report cannot be written to");
    lab.cutover(&["report", "--format", "csv", "-o", "/proc/self/fd/99"]).exits(2);
    // The journal is not appended to, under any name.
    let journal = fs::read(lab.path("cutover.db")).unwrap();
    let script = format!("{report} dev/stdout >> cutover.db");
    assert!(!lab.command_of("sh", &["-c", &script]).status().unwrap().success());
    assert_eq!(fs::read(lab.path("cutover.db")).unwrap(), journal);
}

#[test]
fn a_link_that_somebody_else_put_there_leads_no_report_into_their_pipe() {
    const ANYBODY: u32 = 65_534;
    let _machine = shared();
    let (lab, _sandbox) = begun();
    fs::create_dir(lab.path("shared")).unwrap();
    fs::create_dir(lab.path("theirs")).unwrap();
    pipe(&lab.path("theirs/pipe"));
    symlink(lab.path("theirs/pipe"), lab.path("shared/report.csv")).unwrap();
    symlink("/proc/self/fd/1", lab.path("shared/other.csv")).unwrap();
    let gives = |name: &str| std::os::unix::fs::lchown(lab.path(name), Some(ANYBODY), Some(ANYBODY));
    if ["theirs", "theirs/pipe", "shared/report.csv", "shared/other.csv"].map(gives).iter().any(Result::is_err) {
        println!("left out: only root can play two users");
        return;
    }
    set(&lab.path("shared"), 0o777);
    let mut reader = Command::new("cat").arg(lab.path("theirs/pipe")).stdout(Stdio::piped()).spawn().unwrap();
    for name in ["shared/report.csv", "shared/other.csv"] {
        let ended = soon(Launch::start(lab.command(&["report", "--format", "csv", "-o", name])));
        ended.exits(2).says("belongs to somebody else");
    }
    reader.kill().unwrap();
    assert!(reader.wait_with_output().unwrap().stdout.is_empty());
}

#[test]
fn a_folder_in_which_everybody_can_put_files_is_warned_of() {
    let _machine = shared();
    let (lab, sandbox) = begun();
    let warning = "everybody on this machine can put files in";
    lab.write("hold", "");
    // A journal that was made for everybody stays so.
    for (mode, is_ours_to_close) in [(0o777, true), (0o1777, false)] {
        set(&lab.path("."), mode);
        let launch = lab.begin(&sandbox, &["resume", "--pause-file", "hold"]);
        assert!(launch.reaches("controlled"));
        let ended = launch.kill().says(warning).says("keep it elsewhere (`--journal PATH`)");
        assert_eq!(ended.stderr.contains("chmod o-w"), is_ours_to_close, "{}", ended.stderr);
    }
    // A file that another user put beside the journal is not taken for its log.
    let log = lab.path("cutover.db-wal");
    if std::os::unix::fs::chown(&log, Some(65_534), Some(65_534)).is_ok() {
        lab.launch(&sandbox, &["resume"]).exits(2).says("belongs to somebody else");
        std::os::unix::fs::chown(&log, Some(0), Some(0)).unwrap();
    }
    set(&lab.path("."), 0o700);
    let ended = lab.launch(&sandbox, &["resume"]).exits(0);
    assert!(!ended.stderr.contains(warning), "{}", ended.stderr);
}

/// The machine's folder for locks in several states, each with whether it is used.
#[test]
fn locks_lie_where_all_users_of_the_machine_see_them_if_root_made_that() {
    let may_mount = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) || !Path::new("/run/lock").is_dir() {
        println!("left out: nothing can be mounted here");
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = begun();
    let binary = env!("CARGO_BIN_EXE_cutover");
    let (url, folder) = (&sandbox.url, "/run/lock/cutover");
    let resume = format!("{binary} resume --yes --endpoint {url} --pause-file hold");
    // Setup, and the exit of a second launch by another user with another journal.
    let cases = [
        (format!("mkdir -m 1777 {folder}"), true),
        (format!("mkdir -m 0755 {folder}"), true),
        (format!("mkdir -m 0777 {folder}"), false),
        (format!("mkdir -m 1777 {folder} && chown 65534 {folder}"), false),
        (format!("mkdir -m 1777 /run/lock/other && ln -s other {folder}"), false),
        (format!("touch {folder}"), false),
        ("true".to_owned(), false),
    ];
    for (made, is_taken) in cases {
        lab.write("hold", "");
        let script = format!(
            "set -e; rm -rf state; mount -t tmpfs none /run/lock; umask 022; {made}
            {resume} >/dev/null 2>&1 & launch=$!
            until ls {folder}/*.lock state/cutover/locks/*.lock 2>/dev/null | grep -q .; do kill -0 $launch; sleep 0.02; done
            ls -l {folder}/*.lock 2>/dev/null || true
            set +e; XDG_STATE_HOME=$PWD/another-user {binary} run plan.csv --yes --journal other.db --endpoint {url} \
              --pause-file hold --stop-file hold >/dev/null 2>said; echo \"second: $?\"
            kill -KILL $launch; wait $launch; rm -rf other.db* state another-user; exit 0"
        );
        let ended = soon(Launch::start(lab.command_of("unshare", &["-m", "bash", "-c", &script]))).exits(0);
        let told = format!("{made}: {}{}", ended.stdout, fs::read_to_string(lab.path("said")).unwrap());
        assert_eq!(ended.stdout.contains("second: 6"), is_taken, "{told}");
        assert_eq!(ended.stdout.contains("-rw-r--r--"), is_taken, "who is locked out may see by whom: {told}");
    }
}

#[test]
fn a_lock_that_cannot_be_taken_is_said_whatever_is_not_wanted_to_be_heard() {
    let _machine = alone();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let mut command = lab.command(&["run", "plan.csv", "--yes", "-q", "--endpoint", &sandbox.url]);
    command.env_remove("XDG_STATE_HOME").env("HOME", "/dev/null");
    Launch::start(command).end().exits(0).says("another run of this account would not be noticed");
}
