//! The log of a run on NATS (its `JetStream`), which outlives the machine that writes it: another one reads it back, and goes on.
//!
//! The room has what implements [`Log`](crate::log::seam::Log) with it: the stream (`stream`), the form of a commit (`message`), the
//! writer (`log`) and the way back into a journal (`replay`), and the run as it was made (`plan`). It decides nothing about a run: who
//! leads it, and when a change may leave, is asked elsewhere. No other room knows of NATS.

mod admission;
mod beat;
mod claims;
mod connection;
mod leading;
mod listing;
mod log;
mod message;
mod plan;
mod replay;
pub(crate) mod servers;
pub(crate) mod site;
mod stream;
#[cfg(test)]
mod tests;
