//! Invariants of any history that the fold accepts.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::state::TargetState;

const ROW: RowId = RowId(7);

fn outcome() -> impl Strategy<Value = Outcome> {
    let (code, message) = (None, String::new());
    prop_oneof![
        Just(Outcome::Accepted { status: 200 }),
        Just(Outcome::Rejected { status: 400, code, message: message.clone() }),
        Just(Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message }),
        Just(Outcome::Unsent { cause: String::new() }),
        Just(Outcome::Lost { status: None, code: None, cause: String::new() }),
    ]
}

fn event() -> impl Strategy<Value = RowEvent> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    prop_oneof![
        3 => Just(RowEvent::Seen { seen: Some(SeenState::default()) }),
        3 => (1..4_u32).prop_map(|attempt| RowEvent::AttemptStarted { attempt, sends: TargetState::default() }),
        3 => (1..4_u32, outcome()).prop_map(|(attempt, outcome)| {
            RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0, via: None }
        }),
        1 => verdict.prop_map(|verdict| RowEvent::Settled { verdict, seen: None, reason: None, ground: None }),
        1 => Just(RowEvent::Reopened { cause: String::new() }),
        1 => Just(RowEvent::Left { cause: String::new() }),
        1 => Just(RowEvent::Moved { seen: SeenState::default() }),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    prop::sample::select(vec![Rules::First, Rules::Second, Rules::Third])
}

/// Events of a random sequence that the fold accepts, and their sum.
fn folded(rules: Rules, events: Vec<RowEvent>) -> (Vec<RowEvent>, Standing) {
    let mut standing = Standing::untouched(rules);
    let mut legal = Vec::new();
    for event in events {
        let before = standing.clone();
        match standing.add(ROW, &event, Timestamp::UNIX_EPOCH) {
            Ok(()) => legal.push(event),
            Err(_) => assert_eq!(standing, before, "a refused {event:?} changed the sum"),
        }
    }
    (legal, standing)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_legal_history_sends_a_row_in_doubt_that_nobody_looked_at(rules in rules(), events in vec(event(), 0..60)) {
        let (legal, _) = folded(rules, events);
        let (mut is_open, mut must_look, mut n_started, mut settled) = (false, false, 0, None);
        for event in legal {
            match event {
                RowEvent::AttemptStarted { attempt, .. } => {
                    prop_assert!(!is_open && !must_look && settled.is_none());
                    prop_assert_eq!(attempt, n_started + 1);
                    (is_open, n_started) = (true, attempt);
                }
                RowEvent::AttemptEnded { attempt, outcome, .. } => {
                    prop_assert!(is_open && attempt == n_started);
                    is_open = false;
                    must_look |= matches!(outcome, Outcome::Lost { .. });
                }
                RowEvent::Seen { .. } => {
                    prop_assert!(!is_open && settled.is_none());
                    must_look = false;
                }
                RowEvent::Settled { verdict, .. } => {
                    prop_assert!(!is_open && settled.is_none());
                    settled = Some(verdict);
                }
                RowEvent::Reopened { .. } => {
                    prop_assert!(settled.is_some());
                    must_look = settled.take() == Some(Verdict::Unverified);
                }
                RowEvent::Left { .. } => prop_assert!(!is_open && settled.is_none()),
                RowEvent::Moved { .. } => (),
            }
        }
    }

    #[test]
    fn a_legal_history_that_is_replayed_from_anywhere_adds_up_to_the_same(
        rules in rules(), events in vec(event(), 0..60), cut in any::<prop::sample::Index>(),
    ) {
        let (legal, sum) = folded(rules, events);
        let (before, after) = legal.split_at(cut.index(legal.len() + 1));
        let (kept, mut resumed) = folded(rules, before.to_vec());
        prop_assert_eq!(kept, before);
        for event in after {
            prop_assert_eq!(resumed.add(ROW, event, Timestamp::UNIX_EPOCH), Ok(()));
        }
        prop_assert_eq!(resumed, sum);
    }

    #[test]
    fn every_attempt_is_counted_once(rules in rules(), events in vec(event(), 0..60)) {
        let (legal, sum) = folded(rules, events);
        let is_unsent = |event: &&RowEvent| {
            matches!(event, RowEvent::AttemptEnded { outcome: Outcome::Unsent { .. }, .. })
        };
        let n_unsent = u32::try_from(legal.iter().filter(is_unsent).count()).unwrap();
        prop_assert_eq!(sum.attempts + sum.throttled + n_unsent, sum.started);
    }
}
