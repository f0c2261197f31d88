//! Texts made fit for a terminal or a page: what came from outside can neither move the cursor nor turn the line around.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::Utf8Chunk;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::visible;
use crate::waves::zone::Zone;

/// A value from outside on one line: what cannot be seen in it is spelled out, a row of blanks included.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    visible::value(text).into_owned()
}

/// The name of a file, which may hold all of that.
#[must_use]
pub(crate) fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}

/// At most so many columns of a terminal, the last of them an ellipsis where something was left out.
#[must_use]
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = most.saturating_sub(1);
    for character in text.chars() {
        let Some(left) = room.checked_sub(character.width().unwrap_or(0)) else { break };
        room = left;
        kept.push(character);
    }
    kept + "…"
}

/// Filled up with blanks to so many columns of a terminal.
#[must_use]
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// As one word of a POSIX shell, which stands for this very text: the one way in which a command that is proposed names
/// anything. What nobody sees is spelled out for `printf`; line breaks at the very end are lost, as a shell drops
/// those.
#[must_use]
pub(crate) fn shell_word(text: &str) -> String {
    word_of_bytes(text.as_bytes())
}

/// A path as one word of a shell. One that begins like a flag is named from the folder that it is in; `-` alone is standard
/// input.
#[must_use]
pub(crate) fn shell_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"-") && bytes != b"-" {
        word_of_bytes(&[b"./", bytes].concat())
    } else {
        word_of_bytes(bytes)
    }
}

fn word_of_bytes(bytes: &[u8]) -> String {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/,+@".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.starts_with('-') && bytes.iter().all(safe) => text.to_owned(),
        Ok(text) if plain(text) == text => format!("'{}'", text.replace('\'', "'\\''")),
        Ok(_) | Err(_) => format!(
            "\"$(printf '{}')\"",
            bytes.utf8_chunks().fold(String::new(), |text, chunk| printf_of(text, &chunk))
        ),
    }
}

/// Adds a chunk of a text as `printf` writes it. source: POSIX.1-2024, printf (octal escapes in its format)
fn printf_of(mut text: String, chunk: &Utf8Chunk<'_>) -> String {
    for character in chunk.valid().chars() {
        match character {
            '\'' => text.push_str("'\\''"),
            '%' => text.push_str("%%"),
            '\\' => text.push_str("\\\\"),
            // The same blank, and no gap that is taken for one between columns.
            ' ' if text.ends_with(' ') => text.push_str("\\040"),
            _ if !visible::is_visible(character) => {
                octal(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => text.push(character),
        }
    }
    octal(&mut text, chunk.invalid());
    text
}

fn octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        _ = write!(text, "\\{byte:03o}");
    }
}

/// ISO 8601, UTC, with milliseconds.
#[must_use]
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// As the clocks of a zone show it, for people; without one as [`time`] does, for what is kept and is the same wherever it
/// is read.
#[must_use]
pub(crate) fn time_in(zone: Option<&Zone>, at: Timestamp) -> String {
    zone.map_or_else(|| time(at), |zone| zone.shows(at))
}

/// In documents.
#[expect(clippy::ref_option, reason = "serde hands it over like that")]
pub(crate) fn serialize_time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(time).serialize(serializer)
}

/// Writes times as [`time`] does, at a fraction of the cost: of many, most are of the same few minutes.
#[derive(Default)]
pub(crate) struct Times {
    /// How the times of a minute begin, each minute in the place of its remainder.
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

/// `1 row`, `2 rows`.
#[must_use]
pub(crate) fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// `0.250 s`, `3 min 20 s`, `2 h 05 min`.
#[must_use]
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}.{:03} s", ms % 1000),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_moves_the_cursor_or_turns_the_line() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n\u{202e}c\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{202e}c\\u{9b}");
        assert_eq!(plain("\u{fffe}\u{ffff}\u{fffd}"), "\\u{fffe}\\u{ffff}\u{fffd}");
        assert_eq!(plain("naïve ☃ 中文 עברית"), "naïve ☃ 中文 עברית");
    }

    #[test]
    fn an_id_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("vm-1"), "vm-1");
        assert_eq!(shell_word("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(shell_word("-rf"), "'-rf'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a  b\u{202e}"), "\"$(printf 'a \\040b\\342\\200\\256')\"");
        assert_eq!(shell_path(Path::new("-rf")), "./-rf");
        assert_eq!(shell_path(Path::new("-")), "'-'");
        assert_eq!(shell_path(Path::new("~/a b")), "'~/a b'");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(250), "0.250 s");
        assert_eq!(duration(59_999), "59.999 s");
        assert_eq!(duration(200_000), "3 min 20 s");
        assert_eq!(duration(7_500_000), "2 h 05 min");
    }

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

    #[test]
    fn a_long_text_ends_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("ábcdefg", 6), "ábcde…");
        assert_eq!(shortened("服务器", 5), "服务…");
    }
}
