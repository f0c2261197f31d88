//! Commands from other terminals, flags and flag files, as they take effect.

use crate::control::Command;
use crate::ledger::steered::Steered;
use crate::waves::{Part, Terms, WaveTerms};

/// Limits that were set by hand for this launch, which win over those of stages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByHand {
    pub(crate) rate: Option<RateByHand>,
    pub(crate) concurrency: Option<u32>,
}

/// Requests per second that somebody set; `None` for no limit of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateByHand(pub(crate) Option<f64>);

/// Completes a release that names no part: it is for the part that waits now, or else for the first that needs one. Given
/// twice, it releases no more than given once.
pub(crate) fn completed(command: Command, steered: &Steered, terms: &Terms) -> Command {
    let Command::Release { wave, part: None } = command else { return command };
    let waits = steered.waits.as_ref().and_then(|waits| waits.for_release_of(&wave));
    let first = || terms.wave(Some(&wave)).map_or(Part::Canary, WaveTerms::first_approval);
    let part = waits.unwrap_or_else(first);
    Command::Release { wave, part: Some(part) }
}
