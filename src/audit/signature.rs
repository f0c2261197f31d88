//! The head of a run as a short text, to be signed.

use std::fmt::Write as _;

use crate::journal::chain::hex;
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};

/// What is signed: the run, its plan, and the head of each of its chains, which everything before depends on.
pub fn head(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    let mut text = String::from("cutover.head.v1\n");
    _ = writeln!(text, "run {}\nplan {}\nrows {}", run.id, run.plan_digest, run.n_rows);
    _ = writeln!(text, "anchor {}", journal.anchor(run)?);
    for (lane, seq, hash) in journal.heads(run.key)? {
        _ = writeln!(text, "lane {lane} {seq} {}", hex(&hash));
    }
    Ok(text)
}
