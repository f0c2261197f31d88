//! Part of a plan, besides the rows, that its run keeps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checked::Checked;
use super::sealed::Seal;
use crate::waves::Terms;

/// Part of the settings that a run is made with, and so of its chain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Paper {
    #[serde(default, rename = "plan", skip_serializing_if = "Terms::is_empty")]
    pub terms: Terms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

impl Paper {
    #[must_use]
    pub fn of_plan(checked: &Checked) -> Self {
        Self { terms: checked.terms.clone(), seal: checked.seal.clone() }
    }

    /// From the settings of a run, which hold more than this.
    pub fn of_settings(settings: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(settings)
    }
}
