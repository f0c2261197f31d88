//! Answers of something between us and the service: a proxy, a firewall, a load balancer, the log-in page of a network.
//!
//! Such an answer is not the service's word about the row and settles nothing: the row is looked at and tried again. If
//! they repeat, nothing gets through, and the lane is stopped.

use super::codes::{self, Class};
use crate::event::outcome::Outcome;

/// Tells whether this status comes only from something on the way, whatever the body says.
///
/// sources: RFC 9110 15.4 (3xx), 15.5.8 (407), 15.5.9 (408), 15.5.19 (418, which no service may use), 15.5.20 (421);
/// RFC 8470 5.2 (425); nginx `ngx_http_request.h` (444, 495 to 499; 494 is the gateway's own, too); Elastic Load
/// Balancing, "troubleshoot your Application Load Balancers" (460, 463).
pub(crate) fn speaks(status: u16) -> bool {
    matches!(status, 300..400 | 407 | 408 | 418 | 421 | 425 | 444 | 460 | 463 | 495..=499)
}

/// Kind of an answer that is not the service's own. The same kind again and again counts as one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strange {
    Redirect,
    /// Answer with this status that is not the service's own.
    Between(u16),
    /// The status says that the request may have been handled, and the code that nobody of this account is let through.
    Contradiction(u16),
}

impl Strange {
    /// Classifies an outcome; `None` if the answer is the service's own, or if there was none.
    pub(crate) fn from_outcome(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Lost { status: Some(300..=303 | 305..400), .. } => Some(Strange::Redirect),
            Outcome::Lost { status: Some(status @ (300..500 | 511)), code, .. }
                if code.is_none() || speaks(*status) =>
            {
                Some(Strange::Between(*status))
            }
            Outcome::Lost { status: Some(status), code: Some(code), .. } => match codes::class(code) {
                Class::Auth | Class::Acct | Class::Barred => Some(Strange::Contradiction(*status)),
                Class::Perm
                | Class::State
                | Class::Missing
                | Class::Deny
                | Class::Trans
                | Class::Throttle
                | Class::Agent
                | Class::ByStatus => None,
            },
            Outcome::Lost { .. }
            | Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. } => None,
        }
    }

    /// Advice for the person who has to look into it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Strange::Redirect => "see whether the network wants somebody to log in, and whether the endpoint is right",
            Strange::Between(407) => "give the proxy a user and a password in HTTPS_PROXY",
            Strange::Between(_) => {
                "see what stands between this machine and the service: a proxy, a firewall or a load balancer"
            }
            Strange::Contradiction(_) => "see whether the account is in order and its credentials are right",
        }
    }
}
