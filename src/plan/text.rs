//! Bytes of a plan as UTF-8, a window at a time: only what is not yet consumed is in memory.

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use crate::plan::problem::{Position, Problems, count_newlines, quoted};
use crate::texts::{self, ByteOrderMark};

/// Limit of a record in bytes.
pub(crate) const MAX_RECORD: usize = 1024 * 1024;
/// Limit of a field in bytes.
pub(crate) const MAX_FIELD: usize = 64 * 1024;

const CHUNK: usize = 256 * 1024;

/// Byte that occurs in no UTF-8 text: it marks where another encoding could not be decoded, so that one check finds both.
const UNDECODED: u8 = 0xFF;

pub(crate) struct Text<R> {
    input: R,
    /// `None` for UTF-8, which is taken as it is and checked record by record.
    decoder: Option<Decoder>,
    undecoded: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    line: u32,
    /// Lines end in CR alone, as old spreadsheets for the Mac write them. `None` before anything has been read.
    ends_in_cr: Option<bool>,
}

/// Kind of the next line of a plan.
pub(crate) enum NextLine {
    Content,
    /// Comment of this many bytes, its line end included.
    Comment {
        len: usize,
    },
    End,
}

impl<R: Read + Seek> Text<R> {
    /// Starts reading. A byte-order mark decides the encoding; without one it is the one that was `told`, or UTF-8.
    pub(crate) fn new(mut input: R, told: Option<&'static Encoding>) -> io::Result<Self> {
        let mut head = Vec::new();
        input.by_ref().take(4).read_to_end(&mut head)?;
        let (encoding, mark_len) = match texts::mark(&head) {
            ByteOrderMark::Of(encoding, len) => (encoding, len),
            ByteOrderMark::Utf32 | ByteOrderMark::None => (told.unwrap_or(UTF_8), 0),
        };
        input.seek(SeekFrom::Start(mark_len as u64))?;
        Ok(Self {
            input,
            decoder: (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling()),
            undecoded: Vec::new(),
            buffer: Vec::with_capacity(2 * CHUNK),
            start: 0,
            ended: false,
            line: 1,
            ends_in_cr: None,
        })
    }
}

impl<R: Read> Text<R> {
    #[cfg(test)]
    pub(crate) fn n_bytes_in_memory(&self) -> usize {
        self.buffer.capacity() + self.undecoded.capacity()
    }

    /// Bytes that have been read and not yet consumed. They begin at the start of a line.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Line that [`Text::unread`] begins with, counted from 1.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// Tells whether nothing follows the unread bytes.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Reads more; false at the end.
    pub(crate) fn more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        while !self.ended && self.buffer.len() == before {
            match &mut self.decoder {
                None => self.ended = append(&mut self.input, &mut self.buffer)? == 0,
                Some(decoder) => {
                    self.undecoded.clear();
                    self.ended = append(&mut self.input, &mut self.undecoded)? == 0;
                    decode(decoder, &self.undecoded, self.ended, &mut self.buffer);
                }
            }
        }
        let new = &mut self.buffer[before..];
        if *self.ends_in_cr.get_or_insert_with(|| ends_in_cr(new)) {
            new.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        }
        Ok(self.buffer.len() > before)
    }

    /// Drops the first `len` unread bytes: whole lines, or all there are.
    pub(crate) fn consume(&mut self, len: usize) -> io::Result<()> {
        let n_lines = count_newlines(&self.unread()[..len]);
        self.line =
            u32::try_from(n_lines).ok().and_then(|n_lines| self.line.checked_add(n_lines)).ok_or_else(|| {
                io::Error::new(io::ErrorKind::FileTooLarge, "a plan can have at most 4,294,967,295 lines")
            })?;
        self.start += len;
        Ok(())
    }

    /// Returns the length of the next line with its line end; `None` if it is longer than a record may be.
    pub(crate) fn line_len(&mut self) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(newline) = self.unread()[searched..].iter().position(|byte| *byte == b'\n') {
                return Ok(Some(searched + newline + 1));
            }
            searched = self.unread().len();
            if searched > MAX_RECORD {
                return Ok(None);
            }
            if !self.more()? {
                return Ok(Some(searched));
            }
        }
    }

    /// Drops the next line, however long it is, without holding it in memory.
    pub(crate) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(newline) = self.unread().iter().position(|byte| *byte == b'\n') {
                return self.consume(newline + 1);
            }
            self.consume(self.unread().len())?;
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// Skips blank lines and comments; false when nothing is left.
    #[cfg(test)]
    pub(crate) fn skip_to_content(&mut self, problems: &mut Problems) -> io::Result<bool> {
        loop {
            match self.next(problems)? {
                NextLine::Content => return Ok(true),
                NextLine::Comment { len } => self.consume(len)?,
                NextLine::End => return Ok(false),
            }
        }
    }

    /// Skips blank lines, and tells what follows them.
    pub(crate) fn next(&mut self, problems: &mut Problems) -> io::Result<NextLine> {
        loop {
            let n_blanks = self.unread().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
            match self.unread().get(n_blanks).copied() {
                Some(b'\n') => self.consume(n_blanks + 1)?,
                Some(b'#') => match self.line_len()? {
                    Some(len) => {
                        self.check_encoding(len, problems);
                        return Ok(NextLine::Comment { len });
                    }
                    None => self.skip_line()?,
                },
                // More blanks than a record may have bytes: the reader of the record reports that.
                None if n_blanks > MAX_RECORD => return Ok(NextLine::Content),
                None if self.more()? => (),
                None => return Ok(NextLine::End),
                Some(_) => return Ok(NextLine::Content),
            }
        }
    }

    /// Tells whether the first `len` unread bytes are valid text; reports the place where they are not.
    pub(crate) fn check_encoding(&self, len: usize, problems: &mut Problems) -> bool {
        let Err(error) = str::from_utf8(&self.unread()[..len]) else { return true };
        let at = Position::at_offset(self.unread(), error.valid_up_to(), self.line);
        let message = match &self.decoder {
            Some(decoder) => format!("this is not {} (half a character)", decoder.encoding().name()),
            None => not_utf8(&self.unread()[..len], error.valid_up_to()),
        };
        problems.error(at, message, None);
        false
    }
}

/// Explains an invalid byte, with the options under which it could be read. Which of them is right is never guessed.
pub(super) fn not_utf8(text: &[u8], at: usize) -> String {
    let ends = |byte: &u8| matches!(byte, b',' | b';' | b'\t' | b'"' | b'\n' | b'\r');
    let start = text[..at].iter().rposition(ends).map_or(0, |end| end + 1);
    let end = text[at..].iter().position(ends).map_or(text.len(), |end| at + end);
    let others = texts::as_others_read_it(&text[start..end]);
    let others: Vec<String> =
        others.map(|(name, text)| format!("--encoding {name} reads it as {}", quoted(text.trim()))).collect();
    let byte = format!("this is not UTF-8 (byte 0x{:02X})", text[at]);
    if others.is_empty() { byte } else { format!("{byte}: {}", others.join(", ")) }
}

/// Tells whether lines end in CR alone, from the beginning of a text. A stray CR within a line is no line end.
fn ends_in_cr(beginning: &[u8]) -> bool {
    if !beginning.contains(&b'\r') {
        return false;
    }
    let (mut n_cr, mut n_lf, mut in_quotes) = (0_usize, 0_usize, false);
    for (place, byte) in beginning.iter().enumerate() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\n' if !in_quotes => n_lf += 1,
            // A CR at the end of what has been read does not count: its LF may be still to come.
            b'\r' if !in_quotes => n_cr += usize::from(beginning.get(place + 1).is_some_and(|next| *next != b'\n')),
            _ => (),
        }
    }
    n_cr > n_lf
}

fn append(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    input.by_ref().take(CHUNK as u64).read_to_end(buffer)
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    loop {
        let len = out.len();
        // Two bytes of UTF-16 become at most three of UTF-8; 16 more for what the last chunk left over.
        out.resize(len + 2 * bytes.len() + 16, 0);
        let (result, n_read, n_written) = decoder.decode_to_utf8_without_replacement(bytes, &mut out[len..], last);
        out.truncate(len + n_written);
        bytes = &bytes[n_read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => (),
            DecoderResult::Malformed(..) => out.push(UNDECODED),
        }
    }
}

/// Comment with its line number.
pub(crate) struct Comment {
    pub(crate) line: u32,
    pub(crate) text: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn text(bytes: &[u8]) -> Text<Cursor<&[u8]>> {
        Text::new(Cursor::new(bytes), None).unwrap()
    }

    fn all(bytes: &[u8]) -> Vec<u8> {
        let mut text = text(bytes);
        while text.more().unwrap() {}
        text.unread().to_vec()
    }

    fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes_of).collect()
    }

    #[test]
    fn every_encoding_with_a_mark_becomes_utf8() {
        let long = "id,ñ☃🦀\r\n".repeat(CHUNK / 8 + 1);
        assert_eq!(all("\u{FEFF}id".as_bytes()), b"id");
        assert!(all(&utf16(&long, u16::to_le_bytes)) == long.as_bytes());
        assert!(all(&utf16(&long, u16::to_be_bytes)) == long.as_bytes());
        assert_eq!(all(b""), b"");
    }

    #[test]
    fn half_a_character_of_utf16_is_marked_where_it_stands() {
        assert_eq!(all(b"\xFF\xFEa\0\0\xD8b\0"), b"a\xFFb");
        assert_eq!(all(b"\xFF\xFEa\0b"), b"a\xFF");
        assert_eq!(all(b"\xFF\xFEa\0\0\xD8"), b"a\xFF");
    }

    #[test]
    fn a_bad_byte_is_found_at_its_line_and_character() {
        let mut problems = Problems::new(false);
        let mut text = text("a\n# ñ".as_bytes());
        text.input = Cursor::new(b"\n# \xC3\xB1\xE9t\xE9\nid");
        assert!(text.skip_to_content(&mut problems).unwrap());
        assert_eq!(text.unread(), b"id");
        let shown: Vec<String> = problems.shown().map(|problem| problem.in_file("p")).collect();
        assert_eq!(
            shown,
            ["p:2:4: error: this is not UTF-8 (byte 0xE9): --encoding windows-1252 reads it as \"# Ã±été\""]
        );
    }

    #[test]
    fn lines_may_end_in_cr_alone_and_a_cr_by_accident_ends_none() {
        for (bytes, read) in [
            (&b"id\ra,\"x\ny\"\rb\r"[..], &b"id\na,\"x\ny\"\nb\n"[..]),
            (b"id\r\ra", b"id\n\na"),
            (b"\xFF\xFEi\0\r\0a\0", b"i\na"),
            (b"id\r\na\r\n", b"id\r\na\r\n"),
            (b"id\na\rb\nc\n", b"id\na\rb\nc\n"),
            (b"id,\"a\rb\"\nc\n", b"id,\"a\rb\"\nc\n"),
        ] {
            assert_eq!(all(bytes), read, "{bytes:?}");
        }
    }

    #[test]
    fn another_encoding_is_read_when_it_is_told_and_a_mark_says_otherwise() {
        let read = |bytes: &[u8], name: &str| {
            let mut text = Text::new(Cursor::new(bytes), Some(texts::encoding(name).unwrap())).unwrap();
            while text.more().unwrap() {}
            String::from_utf8(text.unread().to_vec()).unwrap()
        };
        assert_eq!(read(b"\xC9\xCF\xBA\xA3", "gb18030"), "上海");
        assert_eq!(read(b"caf\xE9", "windows-1252"), "café");
        assert_eq!(read(b"i\0d\0", "utf-16le"), "id");
        assert_eq!(read("\u{FEFF}ñ".as_bytes(), "gb18030"), "ñ");
    }

    #[test]
    fn a_line_without_end_is_skipped_without_holding_it() {
        let mut bytes = vec![b'x'; 8 * MAX_RECORD];
        bytes.extend(b"\nnext");
        let mut text = text(&bytes);
        assert_eq!(text.line_len().unwrap(), None);
        text.skip_line().unwrap();
        assert_eq!((text.unread(), text.line()), (&b"next"[..], 2));
        assert!(text.n_bytes_in_memory() < 3 * MAX_RECORD, "holds {}", text.n_bytes_in_memory());
    }

    #[test]
    fn more_lines_than_can_be_numbered_are_an_error() {
        let mut text = text(b"\n\n");
        text.line = u32::MAX - 1;
        assert!(text.more().unwrap());
        text.consume(1).unwrap();
        assert_eq!(text.consume(1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
