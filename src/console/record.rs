//! One message: as people read it, as lines of a log, as JSON.

use std::io;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::level::Level;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;
use crate::wording::sieve::Form;

/// Run that messages are about; a process carries one at most.
static RUN: OnceLock<String> = OnceLock::new();

/// Names the run that messages are about from here on.
pub(super) fn speak_of_run(id: &str) {
    _ = RUN.set(id.to_owned());
}

/// Message, before it has the form of its destination.
pub(super) struct Record<'a> {
    pub(super) level: Level,
    /// Source id of the row that it is about.
    row: Option<&'a str>,
    /// Facts beside the text, by name.
    fields: &'a [(&'static str, Value)],
    at: Timestamp,
    write: &'a dyn Fn(&mut Printout<'_>) -> io::Result<()>,
}

impl<'a> Record<'a> {
    pub(super) fn new(level: Level, write: &'a dyn Fn(&mut Printout<'_>) -> io::Result<()>) -> Self {
        Self { level, row: None, fields: &[], at: Timestamp::now(), write }
    }

    /// Adds the row that it is about, and facts beside the text.
    pub(super) fn about(self, row: Option<&'a str>, fields: &'a [(&'static str, Value)]) -> Self {
        Self { row, fields, ..self }
    }

    /// Returns the lines for people, folded at a width. All but the usual messages begin with their level.
    pub(super) fn for_people(&self, width: Option<usize>) -> String {
        let Some(level) = self.level.announced() else { return lines(width, self.write) };
        let text = lines(None, self.write);
        let row = self.row.map_or_else(String::new, |row| format!("{}: ", plain(row)));
        lines(width, |out| {
            let (first, others) = text.split_once('\n').unwrap_or((&text, ""));
            writeln!(out, "{level}: {row}{first}{}", self.fields_in_words())?;
            others.lines().try_for_each(|line| writeln!(out, "{line}"))
        })
    }

    /// Returns the lines of a log: each has time, level and run, and the row if the message is about one. Empty lines are left out.
    pub(super) fn for_a_log(&self) -> String {
        let (at, level) = (self.at, self.level.name());
        let run = RUN.get().map_or("-", String::as_str);
        let row = self.row.map_or_else(String::new, |row| format!(" row={}", plain(row)));
        let (text, fields) = (lines(None, self.write), self.fields_in_words());
        let begin = format!("{at:.3} {level} run={run}{row} ");
        let told = text.lines().filter(|line| !line.is_empty());
        told.flat_map(|line| [&begin, line, &fields, "\n"]).collect()
    }

    /// Returns one object on one line.
    pub(super) fn as_json(&self) -> String {
        let text = lines(None, self.write);
        let mut object: Map<String, Value> =
            self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let own = [
            ("at", json!(self.at)),
            ("level", json!(self.level.name())),
            ("run", json!(RUN.get())),
            ("message", json!(text.trim_end_matches('\n'))),
        ];
        object.extend(own.map(|(name, value)| (name.to_owned(), value)));
        object.extend(self.row.map(|row| ("row".to_owned(), json!(row))));
        Form::Json.fit(&Value::Object(object).to_string()) + "\n"
    }

    /// Returns ` NAME=VALUE` for each field.
    fn fields_in_words(&self) -> String {
        let words = self.fields.iter().map(|(name, value)| match value {
            Value::String(text) if is_one_word(text) => format!(" {name}={text}"),
            value => format!(" {name}={}", plain(&value.to_string())),
        });
        words.collect()
    }
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// Returns lines, folded at a width.
pub(super) fn lines(width: Option<usize>, write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    write(&mut Printout::on_terminal(&mut text, width, false)).expect("a vector takes everything");
    String::from_utf8(text).expect("lines are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_log_stands_for_itself_and_no_value_forges_another() {
        let write = |out: &mut Printout<'_>| {
            writeln!(out, "one")?;
            writeln!(out)?;
            writeln!(out, "two\nthree")
        };
        let fields = [("status", json!(200)), ("path", json!("/v3/a")), ("why", json!("said \"no\"\nerror: x"))];
        let record = Record::new(Level::Debug, &write).about(Some("vm-1\n"), &fields);
        let text = record.for_a_log();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        let told = r#" status=200 path=/v3/a why="said \"no\"\nerror: x""#;
        let expected = ["one", r"two\nthree"].map(|line| format!(r"debug run=- row=vm-1\n {line}{told}"));
        assert_eq!(lines, expected);
        assert!(text.lines().all(|line| line.split(' ').next().unwrap().parse::<Timestamp>().is_ok()), "{text}");
        let object: Value = serde_json::from_str(&record.as_json()).unwrap();
        assert_eq!((&object["row"], &object["status"]), (&json!("vm-1\n"), &json!(200)));
        assert_eq!((&object["message"], &object["run"]), (&json!("one\n\ntwo\\nthree"), &Value::Null));
        assert!(record.for_people(None).starts_with(r"debug: vm-1\n: one status=200 "), "{}", record.for_people(None));
    }
}
