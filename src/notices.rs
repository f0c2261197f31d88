//! Notices: short messages about a launch to receivers outside, such as a chat, a topic of the vendor's notification service, a command,
//! or a dead-man's switch.
//!
//! A run does not depend on them: they are sent by a thread of their own ([`desk`]), nothing waits for it while rows are carried, and the
//! end of a launch waits for ten seconds at most. [`notice`] is what they say, [`settings`] where they go, [`receiver`] one try, in the
//! form and with the signature that each receiver expects.

mod command;
pub(crate) mod desk;
pub(crate) mod notice;
mod patience;
mod ping;
mod posting;
pub(crate) mod receiver;
pub(crate) mod settings;
pub(crate) mod smn;
mod webhook;
