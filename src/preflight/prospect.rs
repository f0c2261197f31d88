//! Prospect of a row if the run went on now: a function of the row, its standing and the settings.

use crate::engine::lane::{Lane, LaneSettings};
use crate::event::rules::Rules;
use crate::event::verdict::Verdict;
use crate::judge::effect::Effect;
use crate::judge::{self, Decision, Reason, way_back};
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Pairing;
use crate::remote::service::Remote;

/// Expected treatment of a row, as shown before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// On target already.
    Already,
    /// Held back, and settled with this verdict.
    Blocked { verdict: Verdict, reason: Reason },
    /// Sent: the look allows it.
    Change { sends: TargetState, pairing: Pairing },
    /// Looked at first: sent before without a known answer or a proof, or its look failed.
    LookFirst,
    /// Sent without a look, because preflight is off.
    Unseen { sends: TargetState },
    /// Left to a later launch, because its account has stopped while others go on.
    LeftOut { reason: String },
}

/// Kinds of prospects, in the order of the preview: rows that would be sent first, rows that would not be sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Change,
    Unseen,
    LookFirst,
    Already,
    Blocked,
    LeftOut,
}

/// Words for a kind of prospect.
pub(crate) struct KindWords {
    /// Name in the document `cutover.plan.v1`.
    pub(crate) stored: &'static str,
    /// Words that follow a number of rows.
    pub(crate) counted: &'static str,
    /// Mark in front of a group of rows.
    pub(crate) mark: char,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Change, Self::Unseen, Self::LookFirst, Self::Already, Self::Blocked, Self::LeftOut];

    pub(crate) fn words(self) -> KindWords {
        let (stored, counted, mark) = match self {
            Self::Change => ("change", "to change", '~'),
            Self::Unseen => ("unseen", "to send unseen", '~'),
            Self::LookFirst => ("look_first", "to look at first", '?'),
            Self::Already => ("already", "already on target", '='),
            Self::Blocked => ("blocked", "blocked", '!'),
            Self::LeftOut => ("left_out", "left out", '?'),
        };
        KindWords { stored, counted, mark }
    }
}

/// Result of this launch's own look at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LatestLook {
    /// Made and recorded, or not asked for.
    Counts,
    /// Failed; states that earlier launches saw do not replace it.
    Failed,
}

impl LatestLook {
    pub(super) fn in_lane<R: Remote>(lane: &Lane<R>, row: &Row) -> Self {
        if lane.was_missed_in_preflight(row.id) { Self::Failed } else { Self::Counts }
    }
}

impl Prospect {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Change { .. } => Kind::Change,
            Self::Unseen { .. } => Kind::Unseen,
            Self::LookFirst => Kind::LookFirst,
            Self::Already => Kind::Already,
            Self::Blocked { .. } => Kind::Blocked,
            Self::LeftOut { .. } => Kind::LeftOut,
        }
    }

    /// Title of the group in which the row is listed.
    pub(super) fn title(&self, standing: &Standing) -> String {
        match self {
            Self::Already => "already on target".to_owned(),
            Self::Blocked { reason, .. } => reason.text.clone(),
            Self::LeftOut { reason } => reason.clone(),
            Self::LookFirst => "sent before and not proven, or not seen yet: looked at first".to_owned(),
            Self::Unseen { sends } => format!("* -> {sends}"),
            Self::Change { sends, pairing } => {
                let from = standing.last_seen().cloned().unwrap_or_default();
                let warning = match pairing {
                    Pairing::Allowed | Pairing::NoRule => "",
                    Pairing::Outside => " (not a documented pair: the service may refuse it)",
                };
                format!("{from} -> {sends}{warning}")
            }
        }
    }

    /// Returns the decision about the row, with its reason.
    pub(super) fn told(&self, standing: &Standing) -> String {
        let title = self.title(standing);
        match self {
            Self::Already => "is not sent: it is on target already".to_owned(),
            Self::Blocked { verdict, .. } => format!("is not sent ({verdict}): {title}"),
            Self::Change { .. } | Self::Unseen { .. } => format!("is to be sent: {title}"),
            Self::LookFirst => format!("is not sent yet: {title}"),
            Self::LeftOut { .. } => format!("is left for a later launch: {title}"),
        }
    }

    /// Tells whether the row would be sent a pair that the service does not document.
    pub(super) fn is_outside_matrix(&self) -> bool {
        match self {
            Self::Change { pairing, .. } => *pairing == Pairing::Outside,
            Self::Unseen { .. } | Self::LookFirst | Self::Already | Self::Blocked { .. } | Self::LeftOut { .. } => {
                false
            }
        }
    }

    /// Tells whether a change may be sent for the row.
    pub(super) fn may_send(&self) -> bool {
        match self {
            Self::Change { .. } | Self::LookFirst | Self::Unseen { .. } => true,
            Self::Already | Self::Blocked { .. } | Self::LeftOut { .. } => false,
        }
    }

    /// Returns the reason for which a roll-back could not restore the row once it was sent, as far as that is known before.
    pub(super) fn no_way_back(&self, row: &Row, standing: &Standing) -> Option<String> {
        match self {
            Self::Change { sends, .. } | Self::Unseen { sends } => {
                way_back::reason_against(&sends.into(), standing.before.as_ref())
            }
            // A look will show where it is.
            Self::LookFirst => match &standing.before {
                Some(before) => way_back::reason_against(&(&row.wants).into(), Some(before)),
                None => way_back::stuck_in(&(&row.wants).into()),
            },
            Self::Already | Self::Blocked { .. } | Self::LeftOut { .. } => None,
        }
    }
}

/// Computes the prospect of a row from its standing.
pub(crate) fn prospect(row: &Row, standing: &Standing, look: LatestLook, settings: &LaneSettings) -> Prospect {
    let LaneSettings { preflight, dialect, .. } = *settings;
    match standing.phase {
        Phase::Open | Phase::InDoubt | Phase::Accepted => return Prospect::LookFirst,
        Phase::Settled(Verdict::Already) => return Prospect::Already,
        Phase::Settled(verdict) => {
            let text = standing.reason.clone().unwrap_or_default();
            return Prospect::Blocked { verdict, reason: Reason { text, ground: standing.ground } };
        }
        Phase::Untried | Phase::Due if standing.doubted => return Prospect::LookFirst,
        Phase::Untried | Phase::Due => (),
    }
    if !preflight {
        return Prospect::Unseen { sends: dialect.spelled(row.wants.clone()) };
    }
    // Its look failed; it has another one before it is sent.
    if !standing.looked || look == LatestLook::Failed {
        return Prospect::LookFirst;
    }
    if let Some(reason) = standing.moved.as_ref().and_then(|moved| overtaken_by(row, standing, moved)) {
        return Prospect::Blocked { verdict: Verdict::Overtaken, reason: reason.into() };
    }
    match Decision::from_look(row, standing.last_seen(), settings.completion(), dialect) {
        Decision::Already => Prospect::Already,
        Decision::Blocked { reason } => Prospect::Blocked { verdict: judge::unsent_verdict(standing), reason },
        Decision::Change { sends, pairing } => Prospect::Change { sends: dialect.spelled(sends), pairing },
    }
}

/// Returns the reason for which a row must not be sent any more: it is not where an earlier look of this run saw it.
pub(super) fn overtaken_by(row: &Row, standing: &Standing, seen: &SeenState) -> Option<String> {
    if !standing.looked || standing.doubted || standing.rules == Rules::First {
        return None;
    }
    match Effect::from_look(&row.wants, Some(standing.last_seen()?), Some(seen)) {
        Effect::Overtaken { reason } => Some(format!("{reason}; somebody moved it before it was sent")),
        Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_once_each_in_the_order_in_which_they_are_told() {
        assert!(Kind::ALL.is_sorted_by(|before, after| before < after));
        assert_eq!(Kind::ALL.map(|kind| kind as usize), [0, 1, 2, 3, 4, 5]);
    }
}
