//! What an auditor holds in hand: a head that is signed, with the tools that everybody has.

use std::process::Command;

use super::lab::{Ended, Lab, Launch, Served, plan, shared};

fn ssh_keygen(lab: &Lab, args: &[&str], input: Option<&str>) -> (bool, String) {
    let mut command = Command::new("ssh-keygen");
    command.args(args).current_dir(lab.path("."));
    if let Some(input) = input {
        command.stdin(std::fs::File::open(lab.path(input)).unwrap());
    }
    let out = command.output().expect("ssh-keygen is installed");
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// A run of five rows of which one is refused, and two keys.
fn bench() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(1);
    for key in ["mine", "other"] {
        assert!(ssh_keygen(&lab, &["-q", "-t", "ed25519", "-N", "", "-f", key], None).0);
    }
    (lab, sandbox)
}

fn verify(lab: &Lab, args: &[&str]) -> Ended {
    Launch::of(lab.command(&[&["audit", "verify"], args].concat())).end()
}

#[test]
fn a_signed_head_is_accepted_by_ssh_keygen_and_what_ssh_keygen_signed_is_accepted_here() {
    let _machine = shared();
    let (lab, sandbox) = bench();
    lab.cutover(&["audit", "sign", "--key", "mine", "-o", "head"]).exits(0).says("signed the head of run");
    let public = std::fs::read_to_string(lab.path("mine.pub")).unwrap();
    lab.write("allowed", &format!("ada@example.com {public}"));
    let by_hand = ["-Y", "verify", "-f", "allowed", "-I", "ada@example.com", "-n", "cutover-head", "-s", "head.sig"];
    let (good, said) = ssh_keygen(&lab, &by_hand, Some("head"));
    assert!(good && said.contains("Good \"cutover-head\" signature for ada@example.com"), "{said}");
    let verified = verify(&lab, &["--signature", "head.sig", "--signer", "mine.pub"]).exits(0);
    assert!(verified.stdout.contains("signed  by SHA256:"), "{}", verified.stdout);

    // The other way round, over the same text.
    std::fs::rename(lab.path("head.sig"), lab.path("ours.sig")).unwrap();
    assert!(ssh_keygen(&lab, &["-q", "-Y", "sign", "-n", "cutover-head", "-f", "mine", "head"], None).0);
    verify(&lab, &["--signature", "head.sig"]).exits(0);

    // Somebody else's key, another purpose, another head.
    let other = verify(&lab, &["--signature", "head.sig", "--signer", "other.pub"]).exits(7);
    assert!(other.stdout.contains("is none of the keys that were named"), "{}", other.stdout);
    std::fs::remove_file(lab.path("head.sig")).unwrap();
    assert!(ssh_keygen(&lab, &["-q", "-Y", "sign", "-n", "file", "-f", "mine", "head"], None).0);
    let other = verify(&lab, &["--signature", "head.sig"]).exits(7);
    assert!(other.stdout.contains("the signature is for `file`"), "{}", other.stdout);
    lab.launch(&sandbox, &["retry"]).exits(0);
    let other = verify(&lab, &["--signature", "ours.sig"]).exits(7);
    assert!(other.stdout.contains("went on since it was signed"), "{}", other.stdout);
}

#[test]
fn what_cannot_sign_says_why_and_writes_nothing() {
    let _machine = shared();
    let (lab, _sandbox) = bench();
    assert!(ssh_keygen(&lab, &["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"], None).0);
    assert!(ssh_keygen(&lab, &["-q", "-t", "ecdsa", "-N", "", "-f", "curve"], None).0);
    for (key, why) in [
        ("nosuch", "could not read `nosuch`"),
        ("mine.pub", "no private key as"),
        ("locked", "protected by a passphrase"),
        ("curve", "no private key as `ssh-keygen -t ed25519` writes it"),
    ] {
        lab.cutover(&["audit", "sign", "--key", key, "-o", "head"]).exits(2).says(why);
        assert!(!lab.path("head").exists() && !lab.path("head.sig").exists(), "{key}");
    }
    // What was altered is not signed.
    let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute("UPDATE row SET verdict = 'already' WHERE row = 1", []).unwrap();
    drop(journal);
    lab.cutover(&["audit", "sign", "--key", "mine", "-o", "head"]).exits(7);
    assert!(!lab.path("head").exists());
    lab.cutover(&["audit", "verify", "--signature", "nosuch"]).exits(2).says("could not read `nosuch`");
}
