//! `sources list`: the sources that a filter takes, as a table, as CSV or as JSON.

use std::io;

use serde_json::json;

use super::visit::{filter, visit};
use crate::console;
use crate::exit::Exit;
use crate::inventory::ListedSource;
use crate::report::csv::defused;
use crate::settings::flags::arguments::{FilterArgs, ListFormat};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::wording::plain::{padded, plain, shortened};
use crate::wording::sieve::Form;

const JSON_BEGINS: &str = "{\n  \"schema\": \"cutover.sources.v1\",\n  \"sources\": [\n";

const COLUMNS: [&str; 10] =
    ["id", "name", "hostname", "ip", "state", "migration_cycle", "connected", "os", "changed_at", "task"];

fn cells(source: &ListedSource) -> [String; 10] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let connected = match source.connected {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    [
        source.id.clone(),
        text(&source.name),
        text(&source.hostname),
        text(&source.ip),
        text(&source.state),
        text(&source.migration_cycle),
        connected.to_owned(),
        text(&source.os),
        text(&source.changed_at),
        text(&source.task),
    ]
}

pub(super) fn list(context: &Context, args: &FilterArgs, format: ListFormat) -> Result<Exit, CommandError> {
    let format = if context.console.json { ListFormat::Json } else { format };
    visit(context, async |inventory| {
        let mut rows = ListOutput::begin(format)?;
        let listed = inventory.each(&filter(args), |source| rows.row(&source)).await;
        let n_shown = rows.end(listed.as_ref().ok().copied())?;
        let total = listed?;
        context.console.say(&format!("{n_shown} of {total} sources"));
        Ok(Exit::Done)
    })
}

/// Output of a list, written as it is read: a long list is never in memory.
struct ListOutput {
    format: ListFormat,
    n_shown: u64,
}

impl ListOutput {
    const WIDTHS: [usize; 6] = [36, 22, 15, 13, 15, 9];

    fn begin(format: ListFormat) -> Result<Self, CommandError> {
        let rows = Self { format, n_shown: 0 };
        match format {
            ListFormat::Table => {
                Self::line(&["ID", "NAME", "IP", "STATE", "CYCLE", "CONNECTED"].map(str::to_owned))?;
            }
            ListFormat::Csv => Self::csv(&COLUMNS.map(str::to_owned))?,
            ListFormat::Json => (),
        }
        Ok(rows)
    }

    fn row(&mut self, source: &ListedSource) -> Result<(), CommandError> {
        self.n_shown += 1;
        match self.format {
            ListFormat::Table => {
                let cells = cells(source);
                let [id, name, _, ip, state, cycle, connected, ..] = cells;
                Self::line(&[id, name, ip, state, cycle, connected])
            }
            ListFormat::Csv => Self::csv(&cells(source).map(|cell| defused(&cell).into_owned())),
            ListFormat::Json => {
                // The document begins with its first source: an error before that is a document of its own.
                let before = if self.n_shown == 1 { JSON_BEGINS } else { ",\n" };
                let source = json!(source);
                console::document(Form::Json, |out| write!(out, "{before}    {source}")).map_err(stdout_failed)
            }
        }
    }

    /// Ends the list, and returns the number of sources shown. Without a total the list was cut short.
    fn end(self, total: Option<u64>) -> Result<u64, CommandError> {
        let begins = match (self.format, self.n_shown, total) {
            (ListFormat::Table | ListFormat::Csv, _, _) | (ListFormat::Json, 0, None) => return Ok(self.n_shown),
            (ListFormat::Json, 0, Some(_)) => JSON_BEGINS,
            (ListFormat::Json, 1.., _) => "",
        };
        let (is_complete, total) = (total.is_some(), json!(total));
        let ends = format!("{begins}\n  ],\n  \"total\": {total},\n  \"complete\": {is_complete}\n}}");
        console::document(Form::Json, |out| writeln!(out, "{ends}")).map_err(stdout_failed)?;
        Ok(self.n_shown)
    }

    /// Prints a line of the table. Only a terminal has too little room for whole values.
    fn line(cells: &[String; 6]) -> Result<(), CommandError> {
        let most = |width| if console::shows_results() { width } else { usize::MAX };
        let cells = cells.iter().zip(Self::WIDTHS);
        let cells = cells.map(|(cell, width)| padded(&shortened(&plain(cell), most(width)), width));
        let line = cells.collect::<Vec<_>>().join("  ");
        console::print(|out| writeln!(out, "{}", line.trim_end())).map_err(stdout_failed)
    }

    fn csv(cells: &[String; 10]) -> Result<(), CommandError> {
        console::document(Form::Table, |out| {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(cells).map_err(io::Error::from)?;
            csv.flush()
        })
        .map_err(stdout_failed)
    }
}
