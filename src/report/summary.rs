use crate::journal::read::{RunRecord, Tally};
use crate::journal::{Journal, JournalError};
use std::io::{self, Write};
pub(crate) struct Summary {
    tally: Tally,
    run: RunRecord,
    anchor: String,
}
impl Summary {
    pub(crate) fn of(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        Ok(Self { tally: journal.tally(run.key)?, run: run.clone(), anchor: journal.anchor(run)? })
    }
    pub(crate) fn json(&self, out: &mut dyn Write, _: bool) -> io::Result<()> {
        self.text(out)
    }
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{:?} {:?} {:?} {}", self.tally, self.run.exit_name, self.run.exit_reason, self.anchor)
    }
}
