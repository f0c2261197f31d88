//! Lines on their way to somebody who may not take them: a paused pager, a full pipe. A thread writes them, so that whoever tells a decision
//! about a row goes on at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

use super::level::Level;

/// Most lines that wait; diagnostics beyond it are counted alone.
const MOST: usize = 8_192;

/// Longest wait for the lines before one that is written by its teller, and at the end of the process.
const PATIENCE: Duration = Duration::from_secs(1);

type WriteLine = Box<dyn FnOnce() + Send>;

/// Way of a line to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineWay {
    /// Written by its teller, behind all that was queued.
    InPerson,
    Queued,
    /// Dropped where too much waits.
    QueuedIfThereIsRoom,
}

impl LineWay {
    pub(super) fn for_level(level: Level) -> Self {
        match level {
            Level::Error => LineWay::InPerson,
            Level::Warning | Level::Info => LineWay::Queued,
            Level::Debug | Level::Trace => LineWay::QueuedIfThereIsRoom,
        }
    }
}

/// Queue of one destination. Until it is started, each line is written by its teller.
pub(super) struct LineQueue {
    is_started: AtomicBool,
    state: Mutex<QueueState>,
    changed: Condvar,
}

struct QueueState {
    lines: VecDeque<WriteLine>,
    n_dropped: u64,
    is_writing: bool,
    /// A wait was in vain, and nothing was written since.
    is_stuck: bool,
}

impl LineQueue {
    pub(super) const fn new() -> Self {
        let state = QueueState { lines: VecDeque::new(), n_dropped: 0, is_writing: false, is_stuck: false };
        Self { is_started: AtomicBool::new(false), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Starts the thread. `tell_dropped` writes how many lines are missing, once the others are written.
    pub(super) fn start(&'static self, tell_dropped: impl Fn(u64) + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("lines".to_owned()).spawn(move || self.serve(&tell_dropped))?;
        self.is_started.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has a line written.
    pub(super) fn pass(&self, way: LineWay, write: impl FnOnce() + Send + 'static) {
        if !self.is_started.load(Ordering::Relaxed) {
            return write();
        }
        match way {
            LineWay::InPerson => {
                self.flush();
                write();
            }
            LineWay::QueuedIfThereIsRoom if self.state().lines.len() >= MOST => self.state().n_dropped += 1,
            LineWay::Queued | LineWay::QueuedIfThereIsRoom => {
                self.state().lines.push_back(Box::new(write));
                self.changed.notify_all();
            }
        }
    }

    /// Waits until all is written, for a second at most.
    pub(super) fn flush(&self) {
        if !self.is_started.load(Ordering::Relaxed) {
            return;
        }
        let is_left = |state: &mut QueueState| !state.is_stuck && (state.is_writing || state.has_work());
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, is_left);
        let (mut state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stuck |= result.timed_out();
    }

    fn serve(&self, tell_dropped: &impl Fn(u64)) {
        let mut state = self.state();
        loop {
            state = self.changed.wait_while(state, |state| !state.has_work()).unwrap_or_else(PoisonError::into_inner);
            state.is_writing = true;
            let (line, n_dropped) = match state.lines.pop_front() {
                Some(line) => (Some(line), 0),
                None => (None, mem::take(&mut state.n_dropped)),
            };
            drop(state);
            match line {
                Some(write) => write(),
                None => tell_dropped(n_dropped),
            }
            state = self.state();
            (state.is_writing, state.is_stuck) = (false, false);
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn has_work(&self) -> bool {
        !self.lines.is_empty() || self.n_dropped > 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn nobody_waits_for_a_reader_and_what_does_not_fit_is_counted_once() {
        let queue: &'static LineQueue = Box::leak(Box::new(LineQueue::new()));
        let (written, came) = channel();
        let dropped = written.clone();
        queue.start(move |n| dropped.send(format!("{n} dropped")).unwrap()).unwrap();
        let (release, released) = channel::<()>();
        queue.pass(LineWay::QueuedIfThereIsRoom, move || released.recv().unwrap());
        // The thread may or may not have taken the first yet.
        for _ in 0..MOST + 10 {
            let written = written.clone();
            queue.pass(LineWay::QueuedIfThereIsRoom, move || written.send("line".to_owned()).unwrap());
        }
        let kept = written.clone();
        queue.pass(LineWay::Queued, move || kept.send("kept".to_owned()).unwrap());
        queue.flush();
        release.send(()).unwrap();
        // Received one by one: a wait for the queue would end where the thread is late.
        let next = || came.recv().unwrap();
        let mut n_lines = 0;
        let after_lines = loop {
            match next() {
                line if line == "line" => n_lines += 1,
                other => break other,
            }
        };
        assert_eq!(after_lines, "kept");
        let n_dropped = MOST + 10 - n_lines;
        assert!((10..=11).contains(&n_dropped), "{n_dropped}");
        assert_eq!(next(), format!("{n_dropped} dropped"));
        let queued = written.clone();
        queue.pass(LineWay::Queued, move || queued.send("queued".to_owned()).unwrap());
        queue.pass(LineWay::InPerson, move || written.send("in person".to_owned()).unwrap());
        assert_eq!([next(), next()], ["queued", "in person"]);
    }
}
