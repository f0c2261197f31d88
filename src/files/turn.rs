//! Turns of processes that write to one place.

use std::time::{Duration, Instant};

/// Longest wait for another process that writes.
const WITHIN: Duration = Duration::from_secs(1);
const ASKED_EVERY: Duration = Duration::from_millis(10);

/// Asks for a turn until there is an answer; `None` if another process has it for longer than it takes to write.
pub(crate) fn wait_for_turn<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let asked = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || asked.elapsed() > WITHIN {
            return answer;
        }
        std::thread::sleep(ASKED_EVERY);
    }
}
