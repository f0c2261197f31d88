//! Results to standard output, everything else to standard error: the only room that writes to a terminal or a pipe.
//!
//! Text for people goes through a [`Printout`], output for programs through a [`Sieve`]. `.clippy.toml` disallows other ways to
//! the two streams.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

mod journald;
mod level;
mod line_queue;
pub(crate) mod log_file;
mod record;

use level::Level;
use line_queue::{LineQueue, LineWay};
use log_file::LogFile;
use record::{Record, lines};

use crate::diagnostics::{Diagnostic, DiagnosticKind};
use crate::wording::printout::Printout;
use crate::wording::sieve::{Form, Sieve};
use crate::wording::visible::visible;

/// Format of messages: lines of text, or one JSON object on a line for log collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Settings of the output: format of messages, and how much is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    pub(crate) format: LogFormat,
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    /// File that gets every message, also those that `--quiet` hides. It is open until the process ends.
    pub(crate) log: Option<&'static LogFile>,
}

/// Readers of a message besides the log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    LogAlone,
    /// Standard error, but with `--quiet`.
    UnlessQuiet,
    /// Standard error, even with `--quiet`.
    Always,
}

/// Names the run that messages are about from here on, for the log file and for messages in JSON.
pub(crate) fn speak_of_run(id: &str) {
    record::speak_of_run(id);
}

impl Console {
    /// Output as it is before any flag and any setting.
    pub(crate) const PLAIN: Console = Console { format: LogFormat::Text, quiet: false, json: false, log: None };

    /// Output that tells nothing.
    pub(crate) fn silenced(self) -> Self {
        Self { quiet: true, log: None, ..self }
    }

    /// Reports progress and events; nothing with `--quiet`.
    pub(crate) fn say(self, text: &str) {
        self.write(Level::Info, Audience::UnlessQuiet, text);
    }

    /// Writes to the log file alone what a result tells people.
    pub(crate) fn note(self, text: &str) {
        self.write(Level::Info, Audience::LogAlone, text);
    }

    pub(crate) fn warn(self, text: &str) {
        self.write(Level::Warning, Audience::UnlessQuiet, text);
    }

    /// Warns even with `--quiet`: a safeguard is missing.
    pub(crate) fn warn_all_the_same(self, text: &str) {
        self.write(Level::Warning, Audience::Always, text);
    }

    /// Tells a decision or a request, for which somebody asked; to the log file alone with `--quiet`.
    pub(crate) fn diagnose(self, diagnostic: &Diagnostic) {
        let level = match diagnostic.kind {
            DiagnosticKind::Decision => Level::Debug,
            DiagnosticKind::Request => Level::Trace,
        };
        let Diagnostic { text, row, fields, .. } = diagnostic;
        let line = |out: &mut Printout<'_>| writeln!(out, "{text}");
        self.record(&Record::new(level, &line).about(row.as_deref(), fields), Audience::UnlessQuiet);
    }

    /// Tells whether a verb that answers yes or no answers by its exit code alone.
    pub(crate) fn answers_by_code(self) -> bool {
        self.quiet && !self.json
    }

    /// Reports an error, its causes, and after an empty line the next thing to do. With `--quiet`, the causes are on the line of the
    /// error: the first line is then the subject of a mail.
    pub(crate) fn fail(self, text: &str, causes: &[String], hint: Option<&str>) {
        FAILED.store(true, Ordering::Relaxed);
        self.write_lines(Level::Error, Audience::Always, |out| {
            if self.quiet {
                writeln!(out, "{}", in_one_line(text, causes))?;
            } else {
                writeln!(out, "{text}")?;
                causes.iter().try_for_each(|cause| writeln!(out, "  caused by: {cause}"))?;
            }
            if let Some(hint) = hint {
                writeln!(out)?;
                writeln!(out, "hint: {hint}")?;
            }
            Ok(())
        });
    }

    /// Reports several lines, like [`Console::say`].
    pub(crate) fn tell(self, write: impl Fn(&mut Printout<'_>) -> io::Result<()>) {
        self.write_lines(Level::Info, Audience::UnlessQuiet, write);
    }

    /// Prints errors that stand on lines of their own, in whatever format messages have; nothing with `--quiet`.
    pub(crate) fn list_errors(self, write: impl Fn(&mut Printout<'_>) -> io::Result<()>) {
        self.list(Level::Error, write);
    }

    /// Prints warnings like [`Console::list_errors`].
    pub(crate) fn list_warnings(self, write: impl Fn(&mut Printout<'_>) -> io::Result<()>) {
        self.list(Level::Warning, write);
    }

    fn list(self, level: Level, write: impl Fn(&mut Printout<'_>) -> io::Result<()>) {
        self.log(&Record::new(level, &write));
        if !self.quiet {
            pass(LineWay::InPerson, lines(width_of(&io::stderr()), write), level);
        }
    }

    fn write(self, level: Level, audience: Audience, text: &str) {
        self.write_lines(level, audience, |out| writeln!(out, "{text}"));
    }

    fn write_lines(self, level: Level, audience: Audience, write: impl Fn(&mut Printout<'_>) -> io::Result<()>) {
        self.record(&Record::new(level, &write), audience);
    }

    fn record(self, record: &Record<'_>, audience: Audience) {
        self.log(record);
        let is_shown = match audience {
            Audience::LogAlone => false,
            Audience::UnlessQuiet => !self.quiet,
            Audience::Always => true,
        };
        if is_shown {
            let text = match self.format {
                LogFormat::Text => record.for_people(width_of(&io::stderr())),
                LogFormat::Json => record.as_json(),
            };
            pass(LineWay::for_level(record.level), text, record.level);
        }
    }

    /// Appends to the log file, if there is one.
    fn log(self, record: &Record<'_>) {
        let Some(log) = self.log else { return };
        let text = self.for_log(record);
        TO_LOG.pass(LineWay::for_level(record.level), move || self.append(log, &text));
    }

    fn for_log(self, record: &Record<'_>) -> String {
        match self.format {
            LogFormat::Text => record.for_a_log(),
            LogFormat::Json => record.as_json(),
        }
    }

    /// Appends lines. The first failure is told even with `--quiet`: the file is there to be read later, and a hole in it cannot be
    /// filled.
    fn append(self, log: &LogFile, text: &str) {
        if let Some(error) = log.append(text) {
            let path = log.path().display();
            let warning =
                format!("the log file `{path}` cannot be written ({error}): what is told may be missing there");
            Self { log: None, ..self }.warn_all_the_same(&warning);
        }
    }

    /// Has messages written by threads from here on, all but errors: diagnostics come from whoever carries the rows, and wait for no
    /// reader. Where that is not possible, they are written as before.
    pub(crate) fn queue(self) {
        _ = TO_ERRORS.start(move |n| {
            let write = |out: &mut Printout<'_>| writeln!(out, "{}", dropped(n));
            let record = Record::new(Level::Warning, &write);
            put(
                &match self.format {
                    LogFormat::Text => record.for_people(width_of(&io::stderr())),
                    LogFormat::Json => record.as_json(),
                },
                Level::Warning,
            );
        });
        if let Some(log) = self.log {
            _ = TO_LOG.start(move |n| {
                let write = |out: &mut Printout<'_>| writeln!(out, "{}", dropped(n));
                self.append(log, &self.for_log(&Record::new(Level::Warning, &write)));
            });
        }
    }

    /// Asks on the terminal: the cursor stays behind the question.
    pub(crate) fn ask(self, question: &str) {
        self.note(question);
        pass(LineWay::InPerson, format!("\n{} ", visible(question)), Level::Info);
    }
}

/// Messages on their way to standard error.
static TO_ERRORS: LineQueue = LineQueue::new();

/// Messages on their way to the log file.
static TO_LOG: LineQueue = LineQueue::new();

fn dropped(n: u64) -> String {
    format!("{n} diagnostics are missing here: they came faster than they were taken")
}

/// Waits until all messages are written, for a second each at standard error and the log file.
pub(crate) fn flush() {
    TO_LOG.flush();
    TO_ERRORS.flush();
}

fn pass(way: LineWay, text: String, level: Level) {
    TO_ERRORS.pass(way, move || put(&text, level));
}

/// Writes to standard error; an error is ignored, because there is nobody left to tell.
fn put(text: &str, level: Level) {
    let text = journald::with_priorities(text, level, io::stderr());
    _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Tells whether an answer agrees; an empty one does not.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Joins an error and its causes.
pub(crate) fn in_one_line(text: &str, causes: &[String]) -> String {
    causes.iter().fold(text.to_owned(), |line, cause| format!("{line}: {cause}"))
}

/// First panic of this process, kept with `--quiet` for the one error that is reported.
static PANIC: OnceLock<String> = OnceLock::new();

/// Reports panics like other messages from here on; with `--quiet`, keeps the first of them.
pub(crate) fn tell_of_panics(console: Console) {
    std::panic::set_hook(Box::new(move |panic| console.panicked(panic)));
}

/// Returns the panic that was kept.
pub(crate) fn first_panic() -> Option<&'static str> {
    PANIC.get().map(String::as_str)
}

impl Console {
    /// Reports a panic with its place; whoever ends the launch because of it says so.
    fn panicked(self, panic: &PanicHookInfo<'_>) {
        let thread = std::thread::current();
        let (name, text) = (thread.name().unwrap_or("?"), panic.payload_as_str().unwrap_or("a panic without a text"));
        let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
        let told = format!("thread `{name}` panicked at {place}: {text}");
        let trace = std::backtrace::Backtrace::capture();
        let write = |out: &mut Printout<'_>| {
            writeln!(out, "{told}")?;
            if trace.status() == std::backtrace::BacktraceStatus::Captured {
                trace.to_string().lines().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            Ok(())
        };
        self.log(&Record::new(Level::Error, &write));
        if self.quiet {
            _ = PANIC.set(told.clone());
        } else {
            put(&lines(None, write), Level::Error);
        }
    }
}

/// True once this process has written a result to standard output.
static GIVEN: AtomicBool = AtomicBool::new(false);

/// True once this process has reported an error.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Standard output; remembers whether its reader left.
struct Results {
    out: io::StdoutLock<'static>,
    reader_left: bool,
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        GIVEN.store(true, Ordering::Relaxed);
        self.out.write(bytes).inspect_err(|error| self.reader_left |= reader_left(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|error| self.reader_left |= reader_left(error))
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn give<E: From<io::Error>>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    TO_ERRORS.flush();
    let mut results = Results { out: io::stdout().lock(), reader_left: false };
    let mut out = io::BufWriter::new(&mut results);
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    // Buffered bytes that could not be written are dropped, not tried again.
    _ = out.into_parts();
    if results.reader_left { Ok(()) } else { written }
}

/// Writes a result for people to standard output, folded and coloured if a terminal shows it.
pub(crate) fn print<E: From<io::Error>>(write: impl FnOnce(&mut Printout<'_>) -> Result<(), E>) -> Result<(), E> {
    let (width, coloured) = (width_of(&io::stdout()), has_colours(&io::stdout()));
    give(|out| write(&mut Printout::on_terminal(out, width, coloured)))
}

/// Writes a document, or rows for other programs, to standard output.
pub(crate) fn document<E: From<io::Error>>(
    form: Form,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let form = match (form, shows_results()) {
        (form, true) => form.on_a_terminal(),
        // A table in a file or a pipe has the values of the report file, for whoever keeps it or a program that reads it.
        (Form::Table, false) => Form::Values,
        (form, false) => form,
    };
    give(|out| {
        let mut out = Sieve::new(form, out);
        write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// Writes one event, which does not count as a result.
pub(crate) fn event(event: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all((Form::Json.fit(&event.to_string()) + "\n").as_bytes())?;
    out.flush()
}

/// Writes help or version to standard output.
pub(crate) fn help(write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> io::Result<()> {
    // The argument parser has folded the text already.
    give(|out| write(&mut Printout::on_terminal(out, None, has_colours(&io::stdout()))))
}

/// Writes what is wrong with the arguments to standard error.
pub(crate) fn misread(write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) {
    let mut text = Vec::new();
    write(&mut Printout::on_terminal(&mut text, None, has_colours(&io::stderr()))).expect("a vector takes everything");
    put(&String::from_utf8(text).expect("lines are text"), Level::Error);
}

/// source: `no-color.org`; terminfo calls a terminal dumb that knows no escapes.
fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_empty = |name| std::env::var_os(name).is_none_or(|text| text.is_empty());
    stream.is_terminal() && is_empty("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns the columns of a terminal; `None` for anything else, or if they are unknown or fewer than 40.
fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    // Nobody reads prose on a narrower one.
    Some(usize::from(size.ws_col)).filter(|width| *width >= 40)
}

/// Tells whether nobody reads standard output any more: the pipe is closed, or the terminal was hung up. Any other error means
/// that somebody waits for a result and does not get it.
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

/// Tells whether a result was written, or tried to be.
pub(crate) fn has_results() -> bool {
    GIVEN.load(Ordering::Relaxed)
}

/// Tells whether an error was reported.
pub(crate) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Tells whether results go to a terminal, and not to a file or a program.
pub(crate) fn shows_results() -> bool {
    io::stdout().is_terminal()
}

/// Tells whether messages go to a terminal, where people see them at once and no file keeps them.
pub(crate) fn tells_a_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Tells whether somebody could answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && tells_a_terminal()
}
