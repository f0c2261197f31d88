//! Commands to type next work as printed: whatever a run prints is typed into a shell unchanged.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lab::home::{Lab, with_yes};
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};

/// Finds the commands in a text: between backticks, in `<code>`, or up to the end of the line or clause.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in unescaped(text).lines() {
        let mut rest = line;
        while let Some(at) = rest.find("cutover ") {
            let (before, command) = rest.split_at(at);
            let ends: &[char] = if before.ends_with('`') {
                &['`']
            } else if before.ends_with('>') {
                &['<']
            } else {
                &[';', '`', '<']
            };
            let end = command.find(ends).unwrap_or(command.len());
            let (command, after) = command.split_at(end);
            let is_verb = command["cutover ".len()..].starts_with(|first: char| first.is_ascii_lowercase());
            // Templates, in which a person has to fill in a word.
            let is_template = command.split(' ').any(|word| ["PLAN", "FILE", "NAME", "[RUN]", "KEY"].contains(&word));
            if is_verb && !is_template && (before.is_empty() || before.ends_with([' ', '`', '>', '('])) {
                found.push(command.trim().to_owned());
            }
            rest = after;
        }
    }
    found
}

/// Decodes a text as a browser or an XML reader shows it.
fn unescaped(text: &str) -> String {
    text.replace("&#39;", "'").replace("&apos;", "'")
}

fn said(ended: &Ended) -> String {
    let events = r#""schema":"cutover.event.v1""#;
    let told: Vec<&str> = ended.stdout.lines().filter(|line| !line.contains(events)).collect();
    format!("{}\n{}", told.join("\n"), ended.stderr)
}

fn typed(lab: &Lab, command: &str, variables: &[(&str, &str)]) -> Ended {
    let mut shell = lab.command_of("sh", &["-c", command]);
    let binary = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", binary.display())).envs(variables.iter().copied());
    Launch::start(shell).end()
}

/// Most commands that may follow from each other in a run of a few rows.
const MOST_TYPED: usize = 60;

/// Types each command of a text, and those that they print in turn, each once. None may fail as one that cannot work.
fn type_all(lab: &Lab, text: &str, variables: &[(&str, &str)]) -> BTreeSet<String> {
    let mut left: Vec<String> = commands(text);
    // An anchor holds for the state in which it was printed, so that it is checked before the run goes on.
    left.sort_by_key(|command| !command.starts_with("cutover audit"));
    left.reverse();
    let mut seen = BTreeSet::new();
    assert!(!left.is_empty(), "nothing is said to be typed in:\n{text}");
    while let Some(command) = left.pop() {
        if !seen.insert(command.clone()) {
            continue;
        }
        assert!(seen.len() <= MOST_TYPED, "no end of commands: {seen:#?}");
        let ended = typed(lab, &command, variables);
        let works = !matches!(ended.code, None | Some(2 | 3 | 7 | 64..));
        assert!(works, "`{command}` ends with {:?}:\n{}", ended.code, said(&ended));
        let more = commands(&said(&ended)).into_iter().filter(|command| !command.starts_with("cutover audit"));
        left.extend(more.collect::<Vec<_>>().into_iter().rev());
    }
    seen
}

/// Returns the output of every verb that reads the latest run.
fn told(lab: &Lab, journal: &[&str], rows: &[&str]) -> String {
    let mut text = String::new();
    let mut verbs: Vec<Vec<&str>> = vec![vec!["status"]];
    verbs.extend(["md", "html", "junit"].map(|format| vec!["report", "--format", format]));
    verbs.extend(rows.iter().map(|row| vec!["explain", *row]));
    for verb in verbs {
        let ended = lab.cutover(&[&verb[..], journal].concat()).exits(0);
        text += &said(&ended);
    }
    text
}

const NIGHT: &str = r#"
[[fault]]
sources = ["vm-silent"]
kind = "silent"
times = 0
[[fault]]
sources = ["vm-forbidden", "vm-forbidden-2"]
kind = "forbidden"
times = 0
[[fault]]
sources = ["vm-down"]
kind = "status"
status = 503
times = 0
[[moved]]
source = "vm-moved"
to = { copystate = "error" }
after = "change"
"#;

const ROWS: &str = "\
source_id,copystate,migrationcycle,expect_copystate,name
vm-good,finished,cutovered,,
vm-silent,finished,cutovered,,
vm-forbidden,stopped,syncing,,
vm-forbidden-2,finished,cutovered,,
vm-down,finished,cutovered,,
vm-moved,stopped,syncing,,
vm-expected,stopped,syncing,waiting,
vm-ignores,stopped,syncing,,
";

/// Makes a run in which rows end in every way, also for the smaller test below.
fn small_night(lab: &Lab) -> (Served, Vec<String>) {
    lab.write("plan.csv", ROWS);
    let sandbox = lab.serve("plan.csv", NIGHT);
    sandbox.move_to("vm-expected", "syncing", "syncing");
    sandbox.move_to("vm-ignores", "deleting", "syncing");
    let args =
        ["run", "plan.csv", "--rate", "off", "--attempts", "2", "--verify-timeout", "500ms", "--allow-irreversible"];
    let args = args.map(str::to_owned).to_vec();
    (sandbox, args)
}

#[test]
fn every_command_of_a_bad_night_works_as_it_is_printed() {
    let _machine = shared();
    let lab = Lab::new();
    let (sandbox, args) = small_night(&lab);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let journal = ["--journal", "the night's.db"];
    let first = lab.launch(&sandbox, &[&args[..], &journal].concat()).exits(1);
    let rows = ["vm-good", "vm-silent", "vm-forbidden", "vm-down", "vm-moved", "vm-expected", "vm-ignores"];
    let text = said(&first) + &told(&lab, &journal, &rows);
    // Three kinds of obstacles need three pieces of advice.
    assert!(text.contains("is not where the plan expects it") && text.contains("the service takes updates"), "{text}");
    let typed = type_all(&lab, &text, &[]);
    for verdict in ["no_effect", "overtaken", "refused", "failed", "blocked"] {
        let verdict = format!("--only {verdict}");
        let is_whole = |command: &&String| command.contains(&verdict) && command.contains("--allow-irreversible");
        assert!(typed.iter().any(|command| is_whole(&command)), "{verdict}: {typed:#?}");
    }
    assert!(
        typed.iter().all(|command| command.contains("--journal 'the night'\\''s.db'") || !command.contains("retry"))
    );
}

#[test]
fn every_command_of_a_night_in_the_sandbox_works_as_it_is_printed() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", ROWS);
    lab.write("night.toml", NIGHT);
    let args = [
        "run",
        "plan.csv",
        "--endpoint",
        "sandbox",
        "--scenario",
        "night.toml",
        "--rate",
        "off",
        "--attempts",
        "2",
        "--verify-timeout",
        "500ms",
        "--allow-irreversible",
        "--yes",
        "--no-progress",
    ];
    let first = lab.cutover(&args).exits(1);
    type_all(&lab, &(said(&first) + &told(&lab, &[], &["vm-good", "vm-moved"])), &[]);
    // The scenario file goes along, since nobody moved anything meanwhile.
    lab.write("cutover.toml", "attempts = 2\nverify_timeout = \"500ms\"\n");
    let seal = ["plan", "plan.csv", "--endpoint", "sandbox", "--scenario", "night.toml", "-o", "sealed.plan"];
    type_all(&lab, &said(&lab.cutover(&seal).exits(0)), &[]);
}

#[test]
fn whoever_has_no_credentials_is_sent_to_where_the_run_goes() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "[[fault]]\nsources = [\"vm-00001\"]\nkind = \"forbidden\"\n");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--journal", "other.db"]).exits(1);
    let mut command = lab.command(&["retry", "--yes", "--journal", "other.db"]);
    command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_ENDPOINT", &sandbox.url);
    let ended = Launch::start(command).end().exits(5).says(&format!("`cutover doctor --endpoint {}`", sandbox.url));
    assert!(!ended.stderr.contains("sandbox`"), "the run is not there: {}", ended.stderr);
}

fn bench(n: usize, scenario: &str) -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", scenario);
    (lab, sandbox)
}

#[test]
fn what_a_drain_a_kill_or_a_halt_says_to_type_works() {
    let _machine = shared();
    for signal in ["INT", "KILL"] {
        let (lab, sandbox) = bench(60, "");
        let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "40", "--ca-bundle", "/etc/hostname"]);
        assert!(launch.reaches_nth("attempt_ended", 5));
        launch.signal(signal);
        let text = said(&launch.end()) + &told(&lab, &[], &["vm-00001", "vm-00060"]);
        let typed = type_all(&lab, &text, &[]);
        assert!(typed.iter().any(|command| command.contains("resume") && command.contains("--yes")), "{typed:#?}");
        assert_eq!(lab.journal().tally()["applied"], 60);
    }
    let (lab, sandbox) = bench(20, "[[fault]]\nshare = 1.0\nkind = \"forbidden\"\ntimes = 0\n");
    let ended = lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--max-failed", "1", "--concurrency", "1"]);
    type_all(&lab, &(said(&ended) + &told(&lab, &[], &["vm-00001"])), &[]);
}

#[test]
fn a_wrong_token_and_a_dead_endpoint_are_dealt_with_before_going_on() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    let mut command = lab.command(&with_yes(&sandbox, &["run", "plan.csv"]));
    let wrong = [("CUTOVER_AUTH_TOKEN", "wrong-token")];
    let ended = Launch::start({
        command.envs(wrong);
        command
    });
    let text = said(&ended.end().exits(5)) + &told(&lab, &[], &[]);
    let doctor = format!("cutover doctor --endpoint {}", sandbox.url);
    assert!(text.contains(&doctor) && text.contains("six wrong ones lock a key"), "{text}");
    let typed = type_all(&lab, &text, &wrong);
    assert!(typed.contains(&doctor));
    // With the account put right, the same commands go on.
    let resume = commands(&text).into_iter().find(|command| command.contains("resume")).unwrap();
    type_all(&lab, &resume, &[]);
    assert_eq!(lab.journal().tally()["applied"], 3);

    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let args =
        ["run", "plan.csv", "--endpoint", "http://127.0.0.1:1", "--yes", "--no-progress", "--connect-timeout", "1s"];
    let text = said(&lab.cutover(&args).exits(8)) + &told(&lab, &[], &[]);
    assert!(text.contains("cutover doctor --endpoint http://127.0.0.1:1"), "{text}");
    type_all(&lab, &text, &[]);
    let quiet = lab.cutover(&[&args[..], &["-q"]].concat()).exits(8).stderr;
    assert!(quiet.contains("`cutover doctor ") && quiet.contains("`, then `cutover resume "), "{quiet}");
}

#[test]
fn what_is_refused_says_what_it_takes() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    lab.write("finish.csv", "source_id,copystate,migrationcycle\nvm-00001,finished,cutovered\n");
    let refused = |args: &[&str]| said(&lab.launch(&sandbox, args).exits(3));
    let text = refused(&["run", "finish.csv", "--rate", "off"]);
    let leave = format!("--allow-irreversible --rate off --yes --endpoint {}", sandbox.url);
    assert!(type_all(&lab, &text, &[]).iter().any(|command| command.ends_with(&leave)), "{text}");
    let text = refused(&["run", "plan.csv", "--max-changes", "1"]);
    type_all(&lab, &text, &[]);

    // A drift calls for a new seal, not for another try.
    let (lab, sandbox) = bench(3, "");
    let endpoint = ["--endpoint", sandbox.url.as_str()];
    lab.cutover(&[&["plan", "plan.csv", "-o", "it's sealed.plan"], &endpoint[..]].concat()).exits(0);
    sandbox.move_to("vm-00002", "error", "syncing");
    let text = said(&lab.launch(&sandbox, &["run", "it's sealed.plan"]).exits(3));
    assert!(text.contains("seal the plan again"), "{text}");
    let typed = type_all(&lab, &text, &[]);
    assert!(typed.iter().any(|command| command.starts_with("cutover plan 'it'\\''s sealed.plan' -o")), "{typed:#?}");
}

#[test]
fn an_approval_that_is_waited_for_says_how_it_is_given() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    lab.write("night.toml", "files = ['plan.csv']\n[[waves]]\nname = 'the main one'\nfiles = []\napproval = true\n");
    lab.write("waves.csv", "source_id,copystate,migrationcycle,wave\nvm-00001,stopped,syncing,the main one\n");
    lab.write("waves.toml", "files = ['waves.csv']\n[[waves]]\nname = 'the main one'\napproval = true\n");
    let sandbox = lab.serve("waves.csv", "");
    let launch = lab.begin(&sandbox, &["run", "waves.toml"]);
    assert!(launch.reaches("wait_began"));
    let status = said(&lab.cutover(&["status"]).exits(0));
    let release = commands(&status).into_iter().find(|command| command.contains("release")).unwrap();
    assert!(release.ends_with("release 'the main one'"), "{release}");
    typed(&lab, &release, &[]).exits(0);
    let ended = launch.end().exits(0);
    assert!(ended.stderr.contains(&release), "{}", ended.stderr);

    let ended = lab.launch(&sandbox, &["run", "waves.toml", "--new", "--approval-timeout", "1s"]);
    // All rows are on target by now, so that nothing waits.
    assert_eq!(ended.code, Some(0));
    sandbox.move_to("vm-00001", "syncing", "syncing");
    let ended = lab.launch(&sandbox, &["run", "waves.toml", "--new", "--approval-timeout", "1s"]).exits(4);
    let typed = type_all(&lab, &said(&ended), &[]);
    assert!(typed.iter().any(|command| command.contains("--approve 'the main one'")), "{typed:#?}");
    assert_eq!(lab.journal().tally()["applied"], 1);
}

#[test]
fn what_init_a_roll_back_and_the_hints_say_to_type_works() {
    let _machine = shared();
    let lab = Lab::new();
    for folder in [".", "a folder's"] {
        let text = said(&lab.cutover(&["init", folder]).exits(0));
        let typed = type_all(&lab, &text, &[]);
        assert!(typed.iter().any(|command| command.contains("--endpoint sandbox")), "{typed:#?}");
    }
    let (lab, sandbox) = bench(3, "");
    let sealed = lab.cutover(&["plan", "plan.csv", "-o", "a sealed.plan", "--endpoint", &sandbox.url]).exits(0);
    type_all(&lab, &said(&sealed), &[]);
    lab.write("plan.csv", "source_id,copystate,migrationcycle\nvm-00001,error,syncing\nvm-00002,error,syncing\n");
    let sandbox = lab.serve("plan.csv", "");
    let journal = ["--journal", "n.db"];
    lab.launch(&sandbox, &[&["run", "plan.csv", "--rate", "off"], &journal[..]].concat()).exits(0);
    let back = lab.cutover(&[&["rollback", "-o", "the way back.csv"], &journal[..]].concat()).exits(0);
    type_all(&lab, &said(&back), &[]);
    for (args, code) in [
        (&["status", "nothing-like-it"][..], 2),
        (&["explain", "nothing-like-it"], 2),
        (&["control", "pause"], 2),
        (&["control", "puase"], 2),
    ] {
        let ended = lab.cutover(&[args, &journal].concat()).exits(code);
        type_all(&lab, &said(&ended), &[]);
    }
    let listed =
        lab.cutover(&["sources", "plan", "--to-state", "stopped", "-o", "a plan.csv", "--endpoint", &sandbox.url]);
    type_all(&lab, &said(&listed.exits(0)), &[]);
}

#[test]
fn what_a_launch_was_given_by_hand_holds_for_it_and_goes_with_the_next_command() {
    let _machine = shared();
    let (lab, sandbox) = bench(40, "");
    let given = ["--window", "00:00-23:59:59", "--timezone", "UTC", "--deadline", "2999-01-01T00:00"];
    let launch = lab.begin(&sandbox, &[&["run", "plan.csv", "--rate", "40"], &given[..]].concat());
    assert!(launch.reaches_nth("attempt_ended", 3));
    launch.signal("INT");
    let text = said(&launch.end().exits(130));
    let resume = commands(&text).into_iter().find(|command| command.contains("resume")).unwrap();
    let flags = "--deadline 2999-01-01T00:00:00Z --rate 40 --timezone UTC --window 00:00-23:59:59 --yes";
    let at = format!(" --endpoint {}", sandbox.url);
    assert!(resume.ends_with(&format!("{flags}{at}")), "{resume}");
    let status = said(&lab.cutover(&["status"]));
    assert!(status.contains("given --deadline 2999-01-01T00:00:00Z"), "{status}");
    // The next launch has none of these settings, and says so; neither do its commands to type next.
    let launch = lab.begin(&sandbox, &["resume", "--rate", "40"]);
    assert!(launch.reaches_nth("attempt_ended", 3));
    launch.signal("INT");
    let ended = launch.end().exits(130);
    let gone = "the last launch was given --deadline 2999-01-01T00:00:00Z --timezone UTC --window 00:00-23:59:59, which \
                does not hold for this one";
    assert!(ended.stderr.contains(gone), "{}", ended.stderr);
    assert!(!ended.stderr.contains("changes may be sent"), "{}", ended.stderr);
    let resume = commands(&said(&ended)).into_iter().find(|command| command.contains("resume")).unwrap();
    assert!(resume.ends_with(&format!("--rate 40 --yes{at}")), "{resume}");
    // A look keeps the settings that were given to the launch before it.
    lab.launch(&sandbox, &["reconcile"]);
    let status = said(&lab.cutover(&["status"]));
    assert!(status.contains("--rate 40 --yes"), "{status}");
    typed(&lab, &resume, &[]).exits(0);
}

#[test]
fn a_limit_that_a_later_launch_was_given_goes_with_the_next_command() {
    let _machine = shared();
    let forbidden = "[[fault]]\nshare = 1.0\nkind = 'forbidden'\ntimes = 0\n";
    for limit in [
        &["--same-cause", "2"][..],
        &["--consecutive-failures", "2"],
        &["--max-failed", "1"],
        &["--max-failed", "10%", "--min-sample", "2"],
    ] {
        let (lab, sandbox) = bench(12, forbidden);
        let slow = ["--rate", "off", "--concurrency", "1"];
        let halts = |verb: &[&str]| lab.launch(&sandbox, &[verb, &slow, limit].concat()).exits(4);
        lab.launch(&sandbox, &["run", "plan.csv", "--max-changes", "0"]).exits(3);
        let ended = halts(&["resume", "--max-changes", "99"]);
        let resume = beginning(&said(&ended), "cutover resume").remove(0);
        let status = said(&lab.cutover(&["status"]).exits(0));
        let launched = status.lines().find(|line| line.trim_start().starts_with("launch ")).unwrap();
        for told in [&resume, launched] {
            assert!(limit.iter().all(|word| told.contains(word)), "{limit:?}: {told}");
        }
        typed(&lab, &resume, &[]).exits(4);
        let n_left = lab.journal().tally();
        assert!(!n_left.contains_key("refused") || n_left["refused"] < 12, "{limit:?}: {n_left:?}");
        // A run that was begun with the limit keeps it, and says so.
        let (lab, sandbox) = bench(12, forbidden);
        let ended = lab.launch(&sandbox, &[&["run", "plan.csv"], &slow[..], limit].concat()).exits(4);
        typed(&lab, &beginning(&said(&ended), "cutover resume").remove(0), &[]).exits(4);
    }
}

#[test]
fn what_a_run_that_goes_on_has_under_way_is_not_called_in_doubt() {
    let _machine = shared();
    let (lab, sandbox) = bench(2, "[[fault]]\nshare = 1.0\nkind = 'silent'\ntimes = 0\n");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "off", "--verify-timeout", "60s"]);
    assert!(launch.reaches_nth("attempt_ended", 2));
    let status = said(&lab.cutover(&["status"]).exits(0));
    assert!(status.contains("2 are under way") && !status.contains("doubt"), "{status}");
    launch.signal("KILL");
    launch.end();
    let status = said(&lab.cutover(&["status"]).exits(0));
    assert!(status.contains("2 are in doubt") && !status.contains("under way"), "{status}");
}

/// Returns the commands in a text that begin so, each once.
fn beginning(text: &str, with: &str) -> Vec<String> {
    let found: BTreeSet<String> = commands(text).into_iter().filter(|command| command.starts_with(with)).collect();
    found.into_iter().collect()
}

/// Returns the only command with this text in it.
#[track_caller]
fn the_one(commands: &[String], with: &str) -> String {
    let found: Vec<&String> = commands.iter().filter(|command| command.contains(with)).collect();
    let [one] = found[..] else { panic!("not one with `{with}`: {commands:#?}") };
    one.clone()
}

#[test]
fn what_is_typed_for_one_cause_leaves_the_rows_of_the_others_alone() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write(
        "plan.csv",
        "source_id,copystate,migrationcycle,expect_copystate\nvm-owner,stopped,syncing,\nvm-elsewhere,stopped,syncing,waiting\n\
         vm-ignores,stopped,syncing,\nvm-no,stopped,syncing,\nvm-not-so,stopped,syncing,\n",
    );
    let night = "[[fault]]\nsources = ['vm-no']\nkind = 'forbidden'\n\
                 [[fault]]\nsources = ['vm-not-so']\nkind = 'status'\nstatus = 409\ntimes = 1\n";
    let sandbox = lab.serve("plan.csv", night);
    sandbox.move_to("vm-elsewhere", "syncing", "syncing");
    sandbox.move_to("vm-ignores", "deleting", "syncing");
    lab.launch(&sandbox, &["run", "plan.csv", "--max-changes", "0"]).exits(3);
    lab.cutover(&["control", "skip", "vm-owner", "--reason", "the owner says no"]).exits(0);
    let quick = ["--max-changes", "9", "--rate", "off", "--attempts", "2", "--verify-timeout", "500ms"];
    let ended = lab.launch(&sandbox, &[&["resume"], &quick[..]].concat()).exits(1);
    let blocked = ["vm-owner", "vm-elsewhere", "vm-ignores"];
    for id in blocked {
        lab.journal().ends_in(id, "blocked");
    }
    for id in ["vm-no", "vm-not-so"] {
        lab.journal().ends_in(id, "refused");
    }
    let retries = beginning(&(said(&ended) + &told(&lab, &[], &[])), "cutover retry");
    let is_still = |id: &str, verdict: &str, sent: &[&str]| {
        lab.journal().ends_in(id, verdict);
        assert_eq!(sandbox.story_of(id).iter().filter(|what| **what == "PUT").count(), sent.len(), "{id}");
    };

    // One cause is put right, and its command is typed.
    sandbox.move_to("vm-ignores", "syncing", "syncing");
    typed(&lab, &the_one(&retries, "--only blocked:ignores_updates "), &[]).exits(1);
    lab.journal().ends_in("vm-ignores", "applied");
    typed(&lab, &the_one(&retries, "--only refused:SMS.9001 "), &[]).exits(1);
    lab.journal().ends_in("vm-not-so", "applied");
    is_still("vm-no", "refused", &["PUT"]);
    is_still("vm-elsewhere", "blocked", &[]);
    is_still("vm-owner", "blocked", &[]);

    // No command without the word for skipped rows sends a row that was skipped.
    for all in [&["retry"][..], &["retry", "--only", "blocked"]] {
        lab.launch(&sandbox, &[all, &quick[..]].concat()).exits(1);
        is_still("vm-owner", "blocked", &[]);
    }
    let explained = said(&lab.cutover(&["explain", "vm-owner"]).exits(0));
    let named = the_one(&beginning(&explained, "cutover retry"), "--row vm-owner ");
    typed(&lab, &named, &[]).exits(1);
    lab.journal().ends_in("vm-owner", "applied");
    is_still("vm-elsewhere", "blocked", &[]);
    // Typed again, it finds nothing to do.
    typed(&lab, &named, &[]).exits(1).says("`vm-owner` is on target already");
    is_still("vm-owner", "applied", &["PUT"]);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn what_somebody_skipped_is_sent_by_its_own_name() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    lab.launch(&sandbox, &["run", "plan.csv", "--max-changes", "0"]).exits(3);
    for id in ["vm-00001", "vm-00002"] {
        lab.cutover(&["control", "skip", id]).exits(0);
    }
    let ended = lab.launch(&sandbox, &["resume", "--max-changes", "9", "--rate", "off"]).exits(1);
    let retries = beginning(&said(&ended), "cutover retry");
    assert_eq!(retries.len(), 1, "{retries:#?}");
    typed(&lab, &the_one(&retries, "--only skipped "), &[]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 3);
}

#[test]
fn a_seal_for_several_people_is_made_and_approved_again_after_a_drift() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    lab.write("plan.toml", "require_approvals = 2\nfiles = ['plan.csv']\n");
    let endpoint = ["--endpoint", sandbox.url.as_str()];
    let seal = ["plan", "plan.toml", "-o", "a sealed.plan", "--as", "Ada's own"];
    let sealed = lab.cutover(&[&seal[..], &endpoint].concat()).exits(0);
    let needs = "it needs 2 approvals, none of them by Ada's own: cutover approve 'a sealed.plan' --as NAME";
    let sealed = sealed.says(needs).says("then: cutover run 'a sealed.plan'");
    typed(&lab, &the_one(&beginning(&said(&sealed), "cutover run"), "a sealed.plan"), &[]).exits(3);
    let approve = |command: &str| {
        let next = "next, by 1 more: cutover approve 'a sealed.plan' --as NAME";
        for (name, says) in [("Bob", next), ("Cleo", "2 approvals, 2 needed: it may be run")] {
            typed(&lab, &command.replace("NAME", name), &[]).exits(0).says(says);
        }
    };
    approve("cutover approve 'a sealed.plan' --as NAME");
    sandbox.move_to("vm-00002", "error", "syncing");
    let text = said(&lab.launch(&sandbox, &["run", "a sealed.plan"]).exits(3));
    assert!(text.contains("it needs 2 approvals again"), "{text}");
    // The environment names no person.
    typed(&lab, &the_one(&beginning(&text, "cutover plan"), "--as"), &[]).exits(0);
    let run = the_one(&beginning(&text, "cutover run"), "a sealed.plan");
    typed(&lab, &run, &[]).exits(3).says("needs 2 approvals and has 0");
    assert!(text.contains("cutover approve 'a sealed.plan' --as NAME"), "{text}");
    approve("cutover approve 'a sealed.plan' --as NAME");
    typed(&lab, &run, &[]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 3);
}

#[test]
fn the_seal_that_is_proposed_reads_the_plan_as_the_launch_did() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "");
    std::fs::create_dir(lab.path("plans")).unwrap();
    lab.write("plans/our plan.toml", "require_approvals = 1\nfiles = ['../plan.csv']\n");
    let launch = ["run", "plans/our plan.toml", "--allow-outside", "--allow-unknown", "--encoding", "gb18030"];
    let text = said(&lab.launch(&sandbox, &launch).exits(3));
    let (_, hint) = text.split_once("seal it first: `").expect("it is proposed");
    let seal = hint.split_once('`').unwrap().0.replace("FILE", "sealed.plan");
    typed(&lab, &format!("{seal} --as Ada"), &[]).exits(0);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bob"]).exits(0);
    lab.launch(&sandbox, &["run", "sealed.plan"]).exits(0);
}

#[test]
fn a_launch_that_was_refused_forgets_nothing_of_the_one_before_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "finished,cutovered"));
    let sandbox = lab.serve("plan.csv", "");
    let given = [
        "--window",
        "00:00-23:59:59",
        "--timezone",
        "UTC",
        "--deadline",
        "2999-01-01T00:00",
        "--rate",
        "20",
        "--report",
        "my report.html",
        "--ignore-forecast",
        "--allow-irreversible",
    ];
    let launch = lab.begin(&sandbox, &[&["run", "plan.csv"], &given[..]].concat());
    assert!(launch.reaches_nth("attempt_ended", 3));
    launch.signal("INT");
    launch.end().exits(130);
    let flags = "--allow-irreversible --deadline 2999-01-01T00:00:00Z --ignore-forecast --rate 20 --report 'my report.html' \
                 --timezone UTC --window 00:00-23:59:59";
    // Forgotten are the leave and all other flags.
    let refused = lab.launch(&sandbox, &["resume"]).exits(3);
    let gone = format!("the last launch was given {flags}, which does not hold for this one");
    assert!(refused.stderr.contains(&gone), "{}", refused.stderr);
    let text = said(&refused) + &told(&lab, &[], &[]);
    let resumes = beginning(&text, "cutover resume");
    assert!(
        !resumes.is_empty()
            && resumes.iter().all(|command| command.ends_with(&format!("{flags} --yes --endpoint {}", sandbox.url))),
        "{text}"
    );
    std::fs::remove_file(lab.path("my report.html")).unwrap();
    typed(&lab, &resumes[0], &[]).exits(0);
    assert!(std::fs::read_to_string(lab.path("my report.html")).unwrap().contains("All 40 rows are on target."));
}

#[test]
fn what_nobody_wanted_proven_is_told_and_proven() {
    let _machine = shared();
    let (lab, sandbox) = bench(30, "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "40", "--verify", "off"]);
    assert!(launch.reaches_nth("attempt_ended", 5));
    launch.signal("INT");
    launch.end().exits(130);
    let ended = lab.launch(&sandbox, &["resume", "--rate", "off"]).exits(0);
    let n = lab.journal().tally()["unverified"];
    let sentence = format!("All 30 rows are on target, {n} of them unproven: verification was switched off.");
    assert!(ended.stderr.contains(&sentence), "{}", ended.stderr);
    let how = format!("{n} rows count as on target only because verification was switched off");
    for verb in ["status", "report --format md", "report --format html", "report --format junit"] {
        let args: Vec<&str> = verb.split(' ').collect();
        let text = said(&lab.cutover(&args).exits(0));
        assert!(text.contains(&how), "{verb}: {text}");
        let retry = the_one(&beginning(&text, "cutover retry"), "--only unverified");
        assert!(retry.contains("--verify on"), "{retry}");
    }
    let summary: serde_json::Value = serde_json::from_str(&lab.cutover(&["status", "--json"]).exits(0).stdout).unwrap();
    assert_eq!((&summary["unproven"], &summary["on_target"]), (&n.into(), &30.into()));
    let changes = sandbox.changes().len();
    let status = said(&lab.cutover(&["status"]).exits(0));
    typed(&lab, &the_one(&beginning(&status, "cutover retry"), "--only unverified"), &[]).exits(0);
    assert_eq!(lab.journal().tally()["applied"], 30);
    assert_eq!(sandbox.changes().len(), changes, "a look proves it");
    assert!(said(&lab.cutover(&["status"]).exits(0)).contains("All 30 rows are on target."));
}

#[test]
fn rows_that_nobody_wanted_proven_are_no_rows_of_another_cause() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &(plan(3, "stopped,syncing") + "vm-odd,,tested\n"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--verify", "off"]).exits(0);
    let retry = ["retry", "--row", "vm-odd", "--rate", "off", "--verify-timeout", "500ms"];
    let ended = lab.launch(&sandbox, &retry).exits(1);
    lab.journal().ends_in("vm-odd", "unverified");
    let retries = beginning(&said(&ended), "cutover retry");
    typed(&lab, &the_one(&retries, "--only unverified:never_shown "), &[]).exits(1);
    assert_eq!(lab.journal().tally()["unverified"], 4, "and not those that nobody wanted proven");
    assert!(said(&lab.cutover(&["status"]).exits(0)).contains("3 of 4 rows are on target, unproven"));
    let changes_of = |id: &str| sandbox.story_of(id).iter().filter(|what| **what == "PUT").count();
    let n_sent = changes_of("vm-odd");
    typed(&lab, &the_one(&retries, "--only unverified:not_verified "), &[]).exits(1);
    assert_eq!(lab.journal().tally()["applied"], 3);
    assert_eq!(changes_of("vm-odd"), n_sent, "and not the other");
}

#[test]
fn a_run_that_waits_for_a_release_says_so_before_and_after_it_is_stopped() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("rows.csv", "source_id,copystate,migrationcycle,wave\nvm-1,stopped,syncing,$(one)\n");
    lab.write("waves.toml", "files = ['rows.csv']\n[[waves]]\nname = '$(one)'\napproval = true\n");
    let sandbox = lab.serve("rows.csv", "");
    let launch = lab.begin(&sandbox, &["run", "waves.toml"]);
    assert!(launch.reaches("wait_began"));
    let status = said(&lab.cutover(&["status"]).exits(0));
    let (_, next) = status.split_once("What to do next").unwrap();
    let released = the_one(&beginning(next, "cutover control"), "release");
    assert!(released.ends_with("release '$(one)'") && !next.contains("pause"), "{next}");
    launch.signal("INT");
    let text = said(&launch.end().exits(130)) + &told(&lab, &[], &[]);
    assert!(text.contains("it waits again until somebody releases wave `$(one)`"), "{text}");
    assert!(text.contains("--approve '$(one)'"), "{text}");
    let resume = beginning(&text, "cutover resume").remove(0);
    typed(&lab, &format!("{resume} --approve '$(one)'"), &[]).exits(0);
    assert_eq!(
        lab.journal().text("SELECT json_extract(detail, '$.verb') FROM event WHERE kind = 'launch_began'"),
        "run"
    );
}

#[test]
fn what_is_said_about_a_run_that_was_killed_before_its_first_launch_began_works() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    // The first look waits as long as nobody answers.
    sandbox.signal("STOP");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "7"]);
    assert!(launch.reaches("run_started"));
    launch.kill();
    sandbox.signal("CONT");
    assert_eq!(lab.journal().n_events("launch_began"), 0);
    let stands = lab.cutover(&["status"]);
    let resume = the_one(&commands(&stands.stdout), "cutover resume");
    assert!(resume.contains(&format!("--rate 7 --yes --endpoint {}", sandbox.url)), "{resume}");
    typed(&lab, &resume, &[]).exits(0);
}

/// Begins a verb as systemd begins a unit: in a folder where nobody works, with the credentials as files.
fn as_a_unit(lab: &Lab, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = lab.command(args);
    for of_a_person in ["CUTOVER_AUTH_TOKEN", "XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
        command.env_remove(of_a_person);
    }
    command.env("HOME", "/").env("STATE_DIRECTORY", lab.path("service")).current_dir(lab.path("service"));
    command.env("CREDENTIALS_DIRECTORY", lab.path("secrets")).envs(variables.iter().copied());
    Launch::start(command).end()
}

const JOB: &str = "
rate = 'off'
[profiles.east]
endpoint = 'SERVICE'
account = 'e'
token_env = 'EAST'
[profiles.west]
endpoint = 'SERVICE'
account = 'w'
token_env = 'WEST'
";

#[test]
fn what_a_unit_says_to_type_works_in_a_shell_without_its_environment_or_says_what_is_missing() {
    let _machine = shared();
    let (lab, sandbox) = bench(3, "[[fault]]\nsources = ['vm-00002']\nkind = 'forbidden'\ntimes = 0\n");
    lab.write(
        "accounts.csv",
        "source_id,copystate,migrationcycle,target\nvm-00001,stopped,syncing,east\nvm-00002,stopped,syncing,west\n",
    );
    for folder in ["service", "secrets"] {
        std::fs::create_dir(lab.path(folder)).unwrap();
    }
    for name in ["CUTOVER_AUTH_TOKEN", "EAST", "WEST"] {
        lab.write(&format!("secrets/{name}"), TOKEN);
    }
    lab.write("job.toml", &JOB.replace("SERVICE", &sandbox.url));
    let by_variables = [("CUTOVER_ENDPOINT", sandbox.url.as_str()), ("CUTOVER_RATE", "off")];
    let in_the_west = [("CUTOVER_CONFIG", "../job.toml"), ("CUTOVER_PROFILE", "west")];
    let named = ["--config", "../job.toml"];
    let dead = ["--endpoint", "http://127.0.0.1:1", "--connect-timeout", "1s"];
    let ways = [
        ("plan.csv", &[][..], &by_variables[..], "CUTOVER_AUTH_TOKEN"),
        ("plan.csv", &[], &in_the_west, "WEST"),
        ("accounts.csv", &[], &in_the_west[..1], "EAST"),
        ("accounts.csv", &named, &[], "EAST"),
        ("plan.csv", &dead, &in_the_west, "WEST"),
    ];
    let secrets = [("EAST", TOKEN), ("WEST", TOKEN)];
    let wrong = ["CUTOVER_AUTH_TOKEN", "EAST", "WEST"].map(|name| (name, "wrong-token"));
    for (plan, flags, variables, secret) in ways {
        for more in [&[][..], &wrong] {
            let plan = format!("../{plan}");
            let launch = ["run", &plan, "--yes", "--no-progress", "--new"];
            let ended = as_a_unit(&lab, &[&launch[..], flags].concat(), &[variables, more].concat());
            let text = said(&ended) + &said(&as_a_unit(&lab, &["status"], &[]).exits(0));
            type_all(&lab, &text, &secrets);
            // Without the credentials, each command that needs some names them.
            let none = [("CUTOVER_AUTH_TOKEN", ""), ("CUTOVER_METADATA_ENDPOINT", "off")];
            for command in ["cutover retry", "cutover resume"].into_iter().flat_map(|verb| beginning(&text, verb)) {
                let ended = typed(&lab, &command, &none);
                assert!(matches!(ended.code, Some(2 | 5)), "`{command}`: {}", said(&ended));
                assert!(
                    ended.stderr.contains(&format!("{secret} is not set"))
                        || ended.stderr.contains(&format!("in {secret}")),
                    "`{command}`: {}",
                    ended.stderr
                );
            }
        }
    }
}
