//! Last filter before documents and reports in formats of their own leave the program: whatever was overlooked earlier, no character
//! that a person could not see goes through.

use std::io::{self, Write};
use std::{fmt, mem, str};

use super::visible::{acts_on_terminals, escape, is_visible, spell};

/// Kind of document, which decides how a character that must not go through is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Document that people read: a page, a report.
    Text,
    /// CSV that people read, where a line break inside quotes belongs to a value.
    Table,
    /// CSV for a program: values are data and stay as they are, except for characters that act on a terminal.
    Values,
    /// JSON, where such characters occur only inside strings, and their escape is the same value.
    Json,
    /// Data kept in a file or given to a program, never shown on a terminal.
    Raw,
}

impl Form {
    /// Returns the form for output to a terminal, which never takes raw data.
    pub(crate) fn on_a_terminal(self) -> Self {
        if self == Form::Raw { Form::Text } else { self }
    }

    /// Returns the text with such characters spelled out. Line breaks and tabs structure the document, and stay.
    pub(crate) fn fit(self, text: &str) -> String {
        self.fit_from(text, &mut false)
    }

    /// Does the same for a text that may begin inside quotes.
    fn fit_from(self, text: &str, is_quoted: &mut bool) -> String {
        let mut fit = String::with_capacity(text.len());
        for character in text.chars() {
            *is_quoted ^= self == Form::Table && character == '"';
            self.put(character, *is_quoted, &mut fit).expect("a string takes everything");
        }
        fit
    }

    fn put(self, character: char, is_quoted: bool, out: &mut impl fmt::Write) -> fmt::Result {
        let is_of_the_form = matches!(character, '\n' | '\t') && !is_quoted;
        match self {
            _ if is_of_the_form || is_visible(character) => out.write_char(character),
            Form::Text | Form::Table => spell(character, out),
            Form::Values if acts_on_terminals(character) => spell(character, out),
            Form::Json => escape(character, out),
            Form::Values | Form::Raw => out.write_char(character),
        }
    }
}

/// Writer that spells out what its form does not allow, independent of how the output is split into writes.
pub(crate) struct Sieve<W> {
    out: W,
    form: Form,
    is_quoted: bool,
    /// First bytes of a character that the last write cut off.
    begun: Vec<u8>,
}

impl<W: Write> Sieve<W> {
    pub(crate) fn new(form: Form, out: W) -> Self {
        Self { out, form, is_quoted: false, begun: Vec::new() }
    }

    /// Tells whether the bytes can be written as they are, without being examined one by one.
    fn is_harmless(&self, bytes: &[u8]) -> bool {
        let is_quote = |byte| self.form == Form::Table && byte == b'"';
        let is_harmless = |byte: &u8| matches!(*byte, b' '..=b'~' | b'\n' | b'\t') && !is_quote(*byte);
        self.form == Form::Raw || self.begun.is_empty() && !self.is_quoted && bytes.iter().all(is_harmless)
    }
}

impl<W: Write> Write for Sieve<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_harmless(bytes) {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut all = mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut fit = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            fit += &self.form.fit_from(chunk.valid(), &mut self.is_quoted);
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

    const ODD: &str = "a\0b\u{1b}[31m\r\u{e0041}\u{ad}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\u{9b}\u{7f}\u{61c}\u{feff} ☃ 中文\n\t.";

    #[test]
    fn nothing_that_moves_turns_or_hides_goes_through_however_it_is_cut() {
        let text = "a\\u{0}b\\u{1b}[31m\\r\\u{e0041}\\u{ad}\\u{202e}\\u{2066}\\u{2069}\\u{2028}\\u{2029}\\u{9b}\\u{7f}\\u{61c}\\u{feff} ☃ 中文\n\t.";
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
                && written.contains("\\udb40\\udc41")
                && written.chars().all(|c| c == '\n' || is_visible(c))
        );
    }

    #[test]
    fn a_value_of_a_table_breaks_no_line_however_it_is_cut() {
        let table = "id,name\n1,\"a \"\"b\"\"\nforged\tx\"\n2,c\n";
        for size in 1..=table.len() {
            let mut out = Vec::new();
            let mut sieve = Sieve::new(Form::Table, &mut out);
            table.as_bytes().chunks(size).for_each(|part| sieve.write_all(part).unwrap());
            let written = str::from_utf8(&out).unwrap();
            assert_eq!(written, "id,name\n1,\"a \"\"b\"\"\\nforged\\tx\"\n2,c\n", "{size}");
        }
    }

    #[test]
    fn a_value_for_a_program_stays_what_it_is_unless_it_acts_on_a_terminal() {
        let values = "web\u{a0}1,\u{200b}\u{200d}\u{200f}\u{2003}\u{3000}\u{e000}\u{378}\u{feff},\"two\nlines\t.\"\n";
        assert_eq!(Form::Values.fit(values), values);
        let acts = "\u{1b}[2J\r\u{9b}\u{7f}\u{202e}\u{2066}";
        assert_eq!(Form::Values.fit(acts), "\\u{1b}[2J\\r\\u{9b}\\u{7f}\\u{202e}\\u{2066}");
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let mut out = Vec::new();
        Sieve::new(Form::Text, &mut out).write_all(b"a\xff\x9bb\xe2\x80").unwrap();
        assert_eq!(out, "a\u{fffd}\u{fffd}b".as_bytes());
    }
}
