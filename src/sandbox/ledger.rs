//! Ledger of every request that arrived, in order, against which tests check what was sent.
//!
//! An entry is written before the answer leaves, so that the request of a client that is killed in between is there as well.
//! Entries are compact, since a long run has hundreds of thousands.

use hyper::Method;
use serde::Serialize;

use super::text::encoded;
use crate::model::state::TargetState;

#[derive(Default)]
pub(super) struct Ledger {
    entries: Vec<RequestEntry>,
}

pub(super) struct RequestEntry {
    pub(super) at_us: u64,
    pub(super) what: What,
    /// Status of the answer; `None` if there was none.
    pub(super) status: Option<u16>,
    pub(super) effect: bool,
    pub(super) fault: Option<&'static str>,
    pub(super) body: Option<Box<TargetState>>,
}

/// Request of an entry; sources are given by their index in the estate.
pub(super) enum What {
    Change(u32),
    Show(u32),
    Other(Box<Other>),
}

/// A request that is no plain change or read of a source in the estate.
pub(super) struct Other {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) source_id: Option<String>,
    /// Sources on the page that was returned.
    pub(super) listed: Vec<u32>,
}

/// One line of the ledger.
#[derive(Serialize)]
struct EntryLine<'a> {
    n: usize,
    at_us: u64,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    source_id: Option<&'a str>,
    status: Option<u16>,
    effect: bool,
    fault: Option<&'static str>,
    body: Option<&'a TargetState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<&'a str>>,
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, entry: RequestEntry) {
        self.entries.push(entry);
    }

    /// Marks an earlier change as having taken effect, now that it has.
    pub(super) fn took_effect(&mut self, entry: usize) {
        self.entries[entry].effect = true;
    }

    /// Appends one entry as a line of JSON; `id` returns the ids of sources.
    pub(super) fn write_line<'a>(
        &'a self,
        entry: usize,
        with_ids: bool,
        id: impl Fn(u32) -> &'a str,
        out: &mut Vec<u8>,
    ) {
        let RequestEntry { at_us, what, status, effect, fault, body } = &self.entries[entry];
        let composed;
        let (method, path, query, source_id, listed) = match what {
            What::Change(source) => {
                composed = format!("/v3/sources/{}/changestate", encoded(id(*source)));
                ("PUT", composed.as_str(), "", Some(id(*source)), &[][..])
            }
            What::Show(source) => {
                composed = format!("/v3/sources/{}", encoded(id(*source)));
                ("GET", composed.as_str(), "", Some(id(*source)), &[][..])
            }
            What::Other(other) => {
                let Other { method, path, query, source_id, listed } = &**other;
                (method.as_str(), path.as_str(), query.as_str(), source_id.as_deref(), &listed[..])
            }
        };
        let line = EntryLine {
            n: entry + 1,
            at_us: *at_us,
            method,
            path,
            query,
            source_id,
            status: *status,
            effect: *effect,
            fault: *fault,
            body: body.as_deref(),
            ids: with_ids.then(|| listed.iter().map(|source| id(*source)).collect()),
        };
        serde_json::to_writer(&mut *out, &line).expect("a line of plain data is JSON");
        out.push(b'\n');
    }
}
