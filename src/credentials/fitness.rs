//! Texts that cannot be credentials, detected before anything is sent: a shell, a file or a copied line left something in
//! them. A wrong key that is tried is locked for everybody who uses it.

/// Part of a text that no credential has. No message repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("has a line break in it")]
    LineBreak,
    #[error("has a blank in it")]
    Blank,
    #[error("has a quotation mark in it")]
    Quote,
    #[error("has a control character in it")]
    Control,
    #[error("has a character in it that is not ASCII")]
    NotAscii,
}

fn fault(character: char) -> Option<Unfit> {
    match character {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(Unfit::LineBreak),
        _ if character.is_whitespace() => Some(Unfit::Blank),
        '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => Some(Unfit::Quote),
        _ if character.is_control() => Some(Unfit::Control),
        _ => None,
    }
}

fn first_fault(text: &str, is_fault: impl Fn(Unfit) -> bool) -> Result<(), Unfit> {
    text.chars().filter_map(fault).find(|unfit| is_fault(*unfit)).map_or(Ok(()), Err)
}

/// Checks a token, a key or the id of a project: visible ASCII, without quotes around it.
pub(crate) fn fit_for_a_header(text: &str) -> Result<(), Unfit> {
    first_fault(text, |_| true)?;
    if text.is_ascii() { Ok(()) } else { Err(Unfit::NotAscii) }
}

/// Checks a password in a variable. One that truly contains a blank or a quotation mark has to be in a file.
pub(crate) fn fit_for_a_password(text: &str) -> Result<(), Unfit> {
    first_fault(text, |_| true)
}

/// Checks a secret in a file, where blanks and quotation marks belong to it.
pub(crate) fn fit_for_a_line(text: &str) -> Result<(), Unfit> {
    first_fault(text, |unfit| matches!(unfit, Unfit::LineBreak | Unfit::Control))
}

/// Checks the name of a user, an account or a project, which may have blanks between words.
pub(crate) fn fit_for_a_name(text: &str) -> Result<(), Unfit> {
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return first_fault(text, |unfit| unfit == Unfit::LineBreak).and(Err(Unfit::Blank));
    }
    first_fault(text, |unfit| unfit != Unfit::Blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_around_a_value_is_told_for_what_it_is() {
        for (text, header, password, line, name) in [
            ("s3cret+/=", None, None, None, None),
            (
                "s3cret\n",
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
            ),
            (
                "s3\r\ncret",
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
                Some(Unfit::LineBreak),
            ),
            ("s3 cret", Some(Unfit::Blank), Some(Unfit::Blank), None, None),
            ("s3cret\t", Some(Unfit::Blank), Some(Unfit::Blank), None, Some(Unfit::Blank)),
            (" s3cret", Some(Unfit::Blank), Some(Unfit::Blank), None, Some(Unfit::Blank)),
            ("\u{a0}s3cret", Some(Unfit::Blank), Some(Unfit::Blank), None, Some(Unfit::Blank)),
            ("\"s3cret\"", Some(Unfit::Quote), Some(Unfit::Quote), None, Some(Unfit::Quote)),
            ("'s3cret'", Some(Unfit::Quote), Some(Unfit::Quote), None, Some(Unfit::Quote)),
            ("\u{201c}s3cret\u{201d}", Some(Unfit::Quote), Some(Unfit::Quote), None, Some(Unfit::Quote)),
            ("s3\u{1b}cret", Some(Unfit::Control), Some(Unfit::Control), Some(Unfit::Control), Some(Unfit::Control)),
            ("s3cr\u{e9}t", Some(Unfit::NotAscii), None, None, None),
            ("\u{feff}s3cret", Some(Unfit::NotAscii), None, None, None),
        ] {
            assert_eq!(fit_for_a_header(text).err(), header, "{text:?}");
            assert_eq!(fit_for_a_password(text).err(), password, "{text:?}");
            assert_eq!(fit_for_a_line(text).err(), line, "{text:?}");
            assert_eq!(fit_for_a_name(text).err(), name, "{text:?}");
        }
    }
}
