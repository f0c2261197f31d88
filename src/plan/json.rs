//! JSON Lines → the values of each row: one object a line, its keys named like the columns of a CSV plan.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::ReadStop;
use super::text::Comment;
use crate::model::Row;
use crate::plan::check::RowChecker;
use crate::plan::columns::{Cells, Column, ColumnUse, repeated, warn_unknown};
use crate::plan::problem::{Position, Problems, WarningKind, quoted};
use crate::plan::text::{MAX_FIELD, NextLine, Text};

/// Limit of different keys, more than any header has: keys that differ on each line must not fill the memory.
const MAX_KEYS: usize = 1_000;

pub(crate) fn read<R: Read, E>(
    text: &mut Text<R>,
    above: &[Comment],
    checker: &mut RowChecker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<(), ReadStop<E>> {
    let mut keys = JsonKeys::default();
    let mut has_content = !above.is_empty();
    for Comment { line, text } in above {
        warn_of_comment(text, *line, &mut checker.problems);
    }
    loop {
        let next = text.next(&mut checker.problems)?;
        has_content |= !matches!(next, NextLine::End);
        match next {
            NextLine::Content => (),
            NextLine::Comment { len } => {
                warn_of_comment(&text.unread()[..len], text.line(), &mut checker.problems);
                text.consume(len)?;
                continue;
            }
            NextLine::End => break,
        }
        let line = text.line();
        let Some(len) = text.line_len()? else {
            checker.problems.error(Position { line, column: 1 }, "the row is longer than 1 MiB".to_owned(), None);
            text.skip_line()?;
            continue;
        };
        if text.check_encoding(len, &mut checker.problems) {
            let json = str::from_utf8(&text.unread()[..len]).expect("the encoding was checked just now");
            if let Some(row) = row(json, line, &mut keys, checker) {
                each(row).map_err(ReadStop::Each)?;
            }
        }
        text.consume(len)?;
        if keys.places.len() > MAX_KEYS {
            let message = format!("more than {MAX_KEYS} different columns; nothing after this row was read");
            checker.problems.error(Position { line, column: 1 }, message, None);
            break;
        }
    }
    if !has_content {
        checker.lacks_content("with no line at all", "a comment line, such as `# no rows`");
    }
    Ok(())
}

/// Warns of a comment that is a JSON object, and may have been meant for a row.
fn warn_of_comment(comment: &[u8], line: u32, problems: &mut Problems) {
    let comment = String::from_utf8_lossy(comment);
    let comment = comment.trim();
    let object = comment.trim_start_matches(['#', ' ', '\t']);
    if object.starts_with('{') && serde_json::from_str::<JsonObject<'_>>(object).is_ok() {
        let message = format!("this comment looks like a row, and is none: {}", quoted(comment));
        problems.warning(WarningKind::CommentLikeRow, Position { line, column: 1 }, message, None);
    }
}

fn row(json: &str, line: u32, keys: &mut JsonKeys, checker: &mut RowChecker) -> Option<Row> {
    let object: JsonObject<'_> = match serde_json::from_str(json) {
        Ok(object) => object,
        Err(error) => {
            let (at, message) = explain(&error, json, line);
            checker.problems.error(at, message, None);
            return None;
        }
    };
    // The limit bounds the search for repeated keys, which is quadratic.
    if object.0.len() > MAX_KEYS {
        let message = format!("the row has {} columns, and at most {MAX_KEYS} can be read", object.0.len());
        checker.problems.error(Position { line, column: 1 }, message, None);
        return None;
    }
    let n_errors = checker.problems.n_errors();
    let mut cells = Cells::default();
    let mut value_of = [None; Column::ALL.len()];
    for (index, (key, value)) in object.0.iter().enumerate() {
        let at = || Position::at_offset(json.as_bytes(), value_offset(json, index), line);
        let place = keys.place(key, at, &object, &mut checker.problems);
        let first = match place {
            ColumnUse::Known(column) => value_of[*column as usize].replace(index),
            ColumnUse::Extra(_) => object.0[..index].iter().position(|(other, _)| other == key),
            ColumnUse::Nowhere => None,
        };
        if let Some(first) = first {
            repeated(&object.0[first].0, key, at(), &mut checker.problems);
        }
        match text_of(place, value) {
            Ok(value) if value.len() > MAX_FIELD => {
                let message = format!("the value of {} is longer than 64 KiB", quoted(key));
                checker.problems.error(at(), message, None);
            }
            Ok(value) => cells.put(place, value),
            Err(what) => {
                let message = format!("the value of {} must be a string, and is {what}", quoted(key));
                checker.problems.error(at(), message, None);
            }
        }
    }
    if checker.problems.n_errors() > n_errors {
        return None;
    }
    checker.row(cells, &|column| match column.and_then(|column| value_of[column as usize]) {
        Some(index) => Position::at_offset(json.as_bytes(), value_offset(json, index), line),
        None => Position { line, column: 1 },
    })
}

/// Uses of the keys seen so far.
#[derive(Default)]
struct JsonKeys {
    places: HashMap<String, ColumnUse>,
}

impl JsonKeys {
    /// Returns the use of a key's value. Warns of an unknown key the first time that it is seen.
    fn place(
        &mut self,
        key: &str,
        at: impl Fn() -> Position,
        object: &JsonObject<'_>,
        problems: &mut Problems,
    ) -> &ColumnUse {
        if !self.places.contains_key(key) {
            let place = if let Some(column) = Column::named(key) {
                ColumnUse::Known(column)
            } else {
                let has = |column| object.0.iter().any(|(key, _)| Column::named(key) == Some(column));
                warn_unknown(key, at(), has, problems);
                ColumnUse::Extra(key.trim().to_owned())
            };
            self.places.insert(key.to_owned(), place);
        }
        &self.places[key]
    }
}

/// Returns a value as text. Ids and states have to be strings; what only people read may be a number or a boolean as well.
fn text_of<'a>(place: &ColumnUse, value: &'a JsonValue<'a>) -> Result<&'a str, &'static str> {
    let is_for_people = match place {
        ColumnUse::Known(column) => column.is_for_people(),
        ColumnUse::Extra(_) => true,
        ColumnUse::Nowhere => false,
    };
    match value {
        JsonValue::Text(text) => Ok(text),
        JsonValue::Null => Ok(""),
        JsonValue::Literal { text, .. } if is_for_people => Ok(text),
        JsonValue::Literal { what, .. } | JsonValue::Nested { what } => Err(what),
    }
}

/// Returns serde's message without its line and column: its line is always the first.
fn explain(error: &serde_json::Error, json: &str, line: u32) -> (Position, String) {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    let mut offset = error.column().saturating_sub(1).min(json.trim_end().len());
    while !json.is_char_boundary(offset) {
        offset -= 1;
    }
    (Position::at_offset(json.as_bytes(), offset, line), format!("not a JSON object: {reason}"))
}

/// Returns the offset at which the value of entry number `index` of a valid object starts.
fn value_offset(json: &str, index: usize) -> usize {
    let mut depth = 0_usize;
    let mut n_values = 0;
    let mut in_string = false;
    let mut bytes = json.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'\\' if in_string => _ = bytes.next(),
            b'"' => in_string = !in_string,
            _ if in_string => (),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 && n_values == index => {
                let value = &json[offset + 1..];
                return offset + 1 + value.len() - value.trim_start().len();
            }
            b':' if depth == 1 => n_values += 1,
            _ => (),
        }
    }
    0
}

/// Object of one line: its entries in their order, repeated keys included.
struct JsonObject<'a>(Vec<(Cow<'a, str>, JsonValue<'a>)>);

enum JsonValue<'a> {
    Text(Cow<'a, str>),
    Literal { text: String, what: &'static str },
    Null,
    Nested { what: &'static str },
}

#[derive(Deserialize)]
struct JsonKey<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for JsonObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = JsonObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object like {\"source_id\": \"…\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject<'de>, A::Error> {
        let mut entries = Vec::with_capacity(Column::ALL.len());
        while let Some((JsonKey(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(JsonObject(entries))
    }
}

impl<'de> Deserialize<'de> for JsonValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

fn number(number: &impl ToString) -> JsonValue<'static> {
    JsonValue::Literal { text: number.to_string(), what: "a number" }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = JsonValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue<'de>, E> {
        Ok(number(&value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonValue<'de>, E> {
        Ok(number(&value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<JsonValue<'de>, E> {
        Ok(number(&value))
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Literal { text: value.to_string(), what: "a boolean" })
    }

    fn visit_unit<E>(self) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonValue<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Nested { what: "an array" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonValue<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Nested { what: "an object" })
    }
}
