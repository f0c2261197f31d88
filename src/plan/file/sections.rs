//! Table of a plan file: its values are read by key, and keys that nobody asked for are reported as unknown.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::words::nearest;
use crate::plan::columns::Column;
use crate::plan::problem::{Position, Problems, WarningKind, quoted};

/// Row in the plan file itself.
#[derive(Debug)]
pub(crate) struct InlineRow {
    pub(crate) at: Position,
    pub(crate) cells: Vec<(String, String, Position)>,
}

/// Problems found so far, behind a `RefCell` because several tables are read at the same time.
#[derive(Default)]
pub(super) struct FileProblems {
    errors: RefCell<Vec<(Position, String, Option<String>)>>,
    warnings: RefCell<Vec<(Position, String)>>,
}

impl FileProblems {
    fn error(&self, at: Position, message: String, suggestion: Option<&str>) {
        self.errors.borrow_mut().push((at, message, suggestion.map(str::to_owned)));
    }

    pub(super) fn into(self, problems: &mut Problems) {
        for (at, message, suggestion) in self.errors.into_inner() {
            problems.error(at, message, suggestion.as_deref());
        }
        for (at, message) in self.warnings.into_inner() {
            problems.warning(WarningKind::SwitchedOff, at, message, None);
        }
    }
}

pub(super) struct Section<'a> {
    name: String,
    table: &'a DeTable<'a>,
    place: Range<usize>,
    text: &'a str,
    asked: Vec<&'static str>,
    told: &'a FileProblems,
}

impl<'a> Section<'a> {
    pub(super) fn whole(document: &'a Spanned<DeTable<'a>>, text: &'a str, told: &'a FileProblems) -> Self {
        let name = "the plan".to_owned();
        Self { name, table: document.get_ref(), place: document.span(), text, asked: Vec::new(), told }
    }

    fn position(&self, offset: usize) -> Position {
        Position::at_offset(self.text.as_bytes(), offset.min(self.text.len()), 1)
    }

    /// Position at which it begins.
    pub(super) fn at(&self) -> Position {
        self.position(self.place.start)
    }

    pub(super) fn complain(&self, message: &str) {
        self.told.error(self.at(), message.to_owned(), None);
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(value)
    }

    fn shape(&self, key: &str, value: &Spanned<DeValue<'_>>, needed: &str) {
        let message = format!("`{key}` must be {needed}, and is {}", kind_of(value));
        self.told.error(self.position(value.span().start), message, None);
    }

    /// Reads a plain value as text, with a parser for its meaning.
    pub(super) fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.get(key)?;
        let Some(text) = plain_text(value.get_ref()) else {
            self.shape(key, value, "a plain value");
            return None;
        };
        match read(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.told.error(self.position(value.span().start), format!("`{key}`: {problem}"), None);
                None
            }
        }
    }

    /// Reports a problem with a value that was read.
    pub(super) fn complain_of(&self, key: &str, message: String) {
        let value = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
        let at = value.map_or_else(|| self.at(), |value| self.position(value.span().start));
        self.told.error(at, message, None);
    }

    /// Warns of a value that has no effect.
    pub(super) fn warn_of(&self, key: &str, message: String) {
        let value = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
        let at = value.map_or_else(|| self.at(), |value| self.position(value.span().start));
        self.told.warnings.borrow_mut().push((at, message));
    }

    /// Reads a text. A number or a date is refused: its text would differ from what is written there.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        self.shape(key, value, "a text in quotes");
        None
    }

    fn section_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Section<'a>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.shape(key, value, "a table");
            return None;
        };
        let (text, told) = (self.text, self.told);
        Some(Section { name: format!("`{key}`"), table, place: value.span(), text, asked: Vec::new(), told })
    }

    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.get(key)?;
        self.section_of(key, value)
    }

    /// Returns every table in it, by its name.
    pub(super) fn each_section(&self) -> Vec<(String, Section<'a>)> {
        let named = |(name, value): (&'a Spanned<_>, _)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            Some((name.to_string(), self.section_of(name, value)?))
        };
        self.table.iter().filter_map(named).collect()
    }

    /// Reads an array of tables.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.shape(key, value, "an array of tables");
            return Vec::new();
        };
        array.iter().filter_map(|value| self.section_of(key, value)).collect()
    }

    /// Reads a list of texts, with their positions.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(String, Position)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.shape(key, value, "a list of texts");
            return Vec::new();
        };
        let text = |value: &'a Spanned<DeValue<'a>>| {
            if let DeValue::String(text) = value.get_ref() {
                return Some((text.to_string(), self.position(value.span().start)));
            }
            self.shape(key, value, "a list of texts");
            None
        };
        array.iter().filter_map(text).collect()
    }

    /// Reads rows in the plan file itself; `None` without the key, so that an empty list is told from none.
    pub(super) fn rows(&mut self, key: &'static str) -> Option<Vec<InlineRow>> {
        self.get(key)?;
        let tables = self.sections(key);
        let row = |section: Section<'a>| {
            let cell = |(name, value): (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
                let at = section.position(value.span().start);
                let text = match value.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    value if Column::named(name.get_ref()).is_none_or(Column::is_for_people) => plain_text(value),
                    _ => None,
                };
                if text.is_none() {
                    let message = format!(
                        "the value of {} must be a text in quotes, and is {}",
                        quoted(name.get_ref()),
                        kind_of(value)
                    );
                    section.told.error(at, message, None);
                }
                Some((name.get_ref().to_string(), text?, at))
            };
            InlineRow { at: section.at(), cells: section.table.iter().filter_map(cell).collect() }
        };
        Some(tables.into_iter().map(row).collect())
    }

    /// Ends the reading: keys that were never asked for are unknown.
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref();
            if !self.asked.iter().any(|asked| asked == name) {
                let message = format!("unknown key {} in {}", quoted(name), self.name);
                let suggestion = nearest(name, self.asked.iter().copied());
                self.told.error(self.position(key.span().start), message, suggestion);
            }
        }
    }
}

/// Name of a value's type in messages.
fn kind_of(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Returns a value in the form of a flag; `None` for a list or a table.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(number.to_string()),
            Err(_) => Some(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(true) => Some("on".to_owned()),
        DeValue::Boolean(false) => Some("off".to_owned()),
        DeValue::Datetime(at) => Some(at.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
