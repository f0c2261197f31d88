//! Credentials that a command prints.

use std::io::{IsTerminal, stderr};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::error::CredentialsError;
use super::json;
use super::proof::{Fetched, Fetching, ProofSource};

const LONGEST: Duration = Duration::from_secs(30);
const LARGEST: u64 = 64 * 1024;

pub(super) struct PrintedBy {
    /// Text of the command, for the shell.
    pub(super) command: String,
    /// Variables with other secrets, which the command does not get.
    pub(super) withheld: Vec<String>,
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
        let mut command = Command::new("sh");
        for name in &self.withheld {
            command.env_remove(name);
        }
        let mut child = command
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(terminal_or_nothing())
            // A group of its own, so that it can be killed together with whatever it starts.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("it cannot be run: {error}")))?;
        let group = child.id();
        let mut stdout = child.stdout.take().expect("it is piped").take(LARGEST + 1);
        // Large enough from the beginning: a buffer that grows leaves copies behind.
        let mut printed = Zeroizing::new(Vec::with_capacity(usize::try_from(LARGEST).unwrap_or_default() + 1));
        let ended = timeout(LONGEST, async {
            stdout.read_to_end(&mut printed).await?;
            if printed.len() as u64 > LARGEST {
                return Ok(None);
            }
            child.wait().await.map(Some)
        });
        let ended = ended.await;
        if !matches!(ended, Ok(Ok(Some(_))))
            && let Some(group) = group
        {
            kill_group(group);
        }
        let status = match ended {
            Err(_) => {
                let reason = format!("it gave nothing within {} s", LONGEST.as_secs());
                return Err(CredentialsError::Unreachable { origin: self.origin.clone(), reason });
            }
            Ok(Err(error)) => return Err(failed(format!("it cannot be heard: {error}"))),
            Ok(Ok(None)) => return Err(failed("it printed more than 64 KiB".to_owned())),
            Ok(Ok(Some(status))) => status,
        };
        if !status.success() {
            let how = status.code().map_or_else(
                || format!("was ended by signal {}", status.signal().unwrap_or_default()),
                |code| format!("ended with {code}"),
            );
            return Err(failed(format!(
                "it {how}; what it says to standard error is shown on a terminal alone, for it may hold a secret: run it there by hand"
            )));
        }
        json::read(&printed, &self.origin)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the operator's own command says is for the operator, and for no file"
)]
fn terminal_or_nothing() -> Stdio {
    if stderr().is_terminal() { Stdio::inherit() } else { Stdio::null() }
}

/// Kills a process group: the shell alone would leave behind what it started.
fn kill_group(group: u32) {
    // A failure means that the group has ended by itself.
    _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
}
