//! Output of the result of an audit.

use crate::audit;
use crate::audit::result::Audit;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::results::{print, print_json};

/// Prints the result as text or JSON. With `--quiet` the exit code is the answer: no text, and an error for what was found.
pub(super) fn tell(context: &Context, audit: &Audit) -> Result<(), CommandError> {
    if context.console.json {
        print_json(|out| Ok(audit::told::write_json(audit, out)?))?;
    } else if !context.console.quiet {
        print(|out| Ok(audit::told::write_text(audit, out)?))?;
    }
    if context.console.quiet && !audit.is_ok() {
        context.console.fail(&audit.in_one_line(), &[], Some(audit.advice()));
    }
    Ok(())
}
