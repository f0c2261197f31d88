//! Commands that steer a run while it goes on, their givers, and the pauses and waits that follow from them.
//!
//! A command is put into the journal by whoever gives it, taken from there by the launch that carries the run, and
//! journaled as an event when it takes effect. [`crate::ledger::steered`] adds these events up.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::values::zone::Zone;
use crate::waves::{Part, Stage};
use crate::whoami::Who;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Command {
    /// Sends nothing new; awaits what is on its way, and looks at it.
    Pause,
    Continue,
    /// Sets the rate; `None` for no limit of ours.
    Rate {
        per_second: Option<f64>,
    },
    Concurrency {
        n: u32,
    },
    /// Excludes a row that was not sent yet.
    Skip {
        source_id: String,
    },
    /// Reverses a skip.
    Unskip {
        source_id: String,
    },
    /// Lets a wave begin that waits for approval, or will.
    Release {
        wave: String,
        /// Beginning of the wave, or the rest after its canary; `None` for the part that waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<Part>,
    },
    /// Does what the first Ctrl-C does.
    Drain,
    /// Does what the second Ctrl-C does.
    Abort,
}

impl Command {
    /// Tells whether the next launch of a run may begin with it, if the one that it was given to has ended.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the journal asks for it in SQL"))]
    pub(crate) fn outlives_launch(&self) -> bool {
        match self {
            Command::Skip { .. } | Command::Unskip { .. } | Command::Release { .. } | Command::Continue => true,
            Command::Pause | Command::Rate { .. } | Command::Concurrency { .. } | Command::Drain | Command::Abort => {
                false
            }
        }
    }

    /// Tells whether it is recorded as the other one when it is taken: a release without a part is for the part that waits then.
    pub(crate) fn is_taken_as(&self, taken: &Command) -> bool {
        match (self, taken) {
            (Command::Release { wave: given, part: None }, Command::Release { wave, part: Some(_) }) => given == wave,
            (given, taken) => given == taken,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Pause => f.write_str("pause"),
            Command::Continue => f.write_str("continue"),
            Command::Rate { per_second: Some(rate) } => write!(f, "rate {rate}"),
            Command::Rate { per_second: None } => f.write_str("rate off"),
            Command::Concurrency { n } => write!(f, "concurrency {n}"),
            Command::Skip { source_id } => write!(f, "skip {source_id}"),
            Command::Unskip { source_id } => write!(f, "no longer skip {source_id}"),
            Command::Release { wave, part: Some(Part::Rest) } => {
                write!(f, "release {wave} (the rest after its canary)")
            }
            Command::Release { wave, part: Some(Part::Canary) | None } => write!(f, "release {wave}"),
            Command::Drain => f.write_str("drain"),
            Command::Abort => f.write_str("abort"),
        }
    }
}

/// Giver of a command, and the means by which it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `control`, a flag, or the flag file's path.
    pub via: String,
    /// Boxed, since a command is a part of much that is small.
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Box<Who>,
    /// Id under which it was asked from another machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

impl By {
    /// Returns the user who started this process as the giver.
    #[must_use]
    pub fn me(via: &str, reason: Option<String>) -> Self {
        Self {
            user: Some(crate::whoami::user()),
            host: crate::lock::host(),
            reason,
            via: via.to_owned(),
            who: Box::new(Who::me()),
            ask: None,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, reason, via, who, ask: _ } = self;
        match user.as_deref() {
            // A file is there, whoever made it.
            None if via != CONTROL && who.is_empty() => f.write_str(via)?,
            user if via == CONTROL => who.told(user, host).fmt(f)?,
            user => write!(f, "{} with {via}", who.told(user, host))?,
        }
        match reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Value of `via` for commands that were given with the verb.
pub const CONTROL: &str = "control";

/// Command in the journal that has not been taken yet.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenCommand {
    pub control: i64,
    pub command: Command,
    pub by: By,
}

/// Reason for which a run waits before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Release of the stage by an operator.
    Approval,
    /// Soak time of the stage before it.
    Soak,
    /// Opening of the window.
    Window,
}

/// Wait of a run, with the stage that is waiting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waits {
    pub cause: Wait,
    pub stage: Stage,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
}

impl Waits {
    /// Returns the part of this wave that waits for its release, if that is what the run waits for.
    #[must_use]
    pub fn for_release_of(&self, wave: &str) -> Option<Part> {
        let is_that = self.cause == Wait::Approval && self.stage.wave.as_deref() == Some(wave);
        is_that.then_some(self.stage.part)
    }
}

/// Describes a wait, to follow "waiting" or "waits", with its end as the clocks of a zone show it or else in UTC.
#[must_use]
pub fn waits_for(cause: Wait, stage: &Stage, until: Option<Timestamp>, zone: Option<&Zone>) -> String {
    let in_utc = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let until = until.map(|until| zone.map_or_else(|| in_utc(until), |zone| zone.shows(until)));
    let until = until.map_or_else(String::new, |until| format!(", until {until}"));
    match cause {
        Wait::Approval => {
            let wave = stage.wave.as_deref().unwrap_or_default();
            let what = match stage.part {
                Part::Canary => "wave",
                Part::Rest => "the rest of wave",
            };
            format!("for approval of {what} `{wave}`{until}")
        }
        Wait::Soak => format!("out the soak time before {stage}{until}"),
        Wait::Window => format!("for the window to open{until}"),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paused {
    pub by: By,
    pub since: Timestamp,
}

/// Command that took effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    pub at: Timestamp,
    pub command: Command,
    pub by: By,
}
