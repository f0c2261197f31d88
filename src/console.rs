//! Results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

mod folded;

use folded::{Folded, folded};

use crate::report::plain::plain;
use crate::report::sieve::{Form, Sieve};
use crate::settings::LogFormat;

/// How we talk to whoever started us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    pub(crate) format: LogFormat,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

impl Console {
    /// Progress and what is going on; nothing with `--quiet`.
    pub(crate) fn say(self, text: &str) {
        if !self.quiet {
            self.write(Level::Info, text);
        }
    }

    /// More of it, with `--verbose`.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.write(Level::Info, text);
        }
    }

    pub(crate) fn warn(self, text: &str) {
        if !self.quiet {
            self.write(Level::Warning, text);
        }
    }

    /// Of what `--quiet` does not hide: a guard that is not there.
    pub(crate) fn warn_all_the_same(self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// Whether the exit code is all the answer that a verb gives which answers with yes or no.
    pub(crate) fn answers_by_code(self) -> bool {
        self.quiet && !self.json
    }

    pub(crate) fn error(self, text: &str) {
        self.write(Level::Error, text);
    }

    /// How results are written.
    pub(crate) fn form(self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    fn write(self, level: Level, text: &str) {
        let width = width_of(&io::stderr());
        let fold = |text: String| match width {
            Some(width) => folded(&text, width),
            None => text,
        };
        let line = match (self.format, level) {
            (LogFormat::Text, Level::Info) => fold(Form::Text.fit(text)),
            // Of one line, and any other break of it is not ours.
            (LogFormat::Text, Level::Warning) => fold(format!("warning: {}", plain(text))),
            (LogFormat::Text, Level::Error) => fold(format!("error: {}", Form::Text.fit(text))),
            (LogFormat::Json, _) => {
                let at = jiff::Timestamp::now();
                Form::Json.fit(&serde_json::json!({"at": at, "level": level.name(), "message": text}).to_string())
            }
        };
        // Nobody listens on standard error any more: there is nobody to tell.
        _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Whether this process has given a result to whoever reads standard output.
static GIVEN: AtomicBool = AtomicBool::new(false);

/// Notes that something is written.
struct Noting<W>(W);

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        GIVEN.store(true, Ordering::Relaxed);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a result to standard output, as one that is for people or for programs may be written.
pub(crate) fn result(form: Form, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    data(|out| shown(form, out, write))
}

/// Through the last door, and folded where a terminal shows a text.
pub(crate) fn shown<E: From<io::Error>>(
    form: Form,
    out: impl Write,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let width = match form {
        Form::Text => width_of_results(),
        Form::Json => None,
    };
    let mut out = Sieve::new(form, Folded::new(width, out));
    write(&mut out)?;
    Ok(out.flush()?)
}

/// How wide the terminal is that results go to; none, if they go elsewhere or it does not say.
pub(crate) fn width_of_results() -> Option<usize> {
    width_of(&io::stdout())
}

fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    // Narrower ones are none that anybody reads prose on.
    Some(usize::from(size.ws_col)).filter(|width| *width >= 40)
}

/// Writes data to standard output as it is: rows for other programs, colours of ours. A reader that has seen enough (`| head`) is no
/// error.
pub(crate) fn data(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(Noting(io::stdout().lock()));
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if reader_left(&error) => Ok(()),
        written => written,
    }
}

/// Whether nobody reads standard output any more: the pipe is closed, or the terminal went away. Anything else is a result
/// that somebody waits for and does not get.
pub(crate) fn reader_left(error: &io::Error) -> bool {
    // source: write(2), tty_ioctl(4): writing to a terminal that was hung up is an error of input and output.
    let hung_up = || {
        let on_device = rustix::fs::fstat(io::stdout()).is_ok_and(|found| {
            rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::CharacterDevice
        });
        on_device && error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
    };
    error.kind() == io::ErrorKind::BrokenPipe || hung_up()
}

/// Whether there was any result, or an attempt to give one.
pub(crate) fn has_results() -> bool {
    GIVEN.load(Ordering::Relaxed)
}

/// Whether results go to a terminal, and not to a file or a program.
pub(crate) fn shows_results() -> bool {
    io::stdout().is_terminal()
}

/// Whether there is somebody who could answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
