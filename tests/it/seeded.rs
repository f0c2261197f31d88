//! Seeded edits of bundles: `audit verify --bundle` finds each edit of each file, with sums made again and without, and some
//! of them are also checked by `check.py`. `CUTOVER_EDITS=1000` makes more of them.
//!
//! Two values are stored only once and prove nothing: the time in `head`, and, where sums are made again, the reports for
//! people.

use std::fs;
use std::path::{Path, PathBuf};

use super::bundle::{altered, by_hand_said, by_verb, lacks_tools, new_sums};
use super::dice::Dice;
use super::edits::{below, one_cell};
use super::lab::home::Lab;
use super::lab::machine::shared;
use super::lab::plan;

/// Makes a signed bundle of a sealed plan, with one row refused.
fn bench() -> (Lab, PathBuf) {
    let lab = Lab::new();
    lab.write("rows.csv", &plan(5, "cutovering,cutovering"));
    lab.write("plan.toml", "name = \"a night\"\nfiles = [\"rows.csv\"]\nrequire_approvals = 1\n");
    let sandbox = lab.serve("rows.csv", "[[fault]]\nsources = [\"vm-00003\"]\nkind = \"forbidden\"\n");
    lab.cutover(&["plan", "plan.toml", "--endpoint", &sandbox.url, "-o", "sealed.plan", "--as", "Ada"]).exits(0);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bo"]).exits(0);
    lab.launch(&sandbox, &["run", "sealed.plan", "--rate", "off"]).exits(1);
    lab.cutover(&["control", "note", "of the night"]);
    lab.make_key("mine");
    lab.cutover(&["audit", "export", "-o", "bundle", "--key", "mine"]).exits(0);
    let bundle = lab.path("bundle");
    (lab, bundle)
}

/// Files that are compared with the journal, whatever the manifest says.
const COMPARED: [&str; 7] = ["form", "head", "plan.jsonl", "approvals.json", "report.csv", "report.json", "journal.db"];

fn names(bundle: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(bundle).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Edits a text or any bytes once. `None` if nothing changed.
fn edit(bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let at = below(dice, bytes.len());
    let mut new = bytes.to_vec();
    match below(dice, 6) {
        0 => new[at] ^= 1,
        1 => new.insert(at, b" x0\"\n,"[below(dice, 6)]),
        2 => _ = new.remove(at),
        3 => {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let first = below(dice, lines.len());
            let second = below(dice, lines.len());
            lines.swap(first, second);
            new = lines.concat();
        }
        4 => {
            // A JSON value, up to its end or that of its first part.
            let from = at + bytes[at..].windows(2).position(|two| two == b"\":")? + 2;
            let to = from + bytes[from..].iter().position(|byte| b",}]\n".contains(byte))?;
            new.splice(from..to, *b"\"x\"");
        }
        _ => {
            // A cell.
            let from = at + bytes[at..].iter().position(|byte| *byte == b',')? + 1;
            let to = from + bytes[from..].iter().position(|byte| b",\n".contains(byte))?;
            new.splice(from..to, *b"x");
        }
    }
    (new != bytes).then_some(new)
}

/// Returns the file without values that are stored only once.
fn proven(name: &str, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let text = match name {
        "head" => text
            .lines()
            .map(|line| if line.starts_with("time ") { "time" } else { line })
            .collect::<Vec<_>>()
            .join("\n"),
        _ => return bytes.to_vec(),
    };
    text.into_bytes()
}

/// Tells whether an edit changes a value that `check.py` checks: it ignores blanks, and parts of the summary.
fn is_for_check_py(name: &str, before: &[u8], after: &[u8]) -> bool {
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
    match name {
        "approvals.json" => json(before) != json(after),
        "report.csv" => records(before) != records(after),
        "report.json" => {
            let lines = |bytes: &[u8]| -> Vec<String> {
                String::from_utf8_lossy(bytes).split('\n').map(str::to_owned).collect()
            };
            let (before, after) = (lines(before), lines(after));
            let value = |line: &str| json(line.trim_end_matches(',').as_bytes());
            let is_other = |(n, (before, after)): (usize, (&String, &String))| match n {
                1 => false,
                0 | 2 => before != after,
                _ => value(before) != value(after) && before != after,
            };
            before.len() == after.len() && before.iter().zip(&after).enumerate().any(is_other)
        }
        _ => true,
    }
}

fn records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut lines = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    lines.records().map(|line| line.map_or(Vec::new(), |line| line.iter().map(str::to_owned).collect())).collect()
}

/// Edits a bundle. Returns the edit, and whether `check.py` has to find it.
fn forge(bundle: &Path, makes_sums: bool, dice: &mut Dice) -> (String, bool) {
    let all = names(bundle);
    match below(dice, 10) {
        0 => {
            fs::write(bundle.join("more.txt"), "all is well\n").unwrap();
            return ("more.txt added".to_owned(), true);
        }
        1 => {
            // Removing only the signature leaves a valid bundle that nobody signed.
            let removed = all.iter().filter(|name| *name != "SHA256SUMS.sig").nth(below(dice, all.len() - 1)).unwrap();
            if !(makes_sums && removed == "SHA256SUMS") {
                fs::remove_file(bundle.join(removed)).unwrap();
                return (format!("{removed} removed"), true);
            }
        }
        _ => (),
    }
    loop {
        let files: Vec<&str> = if makes_sums { COMPARED.to_vec() } else { all.iter().map(String::as_str).collect() };
        let name = files[below(dice, files.len())];
        let path = bundle.join(name);
        if name == "journal.db" {
            let before = fs::read(&path).unwrap();
            let done = one_cell(&path, dice);
            if makes_sums && done.starts_with("journal.excerpt") {
                // Nothing in a journal with one run says that there were others.
                fs::write(&path, before).unwrap();
                continue;
            }
            let by_hand = !makes_sums || !(done.starts_with("control.") || done.starts_with("journal."));
            return (format!("journal.db: {done}"), by_hand);
        }
        let before = fs::read(&path).unwrap();
        let Some(after) =
            edit(&before, dice).filter(|after| !makes_sums || proven(name, after) != proven(name, &before))
        else {
            continue;
        };
        if makes_sums && name == "form" && after.ends_with(b"form 0\n") {
            // An earlier form is reported, and the bundle is compared in it.
            continue;
        }
        if name == "SHA256SUMS.sig" {
            // An armored signature has more than one spelling, and `check.py` reads no signatures.
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_whitespace().collect::<String>();
            if text(&before) == text(&after) {
                continue;
            }
        }
        fs::write(&path, &after).unwrap();
        // Only the signature covers the order of a manifest, and `check.py` does not read it.
        let by_hand = !name.starts_with("SHA256SUMS") && (!makes_sums || is_for_check_py(name, &before, &after));
        return (format!("{name}, {} bytes from {}", after.len(), first_unlike(&before, &after)), by_hand);
    }
}

fn first_unlike(before: &[u8], after: &[u8]) -> usize {
    before.iter().zip(after).take_while(|(before, after)| before == after).count()
}

#[test]
fn whatever_file_of_a_bundle_somebody_edits_it_is_found() {
    if lacks_tools() {
        return;
    }
    let _machine = shared();
    let (lab, bundle) = bench();
    by_verb(&lab, &bundle, &[]).exits(0);
    by_hand_said(&bundle).unwrap();
    let n_seeds: u64 = std::env::var("CUTOVER_EDITS").map_or(40, |n| n.parse().unwrap());
    let (mut passed, mut n_by_hand) = (Vec::new(), 0);
    for seed in 1..=n_seeds {
        let mut dice = Dice::from_decision(&[seed]);
        let makes_sums = seed % 2 == 0;
        let mut done = (String::new(), false);
        let forged = altered(&bundle, "forged", |copy| {
            done = forge(copy, makes_sums, &mut dice);
            if makes_sums {
                new_sums(copy);
            }
        });
        let (edit, by_hand) = done;
        let ended = by_verb(&lab, &forged, &[]);
        // Without its manifest a folder is no bundle.
        let is_found = ended.code == Some(7) || ended.code == Some(2) && edit == "SHA256SUMS removed";
        if !is_found || ended.stdout.contains("as it was written") {
            passed.push(format!("seed {seed}: {edit}: {:?} {}{}", ended.code, ended.stdout, ended.stderr));
        }
        if by_hand && seed % 8 < 2 {
            n_by_hand += 1;
            if let Ok(said) = by_hand_said(&forged) {
                passed.push(format!("seed {seed}, by check.py: {edit}: {said}"));
            }
        }
        fs::remove_dir_all(&forged).unwrap();
    }
    assert!(n_by_hand >= n_seeds / 6, "{n_by_hand}");
    assert!(passed.is_empty(), "{} of {n_seeds} edits were not found:\n{}", passed.len(), passed.join("\n"));
}
