//! Size of the program, and its dependencies.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::Command;

use serde_json::{Value, json};

use crate::Ask;
use crate::lab::BINARY;
use crate::measure::{self, Sample, float};
use crate::table::{Case, Part, Rounds};

const N_CRATES_SHOWN: usize = 20;

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let mut sample: Sample = vec![("binary_bytes", float(std::fs::metadata(BINARY)?.len()))];
    let mut left_out = Vec::new();
    let mut facts: Vec<(&'static str, Value)> = Vec::new();
    match n_crates() {
        Ok(n) => sample.push(("crates", float(n))),
        Err(why) => left_out.push(format!("crates ({why})")),
    }
    if ask.is_cold {
        sample.push(("cold_build_s", cold_build()?));
    } else {
        left_out.push("cold_build_s (only with --cold)".to_owned());
    }
    if ask.is_smoke {
        left_out.push("bytes of each crate (it would build)".to_owned());
    } else if !measure::is_there("cargo-bloat") {
        left_out.push("bytes of each crate (no `cargo-bloat` here)".to_owned());
    } else {
        facts.push(("bytes_of_crates", bloat()?));
    }
    let case = Case { name: "cutover".to_owned(), lead: "binary_bytes", ours: Rounds(vec![sample]), peers: Vec::new() };
    Ok(Part { left_out, ..Part::new("size", 1, facts, vec![case]) })
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// Counts the crates that are built into the program or help to build it, without itself.
fn n_crates() -> Result<u64, Box<dyn Error>> {
    let told = cargo().args(["tree", "--locked", "--offline", "-e", "normal", "--prefix", "none"]).output()?;
    if !told.status.success() {
        return Err(format!("`cargo tree` ended with {}", told.status).into());
    }
    let text = String::from_utf8(told.stdout)?;
    // Name and version; the rest of a line only says that the crate was listed before.
    let crates: BTreeSet<(&str, &str)> =
        text.lines().filter_map(|line| line.split_once(' ')).map(first_words).collect();
    Ok(u64::try_from(crates.len())?.saturating_sub(1))
}

fn first_words<'a>((name, rest): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (name, rest.split(' ').next().unwrap_or_default())
}

/// Measures a complete build in a folder that is removed afterwards.
fn cold_build() -> Result<f64, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--bin", "cutover", "--target-dir"]).arg(folder.path());
    Ok(measure::run(&mut build, 0)?.time.as_secs_f64())
}

/// Returns the largest crates, by their code in the program.
fn bloat() -> Result<Value, Box<dyn Error>> {
    let words =
        ["bloat", "--release", "--locked", "--bin", "cutover", "--crates", "-n", "0", "--message-format", "json"];
    let told = cargo().args(words).output()?;
    let told: Value = serde_json::from_slice(&told.stdout).map_err(|error| format!("`cargo bloat`: {error}"))?;
    let crates = told["crates"].as_array().ok_or("`cargo bloat` lists crates")?;
    let bytes = |one: &Value| one["size"].as_u64().unwrap_or(0);
    let mut crates: Vec<(&str, u64)> =
        crates.iter().map(|one| (one["name"].as_str().unwrap_or(""), bytes(one))).collect();
    crates.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    crates.truncate(N_CRATES_SHOWN);
    Ok(json!(crates))
}
