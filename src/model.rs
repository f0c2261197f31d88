//! Basic types that cannot hold invalid values: ids, state words, the target of a row and the state that was read.
//!
//! [`words`] holds the meaning of the service's vocabulary (documented pairs, states in which an update is ignored), [`dialect`]
//! the words of each edition of its API; this file has the values that carry them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod dialect;
mod lists;
pub mod state;
pub mod words;

use state::TargetState;

/// Position of a row in its plan, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowId(pub u32);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a source server: 1 to 36 characters, none of which could end or escape its path segment.
///
/// Keeps its spelling and is compared without case: ids are UUIDs, and a spreadsheet or a script that writes one in
/// capitals means the same server.
///
/// source: api-sms/UpdateCopyState.html (length). An encoded slash is read differently by the vendor's own
/// signers, so no id carries one.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct SourceId(Arc<str>);

impl PartialEq for SourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SourceId {}

impl Hash for SourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One write, where one for each byte takes a tenth longer for the check of a large plan (`cargo bench --bench speed -- scale`).
        let mut lower = [0; 4 * Self::MAX_CHARS];
        let lower = &mut lower[..self.0.len()];
        lower.copy_from_slice(self.0.as_bytes());
        lower.make_ascii_lowercase();
        state.write(lower);
    }
}

/// Reason for which a text is not a source id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSourceId {
    #[error("the source id is empty")]
    Empty,
    #[error("the source id has {0} characters, at most {max} are allowed", max = SourceId::MAX_CHARS)]
    TooLong(usize),
    #[error("the source id has a `/`")]
    Slash,
    #[error("the source id has a control character")]
    Control,
    /// `.` and `..` as a path segment lead to another address.
    #[error("the source id is `.` or `..`")]
    Dots,
}

impl SourceId {
    pub const MAX_CHARS: usize = 36;

    pub fn new(text: &str) -> Result<Self, BadSourceId> {
        if text.is_empty() {
            return Err(BadSourceId::Empty);
        }
        let n_chars = text.chars().count();
        if n_chars > Self::MAX_CHARS {
            return Err(BadSourceId::TooLong(n_chars));
        }
        if text.contains('/') {
            return Err(BadSourceId::Slash);
        }
        if text.chars().any(char::is_control) {
            return Err(BadSourceId::Control);
        }
        if text == "." || text == ".." {
            return Err(BadSourceId::Dots);
        }
        Ok(Self(text.into()))
    }

    /// Returns the id if it has only ASCII letters, digits, `-` and `_`, so that it cannot be mistaken for a lookalike.
    #[must_use]
    pub fn plain(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| matches!(byte, b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z');
        let is_id = !text.is_empty() && text.len() <= Self::MAX_CHARS && text.bytes().all(is_plain);
        is_id.then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Valid row of a plan: every row that exists can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: RowId,
    /// Line number in its file, for messages.
    pub line: u32,
    /// File of rows that holds it; `None` for the plan file itself.
    pub file: Option<Arc<str>>,
    pub source_id: SourceId,
    pub wants: TargetState,
    /// State that must be seen before a change is sent; empty when the plan expects nothing.
    pub expects: TargetState,
    pub wave: Option<String>,
    /// Value of the plan's column `target`: the account and endpoint that carries the row.
    pub account: Option<String>,
    pub name: Option<String>,
    pub note: Option<String>,
    /// Unknown columns, kept for the reports, in the file's order.
    pub extra: Vec<(String, String)>,
}

#[cfg(test)]
impl Row {
    /// Returns the first row of a plan, `vm-1`, with nothing but its target.
    pub(crate) fn first(wants: TargetState) -> Self {
        Self {
            id: RowId(1),
            line: 2,
            file: None,
            source_id: SourceId::new("vm-1").unwrap(),
            wants,
            expects: TargetState::default(),
            wave: None,
            account: None,
            name: None,
            note: None,
            extra: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_id_is_what_can_stand_in_a_path() {
        assert_eq!(SourceId::new("dcdbe339-b02d-4578-95a1-9c9c547d0000").unwrap().as_str().len(), 36);
        assert_eq!(SourceId::new(""), Err(BadSourceId::Empty));
        assert_eq!(SourceId::new(&"x".repeat(37)), Err(BadSourceId::TooLong(37)));
        assert_eq!(SourceId::new("a/b"), Err(BadSourceId::Slash));
        assert_eq!(SourceId::new("a\u{7}b"), Err(BadSourceId::Control));
        assert_eq!(SourceId::new(".."), Err(BadSourceId::Dots));
        assert!(SourceId::new("vm 1 ☃ %2F").is_ok());
        assert!(SourceId::new(&"☃".repeat(36)).is_ok());
    }

    #[test]
    fn two_spellings_of_one_id_are_one_id() {
        let keys = std::hash::RandomState::new();
        let ids = ["443e10cb-2439-597a-aed4-772070f8cb5b", "443E10CB-2439-597A-AED4-772070F8CB5B"];
        let [lower, upper] = ids.map(|id| SourceId::new(id).unwrap());
        assert_eq!(lower, upper);
        assert_eq!(std::hash::BuildHasher::hash_one(&keys, &lower), std::hash::BuildHasher::hash_one(&keys, &upper));
        assert_eq!(upper.as_str(), ids[1]);
        assert_ne!(lower, SourceId::new("443e10cb-2439-597a-aed4-772070f8cb5c").unwrap());
    }
}
