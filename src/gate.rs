//! Gate at which a request waits for leave to go: slot, cool-down, pace. Changes and reads pass the same gate.
//!
//! The order matters. A change comes to hand (see [`at_hand`]), its intent is recorded, it takes a slot if it has none, and only
//! then is a token of the pace spent: a slow disk can neither bunch sends nor keep slots from requests that could use them.
//!
//! [`state`] is one lane's gate and the limits that are set for it, [`pacing`] decides when its requests may leave, [`at_hand`] and
//! [`pass`] are where they wait, [`answers`] is what answers change for those behind them. [`quota`] learns the pace from the
//! service's 429s, [`shared_rate`] is the pace that all lanes share.

mod answers;
mod at_hand;
mod bursts;
mod count_guard;
mod let_through;
mod pace;
mod pace_queue;
mod pacing;
mod pass;
pub(crate) mod queue;
mod quota;
pub(crate) mod settings;
mod shared_rate;
pub(crate) mod slots;
mod snapshot;
mod state;
mod suspicion;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use at_hand::AtHand;
pub(crate) use pacing::Lessons;
pub(crate) use pass::Pass;
pub(crate) use quota::{Learned, Remembered};
pub(crate) use shared_rate::SharedRate;
pub(crate) use snapshot::Snapshot;
pub(crate) use state::{Gate, Past};
