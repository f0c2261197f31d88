//! Hooks of a launch: those that run, and the trust that a plan's own ones need.
//!
//! A plan may come from anybody, and a run's journal too. So the commands in a plan run only after its user trusted them, at the
//! plan's place and with this very content: the texts, and the files that they run. The rest of the plan may change.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::files::folder::folder_of;
use crate::hooks::{HookCommand, covered};
use crate::journal::read::runs::RunRecord;
use crate::settings::hooks::HookSetting;
use crate::settings::trust::{self, Notes, Trust};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, UntrustedHooks};
use crate::waves::Terms;
use crate::waves::hooks::{Hook, HookOrigin, PlanHook, PlanHooks};
use crate::wording::plain::plain;
use crate::wording::printout::Printout;

/// Digest that hooks of a plan are trusted by.
pub(crate) fn digest(hooks: &PlanHooks) -> String {
    trust::digest(&serde_json::to_vec(hooks).expect("texts are JSON"))
}

/// Trust in the hooks of a plan at its place. Nothing that comes from standard input has a place.
pub(crate) fn trust_in(hooks: &PlanHooks, plan: &Path) -> Trust {
    let notes = Notes::of_user(&|name| std::env::var_os(name)).filter(|_| plan != Path::new("-"));
    let known = notes.zip(trust::place(plan).ok()).map(|(notes, place)| notes.knows(&place, &digest(hooks)));
    known.unwrap_or(Trust::Never)
}

/// Refuses a plan whose hooks are not trusted.
pub(crate) fn must_be_trusted(terms: &Terms, plan: &Path) -> Result<(), CommandError> {
    let hooks = &terms.hooks;
    if hooks.commands.is_empty() {
        return Ok(());
    }
    let was_trusted = match trust_in(hooks, plan) {
        Trust::Unchanged => return Ok(()),
        Trust::Changed => true,
        Trust::Never => false,
    };
    let commands = hooks.commands.iter().map(|(hook, of)| format!("{hook} `{}`", of.command)).collect();
    Err(CommandError::UntrustedHooks(UntrustedHooks { plan: plan.to_owned(), commands, was_trusted }))
}

/// Path of a run's plan, as it is found from here or beside the journal, where the run was begun in another folder.
pub(super) fn plan_of(run: &RunRecord, journal: &Path) -> PathBuf {
    let here = PathBuf::from(&run.plan_path);
    let beside = folder_of(journal).join(&here);
    if !here.exists() && beside.exists() { beside } else { here }
}

/// Hooks of the operator, which stand in settings files.
pub(crate) fn hooks_of_settings(context: &Context) -> Vec<HookCommand> {
    let all = context.layers.hooks().into_iter();
    let command = |(hook, HookSetting { command, timeout, path }): (Hook, HookSetting)| HookCommand {
        hook,
        from: HookOrigin::Settings,
        command,
        files: BTreeMap::new(),
        file: path,
        timeout,
    };
    all.map(command).collect()
}

/// Hooks of a launch, in the order in which they run before something: those of the operator, and then those of the plan.
pub(super) fn hooks_of(context: &Context, terms: &Terms, plan: &Path) -> Result<Vec<HookCommand>, CommandError> {
    must_be_trusted(terms, plan)?;
    let of_plan = terms.hooks.commands.iter().map(|(hook, of)| HookCommand {
        hook: *hook,
        from: HookOrigin::Plan,
        command: of.command.clone(),
        files: of.files.clone(),
        file: plan.to_owned(),
        timeout: terms.hooks.timeout(),
    });
    Ok(hooks_of_settings(context).into_iter().chain(of_plan).collect())
}

/// Lists the hooks of a plan in a folder, each with the files that are covered, and what seems to be none of them.
pub(crate) fn render_hooks(hooks: &PlanHooks, folder: &Path, out: &mut Printout<'_>) -> io::Result<()> {
    for (hook, PlanHook { command, files }) in &hooks.commands {
        writeln!(out, "  {:<11}  {}", hook.name(), plain(command))?;
        for (name, digest) in files {
            writeln!(out, "               {} sha256:{digest}", plain(name))?;
        }
        for word in covered::uncovered(command, folder) {
            writeln!(out, "               {} is not covered, and may be changed unnoticed", plain(&word))?;
        }
    }
    Ok(())
}

/// Hooks of a plan in a folder, in a document.
pub(crate) fn hooks_document(hooks: &PlanHooks, folder: &Path) -> Value {
    let hook = |(hook, PlanHook { command, files }): (&Hook, &PlanHook)| {
        let not_covered = covered::uncovered(command, folder);
        json!({"hook": hook, "command": command, "files": files, "not_covered": not_covered})
    };
    hooks.commands.iter().map(hook).collect()
}
