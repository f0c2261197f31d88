//! Settings that hold for a launch: under what its plan says, or what its run was begun with.

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

/// The context under what a run was begun with and what its plan says.
pub(super) fn as_begun(context: &Context, run: &RunRecord, terms: &Terms) -> Result<Context, CommandError> {
    under(context, kept(run, terms), &Origin::Begun(format!("run {}", run.id)))
}

/// The context under values that a plan, or a run that was begun from one, says.
pub(super) fn under(
    context: &Context,
    values: impl IntoIterator<Item = (String, String)>,
    origin: &Origin,
) -> Result<Context, CommandError> {
    let layers = context.layers.under(values, origin);
    let settings = Settings::read(&layers, context.settings.profile.as_deref())?;
    Ok(Context { settings, layers, ..context.clone() })
}

fn kept(run: &RunRecord, terms: &Terms) -> BTreeMap<String, String> {
    let begun = KEYS.iter().filter(|key| key.kept).filter_map(|key| {
        let text = run.settings.get(key.name)?.as_str()?;
        Some((key.name.to_owned(), text.to_owned()))
    });
    let mut kept: BTreeMap<String, String> = begun.collect();
    for (key, text) in &terms.policy {
        kept.entry(key.clone()).or_insert_with(|| text.clone());
    }
    kept
}

/// Tells what flags loosen, and what of the plan does not hold: who reads along should know.
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

/// Everything that a run keeps of its plan besides the rows.
pub(crate) fn paper_of(run: &RunRecord) -> Result<Paper, CommandError> {
    let paper = Paper::of_settings(&run.settings);
    paper.map_err(|error| JournalError::Damaged(format!("the settings of run {}: {error}", run.id)).into())
}
