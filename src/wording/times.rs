//! Instants as pages and documents write them.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::values::zone::Zone;

/// Formats an instant as ISO 8601 in UTC, with milliseconds.
#[must_use]
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Formats an instant as a zone's clocks show it, for people; without a zone as [`time`] does, for documents that are kept and are
/// the same wherever they are read.
#[must_use]
pub(crate) fn time_in(zone: Option<&Zone>, at: Timestamp) -> String {
    zone.map_or_else(|| time(at), |zone| zone.shows(at))
}

/// Serializes an instant in documents, as [`time`] formats it.
#[expect(clippy::ref_option, reason = "serde hands it over like that")]
pub(crate) fn serialize_time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(time).serialize(serializer)
}

/// Formats many instants as [`time`] does. Most fall into the same few minutes, whose text is cached: without that, a CSV report
/// takes 7 % more instructions (benches/README.md, "Instructions").
#[derive(Default)]
pub(crate) struct Times {
    /// Text of each cached minute, up to the seconds, in the slot `minute mod 32`.
    minutes: [Option<(i64, String)>; 32],
}

impl Times {
    pub(crate) fn put(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let ms = at.as_millisecond();
        let minute = ms.div_euclid(60_000);
        let place = &mut self.minutes[usize::try_from(minute.rem_euclid(32)).expect("less than 32")];
        let known = place.take().filter(|(known, _)| *known == minute);
        let (_, beginning) = place.insert(known.unwrap_or_else(|| (minute, without_seconds(at))));
        out.extend_from_slice(beginning.as_bytes());
        let ms = usize::try_from(ms.rem_euclid(60_000)).expect("less than 60,000");
        let digit = |unit: usize| b"0123456789"[ms / unit % 10];
        out.extend_from_slice(&[digit(10_000), digit(1_000), b'.', digit(100), digit(10), digit(1), b'Z']);
    }
}

fn without_seconds(at: Timestamp) -> String {
    let mut text = time(at);
    text.truncate(text.len() - "00.000Z".len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_times_are_written_as_one_is() {
        let (mut times, mut out, mut expected) = (Times::default(), Vec::new(), String::new());
        let some = [0, 1, 59_999, 60_000, -1, -60_000, 1_795_514_400_026, 1_795_514_400_026 + 32 * 60_000];
        let some = some.map(|ms| Timestamp::from_millisecond(ms).unwrap());
        for at in some.into_iter().chain([Timestamp::MIN, Timestamp::MAX]).chain(some) {
            times.put(at, &mut out);
            expected += &time(at);
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
