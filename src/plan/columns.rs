//! Columns of a plan: their names, and the mapping from a header to them.

use std::collections::HashMap;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::plan::problem::{Position, Problems, WarningKind, quoted};

/// Known column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    SourceId,
    Copystate,
    Migrationcycle,
    ExpectCopystate,
    ExpectMigrationcycle,
    Wave,
    Target,
    Name,
    Note,
}

impl Column {
    pub(crate) const ALL: [Column; 9] = [
        Column::SourceId,
        Column::Copystate,
        Column::Migrationcycle,
        Column::ExpectCopystate,
        Column::ExpectMigrationcycle,
        Column::Wave,
        Column::Target,
        Column::Name,
        Column::Note,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Column::SourceId => "source_id",
            Column::Copystate => "copystate",
            Column::Migrationcycle => "migrationcycle",
            Column::ExpectCopystate => "expect_copystate",
            Column::ExpectMigrationcycle => "expect_migrationcycle",
            Column::Wave => "wave",
            Column::Target => "target",
            Column::Name => "name",
            Column::Note => "note",
        }
    }

    /// Tells whether only people read it. All others are identifiers, which may not be numbers or dates: `007` would become `7`.
    pub(crate) fn is_for_people(self) -> bool {
        match self {
            Column::Name | Column::Note => true,
            Column::SourceId
            | Column::Copystate
            | Column::Migrationcycle
            | Column::ExpectCopystate
            | Column::ExpectMigrationcycle
            | Column::Wave
            | Column::Target => false,
        }
    }

    /// Names of the column, in the form that [`plain`] gives. The Chinese ones are those of the console and of plans that are
    /// kept beside it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Column::SourceId => {
                &["sourceid", "id", "serverid", "源端id", "源端服务器id", "服务器id", "主机id", "迁移源id"]
            }
            Column::Copystate => &["copystate", "state", "targetstate", "目标状态", "状态", "迁移状态"],
            Column::Migrationcycle => &["migrationcycle", "cycle", "stage", "目标阶段", "阶段", "迁移阶段"],
            Column::ExpectCopystate => &["expectcopystate", "fromstate", "期望状态", "预期状态"],
            Column::ExpectMigrationcycle => &["expectmigrationcycle", "fromcycle", "期望阶段", "预期阶段"],
            Column::Wave => &["wave", "批次", "波次"],
            Column::Target => &["target", "account", "profile", "账号", "目标账号"],
            Column::Name => &["name", "hostname", "名称", "主机名", "主机名称", "服务器名称", "源端名称"],
            Column::Note => &["note", "comment", "备注", "说明"],
        }
    }

    pub(crate) fn named(name: &str) -> Option<Column> {
        let name = plain(name);
        Column::ALL.into_iter().find(|column| column.names().contains(&name.as_str()))
    }

    /// Returns the column that an unknown name was probably meant for.
    pub(crate) fn similar(name: &str) -> Option<Column> {
        /// Accepts `sorce_id`, `wve` and `status`, and keeps `date`, `role` and `site` from being a `note`.
        const ALIKE: f64 = 0.86;
        let name = plain(name);
        Column::ALL
            .into_iter()
            .map(|column| (column.names().iter().map(|known| strsim::jaro_winkler(&name, known)), column))
            .map(|(likeness, column)| (likeness.fold(0.0, f64::max), column))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, column)| column)
    }
}

/// Normalizes a column's name: drops case, `-`, `_`, spaces, invisible characters, and the width that Chinese input gives to
/// letters.
fn plain(name: &str) -> String {
    let name = ComposingNormalizerBorrowed::new_nfkc().normalize(name);
    let counts = |c: &char| !matches!(c, '-' | '_') && !c.is_whitespace() && !is_unseen(*c);
    name.chars().filter(counts).flat_map(char::to_lowercase).collect()
}

/// Tells whether it is a soft hyphen, a zero-width character, or a mark of direction or byte order.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// Tells whether a cell holds the error value of a spreadsheet, from a failed look-up or formula. Most are a word of its language
/// behind a `#`, and end in `!` or `?`; some programs write `Err:502`.
pub(crate) fn sheet_error(cell: &str) -> bool {
    const BARE: [&str; 7] = ["N/A", "NV", "N/D", "N/V", "NB", "BRAK!", "GETTING_DATA"];
    if let Some(number) = cell.strip_prefix("Err:") {
        return !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some(word) = cell.strip_prefix('#') else { return false };
    let is_of_one = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '.' | '¡' | '¿');
    let shouted = word.strip_suffix(['!', '?']).filter(|word| word.chars().any(char::is_alphabetic));
    BARE.iter().any(|known| known.eq_ignore_ascii_case(word)) || shouted.is_some_and(|word| word.chars().all(is_of_one))
}

/// Values of one row, trimmed; `None` for an empty one.
#[derive(Default)]
pub(crate) struct Cells<'a> {
    pub(crate) known: [Option<&'a str>; Column::ALL.len()],
    pub(crate) extra: Vec<(String, String)>,
}

impl<'a> Cells<'a> {
    pub(crate) fn get(&self, column: Column) -> Option<&'a str> {
        self.known[column as usize]
    }

    pub(crate) fn owned(&self, column: Column) -> Option<String> {
        self.get(column).map(str::to_owned)
    }

    pub(crate) fn put(&mut self, place: &ColumnUse, value: &'a str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match place {
            ColumnUse::Known(column) => self.known[*column as usize] = Some(value),
            ColumnUse::Extra(name) => self.extra.push((name.clone(), value.to_owned())),
            ColumnUse::Nowhere => (),
        }
    }
}

/// Use of one field of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnUse {
    Known(Column),
    /// Kept for the reports under this name.
    Extra(String),
    /// Dropped: the column is a repeated one, which is an error already.
    Nowhere,
}

/// Mapping of a plan's fields to columns, as its header line defines it.
#[derive(Debug)]
pub(crate) struct PlanHeader {
    pub(crate) places: Vec<ColumnUse>,
    field_of: [Option<usize>; Column::ALL.len()],
}

impl PlanHeader {
    /// Maps the names. With `by_default`, rows have a target state even without a column for it.
    pub(crate) fn new(
        names: &[(String, Position)],
        start: Position,
        by_default: bool,
        problems: &mut Problems,
    ) -> Self {
        let mut header = Self { places: Vec::new(), field_of: [None; Column::ALL.len()] };
        let mut extras = HashMap::new();
        for (field, (name, at)) in names.iter().enumerate() {
            let place = match Column::named(name) {
                Some(column) => header.known(field, column, names, problems),
                None if name.is_empty() => unnamed(field, *at, problems),
                None => match extras.insert(plain(name), name) {
                    Some(first) => repeated(first, name, *at, problems),
                    None => ColumnUse::Extra(name.clone()),
                },
            };
            header.places.push(place);
        }
        let misspelt = header.report_missing(names, start, by_default, problems);
        header.warn_of_extras(names, &misspelt, problems);
        header
    }

    pub(crate) fn field_of(&self, column: Column) -> Option<usize> {
        self.field_of[column as usize]
    }

    pub(crate) fn has(&self, column: Column) -> bool {
        self.field_of(column).is_some()
    }

    pub(crate) fn has_target_state(&self) -> bool {
        self.has(Column::Copystate) || self.has(Column::Migrationcycle)
    }

    fn known(
        &mut self,
        field: usize,
        column: Column,
        names: &[(String, Position)],
        problems: &mut Problems,
    ) -> ColumnUse {
        let (name, at) = &names[field];
        if let Some(first) = self.field_of(column) {
            return repeated(&names[first].0, name, *at, problems);
        }
        self.field_of[column as usize] = Some(field);
        ColumnUse::Known(column)
    }

    /// Reports needed columns that are missing; returns the fields that were probably meant for them.
    fn report_missing(
        &self,
        names: &[(String, Position)],
        start: Position,
        by_default: bool,
        problems: &mut Problems,
    ) -> Vec<usize> {
        let mut misspelt = Vec::new();
        if !self.has(Column::SourceId) {
            let meant = self.meant_for(&[Column::SourceId], names);
            problems.error(start, missing("a column \"source_id\" is needed", meant, names), meant_name(meant));
            misspelt.extend(meant.map(|(field, _)| field));
        }
        if !self.has_target_state() && !by_default {
            let meant = self.meant_for(&[Column::Copystate, Column::Migrationcycle], names);
            let needed = "a column \"copystate\" or \"migrationcycle\" is needed";
            problems.error(start, missing(needed, meant, names), meant_name(meant));
            misspelt.extend(meant.map(|(field, _)| field));
        }
        misspelt
    }

    fn meant_for(&self, columns: &[Column], names: &[(String, Position)]) -> Option<(usize, Column)> {
        let extras = self.places.iter().enumerate().filter(|(_, place)| matches!(place, ColumnUse::Extra(_)));
        extras
            .filter_map(|(field, _)| Some((field, Column::similar(&names[field].0)?)))
            .find(|(_, column)| columns.contains(column))
    }

    /// Suggests each known column once: of hundreds of columns that look like it, none is meant.
    fn warn_of_extras(&self, names: &[(String, Position)], misspelt: &[usize], problems: &mut Problems) {
        let mut suggested: Vec<Column> = Vec::new();
        for (field, (name, at)) in names.iter().enumerate() {
            let is_extra = matches!(self.places[field], ColumnUse::Extra(_));
            if is_extra && !name.is_empty() && !misspelt.contains(&field) {
                let meant = warn_unknown(name, *at, |column| self.has(column) || suggested.contains(&column), problems);
                suggested.extend(meant);
            }
        }
    }
}

/// Warns of an unknown column, and returns the suggestion, made only for a column for which `has` is false. A column that asks
/// for an order of rows is an error: its rows would be sent before whatever they are to wait for.
pub(crate) fn warn_unknown(
    name: &str,
    at: Position,
    has: impl Fn(Column) -> bool,
    problems: &mut Problems,
) -> Option<Column> {
    if asks_for_order(name) {
        let message = format!(
            "the column {} asks rows to wait, and no row waits for that: put them into a later wave, or call the column \
             otherwise if only people are to read it",
            quoted(name)
        );
        problems.error(at, message, None);
        return None;
    }
    let meant = Column::similar(name).filter(|column| !has(*column));
    let message = format!("unknown column {}, kept for the reports only", quoted(name));
    problems.warning(WarningKind::UnknownColumn, at, message, meant.map(Column::name));
    meant
}

/// Tells whether a column is meant to delay its rows.
fn asks_for_order(name: &str) -> bool {
    matches!(plain(name).as_str(), "after" | "dependson" | "notbefore")
}

pub(crate) fn repeated(first: &str, name: &str, at: Position, problems: &mut Problems) -> ColumnUse {
    let message = if first == name {
        format!("the column {} is there twice", quoted(name))
    } else {
        format!("the columns {} and {} are one", quoted(first), quoted(name))
    };
    problems.error(at, message, None);
    ColumnUse::Nowhere
}

/// Keeps the empty column of a spreadsheet, with a warning.
fn unnamed(field: usize, at: Position, problems: &mut Problems) -> ColumnUse {
    let name = format!("column {}", field + 1);
    let message = format!("a column without a name, kept for the reports as \"{name}\"");
    problems.warning(WarningKind::UnknownColumn, at, message, None);
    ColumnUse::Extra(name)
}

fn missing(needed: &str, meant: Option<(usize, Column)>, names: &[(String, Position)]) -> String {
    match meant {
        Some((field, _)) => format!("{needed}, and the header has {}", quoted(&names[field].0)),
        None => needed.to_owned(),
    }
}

fn meant_name(meant: Option<(usize, Column)>) -> Option<&'static str> {
    meant.map(|(_, column)| column.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_case_dashes_underscores_and_spaces() {
        for name in ["Source ID", "source-id", "SOURCEID", "id", "Server_ID", "s_o_u_r_c_e_id"] {
            assert_eq!(Column::named(name), Some(Column::SourceId), "{name}");
        }
        assert_eq!(Column::named("Migration-Cycle"), Some(Column::Migrationcycle));
        assert_eq!(Column::named("target state"), Some(Column::Copystate));
        assert_eq!(Column::named("owner"), None);
        // Names as Chinese input and other programs leave them.
        for name in ["源端ID", "服务器 ID", "ＩＤ", "\u{FEFF}source_id", "source\u{200B}_id", "source\u{A0}id"] {
            assert_eq!(Column::named(name), Some(Column::SourceId), "{name:?}");
        }
        assert_eq!(Column::named("目标状态"), Some(Column::Copystate));
    }

    #[test]
    fn every_column_is_found_under_its_own_name() {
        for (index, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!((column as usize, Column::named(column.name())), (index, Some(column)));
        }
    }

    #[test]
    fn what_a_spreadsheet_writes_where_something_failed_is_known_in_every_language() {
        for cell in [
            "#N/A",
            "#n/a",
            "#REF!",
            "#VALUE!",
            "#NAME?",
            "#DIV/0!",
            "#NULL!",
            "#NUM!",
            "#SPILL!",
            "#ERROR!",
            "#NV",
            "#BEZUG!",
            "#WERT!",
            "#ZAHL!",
            "#ÜBERLAUF!",
            "#¡REF!",
            "#¿NOMBRE?",
            "#VALEUR!",
            "#NOM?",
            "#ССЫЛКА!",
            "#N/D",
            "#GETTING_DATA",
            "Err:502",
        ] {
            assert!(sheet_error(cell), "{cell}");
        }
        for cell in ["", "#", "#!", "#7", "# a comment!", "#vm-1", "vm-1!", "Err:", "Err:x", "err", "#1!", "a#REF!"] {
            assert!(!sheet_error(cell), "{cell}");
        }
    }

    #[test]
    fn a_misspelt_column_is_recognized_and_another_column_is_left_alone() {
        let cases = [("sorce_id", Column::SourceId), ("wve", Column::Wave), ("status", Column::Copystate)];
        for (name, column) in cases {
            assert_eq!(Column::similar(name), Some(column), "{name}");
        }
        for name in ["date", "role", "site", "owner", "os", "region", "ip", "ticket"] {
            assert_eq!(Column::similar(name), None, "{name}");
        }
    }
}
