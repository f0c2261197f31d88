//! A run is launched: begun or taken up, carried out, and summed up.
//!
//! A launch is put together of types, each of which can only be had from the one before it. Each verb goes this way, and its order is
//! part of what the program promises: what is said first, what is asked, and what there is on the disk when a launch is refused.
//!
//! 1. [`LaunchRequest`](request::LaunchRequest): the flags. The place of a report is tried at once.
//! 2. The subject. [`PlanToLaunch`](planned::PlanToLaunch) of `run`, `plan` and `rehearse`: the plan is read whole, all of its
//!    problems are told, and settings are read again under what it says. [`RunToTakeUp`](taking_up::RunToTakeUp) of `resume`,
//!    `retry` and `reconcile`: the journal is there and is opened, its runs are held against their events, runs that were cut off
//!    at their end are closed, the run that is meant is found and held against its own events. `retry` then chooses its rows.
//! 3. [`Ready`](ready::Ready): everything that can be refused without a lock and without a word to the service.
//!    Of a plan: approvals, accounts, places that a sealed plan is for, waves to release, the place of the journal, and whether
//!    anybody can be asked. Of a run: the place of the report, settings as it was begun, accounts, approvals, places, waves, whether
//!    anybody can be asked, and last the question whether it is to go where only the journal says.
//! 4. [`Open`](open::Open): the accounts are locked; `run` looks at a journal that is there; credentials are fetched; `run` makes
//!    a journal that is not there, closes runs that were cut off, takes one up or makes one; the run is locked, and read again.
//!    `plan` and `rehearse` are [apart](open::OpenApart): they lock nothing, and their journal is thrown away.
//! 5. Launched: look, tell the difference, hold it against policy and seal, ask, send, conclude, and sum up.

pub(crate) mod accounts;
pub(crate) mod approvals;
mod assembling;
mod carrying;
pub(crate) mod closing;
mod concluding;
mod considering;
mod difference;
mod ending;
mod faults;
mod given;
mod halted;
pub(crate) mod holding;
mod inputs;
mod making;
pub(crate) mod open;
pub(crate) mod planned;
pub(crate) mod ready;
pub(crate) mod request;
pub(crate) mod saving;
mod signals;
mod summing_up;
pub(crate) mod taking_up;
#[cfg(test)]
mod tests;
pub(crate) mod unfinished;
pub(crate) mod venue;
