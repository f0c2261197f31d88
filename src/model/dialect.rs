//! Editions of the API: the state words that each accepts in writes, their spelling, and the fields that are mandatory.
//!
//! All of it follows from one table: its columns tell which words are known, which may be written, which can be read, and which
//! are spelled differently.

use std::fmt;
use std::str::FromStr;

use super::lists::{COPYSTATES, MIGRATIONCYCLES, WordEntry, canonical, has};
use super::state::{PairCompletion, SeenState, TargetState};
use super::words::Word;

/// Edition of the API's pages, named by its month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Y2025M11,
    Y2026M01,
}

/// One of the two fields of a state, named as in the body of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Copystate,
    Migrationcycle,
}

/// Vocabulary used with the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Words stay as the plan and the service's own answers spell them.
    #[default]
    Auto,
    /// Words are spelled as one edition spells them.
    Of(Edition),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of auto, 2025-11, 2026-01")]
pub struct BadDialect(String);

/// Reason for which a target cannot be expressed in an edition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    #[error("the {edition} edition has no {field} \"{word}\"")]
    Word { edition: Edition, field: Field, word: Word },
    #[error("the {edition} edition wants both fields, and nothing fills in the {field}")]
    Half { edition: Edition, field: Field },
}

impl Objection {
    /// Field that the objection is about.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Objection::Word { field, .. } | Objection::Half { field, .. } => *field,
        }
    }
}

/// Returns the words of an answer that no table has, with their fields.
pub fn unknown_words(seen: &SeenState) -> impl Iterator<Item = (Field, &Word)> {
    let named = Field::ALL.into_iter().zip([&seen.copystate, &seen.migrationcycle]);
    named.filter_map(|(field, word)| Some((field, word.as_ref()?))).filter(|(field, word)| !field.knows(word))
}

impl Field {
    pub const ALL: [Field; 2] = [Field::Copystate, Field::Migrationcycle];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Field::Copystate => "copystate",
            Field::Migrationcycle => "migrationcycle",
        }
    }

    #[must_use]
    pub fn other(self) -> Field {
        match self {
            Field::Copystate => Field::Migrationcycle,
            Field::Migrationcycle => Field::Copystate,
        }
    }

    /// Tells whether any list has the word for this field.
    #[must_use]
    pub fn knows(self, word: &Word) -> bool {
        has(self.table(), word.as_str())
    }

    fn table(self) -> &'static [WordEntry] {
        match self {
            Field::Copystate => &COPYSTATES,
            Field::Migrationcycle => &MIGRATIONCYCLES,
        }
    }

    fn word_in(self, target: &TargetState) -> Option<&Word> {
        match self {
            Field::Copystate => target.copystate.as_ref(),
            Field::Migrationcycle => target.migrationcycle.as_ref(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Edition {
    pub const ALL: [Edition; 2] = [Edition::Y2025M11, Edition::Y2026M01];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Edition::Y2025M11 => "2025-11",
            Edition::Y2026M01 => "2026-01",
        }
    }

    /// Tells whether a change has to name both fields.
    ///
    /// sources: intl api-sms/UpdateCopyState.html (English, 2025-11-27: neither is mandatory), CN
    /// api-sms/UpdateCopyState.html (2026-01-27: both are).
    #[must_use]
    pub fn wants_both_fields(self) -> bool {
        match self {
            Edition::Y2025M11 => false,
            Edition::Y2026M01 => true,
        }
    }

    /// Words that may be written into a field.
    fn words(self, field: Field) -> impl Iterator<Item = &'static str> {
        let has = move |[y2025m11, y2026m01, _]: [bool; 3]| match self {
            Edition::Y2025M11 => y2025m11,
            Edition::Y2026M01 => y2026m01,
        };
        field.table().iter().filter(move |(_, lists)| has(*lists)).map(|(word, _)| *word)
    }

    /// Returns a word as this edition spells it; `None` when the edition does not have it.
    fn spelled(self, field: Field, word: &Word) -> Option<Word> {
        self.words(field).find(|known| canonical(known) == canonical(word.as_str())).map(Word::new)
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = BadDialect;

    fn from_str(text: &str) -> Result<Self, BadDialect> {
        if text == "auto" {
            return Ok(Dialect::Auto);
        }
        let edition = Edition::ALL.into_iter().find(|edition| edition.name() == text);
        edition.map(Dialect::Of).ok_or_else(|| BadDialect(text.to_owned()))
    }
}

impl Dialect {
    fn edition(self) -> Option<Edition> {
        match self {
            Dialect::Auto => None,
            Dialect::Of(edition) => Some(edition),
        }
    }

    /// Words that may be written into a field.
    pub fn words(self, field: Field) -> impl Iterator<Item = &'static str> {
        let all = field.table().iter().map(|(word, _)| *word);
        all.filter(move |word| self.edition().is_none_or(|edition| edition.words(field).any(|known| known == *word)))
    }

    /// Returns a target with its words spelled as they go over the wire. A word that no list has stays as it is.
    #[must_use]
    pub fn spelled(self, target: TargetState) -> TargetState {
        let Some(edition) = self.edition() else { return target };
        let spelled = |field: Field, word: Option<Word>| word.map(|word| edition.spelled(field, &word).unwrap_or(word));
        TargetState {
            copystate: spelled(Field::Copystate, target.copystate),
            migrationcycle: spelled(Field::Migrationcycle, target.migrationcycle),
        }
    }

    /// Returns what this dialect cannot express of a target. Words that no list has are not judged here: they were allowed
    /// explicitly. A field that the target leaves open is no objection where it will be filled in.
    pub fn objections(self, target: &TargetState, completion: PairCompletion) -> impl Iterator<Item = Objection> {
        let edition = self.edition().filter(|_| !target.is_empty());
        edition.into_iter().flat_map(move |edition| {
            Field::ALL.into_iter().filter_map(move |field| match field.word_in(target) {
                Some(word) if field.knows(word) && edition.spelled(field, word).is_none() => {
                    Some(Objection::Word { edition, field, word: word.clone() })
                }
                None if edition.wants_both_fields() && completion == PairCompletion::Off => {
                    Some(Objection::Half { edition, field })
                }
                Some(_) | None => None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lists::is_written_but_never_shown;

    fn target(copystate: &str, cycle: &str) -> TargetState {
        let word = |text: &str| (!text.is_empty()).then(|| Word::new(text));
        TargetState { copystate: word(copystate), migrationcycle: word(cycle) }
    }

    fn seen(copystate: &str, cycle: &str) -> SeenState {
        let TargetState { copystate, migrationcycle } = target(copystate, cycle);
        SeenState { copystate, migrationcycle }
    }

    fn written(edition: Edition, field: Field) -> Vec<&'static str> {
        Dialect::Of(edition).words(field).collect()
    }

    fn shown(field: Field) -> Vec<&'static str> {
        field.table().iter().filter(|(_, [_, _, shown])| *shown).map(|(word, _)| *word).collect()
    }

    #[test]
    fn each_list_is_as_long_as_it_was_published() {
        let [old, new] = Edition::ALL;
        let lengths = |field| [written(old, field).len(), written(new, field).len(), shown(field).len()];
        assert_eq!(lengths(Field::Copystate), [19, 20, 19]);
        assert_eq!(lengths(Field::Migrationcycle), [6, 10, 6]);
        assert_eq!(Dialect::Auto.words(Field::Copystate).count(), 21);
        assert_eq!(Dialect::Auto.words(Field::Migrationcycle).count(), 10);
    }

    #[test]
    fn the_lists_differ_in_seven_words() {
        let [old, new] = Edition::ALL;
        let gone = |field| -> Vec<&str> {
            let new = written(new, field);
            written(old, field).into_iter().filter(|word| !new.contains(word)).collect()
        };
        let came = |field| -> Vec<&str> {
            let old = written(old, field);
            written(new, field).into_iter().filter(|word| !old.contains(word)).collect()
        };
        assert_eq!((gone(Field::Copystate), came(Field::Copystate)), (vec!["initialize"], vec!["init", "premiging"]));
        assert_eq!(gone(Field::Migrationcycle), Vec::<&str>::new());
        assert_eq!(came(Field::Migrationcycle), ["no_ready", "ready_for_test", "testing", "tested"]);
        // The older edition accepts exactly the words that reads show.
        assert_eq!([shown(Field::Copystate), shown(Field::Migrationcycle)], Field::ALL.map(|f| written(old, f)));
    }

    #[test]
    fn whatever_reads_show_can_be_written_back_in_every_edition() {
        for edition in Edition::ALL {
            for field in Field::ALL {
                for word in shown(field) {
                    let spelled = edition.spelled(field, &Word::new(word)).expect(word);
                    assert_eq!(spelled, Word::new(word), "{edition} {field}");
                }
            }
        }
    }

    #[test]
    fn an_edition_spells_init_in_its_own_way_and_auto_in_the_plans() {
        let spelled = |dialect: &str, word: &str| {
            let dialect: Dialect = dialect.parse().unwrap();
            dialect.spelled(target(word, "Replicating")).to_string()
        };
        for word in ["INIT", "init", "Initialize"] {
            assert_eq!(spelled("2025-11", word), "initialize/replicating");
            assert_eq!(spelled("2026-01", word), "init/replicating");
            assert_eq!(spelled("auto", word), format!("{}/replicating", word.to_lowercase()));
            // Words that the edition does not have are refused elsewhere; here they stay unchanged.
            assert_eq!(spelled("2025-11", "premiging"), "premiging/replicating");
            assert_eq!(spelled("2026-01", "Brand_New"), "brand_new/replicating");
        }
    }

    #[test]
    fn what_an_edition_does_not_have_is_objected_to() {
        let table = [
            ("2025-11", target("premiging", "setting"), "the 2025-11 edition has no copystate \"premiging\""),
            ("2025-11", target("waiting", "no_ready"), "the 2025-11 edition has no migrationcycle \"no_ready\""),
            ("2025-11", target("init", ""), ""),
            ("2026-01", target("initialize", "tested"), ""),
            ("2026-01", target("premiging", "brand_new"), ""),
            ("2025-11", target("", ""), ""),
            ("2026-01", target("", ""), ""),
            ("auto", target("premiging", ""), ""),
            (
                "2026-01",
                target("stopped", ""),
                "the 2026-01 edition wants both fields, and nothing fills in the migrationcycle",
            ),
            (
                "2026-01",
                target("", "syncing"),
                "the 2026-01 edition wants both fields, and nothing fills in the copystate",
            ),
        ];
        for (dialect, target, expected) in table {
            let dialect: Dialect = dialect.parse().unwrap();
            let said: Vec<String> =
                dialect.objections(&target, PairCompletion::Off).map(|objection| objection.to_string()).collect();
            assert_eq!(said.join("; "), expected, "{dialect:?} {target}");
        }
        let filled_in = target("stopped", "");
        assert_eq!(Dialect::Of(Edition::Y2026M01).objections(&filled_in, PairCompletion::FromLook).count(), 0);
        let both = target("premiging", "tested");
        assert_eq!(Dialect::Of(Edition::Y2025M11).objections(&both, PairCompletion::FromLook).count(), 2);
    }

    #[test]
    fn five_words_can_be_written_and_are_never_shown() {
        let all = Field::ALL.into_iter().flat_map(|field| Dialect::Auto.words(field));
        let hidden: Vec<&str> = all.filter(|word| is_written_but_never_shown(word)).collect();
        assert_eq!(hidden, ["premiging", "no_ready", "ready_for_test", "testing", "tested"]);
        assert!(!is_written_but_never_shown("brand_new"));
    }

    #[test]
    fn words_that_no_list_has_are_named_with_their_fields() {
        let unknown = |seen: &SeenState| -> Vec<String> {
            unknown_words(seen).map(|(field, word)| format!("{field} {word}")).collect()
        };
        assert_eq!(unknown(&seen("SYNCING", "syncing")), Vec::<String>::new());
        assert_eq!(unknown(&seen("init", "tested")), Vec::<String>::new());
        assert_eq!(unknown(&seen("", "")), Vec::<String>::new());
        assert_eq!(unknown(&seen("Hibernating", "syncing")), ["copystate hibernating"]);
        assert_eq!(unknown(&seen("error", "thawing")), ["migrationcycle thawing"]);
        // A word of the other field is unknown in this one.
        assert_eq!(unknown(&seen("setting", "finished")), ["copystate setting", "migrationcycle finished"]);
    }

    #[test]
    fn a_dialect_is_an_edition_or_auto() {
        assert_eq!("auto".parse(), Ok(Dialect::Auto));
        assert_eq!("2026-01".parse(), Ok(Dialect::Of(Edition::Y2026M01)));
        let bad = "2027-01".parse::<Dialect>().unwrap_err();
        assert_eq!(bad.to_string(), "`2027-01` is none of auto, 2025-11, 2026-01");
    }
}
