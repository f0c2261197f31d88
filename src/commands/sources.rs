//! `sources list`, `sources show` and `sources plan`: the inventory of an account.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::console;
use crate::exit::Exit;
use crate::files::beside::{Readers, check_destination, write_for};
use crate::inventory::{Filter, Inventory, ListedSource};
use crate::launch::accounts;
use crate::model::words::Word;
use crate::model::{BadSourceId, SourceId};
use crate::report::csv::defused;
use crate::settings::flags::arguments::{FilterArgs, ListFormat};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, output_failed, stdout_failed};
use crate::wording::amounts::count;
use crate::wording::plain::{padded, plain, shortened, shown};
use crate::wording::printout::Printout;
use crate::wording::shell::shell_path;
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

fn filter(args: &FilterArgs) -> Filter {
    let word = |text: &Option<String>| text.as_deref().map(Word::new);
    Filter { state: word(&args.state), cycle: word(&args.cycle), name: args.name.clone(), connected: args.connected }
}

pub(super) fn list(context: &Context, args: &FilterArgs, format: ListFormat) -> Result<Exit, CommandError> {
    let format = if context.console.json { ListFormat::Json } else { format };
    accounts::visit(context, async |inventory| {
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

    fn line(cells: &[String; 6]) -> Result<(), CommandError> {
        let cells = cells.iter().zip(Self::WIDTHS).map(|(cell, width)| padded(&shortened(&plain(cell), width), width));
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

pub(super) fn show(context: &Context, id: &str) -> Result<Exit, CommandError> {
    // An empty text would be the beginning of every id.
    if id.is_empty() {
        return Err(bad(id)(BadSourceId::Empty));
    }
    accounts::visit(context, async |inventory| {
        let source = meant(context, inventory, id).await?;
        if context.console.json {
            let document = json!({"schema": "cutover.source.v1", "source": source});
            console::document(Form::Json, |out| writeln!(out, "{document:#}")).map_err(stdout_failed)?;
        } else {
            console::print(|out| write_details(&source, out)).map_err(stdout_failed)?;
        }
        Ok(Exit::Done)
    })
}

fn bad(id: &str) -> impl Fn(BadSourceId) -> CommandError {
    move |error| CommandError::BadSource { id: plain(id), problem: error.to_string() }
}

/// Returns the source that an id, the beginning of one, or a name stands for, and says which it is if it is spelled
/// otherwise.
async fn meant(context: &Context, inventory: &Inventory, text: &str) -> Result<Value, CommandError> {
    let id = SourceId::new(text);
    if let Ok(id) = &id
        && let Some(source) = inventory.show(id).await?
    {
        return Ok(source);
    }
    let told = |ListedSource { id, name, .. }: &ListedSource| {
        let name = name.as_deref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
        format!("{}{name}", plain(id))
    };
    let found = inventory.meant(text).await?;
    match &found[..] {
        [] => Err(id.map_or_else(bad(text), |id| CommandError::NoSuchSource(plain(id.as_str())))),
        [one] => {
            context.console.say(&format!("`{}` is {}", plain(text), told(one)));
            let id = SourceId::new(&one.id).map_err(bad(&one.id))?;
            inventory.show(&id).await?.ok_or_else(|| CommandError::NoSuchSource(plain(id.as_str())))
        }
        several => {
            Err(CommandError::AmbiguousRow { text: plain(text), candidates: several.iter().map(told).collect() })
        }
    }
}

/// Writes plain values first, then the task, and then failed checks.
fn write_details(source: &Value, out: &mut Printout<'_>) -> io::Result<()> {
    let flat: BTreeMap<&String, String> = source
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, plain(text))),
            Value::Bool(_) | Value::Number(_) => Some((name, value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        })
        .collect();
    let first = ["id", "name", "hostname", "ip", "state", "migration_cycle", "connected"];
    for name in first {
        if let Some((name, value)) = flat.get_key_value(&name.to_owned()) {
            writeln!(out, "{name:<22} {value}")?;
        }
    }
    for (name, value) in flat.iter().filter(|(name, _)| !first.contains(&name.as_str())) {
        let at = name.ends_with("_time") || name.ends_with("_date");
        let time =
            value.parse().ok().filter(|ms| at && *ms > 0).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let shown = time.map_or_else(|| value.clone(), |at| format!("{at:.0}"));
        writeln!(out, "{} {shown}", padded(&plain(name), 22))?;
    }
    let text = |value: &Value, name: &str| plain(value.get(name).and_then(Value::as_str).unwrap_or("-"));
    if let Some(task) = source.get("current_task").filter(|task| task.is_object()) {
        writeln!(out, "{:<22} {} ({})", "task", text(task, "name"), text(task, "state"))?;
    }
    for check in source.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let result = text(check, "result");
        if !result.eq_ignore_ascii_case("ok") {
            let (name, why) = (text(check, "name"), text(check, "error_or_warn"));
            writeln!(out, "{:<22} {name}: {result} {} {why}", "check", text(check, "error_code"))?;
        }
    }
    Ok(())
}

/// Plan that is to be made from the inventory.
pub(super) struct Wanted<'a> {
    pub(super) state: Option<&'a str>,
    pub(super) cycle: Option<&'a str>,
    pub(super) output: Option<&'a Path>,
    pub(super) force: bool,
}

pub(super) fn plan(context: &Context, args: &FilterArgs, wanted: &Wanted<'_>) -> Result<Exit, CommandError> {
    if let Some(path) = wanted.output {
        if path.exists() && !wanted.force {
            return Err(CommandError::Exists(path.to_owned()));
        }
        check_destination(path).map_err(bad_destination(path))?;
    }
    accounts::visit(context, async |inventory| {
        let (text, n_rows) = csv_plan(inventory, args, wanted).await?;
        match wanted.output {
            Some(path) => write_for(path, Readers::usual(), |out| out.write_all(&text)).map_err(output_failed(path))?,
            None => console::document(Form::Table, |out| out.write_all(&text)).map_err(stdout_failed)?,
        }
        let rows = count(n_rows, "row");
        match wanted.output {
            Some(path) => {
                let (place, plan) = (shown(path), shell_path(path));
                let compares = context.here.asks(&format!("plan {plan}"));
                context
                    .console
                    .say(&format!("{rows} in {place}; `cutover check {plan}` reads it, `{compares}` compares it"));
            }
            None => context.console.say(&rows),
        }
        Ok(Exit::Done)
    })
}

/// Writes a row for each source: its target, and its present state as the expected one.
async fn csv_plan(
    inventory: &Inventory,
    args: &FilterArgs,
    wanted: &Wanted<'_>,
) -> Result<(Vec<u8>, u64), CommandError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = ["source_id", "copystate", "migrationcycle", "expect_copystate", "expect_migrationcycle", "name"];
    let failed = |error: csv::Error| stdout_failed(error.into());
    csv.write_record(header).map_err(failed)?;
    let mut n_rows = 0;
    inventory
        .each(&filter(args), |source| {
            n_rows += 1;
            let state = source.state.unwrap_or_default();
            let cycle = source.migration_cycle.unwrap_or_default();
            let name = source.name.unwrap_or_default();
            let (to_state, to_cycle) = (wanted.state.unwrap_or_default(), wanted.cycle.unwrap_or_default());
            csv.write_record([&source.id, to_state, to_cycle, &state, &cycle, &defused(&name)]).map_err(failed)
        })
        .await?;
    let text = csv.into_inner().map_err(|error| stdout_failed(error.into_error()))?;
    Ok((text, n_rows))
}
