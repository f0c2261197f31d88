//! Formats of reports: their names, file extensions, and the spelling that their texts need.

use crate::wording::sieve::Form;

/// Format of a report, as `report --format` names it.
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

    /// Media type that a browser is told.
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

    /// Extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Junit => "xml",
            Format::Csv | Format::Html | Format::Json | Format::Md | Format::Xlsx => self.name(),
        }
    }

    /// Tells whether it must not go to a terminal.
    #[must_use]
    pub fn is_binary(self) -> bool {
        self.form() == Form::Raw
    }

    /// Form in which it is shown to people.
    pub(crate) fn form(self) -> Form {
        match self {
            Format::Csv => Form::Table,
            Format::Json => Form::Json,
            Format::Xlsx => Form::Raw,
            Format::Html | Format::Junit | Format::Md => Form::Text,
        }
    }

    /// Form in which it is kept in a file. A CSV has no escapes of its own, and whoever opens it wants the value itself.
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
