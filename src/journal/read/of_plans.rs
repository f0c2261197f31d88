//! Runs with the name of their plan and how they ended, for whoever looks for the last one of a plan.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::runs::{RUN_OF_PLAN, plan_name_at};
use crate::exit::Exit;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::columns::time_at;

/// Run as far as it tells its plan and its end.
#[derive(Clone, Debug)]
pub(crate) struct RunOfPlan {
    pub(crate) key: RunKey,
    /// Name that the plan has for itself.
    pub(crate) plan_name: Option<String>,
    pub(crate) plan_path: String,
    /// End of its last launch, if every row was on target then.
    pub(crate) succeeded_at: Option<Timestamp>,
}

impl Journal {
    /// Hands over each run, newest first, until told to stop, and at most `most`.
    pub(crate) fn for_each_run_of_plans(
        &self,
        most: u32,
        mut each: impl FnMut(RunOfPlan) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let mut statement =
            self.conn.prepare_cached(&format!("SELECT {RUN_OF_PLAN} FROM run ORDER BY run DESC LIMIT ?1"))?;
        let mut found = statement.query([most])?;
        while let Some(columns) = found.next()? {
            let is_success = columns.get::<_, Option<u8>>(3)? == Some(Exit::Done.code());
            let run = RunOfPlan {
                key: RunKey(columns.get(0)?),
                plan_path: columns.get(1)?,
                succeeded_at: time_at(columns, 2)?.filter(|_| is_success),
                plan_name: plan_name_at(columns, 4)?,
            };
            if each(run).is_break() {
                break;
            }
        }
        Ok(())
    }
}
