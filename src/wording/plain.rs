//! Texts made fit for a terminal or a page: what came from outside can neither move the cursor nor turn the line around.

use std::path::Path;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::visible;

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
