mod engine;
pub mod credentials;
pub mod event;
pub mod exit;
mod gate;
pub mod journal;
mod judge;
pub mod ledger;
pub mod model;
mod observe;
mod preflight;
mod recorder;
mod remote;
mod retry;
#[cfg_attr(not(test), expect(dead_code, reason = "the engine is the first to send"))]
pub(crate) mod remote;
pub mod plan;
pub mod sandbox;
