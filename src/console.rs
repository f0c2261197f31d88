//! Results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

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

    pub(crate) fn error(self, text: &str) {
        self.write(Level::Error, text);
    }

    fn write(self, level: Level, text: &str) {
        let line = match (self.format, level) {
            (LogFormat::Text, Level::Info) => text.to_owned(),
            (LogFormat::Text, Level::Warning | Level::Error) => format!("{}: {text}", level.name()),
            (LogFormat::Json, _) => {
                let at = jiff::Timestamp::now();
                serde_json::json!({"at": at, "level": level.name(), "message": text}).to_string()
            }
        };
        // Nobody listens on standard error any more: there is nobody to tell.
        _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn result(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether results go to a terminal, and not to a file or a program.
pub(crate) fn shows_results() -> bool {
    io::stdout().is_terminal()
}

/// Whether there is somebody who could answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
