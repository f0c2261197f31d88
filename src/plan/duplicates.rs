//! Detection of ids that occur twice in a plan.
//!
//! The first reading keeps 8 bytes for each id, and at its end knows which ids may be repeated: mostly none. The second one looks
//! at those alone, with 44 bytes for each: a hash instead of the id, a code for the terms of the row, and hashes of the texts
//! for people.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::model::SourceId;
use crate::model::state::TargetState;
use crate::model::words::Word;

/// Terms in which two rows of one id have to agree for the later one to be harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Agreed {
    wants: [Option<Word>; 2],
    expects: [Option<Word>; 2],
    account: Option<u32>,
    wave: Option<u32>,
}

impl Agreed {
    /// Collects the terms. Wave and account are the codes that [`NameCodes`] gave them.
    pub(crate) fn new(wants: &TargetState, expects: &TargetState, account: Option<u32>, wave: Option<u32>) -> Self {
        Self {
            wants: [wants.copystate.clone(), wants.migrationcycle.clone()],
            expects: [expects.copystate.clone(), expects.migrationcycle.clone()],
            account,
            wave,
        }
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.wants != other.wants {
            Some("another target state")
        } else if self.account != other.account {
            Some("another target account")
        } else if self.wave != other.wave {
            Some("another wave")
        } else if self.expects != other.expects {
            Some("another expected state")
        } else {
            None
        }
    }
}

/// Texts of a row that only people read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReaderTexts<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) note: Option<&'a str>,
    pub(crate) extra: &'a [(String, String)],
}

/// Texts in which a later row of an id differs from the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Differs {
    name: bool,
    note: bool,
    extra: bool,
}

impl Differs {
    /// Describes the differences; `None` if there are none.
    pub(crate) fn in_words(self) -> Option<String> {
        let Self { name, note, extra } = self;
        let all = [(name, "another name"), (note, "another note"), (extra, "other values in unknown columns")];
        let named: Vec<&str> = all.into_iter().filter(|(is_other, _)| *is_other).map(|(_, what)| what).collect();
        let (last, others) = named.split_last()?;
        Some(if others.is_empty() { (*last).to_owned() } else { format!("{} and {last}", others.join(", ")) })
    }
}

/// Comparison of a row with earlier rows of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    First,
    /// The id is on this line already, with the same terms.
    Again {
        line: u32,
        differs: Differs,
    },
    /// The id is on this line already, with other terms.
    Conflict {
        line: u32,
        difference: &'static str,
    },
}

/// Ids of a plan during one reading.
pub(crate) enum Ids {
    /// First reading: each id counts as new, and 64 bits of its hash are kept.
    Gathered { key: RandomState, hashes: Vec<u64> },
    /// Later reading: suspects of an earlier one are compared, and all other ids count as new.
    Looked { suspects: Suspects, seen: SeenIds },
}

/// Ids that a plan may have twice: their sorted hashes, and the key of the hash function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspects {
    key: RandomState,
    hashes: Vec<u64>,
}

impl Suspects {
    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    fn has(&self, id: &SourceId) -> bool {
        !self.is_empty() && self.hashes.binary_search(&self.key.hash_one(id)).is_ok()
    }
}

impl Default for Ids {
    fn default() -> Self {
        Ids::Gathered { key: RandomState::new(), hashes: Vec::new() }
    }
}

impl Ids {
    pub(crate) fn among(suspects: Suspects) -> Self {
        Ids::Looked { suspects, seen: SeenIds::default() }
    }

    pub(crate) fn sight(
        &mut self,
        id: &SourceId,
        line: u32,
        terms: impl FnOnce() -> Agreed,
        told: ReaderTexts<'_>,
    ) -> Sighting {
        match self {
            Ids::Gathered { key, hashes } => {
                hashes.push(key.hash_one(id));
                Sighting::First
            }
            Ids::Looked { suspects, seen } if suspects.has(id) => seen.sight(id, line, terms(), told),
            Ids::Looked { .. } => Sighting::First,
        }
    }

    /// Returns the ids that occurred twice, or share a hash with another.
    pub(crate) fn finish(self) -> Suspects {
        match self {
            Ids::Gathered { key, mut hashes } => {
                hashes.sort_unstable();
                let mut suspects: Vec<u64> =
                    hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
                suspects.dedup();
                Suspects { key, hashes: suspects }
            }
            Ids::Looked { suspects, .. } => suspects,
        }
    }
}

/// Suspect ids seen so far. Each combination of terms is stored once, and plans have few of those.
#[derive(Default)]
pub(crate) struct SeenIds {
    keys: [RandomState; 2],
    entries: Vec<SeenId>,
    /// Indices into `entries`, found by the hash of the id.
    index: HashTable<u32>,
    terms: Vec<Agreed>,
    code_of: HashMap<Agreed, u32>,
    last_code: u32,
}

/// First row of an id. The id is kept as 96 bits of a hash whose keys no plan can know: two ids of a plan of a million rows are
/// taken for one with a probability of 1 in 10^17.
struct SeenId {
    hash: [u8; 12],
    line: u32,
    terms: u32,
    /// Hashes of the name, the note and the unknown columns.
    told: [u32; 3],
}

impl SeenIds {
    pub(crate) fn sight(&mut self, id: &SourceId, line: u32, terms: Agreed, told: ReaderTexts<'_>) -> Sighting {
        let code = self.code(terms);
        let told = self.marks(told);
        let hash = self.hash(id);
        let entries = &mut self.entries;
        let slot = self.index.entry(
            place(hash),
            |index| entries[*index as usize].hash == hash,
            |index| place(entries[*index as usize].hash),
        );
        match slot {
            Slot::Vacant(vacant) => {
                vacant.insert(u32::try_from(entries.len()).expect("there are no more rows than numbered lines"));
                entries.push(SeenId { hash, line, terms: code, told });
                Sighting::First
            }
            Slot::Occupied(occupied) => {
                let first = &entries[*occupied.get() as usize];
                let terms = &self.terms[first.terms as usize];
                match terms.difference(&self.terms[code as usize]) {
                    None => {
                        let [name, note, extra] = [0, 1, 2].map(|of| first.told[of] != told[of]);
                        Sighting::Again { line: first.line, differs: Differs { name, note, extra } }
                    }
                    Some(difference) => Sighting::Conflict { line: first.line, difference },
                }
            }
        }
    }

    /// Returns the code of these terms. Neighbouring rows mostly agree, so the last one is tried first.
    fn code(&mut self, terms: Agreed) -> u32 {
        if self.terms.get(self.last_code as usize) != Some(&terms) {
            let next = u32::try_from(self.terms.len()).expect("there are no more terms than numbered lines");
            let code = *self.code_of.entry(terms.clone()).or_insert(next);
            if code == next {
                self.terms.push(terms);
            }
            self.last_code = code;
        }
        self.last_code
    }

    /// Returns short hashes of the texts, for the unknown columns independent of their order.
    fn marks(&self, ReaderTexts { name, note, extra }: ReaderTexts<'_>) -> [u32; 3] {
        let [key, _] = &self.keys;
        let extra = extra.iter().map(|pair| key.hash_one(pair)).fold(0, u64::wrapping_add);
        [key.hash_one(name), key.hash_one(note), extra].map(|hash| u32::try_from(hash >> 32).expect("32 bits are left"))
    }

    fn hash(&self, id: &SourceId) -> [u8; 12] {
        let mut hash = [0; 12];
        hash[..8].copy_from_slice(&self.keys[0].hash_one(id).to_le_bytes());
        hash[8..].copy_from_slice(&self.keys[1].hash_one(id).to_le_bytes()[..4]);
        hash
    }
}

/// Returns the 64 bits of the hash that the table is indexed by.
fn place(hash: [u8; 12]) -> u64 {
    let [first @ .., _, _, _, _] = hash;
    u64::from_le_bytes(first)
}

/// Names of waves or accounts, numbered in order of first appearance.
#[derive(Default)]
pub(crate) struct NameCodes {
    code_of: HashMap<String, u32>,
    last: Option<(String, u32)>,
}

impl NameCodes {
    pub(crate) fn code(&mut self, name: &str) -> u32 {
        if let Some((last, code)) = &self.last
            && last == name
        {
            return *code;
        }
        let next = u32::try_from(self.code_of.len()).expect("there are no more names than numbered lines");
        let code = *self.code_of.entry(name.to_owned()).or_insert(next);
        self.last = Some((name.to_owned(), code));
        code
    }

    pub(crate) fn in_order(self) -> Vec<String> {
        let mut names: Vec<(String, u32)> = self.code_of.into_iter().collect();
        names.sort_by_key(|(_, code)| *code);
        names.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SourceId {
        SourceId::new(text).unwrap()
    }

    fn again(line: u32) -> Sighting {
        Sighting::Again { line, differs: Differs::default() }
    }

    fn wants(copystate: &str) -> TargetState {
        TargetState { copystate: Some(Word::new(copystate)), migrationcycle: None }
    }

    #[test]
    fn a_suspect_costs_at_most_44_bytes() {
        // The table takes an index and a control byte for each slot, and is at least 7/16 full once it has grown.
        let slot = size_of::<u32>() + 1;
        assert_eq!(size_of::<SeenId>(), 32);
        assert!(size_of::<SeenId>() + (slot * 16).div_ceil(7) <= 44);
    }

    #[test]
    fn an_id_is_found_again_with_what_differs() {
        let anyone = TargetState::default();
        let first = Agreed::new(&wants("init"), &anyone, Some(0), Some(0));
        let mut seen = SeenIds::default();
        assert_eq!(seen.sight(&id("vm-1"), 2, first.clone(), ReaderTexts::default()), Sighting::First);
        assert_eq!(seen.sight(&id("VM-1"), 3, first.clone(), ReaderTexts::default()), again(2));
        // Two spellings of one state are equal.
        let spelt = Agreed::new(&wants("initialize"), &anyone, Some(0), Some(0));
        assert_eq!(seen.sight(&id("vm-1"), 4, spelt, ReaderTexts::default()), again(2));
        let cases = [
            (Agreed::new(&wants("stopped"), &anyone, Some(1), Some(1)), "another target state"),
            (Agreed::new(&wants("init"), &anyone, Some(1), Some(1)), "another target account"),
            (Agreed::new(&wants("init"), &wants("init"), Some(0), Some(1)), "another wave"),
            (Agreed::new(&wants("init"), &wants("init"), Some(0), Some(0)), "another expected state"),
        ];
        for (terms, difference) in cases {
            assert_eq!(
                seen.sight(&id("vm-1"), 9, terms, ReaderTexts::default()),
                Sighting::Conflict { line: 2, difference }
            );
        }
    }

    #[test]
    fn what_only_people_read_is_told_where_it_differs() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let extra = [pair("rack", "7"), pair("owner", "ops")];
        let turned = [extra[1].clone(), extra[0].clone()];
        let other = [pair("rack", "8"), pair("owner", "ops")];
        let first = ReaderTexts { name: Some("web"), note: None, extra: &extra };
        let mut seen = SeenIds::default();
        assert_eq!(seen.sight(&id("vm-1"), 2, Agreed::default(), first), Sighting::First);
        let cases = [
            (first, None),
            (ReaderTexts { extra: &turned, ..first }, None),
            (ReaderTexts { name: None, ..first }, Some("another name")),
            (ReaderTexts { note: Some("web"), ..first }, Some("another note")),
            (ReaderTexts { extra: &other, ..first }, Some("other values in unknown columns")),
            (
                ReaderTexts { name: Some("db"), note: Some(""), extra: &[] },
                Some("another name, another note and other values in unknown columns"),
            ),
        ];
        for (told, words) in cases {
            let Sighting::Again { line: 2, differs } = seen.sight(&id("vm-1"), 9, Agreed::default(), told) else {
                panic!("{told:?}");
            };
            assert_eq!(differs.in_words().as_deref(), words, "{told:?}");
        }
    }

    #[test]
    fn every_one_of_many_ids_is_found_again_on_its_own_line() {
        let mut seen = SeenIds::default();
        for line in 0..10_000 {
            assert_eq!(
                seen.sight(&id(&format!("vm-{line}")), line, Agreed::default(), ReaderTexts::default()),
                Sighting::First
            );
        }
        for line in 0..10_000 {
            let sighting = seen.sight(&id(&format!("vm-{line}")), 0, Agreed::default(), ReaderTexts::default());
            assert_eq!(sighting, again(line));
        }
    }

    #[test]
    fn an_id_that_is_there_twice_is_a_suspect_for_the_next_reading() {
        let first =
            |ids: &mut Ids, line: u32, text: &str| ids.sight(&id(text), line, Agreed::default, ReaderTexts::default());
        let mut ids = Ids::default();
        for (line, text) in (1..).zip(["a", "b", "c", "b", "b"]) {
            assert_eq!(first(&mut ids, line, text), Sighting::First);
        }
        let suspects = ids.finish();
        assert_eq!(["a", "b", "c", "d"].map(|text| suspects.has(&id(text))), [false, true, false, false]);
        assert_eq!(suspects.hashes.len(), 1);
        let mut ids = Ids::among(suspects);
        assert_eq!(first(&mut ids, 1, "a"), Sighting::First);
        assert_eq!(first(&mut ids, 2, "b"), Sighting::First);
        assert_eq!(first(&mut ids, 4, "b"), again(2));
    }

    #[test]
    fn names_come_in_order_of_first_appearance() {
        let mut names = NameCodes::default();
        assert_eq!(["b", "a", "b", "a", "c"].map(|name| names.code(name)), [0, 1, 0, 1, 2]);
        assert_eq!(names.in_order(), ["b", "a", "c"]);
    }
}
