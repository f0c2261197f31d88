//! Texts of others, made fit to be journaled and printed: short, on one line, and without our secrets.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The longest text of an outcome, in characters.
const LONGEST: usize = 500;

/// Secrets that went out in one request and must not come back in any text about it.
#[derive(Default)]
pub(crate) struct Secrets(Vec<SecretString>);

impl Secrets {
    pub(crate) fn new(secrets: Vec<SecretString>) -> Self {
        Self(secrets)
    }

    pub(crate) fn add(&mut self, secret: SecretString) {
        self.0.push(secret);
    }

    /// The text with each secret replaced. A server may echo our headers in its error texts.
    fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                text = Cow::Owned(text.replace(secret.expose_secret(), "[redacted]"));
            }
        }
        text
    }

    /// The text on one line of at most 500 characters. Hiding comes before cutting, lest a part of a secret remain.
    pub(crate) fn short(&self, text: &str) -> String {
        let visible: String = text.chars().map(|c| if is_treacherous(c) { ' ' } else { c }).collect();
        let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.hide(&line);
        match line.char_indices().nth(LONGEST) {
            None => line.into_owned(),
            Some(_) => line.chars().take(LONGEST - 1).chain(['…']).collect(),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Characters that steer a terminal, or make a line read differently from what it says.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_without_control_characters() {
        let text = Secrets::default().short(" a\r\n\tb\u{1b}[31mc\u{202e}d\0 ");
        assert_eq!(text, "a b [31mc d");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let short = Secrets::default().short(&"☃".repeat(600));
        assert_eq!(short.chars().count(), 500);
        assert!(short.ends_with("☃…"));
        assert_eq!(Secrets::default().short(&"☃".repeat(500)).chars().count(), 500);
        assert!(!Secrets::default().short(&"☃".repeat(500)).contains('…'));
    }

    #[test]
    fn a_secret_is_hidden_even_where_the_text_is_cut() {
        let secrets = Secrets::new(vec![SecretString::from("s3cret-token")]);
        assert_eq!(secrets.short("bad token s3cret-token!"), "bad token [redacted]!");
        let across_the_cut = format!("{} s3cret-token", "x".repeat(492));
        assert!(!secrets.short(&across_the_cut).contains("s3c"));
        assert_eq!(format!("{secrets:?}"), "[redacted]");
    }
}
