//! Pages for browsers: the runs, one run, its rows, one row's story; and reports to download.

use std::io::{self, BufWriter};
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path as InPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::links::run_link;
use super::reader::Demand;
use super::room::ServeState;
use super::shelf::Shelved;
use crate::event::verdict::Verdict;
use crate::files::temporary;
use crate::formats::Format;
use crate::journal::read::runs::RunFilter;
use crate::journal::read::search::Search;
use crate::journal::{Journal, JournalError};
use crate::report;
use crate::report::error::ReportError;
use crate::report::explain::Explained;
use crate::report::html::rows::{HtmlRow, RowStory, StoryPlace};
use crate::report::html::{STYLE, row_numbered};
use crate::report::next::NextCommands;
use crate::report::runs::{RunLine, RunList};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::sieve::Form;

const SCRIPT: &str = include_str!("live.js");
const PAGE: u32 = 100;
/// Bytes of a report that are written to disk at a time.
const CHUNK: usize = 64 << 10;
/// Longest text that is searched for, in characters: no value in a row is longer, and the database's pattern matching is limited.
const LONGEST: usize = 500;

/// Reasons for which there is no page.
pub(super) enum PageError {
    NoRun(JournalError),
    NoRow,
    NoFormat,
    Journal(JournalError),
    Report(ReportError),
}

impl From<JournalError> for PageError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::UnknownRun(_)
            | JournalError::AmbiguousRun { .. }
            | JournalError::Pruned(_)
            | JournalError::AllPruned(_)
            | JournalError::NoRuns => PageError::NoRun(error),
            JournalError::Absent(_)
            | JournalError::Unopenable { .. }
            | JournalError::Unreadable { .. }
            | JournalError::Folder(_)
            | JournalError::Older { .. }
            | JournalError::Copy { .. }
            | JournalError::NoFolder(_)
            | JournalError::Misplaced(_)
            | JournalError::Abandoned
            | JournalError::NotAJournal
            | JournalError::Newer { .. }
            | JournalError::Migration(_)
            | JournalError::Damaged(_)
            | JournalError::Added(_)
            | JournalError::Schema(_)
            | JournalError::NotOurs
            | JournalError::Replaced
            | JournalError::Log(_)
            | JournalError::Full(_)
            | JournalError::FailingDisk(_)
            | JournalError::Held
            | JournalError::Sqlite(_)
            | JournalError::Beside { .. }
            | JournalError::Excerpt
            | JournalError::NotAsTold { .. }
            | JournalError::KeyTaken { .. }
            | JournalError::Illegal(_) => PageError::Journal(error),
        }
    }
}

impl From<ReportError> for PageError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Journal(error) => error.into(),
            error @ ReportError::Write(_) => PageError::Report(error),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            PageError::NoRun(error) => (StatusCode::NOT_FOUND, error.to_string()),
            PageError::NoRow => (StatusCode::NOT_FOUND, "the run has no such row".to_owned()),
            PageError::NoFormat => {
                let known = Format::ALL.map(Format::name).join(", ");
                (StatusCode::NOT_FOUND, format!("reports are {known}"))
            }
            PageError::Journal(error @ JournalError::Abandoned) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{error}; `cutover report` takes its time"))
            }
            PageError::Report(ReportError::Write(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
                (StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            PageError::Journal(error) => (StatusCode::INTERNAL_SERVER_ERROR, chain(&error)),
            PageError::Report(error) => (StatusCode::INTERNAL_SERVER_ERROR, chain(&error)),
        };
        (status, page(&ProblemPage { text })).into_response()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[derive(Template)]
#[template(path = "serve/problem.html", config = ".askama.toml")]
struct ProblemPage {
    text: String,
}

#[derive(Template)]
#[template(path = "serve/runs.html", config = ".askama.toml")]
struct RunsPage {
    journal: String,
    runs: Vec<RunLine>,
    /// Number of the runs that were taken out of the journal.
    n_pruned: u64,
}

#[derive(Template)]
#[template(path = "serve/run.html", config = ".askama.toml")]
struct RunPage {
    id: String,
    live: String,
}

#[derive(Template)]
#[template(path = "serve/rows.html", config = ".askama.toml")]
struct RowsPage {
    id: String,
    search: Search,
    /// Rows, each as the report renders it.
    lines: Vec<String>,
    n_found: u64,
    page: u64,
    n_pages: u64,
}

#[derive(Template)]
#[template(path = "serve/row.html", config = ".askama.toml")]
struct RowPage<'a> {
    id: String,
    told: RowStory<'a>,
    title: String,
}

fn page(template: &impl Template) -> Html<String> {
    Html(Form::Text.fit(&template.render().expect("writing to a string does not fail")))
}

pub(super) async fn runs(State(room): State<Arc<ServeState>>) -> Result<Html<String>, PageError> {
    let read = |journal: &Journal| {
        Ok::<_, JournalError>((RunList::new(journal, RunFilter::default())?.lines()?, journal.n_tombstones()?))
    };
    let (runs, n_pruned) = room.reader.read(read).await?;
    Ok(page(&RunsPage { journal: room.journal.display().to_string(), runs, n_pruned }))
}

pub(super) async fn run(
    State(room): State<Arc<ServeState>>,
    InPath(run): InPath<String>,
) -> Result<Html<String>, PageError> {
    let id = room.reader.read(move |journal| journal.find_run(&run).map(|run| run.id)).await?;
    let live = room.watchers.watch(&id).await?.borrow().to_string();
    Ok(page(&RunPage { id, live }))
}

#[derive(Deserialize)]
pub(super) struct RowsQuery {
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    find: String,
    /// Page number, from 1.
    #[serde(default)]
    page: String,
}

pub(super) async fn rows(
    State(room): State<Arc<ServeState>>,
    InPath(run): InPath<String>,
    Query(asked): Query<RowsQuery>,
) -> Result<Html<String>, PageError> {
    let given =
        |text: String| Some(text.trim().chars().take(LONGEST).collect()).filter(|text: &String| !text.is_empty());
    let search = Search { verdict: given(asked.verdict), text: given(asked.find) };
    let read = move |journal: &Journal| {
        let run = journal.find_run(&run)?;
        journal.at_one_instant(|| {
            let n_found = journal.count_found(run.key, &search)?;
            let n_pages = n_found.div_ceil(u64::from(PAGE)).max(1);
            let number = asked.page.trim().parse().unwrap_or(1).clamp(1, n_pages);
            let from = (number - 1) * u64::from(PAGE);
            let found = journal.found(run.key, &search, from, PAGE)?;
            let commands = Arc::new(NextCommands::from_journal(journal, &run, journal.path())?);
            let lines = found.into_iter().map(|(row, standing)| {
                let story = StoryPlace::At(format!("{}/rows/{}", run_link(&run.id), row.id));
                let explained = Explained::from_parts(&run, row, standing, Vec::new(), &commands);
                HtmlRow::new(&explained, story).render().expect("writing to a string does not fail")
            });
            let lines = lines.collect();
            Ok::<_, JournalError>(RowsPage { id: run.id, search, lines, n_found, page: number, n_pages })
        })
    };
    Ok(page(&room.reader.read(read).await?))
}

impl RunsPage {
    /// Says how many runs are not in the list, where some were taken out.
    fn in_archives(&self) -> Option<String> {
        let told = if self.n_pruned == 1 { "was taken out of it, and is" } else { "were taken out of it, and are" };
        (self.n_pruned > 0).then(|| format!("{} {told} not listed here", count(self.n_pruned, "run")))
    }

    fn none(&self) -> &'static str {
        if self.n_pruned > 0 { "The journal holds no run any more." } else { "The journal holds no run." }
    }
}

impl RowsPage {
    /// Returns the verdicts that can be asked for, with their labels.
    fn verdicts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let verdicts = Verdict::ALL.map(|verdict| (verdict.name(), verdict.name()));
        let others = [(Search::OFF_TARGET, "not on target"), ("pending", "pending"), ("in_doubt", "in_doubt")];
        others.into_iter().chain(verdicts)
    }

    fn is_asked_for(&self, verdict: &str) -> bool {
        self.search.verdict.as_deref() == Some(verdict)
    }

    /// Returns the link to another page of the same search.
    fn link(&self, page: u64) -> String {
        let encoded = |text: Option<&str>| utf8_percent_encode(text.unwrap_or_default(), NON_ALPHANUMERIC).to_string();
        let (verdict, find) = (encoded(self.search.verdict.as_deref()), encoded(self.search.text.as_deref()));
        format!("{}/rows?verdict={verdict}&find={find}&page={page}", run_link(&self.id))
    }
}

pub(super) async fn row(
    State(room): State<Arc<ServeState>>,
    InPath((run, row)): InPath<(String, String)>,
) -> Result<Html<String>, PageError> {
    let number: u32 = row.parse().map_err(|_| PageError::NoRow)?;
    let read = move |journal: &Journal| {
        let run = journal.find_run(&run)?;
        let Some(explained) = row_numbered(journal, &run, number)? else { return Err(PageError::NoRow) };
        let title = format!("{}: {}", explained.title(), explained.verdict());
        Ok(page(&RowPage { id: run.id, told: RowStory::new(&explained), title }))
    };
    room.reader.read(read).await
}

/// Answers with a report to download. It is made whole first, so that a slow download does not keep a read of the journal open.
pub(super) async fn report(
    State(room): State<Arc<ServeState>>,
    InPath((run, format)): InPath<(String, String)>,
) -> Result<Response, PageError> {
    let format = Format::named(&format).ok_or(PageError::NoFormat)?;
    let space = room.shelf.space();
    let read = move |journal: &Journal, wanted: &Demand| {
        let run = journal.find_run(&run)?;
        let file = temporary::nameless_file().map_err(ReportError::Write)?;
        let mut out = BufWriter::with_capacity(CHUNK, Shelved::new(file, space, wanted.clone()));
        report::write(format, journal, &run, &mut out)?;
        let shelved = out.into_inner().map_err(|error| ReportError::Write(error.into_error()))?;
        Ok::<_, PageError>((run.id, shelved))
    };
    let (id, shelved) = room.reader.report(read).await?;
    let (length, fetched) = shelved.fetched().map_err(ReportError::Write)?;
    let name: String = id.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"cutover-{name}.{}\"", format.extension())),
    ];
    Ok((headers, Body::from_stream(fetched)).into_response())
}

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

pub(super) async fn nothing_there() -> Response {
    let text = "there is nothing here; the runs are on the first page".to_owned();
    (StatusCode::NOT_FOUND, page(&ProblemPage { text })).into_response()
}
