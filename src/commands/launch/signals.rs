//! Signals are read here and nowhere else: the first drains, the second lets go, the third leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::engine::stop::Stop;
use crate::event::{DrainReason, EventKind, LaneId};
use crate::exit::Exit;
use crate::recorder::Recorder;

/// Serves until the runtime ends.
pub(super) fn watch(stop: Stop, recorder: Recorder, ended: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for count in 1.. {
            let reason = tokio::select! {
                Some(()) = interrupt.recv() => DrainReason::Interrupted,
                Some(()) = terminate.recv() => DrainReason::Terminated,
                else => return,
            };
            match count {
                1 => {
                    stop.drain(reason);
                    if !ended.load(Ordering::Relaxed) {
                        // Journaled for the audit; stopping does not wait for it.
                        let recorder = recorder.clone();
                        tokio::spawn(async move {
                            _ = recorder
                                .record(LaneId::RUN, vec![EventKind::DrainBegan { reason, why: None }], None)
                                .await;
                        });
                    }
                }
                2 => stop.abort(),
                _ => leave(reason),
            }
        }
    });
    Ok(())
}

/// What is on the wire stays in doubt; the journal has its beginning.
#[expect(clippy::exit, reason = "the third signal means at once")]
fn leave(reason: DrainReason) -> ! {
    let exit = if reason == DrainReason::Terminated { Exit::Terminated } else { Exit::Interrupted };
    std::process::exit(exit.code().into())
}
