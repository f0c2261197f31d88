//! One reading of a whole plan, from its first byte to the facts about all of it.

use std::io;

use encoding_rs::UTF_8;

use super::check::{RowChecker, Total};
use super::checked::Checked;
use super::duplicates::Ids;
use super::error::{PlanError, ReadError, ReadStop};
use super::file::rows::{Rows, RowsAt};
use super::kind::foreign;
use super::problem::{Position, quoted};
use super::reading::{Planned, Reading};
use super::rows::unsupported;
use super::sealed::lines;
use super::sealed::opening::{self, Unsealed};
use super::sealed::seal::Seal;
use super::source::Source;
use super::{file, inline, rows, text};
use crate::hooks::covered;
use crate::texts::{self, NoText};
use crate::waves::Terms;
use crate::waves::hooks::PlanHook;

/// Result of one reading of a plan, errors included.
pub(super) struct Passed {
    pub(super) total: Total,
    terms: Terms,
    seal: Option<Seal>,
}

/// Reads a plan once, whatever it is: a sealed plan, a plan file, or a list of rows.
pub(super) fn pass<E>(
    source: &Source,
    reading: Reading,
    ids: Ids,
    each: &mut impl FnMut(Planned) -> Result<(), E>,
) -> Result<Passed, ReadError<E>> {
    let mut checker = RowChecker::new(reading, ids);
    let mut whole = PlanParts { start: Position { line: 1, column: 1 }, ..PlanParts::default() };
    let beginning = source.beginning().map_err(unreadable(source))?;
    if let Some(foreign) = foreign(&beginning, source.extension()) {
        return Err(ReadError::Plan(unsupported(source, foreign)));
    }
    if lines::is_sealed(&beginning) {
        let (terms, seal) = opening::read(source, &mut checker, each).map_err(|unsealed| match unsealed {
            Unsealed::Stopped(stop) => stopped(source, stop),
            Unsealed::Edited(what) => ReadError::Plan(PlanError::Edited { name: source.name().to_owned(), what }),
        })?;
        for (hook, PlanHook { files, .. }) in &terms.hooks.commands {
            if let Some(name) = covered::first_changed(files, source.folder()) {
                let what =
                    format!("`{name}`, which its hook {hook} runs, is not there as it was when the plan was sealed");
                return Err(ReadError::Plan(PlanError::Edited { name: source.name().to_owned(), what }));
            }
        }
        (whole.terms, whole.seal) = (terms, Some(seal));
    } else if source.extension() == Some("toml")
        || source.extension().is_none()
            && file::is_plan_file(&texts::glimpse(&beginning, reading.encoding.unwrap_or(UTF_8)))
    {
        whole = read_plan_file(source, reading, &mut checker, each)?;
    } else {
        let mut unsealed = |row| each(Planned { row, sealed: None });
        whole.start = rows::read(source, reading, &mut checker, &mut unsealed)?;
    }
    let PlanParts { start, terms, waves_at, seal } = whole;
    Ok(Passed { total: checker.finish(start, &terms, &waves_at), terms, seal })
}

impl Passed {
    /// Returns the checked plan, or the errors that were found in it.
    pub(super) fn judged(self, source: &Source) -> Result<Checked, PlanError> {
        let Passed { total, terms, seal } = self;
        let Total { problems, digest, n_rows, waves, accounts, any_without_account, suspects } = total;
        if problems.n_errors() > 0 {
            return Err(PlanError::Problems { name: source.name().to_owned(), problems: Box::new(problems) });
        }
        if let Some(seal) = seal.as_ref().filter(|seal| seal.plan_digest != digest.to_string()) {
            let what = format!("its rows and terms have the digest {digest}, and it names {}", seal.plan_digest);
            return Err(PlanError::Edited { name: source.name().to_owned(), what });
        }
        Ok(Checked { digest, n_rows, warnings: problems, waves, accounts, any_without_account, terms, seal, suspects })
    }
}

/// Parts of a plan besides its rows.
#[derive(Default)]
struct PlanParts {
    /// Position at which its content starts.
    start: Position,
    terms: Terms,
    waves_at: Vec<Position>,
    seal: Option<Seal>,
}

fn unreadable<E>(source: &Source) -> impl Fn(io::Error) -> ReadError<E> {
    let name = source.name().to_owned();
    move |source| ReadError::Plan(PlanError::Unreadable { name: name.clone(), source })
}

fn stopped<E>(source: &Source, stop: ReadStop<E>) -> ReadError<E> {
    match stop {
        ReadStop::Io(error) => unreadable(source)(error),
        ReadStop::Each(error) => ReadError::Each(error),
    }
}

/// Reads a plan file in TOML: its terms, and the rows in it or in the files that it names.
fn read_plan_file<E>(
    source: &Source,
    reading: Reading,
    checker: &mut RowChecker,
    each: &mut impl FnMut(Planned) -> Result<(), E>,
) -> Result<PlanParts, ReadError<E>> {
    let bytes = source.terms().map_err(unreadable(source))?;
    let text = match texts::decoded_as(&bytes, reading.encoding.unwrap_or(UTF_8)) {
        // TOML knows no line ends by CR alone.
        Ok(text) if !text.contains('\n') => text.replace('\r', "\n"),
        Ok(text) => text,
        Err(why) => {
            let start = Position { line: 1, column: 1 };
            let (at, message) = match why {
                NoText::NotUtf8(at) => (Position::at_offset(&bytes, at, 1), text::not_utf8(&bytes, at)),
                NoText::Utf32 | NoText::Not(_) => (start, why.to_string()),
            };
            checker.problems.error(at, message, None);
            return Ok(PlanParts { start, ..PlanParts::default() });
        }
    };
    let mut file = file::read(&text, checker.allows_unknown(), &mut checker.problems);
    for PlanHook { command, files } in file.terms.hooks.commands.values_mut() {
        *files = covered::files(command, source.folder());
    }
    checker.under(&file.terms, file.defaults, file.has_bad_default);
    if file.rows.is_empty() && checker.problems.n_errors() == 0 {
        checker.lacks_content("or names no rows: it has neither `files` nor `rows`", "`rows = []`");
    }
    for RowsAt { wave, what } in file.rows {
        let mut unsealed = |row| each(Planned { row, sealed: None });
        match what {
            Rows::Inline(rows) => {
                checker.begin_file(None, wave.as_deref());
                inline::read(&rows, checker, &mut unsealed).map_err(|stop| stopped(source, stop))?;
            }
            Rows::File { path, at } => match source.beside(&path, reading.allow_outside) {
                Ok(rows) if rows.extension() == Some("toml") => {
                    let message = format!("{} is a plan file, and rows are needed here", quoted(&path));
                    checker.problems.error(at, message, None);
                }
                Ok(rows) => {
                    checker.begin_file(Some(rows.name()), wave.as_deref());
                    let read = rows::read(&rows, reading, checker, &mut unsealed);
                    checker.problems.begin_file(0, None);
                    match read {
                        Ok(_) => (),
                        // Reading goes on, since the other files may have problems of their own.
                        Err(ReadError::Plan(error)) => checker.problems.error(at, error.in_one_line(), None),
                        Err(each @ ReadError::Each(_)) => return Err(each),
                    }
                }
                Err(error) => {
                    let message = format!("the rows in {} cannot be read: {error}", quoted(&path));
                    checker.problems.error(at, message, None);
                }
            },
        }
    }
    let start = Position { line: 1, column: 1 };
    Ok(PlanParts { start, terms: file.terms, waves_at: file.waves_at, seal: None })
}
