//! Formats of reports: their names, what their files end in, and the spelling that their texts need.

use crate::wording::sieve::Form;

/// Forms of `report --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Html,
    Json,
    Junit,
    Md,
    Xlsx,
}

impl Format {
    pub const ALL: [Format; 6] = [Format::Csv, Format::Html, Format::Json, Format::Junit, Format::Md, Format::Xlsx];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Html => "html",
            Format::Json => "json",
            Format::Junit => "junit",
            Format::Md => "md",
            Format::Xlsx => "xlsx",
        }
    }

    /// What a browser is told that it is.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
            Format::Junit => "application/xml",
            Format::Md => "text/markdown; charset=utf-8",
            // source: https://www.iana.org/assignments/media-types/application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
            Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// What its files end in.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Junit => "xml",
            Format::Csv | Format::Html | Format::Json | Format::Md | Format::Xlsx => self.name(),
        }
    }

    /// Whether it is nothing for a terminal.
    #[must_use]
    pub fn is_binary(self) -> bool {
        self.form() == Form::Raw
    }

    /// What it is where it is shown.
    pub(crate) fn form(self) -> Form {
        match self {
            Format::Csv => Form::Table,
            Format::Json => Form::Json,
            Format::Xlsx => Form::Raw,
            Format::Html | Format::Junit | Format::Md => Form::Text,
        }
    }

    /// What it is where it is kept. A table has no other spelling for a value, and whoever opens it wants the value.
    pub(crate) fn form_of_file(self) -> Form {
        match self {
            Format::Csv | Format::Xlsx => Form::Raw,
            Format::Html | Format::Json | Format::Junit | Format::Md => self.form(),
        }
    }

    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}
