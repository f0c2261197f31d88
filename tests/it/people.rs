//! People: the system's account of a person, a name that somebody typed, and the owner of a signature.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::chained::{rechain, tamper};
use super::lab::home::{Lab, with_yes};
use super::lab::launch::{Ended, Launch};
use super::lab::machine::shared;
use super::lab::served::Served;
use super::tools;

const PLAN: &str = "require_approvals = 2\n[defaults]\ncopystate = \"cutovering\"\nmigrationcycle = \"cutovering\"\n\n[[waves]]\nname = \"one\"\n\
     rows = [{ id = \"vm-001\" }, { id = \"vm-002\" }, { id = \"vm-003\" }, { id = \"vm-004\" }, { id = \"vm-005\" }, { id = \"vm-006\" }]\n";

/// The file that lists whose signatures count, in the home directory.
const APPROVERS: [(&str, &str); 1] = [("CUTOVER_APPROVERS", "approvers")];

/// Makes a plan sealed by Ada that needs two approvals, and keys of Bob, Cy and Eve.
fn bench() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.toml", PLAN);
    let sandbox = lab.serve("plan.toml", "");
    for key in ["bob", "cy", "eve"] {
        lab.make_key(key);
    }
    lab.cutover(&["plan", "plan.toml", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    (lab, sandbox)
}

fn with(lab: &Lab, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = lab.command(args);
    command.envs(variables.iter().copied());
    Launch::start(command).end()
}

/// Line of the file that lists whose signatures count.
fn line(lab: &Lab, name: &str, key: &str) -> String {
    format!("{name} {}", std::fs::read_to_string(lab.path(&format!("{key}.pub"))).unwrap())
}

fn bob_and_cy(lab: &Lab) -> String {
    line(lab, "Bob", "bob") + &line(lab, "Cy", "cy")
}

#[test]
fn a_variable_is_no_identity() {
    if tools::lack(&["ssh-keygen", "id"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", "source_id,copystate,migrationcycle\nvm-1,cutovering,cutovering\n");
    let sandbox = lab.serve("plan.csv", "");
    let said = [("USER", "mallory"), ("LOGNAME", "mallory"), ("SUDO_USER", "ada")];
    with(&lab, &with_yes(&sandbox, &["run", "plan.csv"]), &said).exits(0);
    let id = |what: &str| {
        String::from_utf8(Command::new("id").arg(what).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let journal = lab.journal();
    let began =
        |what: &str| journal.text(&format!("SELECT detail ->> '{what}' FROM event WHERE kind = 'launch_began'"));
    assert_eq!(began("$.user"), id("-un"));
    assert_eq!(journal.value("SELECT detail ->> '$.who.uid' FROM event WHERE kind = 'launch_began'"), id("-u"));
    assert_eq!(began("$.who.claimed"), "ada");
    let explained = with(&lab, &["explain", "vm-1"], &[]).exits(0).stdout;
    assert!(explained.contains("said to be ada") && !explained.contains("mallory"), "{explained}");
    with(&lab, &["plan", "plan.csv", "-o", "sealed.plan", "--endpoint", &sandbox.url], &said).exits(0);
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    assert!(!sealed.contains("mallory"), "{sealed}");
}

#[test]
fn a_name_that_looks_like_another_is_that_other_and_one_key_is_one_person() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    // The same name in Cyrillic letters.
    lab.cutover(&["approve", "sealed.plan", "--as", "\u{410}d\u{430}"]).exits(3).says("gives none of them");
    lab.cutover(&["approve", "sealed.plan", "--as", "Bob"]).exits(0).says("1 approval, 2 needed");
    lab.cutover(&["approve", "sealed.plan", "--as", "\u{412}ob"]).exits(3).says("looks like `Bob`");
    lab.cutover(&["approve", "sealed.plan", "--as", "B0b"]).exits(3).says("looks like `Bob`");
    lab.cutover(&["approve", "sealed.plan", "--as", "Cy", "--key", "cy"]).exits(0).says("2 approvals, 2 needed");
    lab.cutover(&["approve", "sealed.plan", "--as", "Dora", "--key", "cy"]).exits(3).says("counts already");
    lab.launch(&sandbox, &["run", "sealed.plan"]).exits(0);
}

/// Checks that the audit names who launched, sealed and approved each run of the journal, in text and as JSON.
fn an_audit_names_them(lab: &Lab, sandbox: &Served) {
    lab.write("plan.csv", "source_id,copystate,migrationcycle\nvm-nobody,stopped,cutovering\n");
    with(lab, &with_yes(sandbox, &["run", "plan.csv"]), &[("SUDO_USER", "ada")]);
    with(lab, &with_yes(sandbox, &["retry", "--only", "blocked"]), &[("SUDO_USER", "mallory")]);
    let of_journal = |what: &str| lab.journal().text(&format!("SELECT {what} FROM event WHERE kind = 'launch_began'"));
    let (user, host) = (of_journal("detail ->> '$.user'"), of_journal("detail ->> '$.host'"));
    let uid = lab.journal().value("SELECT detail ->> '$.who.uid' FROM event WHERE kind = 'launch_began'");
    let text = lab.cutover(&["audit", "verify"]).exits(0).stdout;
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let has = |begins: &str, holds: &[&str]| {
        let found = lines.iter().any(|line| line.starts_with(begins) && holds.iter().all(|part| line.contains(part)));
        assert!(found, "{begins} {holds:?} in\n{text}");
    };
    let person = format!("by {user}@{host}");
    let by_id = format!(", uid {uid}");
    has("launch  1: run at 2", &[&person, &by_id]);
    has("launch  1: run at 2", &["said to be ada", &by_id]);
    has("launch  2: retry at 2", &["said to be mallory", &by_id]);
    has("sealed    as Ada at 2", &[&person, &by_id, "not signed"]);
    has("approved  as Xaver at 2", &[&person, &by_id, "not signed"]);
    has("approved  as Bob at 2", &[&person, &by_id, "signed by SHA256:"]);
    let document: serde_json::Value =
        serde_json::from_str(&lab.cutover(&["audit", "verify", "--json"]).exits(0).stdout).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    let (sealed, alone) = (&runs[0], &runs[1]);
    assert_eq!(sealed["launches"][0]["who"]["uid"].to_string(), uid);
    assert_eq!((&sealed["launches"][0]["user"], &sealed["launches"][0]["host"]), (&user.into(), &host.into()));
    assert_eq!((&sealed["sealed"]["as"], &sealed["approvals"][0]["as"]), (&"Ada".into(), &"Xaver".into()));
    assert!(
        sealed["approvals"][0]["key"].is_null()
            && sealed["approvals"][2]["key"].as_str().unwrap().starts_with("SHA256:")
    );
    assert_eq!(alone["launches"][1]["who"]["claimed"], "mallory");
    assert!(alone.get("sealed").is_none() && alone["launches"].as_array().unwrap().len() == 2);
}

#[test]
fn with_approvers_only_signatures_of_listed_keys_count() {
    if tools::lack(&["ssh-keygen", "python3"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    lab.write("approvers", &(line(&lab, "Bob", "bob") + &line(&lab, "Cy valid-before=\"20200101Z\"", "cy")));
    // Names without signatures, typed where no approvers were configured.
    for name in ["Xaver", "Yves"] {
        lab.cutover(&["approve", "sealed.plan", "--as", name]).exits(0);
    }
    let run = |code: i32, says: &str| {
        let ended = with(&lab, &with_yes(&sandbox, &["run", "sealed.plan"]), &APPROVERS).exits(code);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    };
    run(3, "has 0 (that of Xaver does not count: it is not signed");
    let approve = |name: &str, key: &[&str], code: i32, says: &str| {
        let ended = with(&lab, &[&["approve", "sealed.plan", "--as", name], key].concat(), &APPROVERS).exits(code);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    };
    approve("Bob", &[], 2, "only approvals with a signature count");
    approve("Bob", &["--key", "eve"], 3, "is not listed for that name");
    approve("Eve", &["--key", "bob"], 3, "is not listed for that name");
    approve("Cy", &["--key", "cy"], 3, "was not valid then or is not valid now");
    approve("Bob", &["--key", "bob"], 0, "1 approval, 2 needed");
    approve("Bob", &["--key", "bob"], 3, "the same person");
    run(3, "needs 2 approvals and has 1");
    lab.write("approvers", &bob_and_cy(&lab));
    approve("Cy", &["--key", "cy"], 0, "2 approvals, 2 needed: it may be run");
    // An edited signature, and one of another approval, count for nothing.
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    lab.write("forged.plan", &sealed.replace("\"as\":\"Xaver\"", "\"as\":\"Xavier\""));
    lab.cutover(&["check", "forged.plan"]).exits(7);
    let ended = with(&lab, &with_yes(&sandbox, &["run", "sealed.plan"]), &APPROVERS).exits(0);
    assert!(ended.stderr.contains("by Bob") && ended.stderr.contains("signed by SHA256:"), "{}", ended.stderr);

    // Checked as the bundle's README says.
    lab.cutover(&["audit", "export", "-o", "bundle"]).exits(0);
    let checked = Command::new("python3").arg("check.py").current_dir(lab.path("bundle")).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(
        said.contains("approved as Bob, with a signature") && said.contains("approved as Xaver, no signature"),
        "{said}"
    );
    let approvals: serde_json::Value =
        serde_json::from_slice(&std::fs::read(lab.path("bundle/approvals.json")).unwrap()).unwrap();
    let bob = &approvals["approvals"][2];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    lab.write("approval.sig", &text(&bob["signature"]));
    lab.write(
        "approval",
        &format!(
            "cutover.approval.v1\nsealed {}\nplan {}\nas Bob\nat {}\ncheck {}\n",
            text(&approvals["digest"]),
            text(&approvals["plan_digest"]),
            text(&bob["at"]),
            text(&bob["check"])
        ),
    );
    let mut by_hand = Command::new("ssh-keygen");
    by_hand.args(["-Y", "verify", "-f", "approvers", "-I", "Bob", "-n", "cutover-approval", "-s", "approval.sig"]);
    by_hand.current_dir(lab.path(".")).stdin(std::fs::File::open(lab.path("approval")).unwrap());
    assert!(by_hand.output().unwrap().status.success());
    an_audit_names_them(&lab, &sandbox);
}

/// Begins a run of the plan that Bob and Cy approved with their keys, and stops it after its first row.
fn stopped(lab: &Lab, sandbox: &Served, set: &[(&str, &str)]) {
    for (name, key) in [("Bob", "bob"), ("Cy", "cy")] {
        with(lab, &["approve", "sealed.plan", "--as", name, "--key", key], set).exits(0);
    }
    let mut command = lab.command(&with_yes(sandbox, &["run", "sealed.plan", "--rate", "1"]));
    command.envs(set.iter().copied());
    let launch = Launch::start(command);
    assert!(launch.reaches("attempt_ended"));
    launch.signal("TERM");
    launch.end().exits(143);
}

/// Checks that both verbs end so without a request.
fn neither_goes_on(lab: &Lab, sandbox: &Served, set: &[(&str, &str)], code: i32, says: &str) {
    let n_asked = sandbox.ledger().len();
    for verb in ["resume", "retry"] {
        let ended = with(lab, &with_yes(sandbox, &[verb]), set).exits(code);
        assert!(ended.stderr.contains(says), "{verb}: `{says}` is not in\n{}", ended.stderr);
        assert_eq!(sandbox.ledger().len(), n_asked, "{verb}: something was asked or sent");
    }
}

#[test]
fn approvals_are_counted_again_when_a_run_goes_on() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    let (bob, cy) = (line(&lab, "Bob", "bob"), line(&lab, "Cy", "cy"));
    lab.write("approvers", &(bob.clone() + &cy));
    stopped(&lab, &sandbox, &APPROVERS);
    lab.write("approvers", &bob);
    neither_goes_on(&lab, &sandbox, &APPROVERS, 3, "needs 2 approvals and has 1 (that of Cy does not count");
    lab.write("approvers", &(bob + &line(&lab, "Cy", "eve")));
    neither_goes_on(&lab, &sandbox, &APPROVERS, 3, "needs 2 approvals and has 1 (that of Cy does not count");
    lab.write("approvers", "");
    neither_goes_on(&lab, &sandbox, &APPROVERS, 3, "needs 2 approvals and has 0");
}

/// Changes the settings of the run and its first event, and makes the hashes again, as the journal's writer could.
fn made_anew(lab: &Lab, change: impl Fn(&str) -> String) {
    tamper(&lab.path("cutover.db"), |journal| {
        for (table, column, which) in [("run", "settings", "1"), ("event", "detail", "lane = 0 AND seq = 1")] {
            let read = format!("SELECT {column} FROM {table} WHERE {which}");
            let text: String = journal.query_row(&read, [], |row| row.get(0)).unwrap();
            let changed = format!("UPDATE {table} SET {column} = ?1 WHERE {which}");
            journal.execute(&changed, [change(&text)]).unwrap();
        }
        rechain(journal, 1);
    });
}

#[test]
fn a_seal_of_another_plan_and_an_approval_that_nobody_gave_hold_nothing() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    lab.write("approvers", &bob_and_cy(&lab));
    // The terms that both agreed to, with the states that were seen.
    stopped(&lab, &sandbox, &APPROVERS);
    let seal = "SELECT settings -> '$.seal' FROM run";
    let agreed = lab.journal().text(seal);
    let remove = || {
        for beside in ["", "-wal", "-shm"] {
            _ = std::fs::remove_file(lab.path(&format!("cutover.db{beside}")));
        }
    };
    remove();

    // Another plan, which two names approved where no approvers were configured.
    lab.write("plan.toml", &PLAN.replace("\"one\"", "\"two\""));
    lab.cutover(&["plan", "plan.toml", "-o", "other.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    for name in ["Xaver", "Yves"] {
        lab.cutover(&["approve", "other.plan", "--as", name]).exits(0);
    }
    let launch = lab.begin(&sandbox, &["run", "other.plan", "--rate", "1"]);
    assert!(launch.reaches("attempt_ended"));
    launch.signal("TERM");
    launch.end().exits(143);
    neither_goes_on(&lab, &sandbox, &APPROVERS, 3, "needs 2 approvals and has 0");
    lab.cutover(&["audit", "verify"]).exits(0);

    let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(journal);
    std::fs::copy(lab.path("cutover.db"), lab.path("kept.db")).unwrap();
    let own = lab.journal().text(seal);
    made_anew(&lab, |text| text.replace(&own, &agreed));
    neither_goes_on(&lab, &sandbox, &APPROVERS, 7, "seals another plan");
    lab.cutover(&["audit", "verify"]).exits(7);

    // Where names suffice, one name in the place of another.
    remove();
    std::fs::copy(lab.path("kept.db"), lab.path("cutover.db")).unwrap();
    made_anew(&lab, |text| text.replace("\"as\":\"Xaver\"", "\"as\":\"Zoe\""));
    neither_goes_on(&lab, &sandbox, &[], 7, "the approval of \"Zoe\" is not the one that was given");
}

#[test]
fn whose_signatures_count_is_said_by_a_file_of_nobody_else_and_always_the_same_one() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    std::fs::create_dir(lab.path("house")).unwrap();
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    lab.write("house/approvers", &bob_and_cy(&lab));
    lab.write("house/op.toml", "approvers = \"approvers\"\n");
    // A file of a stranger, in the folder that the command is run in.
    lab.write("elsewhere/approvers", &line(&lab, "Eve", "eve"));
    let approve = |name: &str, key: &str| {
        let sealed = "../sealed.plan";
        let args = ["approve", sealed, "--as", name, "--key", key, "--config", "../house/op.toml"];
        let mut command = lab.command(&args);
        command.current_dir(lab.path("elsewhere"));
        Launch::start(command).end()
    };
    approve("Eve", "../eve").exits(3).says("is not listed for that name");
    let mode =
        |mode: u32| std::fs::set_permissions(lab.path("house/approvers"), PermissionsExt::from_mode(mode)).unwrap();
    for open in [0o666, 0o664, 0o646] {
        mode(open);
        approve("Bob", "../bob")
            .exits(2)
            .says("others than its owner can write it")
            .says("chmod go-w ../house/approvers");
    }
    mode(0o644);
    approve("Bob", "../bob").exits(0);
}

#[test]
fn what_is_to_be_typed_next_for_an_approval_works_as_it_stands() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    lab.write("approvers", &bob_and_cy(&lab));
    lab.write("op.toml", "approvers = \"approvers\"\n");
    let config = ["--config", "op.toml"];
    let typed = "cutover approve new.plan --as NAME --key KEY --config op.toml";
    let seals = ["plan", "plan.toml", "-o", "new.plan", "--as", "Ada", "--endpoint", &sandbox.url];
    lab.cutover(&[&seals[..], &config].concat()).exits(0).says(&format!("none of them by Ada: {typed}\n"));
    let runs = with_yes(&sandbox, &["run", "new.plan"]);
    lab.cutover(&[&runs[..], &config].concat()).exits(3).says(&format!("hint: `{typed}`"));
    let approve = |name: &str, key: &str| {
        let words = typed.replace("NAME", name).replace("KEY", key);
        let words: Vec<&str> = words.split(' ').skip(1).collect();
        lab.cutover(&words)
    };
    approve("Bob", "bob").exits(0).says(&format!("next, by 1 more: {typed}\n"));
    approve("Cy", "cy").exits(0).says("it may be run");
    lab.cutover(&[&runs[..], &config].concat()).exits(0);
    let unsealed = with_yes(&sandbox, &["run", "plan.toml"]);
    let typed = typed.replace("new.plan", "FILE");
    lab.cutover(&[&unsealed[..], &config].concat()).exits(3).says(&format!("then `{typed}`"));
}

#[test]
fn a_rehearsal_names_whatever_would_refuse_the_run() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.toml", PLAN);
    lab.write("approvers", "Bob nonsense\n");
    let rehearsed = with(&lab, &["rehearse", "plan.toml"], &APPROVERS);
    assert!(rehearsed.stdout.contains("which `approvers` names, is not read: line 1"), "{}", rehearsed.stdout);
    std::fs::remove_file(lab.path("approvers")).unwrap();
    let rehearsed = with(&lab, &["rehearse", "plan.toml"], &APPROVERS);
    assert!(rehearsed.stdout.contains("could not read"), "{}", rehearsed.stdout);
}
