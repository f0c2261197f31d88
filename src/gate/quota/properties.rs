//! Bounds of the pace that hold whatever the service answers, and whenever.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Answer to one request.
#[derive(Clone, Debug)]
struct QuotaAnswer {
    after_ms: u64,
    /// Time from leaving to the answer.
    took_ms: u64,
    is_throttled: bool,
    retry_after_s: Option<u64>,
    stated: Option<StatedQuota>,
}

fn answered() -> impl Strategy<Value = QuotaAnswer> {
    let stated = (1..10_000_u32, 1..120_000_u64).prop_map(|(calls, period_ms)| StatedQuota { calls, period_ms });
    let stated = prop::option::weighted(0.3, stated);
    (0..5_000_u64, 0..3_000_u64, any::<bool>(), prop::option::weighted(0.2, 0..60_u64), stated).prop_map(
        |(after_ms, took_ms, is_throttled, retry_after_s, stated)| QuotaAnswer {
            after_ms,
            took_ms,
            is_throttled,
            retry_after_s,
            stated,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_pace_stays_between_the_slowest_and_the_top_and_no_wait_is_shorter_than_was_asked_for(
        top in 1.0..1_000.0_f64, answers in vec(answered(), 0..100),
    ) {
        let mut now = Instant::now() + Duration::from_secs(10);
        let settings =
            GateSettings { per_second: Some(top), burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) };
        let mut quota = Quota::new(&settings, None, now);
        for QuotaAnswer { after_ms, took_ms, is_throttled, retry_after_s, stated } in answers {
            now += Duration::from_millis(after_ms);
            let left_at = now - Duration::from_millis(took_ms);
            quota.let_through(left_at);
            if is_throttled {
                let asked = retry_after_s.map(Duration::from_secs);
                let (wait, _) = quota.throttled(now, left_at, asked, stated);
                prop_assert!(wait >= asked.unwrap_or_default(), "{:?} is shorter than {:?}", wait, asked);
            } else {
                _ = quota.accepted(now, left_at);
            }
            let pace = quota.per_second();
            prop_assert!(pace.is_some_and(|pace| (SLOWEST..=top).contains(&pace)), "{:?} of {}", pace, top);
        }
    }
}
