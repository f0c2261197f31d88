//! Gateway before the stub, which answers some requests with 429: by a quota of one form or another, at random, or in an
//! outage.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

const SECOND_US: u64 = 1_000_000;

/// Rule by which requests are refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Throttling {
    Quota(Quota),
    /// Requests beyond a rate and a saved-up burst. The text of a 429 names no figure.
    Bucket {
        per_second: u32,
        burst: u32,
    },
    /// A share of requests in a thousand, at any pace. The text of a 429 names no figure.
    Sporadic {
        per_mille: u32,
    },
    /// Requests between these milliseconds after the first request, with `Retry-After: 1`.
    Outage {
        from_ms: u64,
        to_ms: u64,
    },
}

/// Rule that refuses all requests beyond a limit, counted over the last second.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Quota {
    pub(crate) per_second: u32,
    /// True if the text of a 429 names the limit.
    pub(crate) stated: bool,
    /// Later limit, and the milliseconds after the first request from which on it holds.
    pub(crate) then: Option<(u64, u32)>,
}

pub(super) struct Gateway {
    throttling: Throttling,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    first_us: Option<u64>,
    taken: VecDeque<u64>,
    /// Instant at which the bucket will be full again.
    full_us: u64,
    dice: Dice,
    /// Arrival of each request since the last call, and `true` for one that was taken.
    came: Vec<(u64, bool)>,
}

/// Contents of a 429.
#[derive(Clone, Copy, Default)]
pub(super) struct Refusal {
    pub(super) figure: Option<u32>,
    pub(super) retry_after_s: Option<u32>,
}

impl Gateway {
    pub(super) fn new(throttling: Throttling, seed: u64) -> Self {
        Self { throttling, memory: Mutex::new(Memory { dice: Dice(seed), ..Memory::default() }) }
    }

    /// Returns the refusal of a request, or `None` if it is taken.
    pub(super) fn refuses(&self, now_us: u64) -> Option<Refusal> {
        let mut memory = self.memory();
        let since_first_us = now_us.saturating_sub(*memory.first_us.get_or_insert(now_us));
        let refusal = match &self.throttling {
            Throttling::Quota(quota) => {
                let figure = quota.at(since_first_us);
                let refusal = Refusal { figure: quota.stated.then_some(figure), ..Refusal::default() };
                (!memory.takes_of_window(now_us, figure)).then_some(refusal)
            }
            Throttling::Bucket { per_second, burst } => {
                (!memory.takes_of_bucket(now_us, *per_second, *burst)).then(Refusal::default)
            }
            Throttling::Sporadic { per_mille } => (memory.dice.below(1000) < *per_mille).then(Refusal::default),
            Throttling::Outage { from_ms, to_ms } => (from_ms * 1000..to_ms * 1000)
                .contains(&since_first_us)
                .then(|| Refusal { retry_after_s: Some(1), ..Refusal::default() }),
        };
        memory.came.push((now_us, refusal.is_none()));
        refusal
    }

    pub(super) fn came(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.memory().came)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quota {
    fn at(&self, since_first_us: u64) -> u32 {
        match self.then {
            Some((from_ms, per_second)) if since_first_us >= from_ms * 1000 => per_second,
            Some(_) | None => self.per_second,
        }
    }
}

impl Memory {
    fn takes_of_window(&mut self, now_us: u64, figure: u32) -> bool {
        while self.taken.front().is_some_and(|at| now_us.saturating_sub(*at) >= SECOND_US) {
            self.taken.pop_front();
        }
        let is_taken = self.taken.len() < usize::try_from(figure).unwrap_or(usize::MAX);
        if is_taken {
            self.taken.push_back(now_us);
        }
        is_taken
    }

    fn takes_of_bucket(&mut self, now_us: u64, per_second: u32, burst: u32) -> bool {
        let one_us = SECOND_US / u64::from(per_second);
        let full_us = self.full_us.max(now_us) + one_us;
        let is_taken = full_us <= now_us + one_us * u64::from(burst);
        if is_taken {
            self.full_us = full_us;
        }
        is_taken
    }
}
