//! Proof that a journal was not altered: the chains, their heads, the sums in table `row`, the plan, and the chain of runs.
//!
//! A fault that the journal itself reveals is named by run, lane and first bad sequence number, or by row. A file that was
//! rewritten from end to end is only revealed by an anchor that was kept elsewhere, or by a signature. Memory does not grow with
//! a run.

use std::collections::HashMap;
use std::panic;
use std::thread;

use serde::Serialize;

use crate::event::{LaneId, Predecessors};
use crate::journal::chain::{self, Anchor, Code, Hash};
use crate::journal::read::runs::RunRecord;
use crate::journal::succession::Identity;
use crate::journal::{Journal, JournalError};
use crate::plan::digest::Digester;
use crate::plan::paper::Paper;
use crate::ssh::signature::{Signer, is_among};

pub(crate) mod beforehand;
pub mod bundle;
pub mod finding;
mod lanes;
pub mod people;
pub mod signature;
mod spelling;
mod succession;
mod sums;
#[cfg(test)]
mod tests;
mod told;
mod verdicts;

pub(crate) use told::KEEP_IT;
pub use told::{write_json, write_text};

use bundle::Bundled;
use finding::Finding;
use people::People;
use sums::Portions;

/// A run in which no fault was found.
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
    /// The run's parts agree with each other, which anyone who can write the file could bring about.
    Itself,
    /// An anchor that was kept elsewhere belongs to the run, or to one that names it as it is.
    Anchor,
    /// A signature by a given key covers the run, or one that names it as it is.
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
    /// At most [`Altered::MOST_SHOWN`]; never empty.
    pub findings: Vec<Finding>,
    pub n_findings: u64,
}

impl Altered {
    pub const MOST_SHOWN: usize = 100;
}

/// Result of checking a journal, or one run of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub journal: Identity,
    /// Runs in the order in which they were made.
    pub runs: Vec<Result<Verified, Altered>>,
    /// Faults of the journal as a whole.
    pub findings: Vec<Finding>,
}

fn first_of(altered: &Altered) -> String {
    altered.findings.first().map_or_else(String::new, ToString::to_string)
}

/// Findings as they come: all are counted, and the first [`Altered::MOST_SHOWN`] are kept.
#[derive(Default)]
struct Findings {
    kept: Vec<Finding>,
    n_found: u64,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        self.n_found += 1;
        if self.kept.len() < Altered::MOST_SHOWN {
            self.kept.push(finding);
        }
    }

    /// Adds findings from elsewhere behind these.
    fn append(&mut self, others: Findings) {
        self.n_found += others.n_found;
        let n_room = Altered::MOST_SHOWN - self.kept.len();
        self.kept.extend(others.kept.into_iter().take(n_room));
    }
}

/// Checks everything that the journal itself can prove of a run, in one consistent read.
pub fn verify(journal: &Journal, run: &RunRecord) -> Result<Verified, AuditError> {
    // Opened before the read begins, so that little can be written before the second connection begins its own.
    let mut beside = journal.again().ok();
    journal.at_one_instant(|| {
        let objects = check_objects(journal)?;
        let place = succession::check(journal)?.of_run(run.key);
        verify_at_its_place(journal, beside.as_mut(), &journal.run(run.key)?, (objects, place))
    })
}

/// Checks one run as [`verify`] does, and the file, and returns the same type as for all runs.
pub fn verify_one(journal: &Journal, run: &RunRecord) -> Result<Audit, JournalError> {
    let mut audit = Audit::of_one(journal, or_damaged(verify(journal, run), run)?)?;
    audit.findings.extend(wrong_with_file(journal)?);
    Ok(audit)
}

/// Checks every run as [`verify`] does, and the journal as a whole.
pub fn verify_all(journal: &Journal) -> Result<Audit, JournalError> {
    let mut beside = journal.again().ok();
    journal.at_one_instant(|| {
        let mut findings = check_objects(journal)?.kept;
        let mut places = succession::check(journal)?;
        findings.append(&mut places.of_journal);
        findings.extend(wrong_with_file(journal)?);
        let mut runs = Vec::new();
        for run in journal.runs()?.into_iter().rev() {
            let place = places.of_run(run.key);
            runs.push(or_damaged(
                verify_at_its_place(journal, beside.as_mut(), &run, (Findings::default(), place)),
                &run,
            )?);
        }
        if runs.is_empty() && findings.is_empty() {
            return Err(JournalError::NoRuns);
        }
        Ok(Audit { journal: journal.identity()?, runs, findings })
    })
}

/// Finds faults of the file that reading its tables does not reveal: entries that an index misses, and bytes behind its end.
fn wrong_with_file(journal: &Journal) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    for checked in [journal.check_indexes(), journal.check_end()] {
        match checked {
            Ok(()) => (),
            Err(JournalError::Damaged(error)) => findings.push(Finding::Damaged { error }),
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

/// Turns content that cannot be read into one more fault of its run, so that the other runs are still checked.
fn or_damaged(
    verified: Result<Verified, AuditError>,
    run: &RunRecord,
) -> Result<Result<Verified, Altered>, JournalError> {
    match verified {
        Ok(verified) => Ok(Ok(verified)),
        Err(AuditError::Altered(altered)) => Ok(Err(altered)),
        Err(AuditError::Journal(error)) if error.is_about_content() => Ok(Err(Altered {
            run: run.id.clone(),
            n_events: 0,
            n_rows: 0,
            anchor: Anchor::new(&run.id, []),
            findings: vec![Finding::Damaged { error: error.to_string() }],
            n_findings: 1,
        })),
        Err(AuditError::Journal(error)) => Err(error),
        Err(AuditError::ShortAnchor { .. }) => unreachable!("no anchor was given"),
    }
}

/// Checks a run whose objects and place were checked before. Chains go lane by lane and sums row by row, each through the whole
/// journal: in parallel, on a connection each. The thread that has finished the chains helps with the sums, which take longer.
fn verify_at_its_place(
    journal: &Journal,
    beside: Option<&mut Journal>,
    run: &RunRecord,
    (objects, place): (Findings, succession::PlaceOfRun),
) -> Result<Verified, AuditError> {
    let heads = journal.heads(run.key)?;
    let portions = Portions::new(journal, run)?;
    let mut findings = objects;
    let CheckedRun { findings: of_run, n_events, n_rows } = thread::scope(|scope| {
        let (heads, portions) = (&heads, &portions);
        let sums = beside.map(|beside| scope.spawn(move || sums_beside(beside, run, heads, portions)));
        checked(journal, run, || {
            let mut found = sums::check(journal, run, portions)?;
            if let Some(sums) = sums {
                found.extend(sums.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?);
            }
            found.sort_by_key(|(portion, _)| *portion);
            let mut findings = Findings::default();
            for (_, of_portion) in found {
                findings.append(of_portion);
            }
            Ok(findings)
        })
    })?;
    findings.append(of_run);
    for finding in place.findings {
        findings.add(finding);
    }
    let anchor = Anchor::new(&run.id, heads);
    let Findings { kept, n_found } = findings;
    if kept.is_empty() {
        let (proven_by, after, people) = (ProvenBy::Itself, place.after, People::from_journal(journal, run)?);
        let run = run.id.clone();
        return Ok(Verified { run, n_events, n_rows, anchor, proven_by, signed_by: None, bundle: None, after, people });
    }
    let run = run.id.clone();
    Err(AuditError::Altered(Altered { run, n_events, n_rows, anchor, findings: kept, n_findings: n_found }))
}

struct CheckedRun {
    findings: Findings,
    n_events: u64,
    n_rows: u64,
}

fn checked(
    journal: &Journal,
    run: &RunRecord,
    sums: impl FnOnce() -> Result<Findings, JournalError>,
) -> Result<CheckedRun, JournalError> {
    let mut findings = Findings::default();
    let (n_events, layout) = lanes::check(journal, run, &mut findings)?;
    let mut of_plan = Findings::default();
    let n_rows = check_plan(journal, run, &mut of_plan).and_then(|n_rows| {
        check_layout(journal, run, layout, &mut of_plan)?;
        spelling::check(journal, run, &mut of_plan)?;
        Ok(n_rows)
    });
    // Faults of rows come before faults of the plan.
    findings.append(sums()?);
    findings.append(of_plan);
    Ok(CheckedRun { findings, n_events, n_rows: n_rows? })
}

/// Checks the sums on a second connection. Returns nothing if that reads another instant, which its heads show.
fn sums_beside(
    beside: &Journal,
    run: &RunRecord,
    heads: &[(LaneId, u64, Hash)],
    portions: &Portions,
) -> Result<Vec<(u32, Findings)>, JournalError> {
    beside.at_one_instant(|| {
        if beside.heads(run.key).is_ok_and(|found| found == heads) {
            return sums::check(beside, run, portions);
        }
        Ok(Vec::new())
    })
}

impl Verified {
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
        if self.findings.len() < Self::MOST_SHOWN {
            self.findings.push(finding);
        }
        self
    }
}

/// A signature, and the head and keys to check it against.
pub struct Signed<'a> {
    /// Head that was signed; without it, the head of earlier versions is made from the journal.
    pub head: Option<&'a str>,
    pub signature: &'a str,
    /// Public keys, one on a line, one of which has to have signed.
    pub signers: Option<&'a str>,
}

impl Audit {
    /// Makes the result of one run that was checked before.
    pub fn of_one(journal: &Journal, run: Result<Verified, Altered>) -> Result<Self, JournalError> {
        Ok(Self { journal: journal.identity()?, runs: vec![run], findings: Vec::new() })
    }

    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty() && self.runs.iter().all(Result::is_ok)
    }

    #[must_use]
    pub fn n_findings(&self) -> u64 {
        let of_runs = self.runs.iter().filter_map(|run| run.as_ref().err()).map(|altered| altered.n_findings);
        of_runs.sum::<u64>() + self.findings.len() as u64
    }

    /// Checks an anchor that was kept elsewhere, which has to belong to one of the runs.
    pub fn against(mut self, code: &Code) -> Result<Audit, AuditError> {
        let is_of = |run: &Result<Verified, Altered>| code.is_of(anchor_of(run));
        let at = self.runs.iter().position(is_of).or(if self.runs.len() == 1 { Some(0) } else { None });
        let Some(at) = at else {
            self.findings.push(Finding::AnchorUnknown { expected: code.to_string() });
            return Ok(self);
        };
        let Ok(verified) = &self.runs[at] else { return Ok(self) };
        match verified.clone().against(code) {
            Ok(_) => self.stands_by(at, ProvenBy::Anchor),
            Err(AuditError::Altered(altered)) => self.runs[at] = Err(altered),
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    /// Checks a signature of the head of one of the runs.
    pub fn signed(mut self, journal: &Journal, given: &Signed<'_>) -> Result<Audit, JournalError> {
        let (at, problem) = match signature::signer_of(journal, given)? {
            Ok((run, signer)) => {
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
                            self.stands_by(at, ProvenBy::Signature);
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
    pub(crate) fn in_bundle<E>(
        mut self,
        look: impl FnOnce(Verified) -> Result<Result<Verified, Altered>, E>,
    ) -> Result<Audit, E> {
        if !self.is_ok() {
            return Ok(self);
        }
        let Some(Ok(verified)) = self.runs.pop() else { return Ok(self) };
        let looked = look(verified)?;
        let proof = looked.as_ref().map_or(ProvenBy::Itself, |verified| verified.proven_by);
        self.runs.push(looked);
        match proof {
            ProvenBy::Itself => (),
            ProvenBy::Anchor => self.stands_by(self.runs.len() - 1, proof),
            // A signed manifest covers the whole file.
            ProvenBy::Signature => self.runs.iter_mut().flatten().for_each(|run| run.proven_by = proof),
        }
        Ok(self)
    }

    fn place_of(&self, run: &str) -> Option<usize> {
        self.runs.iter().position(|found| run_of(found) == run)
    }

    /// Passes the evidence for a run on to the runs that it names, as far as those are as they were then.
    fn stands_by(&mut self, at: usize, proof: ProvenBy) {
        let places: HashMap<String, usize> = self.runs.iter().map(|run| run_of(run).to_owned()).zip(0..).collect();
        let mut to_do = vec![at];
        let mut done = vec![false; self.runs.len()];
        if let Ok(verified) = &mut self.runs[at] {
            verified.proven_by = proof;
        }
        while let Some(at) = to_do.pop() {
            if std::mem::replace(&mut done[at], true) {
                continue;
            }
            let Ok(Verified { after: Some(after), .. }) = self.runs[at].clone() else { continue };
            for named in after.runs {
                let Some(&before) = places.get(&named.run) else { continue };
                let Ok(verified) = &mut self.runs[before] else { continue };
                let had_begun = named.heads.iter().any(|(lane, seq, _)| *lane == LaneId::RUN && *seq > 0);
                if Anchor::of_named(&named.run, named.heads) == verified.anchor {
                    verified.proven_by = proof;
                }
                if had_begun {
                    // The beginning of the named run is proven in any case, and with it the runs that it names.
                    to_do.push(before);
                }
            }
        }
    }
}

fn anchor_of(run: &Result<Verified, Altered>) -> Anchor {
    match run {
        Ok(verified) => verified.anchor,
        Err(altered) => altered.anchor,
    }
}

fn run_of(run: &Result<Verified, Altered>) -> &str {
    match run {
        Ok(verified) => &verified.run,
        Err(altered) => &altered.run,
    }
}

/// Compares the schema, object by object, with what its version creates.
fn check_objects(journal: &Journal) -> Result<Findings, JournalError> {
    let mut findings = Findings::default();
    for difference in journal.foreign_objects()? {
        findings.add(Finding::of_object(difference));
    }
    Ok(findings)
}

/// Checks that the rows are those that the run was made from.
fn check_plan(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<u64, JournalError> {
    let mut digester = Digester::new();
    let mut n_rows = 0;
    journal.for_each_planned_row(run.key, |row| {
        n_rows += 1;
        digester.row(row);
    })?;
    if n_rows != u64::from(run.n_rows) {
        findings.add(Finding::RowsMissing { expected: run.n_rows.into(), found: n_rows });
    }
    // Terms that cannot be read mean an altered run: the digest differs then.
    let Paper { terms, seal } = Paper::of_settings(&run.settings).unwrap_or_default();
    digester.terms(&terms);
    let found = digester.finish().to_string();
    if found != run.plan_digest {
        findings.add(Finding::DigestDiffers { expected: run.plan_digest.clone(), found });
    }
    if let Some(problem) = seal.and_then(|seal| seal.problem(&run.plan_digest)) {
        findings.add(Finding::SealDiffers { problem });
    }
    Ok(n_rows)
}

/// Compares the places of rows in plan, lanes and waves with those that the run began with. Earlier versions did not record them.
fn check_layout(
    journal: &Journal,
    run: &RunRecord,
    expected: Option<String>,
    findings: &mut Findings,
) -> Result<(), JournalError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = journal.layout(run.key)?;
    if found != expected {
        findings.add(Finding::LayoutDiffers { expected, found });
    }
    Ok(())
}

/// Owned copy of an event as it is stored, which outlives its row of the query.
struct OwnedEvent {
    seq: u64,
    at_ms: i64,
    kind: String,
    row: Option<u32>,
    detail: String,
    prev: Hash,
    hash: Hash,
}

impl OwnedEvent {
    /// Tells whether the event's hash is right at this place.
    fn fits_at(&self, lane: LaneId, seq: u64) -> bool {
        let OwnedEvent { at_ms, row, prev, .. } = self;
        let link = chain::Link { prev, lane, seq, at_ms: *at_ms, kind: &self.kind, row: *row, detail: &self.detail };
        link.hash() == self.hash
    }
}
