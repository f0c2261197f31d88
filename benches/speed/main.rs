//! Speed of the program beside similar ones: each part measures one thing, our program and its peers in turns and in the same
//! run.
//!
//! `cargo bench --bench speed` measures; `cargo test` runs every part on a few rows, so that all of them keep working.
//! `benches/README.md` explains the output.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells people what it found")]

mod bare;
mod contest;
#[path = "../../tests/it/dice.rs"]
mod dice;
mod evidence;
mod lab;
mod latency;
mod measure;
mod night;
mod quota;
mod rivals;
mod scale;
mod size;
mod stub;
mod table;
mod throughput;
mod verified;

use std::error::Error;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

const USAGE: &str = "cargo bench --bench speed -- [PART…] [--rounds N] [--rows N] [--seconds N] [--seed N] [--cold]
or BENCH_ROUNDS, BENCH_ROWS, BENCH_SECONDS, BENCH_SEED";

type Measure = fn(&Ask) -> Result<table::Part, Box<dyn Error>>;

const PARTS: [(&str, Measure); 7] = [
    ("throughput", throughput::part),
    ("verified", verified::part),
    ("quota", quota::part),
    ("latency", latency::part),
    ("scale", scale::part),
    ("size", size::part),
    ("evidence", evidence::part),
];

/// Options from the command line. A part uses its own default for one that is not given.
struct Ask {
    parts: Vec<String>,
    rows: Option<u64>,
    rounds: Option<u32>,
    seconds: Option<u32>,
    seed: u64,
    is_cold: bool,
    /// True for a test that only checks that it works.
    is_smoke: bool,
}

impl Ask {
    fn all(is_smoke: bool) -> Self {
        Self { parts: Vec::new(), rows: None, rounds: None, seconds: None, seed: 1, is_cold: false, is_smoke }
    }

    fn given() -> Result<Self, Box<dyn Error>> {
        let mut ask = Ask::all(false);
        for (name, variable) in [
            ("--rows", "BENCH_ROWS"),
            ("--rounds", "BENCH_ROUNDS"),
            ("--seconds", "BENCH_SECONDS"),
            ("--seed", "BENCH_SEED"),
        ] {
            if let Ok(value) = std::env::var(variable) {
                ask.set(name, &value)?;
            }
        }
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            if word == "--cold" {
                ask.is_cold = true;
            } else if word.starts_with('-') {
                ask.set(&word, &words.next().unwrap_or_default())?;
            } else if PARTS.iter().any(|(name, _)| *name == word) {
                ask.parts.push(word);
            } else {
                let known = PARTS.map(|(name, _)| name).join(", ");
                return Err(format!("`{word}` is no part: there are {known}\nusage: {USAGE}").into());
            }
        }
        Ok(ask)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
        let bad = |_| format!("`{name} {value}` cannot be: a number from 1 is wanted\nusage: {USAGE}");
        match name {
            "--rows" => self.rows = Some(value.parse::<NonZero<u64>>().map_err(bad)?.get()),
            "--rounds" => self.rounds = Some(value.parse::<NonZero<u32>>().map_err(bad)?.get()),
            "--seconds" => self.seconds = Some(value.parse::<NonZero<u32>>().map_err(bad)?.get()),
            "--seed" => self.seed = value.parse::<NonZero<u64>>().map_err(bad)?.get(),
            _ => return Err(format!("`{name}` is not known\nusage: {USAGE}").into()),
        }
        Ok(())
    }

    fn rows(&self, full: u64, smoke: u64) -> u64 {
        self.rows.unwrap_or(if self.is_smoke { smoke } else { full })
    }

    fn rounds(&self, full: u32) -> u32 {
        self.rounds.unwrap_or(if self.is_smoke { 1 } else { full })
    }

    fn seconds(&self, full: u32, smoke: u32) -> u32 {
        self.seconds.unwrap_or(if self.is_smoke { smoke } else { full })
    }
}

fn main() -> ExitCode {
    match serve_or_bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_or_bench() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, manner] = &words[..]
        && word == stub::WORD
    {
        return stub::serve(manner);
    }
    if let [word, address, concurrency, n_rows, journal] = &words[..]
        && word == bare::WORD
    {
        return bare::send(address, concurrency.parse()?, n_rows.parse()?, Path::new(journal))
            .map_err(|error| error as Box<dyn Error>);
    }
    // `cargo bench` passes this flag; a test run does not, and its other arguments are about tests.
    if words.iter().any(|word| word == "--bench") {
        return bench(&Ask::given()?);
    }
    if words.iter().any(|word| word == "--list") {
        return Ok(());
    }
    bench(&Ask::all(true))
}

/// Runs all parts. A part that fails, or a run that did not do its work, makes the program fail once all others are done.
fn bench(ask: &Ask) -> Result<(), Box<dyn Error>> {
    let machine = table::machine();
    eprintln!("{machine}");
    let asked = |name: &str| ask.parts.is_empty() || ask.parts.iter().any(|part| part == name);
    let (mut parts, mut failures): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for (name, measure) in PARTS.into_iter().filter(|(name, _)| asked(name)) {
        match measure(ask) {
            Ok(part) => {
                eprint!("{}", part.text());
                failures.extend(part.failures.iter().map(|failure| format!("{name}: {failure}")));
                parts.push(part.json());
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    let page = json!({"schema": "cutover.bench.speed.v1", "machine": machine, "parts": parts, "failures": failures});
    println!("{page}");
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nerror: ").into()) }
}
