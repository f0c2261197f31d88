//! Sentence that says how a run stands or ended, and the same in one line with the first cause and the next command, for a mail.

use super::causes::{cause_text, example_of};
use super::summary::{Summary, Unsettled};
use crate::exit::Exit;
use crate::wording::amounts::{count, is_or_are};
use crate::wording::plain::shortened;

/// Most columns of a cause in a line: the service's own texts may have any length.
const MOST_OF_A_CAUSE: usize = 300;

impl Summary {
    /// Returns the result in one sentence: what stopped the run early, rows on target, and what the others need.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.stopped_early() {
            Some(headline) => format!("{headline}: {}.", self.counts_in_words()),
            None => format!("{}.", self.counts_in_words()),
        }
    }

    /// Returns the sentence on one line without its full stop, with the most frequent cause of rows that need a look.
    #[must_use]
    pub(crate) fn in_one_line(&self) -> String {
        let sentence = self.sentence();
        let sentence = sentence.trim_end_matches('.');
        let Some(cause) = self.causes.first() else { return sentence.to_owned() };
        let (text, example) = (shortened(&cause_text(cause), MOST_OF_A_CAUSE), example_of(cause));
        let told = format!("{}, {text} ({example})", cause.verdict);
        match self.n_need_a_look() - cause.n_rows {
            0 => format!("{sentence}: {told}"),
            n => format!("{sentence}: {} {told}; {} for other causes", cause.n_rows, count(n, "row")),
        }
    }

    /// Returns the next thing to do with its command, on one line. Where the run needs nothing, the command shows how it stands.
    #[must_use]
    pub(crate) fn hint(&self) -> String {
        match self.first_steps() {
            Some((next, None)) => format!("{}: `{}`", next.say, next.command),
            Some((next, Some(then))) => format!("{}: `{}`, then `{then}`", next.say, next.command),
            None => format!("`{}` shows the run", self.commands.status()),
        }
    }

    /// Returns what ended the last launch before its rows were settled; `None` while a launch goes on.
    fn stopped_early(&self) -> Option<&'static str> {
        if self.running.is_some() { None } else { self.exit.code.and_then(Exit::from_code)?.headline() }
    }

    fn counts_in_words(&self) -> String {
        let n_rows = u64::from(self.plan.rows);
        let Unsettled { pending, in_doubt, under_way } = self.unsettled;
        let in_doubt = in_doubt - under_way;
        if n_rows == 0 {
            return "The run has no rows".to_owned();
        }
        let all = || if n_rows == 1 { "the one row is".to_owned() } else { format!("all {n_rows} rows are") };
        if self.verdicts.already == n_rows {
            return format!("Nothing was to do: {} on target already", all());
        }
        if self.on_target == n_rows {
            return format!("{} on target{}", capitalised(&all()), self.without_proof());
        }
        let mut rest = Vec::new();
        if pending > 0 {
            rest.push(format!("{pending} {} still to do", is_or_are(pending)));
        }
        if under_way > 0 {
            rest.push(format!("{under_way} {} under way", is_or_are(under_way)));
        }
        if in_doubt > 0 {
            rest.push(format!("{in_doubt} {} in doubt", is_or_are(in_doubt)));
        }
        let n_look = self.n_need_a_look();
        if n_look > 0 {
            rest.push(format!("{n_look} {} a look", if n_look == 1 { "needs" } else { "need" }));
        }
        let (on_target, so_far) = (self.on_target, if self.running.is_some() { " so far" } else { "" });
        let (rows, unproven) = (count(n_rows, "row"), self.without_proof());
        format!("{on_target} of {rows} {} on target{so_far}{unproven}; {}", is_or_are(n_rows), rest.join(", "))
    }

    /// Says how many rows on target were not verified by choice; nothing if there are none.
    fn without_proof(&self) -> String {
        match self.unproven {
            0 => String::new(),
            n if n == self.on_target => ", unproven: verification was switched off".to_owned(),
            n => format!(", {n} of them unproven: verification was switched off"),
        }
    }
}

/// Returns the text with its first letter, which is ASCII, as a capital.
fn capitalised(text: &str) -> String {
    let mut text = text.to_owned();
    text[..1].make_ascii_uppercase();
    text
}
