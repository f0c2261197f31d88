//! A run that the journal holds, and that a launch goes on with.

use super::closing::close_cut_off;
use crate::audit::beforehand::{self, CheckFor};
use crate::files;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::report::next::NextCommands;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::journal::warn_of_a_copy;
use crate::verb::meant::{self, Otherwise};
use crate::wording::plain::plain;
use crate::wording::shell::shell_path;

/// A run that is as it was begun and as its events left it, in its journal.
pub(crate) struct RunToTakeUp {
    pub(crate) journal: Journal,
    pub(crate) run: RunRecord,
}

impl RunToTakeUp {
    /// Finds the run that is named, or that is meant without a name. Everything that a launch believes of the journal is held
    /// against its events before and after the choice, and runs that were cut off with nothing left to do are closed.
    pub(crate) fn find(context: &Context, named: Option<&str>, otherwise: Otherwise) -> Result<Self, CommandError> {
        let path = &context.settings.journal;
        if !path.exists() {
            return Err(JournalError::Absent(path.clone()).into());
        }
        warn_of_an_open_folder(context);
        let mut journal = Journal::open(path)?;
        warn_of_a_copy(context, &journal)?;
        beforehand::runs(&journal)?;
        close_cut_off(context, &mut journal)?;
        let run = meant::run_to_change(context, &journal, named, otherwise)?;
        if journal.is_unrecorded(run.key)? {
            let instead = NextCommands::from_journal(&journal, &run, path)?.run_again();
            return Err(CommandError::NeverBegun { run: plain(&run.id), instead });
        }
        beforehand::run(&journal, &run, CheckFor::Launch)?;
        Ok(Self { journal, run })
    }
}

/// Whoever can put files beside a journal can put some there that are taken for its own.
pub(super) fn warn_of_an_open_folder(context: &Context) {
    if let Some(folder) = files::folder::open_to_others(&context.settings.journal) {
        // What is everybody's folder, or somebody else's, stays so.
        let close = if files::folder::is_ours_to_close(&folder) {
            format!("`chmod o-w {}`, or ", shell_path(&folder))
        } else {
            String::new()
        };
        context.console.warn(&format!(
            "everybody on this machine can put files in `{}`, and so replace the journal or what lies beside it; {close}keep it \
             elsewhere (`--journal PATH`)",
            folder.display()
        ));
    }
}
