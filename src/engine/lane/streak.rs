//! Series of answers that do not come from the service: a proxy or a gateway lets nothing through to it.

use std::sync::{Mutex, PoisonError};

use crate::event::outcome::Outcome;
use crate::remote::between::Strange;

/// Number of answers of one kind in a row that are no accident.
const ENOUGH: u32 = 5;

#[derive(Default)]
pub(crate) struct Streak(Mutex<InARow>);

#[derive(Default)]
struct InARow {
    kind: Option<Strange>,
    n: u32,
}

impl Streak {
    /// Counts one answer. Returns the kind of the series, once it is long enough.
    pub(crate) fn count(&self, outcome: &Outcome) -> Option<Strange> {
        // A request without an answer says nothing about who would have answered it.
        if is_no_answer(outcome) {
            return None;
        }
        let kind = Strange::from_outcome(outcome);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = if kind.is_some() && kind == last.kind { last.n + 1 } else { 1 };
        *last = InARow { kind, n };
        kind.filter(|_| n >= ENOUGH)
    }
}

fn is_no_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { status: None, .. } => true,
        Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Throttled { .. }
        | Outcome::Lost { status: Some(_), .. } => false,
    }
}

/// Reason for which the lane stops, with the last answer and advice.
pub(crate) fn reason(asked: &str, kind: Strange, last: &Outcome) -> String {
    format!("{ENOUGH} answers in a row to {asked} did not come from the service, the last: {last}; {}", kind.advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(status: Option<u16>, code: Option<&str>) -> Outcome {
        Outcome::Lost { status, code: code.map(str::to_owned), cause: "a page".to_owned() }
    }

    fn page(status: u16) -> Outcome {
        lost(Some(status), None)
    }

    /// Number of the answer at which it is enough.
    fn enough(outcomes: &[Outcome]) -> Option<usize> {
        let streak = Streak::default();
        outcomes.iter().position(|outcome| streak.count(outcome).is_some()).map(|at| at + 1)
    }

    #[test]
    fn five_in_a_row_of_one_kind_are_enough_and_nothing_less() {
        let accepted = Outcome::Accepted { status: 200 };
        let rejected = Outcome::Rejected { status: 403, code: None, message: String::new() };
        for (outcomes, expected) in [
            (vec![page(403); 5], Some(5)),
            (vec![page(403); 4], None),
            // A redirect is a redirect, wherever to and for how long.
            (vec![page(302), page(301), page(307), page(308), page(303)], Some(5)),
            (vec![page(304); 6], Some(5)),
            (vec![page(403), page(403), page(403), page(403), page(407), page(403)], None),
            ([vec![page(418); 4], vec![accepted], vec![page(418); 4]].concat(), None),
            ([vec![page(418); 4], vec![rejected], vec![page(418); 5]].concat(), Some(10)),
            ([vec![page(421); 4], vec![page(503)], vec![page(421); 4]].concat(), None),
            // No answer says nothing about it.
            ([vec![page(499); 4], vec![lost(None, None)], vec![page(499)]].concat(), Some(6)),
            // An outage is not strange, and neither is a code that may pass.
            (vec![page(503); 9], None),
            (vec![lost(Some(400), Some("SMS.6301")); 9], None),
            (vec![lost(Some(408), Some("SMS.6301")); 5], Some(5)),
            (vec![lost(Some(500), Some("APIGW.0601")); 9], None),
            // "Perhaps done", and "nobody is let through".
            (vec![lost(Some(500), Some("SMS.6526")); 5], Some(5)),
            (vec![lost(Some(200), Some("APIGW.0301")); 5], Some(5)),
            (vec![lost(Some(503), Some("APIGW.0308")); 9], None),
        ] {
            assert_eq!(enough(&outcomes), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn the_reason_names_what_answered_and_what_to_see_to() {
        let last = Outcome::Lost { status: Some(407), code: None, cause: "a proxy wants a user".to_owned() };
        let text = reason("changes", Strange::from_outcome(&last).unwrap(), &last);
        assert!(text.contains("(407): a proxy wants a user; give the proxy a user"), "{text}");
    }
}
