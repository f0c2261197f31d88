//! Reports for people and scripts, made from the journal alone: no network and no clock is read, so that two reports of one
//! journal are byte-identical.
//!
//! [`summary`] is what a run adds up to, as data; the other files render it, or stream the rows behind it. One function writes
//! one format; a `match` chooses it.

use std::io;
use std::path::Path;

use crate::formats::Format;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::wording::sieve::Sieve;

pub(crate) mod advice;
pub(crate) mod causes;
pub(crate) mod csv;
pub(crate) mod cut_off;
pub(crate) mod document;
pub mod error;
pub mod explain;
mod facts;
pub mod failure;
pub mod holder;
pub(crate) mod html;
mod json;
mod junit;
#[cfg(test)]
pub(crate) mod lab;
mod markdown;
pub mod next;
pub mod plugin;
pub(crate) mod row;
pub mod runs;
mod sentence;
pub mod status;
pub mod steering;
pub(crate) mod story;
pub mod summary;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;
pub(crate) mod waiting;
mod xlsx;

use error::ReportError;

/// Writes the report of a run from one consistent read of the journal, also while the run goes on.
pub fn write(format: Format, journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    write_near(format, journal, run, None, out)
}

/// Does the same for a report that is written to this folder, which is then also the place of temporary files.
pub(crate) fn write_in(
    format: Format,
    journal: &Journal,
    run: &RunRecord,
    folder: &Path,
    out: &mut dyn io::Write,
) -> Result<(), ReportError> {
    write_near(format, journal, run, Some(folder), out)
}

fn write_near(
    format: Format,
    journal: &Journal,
    run: &RunRecord,
    folder: Option<&Path>,
    out: &mut dyn io::Write,
) -> Result<(), ReportError> {
    journal.at_one_instant(|| {
        let run = journal.run(run.key)?;
        let out = &mut Sieve::new(format.form_of_file(), out);
        match format {
            Format::Csv => csv::write(journal, &run, out),
            Format::Html => html::write(journal, &run, out),
            Format::Json => json::write(journal, &run, out),
            Format::Junit => junit::write(journal, &run, out),
            Format::Md => markdown::write(journal, &run, out),
            Format::Xlsx => xlsx::write(journal, &run, folder, out),
        }
    })
}
