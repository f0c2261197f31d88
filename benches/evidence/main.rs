//! What the evidence verbs cost on a large journal, beside what common tools take for the nearest thing they can do.
//!
//! `cargo bench --bench evidence` measures; `cargo test` runs the same on a few rows, so that it keeps working.
//! `benches/README.md` says what is printed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells people what it found")]

mod measure;
mod night;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};

use cutover::report::Format;
use measure::{Contest, Tool};

const USAGE: &str = "cargo bench --bench evidence -- [--rows N] [--rounds N] [--seed N]
or CUTOVER_BENCH_ROWS, CUTOVER_BENCH_ROUNDS, CUTOVER_BENCH_SEED";

/// How much there is to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    rows: u32,
    rounds: u32,
    seed: u64,
}

impl Size {
    const FULL: Size = Size { rows: 1_000_000, rounds: 5, seed: 1 };
    /// Enough for every kind of row, and done in a moment.
    const SMOKE: Size = Size { rows: 600, rounds: 1, seed: 1 };

    fn asked() -> Result<Self, Box<dyn Error>> {
        let mut size = Size::FULL;
        for (name, variable) in
            [("--rows", "CUTOVER_BENCH_ROWS"), ("--rounds", "CUTOVER_BENCH_ROUNDS"), ("--seed", "CUTOVER_BENCH_SEED")]
        {
            if let Ok(value) = std::env::var(variable) {
                size.set(name, &value)?;
            }
        }
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(name) = words.next() {
            size.set(&name, &words.next().unwrap_or_default())?;
        }
        Ok(size)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
        let bad = |_| format!("`{name} {value}` cannot be: a number from 1 is wanted\nusage: {USAGE}");
        match name {
            "--rows" => self.rows = value.parse::<std::num::NonZero<u32>>().map_err(bad)?.get(),
            "--rounds" => self.rounds = value.parse::<std::num::NonZero<u32>>().map_err(bad)?.get(),
            "--seed" => self.seed = value.parse::<std::num::NonZero<u64>>().map_err(bad)?.get(),
            _ => return Err(format!("`{name}` is not known\nusage: {USAGE}").into()),
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` says so; whoever does not is a test run, whose words are about tests.
    if std::env::args().any(|word| word == "--bench") {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence");
        std::fs::create_dir_all(&folder)?;
        return bench(Size::asked()?, &folder);
    }
    if std::env::args().any(|word| word == "--list") {
        return Ok(());
    }
    bench(Size::SMOKE, tempfile::tempdir()?.path())
}

fn bench(size: Size, folder: &Path) -> Result<(), Box<dyn Error>> {
    let night = night::made_in(folder, size.rows, size.seed)?;
    let mut results = Vec::new();
    for contest in contests(&night) {
        results.push(contest.held(size.rounds)?);
    }
    let page = table::Page { night: &night, rounds: size.rounds, results: &results };
    eprint!("{}", page.text());
    println!("{}", page.json());
    Ok(())
}

/// Each verb, and beside it what reads about the same bytes.
fn contests(night: &night::Night) -> Vec<Contest> {
    let journal = night.path.display().to_string();
    let cutover = |words: &[&str]| {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_cutover"));
        Tool::new(&binary, &[words, &["--journal", &journal]].concat())
    };
    let sqlite = |words: &[&str]| Tool::new("sqlite3", words);
    let mut contests = vec![Contest {
        name: "audit verify".to_owned(),
        unit: "events",
        n: night.n_events,
        ours: cutover(&["audit", "verify"]),
        peers: vec![
            Tool::new("sha256sum", &[&journal]),
            sqlite(&["-readonly", &journal, "SELECT sum(length(detail)) FROM event"]),
        ],
    }];
    contests.extend(Format::ALL.map(|format| Contest {
        name: format!("report --format {}", format.name()),
        unit: "rows",
        n: night.n_rows.into(),
        ours: cutover(&["report", "--format", format.name()]),
        peers: vec![sqlite(&["-readonly", "-csv", &journal, "SELECT * FROM v_row"])],
    }));
    contests
}
