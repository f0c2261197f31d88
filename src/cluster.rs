//! The log of a run on NATS (its `JetStream`), which outlives the machine that writes it: another one reads it back, and goes on.
//!
//! The room has what implements [`Log`](crate::log::seam::Log) with it: the stream (`stream`), the form of a commit (`message`), the
//! writer (`log`) and the way back into a journal (`replay`), and the run as it was made (`plan`). Beside the log, hosts tell each other
//! who leads a run (`leading`): signs of life (`beat`), and claims of accounts and run keys (`claims`) in a bucket that all runs share
//! (`bucket`). Workers make the requests of a launch elsewhere (`hand`). The room decides nothing about a run: when a change
//! may leave, and when a run is taken over, is asked elsewhere. No other room knows of NATS.

mod admission;
mod beat;
mod bucket;
mod claims;
mod connection;
mod hand;
mod leading;
mod listing;
mod log;
mod message;
mod plan;
mod replay;
mod restore;
mod say;
pub(crate) mod servers;
pub(crate) mod site;
mod stream;
mod tenure;
#[cfg(test)]
mod tests;
