//! Log file: all that is told, whatever standard error shows of it.
//!
//! Lines are appended. SIGUSR1 has it opened again, so that it may be moved away meanwhile. A file that can no longer be written does
//! not stop anything: what a later launch depends on is in the journal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{mem, thread};

use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::files::beside::check_is_no_journal;
use crate::files::folder::folder_of;
use crate::files::mode::private_mode;
use crate::files::open::{open_itself, open_to_append};

/// SIGUSR1, from the moment at which it is taken: from there to the end of the process it ends nothing. Whoever rotates logs sends it to
/// all processes of this name, also to those without a log file. Children have its default again, since a handler is reset on exec.
#[derive(Debug)]
pub(crate) struct ReopenSignal {
    runtime: Runtime,
    asked: Signal,
}

impl ReopenSignal {
    /// Takes the signal. One that comes before a log file is open is kept for it.
    pub(crate) fn take() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let asked = {
            let _within = runtime.enter();
            signal(SignalKind::user_defined1())?
        };
        Ok(Self { runtime, asked })
    }
}

/// Bytes of a file by which a log is known.
const LONGEST_START: u64 = 4096;

/// Open log file.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// Mode in which it is made.
    mode: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// True if the last line is incomplete.
    is_cut: bool,
    /// True once writing has failed.
    has_failed: bool,
}

impl LogFile {
    /// Opens the file, or makes it for the readers of the journal at that path.
    pub(crate) fn open(path: &Path, journal: &Path) -> io::Result<Self> {
        // Opened again at this place, whatever the current folder is by then.
        let path = std::path::absolute(path)?;
        let mode = mode_of(journal);
        check_is_no_journal(&path)?;
        let file = open_to_append(&path, mode)?;
        check_begins_as_a_log(&path, &file)?;
        let state = State { file, is_cut: false, has_failed: false };
        Ok(Self { path, mode, state: Mutex::new(state) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines. Returns the error if this is the first that fails; later ones may succeed again.
    pub(super) fn append(&self, lines: &str) -> Option<io::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = if state.is_cut { "\n" } else { "" };
        let text = format!("{begin}{lines}");
        let mut left = text.as_bytes();
        while !left.is_empty() {
            match state.file.write(left) {
                Ok(n) if n > 0 => left = &left[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                failed => {
                    state.is_cut |= left.len() < text.len();
                    let error = failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    return (!mem::replace(&mut state.has_failed, true)).then_some(error);
                }
            }
        }
        state.is_cut = false;
        None
    }

    /// Opens the file again, or another one of that name if the last was moved away. On an error the last stays in use.
    fn reopen(&self) -> io::Result<()> {
        let file = open_to_append(&self.path, self.mode)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.file, state.is_cut) = (file, false);
        Ok(())
    }

    /// Opens it again at each SIGUSR1, in a thread of its own, until the process ends. `failed` hears of errors.
    pub(crate) fn reopen_at_signals(
        &'static self,
        signal: ReopenSignal,
        failed: impl Fn(io::Error) + Send + 'static,
    ) -> io::Result<()> {
        let ReopenSignal { runtime, mut asked } = signal;
        let wait = async move {
            while asked.recv().await.is_some() {
                self.reopen().unwrap_or_else(&failed);
            }
        };
        thread::Builder::new().name("log file".to_owned()).spawn(move || runtime.block_on(wait)).map(drop)
    }
}

/// Refuses a plain file that begins with anything but a line of a log, such as the plan: lines behind it would destroy it.
fn check_begins_as_a_log(path: &Path, file: &File) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let mut start = Vec::new();
    open_itself(path)?.take(LONGEST_START).read_to_end(&mut start)?;
    if begins_as_a_log(&start) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a log is there"))
}

/// Tells whether a file may have been begun by a log, also by one whose first line was cut off.
fn begins_as_a_log(start: &[u8]) -> bool {
    let first = String::from_utf8_lossy(start.split(|byte| *byte == b'\n').next().unwrap_or_default());
    if first.is_empty() {
        return start.is_empty();
    }
    let is_of_time = |(i, c): (usize, char)| if i == 4 { c == '-' } else { c.is_ascii_digit() };
    if first.starts_with('{') {
        first.contains("\"level\":")
    } else {
        first.chars().take(7).enumerate().all(is_of_time)
    }
}

/// Mode of the journal, or the one in which it will be made.
fn mode_of(journal: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(journal).map_or_else(|_| private_mode(folder_of(journal)), |found| found.mode() & 0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_known_by_its_first_line_and_nothing_else_is_one() {
        for log in
            ["", "2026-1", "2026-11-28T02:00:00.000Z info run=- x\nany", "{\"account\":\"a\",\"level\":\"info\"}\n"]
        {
            assert!(begins_as_a_log(log.as_bytes()), "{log}");
        }
        for other in ["source_id,copystate\n", "\n2026-11-28", "rate = 5", "{\"source_id\":\"a\"}\n", "20261128t020000"]
        {
            assert!(!begins_as_a_log(other.as_bytes()), "{other}");
        }
        assert!(!begins_as_a_log(&[0xff, 0xfe, b'2', 0]));
    }
}
