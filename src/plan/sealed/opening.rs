//! Reading of a sealed plan, which is held against its seal line by line.

use std::io::{self, BufRead, BufReader};

use sha2::{Digest as _, Sha256};

use super::lines::{
    ApprovalLine, Head, Marks, RowLine, SCHEMA, SealLine, approval_line, digest_text, seal_line, state_line,
};
use super::seal::{Approval, Seal};
use crate::plan::check::RowChecker;
use crate::plan::error::ReadStop;
use crate::plan::problem::Position;
use crate::plan::reading::Planned;
use crate::plan::source::Source;
use crate::waves::Terms;

/// Limit in bytes, more than any line of ours has.
const LONGEST_LINE: u64 = 4 << 20;

/// Reason for which a sealed plan is not accepted.
pub(in crate::plan) enum Unsealed<E> {
    Stopped(ReadStop<E>),
    /// Edited since it was sealed.
    Edited(String),
}

impl<E> From<io::Error> for Unsealed<E> {
    fn from(error: io::Error) -> Self {
        Unsealed::Stopped(ReadStop::Io(error))
    }
}

fn edited<E>(what: impl Into<String>) -> Unsealed<E> {
    Unsealed::Edited(what.into())
}

/// Reads the whole plan, row by row. The rows that were handed over are void if this fails.
pub(in crate::plan) fn read<E>(
    source: &Source,
    checker: &mut RowChecker,
    each: &mut impl FnMut(Planned) -> Result<(), E>,
) -> Result<(Terms, Seal), Unsealed<E>> {
    let mut text = BufReader::with_capacity(1 << 16, source.bytes()?);
    let (mut all, mut states) = (Sha256::new(), Sha256::new());
    let mut line = Vec::new();
    let mut head: Option<Head> = None;
    let mut marks: Option<Marks> = None;
    let mut approvals: Vec<Approval> = Vec::new();
    let mut n_rows = 0;
    for n_line in 1_u32.. {
        line.clear();
        let length = io::Read::take(&mut text, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            return Err(edited(format!("line {n_line} is cut off")));
        }
        if n_line == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        if n_line == 1 && matches!(*line, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
            return Err(edited("it is UTF-16 now: a shell or an editor wrote it anew; take the file as it was sealed"));
        }
        let bad = |_: serde_json::Error| edited(format!("line {n_line} is none of a sealed plan"));
        let Some(_) = &head else {
            let read: Head = serde_json::from_slice(&line).map_err(bad)?;
            if read.schema != SCHEMA {
                return Err(edited(format!("it is a {}, and this cutover reads {SCHEMA}", read.schema)));
            }
            all.update(&line);
            checker.defined(&read.terms);
            head = Some(read);
            continue;
        };
        if marks.is_some() {
            let read: ApprovalLine = serde_json::from_slice(&line).map_err(bad)?;
            if line != approval_line(&read.approval).as_bytes() {
                return Err(edited(format!("line {n_line} is not as it was written")));
            }
            approvals.push(read.approval);
            continue;
        }
        if line.starts_with(b"{\"seal\":") {
            let read: SealLine = serde_json::from_slice(&line).map_err(bad)?;
            // The digest does not cover the seal itself, so its line is compared byte by byte.
            if line != seal_line(&read.seal).as_bytes() {
                return Err(edited(format!("line {n_line} is not as it was written")));
            }
            marks = Some(read.seal);
            continue;
        }
        let read: RowLine = serde_json::from_slice(&line).map_err(bad)?;
        all.update(&line);
        states.update(state_line(&read.source_id, read.seen.as_ref()));
        n_rows += 1;
        if let Some(row) = checker.row(read.cells(), &|_| Position { line: n_line, column: 1 }) {
            each(Planned { row, sealed: read.seen }).map_err(|error| Unsealed::Stopped(ReadStop::Each(error)))?;
        }
    }
    let head = head.ok_or_else(|| edited("it is empty"))?;
    let marks = marks.ok_or_else(|| edited("its seal is missing"))?;
    if marks.rows != n_rows {
        return Err(edited(format!("it has {n_rows} rows, and {} were sealed", marks.rows)));
    }
    if marks.digest != digest_text(all) {
        return Err(edited("its rows or its terms are not those that were sealed"));
    }
    if marks.states_digest != digest_text(states) {
        return Err(edited("its states are not those that were sealed"));
    }
    let Head { terms, sealed_by, user, who, host, at, lanes, .. } = head;
    let Marks { plan_digest, states_digest, digest, rows: _ } = marks;
    let mut seal =
        Seal { digest, plan_digest, states_digest, sealed_by, user, who, host, at, lanes, approvals: Vec::new() };
    for (n, approval) in approvals.into_iter().enumerate() {
        if let Some(problem) = seal.problem_of(&approval, n) {
            return Err(edited(problem));
        }
        seal.approvals.push(approval);
    }
    Ok((terms, seal))
}
