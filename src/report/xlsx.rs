//! Workbook for those who use spreadsheets: what the run adds up to, every row, every attempt.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use book::{CellValue, MOST_COLUMNS, Sheet, SheetColumn, Spreadsheet};

use super::advice::rows;
use super::advice::step::Advice;
use super::causes::cause_text;
use super::csv::own_name;
use super::error::ReportError;
use super::row::{COLUMNS, Cell, cells};
use super::summary::{LaneOf, Summary};
use crate::event::outcome::Outcome;
use crate::files::temporary::writable_folder;
use crate::journal::Journal;
use crate::journal::read::attempts::{Attempt, AttemptedRow};
use crate::journal::read::causes::Cause;
use crate::journal::read::runs::RunRecord;
use crate::model::words::Word;
use crate::wording::plain::plain;

mod book;

/// Columns of the attempts, each with its width.
const ATTEMPT_COLUMNS: [(&str, u32); 16] = [
    ("row", 9),
    ("source_id", 38),
    ("attempt", 9),
    ("wave", 14),
    ("target", 14),
    ("sent_copystate", 16),
    ("sent_migrationcycle", 20),
    ("began_at", 26),
    ("ended_at", 26),
    ("took_ms", 10),
    ("outcome", 16),
    ("http_status", 12),
    ("error_code", 14),
    ("error_msg", 60),
    ("request_id", 36),
    ("via", 24),
];

/// Writes the workbook, with temporary files in the folder of its destination, if that is known and takes them.
pub(super) fn write(
    journal: &Journal,
    run: &RunRecord,
    folder: Option<&Path>,
    out: &mut dyn io::Write,
) -> Result<(), ReportError> {
    let place = writable_folder(folder)?;
    let extra = journal.extra_columns(run.key)?;
    let n_shown = extra.len().min(MOST_COLUMNS - COLUMNS.len());
    let title = format!("cutover: run {}", plain(&run.id));
    book::written(out, &place, &title, run.started_at.unwrap_or(run.created_at), |book| {
        write_summary(book, &Summary::now(journal, run, journal.told_path())?, extra.len() - n_shown)?;
        write_rows(book, journal, run, &extra[..n_shown])?;
        write_attempts(book, journal, run)
    })
}

fn write_summary(book: &mut Spreadsheet, summary: &Summary, n_columns_left_out: usize) -> io::Result<()> {
    let mut page = book.page("Summary", &[14, 12, 60, 38, 60, 50])?;
    page.row([title(summary.sentence())])?;
    section(&mut page, &["evidence"])?;
    page.row([text("times"), text("UTC, all of them")])?;
    if n_columns_left_out > 0 {
        let said = format!("{n_columns_left_out} of the plan's own are in the other reports only");
        page.row([text("columns"), text(said)])?;
    }
    for (name, value) in summary.facts() {
        page.row([text(name), text(value)])?;
    }
    section(&mut page, &["verdict", "rows", "meaning"])?;
    for (name, n_rows, meaning) in summary.counts() {
        page.row([text(name), CellValue::Number(n_rows), text(meaning)])?;
    }
    page.row([title("total"), CellValue::Number(summary.plan.rows.into())])?;
    section(&mut page, &["wave", "rows", "settled", "on target"])?;
    for wave in &summary.waves {
        let name = wave.wave.as_deref().map_or_else(|| "(no wave)".to_owned(), plain);
        page.row([
            text(name),
            CellValue::Number(wave.rows),
            CellValue::Number(wave.settled),
            CellValue::Number(wave.on_target),
        ])?;
    }
    section(&mut page, &["account", "rows", "settled", "on target", "endpoint"])?;
    for LaneOf { lane, rows, settled, on_target, cools_for: _ } in &summary.lanes {
        let numbers = [*rows, *settled, *on_target].map(CellValue::Number);
        let (name, endpoint) = (text(plain(&lane.name)), text(plain(&lane.endpoint)));
        page.row(std::iter::once(name).chain(numbers).chain([endpoint]))?;
    }
    write_causes(&mut page, summary)?;
    section(&mut page, &["next", "", "what to do", "", "command"])?;
    for (name, Advice { say, command }) in summary.next_steps() {
        page.row([text(name), CellValue::Nothing, text(say), CellValue::Nothing, text(command)])?;
    }
    page.end()
}

fn write_causes(page: &mut Sheet<'_>, summary: &Summary) -> io::Result<()> {
    section(page, &["verdict", "rows", "cause", "such as", "what to do", "command"])?;
    let mut n_more = summary.n_need_a_look();
    for cause in &summary.causes {
        let Cause { verdict, n_rows, example, .. } = cause;
        n_more = n_more.saturating_sub(*n_rows);
        let next = rows::of_cause(cause, &summary.commands)
            .map_or([CellValue::Nothing, CellValue::Nothing], |Advice { say, command }| [text(say), text(command)]);
        let what = [text(plain(verdict)), CellValue::Number(*n_rows), text(cause_text(cause)), text(plain(example))];
        page.row(what.into_iter().chain(next))?;
    }
    if n_more > 0 {
        page.row([CellValue::Nothing, CellValue::Number(n_more), text("for other causes")])?;
    }
    Ok(())
}

fn section(page: &mut Sheet<'_>, names: &[&str]) -> io::Result<()> {
    page.row([])?;
    page.row(names.iter().map(|name| title(*name)))
}

fn write_rows(book: &mut Spreadsheet, journal: &Journal, run: &RunRecord, extra: &[String]) -> Result<(), ReportError> {
    let own = COLUMNS.iter().map(|name| SheetColumn { name: (*name).to_owned(), width: width(name) });
    let columns = own.chain(extra.iter().map(|name| SheetColumn { name: own_name(name).into_owned(), width: 16 }));
    let mut rows = book.table("Rows", columns.collect())?;
    journal.for_each_row(run.key, |row, standing| {
        let own = cells(&row, &standing).into_iter().map(|cell| match cell {
            Cell::Nothing => CellValue::Nothing,
            Cell::Number(number) => CellValue::Number(number.into()),
            Cell::Text(text) => CellValue::Text(text.into()),
            Cell::Time(at) => CellValue::Time(at),
        });
        let of_plan = extra.iter().map(|column| {
            let value = row.extra.iter().find(|(name, _)| name == column);
            value.map_or(CellValue::Nothing, |(_, value)| CellValue::Text(value.into()))
        });
        Ok::<(), ReportError>(rows.row(own.chain(of_plan))?)
    })?;
    Ok(rows.end()?)
}

/// Returns a width that suits the usual values of a column, in characters.
fn width(column: &str) -> u32 {
    match column {
        "row" | "line" | "attempts" | "throttled" => 10,
        "source_id" | "request_id" => 38,
        "error_msg" | "reason" => 60,
        "name" | "note" | "file" => 24,
        "first_sent_at" | "settled_at" | "last_sent_at" => 26,
        _ => 16,
    }
}

fn write_attempts(book: &mut Spreadsheet, journal: &Journal, run: &RunRecord) -> Result<(), ReportError> {
    let columns = ATTEMPT_COLUMNS.map(|(name, width)| SheetColumn { name: name.to_owned(), width });
    let mut attempts = book.table("Attempts", columns.into())?;
    journal.for_each_attempt(run.key, |row, attempt| Ok::<(), ReportError>(attempts.row(line(row, attempt))?))?;
    Ok(attempts.end()?)
}

fn line<'a>(row: &'a AttemptedRow, attempt: &'a Attempt) -> [CellValue<'a>; ATTEMPT_COLUMNS.len()] {
    let ended = attempt.ended.as_ref();
    let outcome = ended.map(|ended| &ended.outcome);
    [
        CellValue::Number(row.id.0.into()),
        text(&*row.source_id),
        CellValue::Number(attempt.number.into()),
        some_text(row.wave.as_deref()),
        some_text(row.target.as_deref()),
        some_text(attempt.sends.copystate.as_ref().map(Word::as_str)),
        some_text(attempt.sends.migrationcycle.as_ref().map(Word::as_str)),
        CellValue::Time(attempt.began_at),
        ended.map_or(CellValue::Nothing, |ended| CellValue::Time(ended.at)),
        ended.map_or(CellValue::Nothing, |ended| CellValue::Number(ended.took_ms)),
        some_text(outcome.map(Outcome::name)),
        outcome.and_then(Outcome::status).map_or(CellValue::Nothing, |status| CellValue::Number(status.into())),
        some_text(outcome.and_then(Outcome::code)),
        some_text(outcome.and_then(Outcome::message)),
        some_text(ended.and_then(|ended| ended.request_id.as_deref())),
        some_text(ended.and_then(|ended| ended.via.as_deref())),
    ]
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> CellValue<'a> {
    CellValue::Text(text.into())
}

fn title<'a>(text: impl Into<Cow<'a, str>>) -> CellValue<'a> {
    CellValue::Title(text.into())
}

fn some_text(text: Option<&str>) -> CellValue<'_> {
    text.map_or(CellValue::Nothing, |text| CellValue::Text(text.into()))
}
