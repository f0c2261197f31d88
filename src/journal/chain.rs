//! The hash chain: each event of a lane carries the hash of the one before it.
//!
//! The hashed form is plain text, so that a stranger can recompute it with `sqlite3` and `sha256sum`.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::event::lane::LaneId;

pub type Hash = [u8; 32];

/// Returns the hash that a lane's first event carries in place of a previous one.
#[must_use]
pub fn genesis(run_id: &str, lane: LaneId) -> Hash {
    Sha256::digest(format!("cutover.chain.v1\n{run_id}\n{lane}\n")).into()
}

/// Fields of an event that its hash covers.
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
        // Assembled without a formatter, which costs 2 % of the instructions of a change (benches/README.md, "Instructions").
        let mut text = Vec::with_capacity(192 + self.detail.len());
        let [mut lane, mut seq, mut at_ms, mut row] = [itoa::Buffer::new(); 4];
        let lines: [&[u8]; 7] = [
            &hex_digits(self.prev),
            lane.format(self.lane.0).as_bytes(),
            seq.format(self.seq).as_bytes(),
            at_ms.format(self.at_ms).as_bytes(),
            self.kind.as_bytes(),
            self.row.map_or(&[], |number| row.format(number).as_bytes()),
            self.detail.as_bytes(),
        ];
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
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

/// Hash over the heads of a run's lanes, to be kept elsewhere. People keep its first 128 bits, in groups of four digits;
/// earlier versions showed 80 bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(Hash);

/// Digits of the code that is shown.
const SHOWN: usize = 32;
/// Digits of the code that earlier versions showed.
const SHORT: usize = 20;

impl Anchor {
    #[must_use]
    pub fn new(run_id: &str, heads: impl IntoIterator<Item = (LaneId, u64, Hash)>) -> Self {
        Self::of_named(run_id, heads.into_iter().map(|(lane, seq, head)| (lane, seq, hex(&head))))
    }

    /// Makes the anchor from heads in hexadecimal digits.
    pub fn of_named(run_id: &str, heads: impl IntoIterator<Item = (LaneId, u64, impl AsRef<str>)>) -> Self {
        let mut text = format!("cutover.anchor.v1\n{run_id}\n");
        for (lane, seq, head) in heads {
            _ = writeln!(text, "{lane} {seq} {}", head.as_ref());
        }
        Self(Sha256::digest(text).into())
    }

    /// Returns all 256 bits as hexadecimal digits.
    #[must_use]
    pub fn whole(&self) -> String {
        hex(&self.0)
    }

    /// Returns the code that earlier versions showed.
    #[must_use]
    pub fn short(&self) -> String {
        grouped(&self.whole()[..SHORT], 5)
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&grouped(&self.whole()[..SHOWN], 4))
    }
}

fn grouped(digits: &str, n: usize) -> String {
    let groups = digits.as_bytes().chunks(n).map(|group| str::from_utf8(group).expect("digits are ASCII"));
    groups.collect::<Vec<_>>().join("-")
}

/// Anchor as somebody kept it: the code that is shown, more digits of the hash, or the code of earlier versions. Case, blanks and
/// dashes do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an anchor has {SHOWN} hexadecimal digits, up to 64 of them in JSON and reports, or {SHORT} of an earlier version"
)]
pub struct BadCode;

impl Code {
    /// Tells whether the anchor begins with this code.
    #[must_use]
    pub fn is_of(&self, anchor: Anchor) -> bool {
        anchor.whole().starts_with(&self.0)
    }

    /// Tells whether it has only the 80 bits of earlier versions, which are too few against somebody who can try many journals.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.len() == SHORT
    }
}

impl FromStr for Code {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<Self, BadCode> {
        let digits: String = text.chars().filter(|c| *c != '-' && !c.is_whitespace()).collect();
        let digits = digits.to_ascii_lowercase();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = matches!(digits.len(), SHORT | SHOWN..=64);
        if is_hex && fits { Ok(Self(digits)) } else { Err(BadCode) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            SHORT => f.write_str(&grouped(&self.0, 5)),
            SHOWN => f.write_str(&grouped(&self.0, 4)),
            _ => f.write_str(&self.0),
        }
    }
}

/// Digest of a text by which something is named outside of the journal: the first half of its SHA-256.
pub(crate) fn name_digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..16])
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
        let anchor = Anchor::new("r", [head(0, 2), head(1, 9)]);
        assert_eq!((anchor.to_string().len(), anchor.short().len(), anchor.whole().len()), (39, 23, 64));
        assert_ne!(anchor, Anchor::new("q", [head(0, 2), head(1, 9)]));
        assert_ne!(anchor, Anchor::new("r", [head(0, 2), head(1, 8)]));
        assert_ne!(anchor, Anchor::new("r", [head(0, 2)]));
    }

    #[test]
    fn an_anchor_is_known_by_each_form_in_which_people_keep_it() {
        let anchor = Anchor::new("r", [(LaneId(0), 2, genesis("r", LaneId(0)))]);
        let code = |text: &str| text.parse::<Code>().unwrap();
        let shown = anchor.to_string();
        for text in [&shown, &shown.to_uppercase(), &shown.replace('-', " "), &anchor.whole(), &anchor.short()] {
            assert!(code(text).is_of(anchor), "{text}");
            assert_eq!(code(text).is_short(), *text == anchor.short(), "{text}");
            assert_eq!(code(&code(text).to_string()), code(text));
        }
        let other = anchor.whole().replace('0', "1");
        assert!(!code(&other).is_of(anchor));
        // Lengths between the known ones are refused: a part of a code proves less than it seems to.
        for bad in
            ["", "x", &shown[..38], &anchor.short()[..22], &(anchor.whole() + "0"), "0x0123456789012345678901234567890"]
        {
            assert_eq!(bad.parse::<Code>(), Err(BadCode), "{bad}");
        }
    }
}
