//! Document `cutover.error.v1`: the end of a verb that has no other document to print.

use std::io;

use serde::Serialize;

use crate::exit::Exit;
use crate::plan::problem::{Problem, Problems, Severity};
use crate::wording::plain::plain;
use crate::wording::visible::visible;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub schema: &'static str,
    pub exit: FailureExit,
    pub message: String,
    /// Next step for a person.
    pub hint: Option<String>,
    /// Problems of a plan, in the order of the file, errors first.
    pub problems: Vec<FoundProblem>,
}

/// Exit of the process, with the fields of `cutover.summary.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureExit {
    pub code: u8,
    pub name: &'static str,
    pub reason: Option<String>,
}

/// One problem, and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundProblem {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub severity: Severity,
    pub text: String,
    pub suggestion: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: &str, hint: Option<&str>) -> Self {
        let message = visible(message).into_owned();
        let ending = FailureExit { code: exit.code(), name: exit.name(), reason: Some(message.clone()) };
        Self {
            schema: "cutover.error.v1",
            exit: ending,
            message,
            hint: hint.map(|hint| visible(hint).into_owned()),
            problems: Vec::new(),
        }
    }

    /// Makes the document of a verb that did what it was asked to, or whose message on standard error says why not.
    pub(crate) fn plain(exit: Exit) -> Self {
        if exit != Exit::Done {
            return Self::new(exit, exit.meaning(), None);
        }
        let ending = FailureExit { code: exit.code(), name: exit.name(), reason: None };
        Self { exit: ending, ..Self::new(exit, "done", None) }
    }

    /// Makes the document of arguments that could not be read: the first paragraph of clap's text says what is wrong, the others
    /// how to write it.
    pub(crate) fn misread(text: &str) -> Self {
        let message = text.trim().split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let in_one_line = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Self::new(Exit::Usage, &in_one_line, Some("`cutover VERB --help` says how it is written"))
    }

    pub(crate) fn with_problems(mut self, plan: &str, problems: &Problems) -> Self {
        let found = |problem: &Problem| FoundProblem {
            file: plain(problem.file.as_deref().unwrap_or(plan)),
            line: problem.line,
            column: problem.column,
            severity: problem.severity,
            text: plain(&problem.message),
            suggestion: problem.suggestion.as_deref().map(plain),
        };
        self.problems = problems.shown().map(found).collect();
        self
    }

    /// Writes the document on one line, so that it may also follow lines of events.
    pub fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::problem::Position;

    #[test]
    fn nothing_from_outside_turns_a_line_around() {
        let mut problems = Problems::new(false);
        problems.error(Position { line: 3, column: 9 }, "odd\u{202e}".to_owned(), Some("even"));
        let failure = Failure::new(Exit::Usage, "the plan has 1 error", None).with_problems("p.csv", &problems);
        assert_eq!(failure.problems[0].text, "odd\\u{202e}");
    }

    #[test]
    fn of_arguments_that_cannot_be_read_the_first_paragraph_is_the_message() {
        let text = "error: unexpected argument '--retry' found\n\n  tip: a similar argument exists\n\nUsage: cutover\n";
        assert_eq!(Failure::misread(text).message, "unexpected argument '--retry' found");
        let text =
            "error: the following required arguments were not provided:\n  <PLAN>\n\nUsage: cutover run <PLAN>\n";
        let message = Failure::misread(text).message;
        assert_eq!(message, "the following required arguments were not provided: <PLAN>");
    }
}
