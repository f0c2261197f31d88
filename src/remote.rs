//! Requests to the service, and the classification of its answers as outcomes.
//!
//! A refusal is a value here, not an error: every ending of a request has a name among the `Outcome`s. Nothing
//! in this room waits for leave, tries again or decides what an outcome means for a row.

pub(crate) mod between;
pub(crate) mod classify;
pub(crate) mod codes;
pub(crate) mod http;
pub(crate) mod quota;
mod reads;
pub(crate) mod service;
#[cfg(feature = "cluster")]
pub(crate) mod serving;
mod spoken;
pub(crate) mod text;
pub(crate) mod there;
pub(crate) mod way;
pub(crate) mod wire;
