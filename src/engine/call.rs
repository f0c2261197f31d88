//! One row from where it stands to a verdict: the function that a newcomer should read first.
//!
//! The order is that of the runbook: *look*, record the *intent*, get *leave* to go, *wire*, record the *outcome*, *look*,
//! *verdict*. [`Call::run`] does what the row's phase asks for, `attempt` is one request. A step that cannot go on returns
//! early (`state::Early`): the call is over, or begins again from where the row stands by then.
//!
//! `state` is what a call knows and holds, `known` for how long a look may be relied on, `turn` what a request waits for, `answer`
//! what follows from its outcome, `look`, `doubt` and `verify` what looks mean before it, after it, and when it was accepted.

use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::ledger::standing::Phase;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

mod agreement;
mod answer;
mod attempt;
mod doubt;
mod known;
mod look;
mod state;
mod turn;
mod verify;

pub(crate) use state::{Call, LaunchPurpose};
use state::{Early, Step};

impl<R: Remote> Call<'_, R> {
    /// Takes the row to a verdict, or leaves it for a later launch.
    ///
    /// Boxed is what takes much room for a short time: most rows that are open only wait to be verified.
    pub(crate) async fn run(&mut self) -> Result<(), NotRecorded> {
        loop {
            let step = match self.known.standing.phase {
                Phase::Open => Box::pin(self.take_up_cut_off_attempt()).await,
                Phase::Accepted => self.verify().await,
                Phase::InDoubt => Box::pin(self.look_in_doubt()).await,
                Phase::Untried | Phase::Due => match self.purpose {
                    LaunchPurpose::Carry => self.send().await,
                    LaunchPurpose::Reconcile => Err(Early::End),
                },
                Phase::Settled(_) => Err(Early::End),
            };
            match step {
                Ok(()) | Err(Early::Restart) => (),
                Err(Early::End) => return Ok(()),
                Err(Early::Closed(closed)) => return Err(closed),
            }
        }
    }

    /// Records the end of an attempt that an earlier launch sent, or was about to send, when it ended itself.
    async fn take_up_cut_off_attempt(&mut self) -> Step<()> {
        let cause = "the launch ended before the answer came".to_owned();
        let outcome = Outcome::Lost { status: None, code: None, cause };
        let attempt = self.known.standing.started;
        let ended =
            RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0, via: None }.about(self.row.id);
        Ok(self.record(vec![ended]).await?)
    }
}
