//! Output of the result of an audit.

use crate::audit;
use crate::audit::result::Audit;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::results::{print, print_json};

/// Prints the result as text or JSON; with `--quiet`, where the exit code is the answer, only faults.
pub(super) fn tell(context: &Context, audit: &Audit) -> Result<(), CommandError> {
    if context.console.answers_by_code() {
        if !audit.is_ok() {
            context.console.fail(&audit.in_one_line(), &[], Some(audit::told::KEEP_IT));
        }
        return Ok(());
    }
    if context.console.json {
        return print_json(|out| Ok(audit::told::write_json(audit, out)?));
    }
    print(|out| Ok(audit::told::write_text(audit, out)?))
}
