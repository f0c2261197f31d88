//! Launches of the binary, and how they end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::machine::signal;

const BINARY: &str = env!("CARGO_BIN_EXE_cutover");

/// Launch of the binary that is under way.
pub(crate) struct Launch {
    child: Child,
    /// Verb of the binary, for whose end its help lists the codes.
    verb: Vec<String>,
    events: Receiver<Value>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<()>,
    /// All of its standard error until now.
    told: Arc<Mutex<Vec<u8>>>,
}

/// End of a launch.
pub(crate) struct Ended {
    /// Exit code; `None` for an end by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Launch {
    pub(crate) fn start(mut command: Command) -> Self {
        let verb = verb_of(&command);
        let mut child = command.spawn().unwrap();
        let (sender, events) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            for line in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str::<Value>(&line) {
                    _ = sender.send(event);
                }
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        let mut err = child.stderr.take().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let stderr = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = err.read(&mut piece) {
                telling.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        Self { child, verb, events, stdout, stderr, told }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next event of a kind; false if the launch ended without it.
    pub(crate) fn reaches(&self, kind: &str) -> bool {
        self.reaches_nth(kind, 1)
    }

    pub(crate) fn reaches_nth(&self, kind: &str, n: usize) -> bool {
        self.reaches_nth_that(kind, n, |event| event["kind"] == kind)
    }

    /// Waits until a throttled attempt is recorded; false if the launch ended without one.
    pub(crate) fn reaches_a_429(&self) -> bool {
        self.reaches_nth_that("attempt_ended that was throttled", 1, |event| event["outcome"]["is"] == "throttled")
    }

    fn reaches_nth_that(&self, what: &str, n: usize, is_one: impl Fn(&Value) -> bool) -> bool {
        let mut n_left = n;
        let until = Instant::now() + PATIENCE;
        while n_left > 0 {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if is_one(&event) => n_left -= 1,
                Ok(_) => (),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no `{what}` came"),
            }
        }
        true
    }

    /// Waits until its standard error has a text.
    #[cfg(feature = "cluster")]
    pub(crate) fn tells(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.told().contains(text) {
            assert!(self.is_running() && Instant::now() < until, "`{text}` is not in:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().unwrap()).into_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.pid());
    }

    pub(crate) fn kill(mut self) -> Ended {
        _ = self.child.kill();
        self.end()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn end(mut self) -> Ended {
        let until = Instant::now() + 4 * PATIENCE;
        while self.is_running() {
            if Instant::now() > until {
                _ = self.child.kill();
                panic!("it does not end: {}", self.told());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        if let (Some(code), [_, ..]) = (code, &self.verb[..]) {
            let listed = codes_of(&self.verb);
            assert!(listed.contains(&code), "the help of {:?} does not list {code}: {listed:?}", self.verb);
        }
        let stdout = self.stdout.join().unwrap();
        self.stderr.join().unwrap();
        let stderr = String::from_utf8_lossy(&self.told.lock().unwrap()).into_owned();
        Ended { code, stdout, stderr }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error was:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }
}

/// Returns the words that call a verb of the binary; none for another program, or for arguments that name no verb.
fn verb_of(command: &Command) -> Vec<String> {
    if command.get_program() != BINARY {
        return Vec::new();
    }
    let words = command.get_args().filter_map(|arg| arg.to_str()).take_while(|arg| !arg.starts_with('-'));
    let words: Vec<String> = words.map(str::to_owned).collect();
    let n_words = if matches!(words.first().map(String::as_str), Some("audit" | "config" | "journal" | "sources")) {
        2
    } else {
        1
    };
    words.into_iter().take(n_words).collect()
}

/// Returns the exit codes that the help of a verb lists. Whoever ends with help or with a verb that is none ends with a code of every
/// verb.
fn codes_of(verb: &[String]) -> Vec<i32> {
    static KNOWN: Mutex<BTreeMap<Vec<String>, Vec<i32>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(codes) = known.get(verb) {
        return codes.clone();
    }
    let told = Command::new(BINARY).args(verb).arg("--help").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let codes = told.lines().skip_while(|line| !line.starts_with("Exit codes"));
    let codes: Vec<i32> = codes.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let codes = if codes.is_empty() { vec![0, 2, 70] } else { codes };
    known.insert(verb.to_vec(), codes.clone());
    codes
}
