//! Identity of a plan: a hash over its rows, independent of the files that they came in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::model::Row;
use crate::model::words::Word;
use crate::waves::Terms;

/// Digest that names a plan: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanDigest([u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plan digest is `sha256:` and 64 lower-case hexadecimal digits")]
pub struct BadPlanDigest;

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PlanDigest {
    type Err = BadPlanDigest;

    fn from_str(text: &str) -> Result<Self, BadPlanDigest> {
        let digits = text.strip_prefix("sha256:").ok_or(BadPlanDigest)?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(BadPlanDigest);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = 16 * nibble(*high)? + nibble(*low)?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, BadPlanDigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(BadPlanDigest),
    }
}

impl Serialize for PlanDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlanDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a plan's digest from its rows, in plan order.
///
/// For each row, one line of JSON is hashed:
/// `[source_id, copystate, migrationcycle, expect_copystate, expect_migrationcycle, wave, target, name, note, extra]`,
/// null for what is absent, `extra` as pairs in the order of their names. Row ids and positions are left out, so that the same
/// rows have one digest in every format.
#[derive(Default)]
pub struct Digester {
    hash: Sha256,
    line: Vec<u8>,
}

/// Returns the terms of a plan file as they are hashed after its rows: one line of JSON; `None` for a plan without terms.
#[must_use]
pub fn terms_line(terms: &Terms) -> Option<String> {
    (!terms.is_empty()).then(|| serde_json::to_string(terms).expect("terms are JSON") + "\n")
}

impl Digester {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row, and returns its hashed line.
    pub fn row(&mut self, row: &Row) -> &[u8] {
        let Row { id: _, line: _, file: _, source_id, wants, expects, wave, account, name, note, extra } = row;
        let mut extra: Vec<&(String, String)> = extra.iter().collect();
        extra.sort();
        let texts = [
            Some(source_id.as_str()),
            wants.copystate.as_ref().map(Word::as_str),
            wants.migrationcycle.as_ref().map(Word::as_str),
            expects.copystate.as_ref().map(Word::as_str),
            expects.migrationcycle.as_ref().map(Word::as_str),
            wave.as_deref(),
            account.as_deref(),
            name.as_deref(),
            note.as_deref(),
        ];
        self.line.clear();
        self.line.push(b'[');
        for text in texts {
            put_text(&mut self.line, text);
            self.line.push(b',');
        }
        put_json(&mut self.line, &extra);
        self.line.extend_from_slice(b"]\n");
        self.hash.update(&self.line);
        &self.line
    }

    pub fn terms(&mut self, terms: &Terms) {
        if let Some(line) = terms_line(terms) {
            self.hash.update(line);
        }
    }

    #[must_use]
    pub fn finish(self) -> PlanDigest {
        PlanDigest(self.hash.finalize().into())
    }
}

/// Writes a text as `serde_json` does. Most texts need no escapes, and there are millions of them.
fn put_text(line: &mut Vec<u8>, text: Option<&str>) {
    let needs_escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    match text {
        None => line.extend_from_slice(b"null"),
        Some(text) if text.bytes().any(needs_escape) => put_json(line, &text),
        Some(text) => {
            line.push(b'"');
            line.extend_from_slice(text.as_bytes());
            line.push(b'"');
        }
    }
}

fn put_json(line: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(line, value).expect("texts can be written as JSON into memory");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RowId;
    use crate::model::state::TargetState;

    fn row() -> Row {
        Row {
            wave: Some("first".to_owned()),
            name: Some("say \"hi\"".to_owned()),
            note: Some("tab\tand ☃".to_owned()),
            extra: vec![("rack".to_owned(), "7".to_owned()), ("owner".to_owned(), "ops".to_owned())],
            ..Row::first(TargetState { copystate: Some(Word::new("STOPPED")), migrationcycle: None })
        }
    }

    fn digest(row: &Row) -> PlanDigest {
        let mut digester = Digester::new();
        digester.row(row);
        digester.finish()
    }

    #[test]
    fn the_digest_is_that_of_one_json_line_for_each_row() {
        let line = concat!(
            r#"["vm-1","stopped",null,null,null,"first",null,"say \"hi\"","tab\tand ☃","#,
            r#"[["owner","ops"],["rack","7"]]]"#,
            "\n"
        );
        assert_eq!(digest(&row()), PlanDigest(Sha256::digest(line).into()));
    }

    #[test]
    fn where_a_row_stands_in_its_file_makes_no_difference_and_what_it_says_does() {
        let mut moved = Row { id: RowId(9), line: 99, file: Some("rows.csv".into()), ..row() };
        moved.extra.reverse();
        assert_eq!(digest(&moved), digest(&row()));
        assert_ne!(digest(&Row { name: None, ..row() }), digest(&row()));
        // The same value in another column makes another plan.
        assert_ne!(digest(&Row { wave: None, account: row().wave, ..row() }), digest(&row()));
    }

    #[test]
    fn a_digest_is_read_back_as_it_was_written() {
        let digest = digest(&row());
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(serde_json::from_str::<PlanDigest>(&serde_json::to_string(&digest).unwrap()).unwrap(), digest);
        let text = digest.to_string();
        for bad in ["", "sha256:", &text[7..], &text[..70], &format!("{text}0"), &text.to_uppercase()] {
            assert_eq!(bad.parse::<PlanDigest>(), Err(BadPlanDigest), "{bad}");
        }
    }
}
