//! Conduct of a launch that meets another one, by a lock of this machine or by a claim on the servers of a log, before it has made or sent
//! anything.
//!
//! | `--if-locked` | a lock, or a launch that is heard elsewhere | a run that is not ended, and that nobody is heard to go on with |
//! |---|---|---|
//! | `fail` | 6 | 6 |
//! | `skip` | 0, with one line | 6: it is nobody's turn, and somebody has to look |
//! | `wait` | waits | waits: a standby may go on with it |

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::request::LaunchRequest;
use super::signals::{EndSignal, Signals};
use crate::clock::{since_boot, sleep_until_since_boot};
use crate::console::Console;
use crate::exit::Exit;
use crate::lock::{self, IfLocked, LockError};
use crate::log::server::HeldElsewhere;
use crate::settings::Settings;
use crate::verb::error::CommandError;
use crate::wording::amounts::limit;

/// Interval at which a lock that is waited for is looked at. The kernel's own wait for a lock cannot be ended by a time or a signal
/// of ours.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Interval at which servers are asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Waits of one launch for locks, as its settings say. A launch may meet several locks in turn; its time does not begin anew. Ends are
/// times since the machine was started.
pub(super) struct LockWaits {
    if_locked: IfLocked,
    /// Duration and end of the time in which the launch has to begin.
    to_begin: Option<(Duration, Duration)>,
    /// End of the wait, once there was something to wait for.
    until: Option<Duration>,
    /// Signals, from the first wait on. Those that come while nothing is waited for are kept for the launch.
    signals: Option<Signals>,
}

/// Result of meeting a lock.
pub(super) enum Met {
    /// Nobody holds it any more, as far as that is known: it is worth another try.
    Free,
    /// Somebody holds it, and the launch is to end well without having done anything. In words.
    Skipped(String),
}

/// Holder of what a launch needs.
enum HeldBy {
    /// Whoever has the lock at this path.
    Lock(PathBuf),
    LaunchElsewhere,
    /// Run that nobody is heard to go on with.
    Nobody,
}

impl HeldBy {
    /// Returns the holder that an error is about, and in words what it holds; `None` if it is about something else.
    fn told(error: &CommandError) -> Option<(Self, String)> {
        if let CommandError::Lock(held @ LockError::Held { path, .. }) = error {
            return Some((HeldBy::Lock(path.clone()), held.to_string()));
        }
        let CommandError::NotLed(not_led) = error else { return None };
        Some(match not_led.held_elsewhere()? {
            HeldElsewhere::ByLaunch(told) => (HeldBy::LaunchElsewhere, told),
            HeldElsewhere::ByRun(told) => (HeldBy::Nobody, told),
        })
    }
}

/// Reason for which a wait is over.
enum WaitOver {
    Free,
    TimeIsUp,
    TooLateToBegin,
    Signal(EndSignal),
}

impl LockWaits {
    pub(super) fn new(settings: &Settings, request: &LaunchRequest) -> Self {
        let to_begin = settings.start_within.map(|within| (within, request.asked_at + within));
        Self { if_locked: settings.if_locked, to_begin, until: None, signals: None }
    }

    /// Does what is to be done about something that another launch holds: an error, unless it is to be waited for or skipped. Any other
    /// error is returned.
    pub(super) fn meet(
        &mut self,
        runtime: &Runtime,
        console: Console,
        error: CommandError,
    ) -> Result<Met, CommandError> {
        let Some((by, held)) = HeldBy::told(&error) else { return Err(error) };
        let most = match (self.if_locked, &by) {
            (IfLocked::Fail, _) | (IfLocked::Skip, HeldBy::Nobody) => return Err(error),
            (IfLocked::Skip, HeldBy::Lock(_) | HeldBy::LaunchElsewhere) => {
                return Ok(Met::Skipped(format!("skipped: {held}; nothing was sent")));
            }
            (IfLocked::Wait(most), _) => most,
        };
        let most_told = limit(most);
        if self.until.is_none() {
            console.say(&format!("waiting for at most {most_told}: {held}"));
        }
        let until = *self.until.get_or_insert_with(|| since_boot() + most);
        let over = runtime.block_on(self.wait(by, until)).map_err(CommandError::Start)?;
        let (exit, why) = match over {
            WaitOver::Free => return Ok(Met::Free),
            WaitOver::TimeIsUp => (Exit::Locked, format!("waited {most_told}")),
            WaitOver::TooLateToBegin => (Exit::Halted, self.too_late()),
            WaitOver::Signal(signal) => {
                let exit = signal.exit();
                (exit, format!("{} during the wait", exit.signal().unwrap_or_default()))
            }
        };
        Err(CommandError::StillLocked { exit, why, held, error: Box::new(error) })
    }

    /// Returns the signals, if there was a wait.
    pub(super) fn into_signals(self) -> Option<Signals> {
        self.signals
    }

    /// Tells whether a lock was waited for: what was known before may not hold any more.
    pub(super) fn has_waited(&self) -> bool {
        self.until.is_some()
    }

    fn too_late(&self) -> String {
        let within = self.to_begin.map(|(within, _)| within).unwrap_or_default();
        format!("could not begin within {} of its launch", limit(within))
    }

    async fn wait(&mut self, by: HeldBy, until: Duration) -> std::io::Result<WaitOver> {
        let signals = match &mut self.signals {
            Some(signals) => signals,
            none => none.insert(Signals::listen()?),
        };
        let free = async {
            match by {
                HeldBy::Lock(path) => loop {
                    sleep(LOOK_EVERY).await;
                    if lock::is_held(&path) != Some(true) {
                        return;
                    }
                },
                HeldBy::LaunchElsewhere | HeldBy::Nobody => sleep(ASK_EVERY).await,
            }
        };
        let late = async {
            match self.to_begin {
                Some((_, by)) => sleep_until_since_boot(by).await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            biased;
            signal = signals.next() => WaitOver::Signal(signal),
            () = free => WaitOver::Free,
            () = late => WaitOver::TooLateToBegin,
            () = sleep_until_since_boot(until) => WaitOver::TimeIsUp,
        })
    }
}
