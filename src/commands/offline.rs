//! `init` and `check`, which use neither the network nor a journal.

use std::io::{self, Write};
use std::path::Path;

use crate::exit::Exit;
use crate::launch::accounts;
use crate::plan::error::PlanError;
use crate::plan::example::{EXAMPLE_CSV, EXAMPLE_TOML};
use crate::plan::source::Source;
use crate::settings::example::example;
use crate::settings::flags::arguments::PlanArgs;
use crate::settings::said;
use crate::verb::context::{Context, checked};
use crate::verb::error::{CommandError, output_failed, stdout_failed};
use crate::wording::amounts::count;
use crate::wording::plain::{plain, shown};
use crate::wording::shell::shell_path;
use crate::wording::sieve::Form;
use crate::{console, files};

pub(super) fn init(context: &Context, dir: &Path) -> Result<Exit, CommandError> {
    std::fs::create_dir_all(dir).map_err(output_failed(dir))?;
    let files = [("plan.csv", EXAMPLE_CSV.into()), ("plan.toml", EXAMPLE_TOML.into()), (said::NAME, example())];
    for (name, text) in files {
        let path = dir.join(name);
        match files::create_for_people(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).map_err(output_failed(&path))?;
                context.console.say(&format!("wrote {}", shown(&path)));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                context.console.say(&format!("left {} as it is", shown(&path)));
            }
            Err(error) => return Err(output_failed(&path)(error)),
        }
    }
    let plan = dir.join("plan.toml");
    // Nothing can be lost in the sandbox, and the example has a target without a way back.
    let run = format!("cutover run {} --endpoint sandbox --allow-irreversible --yes", shell_path(&plan));
    context.console.say(&format!("next: cutover check {}; {run}", shell_path(&plan)));
    Ok(Exit::Done)
}

pub(super) fn check(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let source = Source::open(&args.plan)?;
    if context.console.json {
        return check_as_json(context, &source, args);
    }
    let checked = checked(context, &source, args)?;
    accounts::are_known(context, &checked)?;
    if context.console.answers_by_code() {
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
        writeln!(out, "{}: {rows}{waves}{warnings}, {}", plain(source.name()), checked.digest)
    })
    .map_err(stdout_failed)?;
    Ok(Exit::Done)
}

/// Prints the same as the document `cutover.check.v1`.
fn check_as_json(context: &Context, source: &Source, args: &PlanArgs) -> Result<Exit, CommandError> {
    let (document, exit) = match crate::plan::check(source, &crate::verb::context::reading_of(&context.settings, args))
    {
        Ok(checked) => {
            accounts::are_known(context, &checked)?;
            let document = serde_json::json!({
                "schema": "cutover.check.v1", "plan": source.name(), "digest": checked.digest, "rows": checked.n_rows,
                "waves": checked.waves, "accounts": checked.accounts, "found": checked.warnings,
            });
            (document, Exit::Done)
        }
        Err(PlanError::Problems { problems, .. }) => (
            serde_json::json!({
                "schema": "cutover.check.v1", "plan": source.name(), "digest": null, "rows": null,
                "waves": [], "accounts": [], "found": problems,
            }),
            Exit::Usage,
        ),
        Err(error) => return Err(error.into()),
    };
    console::document(Form::Json, |out| writeln!(out, "{document:#}")).map_err(stdout_failed)?;
    Ok(exit)
}
