//! Head of a run as a short text that can be signed.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::event::run::Predecessor;
use crate::journal::chain::{Anchor, hex};
use crate::journal::read::runs::RunRecord;
use crate::journal::succession::{Beginning, First};
use crate::journal::{Journal, JournalError};
use crate::ssh::signature::{Purpose, Signer, verify};

/// A signature, and the head and keys to check it against.
pub struct Signed<'a> {
    /// Head that was signed; without it, the head of earlier versions is made from the journal.
    pub head: Option<&'a str>,
    pub signature: &'a str,
    /// Public keys, one on a line, one of which has to have signed.
    pub signers: Option<&'a str>,
}

const FIRST: &str = "cutover.head.v1";
const SECOND: &str = "cutover.head.v2";

/// Returns the text to sign: the journal and how many runs were made in it so far, the time, the run, its plan, the run before it
/// as it was when this one began, and the head of each of its chains, on which everything before it depends.
pub fn head(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    second(journal, run, journal.identity()?.n_runs, &spelled(Timestamp::now()))
}

fn second(journal: &Journal, run: &RunRecord, n_runs: u64, time: &str) -> Result<String, JournalError> {
    let previous = match journal.beginnings()?.into_iter().find(|beginning| beginning.run == run.key) {
        Some(Beginning { first: First::After(after), .. }) => after.runs.into_iter().next(),
        Some(_) | None => None,
    };
    let previous = previous.map_or_else(
        || "-".to_owned(),
        |Predecessor { run, heads }| format!("{run} {}", Anchor::of_named(&run, heads).whole()),
    );
    let mut text = format!("{SECOND}\njournal {}\nruns {n_runs}\ntime {time}\n", journal.identity()?.id);
    _ = writeln!(text, "run {}\nplan {}\nrows {}", run.id, run.plan_digest, run.n_rows);
    _ = writeln!(text, "anchor {}\nprevious {previous}", journal.anchor(run)?.whole());
    add_lanes(&mut text, journal, run)?;
    Ok(text)
}

/// Returns the text that earlier versions signed.
fn first(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    let mut text = format!("{FIRST}\nrun {}\nplan {}\nrows {}\n", run.id, run.plan_digest, run.n_rows);
    _ = writeln!(text, "anchor {}", journal.anchor(run)?.short());
    add_lanes(&mut text, journal, run)?;
    Ok(text)
}

/// Makes a head again from the journal, in the same version, with the same time and number of runs. Returns `None` for a text
/// that is no head.
pub(super) fn again(head: &str, journal: &Journal, run: &RunRecord) -> Result<Option<String>, JournalError> {
    Ok(match (head.lines().next(), n_runs_of(head), value(head, "time")) {
        (Some(FIRST), _, _) => Some(first(journal, run)?),
        (Some(SECOND), Some(n_runs), Some(time)) if is_spelled(time) => Some(second(journal, run, n_runs, time)?),
        (_, _, _) => None,
    })
}

/// Returns the number of runs made when a head was made; `None` for heads of earlier versions, which did not state it.
pub(super) fn n_runs_of(head: &str) -> Option<u64> {
    value(head, "runs").and_then(|n_runs| n_runs.parse().ok())
}

fn is_spelled(time: &str) -> bool {
    time.parse::<Timestamp>().is_ok_and(|read| spelled(read) == time)
}

fn spelled(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the value behind a word at the beginning of a line.
fn value<'a>(head: &'a str, word: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
}

fn add_lanes(text: &mut String, journal: &Journal, run: &RunRecord) -> Result<(), JournalError> {
    for (lane, seq, hash) in journal.heads(run.key)? {
        _ = writeln!(text, "lane {lane} {seq} {}", hex(&hash));
    }
    Ok(())
}

/// Failed check of a signature: the run that it should be about, where that is known, and the problem.
pub(super) type NotOf = (Option<String>, String);

/// Returns the run whose head was signed, and the signer.
pub(super) fn signer_of(
    journal: &Journal,
    given: &Signed<'_>,
) -> Result<Result<(String, Signer), NotOf>, JournalError> {
    let Some(head) = given.head else { return signer_of_first(journal, given.signature) };
    let id = value(head, "run").map(str::to_owned);
    let signer = match verify(head, Purpose::Head, given.signature) {
        Ok(signer) => signer,
        Err(problem) => return Ok(Err((id, problem.to_string()))),
    };
    let id = id.unwrap_or_default();
    let Some(run) = journal.runs()?.into_iter().find(|run| run.id == id) else {
        return Ok(Err((None, format!("what was signed is the head of run {id}, which is not in this journal"))));
    };
    let found = journal.identity()?.n_runs;
    if let Some(n_runs) = n_runs_of(head).filter(|n_runs| *n_runs > found) {
        let problem = format!(
            "when the head was signed {n_runs} runs had been made in the journal, and it counts {found}: runs were removed"
        );
        return Ok(Err((Some(id), problem)));
    }
    let Some(expected) = again(head, journal, &run)? else {
        return Ok(Err((Some(id), "what was signed is no head of a run".to_owned())));
    };
    let differs = || Purpose::Head.differs().to_string();
    Ok(if expected == head { Ok((id, signer)) } else { Err((Some(id), differs())) })
}

/// Returns the run and signer of a signature whose head is not given: a head of the first version can be made from the journal
/// alone.
fn signer_of_first(journal: &Journal, signature: &str) -> Result<Result<(String, Signer), NotOf>, JournalError> {
    let mut problem = "there is no run that it could be of".to_owned();
    for run in journal.runs()? {
        match verify(&first(journal, &run)?, Purpose::Head, signature) {
            Ok(signer) => return Ok(Ok((run.id, signer))),
            Err(found) => problem = found.to_string(),
        }
    }
    Ok(Err((None, format!("{problem}; or the file that was signed is not beside it (`--head FILE`)"))))
}
