//! Values of one row → a valid [`Row`], or everything that is wrong with it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::reading::Reading;
use crate::digest::{Digester, PlanDigest};
use crate::model::dialect::Field;
use crate::model::state::TargetState;
use crate::model::words::{self, Pairing, Word};
use crate::model::{BadSourceId, Row, RowId, SourceId};
use crate::plan::columns::{Cells, Column, PlanHeader, sheet_error};
use crate::plan::duplicates::{Agreed, Ids, NameCodes, ReaderTexts, Sighting, Suspects};
use crate::plan::ids::{oddity, within};
use crate::plan::problem::{Position, Problems, WarningKind, quoted, spelt_out};
use crate::plan::state_words::{column_of, objection, unprovable};
use crate::waves::Terms;
use crate::wording::amounts::bounded;

/// Looks up the position of a column's value; the position of the row for `None`, and for a column that the file does not have.
pub(crate) type Positions<'a> = &'a dyn Fn(Option<Column>) -> Position;

/// Checks the rows of one plan, in plan order.
pub(crate) struct RowChecker {
    pub(crate) problems: Problems,
    reading: Reading,
    scope: Rc<FileScope>,
    /// Number of lines in the files before this one: line numbers that are remembered for rows count through all files.
    n_lines_before: u32,
    n_lines: u32,
    files: Vec<(u32, String)>,
    /// File that rows are read from now; `None` for the plan itself.
    file: Option<Arc<str>>,
    /// A needed column is missing: reported once at the header, and not again for every row.
    lacks_source_id: bool,
    lacks_target_state: bool,
    ids: Ids,
    waves: NameCodes,
    accounts: NameCodes,
    /// Number of rows that name no account.
    n_without_account: u32,
    /// Target and expectation of the last row without warnings: the next row mostly has the same.
    blameless: Option<[TargetState; 2]>,
    digester: Digester,
    n_rows: u32,
}

/// Rules of the plan file for the rows that are read now.
#[derive(Clone, Debug, Default)]
struct FileScope {
    defaults: BTreeMap<&'static str, String>,
    has_bad_default: bool,
    /// Wave that the rows belong to because of where they stand.
    wave: Option<String>,
    /// Waves and targets that the plan file defines; rows may name any if it defines none.
    waves: Vec<String>,
    targets: Vec<String>,
    is_plan_file: bool,
}

impl FileScope {
    /// Fills empty cells with the plan's defaults.
    fn complete<'a>(&'a self, mut cells: Cells<'a>) -> Cells<'a> {
        if self.defaults.is_empty() {
            return cells;
        }
        for column in Column::ALL {
            let cell = &mut cells.known[column as usize];
            if cell.is_none() {
                *cell = self.defaults.get(column.name()).map(String::as_str);
            }
        }
        cells
    }
}

/// Result of checking all rows of a plan.
pub(crate) struct Total {
    pub(crate) problems: Problems,
    pub(crate) digest: PlanDigest,
    pub(crate) n_rows: u32,
    pub(crate) waves: Vec<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) any_without_account: bool,
    pub(crate) suspects: Suspects,
}

impl RowChecker {
    pub(crate) fn new(reading: Reading, ids: Ids) -> Self {
        Self {
            problems: Problems::new(reading.strict),
            reading,
            scope: Rc::default(),
            n_lines_before: 0,
            n_lines: 0,
            files: Vec::new(),
            file: None,
            lacks_source_id: false,
            lacks_target_state: false,
            ids,
            blameless: None,
            waves: NameCodes::default(),
            accounts: NameCodes::default(),
            n_without_account: 0,
            digester: Digester::new(),
            n_rows: 0,
        }
    }

    pub(crate) fn header(&mut self, header: &PlanHeader) {
        self.lacks_source_id = !header.has(Column::SourceId);
        self.lacks_target_state = !header.has_target_state() && !self.has_default_target();
        self.lacks_target_state |= self.scope.has_bad_default;
    }

    /// Reports a file without content. It is an error also where a plan may be empty: an export that broke off looks like that, and one
    /// that found nothing says so. `instead` is how a plan without rows is written in the file's notation.
    pub(crate) fn lacks_content(&mut self, lacks: &str, instead: &str) {
        let message = format!("the file is empty, {lacks} (`--allow-empty` takes {instead})");
        self.problems.error(Position { line: 1, column: 1 }, message, None);
    }

    pub(crate) fn allows_unknown(&self) -> bool {
        self.reading.allow_unknown
    }

    /// Tells whether rows without a target state of their own get one by default.
    pub(crate) fn has_default_target(&self) -> bool {
        [Column::Copystate, Column::Migrationcycle].iter().any(|column| self.scope.defaults.contains_key(column.name()))
    }

    /// Applies the terms and defaults of a plan file to all rows.
    pub(crate) fn under(&mut self, terms: &Terms, defaults: BTreeMap<&'static str, String>, has_bad_default: bool) {
        let waves = terms.waves.iter().map(|wave| wave.name.clone()).collect();
        let targets = terms.targets.keys().cloned().collect();
        self.scope = Rc::new(FileScope { defaults, has_bad_default, wave: None, waves, targets, is_plan_file: true });
    }

    /// Applies the terms of a sealed plan, whose rows already include their defaults.
    pub(crate) fn defined(&mut self, terms: &Terms) {
        if !terms.waves.is_empty() || !terms.targets.is_empty() {
            self.under(terms, BTreeMap::new(), false);
        }
    }

    /// Begins a file of rows, `None` for rows in the plan file itself; the rows may belong to one wave.
    pub(crate) fn begin_file(&mut self, file: Option<&str>, wave: Option<&str>) {
        Rc::make_mut(&mut self.scope).wave = wave.map(str::to_owned);
        (self.lacks_source_id, self.lacks_target_state) = (false, self.scope.has_bad_default);
        self.n_lines_before = self.n_lines;
        let n_file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push((self.n_lines_before, file.map_or_else(|| "the plan file".to_owned(), quoted)));
        self.problems.begin_file(if file.is_some() { n_file + 1 } else { 0 }, file);
        self.file = file.map(Arc::from);
    }

    /// Describes a line that is counted through all files by its file and the line in it.
    fn line_in_words(&self, line: u32) -> String {
        let Some((before, file)) = self.files.iter().rev().find(|(before, _)| *before < line) else {
            return format!("line {line}");
        };
        format!("line {} of {file}", line - before)
    }

    /// Checks a row; returns it if it is valid and the first with its id.
    pub(crate) fn row(&mut self, cells: Cells<'_>, at: Positions<'_>) -> Option<Row> {
        let scope = Rc::clone(&self.scope);
        let mut cells = scope.complete(cells);
        let n_errors = self.problems.n_errors();
        self.n_lines = self.n_lines_before.saturating_add(at(None).line);
        let has_its_place = self.has_its_place(&scope, &mut cells, at);
        let source_id = self.source_id(&cells, at);
        let wants = self.state(&cells, [Column::Copystate, Column::Migrationcycle], at);
        let expects = self.state(&cells, [Column::ExpectCopystate, Column::ExpectMigrationcycle], at);
        self.warn_of_sheet_errors(&cells, at);
        self.check_there_is_a_target(&cells, at);
        self.check_it_can_be_said(&wants, at);
        if self.lacks_target_state || !has_its_place || self.problems.n_errors() > n_errors {
            return None;
        }
        let source_id = source_id?;
        let line = at(None).line;

        let account = cells.get(Column::Target).map(|name| self.accounts.code(name));
        let wave = cells.get(Column::Wave).map(|name| self.waves.code(name));
        let terms = || Agreed::new(&wants, &expects, account, wave);
        let told = ReaderTexts { name: cells.get(Column::Name), note: cells.get(Column::Note), extra: &cells.extra };
        let sighting = self.ids.sight(&source_id, self.n_lines, terms, told);
        if !self.is_first(&source_id, sighting, at) {
            return None;
        }
        self.warn_of_states(&wants, &expects, at);
        self.n_rows += 1;
        self.n_without_account += u32::from(account.is_none());
        let row = Row {
            id: RowId(self.n_rows),
            line,
            file: self.file.clone(),
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

    /// Finishes the plan. `header` is where a plan without rows is reported.
    pub(crate) fn finish(mut self, header: Position, terms: &Terms, waves_at: &[Position]) -> Total {
        self.problems.begin_file(0, None);
        if self.n_rows == 0 && self.problems.n_errors() == 0 && !self.reading.allow_empty {
            self.problems.error(header, "the plan has no rows (`--allow-empty` takes such a plan)".to_owned(), None);
        }
        let named = self.waves.in_order();
        for (wave, at) in terms.waves.iter().zip(waves_at).filter(|(wave, _)| !wave.name.is_empty()) {
            if !named.contains(&wave.name) {
                let message = format!("the wave {} has no rows", quoted(&wave.name));
                self.problems.warning(WarningKind::WaveWithoutRows, *at, message, None);
            }
        }
        self.problems.sort();
        self.digester.terms(terms);
        Total {
            problems: self.problems,
            digest: self.digester.finish(),
            n_rows: self.n_rows,
            waves: named,
            accounts: self.accounts.in_order(),
            any_without_account: self.n_without_account > 0,
            suspects: self.ids.finish(),
        }
    }

    /// Checks that the row is in a wave and in an account that the plan has; an error of many rows is told once.
    fn has_its_place<'a>(&mut self, scope: &'a FileScope, cells: &mut Cells<'a>, at: Positions<'_>) -> bool {
        let wave = cells.get(Column::Wave);
        let mut is_misplaced = false;
        if let Some(own) = &scope.wave {
            if let Some(named) = wave.filter(|named| named != own) {
                let message =
                    format!("these are rows of the wave {}, and this one names {}", quoted(own), quoted(named));
                self.problems.error_of_rows(at(Some(Column::Wave)), message, None);
                is_misplaced = true;
            }
            cells.known[Column::Wave as usize] = Some(own);
        } else if scope.is_plan_file {
            let is_known = |named| scope.waves.iter().any(|wave| wave == named);
            let message = match wave {
                None if scope.waves.is_empty() => None,
                None => {
                    let waves = listed(&scope.waves);
                    Some(format!("the row names no wave, and the plan has waves: a column `wave` names one of {waves}"))
                }
                Some(named) if is_known(named) => None,
                Some(named) if scope.waves.is_empty() => {
                    let named = quoted(named);
                    Some(format!("the plan has no wave {named}: a table `[[waves]]` with that `name` makes it"))
                }
                Some(named) => Some(format!("the plan has no wave {}: it has {}", quoted(named), listed(&scope.waves))),
            };
            if let Some(message) = message {
                let near = wave.and_then(|named| words::nearest(named, scope.waves.iter().map(String::as_str)));
                self.problems.error_of_rows(at(Some(Column::Wave)), message, near);
                is_misplaced = true;
            }
        }
        if let Some(named) = cells.get(Column::Target).filter(|_| !scope.targets.is_empty())
            && !scope.targets.iter().any(|target| target == named)
        {
            let near = words::nearest(named, scope.targets.iter().map(String::as_str));
            let message = format!("the plan has no target {}: it has {}", quoted(named), listed(&scope.targets));
            self.problems.error_of_rows(at(Some(Column::Target)), message, near);
            is_misplaced = true;
        }
        !is_misplaced
    }

    fn source_id(&mut self, cells: &Cells<'_>, at: Positions<'_>) -> Option<SourceId> {
        if self.lacks_source_id {
            return None;
        }
        let text = cells.get(Column::SourceId).unwrap_or_default();
        if let Some(id) = SourceId::plain(text) {
            return Some(id);
        }
        let place = at(Some(Column::SourceId));
        if let Some(odd) = oddity(text) {
            let message = format!("the source id {odd}: {}", spelt_out(text));
            self.problems.warning(WarningKind::OddId, place, message, None);
        }
        SourceId::new(text)
            .map_err(|bad| {
                let message = match bad {
                    BadSourceId::Empty | BadSourceId::TooLong(_) | BadSourceId::Dots => bad.to_string(),
                    BadSourceId::Slash | BadSourceId::Control => format!("{bad}: {}", spelt_out(text)),
                };
                self.problems.error(place, message, within(text));
            })
            .ok()
    }

    /// Warns of failed look-ups of a spreadsheet: each would count as the name of a wave or an account.
    fn warn_of_sheet_errors(&mut self, cells: &Cells<'_>, at: Positions<'_>) {
        for column in [Column::Wave, Column::Target] {
            if let Some(value) = cells.get(column).filter(|value| sheet_error(value)) {
                let message = format!(
                    "{} is what a spreadsheet writes where a look-up fails, and no {}",
                    quoted(value),
                    column.name()
                );
                self.problems.warning(WarningKind::SheetError, at(Some(column)), message, None);
            }
        }
    }

    fn state(&mut self, cells: &Cells<'_>, [copystate, cycle]: [Column; 2], at: Positions<'_>) -> TargetState {
        TargetState {
            copystate: self.word(cells, copystate, Field::Copystate, at),
            migrationcycle: self.word(cells, cycle, Field::Migrationcycle, at),
        }
    }

    fn word(&mut self, cells: &Cells<'_>, column: Column, field: Field, at: Positions<'_>) -> Option<Word> {
        let text = cells.get(column)?;
        let word = Word::new(text);
        if let Some((message, suggestion)) = objection(&self.reading, field, text, &word) {
            self.problems.error(at(Some(column)), message, suggestion);
        }
        Some(word)
    }

    fn check_there_is_a_target(&mut self, cells: &Cells<'_>, at: Positions<'_>) {
        let targets = [Column::Copystate, Column::Migrationcycle];
        if self.lacks_target_state || targets.iter().any(|column| cells.get(*column).is_some()) {
            return;
        }
        // Whichever of the two columns the plan has; the later one if it has both.
        let place = targets.iter().map(|column| at(Some(*column))).max().unwrap_or(at(None));
        self.problems.error(place, "the row has no target state".to_owned(), None);
    }

    fn check_it_can_be_said(&mut self, wants: &TargetState, at: Positions<'_>) {
        let Reading { dialect, completion, .. } = self.reading;
        for objection in dialect.objections(wants, completion) {
            self.problems.error(at(Some(column_of(objection.field()))), objection.to_string(), None);
        }
    }

    fn is_first(&mut self, id: &SourceId, sighting: Sighting, at: Positions<'_>) -> bool {
        let this = at(Some(Column::SourceId));
        match sighting {
            Sighting::First => return true,
            Sighting::Again { line, differs } => {
                let id = quoted(id.as_str());
                let line = self.line_in_words(line);
                let (kind, message) = match differs.in_words() {
                    None => (
                        WarningKind::TwiceTheSame,
                        format!("{id} is on {line} already, all else equal; this row is left out"),
                    ),
                    Some(what) => (
                        WarningKind::TwiceToldOtherwise,
                        format!(
                            "{id} is on {line} already, and here with {what}; this row is left out with what it says"
                        ),
                    ),
                };
                self.problems.warning(kind, this, message, None);
            }
            Sighting::Conflict { line, difference } => {
                let id = quoted(id.as_str());
                let (line, here) = (self.line_in_words(line), self.line_in_words(self.n_lines));
                let caseless =
                    if id.bytes().any(|byte| byte.is_ascii_uppercase()) { " (in whatever case)" } else { "" };
                let message = format!("{id}{caseless} is on {line} and on {here}, with {difference}");
                self.problems.error(this, message, None);
            }
        }
        false
    }

    fn warn_of_states(&mut self, wants: &TargetState, expects: &TargetState, at: Positions<'_>) {
        if self.blameless.as_ref().is_some_and(|[wanted, expected]| wanted == wants && expected == expects) {
            return;
        }
        // In strict mode warnings are counted as errors.
        let n_found = |problems: &Problems| problems.n_errors() + problems.n_warnings();
        let n_found_before = n_found(&self.problems);
        self.warn_of_target(wants, at);
        self.warn_of_expectation(expects, at);
        if n_found(&self.problems) == n_found_before {
            self.blameless = Some([wants.clone(), expects.clone()]);
        }
    }

    fn warn_of_target(&mut self, wants: &TargetState, at: Positions<'_>) {
        if let (Some(copystate), Some(cycle)) = (&wants.copystate, &wants.migrationcycle)
            && words::pairing(copystate, cycle) == Pairing::Outside
        {
            let message = format!("the documented pairs do not have {copystate}/{cycle}: the service may refuse it");
            self.problems.warning(WarningKind::OutsideThePairs, at(Some(Column::Copystate)), message, None);
        }
        if let Some(copystate) = wants.copystate.as_ref().filter(|copystate| words::started_by_task_action(copystate)) {
            let message =
                format!("only an operator's task action starts \"{copystate}\": the row would change the record alone");
            self.problems.warning(WarningKind::TaskAction, at(Some(Column::Copystate)), message, None);
        }
        for (column, word) in unprovable(wants, [Column::Copystate, Column::Migrationcycle]) {
            let message = format!("reads never show \"{word}\": the row will end as unverified");
            self.problems.warning(WarningKind::NeverShown, at(Some(column)), message, None);
        }
    }

    fn warn_of_expectation(&mut self, expects: &TargetState, at: Positions<'_>) {
        for (column, word) in unprovable(expects, [Column::ExpectCopystate, Column::ExpectMigrationcycle]) {
            let message = format!("reads never show \"{word}\": the row will always be refused");
            self.problems.warning(WarningKind::NeverShown, at(Some(column)), message, None);
        }
    }
}

/// Lists names that the plan file defines.
fn listed(names: &[String]) -> String {
    bounded(&names.iter().map(|name| quoted(name)).collect::<Vec<_>>())
}
