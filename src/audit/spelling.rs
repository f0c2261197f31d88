//! Check of the JSON that is stored besides events: this program spells it in one way, and any other spelling is an alteration.

use super::finding::{Finding, Findings};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};

pub(super) fn check(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<(), JournalError> {
    let spelled = run.settings.to_string();
    if journal.settings_text(run.key)? != spelled {
        findings.add(Finding::RunDiffers { columns: vec!["settings"] });
    }
    journal.for_each_extra(run.key, |row, text| {
        let pairs: Option<Vec<(String, String)>> = serde_json::from_str(text).ok();
        let is_ours = pairs.is_some_and(|pairs| serde_json::to_string(&pairs).is_ok_and(|again| again == text));
        if !is_ours {
            findings.add(Finding::RowDiffers { row, columns: vec!["extra"] });
        }
    })
}
