//! One row from where it stands to a verdict: the function that a newcomer should read first.

use std::ops::ControlFlow::{Break, Continue};

use crate::event::Outcome;
use crate::event::row::RowEvent;
use crate::ledger::Phase;
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;

mod agreement;
mod attempt;
mod look;
mod state;
mod verify;

pub(crate) use state::Call;
use state::{Ending, Step};

impl<R: Remote> Call<'_, R> {
    /// Boxed is what takes much room for a short time: most rows that are open only wait to be verified.
    pub(crate) async fn run(&mut self) -> Result<Ending, JournalClosed> {
        loop {
            let step = match self.standing.phase {
                Phase::Open => Box::pin(self.take_up_cut_off_attempt()).await?,
                Phase::Accepted => return self.verify().await,
                Phase::InDoubt => Box::pin(self.look_in_doubt()).await?,
                Phase::Untried | Phase::Due if !self.sends => return Ok(Ending::Later),
                Phase::Untried | Phase::Due => self.send().await?,
                Phase::Settled(verdict) => return Ok(Ending::Settled(verdict)),
            };
            if let Break(ending) = step {
                return Ok(ending);
            }
        }
    }

    /// An earlier launch sent this, or was about to, and died before the answer.
    async fn take_up_cut_off_attempt(&mut self) -> Step<()> {
        let cause = "the launch ended before the answer came".to_owned();
        let outcome = Outcome::Lost { status: None, code: None, cause };
        let attempt = self.standing.started;
        let ended = RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0 }.about(self.row.id);
        self.record(vec![ended]).await?;
        Ok(Continue(()))
    }
}
