//! Rules of the judge that hold for random rows, states and targets.

use proptest::prelude::*;

use super::Decision;
use super::effect::{Effect, on_target};
use crate::model::Row;
use crate::model::dialect::Dialect;
use crate::model::state::{PairCompletion, SeenState, TargetState};
use crate::model::words::{self, Word};

fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<Word>> {
    prop::option::weighted(0.8, prop::sample::select(words).prop_map(Word::new))
}

fn state() -> impl Strategy<Value = SeenState> {
    let copystates = &["syncing", "stopped", "finished", "deleting", "cutovering", "clearing", "elsewhere"];
    (word(copystates), word(&["syncing", "cutovered", "replicating", "elsewhere"]))
        .prop_map(|(copystate, migrationcycle)| SeenState { copystate, migrationcycle })
}

fn target() -> impl Strategy<Value = TargetState> {
    state().prop_map(|SeenState { copystate, migrationcycle }| TargetState { copystate, migrationcycle })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn only_a_row_that_is_as_expected_and_not_on_target_is_sent_and_as_the_plan_wants_it(
        wants in target(), expects in target(), seen in prop::option::of(state()), completes in any::<bool>(),
    ) {
        let row = Row { expects, ..Row::first(wants) };
        let completion = if completes { PairCompletion::FromLook } else { PairCompletion::Off };
        if let Decision::Change { sends, .. } = Decision::from_look(&row, seen.as_ref(), completion, Dialect::Auto) {
            let seen = seen.expect("a source that nobody saw is not sent");
            prop_assert!(!on_target(&row.wants, &seen) && on_target(&row.expects, &seen));
            prop_assert!(!seen.copystate.as_ref().is_some_and(words::swallows_updates));
            let sent = SeenState { copystate: sends.copystate, migrationcycle: sends.migrationcycle };
            prop_assert!(on_target(&row.wants, &sent));
        }
    }

    #[test]
    fn a_change_took_hold_exactly_where_the_row_is_on_target(
        wants in target(), before in prop::option::of(state()), seen in state(),
    ) {
        let effect = Effect::from_look(&wants, before.as_ref(), Some(&seen));
        prop_assert_eq!(effect == Effect::OnTarget, on_target(&wants, &seen));
    }

    #[test]
    fn nobody_overtook_a_row_of_which_nothing_was_known_before(
            wants in target(), seen in prop::option::of(state()),
        ) {
        let is_overtaken = matches!(Effect::from_look(&wants, None, seen.as_ref()), Effect::Overtaken { .. });
        prop_assert!(!is_overtaken);
    }
}
