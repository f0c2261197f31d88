//! Bundle of evidence: files in one folder, and a manifest that names each of them by its hash. One signature covers the
//! manifest, and so all of them.
//!
//! Everything that can be made again from the bundle's own journal is made again and compared: head, plan, approvals, and the
//! reports that programs read. Reports for people are covered by the manifest alone.
//!
//! Later versions add columns and fields, and so a bundle states its [`BundleForm`]: one in the form of this version is compared
//! byte for byte, one in an earlier form as far as it goes, and one in a later form only by a later version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::finding::Finding;
use super::signature;
use crate::digest::{Digester, terms_line};
use crate::journal::chain::hex;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::paper::Paper;
use crate::ssh::signature::Signer;

pub mod reports;

use reports::{CompareError, Reports};

pub const MANIFEST: &str = "SHA256SUMS";
pub const SIGNATURE: &str = "SHA256SUMS.sig";
pub const JOURNAL: &str = "journal.db";
pub const HEAD: &str = "head";
pub const PLAN: &str = "plan.jsonl";
pub const APPROVALS: &str = "approvals.json";
pub const CHECK: &str = "check.py";
pub const FORM: &str = "form";
const CSV: &str = "report.csv";
const JSON: &str = "report.json";
/// Files without which a bundle cannot be checked.
const NEEDED: [&str; 6] = [JOURNAL, HEAD, PLAN, CSV, JSON, FORM];

/// All files that a bundle may have; a bundle of an unsealed plan has no approvals.
const FILES: [&str; 13] = [
    "README.md",
    APPROVALS,
    CHECK,
    FORM,
    HEAD,
    JOURNAL,
    PLAN,
    CSV,
    "report.html",
    JSON,
    "report.md",
    "report.xlsx",
    "report.xml",
];

/// Limit on the number of files, far above that of any bundle.
pub const MOST_FILES: usize = 64;
/// Longest manifest or signature that is read, in bytes.
pub const LONGEST_MANIFEST: u64 = 64 << 10;
/// Longest head that is read, in bytes: it names up to a thousand lanes.
const LONGEST_HEAD: u64 = 1 << 20;
const FIRST_OF_FORM: &str = "cutover.bundle.v1";

/// Program that checks a bundle, for anybody who has Python.
pub const CHECKER: &str = include_str!("bundle/check.py");

/// Faults of a bundle that show before any of its files is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    #[error("it has no {0}")]
    Lacks(String),
    #[error("`{0}` is not in its manifest")]
    Stranger(String),
    #[error("`{0}` is no plain file")]
    NoFile(String),
    #[error("`{0}` is not the file that the manifest names: its SHA-256 is another")]
    OtherFile(String),
    #[error("line {line} of its manifest is not as it was written")]
    Manifest { line: usize },
    #[error("`{0}` and another of its files differ only in case: on some machines they are one")]
    Twin(String),
    #[error("its `{FORM}` is not as it was written")]
    Form,
    #[error("it has more than {MOST_FILES} files")]
    TooMany,
    #[error("its files are far longer than what is in them")]
    Hollow,
    #[error("its archive is not as it was written: {0}")]
    Archive(String),
}

/// Names of the files with their SHA-256 hashes in hexadecimal digits, as `sha256sum` writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(pub BTreeMap<String, String>);

impl Manifest {
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, sum)| {
            _ = writeln!(text, "{sum}  {name}");
            text
        })
    }

    /// Reads a manifest. Refuses names that are paths, hidden, or there twice.
    pub fn read(text: &str) -> Result<Self, BadBundle> {
        let (mut sums, mut small) = (BTreeMap::new(), BTreeSet::new());
        for (line, text) in (1..).zip(text.lines()) {
            let bad = BadBundle::Manifest { line };
            let (sum, name) = text.split_once("  ").ok_or(bad.clone())?;
            let is_sum = sum.len() == 64 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !is_sum || !is_name(name) || sums.insert(name.to_owned(), sum.to_owned()).is_some() {
                return Err(bad);
            }
            if !small.insert(name.to_ascii_lowercase()) {
                return Err(BadBundle::Twin(name.to_owned()));
            }
        }
        let lacks = NEEDED.into_iter().find(|name| !sums.contains_key(*name));
        lacks.map_or(Ok(Self(sums)), |name| Err(BadBundle::Lacks(name.to_owned())))
    }

    /// Checks that these are the files of the manifest, besides itself and its signature.
    pub fn check_names(&self, names: &[String]) -> Result<(), BadBundle> {
        let is_own = |name: &str| name == MANIFEST || name == SIGNATURE;
        if let Some(stranger) = names.iter().find(|name| !is_own(name) && !self.0.contains_key(*name)) {
            return Err(BadBundle::Stranger(stranger.clone()));
        }
        let missing = self.0.keys().find(|known| !names.contains(known));
        missing.map_or(Ok(()), |name| Err(BadBundle::Lacks(name.clone())))
    }
}

/// Tells whether a file of a bundle may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=100).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(is_of_a_name)
        && !name.eq_ignore_ascii_case(MANIFEST)
        && !name.eq_ignore_ascii_case(SIGNATURE)
}

/// Version of the set of columns, fields and words in the files of a bundle. They are only ever added, which raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BundleForm(u32);

impl BundleForm {
    /// Version that this program writes. `check.py` has the same number.
    pub const CURRENT: Self = Self(2);

    /// Returns the text of the file `form`.
    #[must_use]
    pub fn text(self) -> String {
        format!("{FIRST_OF_FORM}\nform {}\n", self.0)
    }

    /// Reads the version. Of a later one only the number is read.
    fn read(text: &str) -> Result<Self, BadBundle> {
        let mut lines = text.lines();
        let (first, number) = (lines.next(), lines.next().and_then(|line| line.strip_prefix("form ")?.parse().ok()));
        let form = number.filter(|_| first == Some(FIRST_OF_FORM)).map(Self).ok_or(BadBundle::Form)?;
        if form > Self::CURRENT || text == form.text() { Ok(form) } else { Err(BadBundle::Form) }
    }

    #[must_use]
    pub fn is_later(self) -> bool {
        self > Self::CURRENT
    }

    #[must_use]
    pub fn is_earlier(self) -> bool {
        self < Self::CURRENT
    }
}

impl fmt::Display for BundleForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Result of checking a bundle besides its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bundled {
    pub files: usize,
    pub form: BundleForm,
    /// Files that were compared with nothing but the manifest.
    pub covered_by_manifest: Vec<String>,
    pub signed_by: Option<Signer>,
    /// True if its `check.py` is that of this version.
    pub checker_is_ours: bool,
}

/// Returns the run that the bundle is about, as its `head` names it.
pub fn run_of(folder: &Path) -> Result<String, BadBundle> {
    let head = short_text(folder, HEAD).ok();
    let named = head.as_deref().and_then(|head| head.lines().find_map(|line| line.strip_prefix("run ")));
    named.map(str::to_owned).ok_or_else(|| BadBundle::Lacks("run in its `head`".to_owned()))
}

/// Returns the form that a bundle states.
pub fn form_of(folder: &Path) -> Result<BundleForm, BadBundle> {
    short_text(folder, FORM).map_err(|_| BadBundle::Form).and_then(|text| BundleForm::read(&text))
}

fn short_text(folder: &Path, name: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(folder.join(name))?.take(LONGEST_HEAD).read_to_string(&mut text)?;
    Ok(text)
}

/// Finds the differences between the files and what their journal, which was verified before, makes of them.
pub fn compare(
    folder: &Path,
    manifest: &Manifest,
    form: BundleForm,
    journal: &Journal,
    run: &RunRecord,
) -> Result<Vec<Finding>, CompareError> {
    let mut findings = Vec::new();
    let mut differs = |file: &str, problem: String| {
        findings.push(Finding::BundleDiffers { file: file.to_owned(), problem });
    };
    for name in manifest.0.keys().filter(|name| !FILES.contains(&name.as_str())) {
        differs(name, "a bundle has no such file".to_owned());
    }
    // A bundle in an earlier form may lack some.
    let missing = FILES.iter().filter(|name| !manifest.0.contains_key(**name) && **name != APPROVALS);
    for name in missing.filter(|_| !form.is_earlier()) {
        differs(name, "it is not there".to_owned());
    }
    if !ends_where_it_says(&folder.join(JOURNAL))? {
        differs(JOURNAL, "there is something behind its end, or it is not as long as it says".to_owned());
    }
    let head = short_text(folder, HEAD)?;
    let (n_runs, last) = (journal.identity()?.n_runs, journal.last_tombstone()?);
    let is_as_old = signature::n_runs_of(&head).is_none_or(|said| said == n_runs)
        && signature::n_pruned_of(&head) == last.map(|last| last.n);
    if !is_as_old || signature::again(&head, journal, run)?.as_ref() != Some(&head) {
        differs(HEAD, "it is not the head of the journal".to_owned());
    }
    let paper = Paper::of_settings(&run.settings).unwrap_or_default();
    if manifest.0.get(PLAN) != Some(&sum_of_plan(journal, run, &paper)?) {
        differs(PLAN, "it is not the plan of the run".to_owned());
    }
    let approvals = approvals_text(&paper).map(|text| hex(&Sha256::digest(text)));
    if manifest.0.get(APPROVALS) != approvals.as_ref() {
        let problem = match approvals {
            Some(_) => "they are not those that the run began with",
            None => "the plan was not sealed, and nobody approved it",
        };
        differs(APPROVALS, problem.to_owned());
    }
    let reports = Reports { journal, run, is_earlier: form.is_earlier() };
    reports.compare_csv(&folder.join(CSV), &mut |problem| differs(CSV, problem))?;
    reports.compare_json(&folder.join(JSON), &mut |problem| differs(JSON, problem))?;
    Ok(findings)
}

/// Tells whether a database has the pages that its header counts, and no byte behind them, which SQLite would not read. A log
/// beside it is not looked at.
///
/// source: sqlite.org/fileformat2.html, 1.3.2 and 1.3.7
fn ends_where_it_says(database: &Path) -> io::Result<bool> {
    let mut file = File::open(database)?;
    let mut header = [0; 100];
    file.read_exact(&mut header)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 1 << 16,
        size => u64::from(size),
    };
    let (changes, changes_at_count) = (number(24), number(92));
    Ok(changes == changes_at_count && file.metadata()?.len() == page_size * u64::from(number(28)))
}

/// Returns the text of the file that says who sealed the plan and who approved it; `None` if the plan was not sealed.
#[must_use]
pub fn approvals_text(paper: &Paper) -> Option<String> {
    paper.seal.as_ref().map(|seal| serde_json::to_string_pretty(seal).expect("a seal is JSON") + "\n")
}

fn sum_of_plan(journal: &Journal, run: &RunRecord, paper: &Paper) -> Result<String, JournalError> {
    let (mut hash, mut digester) = (Sha256::new(), Digester::new());
    journal.for_each_planned_row(run.key, |row| hash.update(digester.row(row)))?;
    hash.update(terms_line(&paper.terms).unwrap_or_default());
    Ok(hex(&hash.finalize()))
}

/// Returns the files of a manifest that are compared with nothing else.
#[must_use]
pub fn not_compared(manifest: &Manifest) -> Vec<String> {
    let compared = [FORM, JOURNAL, HEAD, PLAN, APPROVALS, CSV, JSON, CHECK];
    manifest.0.keys().filter(|name| !compared.contains(&name.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(more: &str) -> String {
        let sum = "a".repeat(64);
        Manifest(NEEDED.iter().map(|name| ((*name).to_owned(), sum.clone())).collect()).text() + more
    }

    #[test]
    fn a_manifest_names_plain_files_once_each() {
        let whole = Manifest::read(&manifest("")).unwrap();
        assert_eq!(Manifest::read(&whole.text()).unwrap(), whole);
        let sum = "b".repeat(64);
        for bad in [
            format!("{sum}  ../x"),
            format!("{sum}  a/b"),
            format!("{sum}  .hidden"),
            format!("{sum}  -rf"),
            format!("{sum}  SHA256SUMS"),
            format!("{sum}  SHA256SUMS.sig"),
            format!("{sum}  sha256sums"),
            format!("{sum}  sha256sums.sig"),
            format!("{sum}  head"),
            format!("{sum} *x"),
            format!("{}  x", "B".repeat(64)),
            "x".to_owned(),
            String::new() + "\n",
            format!("{sum}  a\rb"),
        ] {
            let line = NEEDED.len() + 1;
            assert_eq!(Manifest::read(&manifest(&bad)), Err(BadBundle::Manifest { line }), "{bad:?}");
        }
        let twin = Manifest::read(&manifest(&format!("{sum}  Head")));
        assert_eq!(twin, Err(BadBundle::Twin("Head".to_owned())));
        assert_eq!(Manifest::read(""), Err(BadBundle::Lacks(JOURNAL.to_owned())));
    }

    #[test]
    fn a_folder_holds_what_its_manifest_names_and_nothing_else() {
        let whole = Manifest::read(&manifest("")).unwrap();
        let check = |skip: usize, more: &[&str]| {
            let names = NEEDED.iter().skip(skip).chain([&MANIFEST]).chain(more);
            whole.check_names(&names.map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(0, &[]), Ok(()));
        assert_eq!(check(0, &[SIGNATURE]), Ok(()));
        assert_eq!(check(0, &["x"]), Err(BadBundle::Stranger("x".to_owned())));
        assert_eq!(check(1, &[]), Err(BadBundle::Lacks(JOURNAL.to_owned())));
    }
}
