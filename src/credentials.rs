//! Credentials for the service: each request gets them directly before it leaves.
//!
//! [`Credentials`](identity::Credentials) is one identity, shared by all calls of a lane. What it adds to a request is an
//! `IdentityProof`: a token, or the signature of a key pair. Some proofs never change; others come from a `ProofSource`, are
//! fetched when they are first needed, and are renewed ahead of their expiry, and once when the service refuses them. `chain`
//! looks for credentials in all places, in their order; `variables` reads those that variables hold.

mod agency;
mod asking;
pub(crate) mod chain;
mod command;
pub mod error;
pub(crate) mod files;
pub(crate) mod fitness;
pub mod identity;
mod json;
mod password;
mod pod;
pub mod proof;
pub mod sign;
pub(crate) mod variables;
