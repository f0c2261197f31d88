//! Command of the operator that takes the document on standard input.

use std::time::Duration;

use super::notice::Notice;
use crate::child::environment::Withheld;
use crate::child::{EndedBy, Program, Stderr, Surplus};

/// Command for the shell, and the variables that it does not get.
pub(super) struct NoticeCommand {
    pub(super) command: String,
    pub(super) withheld: Withheld,
}

impl NoticeCommand {
    /// Runs it once. Whoever waits for the end of the try hears of it: so much of the time is left to end the command, politely at first.
    pub(super) async fn send(&self, notice: &Notice, within: Duration) -> Result<(), String> {
        let deadline = within * 7 / 10;
        let document = notice.document() + "\n";
        let program = Program {
            command: &self.command,
            folder: None,
            input: document.as_bytes(),
            withheld: &self.withheld,
            stderr: Stderr::WithOutput,
            deadline,
            grace: within * 2 / 10,
            // Nobody reads it: it could repeat a secret that only the command knows.
            limit: 0,
            surplus: Surplus::Discarded,
        };
        match program.run().await.map_err(|error| format!("the command cannot be run: {error}"))?.by {
            EndedBy::Exit(0) => Ok(()),
            EndedBy::Exit(127) => Err("the command ended with 127: the shell finds no such program".to_owned()),
            EndedBy::Exit(code) => Err(format!("the command ended with {code}")),
            EndedBy::Signal(signal) => Err(format!("the command was ended by signal {signal}")),
            EndedBy::Deadline => Err(format!("the command did not end within {:.1} s", deadline.as_secs_f64())),
        }
    }
}
