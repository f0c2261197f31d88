//! Arguments that start nothing: a request for help or version, or an error. An unknown flag gets a tip: a similar flag, or the
//! verbs that take it.

use std::error::Error as _;
use std::ffi::OsString;
use std::{fmt, io};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser as _};

use super::flags::Flags;
use crate::model::words::nearest;
use crate::wording::printout::{Printout, Span};
use crate::wording::visible::visible;

/// Help, version or an error about arguments. The text repeats arguments between the program's own lines and styles, so that no
/// argument may contain a line break or a style.
pub(crate) struct Misread {
    error: clap::Error,
    rendered: StyledStr,
}

impl Misread {
    /// Makes the error anew from arguments in which control characters are spelled out.
    pub(crate) fn from_error(error: &clap::Error, args: &[OsString]) -> Self {
        let seen: Vec<OsString> = args.iter().map(|arg| visible(&arg.to_string_lossy()).into_owned().into()).collect();
        let again = Flags::try_parse_from(&seen).err().filter(|again| again.kind() == error.kind());
        // If the error is about those very characters, it is told without clap's own text.
        let error = again.unwrap_or_else(|| Flags::command().error(error.kind(), told_by_kind(error)));
        let error = tipped(error, &seen);
        Self { rendered: error.render(), error }
    }

    /// Tells whether this is help or version, which are results and not errors.
    pub(crate) fn is_asked_for(&self) -> bool {
        !self.error.use_stderr()
    }

    pub(crate) fn write(&self, out: &mut Printout<'_>) -> io::Result<()> {
        let text = self.rendered.ansi().to_string();
        let mut style = Vec::new();
        text.lines().try_for_each(|line| out.styled(&spans(line, &mut style)))
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rendered.fmt(f)
    }
}

/// Tells an error with its value spelled out: which argument it is about, and the problem, as far as they are known.
fn told_by_kind(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(visible(text).into_owned()),
        Some(_) | None => None,
    };
    match (text(ContextKind::InvalidValue), text(ContextKind::InvalidArg), error.source()) {
        (Some(value), Some(arg), Some(problem)) => {
            format!("invalid value '{value}' for '{arg}': {}", visible(&problem.to_string()))
        }
        (_, _, _) => error.kind().as_str().unwrap_or("the arguments cannot be read").to_owned(),
    }
}

/// Splits a line where its style changes; `style` is the one that it begins with, and becomes the one that it ends with.
fn spans<'a>(line: &'a str, style: &mut Vec<u8>) -> Vec<Span<'a>> {
    let mut parts = line.split("\u{1b}[");
    let mut spans: Vec<Span<'a>> = parts.next().into_iter().map(|text| Span { style: style.clone(), text }).collect();
    for part in parts {
        let (numbers, text) = part.split_once('m').unwrap_or(("", part));
        for number in numbers.split(';').filter_map(|number| number.parse().ok()) {
            if number == 0 {
                style.clear();
            } else {
                style.push(number);
            }
        }
        spans.push(Span { style: style.clone(), text });
    }
    spans
}

/// Adds a tip to an error about an unknown argument; other errors stay as they are.
fn tipped(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let (ErrorKind::UnknownArgument, Some(unknown)) = (error.kind(), long(&error, ContextKind::InvalidArg)) else {
        return error;
    };
    let suggested = long(&error, ContextKind::SuggestedArg);
    if suggested.is_some_and(|suggested| nearest(&unknown, [suggested.as_str()]).is_some()) {
        return error;
    }
    let mut all = Flags::command();
    all.build();
    // Made anew: clap's own names the argument that was suggested.
    let usage = verb_of(&mut all, args).render_usage();
    error.remove(ContextKind::SuggestedArg);
    // Clap's tip to pass it as a value behind `--`, which nobody means who types a flag.
    error.remove(ContextKind::Suggested);
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    let verbs: Vec<String> = all.get_subcommands().filter(|verb| takes(verb, &unknown)).map(quoted).collect();
    if !verbs.is_empty() {
        let takes = if verbs.len() == 1 { "takes" } else { "take" };
        let tip = StyledStr::from(format!("{} {takes} `--{unknown}`", verbs.join(", ")));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The name of a long flag in an error, without its dashes.
fn long(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.strip_prefix("--").map(str::to_owned),
        Some(_) | None => None,
    }
}

/// Finds the verb that was typed, below it its own verb; the whole program if there is none.
fn verb_of<'a>(all: &'a mut Command, args: &[OsString]) -> &'a mut Command {
    let mut verb = all;
    for arg in args.iter().skip(1) {
        if verb.find_subcommand(arg).is_some() {
            verb = verb.find_subcommand_mut(arg).expect("found just now");
        }
    }
    verb
}

fn takes(verb: &Command, long: &str) -> bool {
    verb.get_arguments().any(|arg| arg.get_long() == Some(long))
}

fn quoted(verb: &Command) -> String {
    format!("`{}`", verb.get_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Misread::from_error(&Flags::try_parse_from(&args).unwrap_err(), &args).to_string()
    }

    #[test]
    fn no_argument_breaks_a_line_or_sets_a_style() {
        for line in ["cutover run p --rat\nerror:\u{1b}[31mforged\u{202e}", "cutover report --format a\n\u{1b}[0mb"] {
            let text = told(line);
            assert!(text.contains("\\n") && text.contains("\\u{1b}["), "{text}");
            assert!(
                !text.contains(['\u{1b}', '\u{202e}']) && !text.contains("\nerror:") && !text.contains("\nb"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_that_is_bad_by_its_control_characters_is_told_with_its_flag() {
        let text = told("cutover run plan.csv --run-key a\tb\n\u{1b}[1m");
        let says = "invalid value 'a\\tb\\n\\u{1b}[1m' for '--run-key <KEY>': has characters that do not print";
        assert!(text.contains(says), "{text}");
    }

    #[test]
    fn styles_are_told_apart_from_text() {
        let mut style = Vec::new();
        let spans = spans("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a", &mut style);
        let seen: Vec<_> = spans.iter().map(|span| (span.style.clone(), span.text)).collect();
        assert_eq!(seen, [(vec![], ""), (vec![1], ""), (vec![1, 31], "error:"), (vec![], " a")]);
    }

    #[test]
    fn what_another_verb_takes_is_said_and_nothing_that_is_far_off_is_suggested() {
        let text = told("cutover run plan.csv --reason x");
        assert!(text.contains("tip: `control` takes `--reason`") && !text.contains("--version"), "{text}");
        assert!(text.contains("Usage: cutover run [OPTIONS] <PLAN>"), "{text}");
        let text = told("cutover status --yes");
        assert!(text.contains("`run`, `resume`, `retry` take `--yes`"), "{text}");
        let text = told("cutover run plan.csv --rat 5");
        assert!(text.contains("a similar argument exists: '--rate'"), "{text}");
        let text = told("cutover audit verify --nothing-like-it");
        assert!(!text.contains("tip:") && text.contains("Usage: cutover audit verify"), "{text}");
    }
}
