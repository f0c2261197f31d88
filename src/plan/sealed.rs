//! Sealed plan: the rows, the terms and the states that were seen, under one digest; and the approvals of it.
//!
//! It is a text of JSON lines: a head, a line for each row, the seal, and a line for each approval. The seal is a hash
//! over everything before it; each approval is bound to the seal and to the approval before it. A hash keeps nobody from
//! making another sealed plan; it keeps an edited one from passing for the one that was approved.

use std::io::{self, BufRead, BufReader, Write};

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use unicode_security::skeleton;

use super::error::ReadStop;
use super::reading::Planned;
use crate::event::run::LanePlace;
use crate::journal::chain::hex;
use crate::model::Row;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::plan::check::RowChecker;
use crate::plan::columns::{Cells, Column};
use crate::plan::problem::Position;
use crate::plan::source::Source;
use crate::ssh::allowed::Allowed;
use crate::ssh::signature::{Purpose, SignatureError, Signer, verify};
use crate::waves::Terms;
use crate::whoami::Who;

pub const SCHEMA: &str = "cutover.sealed.v1";
/// Limit in bytes, more than any line of ours has.
const LONGEST_LINE: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema: String,
    /// Name of the plan that was sealed.
    pub plan: String,
    pub terms: Terms,
    pub sealed_by: String,
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub host: String,
    pub at: Timestamp,
    pub version: String,
    /// Accounts in which the states were seen.
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
    /// State that was seen; absent where the service did not know the source.
    seen: Option<SeenState>,
}

#[derive(Serialize, Deserialize)]
struct SealLine {
    seal: Marks,
}

/// Content of the seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marks {
    rows: u32,
    plan_digest: String,
    states_digest: String,
    /// SHA-256 over every byte before this line.
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct ApprovalLine {
    approval: Approval,
}

/// Approval of the plan as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    #[serde(rename = "as")]
    pub name: String,
    pub user: Option<String>,
    pub host: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    /// Hash over the approval and what it approves: the approval before it, or the seal.
    pub check: String,
    /// SSH signature over [`Seal::signed_text`]; `None` where only a name was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Part of a sealed plan that is kept by the run that was begun from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub digest: String,
    pub plan_digest: String,
    pub states_digest: String,
    pub sealed_by: String,
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub host: String,
    pub at: Timestamp,
    /// Accounts in which the states were seen.
    pub lanes: Vec<LanePlace>,
    pub approvals: Vec<Approval>,
}

/// Result of counting approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub n: usize,
    /// Names whose approvals do not count, with the reason.
    pub passed_over: Vec<(String, String)>,
}

impl Seal {
    /// Tells whether the name is that of the person who sealed the plan.
    #[must_use]
    pub fn is_sealer(&self, name: &str) -> bool {
        look_alike(&self.sealed_by, name)
    }

    /// Counts the people who approved, each once, however often and under whatever name. When more than one approval is required, the
    /// person who sealed the plan cannot be one of them. With `approvers`, only their signatures count, each key once.
    #[must_use]
    pub fn counted(&self, required: u32, approvers: Option<&Allowed>, now: Timestamp) -> Counted {
        let mut counted = Counted::default();
        let (mut people, mut keys): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        for approval in &self.approvals {
            match self.counts(approval, required, approvers, now, &people, &keys) {
                Ok(key) => {
                    people.push(&approval.name);
                    keys.extend(key);
                    counted.n += 1;
                }
                Err(why) => counted.passed_over.push((approval.name.clone(), why)),
            }
        }
        counted
    }

    /// Returns the key of an approval that counts in addition to those before it, or the reason for which it does not.
    fn counts(
        &self,
        approval: &Approval,
        required: u32,
        approvers: Option<&Allowed>,
        now: Timestamp,
        people: &[&str],
        keys: &[String],
    ) -> Result<Option<String>, String> {
        let signer = self.signer_of(approval).transpose().map_err(|error| error.to_string())?;
        match (approvers, &signer) {
            (Some(_), None) => return Err("it is not signed".to_owned()),
            (Some(approvers), Some(signer)) => {
                let allowed = approvers.allows(&approval.name, signer, Purpose::Approval, &[approval.at, now]);
                allowed.map_err(|error| error.to_string())?;
            }
            (None, Some(_) | None) => (),
        }
        if required > 1 && self.is_sealer(&approval.name) {
            return Err("who sealed the plan gives none of several approvals".to_owned());
        }
        // Two names with two keys that the operator lists are two people.
        let is_same = |one: &str, other: &str| if approvers.is_some() { one == other } else { look_alike(one, other) };
        if let Some(other) = people.iter().find(|other| is_same(other, &approval.name)) {
            return Err(format!("it is by the same person as that of {other}"));
        }
        match signer {
            Some(signer) if keys.contains(&signer.fingerprint) => {
                Err(format!("its key {} counts already", signer.fingerprint))
            }
            signer => Ok(signer.map(|signer| signer.fingerprint)),
        }
    }

    /// Returns the name of an approval that this name could be mistaken for.
    #[must_use]
    pub fn approved_like(&self, name: &str) -> Option<&str> {
        self.approvals.iter().map(|approval| approval.name.as_str()).find(|known| look_alike(known, name))
    }

    /// Makes an approval that follows the existing ones.
    #[must_use]
    pub fn approval(&self, name: &str, user: Option<String>, who: Who, host: String, at: Timestamp) -> Approval {
        let mut approval =
            Approval { name: name.to_owned(), user, host, at, who, check: String::new(), signature: None };
        approval.check = self.check_of(&approval, self.approvals.len());
        approval
    }

    fn check_of(&self, approval: &Approval, n: usize) -> String {
        let before = n.checked_sub(1).map_or(&self.digest, |last| &self.approvals[last].check);
        let Approval { name, user, host, at, who, check: _, signature: _ } = approval;
        // Earlier versions recorded no `who`: their approvals keep their hash.
        let text = if who.is_empty() {
            serde_json::to_string(&(before, name, user, host, at))
        } else {
            serde_json::to_string(&(before, name, user, host, at, who))
        };
        sha256(text.expect("texts are JSON").as_bytes())
    }

    /// Returns the text that an approver signs: the seal, the plan, the name, and all that is recorded of the approval.
    #[must_use]
    pub fn signed_text(&self, approval: &Approval) -> String {
        let (Self { digest, plan_digest, .. }, Approval { name, at, check, .. }) = (self, approval);
        format!("cutover.approval.v1\nsealed {digest}\nplan {plan_digest}\nas {name}\nat {at}\ncheck {check}\n")
    }

    /// Describes the first part of a seal or its approvals that is not as it was made for the plan of this digest.
    #[must_use]
    pub fn problem(&self, plan_digest: &str) -> Option<String> {
        if self.plan_digest != plan_digest {
            return Some(format!("it seals another plan, {}", self.plan_digest));
        }
        self.approvals.iter().enumerate().find_map(|(n, approval)| self.problem_of(approval, n))
    }

    /// Describes the problem of one approval, which has `n` others before it.
    fn problem_of(&self, approval: &Approval, n: usize) -> Option<String> {
        if approval.check != self.check_of(approval, n) {
            return Some(format!("the approval of {:?} is not the one that was given", approval.name));
        }
        let error = self.signer_of(approval)?.err()?;
        Some(format!("the signature of {:?} does not hold: {error}", approval.name))
    }

    /// Verifies the signature of an approval and returns its signer; `None` if it has no signature.
    #[must_use]
    pub fn signer_of(&self, approval: &Approval) -> Option<Result<Signer, SignatureError>> {
        let signature = approval.signature.as_deref()?;
        Some(verify(&self.signed_text(approval), Purpose::Approval, signature))
    }
}

/// Tells whether one name could be taken for the other: they are the same but for case, blanks and marks, or look the same.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    let others = appearances(other);
    appearances(one).iter().any(|appearance| others.contains(appearance))
}

/// Tells whether two names are the same but for case, blanks and marks.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    let folded = |name: &str| -> String {
        let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(name).to_lowercase();
        normal.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    folded(one) == folded(other)
}

/// Returns a name's appearance, in its own case and in lower case: two letters may look the same in only one of them.
///
/// source: UTS #39, 4 (skeletons of confusables)
fn appearances(name: &str) -> [String; 2] {
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(name).into_owned();
    [&normal, &normal.to_lowercase()].map(|name| {
        let skeleton: String = skeleton(name).collect();
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&skeleton).to_lowercase();
        composed.chars().filter(|c| c.is_alphanumeric()).collect()
    })
}

/// Tells whether a name has anything that distinguishes people, on one line.
#[must_use]
pub fn is_a_name(name: &str) -> bool {
    !name.chars().any(char::is_control) && appearances(name).iter().all(|name| !name.is_empty())
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Returns one line of a file of approvals.
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

/// Returns a row's line for the digest of states: `[source_id, copystate, migrationcycle]`, as JSON.
fn state_line(source_id: &str, seen: Option<&SeenState>) -> String {
    let (copystate, cycle) = (seen.and_then(|s| s.copystate.as_ref()), seen.and_then(|s| s.migrationcycle.as_ref()));
    serde_json::to_string(&(source_id, copystate, cycle)).expect("texts are JSON") + "\n"
}

/// Tells whether a file begins like a sealed plan of any version, however edited: such a file is nothing else.
pub(super) fn is_sealed(content: &[u8]) -> bool {
    let beginning: Vec<u8> = content.iter().copied().filter(u8::is_ascii_graphic).take(40).collect();
    beginning.starts_with(br#"{"schema":"cutover.sealed."#)
}

/// Reason for which a sealed plan is not accepted.
pub(super) enum Unsealed<E> {
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
pub(super) fn read<E>(
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
    if marks.digest != format!("sha256:{}", hex(&all.finalize())) {
        return Err(edited("its rows or its terms are not those that were sealed"));
    }
    if marks.states_digest != format!("sha256:{}", hex(&states.finalize())) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::signature::tests::{public_key, signed};

    fn seal(sealed_by: &str) -> Seal {
        Seal {
            digest: "sha256:d".into(),
            plan_digest: "sha256:p".into(),
            states_digest: "sha256:s".into(),
            sealed_by: sealed_by.into(),
            user: None,
            who: Who::default(),
            host: "h".into(),
            at: Timestamp::UNIX_EPOCH,
            lanes: Vec::new(),
            approvals: Vec::new(),
        }
    }

    /// Makes a seal with approvals by these names, each signed with the key of a seed or unsigned.
    fn approved(by: &[(&str, Option<u8>)]) -> Seal {
        let mut seal = seal("ada");
        for (name, key) in by {
            let mut approval = seal.approval(name, None, Who::default(), "h".into(), Timestamp::UNIX_EPOCH);
            approval.signature = key.map(|seed| signed(&seal.signed_text(&approval), Purpose::Approval, seed));
            seal.approvals.push(approval);
        }
        seal
    }

    fn n(seal: &Seal, approvers: Option<&str>) -> usize {
        let keys = |text: &str| {
            let text = text.replace("KEY1", &public_key(1)).replace("KEY2", &public_key(2));
            Allowed::read(&text).unwrap()
        };
        seal.counted(2, approvers.map(keys).as_ref(), Timestamp::now()).n
    }

    #[test]
    fn names_that_look_the_same_are_one_person() {
        for (one, other) in [
            ("Ada Lovelace", "ada  lovelace"),
            ("Ada", "\u{410}d\u{430}"),
            ("paypal", "p\u{430}ypal"),
            ("Bob", "B0b"),
            ("Carl", "CarI"),
            ("modern", "modem"),
            ("\u{ff21}da", "Ada"),
            ("Bj\u{f6}rn", "Bjo\u{308}rn"),
            ("x\u{200b}y", "xy"),
        ] {
            assert!(look_alike(one, other) && look_alike(other, one), "{one} {other}");
        }
        for (one, other) in [("Ada", "Bob"), ("M\u{fc}ller", "Muller"), ("Ann", "Anna"), ("Cy", "Cyd")] {
            assert!(!look_alike(one, other), "{one} {other}");
        }
        for name in ["", " ", "\u{200b}", "a\nb", "--"] {
            assert!(!is_a_name(name), "{name:?}");
        }
    }

    #[test]
    fn each_person_counts_once_and_the_sealer_not() {
        assert_eq!(n(&approved(&[("bob", None), ("cy", None)]), None), 2);
        assert_eq!(n(&approved(&[("bob", None), ("B\u{43e}b", None), ("ADA", None)]), None), 1);
        // One key is one person, whatever the names.
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(1)), ("dora", Some(2))]), None), 2);
    }

    #[test]
    fn only_signatures_count_where_somebody_says_whose() {
        let two = "bob KEY1\ncy KEY2";
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(2))]), Some(two)), 2);
        assert_eq!(n(&approved(&[("bob", None), ("cy", Some(2))]), Some(two)), 1);
        assert_eq!(n(&approved(&[("bob", Some(2)), ("cy", Some(1))]), Some(two)), 0);
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(1))]), Some("* KEY1")), 1);
        assert_eq!(n(&approved(&[("bob", Some(1)), ("bob", Some(2))]), Some("bob KEY1\nbob KEY2")), 1);
        assert_eq!(n(&approved(&[("ada", Some(1)), ("cy", Some(2))]), Some("* KEY1\n* KEY2")), 1);
        assert_eq!(n(&approved(&[("bob", Some(1))]), Some("bob valid-before=\"20200101Z\" KEY1")), 0);
        assert_eq!(n(&approved(&[("bob", Some(1))]), Some("bob namespaces=\"git\" KEY1")), 0);
    }

    #[test]
    fn a_signature_is_of_one_approval_of_one_seal() {
        let mut seal = approved(&[("bob", Some(1)), ("cy", Some(2))]);
        let of_the_first = seal.approvals[0].signature.clone();
        seal.approvals[1].signature = of_the_first;
        assert!(seal.signer_of(&seal.approvals[1]).unwrap().is_err());
        let mut other = approved(&[("bob", Some(1))]);
        other.digest = "sha256:other".into();
        assert!(other.signer_of(&other.approvals[0]).unwrap().is_err());
    }

    #[test]
    fn approvals_of_earlier_versions_are_as_they_were() {
        let line = r#"{"approval":{"as":"bob","user":"b","host":"h","at":"1970-01-01T00:00:00Z","check":"sha256:x"}}"#;
        let read: ApprovalLine = serde_json::from_str(line).unwrap();
        assert_eq!(approval_line(&read.approval), format!("{line}\n"));
    }
}
