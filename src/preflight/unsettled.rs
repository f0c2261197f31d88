//! Iteration over a lane's rows without a verdict, in plan order within their waves.

use super::error::PreflightError;
use crate::engine::journal_reader::JournalReader;
use crate::event::lane::LaneId;
use crate::journal::JournalError;
use crate::journal::read::rows::Which;
use crate::ledger::standing::Standing;
use crate::model::{Row, RowId};
use crate::waves::Part;

/// Rows that are read from the journal at a time, and looked at by id or settled together.
const PORTION: u32 = 256;

/// Calls `each` with all rows of a lane that have no verdict, at most [`PORTION`] at a time.
pub(super) async fn for_each_unsettled(
    journal: &JournalReader,
    lane: LaneId,
    mut each: impl AsyncFnMut(Vec<(Row, Standing)>) -> Result<(), PreflightError>,
) -> Result<(), PreflightError> {
    for stage in unsettled_stages(journal, lane).await? {
        let mut after = None;
        loop {
            let rows = page_of_rows(journal, lane, stage, after).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.id);
            each(rows).await?;
        }
    }
    Ok(())
}

/// Returns the stages that have rows without a verdict, in the order of the plan.
pub(super) async fn unsettled_stages(journal: &JournalReader, lane: LaneId) -> Result<Vec<(u32, Part)>, JournalError> {
    journal.read(move |journal, run| journal.unsettled_stages_in(run, lane)).await
}

/// Reads at most [`PORTION`] rows of a stage without a verdict, from behind row `after`.
pub(super) async fn page_of_rows(
    journal: &JournalReader,
    lane: LaneId,
    (wave_no, part): (u32, Part),
    after: Option<RowId>,
) -> Result<Vec<(Row, Standing)>, JournalError> {
    journal.read(move |journal, run| journal.page(run, Which::Unsettled { lane, wave_no, part }, after, PORTION)).await
}
