//! What other terminals, flags and flag files say, as it takes effect.

use std::sync::Arc;

use super::{Helm, Pace};
use crate::control::{By, Command, Given};
use crate::engine::lane::Lane;
use crate::event::DrainReason;
use crate::event::run::RunEvent;
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;
use crate::waves::{Part, WaveTerms};

impl Helm {
    /// A command that came through the journal takes effect and is journaled.
    pub(crate) async fn take<R: Remote>(&self, given: Given, lanes: &[Arc<Lane<R>>]) -> Result<(), JournalClosed> {
        let Given { control, command, by } = given;
        self.steer(command, by, Some(control), lanes).await
    }

    /// The same for what did not come through the journal.
    pub(crate) async fn steer<R: Remote>(
        &self,
        command: Command,
        by: By,
        control: Option<i64>,
        lanes: &[Arc<Lane<R>>],
    ) -> Result<(), JournalClosed> {
        let command = self.meant(command);
        // Held back first and journaled then: what is sent meanwhile is less, not more. An attempt that is begun behind a
        // skip in the journal finds it before it leaves.
        if command == Command::Pause {
            self.paused.send_replace(true);
        }
        if let Command::Skip { source_id } = &command {
            self.state().steered.skipped.insert(source_id.clone(), by.clone());
        }
        let kinds = vec![RunEvent::Controlled { command: command.clone(), by: by.clone(), control }];
        self.record(kinds).await?;
        match command {
            Command::Pause | Command::Continue => self.publish_pause(),
            Command::Rate { per_second } => {
                self.state().rate = Some(Pace(per_second));
                for lane in lanes {
                    lane.set_rate(per_second);
                }
                if let Some(of_all) = &self.of_all {
                    of_all.set(per_second);
                }
            }
            Command::Concurrency { n } => {
                self.state().concurrency = Some(n);
                for lane in lanes {
                    lane.set_concurrency(n);
                }
            }
            Command::Skip { .. } | Command::Unskip { .. } | Command::Release { .. } => self.changed.notify_waiters(),
            Command::Drain => self.drain(DrainReason::Operator, format!("drained by {by}")).await?,
            Command::Abort => {
                self.drain(DrainReason::Operator, format!("aborted by {by}")).await?;
                self.stop.abort();
            }
        }
        Ok(())
    }

    /// A release that does not say what it is for is for what waits now, or else for the beginning of the wave: said
    /// twice, it does not reach further than said once.
    fn meant(&self, command: Command) -> Command {
        let Command::Release { wave, part: None } = command else { return command };
        let waits = self.state().steered.waits.as_ref().and_then(|waits| waits.for_release_of(&wave));
        let first = || self.terms.wave(Some(&wave)).map_or(Part::Canary, WaveTerms::first_approval);
        let part = waits.unwrap_or_else(first);
        Command::Release { wave, part: Some(part) }
    }
}
