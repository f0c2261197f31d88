//! Rules for stopping: numbers of failures that are too many. `steering` counts them.

use serde::{Deserialize, Serialize};

use crate::values::share::Share;

/// Number of rows below which a percentage is not judged yet, by default.
pub const MIN_SAMPLE: u64 = 20;

/// Limits of failures, each of them off unless set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HaltRules {
    /// Failed rows that are still tolerated: a number, or a percentage of the rows that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_sample: Option<u64>,
    /// Number of failures one after another that halts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<u64>,
    /// Number of failures with one and the same cause that halts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_cause: Option<u64>,
}

impl HaltRules {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether no number of failures would halt.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.max_failed.is_none() && self.consecutive_failures.is_none() && self.same_cause.is_none()
    }

    /// Smallest number of failures that can halt; `None` where only a percentage could.
    #[must_use]
    pub fn failures_until_halt(&self) -> Option<u64> {
        let by_number = match self.max_failed {
            Some(Share::Rows(most)) => Some(most.saturating_add(1)),
            Some(Share::Percent(_)) | None => None,
        };
        [by_number, self.consecutive_failures, self.same_cause].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> HaltRules {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn so_many_failures_stop() {
        let until = |text| rules(text).failures_until_halt();
        assert_eq!(until(r#"{"max_failed":"0"}"#), Some(1));
        assert_eq!(until(r#"{"max_failed":"4","same_cause":3,"consecutive_failures":9}"#), Some(3));
        assert_eq!(until(r#"{"max_failed":"25%"}"#), None);
        assert!(rules(r#"{"min_sample":3}"#).is_off() && !rules(r#"{"same_cause":3}"#).is_off());
    }
}
