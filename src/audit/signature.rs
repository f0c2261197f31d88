//! Head of a run as a short text that can be signed.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::event::lane::LaneId;
use crate::event::run::Predecessor;
use crate::journal::chain::{Anchor, hex};
use crate::journal::read::runs::RunRecord;
use crate::journal::succession::{Beginning, First, Identity};
use crate::journal::tombstone::{LastTombstone, PrunedRecord};
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
/// Form of a journal from which runs were taken out: the second, and the last tombstone.
const THIRD: &str = "cutover.head.v3";

/// Statement of a head about a run, which is in the journal or was taken out.
struct HeadOf {
    run: String,
    plan_digest: String,
    n_rows: u32,
    anchor: Anchor,
    /// Run before it, as it was when this one began.
    previous: Option<Predecessor>,
    heads: Vec<(LaneId, u64, String)>,
}

impl HeadOf {
    fn run(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let previous = match journal.beginnings()?.into_iter().find(|beginning| beginning.run == run.key) {
            Some(Beginning { first: First::After(after) | First::Elsewhere(after), .. }) => {
                after.runs.into_iter().next()
            }
            Some(_) | None => None,
        };
        let heads = journal.heads(run.key)?.into_iter().map(|(lane, seq, hash)| (lane, seq, hex(&hash)));
        Ok(Self {
            run: run.id.clone(),
            plan_digest: run.plan_digest.clone(),
            n_rows: run.n_rows,
            anchor: journal.anchor(run)?,
            previous,
            heads: heads.collect(),
        })
    }

    fn pruned(record: &PrunedRecord) -> Self {
        let PrunedRecord { id, plan, heads, after, .. } = record;
        Self {
            run: id.clone(),
            plan_digest: plan.digest.clone(),
            n_rows: plan.rows,
            anchor: record.anchor_of_heads(),
            previous: after.clone().and_then(|after| after.runs.into_iter().next()),
            heads: heads.clone(),
        }
    }

    fn text(&self, beginning: &str) -> String {
        let Self { run, plan_digest, n_rows, anchor, previous, heads } = self;
        let mut text = format!("{beginning}run {run}\nplan {plan_digest}\nrows {n_rows}\n");
        if beginning.starts_with(FIRST) {
            _ = writeln!(text, "anchor {}", anchor.short());
        } else {
            let previous = previous.clone().map_or_else(
                || "-".to_owned(),
                |Predecessor { run, heads }| format!("{run} {}", Anchor::of_named(&run, heads).whole()),
            );
            _ = writeln!(text, "anchor {}\nprevious {previous}", anchor.whole());
        }
        for (lane, seq, hash) in heads {
            _ = writeln!(text, "lane {lane} {seq} {hash}");
        }
        text
    }
}

/// Returns the text to sign: the journal, how many runs were made in it so far and the last tombstone, the time, the run, its plan, the
/// run before it as it was when this one began, and the head of each of its chains, on which everything before it depends.
pub fn head(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    let Identity { id, n_runs, .. } = journal.identity()?;
    let beginning = beginning(&id, n_runs, journal.last_tombstone()?, &spelled(Timestamp::now()));
    Ok(HeadOf::run(journal, run)?.text(&beginning))
}

/// Returns the lines of a head before those of the run.
fn beginning(journal: &str, n_runs: u64, last: Option<LastTombstone>, time: &str) -> String {
    match last {
        None => format!("{SECOND}\njournal {journal}\nruns {n_runs}\ntime {time}\n"),
        Some(LastTombstone { n, hash }) => {
            format!("{THIRD}\njournal {journal}\nruns {n_runs}\npruned {n} {}\ntime {time}\n", hex(&hash))
        }
    }
}

/// Makes a head again from the journal, in the same version, with the same time and number of runs. Returns `None` for a text
/// that is no head.
pub(super) fn again(head: &str, journal: &Journal, run: &RunRecord) -> Result<Option<String>, JournalError> {
    again_of(head, journal, &HeadOf::run(journal, run)?)
}

fn again_of(head: &str, journal: &Journal, facts: &HeadOf) -> Result<Option<String>, JournalError> {
    let first = head.lines().next();
    if first == Some(FIRST) {
        return Ok(Some(facts.text(&format!("{FIRST}\n"))));
    }
    let time = value(head, "time").filter(|time| is_spelled(time));
    let (Some(n_runs), Some(time)) = (n_runs_of(head), time) else { return Ok(None) };
    let last = match (first, n_pruned_of(head)) {
        (Some(SECOND), _) => None,
        (Some(THIRD), Some(n)) => match tombstone_nth(journal, n)? {
            Some(last) => Some(last),
            None => return Ok(None),
        },
        (_, _) => return Ok(None),
    };
    Ok(Some(facts.text(&beginning(&journal.identity()?.id, n_runs, last, time))))
}

/// Returns one of the tombstones. A copy of one run knows the last one alone.
fn tombstone_nth(journal: &Journal, n: u64) -> Result<Option<LastTombstone>, JournalError> {
    if let Some(last) = journal.last_tombstone()?.filter(|last| last.n == n) {
        return Ok(Some(last));
    }
    let found = journal.tombstones()?.into_iter().find(|stored| stored.nth == n);
    Ok(found.map(|stored| LastTombstone { n, hash: stored.hash }))
}

/// Returns the number of runs made when a head was made; `None` for heads of earlier versions, which did not state it.
pub(super) fn n_runs_of(head: &str) -> Option<u64> {
    value(head, "runs").and_then(|n_runs| n_runs.parse().ok())
}

/// Returns the number of runs that had been taken out when a head was made; `None` if none had.
pub(super) fn n_pruned_of(head: &str) -> Option<u64> {
    value(head, "pruned").and_then(|pruned| pruned.split(' ').next()?.parse().ok())
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
    let Some(facts) = facts_of(journal, &id)? else {
        return Ok(Err((None, format!("what was signed is the head of run {id}, which is not in this journal"))));
    };
    let found = journal.identity()?.n_runs;
    if let Some(n_runs) = n_runs_of(head).filter(|n_runs| *n_runs > found) {
        let problem = format!(
            "when the head was signed {n_runs} runs had been made in the journal, and it counts {found}: runs were removed"
        );
        return Ok(Err((Some(id), problem)));
    }
    let n_pruned = journal.last_tombstone()?.map_or(0, |last| last.n);
    if let Some(n) = n_pruned_of(head).filter(|n| *n > n_pruned) {
        let problem = format!(
            "when the head was signed {n} runs had been taken out of the journal, and it counts {n_pruned}: tombstones were removed"
        );
        return Ok(Err((Some(id), problem)));
    }
    let Some(expected) = again_of(head, journal, &facts)? else {
        return Ok(Err((Some(id), "what was signed is no head of a run".to_owned())));
    };
    let differs = || Purpose::Head.differs().to_string();
    Ok(if expected == head { Ok((id, signer)) } else { Err((Some(id), differs())) })
}

/// Returns what a head says of the run with this id; `None` if there is none, and no tombstone of it.
fn facts_of(journal: &Journal, id: &str) -> Result<Option<HeadOf>, JournalError> {
    if let Some(run) = journal.runs()?.into_iter().find(|run| run.id == id) {
        return HeadOf::run(journal, &run).map(Some);
    }
    let tombstones = journal.tombstones()?;
    Ok(tombstones
        .iter()
        .find(|stored| stored.tombstone.run.id == id)
        .map(|stored| HeadOf::pruned(&stored.tombstone.run)))
}

/// Returns the run and signer of a signature whose head is not given: a head of the first version can be made from the journal
/// alone.
fn signer_of_first(journal: &Journal, signature: &str) -> Result<Result<(String, Signer), NotOf>, JournalError> {
    let mut problem = "there is no run that it could be of".to_owned();
    for run in journal.runs()? {
        let first = HeadOf::run(journal, &run)?.text(&format!("{FIRST}\n"));
        match verify(&first, Purpose::Head, signature) {
            Ok(signer) => return Ok(Ok((run.id, signer))),
            Err(found) => problem = found.to_string(),
        }
    }
    Ok(Err((None, format!("{problem}; or the file that was signed is not beside it (`--head FILE`)"))))
}
