//! `sources show`: everything that the service says about one source.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use super::visit::visit;
use crate::console;
use crate::exit::Exit;
use crate::inventory::{Inventory, ListedSource};
use crate::model::{BadSourceId, SourceId};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::wording::plain::{padded, plain};
use crate::wording::printout::Printout;
use crate::wording::sieve::Form;

pub(super) fn show(context: &Context, id: &str) -> Result<Exit, CommandError> {
    // An empty text is a prefix of every id.
    if id.is_empty() {
        return Err(bad(id)(BadSourceId::Empty));
    }
    visit(context, async |inventory| {
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
