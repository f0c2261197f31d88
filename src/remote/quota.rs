//! Wait and rate that a throttled answer states.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::event::outcome::StatedQuota;
use crate::ledger::cool_down::LONGEST_WAIT;

/// Longest period that is believed to be a gateway's: a longer one is a misread text.
const LONGEST_PERIOD_MS: u64 = 86_400_000;

/// Returns the wait that a `Retry-After` names, in seconds or as a date; `None` for nonsense.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is nonsense, too.
        return value.parse().ok().map(Duration::from_secs).filter(is_believed);
    }
    let until = date(value)?;
    // A date that has passed means that the wait is over.
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait).filter(is_believed)
}

/// Tells whether a wait is one that a gateway would ask for.
pub(super) fn is_believed(wait: &Duration) -> bool {
    *wait <= LONGEST_WAIT
}

/// Parses a date as HTTP headers spell it.
pub(crate) fn date(value: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()
}

/// Finds the figure in a text like `policy user over ratelimit,limit:60,time:1 minute`.
///
/// The gateway's texts are only known from its documentation and from public issue reports, so variants of spaces, plurals and
/// short units are accepted. source: devg-apisign/api-sign-errorcode.html.
pub(crate) fn stated(text: &str) -> Option<StatedQuota> {
    let text = text.to_lowercase();
    let (calls, _) = number(after_key(&text, "limit")?)?;
    let (n_units, rest) = number(after_key(&text, "time")?)?;
    let unit: String = rest.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    let unit_ms = match unit.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => LONGEST_PERIOD_MS,
        _ => return None,
    };
    let period_ms = n_units.checked_mul(unit_ms)?;
    let calls = u32::try_from(calls).ok()?;
    Some(StatedQuota { calls, period_ms }).filter(is_a_gateways)
}

/// Tells whether a figure could be a gateway's.
pub(super) fn is_a_gateways(quota: &StatedQuota) -> bool {
    quota.calls > 0 && (1..=LONGEST_PERIOD_MS).contains(&quota.period_ms)
}

/// Returns the text behind `key:` or `key=`. The key also ends other words (`ratelimit`), so every occurrence is tried.
fn after_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.match_indices(key)
        .find_map(|(at, _)| text[at + key.len()..].trim_start().strip_prefix([':', '=']))
        .map(str::trim_start)
}

/// Returns the number that a text begins with, and the text behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_however_it_is_spelled() {
        for (text, expected) in [
            ("policy user over ratelimit,limit:60,time:1 minute", Some((60, 60_000))),
            ("policy ip over ratelimit,limit:100,time:1 second", Some((100, 1_000))),
            (
                "The throttling threshold has been reached: policy api over ratelimit,limit:5,time:60 seconds",
                Some((5, 60_000)),
            ),
            ("limit:60,time:1m", Some((60, 60_000))),
            ("LIMIT: 60 , TIME: 1 Minute", Some((60, 60_000))),
            ("limit = 7, time = 2 min.", Some((7, 120_000))),
            ("over ratelimit, limit :10, time :1 hour!", Some((10, 3_600_000))),
            ("time:1 day,limit:1000", Some((1000, 86_400_000))),
            ("limit:0,time:1 minute", None),
            ("limit:60,time:0 second", None),
            ("limit:-1,time:1 minute", None),
            ("limit:99999999999,time:1 minute", None),
            ("limit:99999999999999999999999,time:1 minute", None),
            ("limit:60,time:9999999999999999999 hours", None),
            ("limit:60,time:2 days", None),
            ("limit:60,time:1 fortnight", None),
            ("limit:60,time:0.5 second", None),
            ("limit:60", None),
            ("ratelimit", None),
            ("", None),
        ] {
            let quota = stated(text).map(|quota| (quota.calls, quota.period_ms));
            assert_eq!(quota, expected, "{text}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_none_if_it_is_longer_than_a_day() {
        let now = date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (value, expected) in [
            ("3", Some(3)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("86400", Some(86_400)),
            ("86401", None),
            ("315360000", None),
            ("99999999999999999999999", None),
            ("Wed, 21 Oct 2015 07:28:05 GMT", Some(5)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
