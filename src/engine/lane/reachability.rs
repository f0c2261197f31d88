//! Reachability of the service: requests of this launch that had an answer, and such that had none.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::outcome::Outcome;

#[derive(Default)]
pub(crate) struct Reachability {
    /// Requests came back with an answer of any kind.
    answered: AtomicBool,
    /// Requests came back without one.
    unanswered: AtomicBool,
}

impl Reachability {
    pub(crate) fn note(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { status: None, .. } => {
                &self.unanswered
            }
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Lost { status: Some(_), .. } => &self.answered,
        }
        .store(true, Ordering::Relaxed);
    }

    /// Tells that requests were made, and not one had an answer; `None` until a request has ended.
    pub(crate) fn is_out(&self) -> Option<bool> {
        match (self.answered.load(Ordering::Relaxed), self.unanswered.load(Ordering::Relaxed)) {
            (false, false) => None,
            (answered, _) => Some(!answered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_of_any_kind_is_reach_enough() {
        let reach = Reachability::default();
        assert_eq!(reach.is_out(), None);
        reach.note(&Outcome::Unsent { cause: String::new() });
        assert_eq!(reach.is_out(), Some(true));
        reach.note(&Outcome::Lost { status: Some(503), code: None, cause: String::new() });
        assert_eq!(reach.is_out(), Some(false));
    }
}
