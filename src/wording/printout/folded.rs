//! Folding of lines at the width of a terminal: prose is folded, and what is meant to be copied stays on one line.
//!
//! Folded parts are indented further than the line began: whatever a long name holds, nothing of it can look like the beginning of
//! a line of ours.

use unicode_width::UnicodeWidthStr;

/// Columns by which the continuation of a line without columns is indented.
const HANG: usize = 2;

/// Folds a line at its blanks, with continuations aligned to the column in which its text began.
pub(super) fn folded(line: &str, width: usize) -> String {
    if line.width() <= width || is_command(line) {
        return line.to_owned();
    }
    let begins = line.len() - line.trim_start_matches(' ').len();
    let column = column_of_text(line, width * 2 / 3);
    let (head, text) = line.split_at(column.unwrap_or(begins));
    let indent = " ".repeat(head.width() + if column.is_some() { 0 } else { HANG });
    let mut folded = head.to_owned();
    let mut at = head.width();
    let mut is_first = true;
    for word in words(text, width.saturating_sub(indent.len())) {
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

/// Tells whether the line is a command that is meant to be copied.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with(COMMAND)
}

const COMMAND: &str = "cutover ";

/// Returns the byte offset of the last column: text behind at least two blanks, not the line's beginning, and starting before `most`.
fn column_of_text(line: &str, most: usize) -> Option<usize> {
    let begins = line.len() - line.trim_start_matches(' ').len();
    let behind_gap = |(at, _): (usize, &str)| {
        let rest = line[at..].trim_start_matches(' ');
        let begin = line.len() - rest.len();
        (begin > begins && !rest.is_empty() && line[..begin].width() <= most).then_some(begin)
    };
    line.match_indices("  ").filter_map(behind_gap).last()
}

/// Splits a text into words. A quotation in backquotes is one word if it fits into `room` or is a command of ours, which is meant to
/// be copied.
fn words(text: &str, room: usize) -> impl Iterator<Item = &str> {
    let is_blank = |character| matches!(character, ' ' | '\u{3000}');
    let mut rest = text.trim_start_matches(is_blank);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = end_of_quoted(rest, room).map_or(0, |end| end);
        let end = rest[end..].find(is_blank).map_or(rest.len(), |blank| end + blank);
        let (word, behind) = rest.split_at(end);
        rest = behind.trim_start_matches(is_blank);
        Some(word)
    })
}

/// Returns the offset behind a quotation that starts in the first word.
fn end_of_quoted(text: &str, room: usize) -> Option<usize> {
    let from = text.find('`').filter(|at| !text[..*at].contains([' ', '\u{3000}']))? + 1;
    let end = from + text[from..].find('`')?;
    let quoted = &text[from..end];
    (quoted.starts_with(COMMAND) || quoted.width() + 2 <= room).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_folded_under_its_own_column_and_what_is_copied_is_not() {
        for (line, width, lines) in [
            ("short", 20, "short"),
            ("one two three four five", 10, "one two\n  three\n  four\n  five"),
            (
                "  failed    12  the service said no for good",
                30,
                "  failed    12  the service\n                said no for\n                good",
            ),
            ("cutover resume 20261127t134048-svy8 --yes", 20, "cutover resume 20261127t134048-svy8 --yes"),
            ("      cutover resume 20261127t134048-svy8 --yes", 20, "      cutover resume 20261127t134048-svy8 --yes"),
            (
                "Paused; `cutover control x continue` ends it.",
                20,
                "Paused;\n  `cutover control x continue`\n  ends it.",
            ),
            ("sha256:0123456789012345678901234567890123456789", 20, "sha256:0123456789012345678901234567890123456789"),
            ("服务器 服务器 服务器", 14, "服务器 服务器\n  服务器"),
            ("a `b c d e f g h i j k", 10, "a `b c d e\n  f g h i\n  j k"),
            ("at `b c d`, e", 10, "at\n  `b c d`,\n  e"),
            ("a `b c d e f g h` i", 10, "a `b c d e\n  f g h` i"),
            ("    vm-1                  a name of ten words or so", 30, "    vm-1 a name of ten words\n      or so"),
            ("", 10, ""),
            ("                              ", 10, "                              "),
        ] {
            assert_eq!(folded(line, width), lines, "{line}");
        }
    }
}
