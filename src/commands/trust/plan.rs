//! Trust in the hooks of a plan: its commands, and the files that they run.

use std::path::Path;

use serde_json::json;

use super::candidate::{Aim, FileToTrust};
use crate::console;
use crate::exit::Exit;
use crate::files::folder::folder_of;
use crate::launch::hooks::{digest, hooks_document, render_hooks};
use crate::plan::error::PlanError;
use crate::plan::reading::Reading;
use crate::plan::source::Source;
use crate::settings::error::SettingsError;
use crate::settings::trust::Trust;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::waves::hooks::PlanHooks;
use crate::wording::plain::{plain, shown};
use crate::wording::sieve::Form;

pub(super) fn trust(context: &Context, candidate: &FileToTrust, aim: Aim) -> Result<Exit, CommandError> {
    let FileToTrust { path, place, notes } = candidate;
    let any = Reading { allow_unknown: true, allow_outside: true, ..Reading::default() };
    let checked = crate::plan::check(&Source::open(path)?, &any).map_err(|error| unfit(path, error))?;
    let hooks = checked.terms.hooks;
    if hooks.commands.is_empty() {
        return Err(SettingsError::NotOfAFolder(path.clone()).into());
    }
    let digest = digest(&hooks);
    let mut trust = notes.knows(place, &digest);
    if !context.console.json {
        print(context, place, &hooks, trust)?;
    }
    if aim == Aim::Trust {
        candidate.remember(&digest)?;
        trust = Trust::Unchanged;
        context.console.say("trusted here, with these commands and files; `cutover trust --forget FILE` takes it back");
    }
    if context.console.json {
        print(context, place, &hooks, trust)?;
    }
    Ok(Exit::Done)
}

/// Says what the file was taken for, rather than each of the errors that a settings file has as a plan.
fn unfit(path: &Path, error: PlanError) -> CommandError {
    match error {
        PlanError::Problems { problems, .. } => {
            SettingsError::TakenForPlan { path: path.to_owned(), n_errors: problems.n_errors() }.into()
        }
        PlanError::Unreadable { .. } | PlanError::Unsupported { .. } | PlanError::Edited { .. } => error.into(),
    }
}

fn print(context: &Context, place: &Path, hooks: &PlanHooks, trust: Trust) -> Result<(), CommandError> {
    if context.console.answers_by_code() {
        return Ok(());
    }
    let (sha256, is_trusted) = (digest(hooks), trust == Trust::Unchanged);
    let written = if context.console.json {
        let document = json!({
            "schema": "cutover.trust.v1",
            "path": place.display().to_string(),
            "sha256": sha256,
            "trusted": is_trusted,
            "sets": [],
            "hooks": hooks_document(hooks, folder_of(place)),
        });
        console::document(Form::Json, |out| writeln!(out, "{document:#}"))
    } else {
        console::print(|out| {
            let state = if is_trusted { "trusted" } else { "not trusted" };
            writeln!(out, "hooks of {}, {state}, sha256:{sha256}", plain(&shown(place)))?;
            render_hooks(hooks, folder_of(place), out)
        })
    };
    written.map_err(stdout_failed)
}
