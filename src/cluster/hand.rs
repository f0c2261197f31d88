//! Both sides of a hand: a launch hands a request to a worker over the servers of the log, and the worker makes it.
//!
//! ```text
//! head                                   worker
//!  │── do ────────────────────────────────▶│  makes ready: credentials
//!  │◀──────────────────────────── taken ───│  starts its own clock
//!  │── go ────────────────────────────────▶│  within one second of `taken`, or it says `late`
//!  │                                        │══▶ the service
//!  │◀───────────────────────────── done ───│  outcome
//! ```
//!
//! A read has `do` and `done` alone. Whatever ends before `go` was never sent and never will be; from there on, a missing answer is one
//! that is not known. No two clocks are compared: each side measures its own second, by a clock that a stopped process does not stop.
//! Nothing of this is stored. A worker has no journal, and credentials are in no message.

mod answers;
mod asking;
mod roster;
mod serving;
mod words;

pub(super) use asking::LaunchHands;
pub(super) use serving::Workplace;
