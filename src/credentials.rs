//! Credentials for the service: each request gets them directly before it leaves.
//!
//! [`Credentials`](identity::Credentials) is one identity, shared by all calls of a lane. What it adds to a request is a `Proof`: a
//! token, or the signature of a key pair. Some proofs are given once and for all; others come from a `ProofSource`: they are fetched
//! when they are first needed, renewed ahead of their expiry, and once when the service refuses them. `chain` looks for
//! credentials in all places, in their order.

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
