//! A sealed plan: the rows, the terms and the states that were seen, under one digest; and who agreed to that.
//!
//! It is a text of JSON lines: a head, a line for each row, the seal, and a line for each approval. The seal is a hash
//! over everything before it; each approval is bound to the seal and to the approval before it. A hash keeps nobody from
//! making another sealed plan; it keeps an edited one from passing for the one that was agreed to.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::LanePlace;
use crate::journal::chain::hex;
use crate::model::words::Word;
use crate::model::{Row, SeenState};
use crate::plan::check::Checker;
use crate::plan::columns::{Cells, Column};
use crate::plan::problem::Position;
use crate::plan::source::Source;
use crate::plan::{Planned, Stop};
use crate::waves::Terms;

pub const SCHEMA: &str = "cutover.sealed.v1";
/// More than any line of ours has.
const LONGEST_LINE: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema: String,
    /// The plan that was sealed.
    pub plan: String,
    pub terms: Terms,
    pub sealed_by: String,
    pub user: Option<String>,
    pub host: String,
    pub at: Timestamp,
    pub version: String,
    /// Where the states were seen.
    pub lanes: Vec<LanePlace>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct RowLine {
    source_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    copystate: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrationcycle: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_copystate: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_migrationcycle: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra: Vec<(String, String)>,
    /// None: the service did not know it.
    seen: Option<SeenState>,
}

#[derive(Serialize, Deserialize)]
struct SealLine {
    seal: Marks,
}

/// What the seal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marks {
    rows: u32,
    plan_digest: String,
    states_digest: String,
    /// Over every byte before this line.
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct ApprovalLine {
    approval: Approval,
}

/// Somebody agreed to the plan as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    #[serde(rename = "as")]
    pub name: String,
    pub user: Option<String>,
    pub host: String,
    pub at: Timestamp,
    /// Over the approval and what it agrees to.
    pub check: String,
}

/// What a run keeps of the sealed plan that it was begun from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub digest: String,
    pub plan_digest: String,
    pub states_digest: String,
    pub sealed_by: String,
    pub user: Option<String>,
    pub host: String,
    pub at: Timestamp,
    /// Where the states were seen.
    pub lanes: Vec<LanePlace>,
    pub approvals: Vec<Approval>,
}

impl Seal {
    /// Whether somebody is who sealed it.
    #[must_use]
    pub fn is_sealer(&self, name: &str) -> bool {
        same_person(&self.sealed_by, name)
    }

    /// How many people agreed. Of several that are needed, who sealed it is none.
    #[must_use]
    pub fn n_approvals(&self, required: u32) -> usize {
        let counted = self.approvals.iter().filter(|approval| required <= 1 || !self.is_sealer(&approval.name));
        counted.map(|approval| person(&approval.name)).collect::<BTreeSet<_>>().len()
    }

    #[must_use]
    pub fn has_approved(&self, name: &str) -> bool {
        self.approvals.iter().any(|approval| same_person(&approval.name, name))
    }

    /// An approval that follows those that are there.
    #[must_use]
    pub fn approval(&self, name: &str, user: Option<String>, host: String, at: Timestamp) -> Approval {
        let mut approval = Approval { name: name.to_owned(), user, host, at, check: String::new() };
        approval.check = self.check_of(&approval, self.approvals.len());
        approval
    }

    fn check_of(&self, approval: &Approval, n: usize) -> String {
        let before = n.checked_sub(1).map_or(&self.digest, |last| &self.approvals[last].check);
        let Approval { name, user, host, at, check: _ } = approval;
        let text = serde_json::to_string(&(before, name, user, host, at)).expect("texts are JSON");
        sha256(text.as_bytes())
    }
}

fn same_person(one: &str, other: &str) -> bool {
    person(one) == person(other)
}

/// A name as it is compared: whatever looks the same is the same (NFKC), and neither case nor blanks, punctuation or
/// characters that nobody sees make two people of one.
fn person(name: &str) -> String {
    let folded = ComposingNormalizerBorrowed::new_nfkc().normalize(name).to_lowercase();
    folded.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether there is anything in it to tell people apart by.
#[must_use]
pub fn is_a_name(name: &str) -> bool {
    !person(name).is_empty()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// One line of a file of approvals.
#[must_use]
pub fn approval_line(approval: &Approval) -> String {
    let line = ApprovalLine { approval: approval.clone() };
    serde_json::to_string(&line).expect("an approval is JSON") + "\n"
}

/// Writes head, rows and seal, in this order.
pub struct Sealer<'a> {
    out: &'a mut dyn Write,
    all: Sha256,
    states: Sha256,
    rows: u32,
}

impl<'a> Sealer<'a> {
    pub fn begin(out: &'a mut dyn Write, head: &Head) -> io::Result<Self> {
        let mut sealer = Self { out, all: Sha256::new(), states: Sha256::new(), rows: 0 };
        sealer.line(&serde_json::to_string(head).expect("a head is JSON"))?;
        Ok(sealer)
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        self.all.update(&line);
        self.out.write_all(line.as_bytes())
    }

    pub fn row(&mut self, row: &Row, seen: Option<&SeenState>) -> io::Result<()> {
        let line = RowLine {
            source_id: row.source_id.to_string(),
            copystate: row.wants.copystate.clone(),
            migrationcycle: row.wants.migrationcycle.clone(),
            expect_copystate: row.expects.copystate.clone(),
            expect_migrationcycle: row.expects.migrationcycle.clone(),
            wave: row.wave.clone(),
            target: row.account.clone(),
            name: row.name.clone(),
            note: row.note.clone(),
            extra: row.extra.clone(),
            seen: seen.cloned(),
        };
        self.rows += 1;
        self.states.update(state_line(&line.source_id, seen));
        self.line(&serde_json::to_string(&line).expect("a row is JSON"))
    }

    pub fn seal(self, plan_digest: &str) -> io::Result<String> {
        let digest = format!("sha256:{}", hex(&self.all.finalize()));
        let states_digest = format!("sha256:{}", hex(&self.states.finalize()));
        let marks = Marks { rows: self.rows, plan_digest: plan_digest.to_owned(), states_digest, digest };
        self.out.write_all(seal_line(&marks).as_bytes())?;
        Ok(marks.digest)
    }
}

fn seal_line(seal: &Marks) -> String {
    serde_json::to_string(&SealLine { seal: seal.clone() }).expect("a seal is JSON") + "\n"
}

/// The digest of the states is over `[source_id, copystate, migrationcycle]` of each row, one line of JSON each.
fn state_line(source_id: &str, seen: Option<&SeenState>) -> String {
    let (copystate, cycle) = (seen.and_then(|s| s.copystate.as_ref()), seen.and_then(|s| s.migrationcycle.as_ref()));
    serde_json::to_string(&(source_id, copystate, cycle)).expect("texts are JSON") + "\n"
}

/// Whether a file begins as a sealed plan does, of whatever version and however edited: such a file is nothing else.
pub(super) fn is_sealed(content: &[u8]) -> bool {
    let beginning: Vec<u8> = content.iter().copied().filter(u8::is_ascii_graphic).take(40).collect();
    beginning.starts_with(br#"{"schema":"cutover.sealed."#)
}

/// Why a sealed plan is not taken.
pub(super) enum Unsealed<E> {
    Stopped(Stop<E>),
    /// It is not what was sealed.
    Edited(String),
}

impl<E> From<io::Error> for Unsealed<E> {
    fn from(error: io::Error) -> Self {
        Unsealed::Stopped(Stop::Io(error))
    }
}

fn edited<E>(what: impl Into<String>) -> Unsealed<E> {
    Unsealed::Edited(what.into())
}

/// Reads it whole, row by row. What was handed over is void if this fails.
pub(super) fn read<E>(
    source: &Source,
    checker: &mut Checker,
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
            // The seal is not part of what it seals.
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
            each(Planned { row, sealed: read.seen }).map_err(|error| Unsealed::Stopped(Stop::Each(error)))?;
        }
    }
    let head = head.ok_or_else(|| edited("it is empty"))?;
    let marks = marks.ok_or_else(|| edited("its seal is missing"))?;
    if marks.rows != n_rows {
        return Err(edited(format!("it has {n_rows} rows, and {} were sealed", marks.rows)));
    }
    if marks.digest != format!("sha256:{}", hex(&all.finalize())) {
        return Err(edited("its rows or its terms are not those that were sealed"));
    }
    if marks.states_digest != format!("sha256:{}", hex(&states.finalize())) {
        return Err(edited("its states are not those that were sealed"));
    }
    let Head { terms, sealed_by, user, host, at, lanes, .. } = head;
    let Marks { plan_digest, states_digest, digest, rows: _ } = marks;
    let mut seal = Seal { digest, plan_digest, states_digest, sealed_by, user, host, at, lanes, approvals: Vec::new() };
    for (n, approval) in approvals.into_iter().enumerate() {
        if approval.check != seal.check_of(&approval, n) {
            return Err(edited(format!("the approval of {:?} is not the one that was given", approval.name)));
        }
        seal.approvals.push(approval);
    }
    Ok((terms, seal))
}

impl RowLine {
    fn cells(&self) -> Cells<'_> {
        let mut cells = Cells::default();
        let known = [
            (Column::SourceId, Some(self.source_id.as_str())),
            (Column::Copystate, self.copystate.as_ref().map(Word::as_str)),
            (Column::Migrationcycle, self.migrationcycle.as_ref().map(Word::as_str)),
            (Column::ExpectCopystate, self.expect_copystate.as_ref().map(Word::as_str)),
            (Column::ExpectMigrationcycle, self.expect_migrationcycle.as_ref().map(Word::as_str)),
            (Column::Wave, self.wave.as_deref()),
            (Column::Target, self.target.as_deref()),
            (Column::Name, self.name.as_deref()),
            (Column::Note, self.note.as_deref()),
        ];
        for (column, value) in known {
            cells.known[column as usize] = value;
        }
        cells.extra.clone_from(&self.extra);
        cells
    }
}
