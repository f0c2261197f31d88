//! The report that people read: one HTML file that needs no network and no script, streamed row by row.
//!
//! Text from outside is cleaned and escaped, and the page's content security policy allows only the one script whose digest it
//! names. With scripts, rows are searched, filtered and paged; without, all of them are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::error::ReportError;
use super::explain::Explained;
use super::next::NextCommands;
use super::summary::Summary;
use crate::journal::read::rows::Which;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::model::RowId;
use crate::wording::plain::plain;

mod charts;
mod night;
pub(crate) mod overview;
pub(crate) mod rows;

use charts::Figure;
use overview::{Moments, Overview};
use rows::{HtmlRow, StoryPlace};

pub(crate) const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/report.js");
/// Rows in one table on a page without scripts.
const CHUNK: u32 = 500;
/// Most rows of a run in which every row has its story in the page; in a larger run only rows that did not go straight have it,
/// and at most as many.
const STORIES: u32 = 20_000;

pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let summary = Summary::now(journal, run, journal.told_path())?;
    let lanes: Vec<_> = summary.lanes.iter().map(|lane| (lane.lane.lane, lane.lane.name.clone())).collect();
    let events = journal.told_by_lanes(run.key)?;
    let figures = charts::all(&journal.activity(run.key)?, &events, &lanes)?;
    let examples = examples(journal, run, &summary)?;
    let overview = Overview::new(&summary, |source_id| examples.get(source_id).map(|row| format!("#s{row}")));
    let head = PageHead {
        style: STYLE,
        style_digest: digest(STYLE),
        script_digest: digest(SCRIPT),
        summary: &summary,
        overview,
        figures: &figures,
        moments: Moments::from_events(&events),
    };
    head.write_into(out)?;
    let commands = Arc::new(summary.commands.clone());
    let n_untold = write_rows(journal, run, &commands, &examples.into_values().collect(), out)?;
    PageTail { summary: &summary, script: SCRIPT, n_untold }.write_into(out)?;
    Ok(())
}

/// Returns the rows that stand as examples of causes, by source id: their stories are linked to.
fn examples(journal: &Journal, run: &RunRecord, summary: &Summary) -> Result<BTreeMap<String, RowId>, JournalError> {
    let mut examples = BTreeMap::new();
    for cause in &summary.causes {
        let row = journal.row_of_source(run.key, &cause.example)?;
        examples.extend(row.map(|(row, _)| (cause.example.clone(), row.id)));
    }
    Ok(examples)
}

/// Writes all rows. Returns the number of rows without a story.
fn write_rows(
    journal: &Journal,
    run: &RunRecord,
    commands: &Arc<NextCommands>,
    examples: &BTreeSet<RowId>,
    out: &mut dyn io::Write,
) -> Result<u32, ReportError> {
    let (mut n_rows, mut n_stories) = (0, 0);
    journal.for_each_row(run.key, |row, standing| {
        if n_rows % CHUNK == 0 {
            out.write_all(if n_rows == 0 { b"" } else { rows::CHUNK_END })?;
            rows::ChunkHead.write_into(out)?;
        }
        n_rows += 1;
        let tells = run.n_rows <= STORIES || (!went_straight(&standing) && n_stories < STORIES);
        let tells = tells || examples.contains(&row.id);
        n_stories += u32::from(tells);
        let events = if tells { journal.events_of_row(run.key, row.id)? } else { Vec::new() };
        let explained = Explained::from_parts(run, row, standing, events, commands);
        let story = if tells { StoryPlace::Here } else { StoryPlace::Nowhere };
        HtmlRow::new(&explained, story).write_into(out)?;
        out.write_all(b"\n")?;
        Ok::<(), ReportError>(())
    })?;
    out.write_all(if n_rows == 0 { b"" } else { rows::CHUNK_END })?;
    Ok(n_rows - n_stories)
}

/// Returns a row by its number in the plan, with its whole story.
pub(crate) fn row_numbered(journal: &Journal, run: &RunRecord, number: u32) -> Result<Option<Explained>, JournalError> {
    let Some(before) = number.checked_sub(1).map(RowId) else { return Ok(None) };
    journal.at_one_instant(|| {
        let found = journal.page(run.key, Which::All, Some(before), 1)?.pop().filter(|(row, _)| row.id.0 == number);
        let Some((row, standing)) = found else { return Ok(None) };
        let events = journal.events_of_row(run.key, row.id)?;
        let commands = Arc::new(NextCommands::from_journal(journal, run, journal.told_path())?);
        Ok(Some(Explained::from_parts(run, row, standing, events, &commands)))
    })
}

/// Tells whether a row was sent once at most and is on target, so that its line says all there is.
fn went_straight(standing: &Standing) -> bool {
    standing.is_on_target() && standing.started <= 1 && standing.moved.is_none()
}

/// Digest of a script or style, in the form of content security policies: <https://www.w3.org/TR/CSP3/#grammardef-hash-source>.
fn digest(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[derive(Template)]
#[template(path = "report/html/head.html", config = ".askama.toml")]
struct PageHead<'a> {
    style: &'static str,
    style_digest: String,
    script_digest: String,
    summary: &'a Summary,
    overview: Overview<'a>,
    figures: &'a [Figure],
    moments: Moments,
}

#[derive(Template)]
#[template(path = "report/html/tail.html", config = ".askama.toml")]
struct PageTail<'a> {
    summary: &'a Summary,
    script: &'static str,
    n_untold: u32,
}
