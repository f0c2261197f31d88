//! Cost of the evidence verbs on a large journal, beside the nearest thing that common tools can do.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use cutover::formats::Format;
use serde_json::json;

use crate::Ask;
use crate::contest::{Contest, Peer};
use crate::lab::BINARY;
use crate::measure::{self, Sample, float};
use crate::night::{self, Night};
use crate::table::Part;

/// Command as a person would type it.
struct Tool(Vec<String>);

/// One of our verbs, and the tools that are run one after the other beside it.
struct Verb {
    name: String,
    per_s: &'static str,
    n: u64,
    ours: Tool,
    peers: Vec<Tool>,
}

pub(crate) fn part(ask: &Ask) -> Result<Part, Box<dyn Error>> {
    let (n_rows, rounds) = (u32::try_from(ask.rows(1_000_000, 600))?, ask.rounds(5));
    // A journal made before is used again, except by a smoke run, which also tests how it is made.
    let fresh = tempfile::tempdir()?;
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence");
    let folder = if ask.is_smoke { fresh.path() } else { &kept };
    std::fs::create_dir_all(folder)?;
    let night = night::made_in(folder, n_rows, ask.seed)?;
    let cases = verbs(&night).iter().map(|verb| verb.contest().held(rounds)).collect::<Result<Vec<_>, _>>()?;
    let facts = vec![
        ("rows", json!(night.n_rows)),
        ("events", json!(night.n_events)),
        ("bytes", json!(night.n_bytes)),
        ("seed", json!(night.seed)),
    ];
    Ok(Part::new("evidence", rounds, facts, cases))
}

/// Returns each verb, with tools that read about the same bytes.
fn verbs(night: &Night) -> Vec<Verb> {
    let journal = night.path.display().to_string();
    let cutover = |words: &[&str]| Tool::new(BINARY, &[words, &["--journal", &journal]].concat());
    let sqlite = |words: &[&str]| Tool::new("sqlite3", words);
    let mut verbs = vec![Verb {
        name: "audit verify".to_owned(),
        per_s: "events_per_s",
        n: night.n_events,
        ours: cutover(&["audit", "verify"]),
        peers: vec![
            Tool::new("sha256sum", &[&journal]),
            sqlite(&["-readonly", &journal, "SELECT sum(length(detail)) FROM event"]),
        ],
    }];
    verbs.extend(Format::ALL.map(|format| Verb {
        name: format!("report --format {}", format.name()),
        per_s: "rows_per_s",
        n: night.n_rows.into(),
        ours: cutover(&["report", "--format", format.name()]),
        peers: vec![sqlite(&["-readonly", "-csv", &journal, "SELECT * FROM v_row"])],
    }));
    verbs
}

impl Verb {
    fn contest(&self) -> Contest<'_> {
        let name = self.peers.iter().map(Tool::shown).collect::<Vec<_>>().join("; ");
        let missing = self.peers.iter().map(|peer| &peer.0[0]).find(|program| !measure::is_there(program));
        let turn = match missing {
            Some(program) => Err(format!("no `{program}` here")),
            None => Ok(Box::new(|| self.took(&self.peers)) as _),
        };
        Contest {
            name: self.name.clone(),
            lead: "whole_s",
            ours: Box::new(|| self.took(std::slice::from_ref(&self.ours))),
            peers: vec![Peer { name, turn }],
        }
    }

    /// Measures tools one after the other: their times are added, their memory is not.
    fn took(&self, tools: &[Tool]) -> Result<Sample, Box<dyn Error>> {
        let (mut time, mut cpu, mut peak_mib) = (0.0, 0.0, 0.0_f64);
        for tool in tools {
            let took = tool.run()?;
            time += took.time.as_secs_f64();
            cpu += (took.user + took.system).as_secs_f64();
            peak_mib = peak_mib.max(took.peak_mib());
        }
        Ok(vec![("whole_s", time), ("cpu_s", cpu), ("peak_mib", peak_mib), (self.per_s, float(self.n) / time)])
    }
}

impl Tool {
    fn new(program: impl AsRef<OsStr>, words: &[&str]) -> Self {
        let program = program.as_ref().to_string_lossy().into_owned();
        Self(std::iter::once(program).chain(words.iter().map(|word| (*word).to_owned())).collect())
    }

    /// Shows the command as typed, without the folders of its arguments.
    fn shown(&self) -> String {
        let shown = self.0.iter().map(|word| match Path::new(word).file_name() {
            Some(name) if Path::new(word).is_absolute() => name.to_string_lossy().into_owned(),
            Some(_) | None if word.contains(' ') => format!("\"{word}\""),
            Some(_) | None => word.clone(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn run(&self) -> Result<measure::Took, Box<dyn Error>> {
        measure::run(Command::new(&self.0[0]).args(&self.0[1..]).env("CUTOVER_LOG_FORMAT", "text"), 0)
    }
}
