//! Endings of an attempt.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ending of an attempt: every way a request can end has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Answered with success, which is not yet proof of an effect.
    Accepted { status: u16 },
    /// Refused by the service for good: about this row.
    Rejected {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused because of our credentials, which are wrong or have expired: about us, not about the row.
    Unauthenticated {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused because of the account or the place we call from: no other request of this lane will fare better.
    Barred {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused over the quota, before it was processed: safe to send again.
    Throttled {
        /// `None` for 429. The gateway's code means the same with other statuses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// Figure and period, where the text names them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<StatedQuota>,
        message: String,
    },
    /// Never reached the server: safe to send again.
    Unsent { cause: String },
    /// Sent completely, and the peer claims that nobody processed it. We cannot know that, so the change may have been made
    /// all the same.
    Disclaimed { cause: String },
    /// May have reached the server: timeout, reset, 5xx, an answer that cannot be read, abort.
    Lost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        cause: String,
    },
}

impl Outcome {
    /// Words of the stored forms.
    pub const NAMES: [&str; 8] =
        ["accepted", "rejected", "unauthenticated", "barred", "throttled", "unsent", "disclaimed", "lost"];

    /// Ending of a request that we abandoned while it was on the wire.
    #[must_use]
    pub fn aborted() -> Self {
        Outcome::Lost { status: None, code: None, cause: "let go before the answer came".to_owned() }
    }

    /// Word in the stored form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unauthenticated { .. } => "unauthenticated",
            Outcome::Barred { .. } => "barred",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Unsent { .. } => "unsent",
            Outcome::Disclaimed { .. } => "disclaimed",
            Outcome::Lost { .. } => "lost",
        }
    }

    /// Tells whether our credentials were not accepted. A 401 that does not carry the service's own code leaves the row in doubt,
    /// and counts too: the key is locked after a few such answers.
    #[must_use]
    pub fn refuses_us(&self) -> bool {
        match self {
            Outcome::Unauthenticated { .. } | Outcome::Lost { status: Some(401), .. } => true,
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => false,
        }
    }

    /// HTTP status, where there was an answer with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Accepted { status }
            | Outcome::Rejected { status, .. }
            | Outcome::Unauthenticated { status, .. }
            | Outcome::Barred { status, .. } => Some(*status),
            Outcome::Throttled { status, .. } => Some(status.unwrap_or(429)),
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } => None,
            Outcome::Lost { status, .. } => *status,
        }
    }

    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Outcome::Rejected { code, .. }
            | Outcome::Unauthenticated { code, .. }
            | Outcome::Barred { code, .. }
            | Outcome::Lost { code, .. } => code.as_deref(),
            Outcome::Accepted { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. } => None,
        }
    }

    /// Message of the answer or cause of the failure; `None` for success.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Outcome::Accepted { .. } => None,
            Outcome::Rejected { message, .. }
            | Outcome::Unauthenticated { message, .. }
            | Outcome::Barred { message, .. }
            | Outcome::Throttled { message, .. } => Some(message),
            Outcome::Unsent { cause } | Outcome::Disclaimed { cause } | Outcome::Lost { cause, .. } => Some(cause),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unauthenticated { .. } => "not authenticated",
            Outcome::Barred { .. } => "barred",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Unsent { .. } => "not sent",
            Outcome::Disclaimed { .. } => "disclaimed",
            Outcome::Lost { status: Some(300..500), code: None, .. } => "no answer of the service",
            Outcome::Lost { .. } => "answer lost",
        };
        f.write_str(name)?;
        if let Some(status) = self.status() {
            write!(f, " ({status}")?;
            if let Some(code) = self.code() {
                write!(f, " {code}")?;
            }
            f.write_str(")")?;
        }
        match self.message() {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Figure stated in the text of a 429, such as `limit:60,time:1 minute`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatedQuota {
    pub calls: u32,
    pub period_ms: u64,
}

impl StatedQuota {
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.calls) / self.period().as_secs_f64()
    }

    #[must_use]
    pub fn period(self) -> Duration {
        Duration::from_millis(self.period_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_named_in_the_list_as_it_is_stored() {
        let (cause, message) = (String::new(), String::new());
        let code = || None::<String>;
        let all = [
            Outcome::Accepted { status: 200 },
            Outcome::Rejected { status: 400, code: code(), message: message.clone() },
            Outcome::Unauthenticated { status: 401, code: code(), message: message.clone() },
            Outcome::Barred { status: 403, code: code(), message: message.clone() },
            Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message },
            Outcome::Unsent { cause: cause.clone() },
            Outcome::Disclaimed { cause: cause.clone() },
            Outcome::Lost { status: None, code: None, cause },
        ];
        assert_eq!(all.each_ref().map(Outcome::name), Outcome::NAMES);
        for outcome in all {
            assert_eq!(serde_json::to_value(&outcome).unwrap()["is"], outcome.name());
        }
    }

    #[test]
    fn a_stated_quota_is_a_rate() {
        let quota = StatedQuota { calls: 60, period_ms: 60_000 };
        assert!((quota.per_second() - 1.0).abs() < f64::EPSILON);
    }
}
