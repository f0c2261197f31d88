//! States of a source: the one that a row wants, and the one that a read showed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::Word;

/// State that a row's server is to reach; every row of a plan names at least one of the two fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copystate: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrationcycle: Option<Word>,
}

/// Treatment of a target that leaves one of its two fields open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairCompletion {
    /// The open field is filled in with what a look shows.
    FromLook,
    /// The target is sent as it stands.
    #[default]
    Off,
}

impl PairCompletion {
    /// Returns the target to send. A field that was not seen stays open.
    #[must_use]
    pub fn complete(self, target: &TargetState, seen: Option<&SeenState>) -> TargetState {
        match (self, seen) {
            (Self::FromLook, Some(seen)) => target.completed_from(seen),
            (Self::FromLook, None) | (Self::Off, _) => target.clone(),
        }
    }
}

/// Selection among the two fields of a source's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub copystate: bool,
    pub migrationcycle: bool,
}

impl Fields {
    pub const BOTH: Self = Self { copystate: true, migrationcycle: true };

    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            copystate: self.copystate || other.copystate,
            migrationcycle: self.migrationcycle || other.migrationcycle,
        }
    }
}

impl TargetState {
    /// Fields that the target names.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Fields { copystate: self.copystate.is_some(), migrationcycle: self.migrationcycle.is_some() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copystate.is_none() && self.migrationcycle.is_none()
    }

    #[must_use]
    pub fn is_pair(&self) -> bool {
        self.copystate.is_some() && self.migrationcycle.is_some()
    }

    fn completed_from(&self, seen: &SeenState) -> TargetState {
        TargetState {
            copystate: self.copystate.clone().or_else(|| seen.copystate.clone()),
            migrationcycle: self.migrationcycle.clone().or_else(|| seen.migrationcycle.clone()),
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(f, self.copystate.as_ref(), self.migrationcycle.as_ref())
    }
}

/// State that a read showed, in the spelling of writes (the answer's `state` is `copystate`). Unknown words are kept; `None` is a
/// field that the answer did not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeenState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copystate: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrationcycle: Option<Word>,
}

impl SeenState {
    /// Returns the first needed field that was not shown, in the spelling of reads.
    #[must_use]
    pub fn lacks(&self, needed: Fields) -> Option<&'static str> {
        if needed.copystate && self.copystate.is_none() {
            Some("state")
        } else if needed.migrationcycle && self.migrationcycle.is_none() {
            Some("migration_cycle")
        } else {
            None
        }
    }

    /// Fills fields that this look did not show from an earlier look.
    #[must_use]
    pub fn or(self, earlier: Option<SeenState>) -> Self {
        let earlier = earlier.unwrap_or_default();
        Self {
            copystate: self.copystate.or(earlier.copystate),
            migrationcycle: self.migrationcycle.or(earlier.migrationcycle),
        }
    }
}

impl From<&TargetState> for SeenState {
    /// State of a server that has reached its target.
    fn from(target: &TargetState) -> Self {
        Self { copystate: target.copystate.clone(), migrationcycle: target.migrationcycle.clone() }
    }
}

impl fmt::Display for SeenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(f, self.copystate.as_ref(), self.migrationcycle.as_ref())
    }
}

/// Writes `copystate/migrationcycle`, as people write it in runbooks; `*` for a field that is not named.
fn write_pair(f: &mut fmt::Formatter<'_>, copystate: Option<&Word>, cycle: Option<&Word>) -> fmt::Result {
    let text = format!("{}/{}", copystate.map_or("*", Word::as_str), cycle.map_or("*", Word::as_str));
    f.pad(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_target_is_completed_from_what_was_seen() {
        let wants = TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None };
        let seen = SeenState { copystate: Some(Word::new("syncing")), migrationcycle: Some(Word::new("SYNCING")) };
        let completed = |completion: PairCompletion, seen| completion.complete(&wants, seen).to_string();
        assert_eq!(completed(PairCompletion::FromLook, Some(&seen)), "stopped/syncing");
        assert_eq!(completed(PairCompletion::FromLook, None), wants.to_string());
        assert_eq!(completed(PairCompletion::Off, Some(&seen)), wants.to_string());
    }
}
