//! Signals: the first drains, the second aborts, the third exits at once.
//!
//! SIGHUP only drains, however often it comes: a closed terminal sends it twice, from the shell and from the system, and a service
//! manager may send it right after its own signal. Once the end is decided, each ends the wait for notices, and the third leaves with
//! the code that was decided.
//!
//! They come in a thread of their own, from the first time they are listened to until the process ends: with our handlers in place, one
//! that nobody acts on would do nothing at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::console::{self, Console};
use crate::engine::stop::Stop;
use crate::event::run::{DrainReason, RunEvent};
use crate::exit::Exit;
use crate::recorder::Recorder;
use crate::report::failure::Failure;
use crate::verb::notices::Notices;
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
    heard: UnboundedReceiver<EndSignal>,
}

/// State of the process's thread for signals.
struct Hearing {
    is_listening: bool,
    /// Signals that came and were no SIGHUP.
    n_asked: u32,
    /// Signals that came between two launches of the process, for the next one.
    unheard: Vec<EndSignal>,
    stage: LaunchStage,
}

/// Stage of a launch, by which a signal means something.
enum LaunchStage {
    /// Goes on. There are no last words until there is something to stop.
    GoesOn { to: UnboundedSender<EndSignal>, last_words: Option<LastWords> },
    /// Its end is decided.
    Ended { exit: Exit, notices: Notices },
    /// No launch was begun.
    NotBegun,
}

static HEARING: Mutex<Hearing> =
    Mutex::new(Hearing { is_listening: false, n_asked: 0, unheard: Vec::new(), stage: LaunchStage::NotBegun });

fn hearing() -> MutexGuard<'static, Hearing> {
    HEARING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the exit that is decided: from here on, a signal no longer changes it.
pub(crate) fn end_is_decided(exit: Exit, notices: &Notices) {
    hearing().stage = LaunchStage::Ended { exit, notices: notices.clone() };
}

impl Signals {
    /// Listens for a launch that begins, also to what came since nobody listens any more.
    pub(super) fn listen() -> std::io::Result<Self> {
        let mut hearing = hearing();
        if !hearing.is_listening {
            hear()?;
            hearing.is_listening = true;
        }
        let (to, heard) = unbounded_channel();
        for signal in hearing.unheard.drain(..) {
            to.send(signal).expect("it is heard below");
        }
        hearing.n_asked = 0;
        hearing.stage = LaunchStage::GoesOn { to, last_words: None };
        Ok(Self { heard })
    }

    /// Waits for the next one. One that came while nobody waited is kept.
    pub(super) async fn next(&mut self) -> EndSignal {
        match self.heard.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Starts the thread, once the handlers are in place.
fn hear() -> std::io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let within = runtime.enter();
    let mut hang_up = if hang_ups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(within);
    let hear = async move {
        loop {
            came(tokio::select! {
                Some(()) = interrupt.recv() => EndSignal::Interrupt,
                Some(()) = terminate.recv() => EndSignal::Terminate,
                Some(()) = next(&mut hang_up) => EndSignal::HangUp,
                else => return,
            });
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(hear)).map(drop)
}

/// Acts on a signal, or hands it to the launch that goes on.
fn came(signal: EndSignal) {
    let mut hearing = hearing();
    let Hearing { n_asked, unheard, stage, .. } = &mut *hearing;
    *n_asked += u32::from(signal != EndSignal::HangUp);
    let is_third = signal != EndSignal::HangUp && *n_asked > 2;
    match stage {
        LaunchStage::GoesOn { last_words, .. } if is_third => {
            let last_words = last_words.take();
            drop(hearing);
            leave(signal.exit(), last_words);
        }
        LaunchStage::Ended { exit, .. } if is_third => leave(*exit, None),
        // Whoever does not listen any more has ended, or comes to nothing, and a standby listens again.
        LaunchStage::GoesOn { to, .. } => unheard.extend(to.send(signal).err().map(|unheard| unheard.0)),
        LaunchStage::Ended { notices, .. } => notices.wait_no_longer(),
        LaunchStage::NotBegun => (),
    }
}

/// Starts a task that acts on signals until the runtime ends. Once `ended` is true, they end the wait for notices alone.
pub(super) fn watch(
    mut signals: Signals,
    stop: Stop,
    recorder: Recorder,
    ended: Arc<AtomicBool>,
    notices: Notices,
    last_words: LastWords,
) {
    if let LaunchStage::GoesOn { last_words: kept, .. } = &mut hearing().stage {
        *kept = Some(last_words);
    }
    tokio::spawn(async move {
        let mut n_asked = 0_u32;
        loop {
            let signal = signals.next().await;
            let reason = signal.reason();
            let is_new = !stop.has_reason(reason);
            n_asked += u32::from(signal != EndSignal::HangUp);
            if ended.load(Ordering::Relaxed) {
                notices.wait_no_longer();
                // What is decided may wait to be recorded, for a log that is away.
                if n_asked > 1 {
                    stop.abort();
                } else {
                    stop.drain(reason);
                }
                continue;
            }
            match signal {
                EndSignal::HangUp if is_new => drain(&stop, &recorder, reason),
                EndSignal::HangUp => (),
                EndSignal::Interrupt | EndSignal::Terminate if n_asked == 1 && is_new => {
                    drain(&stop, &recorder, reason);
                }
                EndSignal::Interrupt | EndSignal::Terminate => stop.abort(),
            }
        }
    });
}

/// Drains the run. The record of it, for the audit, is not waited for.
fn drain(stop: &Stop, recorder: &Recorder, reason: DrainReason) {
    stop.drain(reason);
    let recorder = recorder.clone();
    tokio::spawn(async move {
        let drain = RunEvent::DrainBegan { reason, why: None };
        _ = recorder.record_of_run(vec![drain]).await;
    });
}

async fn next(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
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
fn leave(exit: Exit, last_words: Option<LastWords>) -> ! {
    if let Some(last_words) = last_words {
        let (said, is_said) = mpsc::channel();
        std::thread::spawn(move || {
            last_words.say(exit);
            _ = said.send(());
        });
        _ = is_said.recv_timeout(LAST_WORDS);
    }
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
