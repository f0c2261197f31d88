//! Result of an audit: runs without a fault and their evidence, altered ones and their faults.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::bundle::Bundled;
use super::finding::{Finding, MOST_KEPT};
use super::people::People;
use super::signature::{self, Signed};
use crate::event::lane::LaneId;
use crate::event::run::Predecessors;
use crate::journal::chain::{Anchor, Code};
use crate::journal::succession::Identity;
use crate::journal::tombstone::{PrunedRecord, StoredTombstone, Tombstone};
use crate::journal::{Journal, JournalError};
use crate::ssh::signature::{Signer, is_among};

/// Run in which no fault was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub run: String,
    pub n_events: u64,
    pub n_rows: u64,
    pub anchor: Anchor,
    pub proven_by: ProvenBy,
    /// Signer of the run's head, if a signature was checked against it.
    pub signed_by: Option<Signer>,
    /// Bundle that the run came in, if any.
    pub bundle: Option<Bundled>,
    /// Runs that this one names as made before it; `None` if it was made by a version that named none.
    pub after: Option<Predecessors>,
    pub people: People,
}

/// Strongest evidence for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvenBy {
    /// Agreement of the run's parts with each other, which anyone who can write the file could bring about.
    Itself,
    /// Anchor, kept elsewhere, of the run or of one that names it as it is.
    Anchor,
    /// Signature by a given key of the run, or of one that names it as it is.
    Signature,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal is not what it was: {}", first_of(.0))]
    Altered(Altered),
    #[error("`{code}` is the short anchor of earlier versions, and run {run} was begun by one that shows more of it")]
    ShortAnchor { code: Code, run: String },
}

/// Faults of a run, the worst first: chains, then rows, then the plan, then its place among the other runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    pub run: String,
    pub n_events: u64,
    pub n_rows: u64,
    pub anchor: Anchor,
    /// At most [`MOST_KEPT`]; never empty.
    pub findings: Vec<Finding>,
    pub n_findings: u64,
}

/// Result of checking one run.
pub type CheckedRun = Result<Verified, Altered>;

/// Result of checking a journal, or one run of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    pub journal: Identity,
    /// Runs in the order in which they were made.
    pub runs: Vec<CheckedRun>,
    /// Runs that were taken out, in that order; empty if one run was asked about.
    pub pruned: Vec<PrunedRun>,
    /// Faults of the journal as a whole.
    pub findings: Vec<Finding>,
}

/// Run that was taken out, and the evidence for it.
#[derive(Clone, Debug, PartialEq)]
pub struct PrunedRun {
    pub nth: u64,
    pub tombstone: Tombstone,
    /// Evidence for the ends of its lanes: the tombstone itself has the least.
    pub proven_by: ProvenBy,
    /// True if its archive was there, is the file that the tombstone names, and holds the run as that says.
    pub is_archive_checked: bool,
}

impl PrunedRun {
    pub(super) fn new(stored: StoredTombstone) -> Self {
        let StoredTombstone { nth, tombstone, .. } = stored;
        Self { nth, tombstone, proven_by: ProvenBy::Itself, is_archive_checked: false }
    }
}

fn first_of(altered: &Altered) -> String {
    altered.findings.first().map_or_else(String::new, ToString::to_string)
}

impl Verified {
    /// Returns the id of the journal in which the run was made, if that is another one.
    #[must_use]
    pub(super) fn made_in(&self, journal: &Identity) -> Option<&str> {
        let after = self.after.as_ref()?;
        (after.journal != journal.id).then_some(&*after.journal)
    }

    /// Checks the run's anchor against one that was kept elsewhere.
    pub fn against(self, code: &Code) -> Result<Verified, AuditError> {
        if !code.is_of(self.anchor) {
            let found = if code.is_short() { self.anchor.short() } else { self.anchor.to_string() };
            return Err(AuditError::Altered(
                self.but(vec![Finding::AnchorDiffers { expected: code.to_string(), found }]),
            ));
        }
        if code.is_short() && self.after.is_some() {
            return Err(AuditError::ShortAnchor { code: code.clone(), run: self.run });
        }
        Ok(Verified { proven_by: ProvenBy::Anchor, ..self })
    }

    /// Adds the result of comparing the files of the bundle that the run came in.
    pub(crate) fn in_bundle(self, bundle: Bundled, findings: Vec<Finding>) -> Result<Verified, Altered> {
        if findings.is_empty() { Ok(Verified { bundle: Some(bundle), ..self }) } else { Err(self.but(findings)) }
    }

    pub(crate) fn not_signed(self, problem: &str) -> Altered {
        self.but(vec![Finding::NotSigned { problem: problem.to_owned() }])
    }

    fn but(self, findings: Vec<Finding>) -> Altered {
        let Verified { run, n_events, n_rows, anchor, proven_by: _, signed_by: _, bundle: _, after: _, people: _ } =
            self;
        let n_findings = findings.len() as u64;
        Altered { run, n_events, n_rows, anchor, findings, n_findings }
    }
}

impl Altered {
    fn and(mut self, finding: Finding) -> Self {
        self.n_findings += 1;
        if self.findings.len() < MOST_KEPT {
            self.findings.push(finding);
        }
        self
    }
}

impl Audit {
    /// Makes the result of one run that was checked before.
    pub fn of_one(journal: &Journal, run: CheckedRun) -> Result<Self, JournalError> {
        Ok(Self { journal: journal.identity()?, runs: vec![run], pruned: Vec::new(), findings: Vec::new() })
    }

    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty() && self.runs.iter().all(Result::is_ok)
    }

    /// Tells whether all that was found is that archives of runs that were taken out are missing or altered.
    pub(super) fn is_journal_whole(&self) -> bool {
        let is_of_archive = |finding: &Finding| matches!(finding, Finding::ArchiveDiffers { .. });
        self.runs.iter().all(Result::is_ok) && !self.findings.is_empty() && self.findings.iter().all(is_of_archive)
    }

    #[must_use]
    pub fn n_findings(&self) -> u64 {
        let of_runs = self.runs.iter().filter_map(|run| run.as_ref().err()).map(|altered| altered.n_findings);
        of_runs.sum::<u64>() + self.findings.len() as u64
    }

    /// Checks an anchor that was kept elsewhere, which has to belong to one of the runs, or to one that was taken out.
    pub fn against(mut self, code: &Code) -> Result<Audit, AuditError> {
        let is_of = |run: &CheckedRun| code.is_of(anchor_of(run));
        let at = self.runs.iter().position(is_of);
        let pruned = self.pruned.iter().position(|pruned| code.is_of(pruned.tombstone.run.anchor_of_heads()));
        if let (None, Some(at)) = (at, pruned) {
            let PrunedRecord { id, after, .. } = &self.pruned[at].tombstone.run;
            if code.is_short() && after.is_some() {
                return Err(AuditError::ShortAnchor { code: code.clone(), run: id.clone() });
            }
            self.stands_by(RunIndex::Pruned(at), ProvenBy::Anchor);
            return Ok(self);
        }
        let at = at.or(if self.runs.len() == 1 { Some(0) } else { None });
        let Some(at) = at else {
            self.findings.push(Finding::AnchorUnknown { expected: code.to_string() });
            return Ok(self);
        };
        let Ok(verified) = &self.runs[at] else { return Ok(self) };
        match verified.clone().against(code) {
            Ok(_) => self.stands_by(RunIndex::There(at), ProvenBy::Anchor),
            Err(AuditError::Altered(altered)) => self.runs[at] = Err(altered),
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    /// Checks a signature of the head of one of the runs.
    pub fn signed(mut self, journal: &Journal, given: &Signed<'_>) -> Result<Audit, JournalError> {
        let (at, problem) = match signature::signer_of(journal, given)? {
            Ok((run, signer)) => {
                let pruned = self.pruned.iter().position(|pruned| pruned.tombstone.run.id == run);
                if let (None, Some(at)) = (self.place_of(&run), pruned) {
                    match given.signers.map(|keys| is_among(&signer, keys)) {
                        Some(Err(problem)) => self.findings.push(Finding::NotSigned { problem }),
                        Some(Ok(())) => self.stands_by(RunIndex::Pruned(at), ProvenBy::Signature),
                        None => (),
                    }
                    return Ok(self);
                }
                let Some(at) = self.place_of(&run) else {
                    let problem =
                        format!("the head that was signed is of run {run}, which is not the one that was read");
                    self.findings.push(Finding::NotSigned { problem });
                    return Ok(self);
                };
                match given.signers.map(|keys| is_among(&signer, keys)) {
                    Some(Err(problem)) => (Some(at), problem),
                    known => {
                        // A signature by an unknown key proves nothing: anybody can sign with one.
                        if known.is_some() {
                            self.stands_by(RunIndex::There(at), ProvenBy::Signature);
                        }
                        if let Ok(verified) = &mut self.runs[at] {
                            verified.signed_by = Some(signer);
                        }
                        return Ok(self);
                    }
                }
            }
            Err((run, problem)) => (run.and_then(|run| self.place_of(&run)), problem),
        };
        let at = at.or(if self.runs.len() == 1 { Some(0) } else { None });
        let finding = Finding::NotSigned { problem };
        match at {
            None => self.findings.push(finding),
            Some(at) => {
                let altered = match self.runs[at].clone() {
                    Ok(verified) => verified.but(vec![finding]),
                    Err(altered) => altered.and(finding),
                };
                self.runs[at] = Err(altered);
            }
        }
        Ok(self)
    }

    /// Puts this run behind all others, as the one that was asked about. Returns `None` if it is not there.
    pub(crate) fn about(mut self, run: &str) -> Option<Audit> {
        let at = self.place_of(run)?;
        let asked = self.runs.remove(at);
        self.runs.push(asked);
        Some(self)
    }

    /// Compares the files beside the journal for the last run, unless a fault was already found in the journal.
    pub(crate) fn in_bundle<E>(mut self, look: impl FnOnce(Verified) -> Result<CheckedRun, E>) -> Result<Audit, E> {
        if !self.is_ok() {
            return Ok(self);
        }
        let Some(Ok(verified)) = self.runs.pop() else { return Ok(self) };
        let looked = look(verified)?;
        let proof = looked.as_ref().map_or(ProvenBy::Itself, |verified| verified.proven_by);
        self.runs.push(looked);
        match proof {
            ProvenBy::Itself => (),
            ProvenBy::Anchor => self.stands_by(RunIndex::There(self.runs.len() - 1), proof),
            // A signed manifest covers the whole file.
            ProvenBy::Signature => {
                self.runs.iter_mut().flatten().for_each(|run| run.proven_by = proof);
                self.pruned.iter_mut().for_each(|pruned| pruned.proven_by = proof);
            }
        }
        Ok(self)
    }

    fn place_of(&self, run: &str) -> Option<usize> {
        self.runs.iter().position(|found| run_of(found) == run)
    }

    /// Passes the evidence for a run on to the runs that it names, as far as those are as they were then.
    fn stands_by(&mut self, at: RunIndex, proof: ProvenBy) {
        let there = self.runs.iter().map(|run| run_of(run).to_owned()).zip((0..).map(RunIndex::There));
        let pruned = self.pruned.iter().map(|pruned| pruned.tombstone.run.id.clone()).zip((0..).map(RunIndex::Pruned));
        let places: HashMap<String, RunIndex> = there.chain(pruned).collect();
        let mut to_do = vec![at];
        let mut done = HashSet::new();
        // Tombstones up to this one are proven to the letter: a proven run found them when it began.
        let mut n_whole = 0;
        self.prove(at, proof);
        while let Some(at) = to_do.pop() {
            if !done.insert(at) {
                continue;
            }
            let Some(after) = self.named_by(at, n_whole) else { continue };
            // Of another journal, it says nothing of the tombstones of this one.
            let pruned = after.pruned.filter(|_| after.journal == self.journal.id);
            if let Some(pruned) = pruned.filter(|pruned| pruned.n > n_whole) {
                n_whole = pruned.n;
                for at in 0..self.pruned.len() {
                    if self.pruned[at].nth <= n_whole {
                        self.prove(RunIndex::Pruned(at), proof);
                        // It may have been passed over before, when nothing proved the runs that it names.
                        done.remove(&RunIndex::Pruned(at));
                        to_do.push(RunIndex::Pruned(at));
                    }
                }
            }
            for named in after.runs {
                let Some(&before) = places.get(&named.run) else { continue };
                let Some(anchor) = self.anchor_at(before) else { continue };
                let had_begun = named.heads.iter().any(|(lane, seq, _)| *lane == LaneId::RUN && *seq > 0);
                if Anchor::of_named(&named.run, named.heads) == anchor {
                    self.prove(before, proof);
                }
                if had_begun {
                    // The beginning of the named run is proven in any case, and with it the runs that it names.
                    to_do.push(before);
                }
            }
        }
    }

    fn prove(&mut self, at: RunIndex, proof: ProvenBy) {
        match at {
            RunIndex::There(at) => {
                if let Ok(verified) = &mut self.runs[at] {
                    verified.proven_by = proof;
                }
            }
            RunIndex::Pruned(at) => self.pruned[at].proven_by = proof,
        }
    }

    /// Returns the anchor of a run in which no fault was found.
    fn anchor_at(&self, at: RunIndex) -> Option<Anchor> {
        match at {
            RunIndex::There(at) => self.runs[at].as_ref().ok().map(|verified| verified.anchor),
            RunIndex::Pruned(at) => Some(self.pruned[at].tombstone.run.anchor_of_heads()),
        }
    }

    /// Returns the runs that a run names. A tombstone only states them: they are proven by its archive, or if it is proven to the letter
    /// itself.
    fn named_by(&self, at: RunIndex, n_whole: u64) -> Option<Predecessors> {
        match at {
            RunIndex::There(at) => self.runs[at].as_ref().ok()?.after.clone(),
            RunIndex::Pruned(at) => {
                let PrunedRun { nth, tombstone, is_archive_checked, .. } = &self.pruned[at];
                tombstone.run.after.clone().filter(|_| *is_archive_checked || *nth <= n_whole)
            }
        }
    }
}

/// Place of a run in the result, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RunIndex {
    There(usize),
    Pruned(usize),
}

fn anchor_of(run: &CheckedRun) -> Anchor {
    match run {
        Ok(verified) => verified.anchor,
        Err(altered) => altered.anchor,
    }
}

pub(super) fn run_of(run: &CheckedRun) -> &str {
    match run {
        Ok(verified) => &verified.run,
        Err(altered) => &altered.run,
    }
}
