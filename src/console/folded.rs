//! Lines as a terminal shows them: prose is folded at its width, and what is to be copied stays on one line.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// Folds each line that is wider than `width`; without one all of them go through as they are.
pub(crate) struct Folded<W: Write> {
    out: W,
    width: Option<usize>,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

impl<W: Write> Folded<W> {
    pub(crate) fn new(width: Option<usize>, out: W) -> Self {
        Self { out, width, begun: Vec::new() }
    }

    fn put(&mut self, line: &[u8], width: usize) -> io::Result<()> {
        match str::from_utf8(line) {
            Ok(text) => self.out.write_all(folded(text, width).as_bytes()),
            Err(_) => self.out.write_all(line),
        }
    }
}

impl<W: Write> Write for Folded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(width) = self.width else { return self.out.write(bytes) };
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(end + 1);
            let line = std::mem::replace(&mut self.begun, rest);
            self.put(&line[..end], width)?;
            self.out.write_all(b"\n")?;
        }
        Ok(bytes.len())
    }

    /// What has no end yet is shown, so that a question is seen before it is answered.
    fn flush(&mut self) -> io::Result<()> {
        let begun = std::mem::take(&mut self.begun);
        self.out.write_all(&begun)?;
        self.out.flush()
    }
}

/// The lines of a text, each folded at its blanks, with what follows put under the column in which its text began.
pub(crate) fn folded(text: &str, width: usize) -> String {
    text.split('\n').map(|line| folded_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn folded_line(line: &str, width: usize) -> String {
    if line.width() <= width || is_command(line) {
        return line.to_owned();
    }
    let hang = column_of_text(line, width * 2 / 3);
    let (head, text) = line.split_at(hang);
    let indent = " ".repeat(head.width());
    let mut folded = head.to_owned();
    let mut at = head.width();
    let mut is_first = true;
    for word in words(text) {
        let needs = word.width() + usize::from(!is_first);
        if !is_first && at + needs > width {
            folded.push('\n');
            folded.push_str(&indent);
            at = indent.len();
        } else if !is_first {
            folded.push(' ');
            at += 1;
        }
        folded.push_str(word);
        at += word.width();
        is_first = false;
    }
    folded
}

/// A line to be copied.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("cutover ")
}

/// The byte at which the last column begins that begins before `most`: behind two blanks, or where the line does.
fn column_of_text(line: &str, most: usize) -> usize {
    let begins = line.len() - line.trim_start_matches(' ').len();
    let behind_gap = |(at, _): &(usize, &str)| {
        let rest = line[*at..].trim_start_matches(' ');
        let begin = line.len() - rest.len();
        (!rest.is_empty() && line[..begin].width() <= most).then_some(begin)
    };
    line.match_indices("  ").filter_map(|found| behind_gap(&found)).last().unwrap_or(begins).max(begins)
}

/// Words, of which what stands between two backquotes is one: it is to be copied, too.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start_matches(' ');
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut in_quotes = false;
        let end = rest.find(|c: char| {
            in_quotes ^= c == '`';
            c == ' ' && !in_quotes
        });
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.trim_start_matches(' ');
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_folded_under_its_own_column_and_what_is_copied_is_not() {
        for (line, width, lines) in [
            ("short", 20, "short"),
            ("one two three four five", 10, "one two\nthree four\nfive"),
            (
                "  failed    12  the service said no for good",
                30,
                "  failed    12  the service\n                said no for\n                good",
            ),
            ("cutover resume 20261127t134048-svy8 --yes", 20, "cutover resume 20261127t134048-svy8 --yes"),
            ("      cutover resume 20261127t134048-svy8 --yes", 20, "      cutover resume 20261127t134048-svy8 --yes"),
            ("Paused; `cutover control x continue` ends it.", 20, "Paused;\n`cutover control x continue`\nends it."),
            ("sha256:0123456789012345678901234567890123456789", 20, "sha256:0123456789012345678901234567890123456789"),
            ("服务器 服务器 服务器", 14, "服务器 服务器\n服务器"),
            ("a `b c d e f g h i j k", 10, "a\n`b c d e f g h i j k"),
            ("", 10, ""),
            ("                              ", 10, "                              "),
        ] {
            assert_eq!(folded(line, width), lines, "{line}");
        }
    }

    #[test]
    fn lines_are_folded_wherever_one_write_ends_and_the_next_begins() {
        let text = "one two three four five\n  a  b 服务器 c d e f g\nlast";
        let whole = folded(text, 10);
        for size in 1..text.len() {
            let mut out = Vec::new();
            let mut writer = Folded::new(Some(10), &mut out);
            text.as_bytes().chunks(size).for_each(|part| writer.write_all(part).unwrap());
            writer.flush().unwrap();
            assert_eq!(str::from_utf8(&out).unwrap(), whole, "{size}");
        }
        let mut out = Vec::new();
        Folded::new(None, &mut out).write_all(text.as_bytes()).unwrap();
        assert_eq!(out, text.as_bytes(), "nothing is folded in a pipe");
    }
}
