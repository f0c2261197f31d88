//! Histories of rows, and what they add up to.

use super::*;
use crate::event::row::RowEvent;
use crate::model::state::TargetState;
use crate::model::words::Word;

const ROW: RowId = RowId(7);

fn seen(copystate: &str) -> RowEvent {
    RowEvent::Seen { seen: Some(state(copystate)) }
}
fn state(copystate: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None }
}
fn start(attempt: u32) -> RowEvent {
    RowEvent::AttemptStarted { attempt, sends: TargetState::default() }
}
fn end(attempt: u32, outcome: Outcome) -> RowEvent {
    RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0, via: None }
}
fn lost() -> Outcome {
    Outcome::Lost { status: None, code: None, cause: "reset".into() }
}
fn throttled() -> Outcome {
    Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: String::new() }
}
fn settle(verdict: Verdict) -> RowEvent {
    RowEvent::Settled { verdict, seen: Some(state("finished")), reason: None, ground: None }
}
fn reopen() -> RowEvent {
    RowEvent::Reopened { cause: "asked for".into() }
}

fn fold(history: &[RowEvent]) -> Result<Standing, IllegalStep> {
    let mut standing = Standing::default();
    for (i, kind) in history.iter().enumerate() {
        standing.add(ROW, kind, Timestamp::from_millisecond(i64::try_from(i).unwrap()).unwrap())?;
    }
    Ok(standing)
}

#[test]
fn the_way_of_a_healthy_row() {
    let standing =
        fold(&[seen("syncing"), start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::Applied)])
            .unwrap();
    assert_eq!(standing.phase, Phase::Settled(Verdict::Applied));
    assert_eq!((standing.attempts, standing.before), (1, Some(state("syncing"))));
    assert_eq!(standing.after, Some(state("finished")));
}

#[test]
fn a_row_in_doubt_is_not_sent_again_without_a_look() {
    let unseen = [seen("syncing"), start(1), end(1, lost()), start(2)];
    assert_eq!(fold(&unseen).unwrap_err().phase, "in_doubt");
    assert!(fold(&[seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2)]).is_ok());
}

#[test]
fn a_look_permits_one_attempt_even_across_a_throttled_one() {
    let history = [start(1), end(1, lost()), seen("syncing"), start(2), end(2, throttled()), start(3)];
    assert_eq!(fold(&history).unwrap_err().phase, "due, in doubt and not looked at");
}

#[test]
fn throttled_and_unsent_attempts_are_not_counted_as_sent() {
    let history = [start(1), end(1, throttled()), start(2), end(2, Outcome::Unsent { cause: "refused".into() })];
    let standing = fold(&history).unwrap();
    assert_eq!((standing.started, standing.attempts, standing.throttled), (2, 0, 1));
    assert_eq!(standing.first_sent_at, None);
}

#[test]
fn nothing_follows_a_verdict_but_a_reopening() {
    let settled = settle(Verdict::Refused);
    for next in [seen("syncing"), start(1), settle(Verdict::Failed)] {
        assert!(fold(&[settled.clone(), next]).is_err());
    }
    assert_eq!(fold(&[settled, reopen()]).unwrap().phase, Phase::Due);
    assert!(fold(&[reopen()]).is_err());
}

#[test]
fn an_unverified_row_is_in_doubt_when_it_is_opened_again() {
    let history = [start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::Unverified), reopen()];
    assert_eq!(fold(&history).unwrap().phase, Phase::InDoubt);
    let mut sent = history.to_vec();
    sent.push(start(2));
    assert!(fold(&sent).is_err());
}

#[test]
fn an_end_needs_its_own_start() {
    assert!(fold(&[end(1, lost())]).is_err());
    assert!(fold(&[start(1), end(2, lost())]).is_err());
    assert!(fold(&[start(2)]).is_err());
}

#[test]
fn a_look_before_a_retry_does_not_rewrite_what_was_before_the_first_change() {
    let mut history =
        vec![seen("syncing"), start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::NoEffect)];
    history.extend([reopen(), seen("cloning")]);
    let standing = fold(&history).unwrap();
    assert_eq!(standing.before, Some(state("syncing")));
    assert_eq!(standing.last_seen(), Some(&state("cloning")));
}

#[test]
fn a_look_in_doubt_does_not_rewrite_what_was_before() {
    let standing = fold(&[seen("syncing"), start(1), end(1, lost()), seen("cloning")]).unwrap();
    assert_eq!(standing.before, Some(state("syncing")));
}

fn unsent() -> Outcome {
    Outcome::Unsent { cause: "paused".into() }
}
fn refused() -> Outcome {
    Outcome::Rejected { status: 409, code: None, message: String::new() }
}

#[test]
fn an_intent_that_was_never_sent_leaves_the_look_before_it_as_it_was() {
    for outcome in [unsent(), throttled()] {
        let standing = fold(&[seen("syncing"), start(1), end(1, outcome)]).unwrap();
        assert!(standing.looked);
        assert_eq!((standing.before, standing.first_sent_at), (Some(state("syncing")), None));
    }
    // Preflight was off, and nobody has looked yet.
    assert!(!fold(&[start(1), end(1, unsent())]).unwrap().looked);
    // An attempt cut off with its launch counts as sent.
    let cut_off = fold(&[seen("syncing"), start(1), end(1, lost())]).unwrap();
    assert_eq!((cut_off.looked, cut_off.phase), (false, Phase::InDoubt));
}

#[test]
fn a_refusal_after_a_doubt_leaves_the_doubt() {
    let history = [seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2), end(2, refused())];
    assert_eq!(fold(&history).unwrap().phase, Phase::InDoubt);
    assert_eq!(fold(&[seen("syncing"), start(1), end(1, refused())]).unwrap().phase, Phase::Due);
}

#[test]
fn what_was_before_the_first_send_stays_over_refusals_and_retries() {
    let refused = [seen("syncing"), start(1), end(1, refused()), settle(Verdict::Refused), reopen()];
    let again = |more: &[RowEvent]| fold(&[&refused[..], more].concat()).unwrap();
    assert_eq!(again(&[seen("cloning")]).before, Some(state("syncing")));
    assert_eq!(again(&[seen("cloning")]).last_seen(), Some(&state("cloning")));
    assert_eq!(again(&[seen("cloning"), start(2), end(2, lost())]).before, Some(state("syncing")));
    // Nothing was seen before the first send, so no later look becomes `before`.
    let blind = [start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::NoEffect), reopen()];
    assert_eq!(fold(&[&blind[..], &[seen("cloning")]].concat()).unwrap().before, None);
    // Never sent: the look after the reopening is what was before.
    let blocked = fold(&[seen("stopped"), settle(Verdict::Blocked), reopen(), seen("cloning")]).unwrap();
    assert_eq!(blocked.before, Some(state("cloning")));
}

#[test]
fn a_source_that_is_unknown_when_its_row_is_opened_again_is_not_where_it_was_before() {
    let unknown = RowEvent::Seen { seen: None };
    let mut history = vec![seen("syncing"), start(1), end(1, refused()), settle(Verdict::Refused), reopen(), unknown];
    let standing = fold(&history).unwrap();
    assert_eq!((standing.last_seen(), standing.looked), (None, true));
    assert_eq!(standing.before, Some(state("syncing")));
    history.push(seen("cloning"));
    assert_eq!(fold(&history).unwrap().last_seen(), Some(&state("cloning")));
}

#[test]
fn that_a_source_was_unknown_is_forgotten_once_its_row_is_opened_again() {
    let unknown = RowEvent::Seen { seen: None };
    let accepted = end(1, Outcome::Accepted { status: 200 });
    let history = [seen("syncing"), start(1), accepted, unknown, settle(Verdict::Overtaken), reopen()];
    assert!(fold(&history[..4]).unwrap().unknown);
    assert_eq!(fold(&history).unwrap().last_seen(), Some(&state("syncing")));
}

#[test]
fn the_last_word_is_the_services_own() {
    let after = |outcomes: &[Outcome]| {
        let mut history = Vec::new();
        for (n, outcome) in (1..).zip(outcomes) {
            history.extend([seen("syncing"), start(n), end(n, outcome.clone())]);
        }
        fold(&history).unwrap().last_word
    };
    let answered = |status| Outcome::Lost { status: Some(status), code: None, cause: "a page".into() };
    assert_eq!(after(&[]), LastWord::Unsaid);
    assert_eq!(after(&[refused()]), LastWord::No);
    assert_eq!(after(&[Outcome::Accepted { status: 200 }]), LastWord::Yes);
    // Whatever stands in between answers with any status, and a code that passes may come with 400.
    for status in [200, 302, 400, 403, 404, 418, 444, 460, 495] {
        assert_eq!(after(&[answered(status)]), LastWord::Unsaid, "{status}");
        assert_eq!(after(&[refused(), answered(status)]), LastWord::Unsaid, "{status}");
    }
    let unauthenticated = Outcome::Unauthenticated { status: 401, code: None, message: String::new() };
    assert_eq!(after(&[refused(), unauthenticated]), LastWord::Unsaid);
    for outcome in [throttled(), unsent()] {
        assert_eq!(after(&[refused(), outcome.clone()]), LastWord::No);
        assert_eq!(after(&[outcome]), LastWord::Unsaid);
    }
}

#[test]
fn what_others_did_to_a_row_that_was_never_sent_is_not_what_was_before() {
    let standing = fold(&[seen("syncing"), settle(Verdict::Overtaken)]).unwrap();
    assert_eq!((standing.before, standing.after), (Some(state("syncing")), Some(state("finished"))));
}

#[test]
fn a_run_of_an_earlier_version_adds_up_as_it_did() {
    let first = |history: &[RowEvent]| {
        let mut standing = Standing { rules: Rules::First, ..Standing::default() };
        for kind in history {
            standing.add(ROW, kind, Timestamp::UNIX_EPOCH).unwrap();
        }
        standing
    };
    assert!(!first(&[seen("syncing"), start(1), end(1, unsent())]).looked);
    let doubted = [seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2), end(2, refused())];
    assert_eq!(first(&doubted).phase, Phase::Due);
    let again = [start(1), end(1, refused()), settle(Verdict::Refused), reopen(), seen("cloning")];
    assert_eq!(first(&again).before, Some(state("cloning")));
    assert_eq!(first(&[seen("syncing"), settle(Verdict::Overtaken)]).before, Some(state("finished")));
}

#[test]
fn what_is_seen_after_a_change_was_told_to_wait_is_what_was_before_by_earlier_rules_alone() {
    let history = [seen("syncing"), start(1), end(1, throttled()), seen("cloning"), settle(Verdict::Applied)];
    let blind = [start(1), end(1, throttled()), settle(Verdict::Applied)];
    let again = [&history[..], &[reopen()]].concat();
    let shows = |rules, history: &[RowEvent]| {
        let mut standing = Standing::untouched(rules);
        for kind in history {
            standing.add(ROW, kind, Timestamp::UNIX_EPOCH).unwrap();
        }
        standing.before
    };
    assert_eq!(shows(Rules::Third, &history), Some(state("syncing")));
    assert_eq!(shows(Rules::Third, &again), Some(state("syncing")));
    assert_eq!(shows(Rules::Third, &blind), None);
    assert_eq!(shows(Rules::Second, &history), Some(state("cloning")));
    assert_eq!(shows(Rules::Second, &again), None);
    assert_eq!(shows(Rules::Second, &blind), Some(state("finished")));
    // A request that never left does not count by any rules.
    let unsent = [seen("syncing"), start(1), end(1, unsent()), seen("cloning")];
    assert_eq!(shows(Rules::Third, &unsent), Some(state("cloning")));
}

/// Checks invariants after each step of random histories that the fold accepts.
#[test]
fn whatever_happens_to_a_row_what_was_before_stays_and_a_doubt_is_looked_at() {
    use rand::{RngExt as _, SeedableRng as _};
    for seed in 0..2_000 {
        let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
        let mut standing = Standing::default();
        let mut last_look = None;
        // What was seen last when the first request left, throttled ones included; and whether an answer was lost since the
        // last look.
        let (mut before_first_send, mut unlooked_doubt) = (None, false);
        for step in 0..60 {
            let at = Timestamp::from_second(step).unwrap();
            let shown = ["syncing", "cloning", "error"][dice.random_range(0..3)];
            let attempt = standing.started + u32::from(standing.phase != Phase::Open);
            let kind = match dice.random_range(0..11) {
                0 => seen(shown),
                1..4 => start(attempt),
                4 => end(attempt, unsent()),
                5 => end(attempt, throttled()),
                6 => end(attempt, lost()),
                7 => end(attempt, refused()),
                8 => end(attempt, Outcome::Accepted { status: 200 }),
                9 => RowEvent::Settled {
                    verdict: Verdict::ALL[dice.random_range(0..8)],
                    seen: None,
                    reason: None,
                    ground: None,
                },
                _ => reopen(),
            };
            if standing.attempts == 0 && matches!(kind, RowEvent::Settled { verdict: Verdict::Unverified, .. }) {
                // `unverified` needs a change that was accepted.
                continue;
            }
            let was = standing.clone();
            let mut next = standing.clone();
            if next.add(ROW, &kind, at).is_err() {
                continue;
            }
            standing = next;
            match &kind {
                RowEvent::Seen { seen, .. } => {
                    last_look.clone_from(seen);
                    unlooked_doubt = false;
                }
                RowEvent::AttemptStarted { .. } => {
                    assert!(!unlooked_doubt, "{seed}: sent unseen");
                }
                RowEvent::AttemptEnded { outcome: Outcome::Unsent { .. } | Outcome::Throttled { .. }, .. } => {
                    assert_eq!(standing.before, was.before, "{seed}");
                    assert!(was.attempts > 1 || standing.first_sent_at.is_none(), "{seed}");
                    unlooked_doubt = was.doubted;
                    if standing.was_sent() {
                        before_first_send.get_or_insert_with(|| last_look.clone());
                    }
                }
                RowEvent::AttemptEnded { outcome, .. } => {
                    before_first_send.get_or_insert_with(|| last_look.clone());
                    unlooked_doubt =
                        matches!(outcome, Outcome::Disclaimed { .. } | Outcome::Lost { .. }) || was.doubted;
                }
                RowEvent::Reopened { .. } if !standing.was_sent() => last_look = None,
                RowEvent::Reopened { .. } => unlooked_doubt = standing.phase == Phase::InDoubt,
                _ => (),
            }
            if let Some(before) = &before_first_send {
                assert_eq!(&standing.before, before, "{seed}: {kind:?}");
            }
        }
    }
}
