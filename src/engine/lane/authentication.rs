//! Credentials of a lane: waited for before a request is made, renewed once they are refused, and the lane stops where that
//! does not help.

use tokio::time::sleep;

use super::state::Lane;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::diagnostics;
use crate::event::lane::LaneStop;
use crate::event::outcome::Outcome;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

/// Result of a wait for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentialed {
    /// Requests have a proof of identity.
    Ready,
    /// No proof can be had, and the lane has stopped.
    Stopped,
}

impl<R: Remote> Lane<R> {
    /// Waits until there is a proof for requests. The lane stops if none can be had.
    pub(crate) async fn credentialed(&self) -> Result<Credentialed, NotRecorded> {
        let mut tries = 0;
        loop {
            self.tell_maker().await?;
            let error = match self.remote.ready().await {
                Ok(()) => {
                    self.tell_maker().await?;
                    return Ok(Credentialed::Ready);
                }
                Err(error) => error,
            };
            tries += 1;
            if let CredentialsError::NoWorker { .. } = error {
                self.halt(LaneStop::NoCredentials, error.to_string()).await?;
                return Ok(Credentialed::Stopped);
            }
            let CredentialsError::Unreachable { .. } = error else {
                self.halt(LaneStop::Unauthenticated, error.to_string()).await?;
                return Ok(Credentialed::Stopped);
            };
            if tries >= self.settings.patience.attempts {
                self.halt(LaneStop::NoCredentials, error.to_string()).await?;
                return Ok(Credentialed::Stopped);
            }
            let wait = self.settings.patience.wait(tries, rand::random());
            diagnostics::decided(|| {
                format!("account `{}` waits {} ms for credentials: {error}", self.name, wait.as_millis())
            });
            if self.stop.unless_draining(sleep(wait)).await.is_none() {
                return Ok(Credentialed::Stopped);
            }
        }
    }

    /// Records which worker serves the lane, if another one does than was recorded last.
    async fn tell_maker(&self) -> Result<(), NotRecorded> {
        match self.made_by.note(self.remote.made_by()) {
            Some(told) => self.record(vec![told.into()], None).await,
            None => Ok(()),
        }
    }

    /// Renews credentials that were refused, unless the lane has stopped; it stops where no others are to be had.
    pub(super) async fn renew(&self, outcome: &Outcome, generation: Generation) -> Result<(), NotRecorded> {
        if self.stopped().is_some() {
            return Ok(());
        }
        match self.stop.unless_aborting(self.remote.renew(generation)).await {
            Some(Renewal::Renewed) | None => Ok(()),
            Some(Renewal::Refused(None)) => self.halt(LaneStop::Unauthenticated, outcome.to_string()).await,
            Some(Renewal::Refused(Some(why))) => {
                self.halt(LaneStop::Unauthenticated, format!("{outcome}; {why}")).await
            }
        }
    }

    /// Stops the lane if a request in renewed credentials was refused too, whatever others were told. Called before the lane heeds
    /// the outcome, so that nothing is renewed for it again.
    pub(crate) async fn stop_if_refused_again(&self, outcome: &Outcome) -> Result<(), NotRecorded> {
        if outcome.refuses_us() {
            self.halt(LaneStop::Unauthenticated, format!("{outcome}; with new credentials too")).await?;
        }
        Ok(())
    }

    /// Tells that a request that was refused may be made again in other credentials, once the lane has heeded that.
    pub(crate) fn goes_on_renewed(&self, outcome: &Outcome) -> bool {
        outcome.refuses_us() && self.stopped().is_none()
    }
}
