//! Meaning of a look for a row, as a function of what the plan wants, what was seen before and what is seen now.
//!
//! Before a row is sent, a look is a [`Decision`]. The first line that applies decides:
//!
//! | the look shows | decision |
//! |---|---|
//! | that the service does not know the source | blocked |
//! | the target | already |
//! | another state than the plan expects | blocked |
//! | a state in which the service ignores updates | blocked |
//! | no word for a field that has to be sent | blocked |
//! | anything else | change |
//!
//! After it was sent, a look shows an [`effect`], which has its own table. [`way_back`] says which changes a rollback can undo.

use crate::event::kind::EventKind;
use crate::event::row::RowEvent;
use crate::event::verdict::{Ground, Verdict};
use crate::ledger::standing::{LastWord, Standing};
use crate::model::dialect::Dialect;
use crate::model::state::{Fields, PairCompletion, SeenState, TargetState};
use crate::model::words::{self, Pairing};
use crate::model::{Row, RowId};

pub(crate) mod effect;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod states;
pub(crate) mod way_back;

/// Reason for a verdict: in words, and as a fact where something depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) text: String,
    pub(crate) ground: Option<Ground>,
}

impl Reason {
    pub(crate) fn on(ground: Ground, text: impl Into<String>) -> Self {
        Self { text: text.into(), ground: Some(ground) }
    }

    /// Reason of a row that was accepted while verification was off.
    pub(crate) fn not_verified() -> Self {
        Self::on(Ground::NotVerified, "verification is switched off")
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, ground: None }
    }
}

/// Decision about a row before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// On target: not sent.
    Already,
    /// A verdict, so that the row is not sent.
    Blocked { reason: Reason },
    /// To be sent, with the field that the plan leaves open filled in.
    Change { sends: TargetState, pairing: Pairing },
}

impl Decision {
    /// Decides from what a look showed; `None` stands for a source that the service does not know.
    pub(crate) fn from_look(row: &Row, seen: Option<&SeenState>, completion: PairCompletion, dialect: Dialect) -> Self {
        let blocked = |ground, text: String| Self::Blocked { reason: Reason::on(ground, text) };
        let Some(seen) = seen else {
            return blocked(Ground::UnknownSource, "the service does not know this source".to_owned());
        };
        // Goes before all that blocks: a server in `stopped` whose target is `stopped` is on target.
        if effect::on_target(&row.wants, seen) {
            return Self::Already;
        }
        if let Some(unmet) = unmet_expectation(&row.expects, seen) {
            return blocked(Ground::NotAsExpected, unmet);
        }
        if let Some(ignores) = way_back::ignores_updates(seen) {
            return blocked(Ground::IgnoresUpdates, ignores);
        }
        let sends = completion.complete(&row.wants, Some(seen));
        // A field that is still open now was not shown, and nothing else fills it in.
        if let Some(objection) = dialect.objections(&sends, PairCompletion::Off).next() {
            return blocked(Ground::Unsayable, objection.to_string());
        }
        let pairing = pairing_of(&sends);
        Self::Change { sends, pairing }
    }
}

fn unmet_expectation(expects: &TargetState, seen: &SeenState) -> Option<String> {
    let fields = [
        ("copystate", &expects.copystate, &seen.copystate),
        ("migrationcycle", &expects.migrationcycle, &seen.migrationcycle),
    ];
    fields.into_iter().find_map(|(field, expected, shown)| {
        let expected = expected.as_ref()?;
        (Some(expected) != shown.as_ref())
            .then(|| format!("the plan expects {field} `{expected}`, seen is `{}`", effect::shown_as(shown.as_ref())))
    })
}

/// Rule that the vendor documents for the pair that is sent; half a pair has none.
fn pairing_of(sends: &TargetState) -> Pairing {
    match (&sends.copystate, &sends.migrationcycle) {
        (Some(copystate), Some(cycle)) => words::pairing(copystate, cycle),
        (Some(_) | None, None) | (None, Some(_)) => Pairing::NoRule,
    }
}

/// Fields without which a look cannot decide about sending a row: those that the plan names as its target or expects, and both
/// where one is filled in. A look that lacks one of them is a failed look: it settles nothing and permits nothing. A field that
/// is not among them may be missing, and then it is not known.
pub(crate) fn needed_to_send(row: &Row, completion: PairCompletion) -> Fields {
    match completion {
        PairCompletion::FromLook => Fields::BOTH,
        PairCompletion::Off => row.wants.fields().or(row.expects.fields()),
    }
}

/// Tells that what is sent depends on what was seen: the plan expects something, or a field that it leaves open is filled in.
pub(crate) fn depends_on_look(row: &Row, completion: PairCompletion) -> bool {
    !row.expects.is_empty() || (completion == PairCompletion::FromLook && !row.wants.is_pair())
}

/// Verdict of a row that is not to be sent: `blocked`, or, after attempts that counted, what the last answer of the service
/// makes of it.
pub(crate) fn unsent_verdict(standing: &Standing) -> Verdict {
    match standing.last_word {
        _ if standing.attempts == 0 => Verdict::Blocked,
        LastWord::Yes => Verdict::NoEffect,
        LastWord::No => Verdict::Refused,
        LastWord::Unsaid => Verdict::Failed,
    }
}

/// Verdict of a row that is found on target: `applied` if anything was ever sent for it, `already` otherwise. A request that
/// was answered 429 counts as sent, because nothing but the answer says that it had no effect.
pub(crate) fn on_target_verdict(standing: &Standing) -> Verdict {
    if standing.attempts == 0 && standing.throttled == 0 { Verdict::Already } else { Verdict::Applied }
}

/// Event that settles a row.
pub(crate) fn settled(row: RowId, verdict: Verdict, seen: Option<SeenState>, reason: Option<Reason>) -> EventKind {
    let (reason, ground) = reason.map(|Reason { text, ground }| (text, ground)).unzip();
    RowEvent::Settled { verdict, seen, reason, ground: ground.flatten() }.about(row)
}

#[cfg(test)]
mod tests {
    use super::states::{row, seen, wants};
    use super::*;
    use crate::model::dialect::Edition;

    #[test]
    fn a_look_decides_about_a_row() {
        let table = [
            ("finished/cutovered", "*/*", "finished/cutovered", "already"),
            ("stopped/*", "*/*", "stopped/syncing", "already"),
            ("init/*", "*/*", "initialize/replicating", "already"),
            ("finished/cutovered", "*/*", "stopped/cutovered", "answers success and changes nothing"),
            ("finished/cutovered", "*/syncing", "cutovering/cutovering", "expects migrationcycle `syncing`"),
            ("finished/*", "*/*", "cutovering/cutovering", "sends finished/cutovering Outside"),
            ("finished/cutovered", "cutovering/*", "cutovering/cutovering", "sends finished/cutovered Allowed"),
            ("cleared/cutovered", "*/*", "error/cutovered", "sends cleared/cutovered NoRule"),
        ];
        for (target, expects, shown, expected) in table {
            let decision = match Decision::from_look(
                &row(target, expects),
                Some(&seen(shown)),
                PairCompletion::FromLook,
                Dialect::Auto,
            ) {
                Decision::Already => "already".to_owned(),
                Decision::Blocked { reason } => reason.text,
                Decision::Change { sends, pairing } => format!("sends {sends} {pairing:?}"),
            };
            assert!(decision.contains(expected), "{target} from {shown}: {decision}");
        }
        assert!(matches!(
            Decision::from_look(&row("error/*", "*/*"), None, PairCompletion::FromLook, Dialect::Auto),
            Decision::Blocked { .. }
        ));
    }

    #[test]
    fn of_all_rules_that_apply_the_first_decides() {
        let strict = Dialect::Of(Edition::Y2026M01);
        let decide = |target, expects, shown: Option<&str>| {
            let shown = shown.map(seen);
            match Decision::from_look(&row(target, expects), shown.as_ref(), PairCompletion::FromLook, strict) {
                Decision::Already => Err(None),
                Decision::Blocked { reason } => Err(reason.ground),
                Decision::Change { sends, .. } => Ok(sends.to_string()),
            }
        };
        // Each look would be blocked by all rules below its line as well.
        assert_eq!(decide("stopped/*", "error/*", None), Err(Some(Ground::UnknownSource)));
        assert_eq!(decide("stopped/*", "error/*", Some("stopped/*")), Err(None));
        assert_eq!(decide("error/*", "syncing/*", Some("stopped/*")), Err(Some(Ground::NotAsExpected)));
        assert_eq!(decide("error/*", "stopped/*", Some("stopped/*")), Err(Some(Ground::IgnoresUpdates)));
        assert_eq!(decide("error/*", "syncing/*", Some("syncing/*")), Err(Some(Ground::Unsayable)));
        assert_eq!(decide("error/*", "syncing/*", Some("syncing/setting")), Ok("error/setting".to_owned()));
    }

    #[test]
    fn a_half_is_sent_as_it_stands_when_the_pair_is_not_completed() {
        let decision = Decision::from_look(
            &row("error/*", "*/*"),
            Some(&seen("syncing/syncing")),
            PairCompletion::Off,
            Dialect::Auto,
        );
        assert_eq!(decision, Decision::Change { sends: wants("error/*"), pairing: Pairing::NoRule });
    }

    #[test]
    fn a_pair_that_a_read_does_not_complete_is_not_sent_where_both_fields_are_wanted() {
        let decision = |dialect, shown| {
            Decision::from_look(&row("error/*", "*/*"), Some(&seen(shown)), PairCompletion::FromLook, dialect)
        };
        let objection = "the 2026-01 edition wants both fields, and nothing fills in the migrationcycle";
        let reason = Reason::on(Ground::Unsayable, objection);
        assert_eq!(decision(Dialect::Of(Edition::Y2026M01), "syncing/*"), Decision::Blocked { reason });
        for (dialect, shown) in [
            (Dialect::Of(Edition::Y2026M01), "syncing/hibernating"),
            (Dialect::Of(Edition::Y2025M11), "syncing/*"),
            (Dialect::Auto, "syncing/*"),
        ] {
            assert!(matches!(decision(dialect, shown), Decision::Change { .. }), "{dialect:?} {shown}");
        }
    }

    #[test]
    fn all_seven_silent_states_block() {
        for state in ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"] {
            let shown = seen(&format!("{state}/syncing"));
            let decision = Decision::from_look(
                &row("error/syncing", "*/*"),
                Some(&shown),
                PairCompletion::FromLook,
                Dialect::Auto,
            );
            assert!(matches!(decision, Decision::Blocked { .. }), "{state}");
        }
    }

    #[test]
    fn a_look_needs_what_is_named_expected_or_filled_in() {
        let needed = |target, expects, completion| needed_to_send(&row(target, expects), completion);
        assert_eq!(needed("error/*", "*/*", PairCompletion::Off), Fields { copystate: true, migrationcycle: false });
        assert_eq!(needed("error/*", "*/syncing", PairCompletion::Off), Fields::BOTH);
        assert_eq!(needed("error/*", "*/*", PairCompletion::FromLook), Fields::BOTH);
        assert_eq!(seen("*/syncing").lacks(Fields::BOTH), Some("state"));
        assert_eq!(seen("error/*").lacks(needed("error/*", "*/*", PairCompletion::Off)), None);
    }

    #[test]
    fn only_a_row_of_which_no_attempt_was_begun_was_there_already() {
        let with = |attempts, throttled| on_target_verdict(&Standing { attempts, throttled, ..Standing::default() });
        let verdicts = [with(0, 0), with(1, 0), with(0, 1), with(2, 3)];
        assert_eq!(verdicts, [Verdict::Already, Verdict::Applied, Verdict::Applied, Verdict::Applied]);
    }

    #[test]
    fn only_a_row_that_was_never_sent_is_blocked() {
        let sent = |last_word| unsent_verdict(&Standing { attempts: 1, last_word, ..Standing::default() });
        assert_eq!(unsent_verdict(&Standing::default()), Verdict::Blocked);
        assert_eq!(sent(LastWord::Yes), Verdict::NoEffect);
        assert_eq!(sent(LastWord::No), Verdict::Refused);
        assert_eq!(sent(LastWord::Unsaid), Verdict::Failed);
    }
}
