//! Check of the chain of runs: each run names those before it, and its own place is the one that later runs name. In the place of a
//! run that was taken out stands its tombstone.

use std::collections::{HashMap, HashSet};

use super::finding::Finding;
use crate::event::lane::LaneId;
use crate::event::run::{Predecessor, Predecessors};
use crate::journal::chain::{self, hex};
use crate::journal::succession::{Beginning, First, Identity};
use crate::journal::tombstone::StoredTombstone;
use crate::journal::{Journal, JournalError, RunKey};

/// Faults of a run's place among the others, and the runs that it names.
#[derive(Default)]
pub(super) struct PlaceOfRun {
    pub(super) findings: Vec<Finding>,
    pub(super) after: Option<Predecessors>,
}

/// Places of all runs, and faults of the journal as a whole.
#[derive(Default)]
pub(super) struct RunPlaces {
    of_runs: HashMap<RunKey, PlaceOfRun>,
    pub(super) of_journal: Vec<Finding>,
}

impl RunPlaces {
    pub(super) fn of_run(&mut self, run: RunKey) -> PlaceOfRun {
        self.of_runs.remove(&run).unwrap_or_default()
    }

    /// Compares the runs that a run names, as far as they are there, with what it says of them.
    fn check_named(
        &mut self,
        journal: &Journal,
        after: &Predecessors,
        by: &Beginning,
        beginnings: &[Beginning],
        is_there: &HashMap<&str, usize>,
    ) -> Result<(), JournalError> {
        for named in &after.runs {
            if let Some(&before) = is_there.get(named.run.as_str()) {
                let before = &beginnings[before];
                for finding in not_as_named(journal, before, named, by)? {
                    self.add_of(before, finding);
                }
            }
        }
        Ok(())
    }

    /// Adds a finding about a run; one about a run that was taken out is about the journal as a whole.
    fn add_of(&mut self, run: &Beginning, finding: Finding) {
        if run.pruned.is_none() {
            self.of_runs.entry(run.run).or_default().findings.push(finding);
        } else {
            let (other, problem) = (run.id.clone(), finding.to_string());
            self.of_journal.push(Finding::TombstoneMisplaced { other, problem });
        }
    }
}

const LANE: LaneId = LaneId::RUN;
/// Number of the first event of the run's own lane, which names the runs before it.
const SEQ: u64 = 1;

pub(super) fn check(journal: &Journal) -> Result<RunPlaces, JournalError> {
    let identity = journal.identity()?;
    let beginnings = journal.beginnings()?;
    let tombstones = journal.tombstones()?;
    let mut places = RunPlaces::default();
    places.of_journal.extend(wrong_with_tombstones(journal, &identity, &tombstones)?);
    let mut numbers: Vec<i64> = beginnings.iter().map(|beginning| beginning.run.number()).collect();
    for pair in numbers.windows(2).filter(|pair| pair[0] == pair[1]) {
        places.of_journal.push(Finding::NotPruned { number: pair[0] });
    }
    numbers.dedup();
    let wrong_with_numbers = if identity.is_excerpt { not_one_of } else { missing_numbers };
    places.of_journal.extend(wrong_with_numbers(&numbers, identity.n_runs));
    for (table, number) in journal.left_of_runs_that_are_gone()? {
        places.of_journal.push(Finding::LeftBehind { table, number });
    }
    let is_there: HashMap<&str, usize> = beginnings.iter().map(|found| found.id.as_str()).zip(0..).collect();
    for (at, beginning) in beginnings.iter().enumerate() {
        let run = beginning.run;
        match &beginning.first {
            First::NotBegun => (),
            First::Other => places.add_of(beginning, Finding::NotBegun { lane: LANE, seq: SEQ }),
            First::Alone(rules) => {
                if !identity.is_earlier(run, *rules) {
                    places.add_of(beginning, Finding::NotChained { lane: LANE, seq: SEQ });
                }
            }
            First::Elsewhere(after) => places.check_named(journal, after, beginning, &beginnings, &is_there)?,
            First::After(after) => {
                for finding in wrong_with(after, at, &beginnings, &is_there, &identity) {
                    places.add_of(beginning, finding);
                }
                if !knows_tombstones(after, &tombstones, &identity) {
                    let expected = after.pruned.as_ref().map_or(0, |pruned| pruned.n);
                    places.add_of(beginning, Finding::TombstonesDiffer { lane: LANE, seq: SEQ, expected });
                }
                places.check_named(journal, after, beginning, &beginnings, &is_there)?;
            }
        }
    }
    for beginning in beginnings.into_iter().filter(|beginning| beginning.pruned.is_none()) {
        if let Some(after) = beginning.first.named() {
            places.of_runs.entry(beginning.run).or_default().after = Some(after.clone());
        }
    }
    Ok(places)
}

/// Checks that an excerpt has one of several runs.
fn not_one_of(numbers: &[i64], n_runs: u64) -> Vec<Finding> {
    match *numbers {
        [number] if n_runs > 1 && (1..=n_runs).contains(&number.cast_unsigned()) => Vec::new(),
        _ => vec![Finding::NoExcerpt { expected: n_runs, found: numbers.len() as u64 }],
    }
}

/// Checks that runs have the numbers from 1 to the count of those that were made.
fn missing_numbers(numbers: &[i64], n_runs: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut next = 1;
    for &number in numbers {
        if number > next {
            findings.push(Finding::NumberMissing { number: next, n_missing: number.abs_diff(next) });
        }
        next = number + 1;
    }
    let last = numbers.last().copied().unwrap_or(0);
    if u64::try_from(last) != Ok(n_runs) {
        findings.push(Finding::RunsMissing { expected: n_runs, found: last });
    }
    findings
}

/// Compares the runs that the first event of a run names with those that are there.
fn wrong_with(
    after: &Predecessors,
    at: usize,
    beginnings: &[Beginning],
    is_there: &HashMap<&str, usize>,
    identity: &Identity,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if after.journal != identity.id {
        let (expected, found) = (after.journal.clone(), identity.id.clone());
        findings.push(Finding::OtherJournal { lane: LANE, seq: SEQ, expected, found });
    }
    if after.earlier != identity.n_earlier {
        let (expected, found) = (after.earlier, identity.n_earlier);
        findings.push(Finding::EarlierDiffers { lane: LANE, seq: SEQ, expected, found });
    }
    let mut named = HashSet::new();
    let mut last = at;
    for Predecessor { run, .. } in &after.runs {
        let other = || run.clone();
        match is_there.get(run.as_str()) {
            _ if !named.insert(run.as_str()) => {
                findings.push(Finding::RunMoved { lane: LANE, seq: SEQ, other: other() });
            }
            Some(&before) if before < last => last = before,
            Some(_) => findings.push(Finding::RunMoved { lane: LANE, seq: SEQ, other: other() }),
            None if identity.is_excerpt => (),
            None => findings.push(Finding::RunMissing { lane: LANE, seq: SEQ, other: other() }),
        }
    }
    if identity.is_excerpt {
        return findings;
    }
    // Every run between this one and the last one it names has to be named, and every earlier run as well, unless that last one
    // names its own predecessors.
    let goes_on = last < at && matches!(beginnings[last].first, First::After(_));
    let first_to_name = if goes_on { last } else { 0 };
    for unnamed in beginnings[first_to_name..at].iter().rev().filter(|other| !named.contains(other.id.as_str())) {
        findings.push(Finding::RunUnnamed { lane: LANE, seq: SEQ, other: unnamed.id.clone() });
    }
    findings
}

/// Checks that the tombstones are those that the journal counts, and are as they were written.
fn wrong_with_tombstones(
    journal: &Journal,
    identity: &Identity,
    tombstones: &[StoredTombstone],
) -> Result<Vec<Finding>, JournalError> {
    let last = journal.last_tombstone()?;
    let (expected, found) = (last.map_or(0, |last| last.n), tombstones.len() as u64);
    if identity.is_excerpt {
        // A copy of one run has the count and the last hash alone.
        return Ok(if found == 0 { Vec::new() } else { vec![Finding::TombstonesMissing { expected: 0, found }] });
    }
    let changed = tombstones.iter().filter(|stored| !stored.is_whole).map(tombstone_changed);
    let mut findings: Vec<Finding> = changed.collect();
    if expected != found {
        findings.push(Finding::TombstonesMissing { expected, found });
    } else if let (Some(last), Some(stored)) = (last, tombstones.last())
        && last.hash != stored.hash
        && stored.is_whole
    {
        findings.push(tombstone_changed(stored));
    }
    Ok(findings)
}

fn tombstone_changed(stored: &StoredTombstone) -> Finding {
    Finding::TombstoneChanged { tombstone: stored.nth, other: stored.tombstone.run.id.clone() }
}

/// Tells whether the tombstones that a run found when it began are still the first ones. A copy of one run does not have them.
fn knows_tombstones(after: &Predecessors, tombstones: &[StoredTombstone], identity: &Identity) -> bool {
    let Some(pruned) = after.pruned.as_ref().filter(|_| !identity.is_excerpt) else { return true };
    let nth = usize::try_from(pruned.n).ok().and_then(|n| n.checked_sub(1));
    nth.and_then(|nth| tombstones.get(nth)).is_some_and(|stored| hex(&stored.hash) == pruned.head)
}

/// Checks that the lanes of a run are at least as long as a later run found them, and unchanged up to there. Of a run that was taken
/// out only the ends are known: where it went on after it was named, its archive alone shows the rest. A copy need not be as long as a
/// run of another journal found the original.
fn not_as_named(
    journal: &Journal,
    run: &Beginning,
    named: &Predecessor,
    named_by: &Beginning,
) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    for (lane, seq, hash) in &named.heads {
        let found = match (seq, &run.pruned) {
            (0, _) => Some(hex(&chain::genesis(&named.run, *lane))),
            (seq, None) => journal.hash_at(run.run, *lane, *seq)?.map(|found| hex(&found)),
            (seq, Some(heads)) => match heads.iter().find(|(of, _, _)| of == lane) {
                Some((_, last, _)) if last > seq => Some(hash.clone()),
                Some((_, last, head)) if last == seq => Some(head.clone()),
                Some(_) | None => None,
            },
        };
        let may_be_shorter = matches!(named_by.first, First::Elsewhere(_));
        if found.map_or(!may_be_shorter, |found| found != *hash) {
            let named_by = named_by.id.clone();
            findings.push(Finding::NotAsNamed { lane: *lane, seq: *seq, named_by });
        }
    }
    Ok(findings)
}
