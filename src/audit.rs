//! Proves that a run's journal was not altered: the chains, their heads, the sums in table `row`, and the plan.
//!
//! What it can find by itself, it names by lane and first bad sequence number, or by row. A tail that was cut off
//! together with its head is only found against an anchor that was kept elsewhere. Memory does not grow with the run.

use std::io;
use std::panic;
use std::thread;

use serde::Serialize;

use crate::event::LaneId;
use crate::journal::chain::{self, Hash};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::digest::Digester;
use crate::plan::paper::Paper;
use crate::report::plain::{count, plain};
use crate::report::printout::Printout;
use crate::ssh::{self, Purpose, Signer};

pub(crate) mod beforehand;
pub mod bundle;
pub mod finding;
mod lanes;
pub mod signature;
mod spelling;
mod sums;
#[cfg(test)]
mod tests;

use bundle::Bundled;
use finding::Finding;
use sums::Portions;

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub run: String,
    pub n_events: u64,
    pub n_rows: u64,
    pub anchor: String,
    /// Who signed its head, if a signature was held against it.
    pub signed_by: Option<Signer>,
    /// The bundle that it lay in, if it was in one.
    pub bundle: Option<Bundled>,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal is not what it was: {}", first_of(.0))]
    Altered(Altered),
}

/// What is wrong with a run, the worst first: chains, then rows, then the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    pub run: String,
    pub n_events: u64,
    pub n_rows: u64,
    pub anchor: String,
    /// At most [`Altered::MOST_SHOWN`]; never empty.
    pub findings: Vec<Finding>,
    pub n_findings: u64,
}

impl Altered {
    pub const MOST_SHOWN: usize = 100;
}

fn first_of(altered: &Altered) -> String {
    altered.findings.first().map_or_else(String::new, ToString::to_string)
}

/// Findings as they come: the first of them are kept, all are counted.
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

    /// Those that were found elsewhere come behind these.
    fn append(&mut self, others: Findings) {
        self.n_found += others.n_found;
        let n_room = Altered::MOST_SHOWN - self.kept.len();
        self.kept.extend(others.kept.into_iter().take(n_room));
    }
}

/// Checks everything that the journal itself can prove, at one instant of it.
///
/// The chains are followed lane by lane and the sums row by row, each the whole journal: side by side, with a connection
/// each. Whoever has followed the chains helps with what is left of the sums, which take longer.
pub fn verify(journal: &Journal, run: &RunRecord) -> Result<Verified, AuditError> {
    // Opened before the instant begins, so that little can be written before the other one begins too.
    let beside = journal.again().ok();
    journal.at_one_instant(|| {
        let run = journal.run(run.key)?;
        let heads = journal.heads(run.key)?;
        let portions = Portions::of(journal, &run)?;
        let Checked { findings, n_events, n_rows } = thread::scope(|scope| {
            let (run, heads, portions) = (&run, &heads, &portions);
            let sums = beside.map(|beside| scope.spawn(move || sums_beside(&beside, run, heads, portions)));
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
        let (anchor, run) = (journal.anchor(&run)?, run.id);
        let Findings { kept, n_found } = findings;
        if kept.is_empty() {
            return Ok(Verified { run, n_events, n_rows, anchor, signed_by: None, bundle: None });
        }
        Err(AuditError::Altered(Altered { run, n_events, n_rows, anchor, findings: kept, n_findings: n_found }))
    })
}

struct Checked {
    findings: Findings,
    n_events: u64,
    n_rows: u64,
}

fn checked(
    journal: &Journal,
    run: &RunRecord,
    sums: impl FnOnce() -> Result<Findings, JournalError>,
) -> Result<Checked, JournalError> {
    let mut findings = Findings::default();
    check_objects(journal, &mut findings)?;
    let (n_events, layout) = lanes::check(journal, run, &mut findings)?;
    let mut of_plan = Findings::default();
    let n_rows = check_plan(journal, run, &mut of_plan).and_then(|n_rows| {
        check_layout(journal, run, layout, &mut of_plan)?;
        spelling::check(journal, run, &mut of_plan)?;
        Ok(n_rows)
    });
    // What is wrong with the rows is said before what is wrong with the plan.
    findings.append(sums()?);
    findings.append(of_plan);
    Ok(Checked { findings, n_events, n_rows: n_rows? })
}

/// The sums by a connection of their own; nothing if that came to another instant, which its heads would tell.
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
    /// Also against the code that was kept elsewhere.
    pub fn against(self, anchor: &str) -> Result<Verified, AuditError> {
        if self.anchor.eq_ignore_ascii_case(anchor.trim()) {
            return Ok(self);
        }
        let finding = Finding::AnchorDiffers { expected: anchor.trim().to_owned(), found: self.anchor.clone() };
        Err(AuditError::Altered(self.but(vec![finding])))
    }

    /// Also against a signature of its head, by one of these public keys if there are any.
    pub fn signed(self, head: &str, signature: &str, signers: Option<&str>) -> Result<Verified, AuditError> {
        let signer = match ssh::verify(head, Purpose::Head, signature) {
            Ok(signer) => signer,
            Err(problem) => return Err(AuditError::Altered(self.not_signed(&problem.to_string()))),
        };
        if let Some(keys) = signers
            && let Err(problem) = ssh::is_among(&signer, keys)
        {
            return Err(AuditError::Altered(self.not_signed(&problem)));
        }
        Ok(Verified { signed_by: Some(signer), ..self })
    }

    /// Also against the files that it lay among.
    pub(crate) fn in_bundle(self, bundle: Bundled, findings: Vec<Finding>) -> Result<Verified, Altered> {
        if findings.is_empty() { Ok(Verified { bundle: Some(bundle), ..self }) } else { Err(self.but(findings)) }
    }

    pub(crate) fn not_signed(self, problem: &str) -> Altered {
        self.but(vec![Finding::NotSigned { problem: problem.to_owned() }])
    }

    fn but(self, findings: Vec<Finding>) -> Altered {
        let Verified { run, n_events, n_rows, anchor, signed_by: _, bundle: _ } = self;
        let n_findings = findings.len() as u64;
        Altered { run, n_events, n_rows, anchor, findings, n_findings }
    }
}

/// The schema is what its version makes, object by object.
fn check_objects(journal: &Journal, findings: &mut Findings) -> Result<(), JournalError> {
    for difference in journal.foreign_objects()? {
        findings.add(Finding::of_object(difference));
    }
    Ok(())
}

/// The rows are those that the run was made from.
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
    // Terms that do not read are an altered run: the plan's name is not found then.
    digester.terms(&Paper::of_settings(&run.settings).unwrap_or_default().terms);
    let found = digester.finish().to_string();
    if found != run.plan_digest {
        findings.add(Finding::DigestDiffers { expected: run.plan_digest.clone(), found });
    }
    Ok(n_rows)
}

/// Where rows stand in plan, lanes and waves is as the run began with it. Earlier versions did not say.
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

/// The document `cutover.audit.v1`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    run: &'a str,
    ok: bool,
    events: u64,
    rows: u64,
    anchor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a Signer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a Bundled>,
    findings: Vec<Found<'a>>,
    n_findings: u64,
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    text: String,
}

pub fn write_json(verified: Result<&Verified, &Altered>, out: &mut dyn io::Write) -> io::Result<()> {
    let schema = "cutover.audit.v1";
    let document = match verified {
        Ok(Verified { run, n_events, n_rows, anchor, signed_by, bundle }) => Document {
            schema,
            run,
            ok: true,
            events: *n_events,
            rows: *n_rows,
            anchor,
            signed_by: signed_by.as_ref(),
            bundle: bundle.as_ref(),
            findings: Vec::new(),
            n_findings: 0,
        },
        Err(Altered { run, n_events, n_rows, anchor, findings, n_findings }) => {
            let findings = findings.iter().map(|finding| Found { finding, text: finding.to_string() }).collect();
            let (events, rows) = (*n_events, *n_rows);
            let (signed_by, bundle, n_findings) = (None, None, *n_findings);
            Document { schema, run, ok: false, events, rows, anchor, signed_by, bundle, findings, n_findings }
        }
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

impl Altered {
    /// Without what else was found.
    pub(crate) fn in_one_line(&self) -> String {
        let Self { run, findings, n_findings, .. } = self;
        let first = findings.first().map_or_else(String::new, |first| format!(", such as this: {first}"));
        format!("the journal of run {run} is not what it was: {}{first}", count(*n_findings, "finding"))
    }
}

/// What to do with a journal in which something was found.
pub(crate) const KEEP_IT: &str = "keep the file as it is, and compare it with a copy";

/// What of a bundle holds, and what was not compared with anything.
fn write_bundle(bundle: &Bundled, out: &mut Printout<'_>) -> io::Result<()> {
    let Bundled { files, covered_by_manifest, signed_by, checker_is_ours } = bundle;
    writeln!(out, "  bundle  {files} files, as its manifest names them")?;
    match signed_by {
        Some(Signer { fingerprint, .. }) => writeln!(
            out,
            "  signed  by {fingerprint}, manifest and all; whose key it is, you have to know from elsewhere"
        )?,
        None => writeln!(out, "  signed  by nobody: whoever wrote the folder could have written all of it")?,
    }
    if !covered_by_manifest.is_empty() {
        writeln!(
            out,
            "  as is   {}: covered by the manifest, and compared with nothing",
            covered_by_manifest.join(", ")
        )?;
    }
    if !checker_is_ours {
        writeln!(out, "  check   its check.py is not the one of this version")?;
    }
    Ok(())
}

pub fn write_text(verified: Result<&Verified, &Altered>, out: &mut Printout<'_>) -> io::Result<()> {
    match verified {
        Ok(Verified { run, n_events, n_rows, anchor, signed_by, bundle }) => {
            let (events, rows) = (count(*n_events, "event"), count(*n_rows, "row"));
            writeln!(out, "The journal of run {} is as it was written: {events}, {rows}.", plain(run))?;
            writeln!(out)?;
            writeln!(out, "  anchor  {anchor}")?;
            if let Some(bundle) = bundle {
                write_bundle(bundle, out)?;
            }
            if let Some(Signer { fingerprint, public_key }) = signed_by {
                writeln!(out, "  signed  by {fingerprint} ({public_key})")?;
                writeln!(out)?;
                return writeln!(
                    out,
                    "The signature is of this head. Whose key it is, you have to know from elsewhere."
                );
            }
            writeln!(out)?;
            writeln!(
                out,
                "Compare the anchor with the one that was kept elsewhere: only that proves that no tail was cut off."
            )
        }
        Err(Altered { run, anchor, findings, n_findings, .. }) => {
            let found = count(*n_findings, "finding");
            writeln!(out, "The journal of run {} is not what it was: {found}.", plain(run))?;
            writeln!(out)?;
            for finding in findings {
                writeln!(out, "  {}", plain(&finding.to_string()))?;
            }
            let n_more = n_findings.saturating_sub(u64::try_from(findings.len()).unwrap_or(u64::MAX));
            if n_more > 0 {
                writeln!(out, "  … and {}", count(n_more, "more finding"))?;
            }
            writeln!(out)?;
            writeln!(out, "  anchor  {anchor}")?;
            writeln!(out)?;
            writeln!(out, "Keep the file as it is, and compare it with a copy.")
        }
    }
}

/// An event as it stands in the journal, kept beyond its row of the query.
struct Kept {
    seq: u64,
    at_ms: i64,
    kind: String,
    row: Option<u32>,
    detail: String,
    prev: Hash,
    hash: Hash,
}

impl Kept {
    /// Whether its hash is right when it stands at this place.
    fn fits_at(&self, lane: LaneId, seq: u64) -> bool {
        let Kept { at_ms, row, prev, .. } = self;
        let link = chain::Link { prev, lane, seq, at_ms: *at_ms, kind: &self.kind, row: *row, detail: &self.detail };
        link.hash() == self.hash
    }
}
