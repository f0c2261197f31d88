//! Official Python SDK, unmodified, against a served sandbox; and its signer against ours.

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::python::Python;

const PACKAGE: &str = "huaweicloudsdksms==3.1.219";
const SEED: &str = "20261123";

#[track_caller]
fn holds(python: &Python, served: &Served, theme: &[&str]) {
    let ran = python.run("sdk/client.py", &[&[served.url.as_str()], theme].concat());
    assert!(ran.status.success(), "{theme:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_official_sdk_changes_and_reads_with_keys_and_with_tokens() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(20, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    holds(&python, &served, &["calls"]);
    let changes = served.changes();
    assert_eq!(changes.iter().filter(|change| change.effect).count(), 6);
    assert!(served.ledger().iter().all(|request| request.status.is_some_and(|status| status < 300)));
}

#[test]
fn the_official_sdk_lists_by_every_parameter_it_has() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(250, "stopped,syncing"));
    holds(&python, &lab.serve("plan.csv", ""), &["lists"]);
}

#[test]
fn the_official_sdk_is_refused_as_the_cloud_refuses() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let faults = "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n\
                  [[fault]]\nsources = [\"vm-00004\"]\nkind = \"status\"\nstatus = 429\n";
    let served = lab.serve("plan.csv", faults);
    holds(&python, &served, &["refusals"]);
    assert!(served.changes().iter().all(|change| !change.effect));
}

#[test]
fn a_signature_from_a_clock_more_than_a_quarter_of_an_hour_off_is_refused() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    for minutes in ["-16", "16", "-14", "14"] {
        holds(&python, &served, &["clock", minutes]);
    }
}

#[test]
fn six_wrong_signatures_in_a_row_lock_the_key_and_a_temporary_key_needs_its_token() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    holds(&python, &lab.serve("plan.csv", ""), &["lock"]);
    let served = lab.serve_with("plan.csv", "", &[("CUTOVER_SANDBOX_SECURITY_TOKEN", "sandbox-sts")]);
    holds(&python, &served, &["temporary"]);
}

#[test]
fn a_thousand_requests_are_signed_as_the_official_signer_signs_them() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let ran = python.run("sdk/signer_cases.py", &["--seed", SEED, "--n", "1000"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let cases = String::from_utf8(ran.stdout).unwrap();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str().unwrap();
        let query: Vec<(&str, &str)> = case["query"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let headers: Vec<(&str, &str)> = case["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let date = case["headers"]["X-Sdk-Date"].as_str().unwrap();
        let body = from_base64(text("body_base64"));
        let (secret, method, path) = (text("sk"), text("method"), text("path"));
        let made = cutover::credentials::sign::signature(secret, method, path, &query, &headers, &body, date);
        let authorization = cutover::credentials::sign::authorization(text("ak"), &made);
        assert_eq!(authorization, text("authorization"), "{line}\n{}", *made.canonical_request);
    }
    assert_eq!(cases.lines().count(), 1000);
}

fn from_base64(text: &str) -> Vec<u8> {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut n_bits) = (Vec::new(), 0_u32, 0);
    for sign in text.bytes().filter(|sign| *sign != b'=') {
        let value = SIGNS.iter().position(|known| *known == sign).unwrap();
        held = (held << 6 | u32::try_from(value).unwrap()) & 0xFFFF;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push(u8::try_from(held >> n_bits & 0xFF).unwrap());
        }
    }
    bytes
}

/// The table also says what this program reads; a test beside the reader checks that.
#[test]
fn the_official_sdk_reads_credentials_files_as_the_table_says() {
    let Some(python) = Python::with(&[PACKAGE]) else { return };
    let ran = python.run("sdk/credentials.py", &[]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
