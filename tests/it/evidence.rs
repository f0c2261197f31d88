//! Evidence for an auditor: a signed head, checked with common tools.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use super::lab::home::Lab;
use super::lab::launch::{Ended, Launch};
use super::lab::machine::shared;
use super::lab::plan;
use super::lab::served::Served;
use super::tools;

fn ssh_keygen(lab: &Lab, args: &[&str], input: Option<&str>) -> (bool, String) {
    let mut command = Command::new("ssh-keygen");
    command.args(args).current_dir(lab.path("."));
    if let Some(input) = input {
        command.stdin(std::fs::File::open(lab.path(input)).unwrap());
    }
    let out = command.output().unwrap();
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// Makes a run of five rows, one of which is refused, and two keys.
fn bench() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "cutovering,cutovering"));
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(1);
    for key in ["mine", "other"] {
        lab.make_key(key);
    }
    (lab, sandbox)
}

fn verify(lab: &Lab, args: &[&str]) -> Ended {
    Launch::start(lab.command(&[&["audit", "verify"], args].concat())).end()
}

#[test]
fn a_signed_head_is_accepted_by_ssh_keygen_and_what_ssh_keygen_signed_is_accepted_here() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
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

    // The other way round: `ssh-keygen` signs the same text.
    std::fs::rename(lab.path("head.sig"), lab.path("ours.sig")).unwrap();
    assert!(ssh_keygen(&lab, &["-q", "-Y", "sign", "-n", "cutover-head", "-f", "mine", "head"], None).0);
    verify(&lab, &["--signature", "head.sig"]).exits(0);

    // Another person's key, another purpose, another head.
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
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    assert!(ssh_keygen(&lab, &["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"], None).0);
    lab.write("text", "hello\n");
    for (key, why) in [
        ("nosuch", "could not read `nosuch`"),
        // Nobody can be asked for the passphrase, and no agent has the key.
        ("locked", "`locked` cannot sign: `ssh-keygen` did not sign: "),
        ("text", "`text` cannot sign: `ssh-keygen` did not sign: "),
    ] {
        lab.cutover(&["audit", "sign", "--key", key, "-o", "head"]).exits(2).says(why);
        assert!(!lab.path("head").exists() && !lab.path("head.sig").exists(), "{key}");
    }
    // An altered run is not signed.
    let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute("UPDATE row SET verdict = 'already' WHERE row = 1", []).unwrap();
    drop(journal);
    lab.cutover(&["audit", "sign", "--key", "mine", "-o", "head"]).exits(7);
    assert!(!lab.path("head").exists());
    lab.cutover(&["audit", "verify", "--signature", "nosuch"]).exits(2).says("could not read `nosuch`");
}

/// Runs a tool in a folder, and returns what it printed if it reported success.
fn tool(folder: &std::path::Path, words: &[&str]) -> Result<String, String> {
    let out = Command::new(words[0]).args(&words[1..]).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if out.status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn a_stranger_checks_a_bundle_by_hand_as_its_readme_says() {
    if tools::lack(&["ssh-keygen", "python3", "sha256sum"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    lab.cutover(&["audit", "export", "-o", "bundle", "--key", "mine"]).exits(0).says("README.md says how");
    let bundle = lab.path("bundle");
    tool(&bundle, &["sha256sum", "--quiet", "-c", "SHA256SUMS"]).unwrap();
    let said = tool(&bundle, &["python3", "check.py"]).unwrap();
    assert!(said.contains("5 rows") && said.contains("as they were written"), "{said}");
    assert!(!said.contains("nobody signed"), "{said}");
    let digest = lab.journal().text("SELECT plan_digest FROM run");
    let sum = tool(&bundle, &["sha256sum", "plan.jsonl"]).unwrap();
    assert_eq!(sum.split(' ').next(), digest.strip_prefix("sha256:"));
    let by_hand = ["-Y", "check-novalidate", "-n", "cutover-bundle", "-s", "bundle/SHA256SUMS.sig"];
    assert!(ssh_keygen(&lab, &by_hand, Some("bundle/SHA256SUMS")).0);
    let readme = std::fs::read_to_string(bundle.join("README.md")).unwrap();
    let anchor = readme.split("noted down on the night: `").nth(1).unwrap().split('`').next().unwrap();
    lab.cutover(&["audit", "verify", "--journal", "bundle/journal.db", "--anchor", anchor]).exits(0);
    for report in ["report.csv", "report.html", "report.json", "report.md", "report.xml", "report.xlsx"] {
        assert!(bundle.join(report).metadata().unwrap().len() > 100, "{report}");
    }
    let held: Vec<_> = std::fs::read_dir(&bundle).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(held.len(), 14, "{held:?}");

    // Each of the tools finds an alteration of what it checks.
    let journal = rusqlite::Connection::open(bundle.join("journal.db")).unwrap();
    journal
        .execute_batch("DROP TRIGGER event_is_never_changed; UPDATE event SET at = at + 1 WHERE lane = 1 AND seq = 3")
        .unwrap();
    drop(journal);
    assert!(tool(&bundle, &["sha256sum", "--quiet", "-c", "SHA256SUMS"]).unwrap_err().contains("journal.db: FAILED"));
    assert!(
        tool(&bundle, &["python3", "check.py"])
            .unwrap_err()
            .contains("journal.db is not the file that the manifest names")
    );
}

#[test]
fn a_bundle_may_be_a_zip_and_what_cannot_be_exported_leaves_nothing() {
    if tools::lack(&["ssh-keygen", "python3", "sha256sum"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    lab.cutover(&["audit", "export", "-o", "bundle.zip"]).exits(0);
    tool(&lab.path("."), &["python3", "-m", "zipfile", "-e", "bundle.zip", "out"]).unwrap();
    tool(&lab.path("out/bundle"), &["sha256sum", "--quiet", "-c", "SHA256SUMS"]).unwrap();
    tool(&lab.path("out/bundle"), &["python3", "check.py"]).unwrap();
    assert!(!lab.path("out/bundle/SHA256SUMS.sig").exists());

    lab.cutover(&["audit", "export", "-o", "bundle.zip"]).exits(2).says("is there already");
    lab.cutover(&["audit", "export", "-o", "nosuch/bundle"]).exits(2).says("cannot be written to");
    lab.cutover(&["audit", "export", "nosuch", "-o", "new"]).exits(2);
    lab.write("text", "hello\n");
    lab.cutover(&["audit", "export", "-o", "new", "--key", "text"]).exits(2).says("cannot sign");
    let journal = rusqlite::Connection::open(lab.path("cutover.db")).unwrap();
    journal.execute("UPDATE row SET verdict = 'already' WHERE row = 1", []).unwrap();
    drop(journal);
    lab.cutover(&["audit", "export", "-o", "new"]).exits(7);
    let left: Vec<String> = std::fs::read_dir(lab.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("new") || name.starts_with(".cutover-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// An SSH agent of its own, until it is dropped.
struct Agent {
    socket: std::path::PathBuf,
    child: std::process::Child,
}

impl Agent {
    fn start(lab: &Lab) -> Self {
        use std::io::{BufRead as _, BufReader};
        let socket = lab.path("agent");
        let mut command = Command::new("ssh-agent");
        let mut child = command.args(["-D", "-a"]).arg(&socket).stdout(std::process::Stdio::piped()).spawn().unwrap();
        // The agent prints its address once it listens.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Self { socket, child }
    }

    /// Adds a key with its passphrase.
    fn add(&self, lab: &Lab, key: &str, passphrase: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        lab.write("ask", &format!("#!/bin/sh\necho {passphrase}\n"));
        std::fs::set_permissions(lab.path("ask"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("ssh-add");
        command.arg(lab.path(key)).env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS", lab.path("ask"));
        let added = command.env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0").output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn a_key_with_a_passphrase_signs_by_the_agent_and_so_does_its_public_half() {
    if tools::lack(&["ssh-keygen", "ssh-agent", "ssh-add"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    assert!(ssh_keygen(&lab, &["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"], None).0);
    let agent = Agent::start(&lab);
    let sign = |key: &str, head: &str| {
        let mut command = lab.command(&["audit", "sign", "--key", key, "-o", head]);
        command.env("SSH_AUTH_SOCK", &agent.socket);
        Launch::start(command).end()
    };
    sign("locked", "first").exits(2);
    agent.add(&lab, "locked", "secret");
    sign("locked", "first").exits(0);
    verify(&lab, &["--signature", "first.sig", "--signer", "locked.pub"]).exits(0);
    // The private half need not be on this machine at all.
    std::fs::remove_file(lab.path("locked")).unwrap();
    sign("locked.pub", "second").exits(0);
    verify(&lab, &["--signature", "second.sig", "--signer", "locked.pub"]).exits(0);
}

#[test]
fn keys_of_every_kind_that_people_have_are_taken_and_without_ssh_keygen_that_is_said() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    for (kind, bits) in [("ecdsa", "256"), ("ecdsa", "384"), ("rsa", "2048")] {
        let key = format!("{kind}{bits}");
        assert!(ssh_keygen(&lab, &["-q", "-t", kind, "-b", bits, "-N", "", "-f", &key], None).0);
        lab.cutover(&["audit", "sign", "--key", &key, "-o", "head", "--force"]).exits(0);
        verify(&lab, &["--signature", "head.sig", "--signer", &format!("{key}.pub")]).exits(0);
        verify(&lab, &["--signature", "head.sig", "--signer", "mine.pub"]).exits(7);
    }
    let mut command = lab.command(&["audit", "sign", "--key", "mine", "-o", "another"]);
    command.env("PATH", lab.path("."));
    let ended = Launch::start(command).end().exits(2);
    assert!(ended.stderr.contains("there is no `ssh-keygen` to sign with"), "{}", ended.stderr);
    assert!(ended.stderr.contains("install OpenSSH's client"), "{}", ended.stderr);
}

/// Encodes a text with its length before it.
///
/// source: RFC 4251, 5
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn hash(algorithm: &'static ring::digest::Algorithm, bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(algorithm, bytes).as_ref().to_vec()
}

const APPLICATION: &str = "ssh:";
/// Trailer of a device: it was touched, and this is its count of signatures.
const TRAILER: [u8; 5] = [1, 0, 0, 1, 7];

/// Makes a signature as a FIDO device gives it and `ssh-keygen -Y sign` writes it, from the protocol's specification alone.
///
/// source: PROTOCOL.sshsig (blob and signed data) and PROTOCOL.u2f (SSH U2F signatures) of OpenSSH
fn of_device(text: &[u8], kind: &str, public: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (namespace, algorithm) = (string(b"cutover-head"), string(b"sha512"));
    let message = hash(&ring::digest::SHA512, text);
    let signed = [b"SSHSIG", &namespace[..], &string(b""), &algorithm, &string(&message)].concat();
    let seen =
        [hash(&ring::digest::SHA256, APPLICATION.as_bytes()), TRAILER.to_vec(), hash(&ring::digest::SHA256, &signed)];
    let signature = [string(kind.as_bytes()), string(&sign(&seen.concat())), TRAILER.to_vec()].concat();
    let version = 1_u32.to_be_bytes();
    let blob =
        [b"SSHSIG", &version[..], &string(public), &namespace, &string(b""), &algorithm, &string(&signature)].concat();
    let base64 = BASE64.encode(blob);
    let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

/// Encodes a number without leading zeros, with one zero before a high bit that would be its sign.
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    if bytes.first().is_some_and(|first| first & 0x80 != 0) { string(&[&[0], bytes].concat()) } else { string(bytes) }
}

#[test]
fn what_a_fido_device_signs_is_accepted_here_as_by_ssh_keygen_and_nothing_else_is() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let (lab, _sandbox) = bench();
    lab.cutover(&["audit", "sign", "--key", "mine", "-o", "head"]).exits(0);
    let head = std::fs::read(lab.path("head")).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let by_curve = |data: &[u8]| {
        let both = curve.sign(&random, data).unwrap();
        let (r, s) = both.as_ref().split_at(32);
        [mpint(r), mpint(s)].concat()
    };
    let (of_ed25519, of_curve) = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com");
    let application = string(APPLICATION.as_bytes());
    let ed25519 = [string(of_ed25519.as_bytes()), string(pair.public_key().as_ref()), application.clone()].concat();
    let p256 =
        [string(of_curve.as_bytes()), string(b"nistp256"), string(curve.public_key().as_ref()), application].concat();
    let by_ed25519 = |data: &[u8]| pair.sign(data).as_ref().to_vec();
    for (kind, public, signature) in [
        (of_ed25519, &ed25519, of_device(&head, of_ed25519, &ed25519, by_ed25519)),
        (of_curve, &p256, of_device(&head, of_curve, &p256, by_curve)),
    ] {
        let key = format!("{kind} {}\n", BASE64.encode(public));
        lab.write("sk.pub", &key);
        lab.write("allowed", &format!("ada@example.com {key}"));
        lab.write("head.sig", &signature);
        let by_hand =
            ["-Y", "verify", "-f", "allowed", "-I", "ada@example.com", "-n", "cutover-head", "-s", "head.sig"];
        let (good, said) = ssh_keygen(&lab, &by_hand, Some("head"));
        assert!(good, "{kind}: {said}");
        let verified = verify(&lab, &["--signature", "head.sig", "--signer", "sk.pub"]).exits(0);
        assert!(verified.stdout.contains("proven  by the signature"), "{kind}: {}", verified.stdout);

        // Another count of the device, another text, and a signature without what a device adds.
        let blob = BASE64.decode(signature.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let mut counted = blob.clone();
        *counted.last_mut().unwrap() ^= 1;
        let counted =
            format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", BASE64.encode(counted));
        let other = match kind {
            "sk-ssh-ed25519@openssh.com" => of_device(b"another", kind, public, by_ed25519),
            _ => of_device(b"another", kind, public, by_curve),
        };
        let bare = of_device(&head, kind, public, |seen| match kind {
            "sk-ssh-ed25519@openssh.com" => by_ed25519(&seen[37..]),
            _ => by_curve(&seen[37..]),
        });
        for forged in [counted, other, bare] {
            lab.write("head.sig", &forged);
            assert!(!ssh_keygen(&lab, &by_hand, Some("head")).0, "{kind}");
            verify(&lab, &["--signature", "head.sig", "--signer", "sk.pub"]).exits(7);
        }
    }
}
