//! Splitting of one record of a delimited text into its fields.
//!
//! `csv_core` finds the fields and their values. The reader of `csv`, which is built on it, returns whole records: it allows no
//! blanks before a quote, does not tell the position of a field, accepts text after a closing quote, and reads on for an
//! unclosed quote until the memory is full.

use std::ops::Range;

use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};

/// Field of a record.
pub(super) struct CsvField {
    /// Offset in the record at which it starts: its quote, if it has one.
    pub(super) start: usize,
    /// Range of its value among those of the record.
    pub(super) value: Range<usize>,
}

/// Fields of the record that was split last.
pub(super) struct CsvFields {
    pub(super) delimiter: u8,
    reader: csv_core::Reader,
    pub(super) found: Vec<CsvField>,
    /// Unquoted values; unused for a plain record, whose values are in its text.
    values: Vec<u8>,
    pub(super) is_plain: bool,
}

impl CsvFields {
    pub(super) fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        Self { delimiter, reader, found: Vec::new(), values: Vec::new(), is_plain: false }
    }

    /// Returns the values of the record that `text` begins with, even if it is malformed.
    pub(super) fn first_values(&mut self, text: &[u8]) -> Vec<String> {
        self.scan(text, true);
        let values = self.values_in(text);
        let value = |field: &CsvField| String::from_utf8_lossy(&values[field.value.clone()]).into_owned();
        self.found.iter().map(value).collect()
    }

    pub(super) fn values_in<'a>(&'a self, text: &'a [u8]) -> &'a [u8] {
        if self.is_plain { text } else { &self.values }
    }

    /// Splits the first record of `bytes`. With `ended`, no more bytes will come.
    pub(super) fn scan(&mut self, bytes: &[u8], ended: bool) -> Scan {
        let plain = self.scan_plain(bytes);
        self.is_plain = plain.is_some();
        plain.map_or_else(|| self.scan_quoted(bytes, ended), |len| Scan::Record { len })
    }

    /// Splits a record without quotes, as most are: each value is the text between two delimiters.
    fn scan_plain(&mut self, bytes: &[u8]) -> Option<usize> {
        self.found.clear();
        let mut start = self.skip_blanks(bytes, 0);
        for (place, byte) in bytes.iter().copied().enumerate() {
            if byte == b'"' {
                return None;
            }
            if byte == self.delimiter || byte == b'\n' {
                self.found.push(CsvField { start, value: start..place });
                if byte == b'\n' {
                    return Some(place + 1);
                }
                start = self.skip_blanks(bytes, place + 1);
            }
        }
        None
    }

    fn scan_quoted(&mut self, bytes: &[u8], ended: bool) -> Scan {
        self.reader.reset();
        self.found.clear();
        // A value is never longer than its field, so the reader never runs out of space.
        self.values.resize(self.values.len().max(bytes.len()), 0);
        let (mut next, mut values_len) = (0, 0);
        loop {
            let start = self.skip_blanks(bytes, next);
            // The reader takes an empty slice for the end of the text.
            if start == bytes.len() && !ended {
                return Scan::Unfinished;
            }
            let (found, n_read, n_written) = self.reader.read_field(&bytes[start..], &mut self.values[values_len..]);
            let value = values_len..values_len + n_written;
            (next, values_len) = (start + n_read, value.end);
            self.found.push(CsvField { start, value });
            if let Some(bad) = self.bad_quote(bytes, start) {
                return bad;
            }
            match found {
                ReadFieldResult::Field { record_end: false } => (),
                ReadFieldResult::InputEmpty if !ended => return Scan::Unfinished,
                // The end of the record, or of the text.
                _ => return Scan::Record { len: next },
            }
        }
    }

    /// Finds a problem with the quotes of a field that starts here; the reader would accept it all the same.
    fn bad_quote(&self, bytes: &[u8], quote: usize) -> Option<Scan> {
        if bytes.get(quote) != Some(&b'"') {
            return None;
        }
        let Some(close) = closing_quote(bytes, quote) else { return Some(Scan::Open { quote }) };
        let by = self.skip_blanks(bytes, close + 1);
        let is_text = |byte: &u8| *byte != self.delimiter && *byte != b'\n';
        bytes.get(by).is_some_and(is_text).then_some(Scan::Followed { quote, by })
    }

    fn skip_blanks(&self, bytes: &[u8], from: usize) -> usize {
        let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r') && **byte != self.delimiter;
        from + bytes[from..].iter().take_while(is_blank).count()
    }
}

pub(super) enum Scan {
    /// A record of this many bytes, its line end included.
    Record { len: usize },
    /// The bytes end before the record does.
    Unfinished,
    /// The bytes end before this quote is closed.
    Open { quote: usize },
    /// The text that this quote opens is followed by text outside the quotes.
    Followed { quote: usize, by: usize },
}

/// Finds the quote that closes the one at `open`. Two in a row are one quote of the text.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut quotes = (open + 1..bytes.len()).filter(|place| bytes[*place] == b'"').peekable();
    loop {
        let quote = quotes.next()?;
        if quotes.next_if_eq(&(quote + 1)).is_none() {
            return Some(quote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(record: &str, delimiter: u8) -> Vec<String> {
        let mut fields = CsvFields::new(delimiter);
        assert!(matches!(fields.scan(record.as_bytes(), true), Scan::Record { .. }), "{record}");
        fields.first_values(record.as_bytes()).iter().map(|value| value.trim().to_owned()).collect()
    }

    #[test]
    fn a_record_is_taken_apart_as_spreadsheets_write_it() {
        assert_eq!(values("a,b\r\nc", b','), ["a", "b"]);
        assert_eq!(values("a,,\n", b','), ["a", "", ""]);
        assert_eq!(values("a\t b \t\"x\ty\"", b'\t'), ["a", "b", "x\ty"]);
        assert_eq!(values("\"a\nb\";\"\" ; \"say \"\"hi\"\"\" \r\n", b';'), ["a\nb", "", "say \"hi\""]);
        assert_eq!(values("5\" disk,x\"", b','), ["5\" disk", "x\""]);
        assert_eq!(values("a\rb, \"c, d\"\r\n", b','), ["a\rb", "c, d"]);
    }

    #[test]
    fn a_record_is_whole_only_when_its_end_was_seen() {
        for cut in ["a", "a,", "a,\"b", "a,\"b\"", "a,\"b\"\"", "a,\"b\" "] {
            let scanned = CsvFields::new(b',').scan(cut.as_bytes(), false);
            assert!(matches!(scanned, Scan::Unfinished | Scan::Open { .. }), "{cut}");
        }
    }
}
