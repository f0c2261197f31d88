//! Checks before anything is sent: credentials proven by one read, the present states, and a preview of what would be sent.
//!
//! Looking is recorded as it happens ([`look`]). [`prospect`] derives what would happen to a row, as a function of the journal's rows;
//! [`difference`] adds that up for people before anything is decided, and [`settle`] records it once the operator has said yes.

pub(crate) mod difference;
pub(crate) mod error;
pub(crate) mod look;
pub(crate) mod prospect;
pub(crate) mod settle;
mod shown;
mod unsettled;
