//! The last door to a terminal, and to whoever reads our JSON: whatever was overlooked before it, no control character and no mark
//! of direction goes through.

use std::io::{self, Write};
use std::{fmt, mem, str};

use super::plain::turns_or_hides;

/// How a character that must not go through is spelled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// In JSON such characters stand in strings alone, where their escape is the same value.
    Json,
}

impl Form {
    /// The text with such characters spelled out. Line breaks and tabs are our own, and stay.
    pub(crate) fn fit(self, text: &str) -> String {
        let mut fit = String::with_capacity(text.len());
        self.put(text, &mut fit).expect("a string takes everything");
        fit
    }

    fn put(self, text: &str, out: &mut impl fmt::Write) -> fmt::Result {
        for character in text.chars() {
            let is_ours = matches!(character, '\n' | '\t');
            match self {
                _ if is_ours || !(character.is_control() || turns_or_hides(character)) => out.write_char(character)?,
                Form::Text => write!(out, "\\u{{{:x}}}", u32::from(character))?,
                // None of them is beyond four digits.
                Form::Json => write!(out, "\\u{:04x}", u32::from(character))?,
            }
        }
        Ok(())
    }
}

/// Lets through what is fit, wherever one write ends and the next begins.
pub(crate) struct Sieve<W> {
    out: W,
    form: Form,
    /// The beginning of a character whose end has not come yet.
    begun: Vec<u8>,
}

impl<W: Write> Sieve<W> {
    pub(crate) fn new(form: Form, out: W) -> Self {
        Self { out, form, begun: Vec::new() }
    }
}

impl<W: Write> Write for Sieve<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_harmless = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
        if self.begun.is_empty() && bytes.iter().all(is_harmless) {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut all = mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut fit = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            fit += &self.form.fit(chunk.valid());
            match str::from_utf8(chunk.invalid()) {
                Ok(_) => (),
                Err(error) if error.error_len().is_none() && chunks.peek().is_none() => {
                    self.begun = chunk.invalid().to_vec();
                }
                Err(_) => fit.push(char::REPLACEMENT_CHARACTER),
            }
        }
        self.out.write_all(fit.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a\0b\u{1b}[31m\r\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\u{9b}\u{7f}\u{61c}\u{feff} ☃ 中文\n\t.";

    #[test]
    fn nothing_that_moves_turns_or_hides_goes_through_however_it_is_cut() {
        let text = "a\\u{0}b\\u{1b}[31m\\u{d}\\u{202e}\\u{2066}\\u{2069}\\u{2028}\\u{2029}\\u{9b}\\u{7f}\\u{61c}\\u{feff} ☃ 中文\n\t.";
        for size in 1..=ODD.len() {
            let mut out = Vec::new();
            let mut sieve = Sieve::new(Form::Text, &mut out);
            ODD.as_bytes().chunks(size).for_each(|part| sieve.write_all(part).unwrap());
            assert_eq!(str::from_utf8(&out).unwrap(), text, "{size}");
        }
        assert_eq!(Form::Text.fit(ODD), text);
    }

    #[test]
    fn json_keeps_its_values() {
        let document = serde_json::json!({"name": ODD, ODD: [ODD]});
        let mut out = Vec::new();
        serde_json::to_writer_pretty(Sieve::new(Form::Json, &mut out), &document).unwrap();
        let written = str::from_utf8(&out).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(written).unwrap(), document);
        assert!(
            written.contains("\\u202e")
                && !written.contains(|c: char| c != '\n' && c.is_control() || turns_or_hides(c))
        );
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let mut out = Vec::new();
        Sieve::new(Form::Text, &mut out).write_all(b"a\xff\x9bb\xe2\x80").unwrap();
        assert_eq!(out, "a\u{fffd}\u{fffd}b".as_bytes());
    }
}
