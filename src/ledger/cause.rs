//! Cause for which a row is not on target, as one word: rows with the same cause are dealt with alike, and reopened together.

use std::fmt;
use std::str::FromStr;

use super::standing::{Phase, Standing};
use crate::event::rules::Rules;
use crate::event::verdict::{Ground, Verdict};
use crate::model::words::nearest;

/// Cause of a row without a ground, error code or status of an error.
const OTHER: &str = "other";

impl Standing {
    /// Returns the word for the row's cause: the ground of its verdict, else the service's code, else the status of its answer.
    #[must_use]
    pub fn cause(&self) -> String {
        word(self.ground, self.error_code.as_deref(), self.http_status)
    }
}

/// Returns the word from its parts. A code comes from outside: all but letters, digits, `.`, `-` and `_` becomes `_`, so that neither
/// a shell nor a list of ours reads it otherwise.
#[must_use]
pub fn word(ground: Option<Ground>, error_code: Option<&str>, http_status: Option<u16>) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    match (ground, error_code.filter(|code| !code.is_empty()), http_status) {
        (Some(ground), _, _) => ground.name().to_owned(),
        (None, Some(code), _) => code.chars().map(|c| if is_plain(c) { c } else { '_' }).collect(),
        (None, None, Some(status @ 300..)) => status.to_string(),
        (None, None, Some(_) | None) => OTHER.to_owned(),
    }
}

/// Returns the ground of a verdict by the rules of its run.
pub(crate) fn ground_of(
    rules: Rules,
    verdict: Verdict,
    stored: Option<Ground>,
    reason: Option<&str>,
) -> Option<Ground> {
    match rules {
        Rules::First | Rules::Second => stored.or_else(|| worded(verdict, reason)),
        Rules::Third => stored,
    }
}

/// Infers the ground of a verdict that an earlier version stored without one, from that version's wording. The migration that
/// added the column did the same for what table `row` held then.
fn worded(verdict: Verdict, reason: Option<&str>) -> Option<Ground> {
    let reason = reason?;
    match verdict {
        Verdict::Blocked if reason.starts_with("skipped by ") => Some(Ground::Skipped),
        Verdict::Blocked if reason == "the service does not know this source" => Some(Ground::UnknownSource),
        Verdict::Blocked if reason.starts_with("the plan expects ") => Some(Ground::NotAsExpected),
        Verdict::Blocked if reason.ends_with("answers success and changes nothing") => Some(Ground::IgnoresUpdates),
        Verdict::Unverified if reason == "verification is switched off" => Some(Ground::NotVerified),
        Verdict::Unverified if reason.starts_with("no look succeeded") => Some(Ground::Unseen),
        Verdict::Unverified if reason.starts_with("reads never show ") => Some(Ground::NeverShown),
        Verdict::Unverified
        | Verdict::Blocked
        | Verdict::Applied
        | Verdict::Already
        | Verdict::NoEffect
        | Verdict::Overtaken
        | Verdict::Refused
        | Verdict::Failed => None,
    }
}

/// Selection of rows by verdict, and by cause where one is named: `refused`, `refused:SMS.9004`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    pub verdict: Verdict,
    pub cause: Option<String>,
}

impl Only {
    /// Tells whether it selects a row. Skipped rows are selected only by their own name.
    #[must_use]
    pub fn means(&self, standing: &Standing) -> bool {
        let is_of_cause = match &self.cause {
            Some(cause) => standing.cause() == *cause,
            None => standing.ground != Some(Ground::Skipped),
        };
        standing.phase == Phase::Settled(self.verdict) && is_of_cause
    }

    /// Tells whether it selects skipped rows.
    #[must_use]
    pub fn names_skipped(&self) -> bool {
        self.verdict == Verdict::Blocked && self.cause.as_deref() == Some(Ground::Skipped.name())
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // Skipped rows have a name of their own, since `blocked` does not include them.
            Some(_) if self.names_skipped() => f.write_str(Ground::Skipped.name()),
            Some(cause) => write!(f, "{}:{cause}", self.verdict),
            None => self.verdict.fmt(f),
        }
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Ground::Skipped.name() {
            return Ok(Self { verdict: Verdict::Blocked, cause: Some(text.to_owned()) });
        }
        let (verdict, cause) = match text.split_once(':') {
            Some((_, "")) => return Err("names no cause behind the colon".to_owned()),
            Some((verdict, cause)) => (verdict, Some(cause.to_owned())),
            None => (text, None),
        };
        match Verdict::named(verdict) {
            Some(Verdict::Applied | Verdict::Already) => Err("is on target already".to_owned()),
            Some(verdict) => Ok(Self { verdict, cause }),
            None => {
                let off_target = Verdict::ALL.into_iter().filter(|verdict| !verdict.on_target()).map(Verdict::name);
                let known: Vec<&str> = off_target.chain([Ground::Skipped.name()]).collect();
                let near = nearest(verdict, known.iter().copied());
                let none = || format!("is none of {}", known.join(", "));
                Err(near.map_or_else(none, |near| format!("did you mean `{near}`?")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(verdict: Verdict, ground: Option<Ground>, code: Option<&str>, status: Option<u16>) -> Standing {
        Standing {
            phase: Phase::Settled(verdict),
            ground,
            error_code: code.map(str::to_owned),
            http_status: status,
            ..Standing::default()
        }
    }

    #[test]
    fn a_cause_is_one_word_of_a_shell_whatever_the_service_says() {
        let cases = [
            (settled(Verdict::Blocked, Some(Ground::IgnoresUpdates), Some("APIGW.0308"), Some(429)), "ignores_updates"),
            (settled(Verdict::Refused, None, Some("SMS.9004"), Some(403)), "SMS.9004"),
            (settled(Verdict::Refused, None, Some("a,b:c $(id)"), Some(403)), "a_b_c___id_"),
            (settled(Verdict::Failed, None, None, Some(503)), "503"),
            (settled(Verdict::Failed, None, Some(""), None), "other"),
            (settled(Verdict::NoEffect, None, None, Some(200)), "other"),
        ];
        for (standing, word) in cases {
            assert_eq!(standing.cause(), word, "{standing:?}");
            let Phase::Settled(verdict) = standing.phase else { unreachable!("all are settled") };
            let only: Only = format!("{verdict}:{word}").parse().unwrap();
            assert!(only.means(&standing) && !only.means(&settled(verdict, None, Some("X.1"), Some(404))), "{word}");
        }
    }

    #[test]
    fn what_somebody_skipped_is_meant_only_by_its_name() {
        let skipped = settled(Verdict::Blocked, Some(Ground::Skipped), None, None);
        let only = |text: &str| text.parse::<Only>().unwrap();
        assert!(!only("blocked").means(&skipped) && !only("blocked:unknown_source").means(&skipped));
        for named in ["skipped", "blocked:skipped"] {
            assert!(only(named).means(&skipped) && only(named).names_skipped(), "{named}");
            assert_eq!(only(named).to_string(), "skipped");
        }
        assert!(!only("refused:skipped").names_skipped(), "no row is refused because somebody skipped it");
        assert!(only("blocked").means(&settled(Verdict::Blocked, Some(Ground::UnknownSource), None, None)));
        assert!(!only("refused").means(&settled(Verdict::Failed, None, None, Some(503))));
    }

    #[test]
    fn what_names_no_rows_says_so() {
        let error = |text: &str| text.parse::<Only>().unwrap_err();
        assert_eq!(error("applied"), "is on target already");
        assert_eq!(error("refusd"), "did you mean `refused`?");
        assert_eq!(error("refused:"), "names no cause behind the colon");
        assert!(error("everything").starts_with("is none of unverified, no_effect"), "{}", error("everything"));
    }
}
