//! Dependencies, checked against `.deny.toml` as far as that needs no network. Advisories change daily, and are checked in
//! CI.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::left_out::left_out;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for this package itself.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    sources: Sources,
    bans: Bans,
    advisories: Advisories,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Advisories {
    ignore: Vec<Ignored>,
}

#[derive(Deserialize)]
struct Ignored {
    id: String,
    reason: String,
}

fn rules() -> Rules {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deny.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the packages that are built for this machine: those for others may be absent here.
fn packages() -> Vec<Package> {
    asked_of_cargo(&[]).unwrap_or_else(|why| panic!("{why}"))
}

/// Returns the packages of a build with all features. `None` where they are absent, in which case the test is left out.
fn packages_of_all_features() -> Option<Vec<Package>> {
    asked_of_cargo(&["--all-features"]).map_err(|why| left_out(&format!("needs `cargo fetch`: {why}"))).ok()
}

fn asked_of_cargo(more: &[&str]) -> Result<Vec<Package>, String> {
    let asked = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "host-tuple"];
    let mut cargo = Command::new(env!("CARGO"));
    let ran = cargo.args(asked).args(more).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
    }
    Ok(serde_json::from_slice::<Metadata>(&ran.stdout).unwrap().packages)
}

/// Returns the licences that are used of an expression, if the allowed ones satisfy it: one of an `OR`, all of an `AND`.
/// source: SPDX specification 2.3, annex D; a `/` is what crates wrote before it for `OR`
fn met<'a>(expression: &'a str, allowed: &BTreeSet<String>) -> Option<BTreeSet<&'a str>> {
    let expression = expression.trim();
    let split = |by: &str| -> Vec<&'a str> {
        let (mut depth, mut parts, mut from) = (0_i32, Vec::new(), 0);
        for (at, character) in expression.char_indices() {
            depth += i32::from(character == '(') - i32::from(character == ')');
            if depth == 0 && at >= from && expression[at..].starts_with(by) {
                parts.push(&expression[from..at]);
                from = at + by.len();
            }
        }
        parts.push(&expression[from..]);
        parts
    };
    for or in [" OR ", "/"] {
        let parts = split(or);
        if parts.len() > 1 {
            return parts.into_iter().find_map(|part| met(part, allowed));
        }
    }
    let parts = split(" AND ");
    if parts.len() > 1 {
        let all: Option<Vec<_>> = parts.into_iter().map(|part| met(part, allowed)).collect();
        return Some(all?.into_iter().flatten().collect());
    }
    if let Some(inner) = expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        return met(inner, allowed);
    }
    allowed.contains(expression).then(|| BTreeSet::from([expression]))
}

#[test]
fn whatever_is_linked_in_may_be_and_comes_from_where_it_should() {
    let Some(packages) = packages_of_all_features() else { return };
    let rules = rules();
    assert!(packages.len() > 100, "{}", packages.len());
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for Package { name, version, license, source } in &packages {
        match license.as_deref().map(|license| met(license, &rules.licenses.allow)) {
            Some(Some(taken)) => used.extend(taken),
            Some(None) | None => wrong.push(format!("{name} {version}: the licence {license:?} is not allowed")),
        }
        let from_registry = |source: &String| {
            let registry = source.strip_prefix("registry+");
            registry.is_some_and(|registry| rules.sources.allow_registry.iter().any(|allowed| allowed == registry))
        };
        let is_ours = source.is_none() && name == env!("CARGO_PKG_NAME");
        if !is_ours && !source.as_ref().is_some_and(from_registry) {
            wrong.push(format!("{name} {version}: comes from {source:?}"));
        }
        if let Some(banned) = rules.bans.deny.iter().find(|banned| banned.name == *name) {
            wrong.push(format!("{name} {version}: {}", banned.reason));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = rules.licenses.allow.iter().filter(|allowed| !used.contains(allowed.as_str())).collect();
    assert!(unused.is_empty(), "nothing has these licences: {unused:?}");
}

/// Several machines are a choice of whoever builds: without it, nothing is linked in for them and nothing is said of them.
#[test]
fn a_build_without_the_feature_has_nothing_of_it_and_one_with_it_has_no_second_version_of_anything() {
    let names = |packages: &[Package]| packages.iter().map(|package| package.name.clone()).collect::<BTreeSet<_>>();
    let default = packages();
    assert!(!names(&default).contains("async-nats"));
    for verb in ["run", "resume", "control", "status", "runs", "doctor"] {
        let help = Command::new(env!("CARGO_BIN_EXE_cutover")).args([verb, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap().to_lowercase();
        assert!(
            help.contains("usage:") && ["nats", "cluster", "engine"].iter().all(|word| !help.contains(word)),
            "{help}"
        );
    }
    let Some(all) = packages_of_all_features() else { return };
    assert!(names(&all).contains("async-nats"));
    let n_twice = |packages: &[Package]| packages.len() - names(packages).len();
    assert_eq!(n_twice(&all), n_twice(&default));
}

#[test]
fn each_exception_says_why() {
    let Rules { bans, advisories, .. } = rules();
    let reasons = bans.deny.iter().map(|banned| (&banned.name, &banned.reason));
    for (what, reason) in reasons.chain(advisories.ignore.iter().map(|ignored| (&ignored.id, &ignored.reason))) {
        assert!(reason.split_whitespace().count() > 3, "{what}: {reason}");
    }
}

#[test]
fn licences_are_read_as_spdx_has_them() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned(), "BSD-3-Clause".to_owned()]);
    for (expression, is_met) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("MIT/Apache-2.0", true),
        ("Unlicense / MIT", true),
        ("(Apache-2.0 OR MIT) AND BSD-3-Clause", true),
        ("(Apache-2.0 OR MIT) AND Unicode-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
    ] {
        assert_eq!(met(expression, &allowed).is_some(), is_met, "{expression}");
    }
}
