//! Who we are to the service: each request is dressed with it afresh, directly before it leaves.
//!
//! [`Credentials`](identity::Credentials) is one identity, shared by all calls of a lane. What a request is dressed with is a `Proof`: a
//! token, or a key pair that signs. Some proofs are given once and for all; others come from a `Source`, are fetched
//! when they are first needed, renewed ahead of their expiry, and once when the service refuses them. Where all of
//! them are looked for, and in which order, is in `chain`.

mod agency;
mod asking;
pub(crate) mod chain;
mod command;
pub mod error;
mod files;
pub(crate) mod fitness;
pub mod identity;
mod json;
mod password;
mod pod;
pub mod proof;
pub mod sign;
