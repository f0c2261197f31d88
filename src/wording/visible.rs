//! Characters that are visible as they are, and the spelling of all others: the one rule that everything shown to people follows.
//!
//! Control characters move the cursor, direction marks reverse a line, and invisible characters make two names look alike. None
//! of them is dropped: each is spelled out, so that the reader sees that something was there. Joiners inside emoji and letters
//! are spelled out, too, between the signs that they join.

use std::borrow::Cow;
use std::fmt;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Limit of marks on one letter: more would pile up over neighbouring lines. Vowel, stress and accent of one Hebrew letter are four.
const MOST_MARKS: u32 = 6;

/// Tells whether a character is visible: it has a shape, or is the ordinary blank or the wide one of Chinese and Japanese.
pub(crate) fn is_visible(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    match CodePointMapData::<GeneralCategory>::new().get(character) {
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::Surrogate
        | GeneralCategory::PrivateUse
        | GeneralCategory::Unassigned
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => false,
        // Other blanks look like these two, but lines are not folded at them.
        GeneralCategory::SpaceSeparator => character == '\u{3000}',
        // An empty braille pattern, and the placeholder for an object that cannot be shown.
        _ if matches!(character, '\u{2800}' | '\u{fffc}') => false,
        _ => !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character),
    }
}

/// Tells whether a character moves the cursor, sets colours or reverses a line. Line breaks and tabs are part of every table.
pub(crate) fn acts_on_terminals(character: char) -> bool {
    let turns_around = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_around || character.is_control() && !matches!(character, '\n' | '\t')
}

fn is_mark(character: char) -> bool {
    !character.is_ascii()
        && matches!(
            CodePointMapData::<GeneralCategory>::new().get(character),
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
        )
}

/// Writes a character as an escape that is visible.
pub(crate) fn spell(character: char, out: &mut impl fmt::Write) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ => write!(out, "\\u{{{:x}}}", u32::from(character)),
    }
}

/// Returns the text as one line on which every character is visible.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    spelled(text, |_, _| false)
}

/// Does the same for one value among others: a blank after a blank is spelled out, too, so that it cannot be taken for the gap between
/// two columns, or push the rest out of sight.
pub(crate) fn value(text: &str) -> Cow<'_, str> {
    let is_blank = |character| matches!(character, ' ' | '\u{3000}');
    spelled(text, |before, character| is_blank(before) && is_blank(character))
}

fn spelled(text: &str, is_odd_behind: impl Fn(char, char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return text.into();
    }
    let (mut out, mut before, mut n_marks) = (String::with_capacity(text.len()), None, 0);
    for character in text.chars() {
        n_marks = if is_mark(character) { n_marks + 1 } else { 0 };
        let is_astray = n_marks > 0 && (before.is_none() || n_marks > MOST_MARKS);
        let is_odd = before.is_some_and(|before| is_odd_behind(before, character));
        if is_visible(character) && !is_astray && !is_odd {
            out.push(character);
        } else {
            spell(character, &mut out).expect("a string takes everything");
        }
        before = Some(character);
    }
    out.into()
}

/// Writes a character as an escape of JSON.
pub(crate) fn escape(character: char, out: &mut impl fmt::Write) -> fmt::Result {
    character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_turns_hides_or_is_nothing_is_spelled_out() {
        for (text, seen) in [
            ("a\u{1b}[2Jb\r\n\t", "a\\u{1b}[2Jb\\r\\n\\t"),
            ("\0\u{7f}\u{9b}\u{85}", "\\u{0}\\u{7f}\\u{9b}\\u{85}"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
            ("\u{200b}\u{200d}\u{feff}\u{ad}\u{34f}\u{2060}", "\\u{200b}\\u{200d}\\u{feff}\\u{ad}\\u{34f}\\u{2060}"),
            ("\u{2028}\u{2029}\u{180e}\u{3164}\u{ffa0}", "\\u{2028}\\u{2029}\\u{180e}\\u{3164}\\u{ffa0}"),
            ("\u{fe0f}\u{e0041}\u{e0101}\u{1d173}", "\\u{fe0f}\\u{e0041}\\u{e0101}\\u{1d173}"),
            ("\u{e000}\u{f0000}\u{378}\u{fffe}\u{fffd}", "\\u{e000}\\u{f0000}\\u{378}\\u{fffe}\u{fffd}"),
            ("a\u{a0}b\u{2003}c\u{202f}d\u{2800}e", "a\\u{a0}b\\u{2003}c\\u{202f}d\\u{2800}e"),
        ] {
            assert_eq!(visible(text), seen);
            assert!(visible(text).chars().all(is_visible));
        }
    }

    #[test]
    fn names_of_people_who_write_otherwise_stay_as_they_are() {
        let names = "naïve nai\u{308}ve ☃ 中文　东京 עִבְרִית العربية Ελλάς हिन्दी ไทย 한국어 👩🏽 🇩🇪";
        assert_eq!(value(names), names);
        assert_eq!(value("👩\u{200d}💻"), "👩\\u{200d}💻");
    }

    #[test]
    fn a_row_of_blanks_is_no_gap_and_marks_do_not_pile_up() {
        assert_eq!(value("a  b \u{3000}c"), "a \\u{20}b \\u{3000}c");
        assert_eq!(visible("a  b"), "a  b");
        assert_eq!(visible("\u{301}a\u{301}"), "\\u{301}a\u{301}");
        assert_eq!(
            visible(&format!("a{}", "\u{301}".repeat(8))),
            format!("a{}\\u{{301}}\\u{{301}}", "\u{301}".repeat(6))
        );
    }

    #[test]
    fn json_gets_the_same_value() {
        let odd = "a\u{1b}\u{202e}\u{e0041}'\\ 中\n";
        let escaped = |text: &str| {
            text.chars().fold(String::new(), |mut all, character| {
                escape(character, &mut all).unwrap();
                all
            })
        };
        assert_eq!(serde_json::from_str::<String>(&format!("\"{}\"", escaped(odd))).unwrap(), odd);
    }
}
