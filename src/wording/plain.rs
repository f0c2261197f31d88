//! Texts made safe for a terminal or a page: text from outside can neither move the cursor nor reverse the line.

use std::path::Path;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::visible;

/// Returns a value from outside on one line, with invisible characters spelled out; also each blank that follows a blank.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    visible::value(text).into_owned()
}

/// Returns a path in the same spelling.
#[must_use]
pub(crate) fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}

/// Returns the text cut to at most so many terminal columns, with an ellipsis at the end when something was left out.
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

/// Returns the text filled up with blanks to so many terminal columns.
#[must_use]
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
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
    fn a_long_text_ends_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("ábcdefg", 6), "ábcde…");
        assert_eq!(shortened("服务器", 5), "服务…");
    }
}
