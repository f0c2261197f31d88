//! `check` reads a plan, and uses neither the network nor a journal.

use crate::console;
use crate::exit::Exit;
use crate::hooks::HookCommand;
use crate::launch::accounts;
use crate::launch::hooks::{hooks_document, hooks_of_settings, must_be_trusted, render_hooks};
use crate::plan::error::PlanError;
use crate::plan::source::Source;
use crate::settings::flags::arguments::PlanArgs;
use crate::verb::context::{Context, checked};
use crate::verb::error::{CommandError, stdout_failed};
use crate::verb::notices::must_be_told;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::sieve::Form;

pub(super) fn check(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    must_be_told(context.console, &context.layers, &context.settings)?;
    let source = Source::open(&args.plan)?;
    if context.console.json {
        return check_as_json(context, &source, args);
    }
    let checked = checked(context, &source, args)?;
    accounts::are_known(context, &checked)?;
    if context.console.answers_by_code() {
        must_be_trusted(&checked.terms, &args.plan)?;
        return Ok(Exit::Done);
    }
    console::print(|out| {
        let warnings = match checked.warnings.n_warnings() {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            n => format!(", {n} warnings"),
        };
        let waves = match checked.waves.len() {
            0 => String::new(),
            1 => ", 1 wave".to_owned(),
            n => format!(", {n} waves"),
        };
        let rows = count(checked.n_rows.into(), "row");
        writeln!(out, "{}: {rows}{waves}{warnings}, {}", plain(source.name()), checked.digest)?;
        for HookCommand { hook, command, .. } in hooks_of_settings(context) {
            writeln!(out, "  {:<11}  {}  (by the settings)", hook.name(), plain(&command))?;
        }
        render_hooks(&checked.terms.hooks, source.folder(), out)
    })
    .map_err(stdout_failed)?;
    must_be_trusted(&checked.terms, &args.plan)?;
    Ok(Exit::Done)
}

/// Prints the same as the document `cutover.check.v1`. Problems are in it, and their number is the error that ends the verb.
fn check_as_json(context: &Context, source: &Source, args: &PlanArgs) -> Result<Exit, CommandError> {
    let (document, ended) = match crate::plan::check(source, &crate::verb::context::reading_of(&context.settings, args))
    {
        Ok(checked) => {
            accounts::are_known(context, &checked)?;
            let trusted = must_be_trusted(&checked.terms, &args.plan);
            let document = serde_json::json!({
                "schema": "cutover.check.v1", "plan": source.name(), "digest": checked.digest, "rows": checked.n_rows,
                "waves": checked.waves, "accounts": checked.accounts, "found": checked.warnings,
                "hooks": hooks_document(&checked.terms.hooks, source.folder()),
                "hooks_trusted": trusted.is_ok(),
            });
            (document, trusted.map(|()| Exit::Done))
        }
        Err(PlanError::Problems { name, problems }) => {
            let document = serde_json::json!({
                "schema": "cutover.check.v1", "plan": source.name(), "digest": null, "rows": null,
                "waves": [], "accounts": [], "found": problems,
            });
            (document, Err(PlanError::Problems { name, problems }.into()))
        }
        Err(error) => return Err(error.into()),
    };
    console::document(Form::Json, |out| writeln!(out, "{document:#}")).map_err(stdout_failed)?;
    ended
}
