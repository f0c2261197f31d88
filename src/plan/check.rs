//! The values of one row → a valid [`Row`], or everything that is wrong with it.

use crate::model::dialect::{Dialect, Field};
use crate::model::words::{self, Pairing, Word};
use crate::model::{BadSourceId, Row, RowId, SourceId, TargetState};
use crate::plan::Reading;
use crate::plan::columns::{Cells, Column, Header};
use crate::plan::digest::{Digester, PlanDigest};
use crate::plan::duplicates::{Names, SeenIds, Sighting, Terms};
use crate::plan::problem::{Position, Problems, quoted};

/// Where the value of a column stands in the row; the row's own place for none, and for a column that is not there.
pub(crate) type Places<'a> = &'a dyn Fn(Option<Column>) -> Position;

/// Judges the rows of one plan, in plan order.
pub(crate) struct Checker {
    pub(crate) problems: Problems,
    reading: Reading,
    /// Whether the header lacks a needed column: said once there, and not again for every row.
    lacks_source_id: bool,
    lacks_target_state: bool,
    seen: SeenIds,
    waves: Names,
    accounts: Names,
    /// Rows that name no account.
    n_without_account: u32,
    digester: Digester,
    n_rows: u32,
}

/// What the rows of a plan come to.
pub(crate) struct Total {
    pub(crate) problems: Problems,
    pub(crate) digest: PlanDigest,
    pub(crate) n_rows: u32,
    pub(crate) waves: Vec<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) any_without_account: bool,
}

impl Checker {
    pub(crate) fn new(reading: Reading) -> Self {
        Self {
            problems: Problems::new(reading.strict),
            reading,
            lacks_source_id: false,
            lacks_target_state: false,
            seen: SeenIds::default(),
            waves: Names::default(),
            accounts: Names::default(),
            n_without_account: 0,
            digester: Digester::new(),
            n_rows: 0,
        }
    }

    pub(crate) fn header(&mut self, header: &Header) {
        self.lacks_source_id = !header.has(Column::SourceId);
        self.lacks_target_state = !header.has_target_state();
    }

    /// The row, if it is one: valid, and the first of its id.
    pub(crate) fn row(&mut self, cells: Cells<'_>, at: Places<'_>) -> Option<Row> {
        let n_errors = self.problems.n_errors();
        let source_id = self.source_id(&cells, at);
        let wants = self.state(&cells, [Column::Copystate, Column::Migrationcycle], at);
        let expects = self.state(&cells, [Column::ExpectCopystate, Column::ExpectMigrationcycle], at);
        self.check_there_is_a_target(&cells, at);
        self.check_it_can_be_said(&wants, at);
        if self.lacks_target_state || self.problems.n_errors() > n_errors {
            return None;
        }
        let source_id = source_id?;
        let line = at(None).line;

        let account = cells.get(Column::Target).map(|name| self.accounts.code(name));
        let wave = cells.get(Column::Wave).map(|name| self.waves.code(name));
        let sighting = self.seen.sight(&source_id, line, Terms::new(&wants, &expects, account, wave));
        if !self.is_first(&source_id, sighting, at) {
            return None;
        }
        self.warn_of_target(&wants, at);
        self.warn_of_expectation(&expects, at);
        self.n_rows += 1;
        self.n_without_account += u32::from(account.is_none());
        let row = Row {
            id: RowId(self.n_rows),
            line,
            source_id,
            wants,
            expects,
            wave: cells.owned(Column::Wave),
            account: cells.owned(Column::Target),
            name: cells.owned(Column::Name),
            note: cells.owned(Column::Note),
            extra: cells.extra,
        };
        self.digester.row(&row);
        Some(row)
    }

    /// The end of the plan. `header` is where a plan without rows has its header.
    pub(crate) fn finish(mut self, header: Position) -> Total {
        if self.n_rows == 0 && self.problems.n_errors() == 0 {
            self.problems.error(header, "the plan has no rows".to_owned(), None);
        }
        self.problems.sort();
        Total {
            problems: self.problems,
            digest: self.digester.finish(),
            n_rows: self.n_rows,
            waves: self.waves.in_order(),
            accounts: self.accounts.in_order(),
            any_without_account: self.n_without_account > 0,
        }
    }

    fn source_id(&mut self, cells: &Cells<'_>, at: Places<'_>) -> Option<SourceId> {
        if self.lacks_source_id {
            return None;
        }
        let text = cells.get(Column::SourceId).unwrap_or_default();
        SourceId::new(text)
            .map_err(|bad| {
                let message = match bad {
                    BadSourceId::Empty | BadSourceId::TooLong(_) | BadSourceId::Dots => bad.to_string(),
                    BadSourceId::Slash | BadSourceId::Control => format!("{bad}: {}", quoted(text)),
                };
                self.problems.error(at(Some(Column::SourceId)), message, None);
            })
            .ok()
    }

    fn state(&mut self, cells: &Cells<'_>, [copystate, cycle]: [Column; 2], at: Places<'_>) -> TargetState {
        TargetState {
            copystate: self.word(cells, copystate, Field::Copystate, at),
            migrationcycle: self.word(cells, cycle, Field::Migrationcycle, at),
        }
    }

    fn word(&mut self, cells: &Cells<'_>, column: Column, field: Field, at: Places<'_>) -> Option<Word> {
        let text = cells.get(column)?;
        let word = Word::new(text);
        if !self.reading.allow_unknown && !field.knows(&word) {
            let (message, suggestion) = explain(self.reading.dialect, field, text, &word);
            self.problems.error(at(Some(column)), message, suggestion);
        }
        Some(word)
    }

    fn check_there_is_a_target(&mut self, cells: &Cells<'_>, at: Places<'_>) {
        let targets = [Column::Copystate, Column::Migrationcycle];
        if self.lacks_target_state || targets.iter().any(|column| cells.get(*column).is_some()) {
            return;
        }
        // Whichever of the two columns the plan has.
        let place = targets.iter().map(|column| at(Some(*column))).max().unwrap_or(at(None));
        self.problems.error(place, "the row has no target state".to_owned(), None);
    }

    fn check_it_can_be_said(&mut self, wants: &TargetState, at: Places<'_>) {
        let Reading { dialect, fills_in, .. } = self.reading;
        for objection in dialect.objections(wants, fills_in) {
            self.problems.error(at(Some(column_of(objection.field()))), objection.to_string(), None);
        }
    }

    fn is_first(&mut self, id: &SourceId, sighting: Sighting, at: Places<'_>) -> bool {
        let this = at(Some(Column::SourceId));
        match sighting {
            Sighting::First => return true,
            Sighting::Again { line } => {
                let id = quoted(id.as_str());
                let message = format!("{id} is on line {line} already, all else equal; this row is left out");
                self.problems.warning(this, message, None);
            }
            Sighting::Conflict { line, difference } => {
                let id = quoted(id.as_str());
                let message = format!("{id} is on line {line} and on line {}, with {difference}", this.line);
                self.problems.error(this, message, None);
            }
        }
        false
    }

    fn warn_of_target(&mut self, wants: &TargetState, at: Places<'_>) {
        if let (Some(copystate), Some(cycle)) = (&wants.copystate, &wants.migrationcycle)
            && words::pairing(copystate, cycle) == Pairing::Outside
        {
            let message = format!("the documented pairs do not have {copystate}/{cycle}: the service may refuse it");
            self.problems.warning(at(Some(Column::Copystate)), message, None);
        }
        if let Some(copystate) = wants.copystate.as_ref().filter(|copystate| words::started_by_task_action(copystate)) {
            let message =
                format!("only an operator's task action starts \"{copystate}\": the row would change the record alone");
            self.problems.warning(at(Some(Column::Copystate)), message, None);
        }
        for (column, word) in unprovable(wants, [Column::Copystate, Column::Migrationcycle]) {
            let message = format!("reads never show \"{word}\": the row will end as unverified");
            self.problems.warning(at(Some(column)), message, None);
        }
    }

    fn warn_of_expectation(&mut self, expects: &TargetState, at: Places<'_>) {
        for (column, word) in unprovable(expects, [Column::ExpectCopystate, Column::ExpectMigrationcycle]) {
            let message = format!("reads never show \"{word}\": the row will always be refused");
            self.problems.warning(at(Some(column)), message, None);
        }
    }
}

/// The words of a state that no look can show, with their columns.
fn unprovable(state: &TargetState, columns: [Column; 2]) -> impl Iterator<Item = (Column, &Word)> {
    let words = [state.copystate.as_ref(), state.migrationcycle.as_ref()];
    let named = columns.into_iter().zip(words).filter_map(|(column, word)| Some((column, word?)));
    named.filter(|(_, word)| words::never_shown(word))
}

fn column_of(field: Field) -> Column {
    match field {
        Field::Copystate => Column::Copystate,
        Field::Migrationcycle => Column::Migrationcycle,
    }
}

/// Why a word is none of this field, and what was probably meant. The nearest word of this field is no help where one of
/// the other field is nearer: `seting` is meant for `setting`, and not for `deleting`.
fn explain(dialect: Dialect, field: Field, text: &str, word: &Word) -> (String, Option<&'static str>) {
    let other = field.other();
    match words::nearest(text, dialect.words(field).chain(dialect.words(other))) {
        Some(near) if field.knows(&Word::new(near)) => (format!("unknown {field} {}", quoted(text)), Some(near)),
        Some(near) if near == word.as_str() => (format!("{} is a {other}, not a {field}", quoted(text)), None),
        Some(near) => (format!("unknown {field} {}, near to the {other} \"{near}\"", quoted(text)), None),
        None => (format!("unknown {field} {}", quoted(text)), None),
    }
}
