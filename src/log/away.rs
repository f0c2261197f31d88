//! Wait for the servers of a log while they are away, shared by the log, which waits for them in a commit, and the launch, which tells
//! of it and can end it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

/// Cheap to clone; every clone is about the same log.
#[derive(Clone, Default)]
pub(crate) struct Away(Arc<watch::Sender<AwayState>>);

#[derive(Default)]
struct AwayState {
    /// Beginning of the commit that waits; `None` if none does.
    since: Option<Timestamp>,
    is_given_up: bool,
}

impl Away {
    /// Notes that a commit, which began at this time, has no answer.
    pub(crate) fn begin(&self, since: Timestamp) {
        self.0.send_if_modified(|wait| wait.since.replace(since).is_none());
    }

    /// Notes that the servers have answered.
    pub(crate) fn end(&self) {
        self.0.send_if_modified(|wait| wait.since.take().is_some());
    }

    /// Waits until the log is to be given up.
    pub(crate) async fn given_up(&self) {
        self.until(|wait| wait.is_given_up.then_some(())).await;
    }

    /// Has the log give up what has no answer by now, or has none soon. It takes nothing more from there on.
    pub(crate) fn give_up(&self) {
        self.0.send_modify(|wait| wait.is_given_up = true);
    }

    /// Waits until a commit has no answer, and returns the time at which it began.
    pub(crate) async fn begins(&self) -> Timestamp {
        self.until(|wait| wait.since).await
    }

    /// Waits until the servers have answered.
    pub(crate) async fn ends(&self) {
        self.until(|wait| wait.since.is_none().then_some(())).await;
    }

    async fn until<T>(&self, found: impl Fn(&AwayState) -> Option<T>) -> T {
        let mut waits = self.0.subscribe();
        loop {
            if let Some(found) = found(&waits.borrow_and_update()) {
                return found;
            }
            waits.changed().await.expect("the sender is borrowed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn comes<T>(waited_for: impl Future<Output = T>) -> bool {
        timeout(Duration::from_secs(1), waited_for).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told_from_its_beginning_to_its_end_and_is_given_up_for_good() {
        let (log, launch) = {
            let away = Away::default();
            (away.clone(), away)
        };
        assert!(!comes(launch.begins()).await && comes(launch.ends()).await && !comes(log.given_up()).await);
        let since = Timestamp::UNIX_EPOCH;
        log.begin(since);
        log.begin(since);
        assert!(launch.begins().await == since && !comes(launch.ends()).await);
        log.end();
        assert!(comes(launch.ends()).await && !comes(launch.begins()).await);
        launch.give_up();
        assert!(comes(log.given_up()).await && comes(log.given_up()).await);
    }
}
