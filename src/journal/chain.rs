//! The hash chain: each event of a lane carries the hash of the one before it.
//!
//! The hashed form is plain text, so that a stranger can recompute it with `sqlite3` and `sha256sum`.

use std::fmt::Write as _;
use std::io::Write as _;

use sha2::{Digest, Sha256};

use crate::event::LaneId;

pub type Hash = [u8; 32];

/// The hash that a lane's first event carries as the one before it.
#[must_use]
pub fn genesis(run_id: &str, lane: LaneId) -> Hash {
    Sha256::digest(format!("cutover.chain.v1\n{run_id}\n{lane}\n")).into()
}

/// What is hashed of one event.
pub struct Link<'a> {
    pub prev: &'a Hash,
    pub lane: LaneId,
    pub seq: u64,
    pub at_ms: i64,
    pub kind: &'a str,
    pub row: Option<u32>,
    pub detail: &'a str,
}

impl Link<'_> {
    #[must_use]
    pub fn hash(&self) -> Hash {
        // Put together first: many small parts cost more than the hash.
        let mut text = Vec::with_capacity(192 + self.detail.len());
        text.extend_from_slice(&hex_digits(self.prev));
        _ = write!(text, "\n{}\n{}\n{}\n{}\n", self.lane, self.seq, self.at_ms, self.kind);
        if let Some(row) = self.row {
            _ = write!(text, "{row}");
        }
        text.push(b'\n');
        text.extend_from_slice(self.detail.as_bytes());
        text.push(b'\n');
        Sha256::digest(text).into()
    }
}

fn hex_digits(hash: &Hash) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
        *pair = hex_pair(*byte);
    }
    digits
}

/// The short code of a run's journal: a hash over the heads of its lanes, to be kept elsewhere.
#[must_use]
pub fn anchor(run_id: &str, heads: impl IntoIterator<Item = (LaneId, u64, Hash)>) -> String {
    let mut text = format!("cutover.anchor.v1\n{run_id}\n");
    for (lane, seq, head) in heads {
        _ = writeln!(text, "{lane} {seq} {}", hex(&head));
    }
    let code = hex(&Sha256::digest(text)[..10]);
    [&code[..5], &code[5..10], &code[10..15], &code[15..20]].join("-")
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex_pair(*byte)).map(char::from).collect()
}

fn hex_pair(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_common_tools_compute() {
        // printf 'cutover.chain.v1\nr1\n1\n' | sha256sum
        let prev = genesis("r1", LaneId(1));
        assert_eq!(hex(&prev), "99a490d2d2861f9914afcd298fa21c1867c12ec8fc292175bba0796faf190c63");
    }

    #[test]
    fn every_part_of_an_event_changes_its_hash() {
        let prev = genesis("r1", LaneId(1));
        let link = || Link { prev: &prev, lane: LaneId(1), seq: 1, at_ms: 5, kind: "k", row: Some(3), detail: "{}" };
        let other = genesis("r2", LaneId(1));
        let variants = [
            Link { prev: &other, ..link() },
            Link { lane: LaneId(2), ..link() },
            Link { seq: 2, ..link() },
            Link { at_ms: 6, ..link() },
            Link { kind: "l", ..link() },
            Link { row: None, ..link() },
            Link { row: Some(4), ..link() },
            Link { detail: "[]", ..link() },
        ];
        for variant in variants {
            assert_ne!(variant.hash(), link().hash());
        }
    }

    #[test]
    fn the_anchor_names_run_and_heads() {
        let head = |lane: u32, seq: u64| (LaneId(lane), seq, genesis("r", LaneId(lane)));
        let code = anchor("r", [head(0, 2), head(1, 9)]);
        assert_eq!(code.len(), 23);
        assert_ne!(code, anchor("q", [head(0, 2), head(1, 9)]));
        assert_ne!(code, anchor("r", [head(0, 2), head(1, 8)]));
        assert_ne!(code, anchor("r", [head(0, 2)]));
    }
}
