//! Tips for arguments that a verb does not take: a near one, or the verbs that do take it, and nothing that is far off.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::flags::Flags;
use crate::model::words::nearest;

/// The error with a tip that helps, where it is about an argument that is not known.
pub(crate) fn tipped(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let (ErrorKind::UnknownArgument, Some(unknown)) = (error.kind(), long(&error, ContextKind::InvalidArg)) else {
        return error;
    };
    let suggested = long(&error, ContextKind::SuggestedArg);
    if suggested.is_some_and(|suggested| nearest(&unknown, [suggested.as_str()]).is_some()) {
        return error;
    }
    let mut all = Flags::command();
    all.build();
    // It is written out with the argument that was suggested.
    let usage = verb_of(&mut all, args).render_usage();
    error.remove(ContextKind::SuggestedArg);
    // That it could be a value behind `--`: nobody means that who types a flag.
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

/// The verb that was typed, and what stands below it.
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
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> String {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        tipped(Flags::try_parse_from(&args).unwrap_err(), &args).to_string()
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
