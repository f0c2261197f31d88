//! Result of an audit: the document `cutover.audit.v1`, and the same as text.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::bundle::Bundled;
use super::finding::Finding;
use super::people::People;
use super::result::{Altered, Audit, ProvenBy, PrunedRun, Verified, run_of};
use crate::journal::succession::Identity;
use crate::journal::tombstone::Archive;
use crate::ssh::signature::Signer;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;

/// Document `cutover.audit.v1`. The fields beside `journal` and `runs` are of the run that was asked about, or of the last one;
/// `findings` are those of all.
#[derive(Serialize)]
struct AuditDocument<'a> {
    schema: &'static str,
    run: Option<&'a str>,
    ok: bool,
    events: u64,
    rows: u64,
    anchor: Option<String>,
    anchor_hash: Option<String>,
    proven_by: Option<ProvenBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a Signer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a Bundled>,
    findings: Vec<RunFinding<'a>>,
    n_findings: u64,
    journal: JournalOf<'a>,
    runs: Vec<RunOf<'a>>,
    /// Absent if none was taken out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pruned: Vec<PrunedOf<'a>>,
}

#[derive(Serialize)]
struct JournalOf<'a> {
    id: &'a str,
    runs: u64,
    excerpt: bool,
}

#[derive(Clone, Serialize)]
struct RunOf<'a> {
    run: &'a str,
    ok: bool,
    events: u64,
    rows: u64,
    anchor: String,
    anchor_hash: String,
    /// Absent where nothing proves it.
    proven_by: Option<ProvenBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a Signer>,
    /// Journal in which the run was made; absent for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_in: Option<&'a str>,
    n_findings: u64,
    /// Absent for an altered run, which proves nothing about people.
    #[serde(flatten)]
    people: Option<&'a People>,
}

#[derive(Serialize)]
struct PrunedOf<'a> {
    run: &'a str,
    rows: u32,
    verdicts: &'a BTreeMap<String, u64>,
    anchor: String,
    anchor_hash: String,
    archive: &'a Archive,
    pruned_at: Timestamp,
    proven_by: ProvenBy,
    archive_checked: bool,
}

impl<'a> PrunedOf<'a> {
    fn new(pruned: &'a PrunedRun) -> Self {
        let PrunedRun { nth: _, tombstone, proven_by, is_archive_checked } = pruned;
        let anchor = tombstone.run.anchor_of_heads();
        Self {
            run: &tombstone.run.id,
            rows: tombstone.run.plan.rows,
            verdicts: &tombstone.run.verdicts,
            anchor: anchor.to_string(),
            anchor_hash: anchor.whole(),
            archive: &tombstone.archive,
            pruned_at: tombstone.pruned_at,
            proven_by: *proven_by,
            archive_checked: *is_archive_checked,
        }
    }
}

#[derive(Serialize)]
struct RunFinding<'a> {
    /// Absent for the journal as a whole.
    run: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Finding,
    text: String,
}

impl<'a> RunOf<'a> {
    fn new(run: &'a Result<Verified, Altered>, journal: &Identity) -> Self {
        match run {
            Ok(verified @ Verified { run, n_events, n_rows, anchor, proven_by, signed_by, people, .. }) => Self {
                run,
                ok: true,
                events: *n_events,
                rows: *n_rows,
                anchor: anchor.to_string(),
                anchor_hash: anchor.whole(),
                proven_by: Some(*proven_by),
                signed_by: signed_by.as_ref(),
                made_in: verified.made_in(journal),
                n_findings: 0,
                people: Some(people),
            },
            Err(Altered { run, n_events, n_rows, anchor, findings: _, n_findings }) => Self {
                run,
                ok: false,
                events: *n_events,
                rows: *n_rows,
                anchor: anchor.to_string(),
                anchor_hash: anchor.whole(),
                proven_by: None,
                signed_by: None,
                made_in: None,
                n_findings: *n_findings,
                people: None,
            },
        }
    }
}

impl Audit {
    /// Returns the findings, each with its run.
    fn found(&self) -> impl Iterator<Item = (Option<&str>, &Finding)> {
        let of_runs = self.runs.iter().filter_map(|run| run.as_ref().err());
        let of_runs =
            of_runs.flat_map(|altered| altered.findings.iter().map(|found| (Some(altered.run.as_str()), found)));
        self.findings.iter().map(|found| (None, found)).chain(of_runs)
    }

    fn n_archives(&self) -> String {
        count(self.findings.len() as u64, "archive")
    }

    fn are_bad(&self) -> &'static str {
        if self.findings.len() == 1 { "is missing or altered" } else { "are missing or altered" }
    }

    /// Returns the advice about what was found.
    pub(crate) fn advice(&self) -> &'static str {
        if self.is_journal_whole() { BRING_THEM_BACK } else { KEEP_IT }
    }

    /// Says in one line what is wrong: the number of findings and the first of them.
    pub(crate) fn in_one_line(&self) -> String {
        if self.is_journal_whole() {
            let first = self.findings.first().map_or_else(String::new, |first| format!(", such as this: {first}"));
            return format!(
                "{} of runs that were taken out of the journal {}{first}",
                self.n_archives(),
                self.are_bad()
            );
        }
        let what = match &self.runs[..] {
            [one] => format!("the journal of run {}", run_of(one)),
            _ => "the journal".to_owned(),
        };
        let first = match self.found().next() {
            Some((Some(run), first)) if self.runs.len() > 1 => format!(", such as this: run {run}: {first}"),
            Some((_, first)) => format!(", such as this: {first}"),
            None => String::new(),
        };
        format!("{what} is not what it was: {}{first}", count(self.n_findings(), "finding"))
    }
}

/// Advice about a journal in which something was found.
const KEEP_IT: &str = "keep the file as it is, and compare it with a copy";

/// Advice about a journal that is whole and lacks archives.
const BRING_THEM_BACK: &str = "bring them back from a backup into the folder that --archive names";

pub fn write_json(audit: &Audit, out: &mut dyn io::Write) -> io::Result<()> {
    let runs: Vec<RunOf> = audit.runs.iter().map(|run| RunOf::new(run, &audit.journal)).collect();
    let last = runs.last().cloned();
    let found = audit.found().map(|(run, finding)| RunFinding { run, finding, text: finding.to_string() });
    let document = AuditDocument {
        schema: "cutover.audit.v1",
        run: last.as_ref().map(|last| last.run),
        ok: audit.is_ok(),
        events: last.as_ref().map_or(0, |last| last.events),
        rows: last.as_ref().map_or(0, |last| last.rows),
        anchor: last.as_ref().map(|last| last.anchor.clone()),
        anchor_hash: last.as_ref().map(|last| last.anchor_hash.clone()),
        proven_by: last.as_ref().and_then(|last| last.proven_by),
        signed_by: last.as_ref().and_then(|last| last.signed_by),
        bundle: audit.runs.last().and_then(|run| run.as_ref().ok()).and_then(|verified| verified.bundle.as_ref()),
        findings: found.collect(),
        n_findings: audit.n_findings(),
        journal: JournalOf { id: &audit.journal.id, runs: audit.journal.n_runs, excerpt: audit.journal.is_excerpt },
        runs,
        pruned: audit.pruned.iter().map(PrunedOf::new).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

pub fn write_text(audit: &Audit, out: &mut Printout<'_>) -> io::Result<()> {
    if audit.is_ok() {
        write_proven(audit, out)
    } else if audit.is_journal_whole() {
        write_bad_archives(audit, out)
    } else {
        write_found(audit, out)
    }
}

fn write_proven(audit: &Audit, out: &mut Printout<'_>) -> io::Result<()> {
    let verified: Vec<&Verified> = audit.runs.iter().filter_map(|run| run.as_ref().ok()).collect();
    if let [one] = verified[..] {
        let (events, rows) = (count(one.n_events, "event"), count(one.n_rows, "row"));
        writeln!(out, "The journal of run {} is as it was written: {events}, {rows}.", plain(&one.run))?;
    } else {
        let sum = |of: fn(&Verified) -> u64| verified.iter().map(|run| of(run)).sum::<u64>();
        let (events, rows) = (count(sum(|run| run.n_events), "event"), count(sum(|run| run.n_rows), "row"));
        let runs = count(verified.len() as u64, "run");
        writeln!(out, "The journal is as it was written: {runs}, {events}, {rows}.")?;
    }
    writeln!(out)?;
    for one in &verified {
        let Verified { run, anchor, proven_by, signed_by, bundle, n_rows, people, .. } = one;
        if verified.len() > 1 {
            writeln!(out, "  run     {}, {}", plain(run), count(*n_rows, "row"))?;
        }
        writeln!(out, "  anchor  {anchor}")?;
        writeln!(out, "  proven  {}", by(*proven_by))?;
        if let Some(journal) = one.made_in(&audit.journal) {
            writeln!(out, "  made    in another journal, {}, and copied into this one", plain(journal))?;
        }
        if let Some(bundle) = bundle {
            write_bundle(bundle, out)?;
        }
        if let Some(Signer { fingerprint, public_key }) = signed_by {
            writeln!(out, "  signed  by {fingerprint} ({public_key})")?;
        }
        people.write_text(out)?;
        writeln!(out)?;
    }
    write_pruned(&audit.pruned, out)?;
    write_limits(audit, &verified, out)
}

/// Most runs that were taken out that are named one by one; the JSON document has all.
const MOST_NAMED: usize = 20;

fn write_pruned(pruned: &[PrunedRun], out: &mut Printout<'_>) -> io::Result<()> {
    if pruned.is_empty() {
        return Ok(());
    }
    let n_rows = pruned.iter().map(|pruned| u64::from(pruned.tombstone.run.plan.rows)).sum();
    let runs = count(pruned.len() as u64, "run");
    writeln!(out, "Taken out of it: {runs}, {}. Their archives are named in it.", count(n_rows, "row"))?;
    writeln!(out)?;
    for PrunedRun { nth: _, tombstone, proven_by, is_archive_checked } in pruned.iter().take(MOST_NAMED) {
        writeln!(out, "  run     {}, {}", plain(&tombstone.run.id), count(tombstone.run.plan.rows.into(), "row"))?;
        writeln!(out, "  anchor  {}", tombstone.run.anchor_of_heads())?;
        writeln!(out, "  archive {}, SHA-256 {}", plain(&tombstone.archive.name), plain(&tombstone.archive.sha256))?;
        let proof = by_tombstone(*proven_by);
        if *is_archive_checked {
            writeln!(out, "  proven  {proof}, and by its archive, which is as it was written")?;
        } else {
            let alone = if *proven_by == ProvenBy::Itself { " alone" } else { "" };
            writeln!(out, "  proven  {proof}{alone}")?;
        }
        writeln!(out)?;
    }
    if pruned.len() > MOST_NAMED {
        writeln!(out, "  … and {} (--json has all of them)", count((pruned.len() - MOST_NAMED) as u64, "more run"))?;
        writeln!(out)?;
    }
    Ok(())
}

fn by_tombstone(proof: ProvenBy) -> &'static str {
    match proof {
        ProvenBy::Itself => "by its tombstone",
        ProvenBy::Anchor => "by the anchor",
        ProvenBy::Signature => "by the signature",
    }
}

/// Writes the results about a bundle, and which of its files were not compared.
fn write_bundle(bundle: &Bundled, out: &mut Printout<'_>) -> io::Result<()> {
    let Bundled { files, form, covered_by_manifest, signed_by, checker_is_ours } = bundle;
    writeln!(out, "  bundle  {files} files, as its manifest names them")?;
    if form.is_earlier() {
        writeln!(out, "  form    {form}, of an earlier version: its reports were compared as far as they go")?;
    }
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

fn by(proof: ProvenBy) -> &'static str {
    match proof {
        ProvenBy::Itself => "by itself alone",
        ProvenBy::Anchor => "by the anchor",
        ProvenBy::Signature => "by the signature",
    }
}

/// Writes what all of this does not prove.
fn write_limits(audit: &Audit, verified: &[&Verified], out: &mut Printout<'_>) -> io::Result<()> {
    let is = |proof| verified.iter().any(|run| run.proven_by == proof);
    if is(ProvenBy::Itself) {
        let is_signed = |run: &&Verified| run.proven_by != ProvenBy::Itself || run.signed_by.is_some();
        let or_sign = if verified.iter().all(is_signed) { "" } else { ", or have its head signed" };
        writeln!(
            out,
            "By itself alone: its parts agree with each other. Whoever can write the file could have written all of it anew, or cut \
             off its end. Compare the anchor with the one that was kept elsewhere (--anchor){or_sign}."
        )?;
    }
    if is(ProvenBy::Anchor) {
        writeln!(
            out,
            "By the anchor: it is what it was when the anchor was noted, if that was kept where nobody changed it."
        )?;
    }
    if is(ProvenBy::Signature) {
        writeln!(out, "By the signature: it is what it was when it was signed, if nobody else has the key.")?;
    }
    if verified.iter().any(|run| run.signed_by.is_some() && run.proven_by != ProvenBy::Signature) {
        writeln!(
            out,
            "The signature is of this head. Whose key it is, you have to know from elsewhere (--signer FILE)."
        )?;
    }
    if audit.pruned.iter().any(|pruned| !pruned.is_archive_checked) {
        writeln!(
            out,
            "A tombstone says where a run ended, and proves nothing of what happened in it: its archive does (--archive DIR). Whoever \
             can write the file can write a tombstone of a run that was never archived."
        )?;
    }
    if verified.iter().any(|run| run.made_in(&audit.journal).is_some()) {
        writeln!(
            out,
            "A run that was made in another journal vouches for no other run here: the journal in which it was made shows which came \
             before it."
        )?;
    }
    if audit.journal.is_excerpt {
        writeln!(out, "The file is an excerpt: nothing is said of the runs that were left out.")?;
    }
    writeln!(out, "Not proven by any of it: names that people typed, and that the clock of the machine was right.")
}

fn write_found(audit: &Audit, out: &mut Printout<'_>) -> io::Result<()> {
    let found = count(audit.n_findings(), "finding");
    if let [Err(one)] = &audit.runs[..]
        && audit.findings.is_empty()
    {
        writeln!(out, "The journal of run {} is not what it was: {found}.", plain(&one.run))?;
        writeln!(out)?;
        write_findings(&one.findings, one.n_findings, out)?;
        writeln!(out)?;
        writeln!(out, "  anchor  {}", one.anchor)?;
    } else {
        writeln!(out, "The journal is not what it was: {found}.")?;
        if !audit.findings.is_empty() {
            writeln!(out)?;
            writeln!(out, "The journal as a whole")?;
            writeln!(out)?;
            write_findings(&audit.findings, audit.findings.len() as u64, out)?;
        }
        for altered in audit.runs.iter().filter_map(|run| run.as_ref().err()) {
            writeln!(out)?;
            writeln!(out, "Run {}", plain(&altered.run))?;
            writeln!(out)?;
            write_findings(&altered.findings, altered.n_findings, out)?;
            writeln!(out, "  anchor  {}", altered.anchor)?;
        }
        let n_ok = audit.runs.iter().filter(|run| run.is_ok()).count() as u64;
        writeln!(out)?;
        writeln!(out, "As they were written: {}.", count(n_ok, "run"))?;
    }
    writeln!(out)?;
    writeln!(out, "Keep the file as it is, and compare it with a copy.")
}

/// Writes what was found of archives alone, and that it says nothing against the journal.
fn write_bad_archives(audit: &Audit, out: &mut Printout<'_>) -> io::Result<()> {
    let (runs, archives, are_bad) = (count(audit.runs.len() as u64, "run"), audit.n_archives(), audit.are_bad());
    writeln!(out, "The journal is as it was written: {runs}; {archives} of runs that were taken out of it {are_bad}.")?;
    writeln!(out)?;
    write_findings(&audit.findings, audit.n_findings(), out)?;
    writeln!(out)?;
    writeln!(out, "Bring them back from a backup into the folder that --archive names.")
}

fn write_findings(findings: &[Finding], n_findings: u64, out: &mut Printout<'_>) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "  {}", plain(&finding.to_string()))?;
    }
    let n_more = n_findings.saturating_sub(u64::try_from(findings.len()).unwrap_or(u64::MAX));
    if n_more > 0 {
        writeln!(out, "  … and {}", count(n_more, "more finding"))?;
    }
    Ok(())
}
