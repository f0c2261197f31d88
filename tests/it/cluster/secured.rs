//! Servers that want a secret, and that are known by a certificate.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::{Server, free_port, program};
use crate::lab::home::Lab;
use crate::lab::launch::Ended;
use crate::lab::machine::shared;
use crate::lab::plan;

const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

/// Writes the certificate of an issuer, and those of a server that it vouches for. Returns the lines of settings that name them.
pub(super) fn certified(lab: &Lab) -> String {
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    lab.write("ca.pem", &issuer.pem());
    lab.write("server.pem", &server.pem());
    lab.write("server.key", &key.serialize_pem());
    let (pem, key) = (lab.path("server.pem"), lab.path("server.key"));
    format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", pem.display(), key.display())
}

fn run(lab: &Lab, settings: &str) -> Ended {
    lab.write("cutover.toml", settings);
    lab.cutover(&["run", "plan.csv", "--new", "--yes", "--endpoint", "sandbox"])
}

#[test]
fn servers_are_opened_with_a_secret_that_stands_nowhere_else_and_are_known_by_their_certificate() {
    let _machine = shared();
    let Some(program) = program() else { return };
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let users = format!("authorization {{ users: [ {{ nkey: {USER} }} ] }}\n");
    let mut server = Server::new(&program, "secured", free_port(), &(users + &certified(&lab)));
    server.start();
    lab.write("seed", &format!("{SEED}\n"));
    std::fs::set_permissions(lab.path("seed"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("tls://127.0.0.1:{}", server.port);
    let (ca, credentials) = ("ca = \"ca.pem\"\n", "credentials = \"seed\"\n");
    let engine = |more: &[&str]| format!("[engine]\nurl = \"{url}\"\n{}", more.concat());

    let unknown = run(&lab, &engine(&[credentials])).exits(8);
    assert!(
        unknown.stderr.contains(&format!("{url}: ")) && unknown.stderr.contains("certificate"),
        "{}",
        unknown.stderr
    );
    let refused = run(&lab, &engine(&[ca])).exits(5);
    assert!(refused.stderr.contains("hint: `credentials` in [engine]"), "{}", refused.stderr);
    lab.write("other", "hunter2\n");
    let no_seed = run(&lab, &engine(&[ca, "credentials = \"other\"\n"])).exits(5);
    assert!(no_seed.stderr.contains("other` is neither") && !no_seed.stderr.contains("hunter2"), "{}", no_seed.stderr);
    assert!(!lab.path("cutover.db").exists(), "nothing was made");

    let taken = run(&lab, &engine(&[ca, credentials])).exits(0);
    assert!(!taken.stderr.contains("can be read by others"), "{}", taken.stderr);
    std::fs::set_permissions(lab.path("seed"), std::fs::Permissions::from_mode(0o644)).unwrap();
    run(&lab, &engine(&[ca, credentials])).exits(0).says("can be read by others (mode 644)");
    let shown = lab.cutover(&["config", "show"]);
    let everything = [std::fs::read(lab.path("cutover.db")).unwrap(), shown.stdout.into_bytes()].concat();
    assert!(!everything.windows(SEED.len()).any(|part| part == SEED.as_bytes()), "the seed is nobody's to read");
}
