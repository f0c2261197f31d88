//! Terms of a plan besides its rows: waves in order, a canary before each, rules for stopping, soak times and approvals.
//!
//! All of it is data and functions of data, by which `steering` decides when a stage begins, waits and stops.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::rate::Rate;
use crate::values::share::Share;

pub mod forecast;
pub mod halt;
pub mod hooks;
pub mod window;

use halt::HaltRules;
use hooks::PlanHooks;

/// Terms of a plan besides its rows. A plan without a plan file has the empty terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of people who have to agree to the sealed plan.
    #[serde(skip_serializing_if = "is_zero")]
    pub require_approvals: u32,
    /// Settings of the plan for the whole run, by name and in the form of flags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policy: BTreeMap<String, String>,
    /// Profile of each target whose name differs from that of its profile.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, String>,
    /// Waves in the order in which they run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveTerms>,
    /// Commands that run before and after the run and its waves.
    #[serde(skip_serializing_if = "PlanHooks::is_empty")]
    pub hooks: PlanHooks,
}

/// Profile and account of rows that name no target, unless `--profile` names another.
pub(crate) const UNNAMED: &str = "default";

impl Terms {
    /// Returns the name of a target's profile: the plan file may give one, else it is the target's own name.
    #[must_use]
    pub fn profile_of<'a>(&'a self, target: &'a str) -> &'a str {
        self.targets.get(target).map_or(target, String::as_str)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Terms {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn wave(&self, name: Option<&str>) -> Option<&WaveTerms> {
        self.waves.iter().find(|wave| Some(wave.name.as_str()) == name)
    }

    /// Terms of a stage; `None` where the plan says nothing of it.
    #[must_use]
    pub fn stage(&self, stage: &Stage) -> Option<&StageTerms> {
        self.wave(stage.wave.as_deref())?.stage(stage.part)
    }
}

/// Terms of one wave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaveTerms {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    #[serde(flatten)]
    pub whole: StageTerms,
}

impl WaveTerms {
    /// Terms of the canary, or of the rest of the wave; `None` where there is no such stage.
    #[must_use]
    pub fn stage(&self, part: Part) -> Option<&StageTerms> {
        match part {
            Part::Canary => self.canary.as_ref().map(|canary| &canary.stage),
            Part::Rest => Some(&self.whole),
        }
    }

    /// Tells whether somebody has to release a part of it.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.whole.approval || self.canary.as_ref().is_some_and(|canary| canary.stage.approval)
    }

    /// Part that somebody has to release first. [`Part::Canary`] stands for the beginning of the wave, with or without a canary.
    #[must_use]
    pub fn first_approval(&self) -> Part {
        if self.whole.approval { Part::Canary } else { Part::Rest }
    }
}

/// First rows of a wave, which go alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    pub rows: Share,
    #[serde(flatten)]
    pub stage: StageTerms,
}

/// Terms of a stage: a wave, or its canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Seconds to wait before the next stage begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak_s: Option<u64>,
    /// Approval is needed: for a wave, before it begins; for a canary, before the rest of its wave does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    #[serde(skip_serializing_if = "HaltRules::is_empty")]
    pub halt: HaltRules,
}

/// Part of a plan that runs by itself: a wave without a canary, a canary, or the rest of its wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    pub wave_no: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Canary,
    /// Rows after the canary; the whole wave, where there is no canary.
    Rest,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let canary = match self.part {
            Part::Canary => "the canary of ",
            Part::Rest => "",
        };
        match (&self.wave, self.wave_no) {
            (Some(wave), _) => write!(f, "{canary}wave `{wave}`"),
            // A plan without waves is one stage; rows without a wave come after all waves.
            (None, 0) => write!(f, "{canary}the plan"),
            (None, _) => write!(f, "{canary}the part without a wave"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_can_stand_in_any_sentence() {
        let stage = |wave_no, wave: Option<&str>, part| Stage { wave_no, wave: wave.map(str::to_owned), part };
        let said = [
            (stage(1, Some("b"), Part::Rest), "wave `b` does not begin"),
            (stage(1, Some("b"), Part::Canary), "the canary of wave `b` does not begin"),
            (stage(0, None, Part::Rest), "the plan does not begin"),
            (stage(2, None, Part::Rest), "the part without a wave does not begin"),
        ];
        for (stage, sentence) in said {
            assert_eq!(format!("{stage} does not begin"), sentence);
        }
    }

    #[test]
    fn the_empty_terms_are_written_as_nothing() {
        assert_eq!(serde_json::to_string(&Terms::default()).unwrap(), "{}");
        let wave = WaveTerms { name: "one".into(), ..WaveTerms::default() };
        let terms = Terms { waves: vec![wave], ..Terms::default() };
        let text = serde_json::to_string(&terms).unwrap();
        assert_eq!(text, r#"{"waves":[{"name":"one"}]}"#);
        assert_eq!(serde_json::from_str::<Terms>(&text).unwrap(), terms);
    }
}
