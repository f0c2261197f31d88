//! Rules by which events are added up, which a run names as it begins.

use serde::{Deserialize, Serialize};

/// How events are added up. Fixed as a run begins, so that what an earlier version stored of its rows still adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// Those of schemas 1 to 3: an intent forgets the look before it even if it is never sent, a refused row that is opened
    /// again forgets what was before, and a refusal ends a doubt.
    First,
    /// Those of schemas up to 9: where a verdict names no ground, its reason is read for one, and of a row that was only told to
    /// wait nothing was sent.
    Second,
    #[default]
    Third,
}

impl Rules {
    /// Of a run whose beginning names none.
    #[must_use]
    pub fn unnamed() -> Self {
        Rules::First
    }

    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Rules::First
    }

    /// The word of its stored form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rules::First => "first",
            Rules::Second => "second",
            Rules::Third => "third",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Rules::First, Rules::Second, Rules::Third].into_iter().find(|rules| rules.name() == name)
    }
}
