//! Causes in words: code, text and an example.

use crate::journal::read::causes::Cause;
use crate::wording::plain::plain;

/// Describes a cause in one line: code and text.
pub(crate) fn cause_text(cause: &Cause) -> String {
    code_and_text(cause.error_code.as_deref(), &cause.text)
}

/// Returns the id of the row with a cause, or that of an example if there are several.
pub(crate) fn example_of(cause: &Cause) -> String {
    let such_as = if cause.n_rows == 1 { "" } else { "such as " };
    format!("{such_as}{}", plain(&cause.example))
}

pub(crate) fn code_and_text(error_code: Option<&str>, text: &str) -> String {
    let text = plain(text);
    match error_code {
        Some(code) if !text.contains(code) => format!("{}: {text}", plain(code)),
        Some(_) | None if text.is_empty() => "no reason was given".to_owned(),
        Some(_) | None => text,
    }
}
