//! Whole commands, from the start of the process to its end: how long they took and how much memory they had.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SAMPLE_EVERY: Duration = Duration::from_millis(2);

/// A command that is run again and again; what it prints goes nowhere.
pub(crate) struct Tool {
    words: Vec<String>,
}

/// One run of it, or of several in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) time: Duration,
    pub(crate) peak_kib: u64,
}

/// One of our verbs and its peer, in turn.
pub(crate) struct Contest {
    pub(crate) name: String,
    /// What it goes through, and how many of them.
    pub(crate) unit: &'static str,
    pub(crate) n: u64,
    pub(crate) ours: Tool,
    /// One after the other.
    pub(crate) peers: Vec<Tool>,
}

/// What came of it, round by round.
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) n: u64,
    pub(crate) ours: Vec<Took>,
    pub(crate) peer: Peer,
}

pub(crate) enum Peer {
    Took {
        command: String,
        rounds: Vec<Took>,
    },
    /// It is not installed.
    Missing {
        tool: String,
    },
}

impl Contest {
    pub(crate) fn held(self, n_rounds: u32) -> Result<Held, Box<dyn Error>> {
        let Contest { name, unit, n, ours, peers } = self;
        let missing = peers.iter().find(|peer| !peer.is_there()).map(|peer| peer.words[0].clone());
        let (mut of_ours, mut of_peers) = (Vec::new(), Vec::new());
        for round in 0..n_rounds {
            let peers_first = round % 2 == 1;
            if peers_first && missing.is_none() {
                of_peers.push(all(&peers)?);
            }
            of_ours.push(ours.run()?);
            if !peers_first && missing.is_none() {
                of_peers.push(all(&peers)?);
            }
        }
        let command = peers.iter().map(Tool::shown).collect::<Vec<_>>().join("; ");
        let peer = match missing {
            Some(tool) => Peer::Missing { tool },
            None => Peer::Took { command, rounds: of_peers },
        };
        Ok(Held { name, unit, n, ours: of_ours, peer })
    }
}

fn all(tools: &[Tool]) -> Result<Took, Box<dyn Error>> {
    let mut took = Took::default();
    for tool in tools {
        let one = tool.run()?;
        took = Took { time: took.time + one.time, peak_kib: took.peak_kib.max(one.peak_kib) };
    }
    Ok(took)
}

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>, words: &[&str]) -> Self {
        let program = program.as_ref().to_string_lossy().into_owned();
        Self { words: std::iter::once(program).chain(words.iter().map(|word| (*word).to_owned())).collect() }
    }

    fn is_there(&self) -> bool {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(&self.words[0]).is_file())
    }

    /// As one would type it, without the folders of what it is about.
    fn shown(&self) -> String {
        let shown = self.words.iter().map(|word| match Path::new(word).file_name() {
            Some(name) if Path::new(word).is_absolute() => name.to_string_lossy().into_owned(),
            Some(_) | None if word.contains(' ') => format!("\"{word}\""),
            Some(_) | None => word.clone(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn run(&self) -> Result<Took, Box<dyn Error>> {
        let began = Instant::now();
        let mut child = Command::new(&self.words[0])
            .args(&self.words[1..])
            .env("CUTOVER_LOG_FORMAT", "text")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let (status, peak_kib) = watched(&mut child)?;
        let time = began.elapsed();
        if !status.success() {
            return Err(format!("`{}` ended with {status}", self.shown()).into());
        }
        Ok(Took { time, peak_kib })
    }
}

/// Waits for a process, and meanwhile reads the most memory that it had resident.
///
/// source: `proc_pid_status(5)` (`VmHWM`), which only grows and is there for as long as the process is.
fn watched(child: &mut Child) -> std::io::Result<(ExitStatus, u64)> {
    let status = format!("/proc/{}/status", child.id());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
                peak = peak.max(kib.unwrap_or(0));
                thread::sleep(SAMPLE_EVERY);
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        let peak = sampler.join().expect("it only reads");
        Ok((status?, peak))
    })
}
