//! Hands: workers on other machines that make the requests of accounts for which they have the credentials and the route. One process
//! decides all the same; a hand does what it is asked for, and says how that ended.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::wording::plain::plain;

/// Choice of who makes the requests of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Here,
    Worker,
}

/// Reads such a choice.
#[cfg(feature = "cluster")]
pub(crate) fn via(text: &str) -> Result<Via, String> {
    match text {
        "here" => Ok(Via::Here),
        "worker" => Ok(Via::Worker),
        _ => Err("is neither here nor worker".to_owned()),
    }
}

/// Workers as one launch asks them.
pub(crate) trait Hands: Send + Sync {
    /// Workers that are heard now, in the order of their names.
    fn workers(&self) -> Vec<Worker>;

    /// Returns the hand of a target at this place: the worker that serves it, as long as that is heard, and then another one. With a key,
    /// workers that serve another account by that name are none of its; without one, the first worker decides which it is.
    fn hand(&self, target: &str, place: &str, key: Option<String>) -> Box<dyn Hand>;
}

/// Hand of one target.
pub(crate) trait Hand: Send + Sync {
    /// Worker that makes the next request; `None` while nobody who serves the target is heard.
    fn worker(&self) -> Option<Worker>;

    /// Asks this worker for nothing more of the target for so long.
    fn leave_alone(&self, worker: &Worker, time: Duration);

    /// Waits until there is one.
    fn heard(&self) -> BoxFuture<'_, ()>;

    /// Asks for what may be done twice.
    fn ask(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Handed>;

    /// Asks for what may not. It is done only with a leave that lasts for a second, so that what was not done by then never is.
    fn change(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Handed>;
}

/// End of a request that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    /// Worker that was asked; `None` if there was none.
    pub(crate) by: Option<Worker>,
    pub(crate) answer: Result<Vec<u8>, NotHanded>,
}

/// Reason for which there is no answer. In words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone has no workers"))]
pub(crate) enum NotHanded {
    /// Was not done, and never will be.
    Undone(String),
    /// May have been done.
    Unknown(String),
}

/// Worker as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    /// Distinct for each process.
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// Number of the protocol that it speaks.
    pub(crate) protocol: u32,
    /// True if that is our own; another one is left alone.
    pub(crate) is_understood: bool,
    pub(crate) since: Timestamp,
    /// Time of day by its clock when it was heard last, less that of this machine, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// True once it takes nothing more.
    pub(crate) is_leaving: bool,
    pub(crate) targets: Vec<ServedTarget>,
}

impl Worker {
    /// Name of it, for people and the journal.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", plain(&self.host), self.pid)
    }

    /// Target of this name at this place, if it may be asked for it.
    pub(crate) fn serves(&self, target: &str, place: &str) -> Option<&ServedTarget> {
        let is_it = |served: &&ServedTarget| served.name == target && served.place == place;
        self.targets.iter().find(is_it).filter(|_| self.is_understood)
    }
}

/// Target that a worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedTarget {
    /// Name of the profile.
    pub(crate) name: String,
    /// Endpoint of the service, by which a launch knows that it means the same one.
    pub(crate) place: String,
    /// Digest that tells its account from others, on all machines.
    pub(crate) key: String,
}

/// Target that a worker can be asked for, and the work for it.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone has no workers"))]
pub(crate) trait Serving: Send + Sync + 'static {
    /// Returns the work that a question asks for; `None` for one that this version does not know.
    fn work(&self, target: &str, question: &[u8]) -> Option<HandedWork>;
}

/// Worker at work. Dropping it lets go of all that is under way.
pub(crate) trait AtWork: Send {
    /// Takes nothing more once whoever asks knows of that, and waits for the end of what is under way.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone has no workers"))]
    fn leave(self: Box<Self>);
}

/// Work for one question. Nothing of it is done before it is polled.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone has no workers"))]
pub(crate) enum HandedWork {
    /// May be done twice.
    Read(BoxFuture<'static, Vec<u8>>),
    /// May not: it is made ready first, and then waits for leave.
    Change { prepare: BoxFuture<'static, ()>, send: BoxFuture<'static, Vec<u8>> },
}
