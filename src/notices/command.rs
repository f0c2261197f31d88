//! Command of the operator that takes the document on standard input.

use super::notice::Notice;
use super::posting::LONGEST_TRY;
use crate::child::environment::Withheld;
use crate::child::{EndedBy, Program, Stderr, Surplus};

/// Command for the shell, and the variables that it does not get.
pub(super) struct Command {
    pub(super) command: String,
    pub(super) withheld: Withheld,
}

impl Command {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let document = notice.document() + "\n";
        let program = Program {
            command: &self.command,
            folder: None,
            input: document.as_bytes(),
            withheld: &self.withheld,
            stderr: Stderr::WithOutput,
            deadline: LONGEST_TRY,
            // Nobody reads it: it could repeat a secret that only the command knows.
            limit: 0,
            surplus: Surplus::Discarded,
        };
        match program.run().await.map_err(|error| format!("the command cannot be run: {error}"))?.by {
            EndedBy::Exit(0) => Ok(()),
            EndedBy::Exit(127) => Err("the command ended with 127: the shell finds no such program".to_owned()),
            EndedBy::Exit(code) => Err(format!("the command ended with {code}")),
            EndedBy::Signal(signal) => Err(format!("the command was ended by signal {signal}")),
            EndedBy::Deadline => Err(format!("the command did not end within {} s", LONGEST_TRY.as_secs())),
        }
    }
}
