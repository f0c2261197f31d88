//! Command of the operator that takes the document on standard input.

use std::time::Duration;

use super::notice::Notice;
use super::patience::{ENDING, FailedTry};
use crate::child::environment::Withheld;
use crate::child::{EndedBy, Program, Stderr, Surplus};

/// Command for the shell, and the variables that it does not get.
pub(super) struct NoticeCommand {
    pub(super) command: String,
    pub(super) withheld: Withheld,
}

impl NoticeCommand {
    /// Runs it once. Whoever waits for the end of the try hears of it: so much of the time is left to end the command, politely at first.
    pub(super) async fn send(&self, notice: &Notice, within: Duration) -> Result<(), FailedTry> {
        let ending = ENDING.min(within * 3 / 10);
        let deadline = within.saturating_sub(ending);
        let document = notice.document() + "\n";
        let program = Program {
            command: &self.command,
            folder: None,
            input: document.as_bytes(),
            withheld: &self.withheld,
            stderr: Stderr::WithOutput,
            deadline,
            grace: ending / 2,
            // Nobody reads it: it could repeat a secret that only the command knows.
            limit: 0,
            surplus: Surplus::Discarded,
        };
        let ended = program.run().await;
        let ended = ended.map_err(|error| FailedTry::ForNow(format!("the command cannot be run: {error}")))?;
        let again = |problem| Err(FailedTry::ForNow(problem));
        match ended.by {
            EndedBy::Exit(0) => Ok(()),
            EndedBy::Exit(127) => again("the command ended with 127: the shell finds no such program".to_owned()),
            EndedBy::Exit(code) => again(format!("the command ended with {code}")),
            EndedBy::Signal(signal) => again(format!("the command was ended by signal {signal}")),
            EndedBy::Deadline => {
                Err(FailedTry::CutOff(format!("the command did not end within {:.1} s", deadline.as_secs_f64())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::notices::notice::Occasion;

    /// Whoever waits for the end of the try hears of the command, and the command of its end.
    #[tokio::test]
    async fn a_command_that_does_not_end_is_asked_to_and_then_ended_within_its_try() {
        let folder = tempfile::tempdir().unwrap();
        let tidied = folder.path().join("tidied");
        let tidies_up = format!("trap 'echo >{}; exit' TERM; sleep 60 & wait", tidied.display());
        let within = Duration::from_secs(3);
        for command in [tidies_up, "trap '' TERM; sleep 60 & sleep 60".to_owned()] {
            let command = NoticeCommand { command, withheld: Withheld::default() };
            let notice = Notice::new(Occasion::End, "run", String::new());
            let sent = timeout(within, command.send(&notice, within)).await;
            let cut_off = FailedTry::CutOff("the command did not end within 2.1 s".to_owned());
            assert_eq!(sent, Ok(Err(cut_off)), "{}", command.command);
        }
        assert!(tidied.exists());
    }
}
