//! Settings that hold for a launch: those of its plan, or those that its run was begun with, under flags and environment.

use std::collections::BTreeMap;

use crate::journal::JournalError;
use crate::journal::read::runs::RunRecord;
use crate::plan::paper::Paper;
use crate::settings::Settings;
use crate::settings::keys::KEYS;
use crate::settings::limits::Loosened;
use crate::settings::origin::Origin;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::waves::Terms;

/// Adds the settings that a run was begun with, and those of its plan, to a context.
pub(super) fn as_begun(context: &Context, run: &RunRecord, terms: &Terms) -> Result<Context, CommandError> {
    under(context, kept(run, terms), &Origin::Begun(format!("run {}", run.id)))
}

/// Adds settings of a plan or a run to a context, as a layer below flags and environment.
pub(super) fn under(
    context: &Context,
    values: impl IntoIterator<Item = (String, String)>,
    origin: &Origin,
) -> Result<Context, CommandError> {
    let layers = context.layers.under(values, origin);
    let settings = Settings::read(&layers, context.settings.profile.as_deref())?;
    Ok(Context { settings, layers, ..context.clone() })
}

/// Settings that a run keeps from its beginning: its own where they were recorded, else those of the plan.
fn kept(run: &RunRecord, terms: &Terms) -> BTreeMap<String, String> {
    let begun = KEYS.iter().filter(|key| key.is_kept()).filter_map(|key| {
        let text = run.settings.get(key.name)?.as_str()?;
        Some((key.name.to_owned(), text.to_owned()))
    });
    let mut kept: BTreeMap<String, String> = begun.collect();
    for (key, text) in &terms.policy {
        kept.entry(key.clone()).or_insert_with(|| text.clone());
    }
    kept
}

/// Warns of flags that loosen a limit, and of settings of the plan that do not hold.
pub(super) fn tell_what_holds(context: &Context, terms: &Terms) {
    let (settings, console) = (&context.settings, context.console);
    for Loosened { key, flag, held, origin } in &settings.loosened {
        let flag_name = key.replace('_', "-");
        console.warn(&format!("`--{flag_name} {flag}` loosens `{key}` for this launch: it is {held} {origin}"));
    }
    for (key, planned) in &terms.policy {
        let is_told = settings.loosened.iter().any(|loosened| loosened.key == key);
        if let Some((text, origin)) = settings.instead_of(key, planned).filter(|_| !is_told) {
            console.warn(&format!("the plan's `{key}` {planned} does not hold for this launch: it is {text} {origin}"));
        }
    }
}

/// Terms and seal that a run keeps of its plan; an error if they cannot be read.
pub(crate) fn paper_of(run: &RunRecord) -> Result<Paper, CommandError> {
    let paper = Paper::of_settings(&run.settings);
    paper.map_err(|error| JournalError::Damaged(format!("the settings of run {}: {error}", run.id)).into())
}
