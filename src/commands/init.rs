//! `init` writes an example plan and an example of the settings.

use std::io::{self, Write};
use std::path::Path;

use crate::exit::Exit;
use crate::files;
use crate::plan::example::{EXAMPLE_CSV, EXAMPLE_TOML};
use crate::settings::entry;
use crate::settings::example::example;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, output_failed};
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;

pub(super) fn init(context: &Context, dir: &Path) -> Result<Exit, CommandError> {
    std::fs::create_dir_all(dir).map_err(output_failed(dir))?;
    let files = [("plan.csv", EXAMPLE_CSV.into()), ("plan.toml", EXAMPLE_TOML.into()), (entry::NAME, example())];
    for (name, text) in files {
        let path = dir.join(name);
        match files::open::create_for_people(&path) {
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
