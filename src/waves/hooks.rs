//! Hooks: commands of an operator or of a plan that run before and after a run and each of its waves.
//!
//! A hook *before* something may veto it; one *after* it may only complain.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time that a hook may take, unless its table says otherwise.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// Moment at which a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Directly before the first change of a launch, once nothing has to be waited for any more.
    BeforeRun,
    /// Directly before the first change of a wave, or of what is left of it if the hook did not succeed before.
    BeforeWave,
    /// After the last row of a wave is settled.
    AfterWave,
    /// At the end of a launch that came as far as its hooks before the run.
    AfterRun,
}

impl Hook {
    pub const ALL: [Hook; 4] = [Hook::BeforeRun, Hook::BeforeWave, Hook::AfterWave, Hook::AfterRun];

    /// Key in the table `hooks` of settings and plan files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Hook::BeforeRun => "before_run",
            Hook::BeforeWave => "before_wave",
            Hook::AfterWave => "after_wave",
            Hook::AfterRun => "after_run",
        }
    }

    /// Tells that its failure is a veto.
    #[must_use]
    pub fn may_veto(self) -> bool {
        match self {
            Hook::BeforeRun | Hook::BeforeWave => true,
            Hook::AfterWave | Hook::AfterRun => false,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// File that a hook stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookOrigin {
    /// A settings file of the operator.
    Settings,
    /// The plan file.
    Plan,
}

impl fmt::Display for HookOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HookOrigin::Settings => "the settings",
            HookOrigin::Plan => "the plan",
        })
    }
}

/// End of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum HookEnd {
    Exit {
        code: i32,
    },
    Signal {
        signal: i32,
    },
    /// Not ended in its time.
    TimedOut {
        /// Time that it had; absent in journals of earlier versions, like the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// File whose table `hooks` may give it another time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// Ended together with the launch, because somebody told that to stop.
    Stopped,
    /// Not started: it cannot be, or is not what was agreed to.
    NotStarted {
        why: String,
    },
}

impl HookEnd {
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == HookEnd::Exit { code: 0 }
    }
}

impl fmt::Display for HookEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookEnd::Exit { code: 127 } => f.write_str("ended with 127, as a shell does that finds no such program"),
            HookEnd::Exit { code } => write!(f, "ended with {code}"),
            HookEnd::Signal { signal } => write!(f, "was ended by signal {signal}"),
            HookEnd::TimedOut { timeout_ms, file } => {
                match timeout_ms {
                    Some(ms) => write!(f, "did not end within {} s", Duration::from_millis(*ms).as_secs_f64())?,
                    None => f.write_str("did not end in time")?,
                }
                file.as_ref().map_or(Ok(()), |file| write!(f, " (`timeout` of [hooks] in `{file}`)"))
            }
            HookEnd::Stopped => f.write_str("was stopped together with the launch"),
            HookEnd::NotStarted { why } => write!(f, "was not started: {why}"),
        }
    }
}

/// A hook that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    pub hook: Hook,
    pub from: HookOrigin,
    /// Number of its wave; `None` for a hook of the run.
    pub wave_no: Option<u32>,
    /// Name of its wave, if that has one.
    pub wave: Option<String>,
}

impl fmt::Display for HookCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hook, from, wave_no: _, wave } = self;
        write!(f, "the hook {hook} of {from}")?;
        wave.as_ref().map_or(Ok(()), |wave| write!(f, " for wave `{wave}`"))
    }
}

/// Hooks of a plan file, which are part of the plan's digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanHooks {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<Hook, PlanHook>,
    /// Seconds that each may take; `None` for [`TIMEOUT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

impl PlanHooks {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout_s.map_or(TIMEOUT, Duration::from_secs)
    }
}

/// Command of a plan's hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHook {
    /// Text for the shell.
    pub command: String,
    /// SHA-256, in hexadecimal digits, of each program and script below the plan's folder that the command names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_the_keys_that_people_write() {
        for hook in Hook::ALL {
            assert_eq!(serde_json::to_value(hook).unwrap(), hook.name());
        }
        assert_eq!(Hook::ALL.map(Hook::may_veto), [true, true, false, false]);
    }

    #[test]
    fn only_the_exit_code_0_is_a_success() {
        assert!(HookEnd::Exit { code: 0 }.is_success());
        let timed_out = HookEnd::TimedOut { timeout_ms: None, file: None };
        for end in [HookEnd::Exit { code: 1 }, HookEnd::Signal { signal: 15 }, timed_out, HookEnd::Stopped] {
            assert!(!end.is_success(), "{end}");
        }
    }

    #[test]
    fn a_timeout_is_told_with_its_place_as_far_as_the_journal_knows_both() {
        for (stored, told) in [
            (r#"{"is":"timed_out"}"#, "did not end in time"),
            (
                r#"{"is":"timed_out","timeout_ms":1500,"file":"a.toml"}"#,
                "did not end within 1.5 s (`timeout` of [hooks] in `a.toml`)",
            ),
        ] {
            let end: HookEnd = serde_json::from_str(stored).unwrap();
            assert_eq!((end.to_string().as_str(), serde_json::to_string(&end).unwrap().as_str()), (told, stored));
        }
    }
}
