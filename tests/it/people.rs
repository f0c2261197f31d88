//! Who did it: what the system says of a person, what somebody typed, and whose signature it is.

use std::process::Command;

use super::lab::{Ended, Lab, Launch, Served, shared, with_yes};
use super::tools;

const PLAN: &str = "require_approvals = 2\n[defaults]\ncopystate = \"cutovering\"\nmigrationcycle = \"cutovering\"\n\n[[waves]]\nname = \"one\"\n\
     rows = [{ id = \"vm-001\" }, { id = \"vm-002\" }]\n";

/// A sealed plan by Ada that needs two approvals, and keys of Bob, Cy and Eve.
fn bench() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.toml", PLAN);
    let sandbox = lab.serve("plan.toml", "");
    for key in ["bob", "cy", "eve"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(lab.path(key)).status();
        assert!(made.unwrap().success());
    }
    lab.cutover(&["plan", "plan.toml", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    (lab, sandbox)
}

fn with(lab: &Lab, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = lab.command(args);
    command.envs(variables.iter().copied());
    Launch::of(command).end()
}

fn line(lab: &Lab, name: &str, key: &str) -> String {
    format!("{name} {}", std::fs::read_to_string(lab.path(&format!("{key}.pub"))).unwrap())
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
    // In Cyrillic letters.
    lab.cutover(&["approve", "sealed.plan", "--as", "\u{410}d\u{430}"]).exits(3).says("gives none of them");
    lab.cutover(&["approve", "sealed.plan", "--as", "Bob"]).exits(0).says("1 approval, 2 needed");
    lab.cutover(&["approve", "sealed.plan", "--as", "\u{412}ob"]).exits(3).says("looks like `Bob`");
    lab.cutover(&["approve", "sealed.plan", "--as", "B0b"]).exits(3).says("looks like `Bob`");
    lab.cutover(&["approve", "sealed.plan", "--as", "Cy", "--key", "cy"]).exits(0).says("2 approvals, 2 needed");
    lab.cutover(&["approve", "sealed.plan", "--as", "Dora", "--key", "cy"]).exits(3).says("counts already");
    lab.launch(&sandbox, &["run", "sealed.plan"]).exits(0);
}

#[test]
fn with_approvers_only_signatures_of_listed_keys_count() {
    if tools::lack(&["ssh-keygen", "python3"]) {
        return;
    }
    let _machine = shared();
    let (lab, sandbox) = bench();
    lab.write("approvers", &(line(&lab, "Bob", "bob") + &line(&lab, "Cy valid-before=\"20200101Z\"", "cy")));
    let approvers = lab.path("approvers");
    let set = [("CUTOVER_APPROVERS", approvers.to_str().unwrap())];
    // Names alone, which were typed where nobody knew of approvers.
    for name in ["Xaver", "Yves"] {
        lab.cutover(&["approve", "sealed.plan", "--as", name]).exits(0);
    }
    let run = |code: i32, says: &str| {
        let ended = with(&lab, &with_yes(&sandbox, &["run", "sealed.plan"]), &set).exits(code);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    };
    run(3, "has 0 (that of Xaver does not count: it is not signed");
    let approve = |name: &str, key: &[&str], code: i32, says: &str| {
        let ended = with(&lab, &[&["approve", "sealed.plan", "--as", name], key].concat(), &set).exits(code);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    };
    approve("Bob", &[], 2, "only approvals with a signature count");
    approve("Bob", &["--key", "eve"], 3, "is not listed for that name");
    approve("Eve", &["--key", "bob"], 3, "is not listed for that name");
    approve("Cy", &["--key", "cy"], 3, "was not valid then or is not valid now");
    approve("Bob", &["--key", "bob"], 0, "1 approval, 2 needed");
    approve("Bob", &["--key", "bob"], 3, "the same person");
    run(3, "needs 2 approvals and has 1");
    lab.write("approvers", &(line(&lab, "Bob", "bob") + &line(&lab, "Cy", "cy")));
    approve("Cy", &["--key", "cy"], 0, "2 approvals, 2 needed: it may be run");
    // An edited signature, and one of another approval, are no approvals at all.
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    lab.write("forged.plan", &sealed.replace("\"as\":\"Xaver\"", "\"as\":\"Xavier\""));
    lab.cutover(&["check", "forged.plan"]).exits(7);
    let ended = with(&lab, &with_yes(&sandbox, &["run", "sealed.plan"]), &set).exits(0);
    assert!(ended.stderr.contains("by Bob") && ended.stderr.contains("signed by SHA256:"), "{}", ended.stderr);

    // As the bundle's README has it.
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
}
