//! Verdicts of rows, and the facts behind them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Final word on a settled row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Applied,
    Already,
    Unverified,
    NoEffect,
    Overtaken,
    Refused,
    Failed,
    Blocked,
}

impl Verdict {
    pub const ALL: [Verdict; 8] = [
        Verdict::Applied,
        Verdict::Already,
        Verdict::Unverified,
        Verdict::NoEffect,
        Verdict::Overtaken,
        Verdict::Refused,
        Verdict::Failed,
        Verdict::Blocked,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Applied => "applied",
            Verdict::Already => "already",
            Verdict::Unverified => "unverified",
            Verdict::NoEffect => "no_effect",
            Verdict::Overtaken => "overtaken",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
            Verdict::Blocked => "blocked",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Tells whether the target was seen. (With verification switched off, see [`Verdict::is_on_target`].)
    #[must_use]
    pub fn on_target(self) -> bool {
        match self {
            Verdict::Applied | Verdict::Already => true,
            Verdict::Unverified
            | Verdict::NoEffect
            | Verdict::Overtaken
            | Verdict::Refused
            | Verdict::Failed
            | Verdict::Blocked => false,
        }
    }

    /// Tells whether the row counts as on target: the target was seen, or nobody wanted it verified.
    #[must_use]
    pub fn is_on_target(self, ground: Option<Ground>) -> bool {
        self.on_target() || (self == Verdict::Unverified && ground == Some(Ground::NotVerified))
    }

    /// Meaning in one line, for people who meet the word for the first time.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Verdict::Applied => "sent, and the target seen afterwards",
            Verdict::Already => "on target before anything was sent; nothing was sent",
            Verdict::Unverified => "accepted, but never proven by a read",
            Verdict::NoEffect => "accepted, and the target is not there at the end of the verification window",
            Verdict::Overtaken => "somebody else moved it; hands off",
            Verdict::Refused => "the service said no for good",
            Verdict::Failed => "attempts used up, and a last look shows it not on target",
            Verdict::Blocked => "not sent: held back by preflight, or skipped by somebody",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Fact behind a verdict, where the verdict alone does not decide what to do about the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The service knows no such source.
    UnknownSource,
    /// The source is not in the state that the plan expects.
    NotAsExpected,
    /// The source is in a state in which the service ignores updates.
    IgnoresUpdates,
    /// The chosen edition of the API has no words for what would have to be sent.
    Unsayable,
    /// An operator decided that it is not sent.
    Skipped,
    /// Accepted while verification was switched off: counts as on target, although nobody has seen it there.
    NotVerified,
    /// Accepted, but no look at it succeeded.
    Unseen,
    /// Accepted, but reads never show the target word.
    NeverShown,
}

impl Ground {
    pub const ALL: [Ground; 8] = [
        Ground::UnknownSource,
        Ground::NotAsExpected,
        Ground::IgnoresUpdates,
        Ground::Unsayable,
        Ground::Skipped,
        Ground::NotVerified,
        Ground::Unseen,
        Ground::NeverShown,
    ];

    /// Word in the stored form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ground::UnknownSource => "unknown_source",
            Ground::NotAsExpected => "not_as_expected",
            Ground::IgnoresUpdates => "ignores_updates",
            Ground::Unsayable => "unsayable",
            Ground::Skipped => "skipped",
            Ground::NotVerified => "not_verified",
            Ground::Unseen => "unseen",
            Ground::NeverShown => "never_shown",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the words that a type is read from.
    fn words<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let unknown = serde_json::from_value::<T>("?".into()).unwrap_err().to_string();
        unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn all_verdicts_and_grounds_are_listed_here_and_in_the_schema_of_events() {
        assert_eq!(words::<Verdict>(), Verdict::ALL.map(Verdict::name));
        assert_eq!(words::<Ground>(), Ground::ALL.map(Ground::name));
        let schema: serde_json::Value = serde_json::from_str(include_str!("../schemas/event.v1.json")).unwrap();
        assert_eq!(schema["properties"]["ground"]["enum"], serde_json::json!(Ground::ALL.map(Ground::name)));
        assert_eq!(schema["properties"]["verdict"]["enum"], serde_json::json!(Verdict::ALL.map(Verdict::name)));
    }

    #[test]
    fn verdicts_are_found_by_the_names_they_print() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::named(verdict.name()), Some(verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
        for ground in Ground::ALL {
            assert_eq!(Ground::named(ground.name()), Some(ground));
            assert_eq!(serde_json::to_value(ground).unwrap(), ground.name());
        }
    }
}
