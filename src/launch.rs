//! A launch of a run, from the flags of its verb to its summary.
//!
//! Every launch takes these steps. Each has a type that only the step before it can make, so that no verb can leave one out or take
//! them in another order: what is told first, what is asked, and what is on the disk when a launch is refused are part of what the
//! program promises.
//!
//! | step | value, or function | file | what happens |
//! |---|---|---|---|
//! | ask for it | `LaunchRequest` | `request` | flags are taken; the path of a report is tried |
//! | find its subject | `PlanToLaunch` | `planned` | the plan is read whole, all its problems are told, its settings are read |
//! | | `RunToTakeUp` | `taking_up` | the journal is opened and compared with its events, dead runs are closed, the run is found |
//! | check | `Ready` | `ready` | approvals, accounts, seal, waves to release, journal's place; whether people can be asked |
//! | open | `Open`, `OpenApart` | `open` | accounts are locked, credentials fetched; journal and run are found or made; the run is locked, and its lead taken |
//! | assemble | `Assembly` | `assembling` | gates, lanes, recorder, observers, signals |
//! | begin | `Launch::begin_and_carry` | `carrying` | the beginning is recorded; commands are taken from here on |
//! | look, tell, ask | `Launch::consider` | `considering` | states are read, the difference is told, policy and seal may refuse it, people agree |
//! | carry | `Launch::carry` | `carrying` | rows are sent and proven by the engine |
//! | end | `Launch::end` | `concluding`, `ending` | the exit is decided and recorded, parts are taken down |
//! | sum up | `Launch::sum_up` | `summing_up` | report and summary, from the journal alone |
//!
//! `foreseen` tells what the step *open* would find, for `run --dry-run`. Around all of these, `exporting` keeps the metrics file, which also tells of a launch that a step refuses.
//!
//! With `resume --standby`, `standing_by` follows the run between the steps *check* and *open*, until nobody leads it.
//!
//! The verbs differ in these:
//!
//! | verb | subject | check | open |
//! |---|---|---|---|
//! | `run` | `PlanToLaunch::read` | `Ready::to_send` | `open`: takes an unfinished run up, or makes one |
//! | `resume`, `retry`, `reconcile` | `RunToTakeUp::find` | `Ready::to_go_on` | `open`: the run is there |
//! | `plan` | `PlanToLaunch::read` | `Ready::to_look` | `open_apart`: without locks, in a journal that is thrown away |
//! | `rehearse` | `PlanToLaunch::read` | `Ready::to_rehearse` | `open_rehearsal`: the same, in the sandbox and on a clock that skips idle time |

pub(crate) mod accounts;
pub(crate) mod approvals;
mod assembling;
mod carrying;
pub(crate) mod closing;
mod concluding;
mod considering;
mod difference;
mod ending;
pub(crate) mod exporting;
mod faults;
pub(crate) mod foreseen;
mod given;
mod halted;
pub(crate) mod holding;
pub(crate) mod hooks;
mod inputs;
mod locked;
mod making;
mod notices;
pub(crate) mod open;
pub(crate) mod planned;
mod reaching;
pub(crate) mod ready;
pub(crate) mod request;
mod run_key;
mod run_lock;
mod running_hooks;
pub(crate) mod saving;
pub(crate) mod signals;
#[cfg(feature = "cluster")]
pub(crate) mod standing_by;
mod summing_up;
pub(crate) mod taking_up;
#[cfg(test)]
mod tests;
pub(crate) mod unfinished;
pub(crate) mod venue;
