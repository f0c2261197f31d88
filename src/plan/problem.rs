//! Problems of a plan, reported like those of a compiler.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;
use crate::wording::visible::visible;

/// Position in the plan: the line, and the character in it, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    /// Returns the position of the byte at `offset` in a text that begins at the start of the line `first_line`.
    pub(crate) fn at_offset(text: &[u8], offset: usize, first_line: u32) -> Self {
        Self { line: first_line, column: 1 }.behind(&text[..offset])
    }

    /// Returns the position behind a text that begins here.
    pub(crate) fn behind(self, text: &[u8]) -> Self {
        let line_start = text.iter().rposition(|byte| *byte == b'\n').map(|newline| newline + 1);
        let n_lines = line_start.map_or(0, |line_start| count_newlines(&text[..line_start]));
        // Counts characters: every byte of one but its first looks like 0b10xxxxxx.
        let n_chars = text[line_start.unwrap_or(0)..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let before = if line_start.is_some() { 1 } else { self.column };
        let (line, column) = (self.line.saturating_add(saturate(n_lines)), before.saturating_add(saturate(n_chars)));
        Self { line, column }
    }
}

#[expect(clippy::naive_bytecount, reason = "fast enough, and not worth a dependency")]
pub(crate) fn count_newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// File of rows that has the problem; `None` for the plan itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    pub line: u32,
    /// Character in the line at which the field starts, counted from 1; for a quoted field, its quote.
    pub column: u32,
    pub message: String,
    /// Word that was probably meant.
    pub suggestion: Option<String>,
}

impl Problem {
    /// Formats the problem on one line: `plan.csv:17:9: error: unknown copystate "finishd" (did you mean "finished"?)`.
    #[must_use]
    pub fn in_file(&self, name: &str) -> String {
        self.told_in(name, &format!("{}: ", self.severity.name()))
    }

    /// Returns the same without its severity, for a sentence that says it.
    pub(crate) fn in_a_sentence(&self, name: &str) -> String {
        self.told_in(name, "")
    }

    fn told_in(&self, name: &str, severity: &str) -> String {
        let Problem { severity: _, file, line, column, message, suggestion } = self;
        let name = file.as_deref().unwrap_or(name);
        let meant = suggestion.as_ref().map(|word| format!(" (did you mean \"{word}\"?)")).unwrap_or_default();
        visible(&format!("{name}:{line}:{column}: {severity}{message}{meant}")).into_owned()
    }
}

/// Kind of a warning. A plan often has the same one in every row, so that all past the third are reported together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WarningKind {
    CommentLikeRow,
    QuotedRow,
    OddId,
    SheetError,
    TwiceTheSame,
    TwiceToldOtherwise,
    UnknownColumn,
    OutsideThePairs,
    TaskAction,
    NeverShown,
    WaveWithoutRows,
    SwitchedOff,
}

impl WarningKind {
    /// Name in the plural.
    fn name(self) -> &'static str {
        match self {
            WarningKind::CommentLikeRow => "comments that look like rows",
            WarningKind::QuotedRow => "lines inside quotes that look like rows",
            WarningKind::OddId => "ids with characters that do not print, are not ASCII or stand in no id",
            WarningKind::SheetError => "failed look-ups of a spreadsheet",
            WarningKind::TwiceTheSame => "rows that are there twice, all else equal",
            WarningKind::TwiceToldOtherwise => "rows that are there twice, for people not the same",
            WarningKind::UnknownColumn => "unknown columns",
            WarningKind::OutsideThePairs => "pairs that are not among the documented ones",
            WarningKind::TaskAction => "targets that only a task action starts",
            WarningKind::NeverShown => "words that reads never show",
            WarningKind::WaveWithoutRows => "waves without rows",
            WarningKind::SwitchedOff => "settings that a plan does not switch off",
        }
    }
}

/// Warnings of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfKind {
    n: usize,
    /// First warning past the third, which stands for all others until [`Problems::sort`] adds it to those that are shown.
    for_all: Option<(u32, Problem)>,
    last_line: u32,
}

impl OfKind {
    fn n_more(&self) -> usize {
        self.n.saturating_sub(Problems::MOST_OF_A_KIND)
    }
}

/// Problems of a plan: all counted, and up to [`Problems::MOST_SHOWN`] of each severity kept, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Kept errors with the number of their file.
    errors: Vec<(u32, Problem)>,
    warnings: Vec<(u32, Problem)>,
    n_errors: usize,
    n_warnings: usize,
    of_kinds: BTreeMap<WarningKind, OfKind>,
    /// Number of rows with each error that was added by [`Problems::error_of_rows`].
    n_rows: BTreeMap<String, u64>,
    strict: bool,
    /// File that is read now and its number; `None` and 0 for the plan itself.
    file: Option<String>,
    n_file: u32,
}

impl Problems {
    pub const MOST_SHOWN: usize = 1_000;
    /// Warnings of one kind that are shown one by one.
    const MOST_OF_A_KIND: usize = 3;

    /// Starts without problems; with `strict`, every warning counts as an error.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    #[must_use]
    pub fn n_errors(&self) -> usize {
        self.n_errors
    }

    #[must_use]
    pub fn n_warnings(&self) -> usize {
        self.n_warnings
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_errors + self.n_warnings == 0
    }

    /// Problems that are shown: errors before warnings, each in file order.
    pub fn shown(&self) -> impl Iterator<Item = &Problem> {
        self.errors.iter().chain(&self.warnings).take(Self::MOST_SHOWN).map(|(_, problem)| problem)
    }

    /// Writes one line for each problem that is shown, and a last one that counts the others.
    pub fn render(&self, name: &str, out: &mut Printout<'_>) -> io::Result<()> {
        self.render_errors(name, out)?;
        self.render_warnings(name, out)
    }

    /// Writes one line for each error that is shown.
    pub(crate) fn render_errors(&self, name: &str, out: &mut Printout<'_>) -> io::Result<()> {
        self.render_shown(Severity::Error, name, out)
    }

    /// Writes one line for each warning that is shown, and the last line, which counts what is not.
    pub(crate) fn render_warnings(&self, name: &str, out: &mut Printout<'_>) -> io::Result<()> {
        self.render_shown(Severity::Warning, name, out)?;
        let shown_errors = self.errors.len();
        let shown_warnings = self.warnings.len().min(Self::MOST_SHOWN - shown_errors);
        let n_spoken_for: usize = self.of_kinds.values().map(|of_kind| of_kind.n_more().saturating_sub(1)).sum();
        let n_told = self.n_warnings - n_spoken_for;
        let more = [(self.n_errors - shown_errors, "error"), (n_told - shown_warnings, "warning")]
            .into_iter()
            .filter(|(n_more, _)| *n_more > 0)
            .map(|(n_more, what)| count(n_more as u64, &format!("more {what}")))
            .collect::<Vec<_>>();
        if more.is_empty() { Ok(()) } else { writeln!(out, "{}: and {}", plain(name), more.join(" and ")) }
    }

    fn render_shown(&self, severity: Severity, name: &str, out: &mut Printout<'_>) -> io::Result<()> {
        let mut shown = self.shown().filter(|problem| problem.severity == severity);
        shown.try_for_each(|problem| writeln!(out, "{}", problem.in_file(name)))
    }

    pub(crate) fn error(&mut self, at: Position, message: String, suggestion: Option<&str>) {
        self.n_errors += 1;
        let problem = self.problem(Severity::Error, at, message, suggestion);
        keep(&mut self.errors, self.n_file, problem);
    }

    /// Adds an error that many rows may have for one cause: one with the same message is told once, at the first of these rows, and the
    /// others are counted.
    pub(crate) fn error_of_rows(&mut self, at: Position, message: String, suggestion: Option<&str>) {
        if let Some(n_rows) = self.n_rows.get_mut(&message) {
            *n_rows += 1;
            return;
        }
        // The limit bounds the memory: what is not shown need not be told once.
        if self.n_rows.len() < Self::MOST_SHOWN {
            self.n_rows.insert(message.clone(), 1);
        }
        self.error(at, message, suggestion);
    }

    /// Adds a warning. One with a suggestion is never merged with others: it is mostly a slip, and each is different.
    pub(crate) fn warning(&mut self, kind: WarningKind, at: Position, message: String, suggestion: Option<&str>) {
        if self.strict {
            return self.error(at, message, suggestion);
        }
        self.n_warnings += 1;
        let problem = self.problem(Severity::Warning, at, message, suggestion);
        if problem.suggestion.is_none() {
            let of_kind = self.of_kinds.entry(kind).or_default();
            (of_kind.n, of_kind.last_line) = (of_kind.n + 1, at.line);
            if of_kind.n_more() > 0 {
                of_kind.for_all.get_or_insert((self.n_file, problem));
                return;
            }
        }
        keep(&mut self.warnings, self.n_file, problem);
    }

    fn problem(&self, severity: Severity, at: Position, message: String, suggestion: Option<&str>) -> Problem {
        let (file, suggestion) = (self.file.clone(), suggestion.map(str::to_owned));
        Problem { severity, file, line: at.line, column: at.column, message, suggestion }
    }

    /// Sets the file of rows in which the following problems are; `None` for the plan itself.
    pub(crate) fn begin_file(&mut self, n_file: u32, name: Option<&str>) {
        self.n_file = n_file;
        self.file = name.map(str::to_owned);
    }

    /// Sorts the problems of one row, which were found check by check, into file order, and puts those that are reported
    /// together at the position of the first of them.
    pub(crate) fn sort(&mut self) {
        for (kind, of_kind) in &mut self.of_kinds {
            let (n, last_line) = (of_kind.n_more(), of_kind.last_line);
            let Some((n_file, mut problem)) = of_kind.for_all.take() else { continue };
            let until = if n == 1 { String::new() } else { format!(", the last on line {last_line}") };
            problem.message = format!("{n} more of this kind ({}){until}", kind.name());
            // Makes room, so that these summaries, at most one for each kind, are not cut off.
            self.warnings.truncate(Self::MOST_SHOWN - 1);
            keep(&mut self.warnings, n_file, problem);
        }
        for (_, problem) in &mut self.errors {
            if let Some(n_more) =
                self.n_rows.get(&problem.message).filter(|n_rows| **n_rows > 1).map(|n_rows| n_rows - 1)
            {
                problem.message.extend([" (and ", &count(n_more, "more row"), " like it)"]);
            }
        }
        for kept in [&mut self.errors, &mut self.warnings] {
            kept.sort_by_key(|(n_file, problem)| (*n_file, problem.line, problem.column));
        }
    }
}

fn keep(kept: &mut Vec<(u32, Problem)>, n_file: u32, problem: Problem) {
    if kept.len() < Problems::MOST_SHOWN {
        kept.push((n_file, problem));
    }
}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problems", 3)?;
        fields.serialize_field("n_errors", &self.n_errors)?;
        fields.serialize_field("n_warnings", &self.n_warnings)?;
        fields.serialize_field("problems", &self.shown().collect::<Vec<_>>())?;
        fields.end()
    }
}

/// Quotes a text of the plan for a message: on one line, harmless to a terminal, and cut after 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    const MOST_CHARS: usize = 60;
    match text.char_indices().nth(MOST_CHARS) {
        Some((cut, _)) => format!("{:?}", format!("{}…", &text[..cut])),
        None => format!("{text:?}"),
    }
}

/// Quotes a text that may not be what it looks like: characters that are not ASCII are written as escapes.
pub(crate) fn spelt_out(text: &str) -> String {
    let one = |c: char| match c {
        '"' | '\\' | '\t' | '\r' | '\n' => c.escape_default().to_string(),
        ' '..='~' => c.to_string(),
        _ => c.escape_unicode().to_string(),
    };
    format!("\"{}\"", text.chars().take(60).map(one).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Position {
        Position { line, column: 1 }
    }

    fn rendered(problems: &Problems) -> Vec<String> {
        let mut out = Vec::new();
        problems.render("plan.csv", &mut Printout::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn past_a_thousand_problems_there_is_a_count_and_errors_come_first() {
        let mut problems = Problems::new(false);
        for line in 1..=1_200 {
            problems.warning(WarningKind::UnknownColumn, at(line), "odd".to_owned(), Some("even"));
        }
        problems.error(at(1_201), "wrong".to_owned(), None);
        let lines = rendered(&problems);
        assert_eq!(lines.len(), 1_001);
        assert_eq!(lines[0], "plan.csv:1201:1: error: wrong");
        assert_eq!(lines[1], "plan.csv:1:1: warning: odd (did you mean \"even\"?)");
        assert_eq!(lines[1_000], "plan.csv: and 201 more warnings");

        for line in 1..=1_000 {
            problems.error(at(line), "wrong".to_owned(), None);
        }
        assert_eq!(rendered(&problems)[1_000], "plan.csv: and 1 more error and 1200 more warnings");
    }

    #[test]
    fn past_the_third_warning_of_a_kind_there_is_one_line_for_all_others() {
        let mut problems = Problems::new(false);
        for line in 2..=1_000_000 {
            problems.warning(WarningKind::OddId, at(line), format!("odd {line}"), None);
        }
        problems.warning(WarningKind::TaskAction, at(3), "another".to_owned(), None);
        problems.sort();
        let expected = [
            "plan.csv:2:1: warning: odd 2".to_owned(),
            "plan.csv:3:1: warning: odd 3".to_owned(),
            "plan.csv:3:1: warning: another".to_owned(),
            "plan.csv:4:1: warning: odd 4".to_owned(),
            format!(
                "plan.csv:5:1: warning: 999996 more of this kind ({}), the last on line 1000000",
                WarningKind::OddId.name()
            ),
        ];
        assert_eq!((rendered(&problems), problems.n_warnings()), (expected.to_vec(), 1_000_000));
        // In strict mode each of them is reported, since each has to be mended.
        let mut problems = Problems::new(true);
        (2..=9).for_each(|line| problems.warning(WarningKind::OddId, at(line), "odd".to_owned(), None));
        problems.sort();
        assert_eq!(rendered(&problems).len(), 8);
    }

    #[test]
    fn a_problem_is_an_object_with_five_fields() {
        let mut problems = Problems::new(true);
        problems.warning(WarningKind::OddId, at(7), "odd".to_owned(), Some("even"));
        let json = serde_json::to_value(&problems).unwrap();
        let expected = serde_json::json!({"n_errors": 1, "n_warnings": 0, "problems": [
            {"severity": "error", "line": 7, "column": 1, "message": "odd", "suggestion": "even"}]});
        assert_eq!(json, expected);
    }

    #[test]
    fn a_position_counts_characters_not_bytes() {
        let text = "añb\n☃☃,x".as_bytes();
        assert_eq!(Position::at_offset(text, 0, 5), Position { line: 5, column: 1 });
        assert_eq!(Position::at_offset(text, 3, 5), Position { line: 5, column: 3 });
        assert_eq!(Position::at_offset(text, text.len() - 1, 5), Position { line: 6, column: 4 });
    }

    #[test]
    fn a_quoted_text_cannot_break_its_line_nor_reach_the_terminal() {
        assert_eq!(quoted("a\n\u{1b}[31m"), r#""a\n\u{1b}[31m""#);
        assert_eq!(quoted(&"x".repeat(70)).chars().count(), 63);
    }
}
