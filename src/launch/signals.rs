//! Signals: the first drains, the second aborts, the third exits at once.
//!
//! SIGHUP only drains, however often it comes: a closed terminal sends it twice, from the shell and from the system, and a service
//! manager may send it right after its own signal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console::{self, Console};
use crate::engine::stop::Stop;
use crate::event::run::{DrainReason, RunEvent};
use crate::exit::Exit;
use crate::recorder::Recorder;
use crate::report::failure::Failure;
use crate::wording::sieve::Form;

/// Time in which the last message has to be taken: whoever sends a third signal does not wait for the reader of a full pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Message of a launch that leaves at once.
pub(super) struct LastWords {
    pub(super) console: Console,
    /// Command that shows the run; absent from one that is only rehearsed.
    pub(super) status: Option<String>,
}

/// Signal that asks a launch to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndSignal {
    HangUp,
    Interrupt,
    Terminate,
}

impl EndSignal {
    pub(super) const ALL: [EndSignal; 3] = [EndSignal::HangUp, EndSignal::Interrupt, EndSignal::Terminate];

    pub(super) fn reason(self) -> DrainReason {
        match self {
            EndSignal::HangUp => DrainReason::HungUp,
            EndSignal::Interrupt => DrainReason::Interrupted,
            EndSignal::Terminate => DrainReason::Terminated,
        }
    }

    pub(super) fn exit(self) -> Exit {
        match self {
            EndSignal::HangUp => Exit::HungUp,
            EndSignal::Interrupt => Exit::Interrupted,
            EndSignal::Terminate => Exit::Terminated,
        }
    }
}

/// Signals that ask to end, from the moment at which they are listened to: from there on they do not end the process by themselves.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Listens; within a runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        let hang_up = if hang_ups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    /// Waits for the next one. One that came while nobody waited is kept.
    pub(super) async fn next(&mut self) -> EndSignal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => EndSignal::Interrupt,
            Some(()) = self.terminate.recv() => EndSignal::Terminate,
            Some(()) = next(&mut self.hang_up) => EndSignal::HangUp,
            else => std::future::pending().await,
        }
    }
}

/// Starts a task that acts on signals until the runtime ends. Once `ended` is true, a drain is not recorded.
pub(super) fn watch(
    mut signals: Signals,
    stop: Stop,
    recorder: Recorder,
    ended: Arc<AtomicBool>,
    last_words: LastWords,
) {
    tokio::spawn(async move {
        let mut n_asked = 0;
        loop {
            let reason = signals.next().await.reason();
            let is_new = !stop.has_reason(reason);
            n_asked += u32::from(reason != DrainReason::HungUp);
            match (reason, n_asked) {
                (DrainReason::HungUp, _) | (_, 1) if is_new => {
                    stop.drain(reason);
                    if !ended.load(Ordering::Relaxed) {
                        // Recorded for the audit; the drain does not wait for it.
                        let recorder = recorder.clone();
                        tokio::spawn(async move {
                            let drain = RunEvent::DrainBegan { reason, why: None };
                            _ = recorder.record_of_run(vec![drain]).await;
                        });
                    }
                }
                (DrainReason::HungUp, _) => (),
                (_, 2) => stop.abort(),
                _ => leave(reason, last_words),
            }
        }
    });
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Tells whether SIGHUP is ignored since the start of the process, as under `nohup`.
///
/// source: `proc_pid_status(5)` (`SigIgn`), signal(7) (SIGHUP is 1).
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Exits at once. Rows on the wire stay in doubt: the journal has their intents.
#[expect(clippy::exit, reason = "the third signal means at once")]
fn leave(reason: DrainReason, last_words: LastWords) -> ! {
    let exit = if reason == DrainReason::Terminated { Exit::Terminated } else { Exit::Interrupted };
    let (said, is_said) = mpsc::channel();
    std::thread::spawn(move || {
        last_words.say(exit);
        _ = said.send(());
    });
    _ = is_said.recv_timeout(LAST_WORDS);
    std::process::exit(exit.code().into())
}

impl LastWords {
    fn say(&self, exit: Exit) {
        let why = exit.signal().unwrap_or_default();
        let text = format!("{why} three times, and left at once: changes that were under way are in doubt");
        let hint = self.status.as_ref().map(|status| format!("`{status}` shows how to go on"));
        self.console.fail(&text, &[], hint.as_deref());
        if self.console.json {
            let failure = Failure::new(exit, &text, hint.as_deref());
            _ = console::document(Form::Json, |out| failure.write_json(out));
        }
    }
}
