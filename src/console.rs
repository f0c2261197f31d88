//! Results to standard output, everything else to standard error: the only room from which anything reaches a terminal or a pipe.
//!
//! People are told by lines ([`Printout`]), programs by what goes through a [`Sieve`]. Other ways to the two streams are disallowed, in
//! `.clippy.toml`.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::wording::printout::Printout;
use crate::wording::sieve::{Form, Sieve};
use crate::wording::visible::visible;

/// Form of what people are told: lines, or an object a line for those who collect logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

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

    /// Error, its causes, and after an empty line the next thing to do.
    pub(crate) fn fail(self, text: &str, causes: &[String], hint: Option<&str>) {
        self.write_lines(Level::Error, |out| {
            writeln!(out, "{text}")?;
            for cause in causes {
                writeln!(out, "  caused by: {cause}")?;
            }
            if let Some(hint) = hint {
                writeln!(out)?;
                writeln!(out, "hint: {hint}")?;
            }
            Ok(())
        });
    }

    /// Several lines, told as [`Console::say`] tells one.
    pub(crate) fn tell(self, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) {
        if !self.quiet {
            self.write_lines(Level::Info, write);
        }
    }

    /// Lines that are read by themselves, whatever the format of the log.
    pub(crate) fn list(self, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) {
        if !self.quiet {
            put(&lines(width_of(&io::stderr()), write));
        }
    }

    fn write(self, level: Level, text: &str) {
        self.write_lines(level, |out| writeln!(out, "{text}"));
    }

    fn write_lines(self, level: Level, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) {
        let text = match (self.format, level) {
            (LogFormat::Text, Level::Info) => lines(width_of(&io::stderr()), write),
            (LogFormat::Text, Level::Warning | Level::Error) => {
                let (name, text) = (level.name(), lines(None, write));
                lines(width_of(&io::stderr()), |out| {
                    let (first, others) = text.split_once('\n').unwrap_or((&text, ""));
                    writeln!(out, "{name}: {first}")?;
                    others.lines().try_for_each(|line| writeln!(out, "{line}"))
                })
            }
            (LogFormat::Json, _) => {
                let (at, text) = (jiff::Timestamp::now(), lines(None, write));
                let record =
                    serde_json::json!({"at": at, "level": level.name(), "message": text.trim_end_matches('\n')});
                Form::Json.fit(&record.to_string()) + "\n"
            }
        };
        put(&text);
    }
}

fn lines(width: Option<usize>, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    write(&mut Printout::on_terminal(&mut text, width, false)).expect("a vector takes everything");
    String::from_utf8(text).expect("lines are text")
}

/// Nobody may listen on standard error any more: there is nobody to tell then.
fn put(text: &str) {
    _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Asks on the terminal: the cursor stays behind the question.
pub(crate) fn ask(question: &str) {
    put(&format!("\n{} ", visible(question)));
}

/// Tells an answer that agrees; silence does not.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// From here on bugs are told like all else.
pub(crate) fn tell_of_panics() {
    std::panic::set_hook(Box::new(panicked));
}

/// Tells of a bug where it happened; that it ended the launch is told by whoever ends it.
fn panicked(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let (name, text) = (thread.name().unwrap_or("?"), panic.payload_as_str().unwrap_or("a panic without a text"));
    let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
    let trace = std::backtrace::Backtrace::capture();
    put(&lines(None, |out| {
        writeln!(out, "thread `{name}` panicked at {place}: {text}")?;
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            trace.to_string().lines().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        Ok(())
    }));
}

/// Whether this process has given a result to whoever reads standard output.
static GIVEN: AtomicBool = AtomicBool::new(false);

/// Standard output, and what is to be known of it afterwards.
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

/// A reader that has seen enough (`| head`) is no error.
fn give<E: From<io::Error>>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    let mut results = Results { out: io::stdout().lock(), reader_left: false };
    let mut out = io::BufWriter::new(&mut results);
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    // What could not be written is not tried again.
    _ = out.into_parts();
    if results.reader_left { Ok(()) } else { written }
}

/// Writes a result for people to standard output, folded and in colours where a terminal shows it so.
pub(crate) fn print<E: From<io::Error>>(write: impl FnOnce(&mut Printout<'_>) -> Result<(), E>) -> Result<(), E> {
    let (width, coloured) = (width_of(&io::stdout()), has_colours(&io::stdout()));
    give(|out| write(&mut Printout::on_terminal(out, width, coloured)))
}

/// Writes a result that is made of more than lines of ours to standard output: documents, rows for other programs.
pub(crate) fn document<E: From<io::Error>>(
    form: Form,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let form = match (form, shows_results()) {
        (form, true) => form.on_a_terminal(),
        // A table that somebody keeps, or gives to a program, has to hold what they would find in the report as a file.
        (Form::Table, false) => Form::Values,
        (form, false) => form,
    };
    give(|out| {
        let mut out = Sieve::new(form, out);
        write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// Writes one event, which is no result by itself.
pub(crate) fn event(event: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all((Form::Json.fit(&event.to_string()) + "\n").as_bytes())?;
    out.flush()
}

/// Writes what was asked about the program itself to standard output.
pub(crate) fn help(write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> io::Result<()> {
    // The library that knows the flags has folded it.
    give(|out| write(&mut Printout::on_terminal(out, None, has_colours(&io::stdout()))))
}

/// Writes how the program is called to whoever called it otherwise.
pub(crate) fn misread(write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) {
    let mut text = Vec::new();
    write(&mut Printout::on_terminal(&mut text, None, has_colours(&io::stderr()))).expect("a vector takes everything");
    _ = io::stderr().lock().write_all(&text);
}

/// source: `no-color.org`; terminfo calls a terminal dumb that knows no escapes.
fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_empty = |name| std::env::var_os(name).is_none_or(|text| text.is_empty());
    stream.is_terminal() && is_empty("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of a terminal; none, if it is none or does not say.
fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    // Narrower ones are none that anybody reads prose on.
    Some(usize::from(size.ws_col)).filter(|width| *width >= 40)
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

/// Tells that people see at once what goes to them, and that no file keeps it.
pub(crate) fn tells_a_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether there is somebody who could answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && tells_a_terminal()
}
