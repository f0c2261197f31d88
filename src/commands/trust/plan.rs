//! Trust in the hooks of a plan: its commands, and the files that they run.

use std::path::Path;

use serde_json::json;

use crate::console;
use crate::exit::Exit;
use crate::files::folder::folder_of;
use crate::launch::hooks::{digest, hooks_document, render_hooks};
use crate::plan::reading::Reading;
use crate::plan::source::Source;
use crate::settings::error::SettingsError;
use crate::settings::trust::{self, Notes, Trust};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, output_failed, stdout_failed};
use crate::waves::hooks::PlanHooks;
use crate::wording::plain::{plain, shown};
use crate::wording::sieve::Form;

pub(super) fn trust(context: &Context, path: &Path, show: bool, forget: bool) -> Result<Exit, CommandError> {
    if path == Path::new("-") {
        return Err(CommandError::DashIsNoFile);
    }
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let place = trust::place(path).map_err(unreadable)?;
    let notes = Notes::of_user(&|name| std::env::var_os(name)).ok_or(SettingsError::NoStateFolder)?;
    if forget {
        let forgotten = notes.forget(&place).map_err(output_failed(path))?;
        let is = if forgotten { "is trusted no longer" } else { "was not trusted" };
        context.console.say(&format!("`{}` {is}", place.display()));
        return Ok(Exit::Done);
    }
    let any = Reading { allow_unknown: true, allow_outside: true, ..Reading::default() };
    let hooks = crate::plan::check(&Source::open(path)?, &any)?.terms.hooks;
    if hooks.commands.is_empty() {
        return Err(SettingsError::NotOfAFolder(path.to_owned()).into());
    }
    let digest = digest(&hooks);
    let mut is_trusted = notes.knows(&place, &digest) == Trust::Unchanged;
    if !context.console.json {
        print(context, &place, &hooks, is_trusted)?;
    }
    if !show {
        notes.remember(&place, &digest).map_err(output_failed(path))?;
        is_trusted = true;
        context.console.say("trusted here, with these commands and files; `cutover trust --forget FILE` takes it back");
    }
    if context.console.json {
        print(context, &place, &hooks, is_trusted)?;
    }
    Ok(Exit::Done)
}

fn print(context: &Context, place: &Path, hooks: &PlanHooks, is_trusted: bool) -> Result<(), CommandError> {
    if context.console.answers_by_code() {
        return Ok(());
    }
    let sha256 = digest(hooks);
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
