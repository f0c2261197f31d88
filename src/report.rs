//! What people and scripts read back, from the journal alone: no network, and nothing of the present moment, so that
//! two reports of one journal are byte-identical.
//!
//! [`summary`] is what a run adds up to, as data; the other files render it, or stream the rows behind it. A format is a
//! function, chosen by a `match`. What came from outside is shown by one rule (`visible`): lines for people are written to a
//! [`printout`], and what has a form of its own goes through a `sieve`.

use std::io;

use serde::Serialize;

use self::sieve::{Form, Sieve};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};

pub(crate) mod advice;
pub(crate) mod csv;
pub(crate) mod cut_off;
pub mod explain;
pub mod failure;
pub(crate) mod html;
mod json;
mod junit;
#[cfg(test)]
pub(crate) mod lab;
mod markdown;
pub mod next;
pub(crate) mod plain;
pub mod printout;
pub(crate) mod row;
pub mod runs;
pub(crate) mod sieve;
pub mod status;
pub(crate) mod story;
pub mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod visible;
mod xlsx;

/// What `report --format` takes.
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
    fn form_of_file(self) -> Form {
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

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("could not write the report")]
    Write(#[from] io::Error),
}

/// Writes the report of a run: one instant of it, also while it runs.
pub fn write(format: Format, journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    journal.at_one_instant(|| {
        let run = journal.run(run.key)?;
        let out = &mut Sieve::new(format.form_of_file(), out);
        match format {
            Format::Csv => csv::write(journal, &run, out),
            Format::Html => html::write(journal, &run, out),
            Format::Json => json::write(journal, &run, out),
            Format::Junit => junit::write(journal, &run, out),
            Format::Md => markdown::write(journal, &run, out),
            Format::Xlsx => xlsx::write(journal, &run, out),
        }
    })
}

/// One document, indented, and a line break.
pub(crate) fn document(document: &impl Serialize, out: &mut dyn io::Write) -> Result<(), ReportError> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
