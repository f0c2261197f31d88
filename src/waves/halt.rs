//! Rules for stopping: how many failures are too many. How they are counted is the engine's matter.

use serde::{Deserialize, Serialize};

use crate::values::share::Share;

/// Below this many rows a percentage says nothing yet.
pub const MIN_SAMPLE: u64 = 20;

/// All off unless set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HaltRules {
    /// More rows than this, or more than this part of those that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_sample: Option<u64>,
    /// So many failures one after another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<u64>,
    /// So many failures for one and the same cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_cause: Option<u64>,
}

impl HaltRules {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells that nothing that fails would stop anything.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.max_failed.is_none() && self.consecutive_failures.is_none() && self.same_cause.is_none()
    }

    /// Number of failures that it takes to stop, where that is a number of them.
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
