//! Versions of the rules by which events are added up; a run names its own as it begins.

use serde::{Deserialize, Serialize};

/// Version of the rules by which events are added up. Fixed as a run begins, so that rows stored by an earlier version still add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// Rules of schemas 1 to 3: an intent discards the look before it even if it is never sent; reopening a refused row discards
    /// its state before; a refusal ends a doubt.
    First,
    /// Rules of schemas up to 9: the ground of a verdict that names none is read from its reason, and a row that was only
    /// throttled counts as never sent.
    Second,
    #[default]
    Third,
}

impl Rules {
    /// Rules of a run whose first event names none.
    #[must_use]
    pub fn unnamed() -> Self {
        Rules::First
    }

    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Rules::First
    }

    /// Word in the stored form.
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
