//! Lines for people, and the only way to write one: whatever a line holds, it stays one line on which every character is visible.
//!
//! `writeln!(out, …)` writes one line, and `writeln!(out)` an empty one. A line break inside the text is spelled out, whoever
//! put it there: nobody has to remember to clean a name, and a misplaced break of our own is noticed at once.

use std::fmt;
use std::io;

use unicode_width::UnicodeWidthStr;

use super::visible::visible;

mod folded;

pub struct Printout<'a> {
    out: &'a mut dyn io::Write,
    /// Column at which lines are folded; `None` for no folding.
    width: Option<usize>,
    coloured: bool,
}

/// Part of a line, with the numbers of its style: 1 is bold, 31 is red.
/// source: ECMA-48, 8.3.117 (SGR)
pub(crate) struct Span<'a> {
    pub(crate) style: Vec<u8>,
    pub(crate) text: &'a str,
}

impl<'a> Span<'a> {
    pub(crate) fn bare(text: &'a str) -> Self {
        Self { style: Vec::new(), text }
    }
}

impl<'a> Printout<'a> {
    /// Makes a printout without folding and without colours.
    pub fn new(out: &'a mut dyn io::Write) -> Self {
        Self { out, width: None, coloured: false }
    }

    pub(crate) fn on_terminal(out: &'a mut dyn io::Write, width: Option<usize>, coloured: bool) -> Self {
        Self { out, width, coloured }
    }

    /// Takes one line from `write!` or `writeln!`; a trailing line break is optional.
    pub fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> io::Result<()> {
        let text = line.to_string();
        let line = self.folded(&visible(text.strip_suffix('\n').unwrap_or(&text)));
        self.out.write_all((line + "\n").as_bytes())
    }

    /// Writes a line of styled parts; without colours, the words alone carry the meaning.
    pub(crate) fn styled(&mut self, spans: &[Span<'_>]) -> io::Result<()> {
        if !self.coloured {
            return writeln!(self, "{}", spans.iter().map(|span| span.text).collect::<String>());
        }
        let seen: Vec<_> = spans.iter().map(|span| visible(span.text)).collect();
        let whole: String = seen.iter().map(AsRef::as_ref).collect();
        let folded = self.folded(&whole);
        let n_same = whole.bytes().zip(folded.bytes()).take_while(|(one, other)| one == other).count();
        let (mut line, mut at) = (String::new(), 0);
        for (Span { style, .. }, text) in spans.iter().zip(&seen) {
            // Behind the first fold, positions in the folded text are no longer known: the rest goes unstyled.
            if at + text.len() > n_same {
                break;
            }
            at += text.len();
            if style.is_empty() {
                line += text;
            } else {
                let numbers = style.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
                line.extend(["\u{1b}[", &numbers, "m", text, "\u{1b}[0m"]);
            }
        }
        self.out.write_all((line + &folded[at..] + "\n").as_bytes())
    }

    /// Writes a title between two empty lines.
    pub(crate) fn heading(&mut self, title: &str) -> io::Result<()> {
        writeln!(self)?;
        writeln!(self, "{title}")?;
        writeln!(self)
    }

    fn folded(&self, line: &str) -> String {
        match self.width {
            Some(width) => folded::folded(line, width),
            None => line.to_owned(),
        }
    }

    /// Tells whether a table of so many columns fits without being folded.
    pub(crate) fn has_room_for(&self, columns: usize) -> bool {
        self.width.is_none_or(|width| columns <= width)
    }
}

/// Width of the widest text, in terminal columns.
pub(crate) fn widest<'t>(texts: impl IntoIterator<Item = &'t str>) -> usize {
    texts.into_iter().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<usize>, coloured: bool, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Printout::on_terminal(&mut out, width, coloured)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_one_whatever_it_is_made_of() {
        let name = "vm-1\nerror: forged\r\u{1b}[1A\u{202e}";
        let text = shown(None, false, |out| {
            writeln!(out, "{name}")?;
            writeln!(out)?;
            write!(out, "{name}")?;
            writeln!(out, "  {name}  x\n")
        });
        let spelled = "vm-1\\nerror: forged\\r\\u{1b}[1A\\u{202e}";
        assert_eq!(text, format!("{spelled}\n\n{spelled}\n  {spelled}  x\\n\n"));
    }

    #[test]
    fn styles_are_ours_and_their_texts_are_clean() {
        let line =
            [Span::bare("  "), Span { style: vec![1, 31], text: "bad\u{1b}[0m" }, Span::bare(" one two three four")];
        let write = |out: &mut Printout<'_>| out.styled(&line);
        assert_eq!(shown(None, false, write), "  bad\\u{1b}[0m one two three four\n");
        assert_eq!(shown(None, true, write), "  \u{1b}[1;31mbad\\u{1b}[0m\u{1b}[0m one two three four\n");
        assert_eq!(shown(Some(20), true, write), "  \u{1b}[1;31mbad\\u{1b}[0m\u{1b}[0m one\n    two three four\n");
    }
}
