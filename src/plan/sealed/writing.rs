//! Writing of a sealed plan.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::lines::{Head, Marks, RowLine, digest_text, seal_line, state_line};
use crate::model::Row;
use crate::model::state::SeenState;

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
        let digest = digest_text(self.all);
        let states_digest = digest_text(self.states);
        let marks = Marks { rows: self.rows, plan_digest: plan_digest.to_owned(), states_digest, digest };
        self.out.write_all(seal_line(&marks).as_bytes())?;
        Ok(marks.digest)
    }
}
