//! Credentials that a command prints.

use std::io::{IsTerminal, stderr};
use std::process::Stdio;
use std::time::Duration;

use super::error::CredentialsError;
use super::json;
use super::proof::{Fetched, Fetching, ProofSource};
use crate::child::environment::Withheld;
use crate::child::{EndedBy, GRACE, Program, Stderr, Surplus};

const LONGEST: Duration = Duration::from_secs(30);
const LARGEST: usize = 64 * 1024;

pub(super) struct PrintedBy {
    /// Text of the command, for the shell.
    pub(super) command: String,
    /// Variables with other secrets, which the command does not get.
    pub(super) withheld: Withheld,
    pub(super) origin: String,
}

/// Hides the command, since people write secrets into commands, too.
impl std::fmt::Debug for PrintedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrintedBy({}, [redacted])", self.origin)
    }
}

impl ProofSource for PrintedBy {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.run())
    }

    fn renews_ahead(&self) -> Duration {
        Duration::from_mins(5)
    }
}

impl PrintedBy {
    /// Runs the command. Its output is a secret, and its standard error may contain one: a trace of the shell, a token that was
    /// refused, the request of a tool that shows what it does. So standard error goes directly to a terminal and nowhere else:
    /// not into a file, and not into the journal.
    async fn run(&self) -> Result<Fetched, CredentialsError> {
        let failed = |reason: String| CredentialsError::Denied { origin: self.origin.clone(), reason };
        let program = Program {
            command: &self.command,
            folder: None,
            input: b"",
            withheld: &self.withheld,
            stderr: Stderr::To(terminal_or_nothing()),
            deadline: LONGEST,
            grace: GRACE,
            limit: LARGEST,
            surplus: Surplus::Refused,
        };
        let ended = program.run().await.map_err(|error| failed(format!("it cannot be run: {error}")))?;
        if ended.is_cut {
            return Err(failed("it printed more than 64 KiB".to_owned()));
        }
        let how = match ended.by {
            EndedBy::Exit(0) => return json::read(&ended.output, &self.origin),
            EndedBy::Exit(code) => format!("ended with {code}"),
            EndedBy::Signal(signal) => format!("was ended by signal {signal}"),
            EndedBy::Deadline => {
                let reason = format!("it gave nothing within {} s", LONGEST.as_secs());
                return Err(CredentialsError::Unreachable { origin: self.origin.clone(), reason });
            }
        };
        Err(failed(format!(
            "it {how}; what it says to standard error is shown on a terminal alone, for it may hold a secret: run it there by hand"
        )))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the operator's own command says is for the operator, and for no file"
)]
fn terminal_or_nothing() -> Stdio {
    if stderr().is_terminal() { Stdio::inherit() } else { Stdio::null() }
}
