//! Part of a plan, besides the rows, that is kept with its run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checked::Checked;
use super::sealed::seal::Seal;
use crate::waves::Terms;

/// Plan's terms and seal as they stand in the settings of its run, and so in its hash chain.
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

    /// Reads them from the settings of a run, which hold more than this.
    pub fn of_settings(settings: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(settings)
    }
}
