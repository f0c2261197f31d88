//! Look before touching: credentials proven by one read, states as they are now, what would be sent, what we refuse to send.
//!
//! Looking is recorded as it happens ([`look`]). [`prospect`] says what follows for a row, as a function of the journal's rows;
//! [`difference`] adds that up for people before anything is decided, and [`settle`] records it once the operator has said yes.

pub(crate) mod difference;
pub(crate) mod error;
pub(crate) mod look;
pub(crate) mod prospect;
pub(crate) mod settle;
mod shown;
mod unsettled;
