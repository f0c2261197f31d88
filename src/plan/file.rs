//! Plan file in TOML → the terms of the plan, and the places of its rows; or every problem, with its position.
//!
//! `sections` reads single tables and reports their problems; `policy`, `waves` and `rows` know the meaning of theirs, and this
//! file that of the others.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use crate::model::dialect::Field;
use crate::model::words::{self, Word, nearest};
use crate::plan::columns::Column;
use crate::plan::problem::{Position, Problems, quoted};
use crate::plan::state_words::no_word;
use crate::values;
use crate::waves::{Terms, WaveTerms};

mod hooks;
mod policy;
pub(super) mod rows;
pub(super) mod sections;
mod waves;

use rows::RowsAt;
use sections::{FileProblems, Section};

/// Content of a plan file, before its rows are read.
#[derive(Debug, Default)]
pub(super) struct PlanFile {
    pub(super) terms: Terms,
    /// Values for rows that do not set them.
    pub(super) defaults: BTreeMap<&'static str, String>,
    /// One of the defaults is wrong, which was reported: rows that rely on it are not reported again.
    pub(super) has_bad_default: bool,
    pub(super) rows: Vec<RowsAt>,
    /// Position of each wave's definition, in the order of [`Terms::waves`].
    pub(super) waves_at: Vec<Position>,
}

/// Tells whether a text whose file name does not tell begins like a plan file: with a table, or with a key and its value.
pub(super) fn is_plan_file(text: &str) -> bool {
    let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')) else {
        return false;
    };
    // A spreadsheet writes `sep=;` above CSV to name the delimiter.
    if line.len() < 8 && line.to_ascii_lowercase().starts_with("sep=") {
        return false;
    }
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._- ".contains(c));
    let table = line.trim_start_matches('[').trim_end_matches(']');
    let is_table = line.starts_with('[') && line.ends_with(']') && is_name(table);
    is_table || line.split_once('=').is_some_and(|(key, _)| is_name(key.trim()))
}

/// Reads the whole file. Problems are reported, and reading goes on after each.
pub(super) fn read(text: &str, allow_unknown: bool, problems: &mut Problems) -> PlanFile {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span: Range<usize>| span.start.min(text.len()));
            let message = error.message().replace('\n', ", ");
            problems.error(Position::at_offset(text.as_bytes(), at, 1), format!("not TOML: {message}"), None);
            return PlanFile::default();
        }
    };
    let told = FileProblems::default();
    let file = read_document(Section::whole(&document, text, &told), allow_unknown);
    told.into(problems);
    file
}

fn read_document(mut plan: Section<'_>, allow_unknown: bool) -> PlanFile {
    let mut file = PlanFile::default();
    file.terms.name = plan.text("name");
    file.terms.ticket = plan.text("ticket");
    file.terms.reason = plan.text("reason");
    file.terms.require_approvals = plan.read("require_approvals", values::whole_number).unwrap_or(0);
    if let Some(targets) = plan.section("targets") {
        for (name, mut target) in targets.each_section() {
            let profile = target.text("profile").unwrap_or_else(|| name.clone());
            target.finish();
            file.terms.targets.insert(name, profile);
        }
    }
    if let Some(mut defaults) = plan.section("defaults") {
        let columns =
            [Column::Copystate, Column::Migrationcycle, Column::ExpectCopystate, Column::ExpectMigrationcycle];
        for column in columns.into_iter().chain([Column::Target, Column::Note]) {
            match defaults.text(column.name()).map(|text| (must_be_known(column, &text, allow_unknown), text)) {
                Some((Ok(()), text)) => _ = file.defaults.insert(column.name(), text),
                Some((Err(problem), _)) => {
                    defaults.complain_of(column.name(), problem);
                    file.has_bad_default = true;
                }
                None => (),
            }
        }
        defaults.finish();
    }
    policy::read(&mut plan, &mut file.terms);
    file.terms.hooks = hooks::read(&mut plan);
    file.rows.extend(rows::read(&mut plan, None));
    for mut wave in plan.sections("waves") {
        let at = wave.at();
        let name = wave.text("name").unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            wave.complain("a wave needs a `name`");
        }
        if file.terms.waves.iter().any(|other| other.name == name) {
            wave.complain(&format!("the wave {} is there twice", quoted(&name)));
        }
        file.rows.extend(rows::read(&mut wave, Some(&name)));
        let canary = wave.section("canary").and_then(waves::canary);
        let whole = waves::stage(&mut wave);
        wave.finish();
        file.terms.waves.push(WaveTerms { name, canary, whole });
        file.waves_at.push(at);
    }
    plan.finish();
    file
}

/// Checks a state word of the defaults, so that it is reported here and not at each row.
fn must_be_known(column: Column, text: &str, allow_unknown: bool) -> Result<(), String> {
    let (field, known) = match column {
        Column::Copystate | Column::ExpectCopystate => (Field::Copystate, &words::COPYSTATES[..]),
        Column::Migrationcycle | Column::ExpectMigrationcycle => (Field::Migrationcycle, &words::MIGRATIONCYCLES[..]),
        Column::SourceId | Column::Wave | Column::Target | Column::Name | Column::Note => return Ok(()),
    };
    if field.knows(&Word::new(text)) || allow_unknown && Word::could_be(text) {
        return Ok(());
    }
    if allow_unknown {
        return Err(no_word(field, text));
    }
    let near = nearest(text, known.iter().copied()).map_or(String::new(), |near| format!(" (did you mean {near:?}?)"));
    Err(format!("unknown {field} {}{near}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::policy::{in_window, keys_of_plan};
    use super::*;
    use crate::settings::keys::KEYS;
    use crate::values::share::Share;
    use crate::waves::hooks::Hook;

    fn told(text: &str) -> Vec<String> {
        let mut problems = Problems::new(false);
        read(text, false, &mut problems);
        problems.sort();
        let mut out = Vec::new();
        problems.render("p.toml", &mut crate::wording::printout::Printout::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    const WHOLE: &str = include_str!("../../tests/it/plans/whole.toml");

    #[test]
    fn a_plan_file_is_read_whole() {
        assert_eq!(told(WHOLE), Vec::<String>::new());
        let mut problems = Problems::new(false);
        let file = read(WHOLE, false, &mut problems);
        let terms = &file.terms;
        assert_eq!((terms.name.as_deref(), terms.require_approvals), (Some("north"), 2));
        assert_eq!(terms.targets["a"], "prod-a");
        assert_eq!(terms.targets["b"], "b");
        assert_eq!(file.defaults["copystate"], "cutovering");
        let policy: Vec<String> = terms.policy.iter().map(|(key, text)| format!("{key}={text}")).collect();
        let expected =
            "max_changes=100 max_failed=5% rate=5 reserve_rollback=on timezone=Europe/Berlin window=22:00-04:00";
        assert_eq!(policy.join(" "), expected);
        let [pilot, rest] = &terms.waves[..] else { panic!() };
        assert_eq!((pilot.whole.soak_s, pilot.whole.approval), (Some(900), true));
        let canary = pilot.canary.as_ref().unwrap();
        assert_eq!((canary.rows, canary.stage.soak_s), (Share::Percent(10.0), Some(90)));
        assert_eq!(canary.stage.halt.same_cause, Some(1));
        assert_eq!(
            (rest.whole.rate.as_ref().map(ToString::to_string).as_deref(), rest.whole.concurrency),
            (Some("30/m"), Some(2))
        );
        assert_eq!(rest.whole.halt.max_failed, Some(Share::Rows(3)));
        assert_eq!(file.rows.len(), 4);
        assert_eq!(file.rows[1].wave.as_deref(), Some("pilot"));
    }

    #[test]
    fn a_text_without_a_name_that_tells_is_told_by_its_beginning() {
        for text in ["name = 'x'", "# note\n\n[policy]\n", "[[waves]]\nname = 'a'", "files=['a.csv']"] {
            assert!(is_plan_file(text), "{text}");
        }
        for text in ["", "source_id,copystate\n", "[{\"source_id\": 1}]", "{\"a\":1}", "id;state\nx;=a"] {
            assert!(!is_plan_file(text), "{text}");
        }
    }

    #[test]
    fn the_sample_reads_without_a_problem() {
        let text = include_str!("../../samples/estate.toml");
        assert_eq!(told(text), Vec::<String>::new());
    }

    #[test]
    fn a_number_means_the_same_in_every_notation() {
        let mut problems = Problems::new(false);
        let file = read("[policy]\nrate = 0x10\nconcurrency = 0b11\nattempts = 1_0", false, &mut problems);
        let policy: Vec<&str> = file.terms.policy.values().map(String::as_str).collect();
        assert_eq!(policy, ["10", "3", "16"]);
    }

    /// Returns every key that the schema lists at a place of the plan.
    fn keys_of(schema: &serde_json::Value, at: &str) -> Vec<String> {
        schema.pointer(at).unwrap().as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schema_knows_the_keys_that_are_read_and_no_others() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../schemas/planfile.v1.json")).unwrap();
        let places = [
            ("/properties", ""),
            ("/properties/policy/properties", "[policy]\n"),
            ("/properties/window/properties", "[window]\n"),
            ("/properties/defaults/properties", "[defaults]\n"),
            ("/properties/hooks/properties", "[hooks]\n"),
            ("/properties/targets/additionalProperties/properties", "[targets.a]\n"),
            ("/$defs/halt/properties", "[halt]\n"),
            ("/$defs/halt/properties", "[[waves]]\nname = 'a'\n[waves.halt]\n"),
            ("/properties/waves/items/properties", "[[waves]]\n"),
            ("/properties/waves/items/properties/canary/properties", "[[waves]]\nname = 'a'\n[waves.canary]\n"),
        ];
        for (at, table) in places {
            let schema_keys = keys_of(&schema, at);
            for key in &schema_keys {
                let told = told(&format!("{table}{key} = 'x'"));
                assert!(!told.iter().any(|told| told.contains("unknown key")), "{table}{key}: {told:?}");
            }
            // Keys that the reader asks for have to be in the schema.
            let read = told_keys(table);
            assert_eq!(read.iter().filter(|key| !schema_keys.contains(key)).count(), 0, "{table}: {read:?}");
        }
    }

    /// Returns the keys that the reader asks for in a table.
    fn told_keys(table: &str) -> Vec<String> {
        let known = KEYS.iter().map(|key| key.name).chain(keys_of_plan().filter_map(|(_, rule)| in_window(rule)));
        let own = ["name", "ticket", "reason", "require_approvals", "files", "rows", "targets", "defaults", "policy"];
        let more = ["halt", "window", "waves", "canary", "soak", "approval", "profile", "hooks", "timeout"];
        let columns = Column::ALL.map(Column::name);
        let hooks = Hook::ALL.map(Hook::name);
        let all = known.chain(own).chain(more).chain(columns).chain(hooks);
        let is_read =
            |key: &&str| !told(&format!("{table}{key} = 'x'")).iter().any(|told| told.contains("unknown key"));
        all.filter(is_read).map(str::to_owned).collect()
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_what_was_meant() {
        let cases = [
            ("nam = 'x'", "1:1: error: unknown key \"nam\" in the plan (did you mean \"name\"?)"),
            ("[polcy]\nrate = 1", "1:2: error: unknown key \"polcy\" in the plan (did you mean \"policy\"?)"),
            ("[policy]\nraet = 1", "2:1: error: unknown key \"raet\" in `policy` (did you mean \"rate\"?)"),
            ("[policy]\nrate = 'fast'", "2:8: error: `rate`: `fast` is not a rate such as 10, 0.5, 30/m, 600/h or off"),
            ("[policy]\njournal = 'x'", "2:1: error: unknown key \"journal\" in `policy`"),
            ("[window]\nhours = '22-04'", "2:9: error: `hours`: `22-04` is not a window such as 22:00-04:00"),
            (
                "[window]\ntimezone = 'Mars/Olympus'",
                "2:12: error: `timezone`: `Mars/Olympus` is no time zone such as Europe/Berlin or UTC",
            ),
            ("[[waves]]\nsoak = '1m'", "1:1: error: a wave needs a `name`"),
            ("[[waves]]\nname = 'a'\n[[waves]]\nname = 'a'", "3:1: error: the wave \"a\" is there twice"),
            ("[[waves]]\nname = 'a'\ncanary = 5", "3:10: error: `canary` must be a table, and is a number"),
            (
                "[[waves]]\nname = 'a'\n[waves.canary]\nsoak = '1m'",
                "3:1: error: a canary needs `rows`: a number of them, or a percentage",
            ),
            ("[[waves]]\nname = 'a'\napproval = 'maybe'", "3:12: error: `approval`: `maybe` is neither on nor off"),
            (
                "[[waves]]\nname = 'a'\nhalt = { same_caus = 1 }",
                "3:10: error: unknown key \"same_caus\" in `halt` (did you mean \"same_cause\"?)",
            ),
            ("files = 'a.csv'", "1:9: error: `files` must be a list of texts, and is a text"),
            (
                "rows = [{ source_id = [1] }]",
                "1:23: error: the value of \"source_id\" must be a text in quotes, and is an array",
            ),
            ("name = 2027-01-01", "1:8: error: `name` must be a text in quotes, and is a date or a time"),
            ("ticket = 7", "1:10: error: `ticket` must be a text in quotes, and is a number"),
            ("[targets.a]\nprofile = true", "2:11: error: `profile` must be a text in quotes, and is a boolean"),
            ("[defaults]\ncopystate = true", "2:13: error: `copystate` must be a text in quotes, and is a boolean"),
            (
                "[hooks]\nbefore_runs = 'true'",
                "2:1: error: unknown key \"before_runs\" in `hooks` (did you mean \"before_run\"?)",
            ),
            ("[hooks]\nafter_run = ' '", "2:13: error: `after_run` is empty: leave it out"),
            ("[hooks]\nbefore_run = ['true']", "2:14: error: `before_run` must be a text in quotes, and is an array"),
            ("[hooks]\ntimeout = '0'", "2:11: error: `timeout`: "),
            ("name = 'x", "1:10: error: not TOML:"),
            (
                "[defaults]\ncopystate = 'finishd'",
                "2:13: error: unknown copystate \"finishd\" (did you mean \"finished\"?)",
            ),
            (
                "[[waves]]\nname = 'a'\n[waves.canary]\nrows = 0",
                "3:1: error: a canary of no rows is none: leave it out",
            ),
        ];
        for (text, expected) in cases {
            let told = told(text);
            assert!(told.iter().any(|told| told.starts_with(&format!("p.toml:{expected}"))), "{text}: {told:?}");
        }
    }

    /// Without quotes, `007` is 7, `1.10` is 1.1 and `1e3` is 1000: the value sent would differ from the text.
    #[test]
    fn what_a_row_is_called_is_a_text_and_what_people_read_may_be_more() {
        for value in
            ["5", "-1", "1.5", "0x1F", "true", "2027-01-01", "2027-01-01T22:00:00Z", "22:00:00", "[1]", "{a = 1}"]
        {
            for column in Column::ALL.into_iter().filter(|column| !column.is_for_people()) {
                let told = told(&format!("rows = [{{ {} = {value} }}]", column.name()));
                let expected = format!("error: the value of \"{}\" must be a text in quotes, and is", column.name());
                assert!(told.iter().any(|told| told.contains(&expected)), "{value}: {told:?}");
            }
        }
        let row = "rows = [{ id = 'a', state = 'error', name = 5, note = true, rack = 1.5 }]";
        let told = told(row);
        assert!(!told.iter().any(|told| told.contains("must be")), "{told:?}");
    }
}
