//! Check of the chain of runs: each run names those before it, and its own place is the one that later runs name.

use std::collections::{HashMap, HashSet};

use super::finding::Finding;
use crate::event::lane::LaneId;
use crate::event::run::{Predecessor, Predecessors};
use crate::journal::chain::{self, hex};
use crate::journal::succession::{Beginning, First, Identity};
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

    fn add(&mut self, run: RunKey, finding: Finding) {
        self.of_runs.entry(run).or_default().findings.push(finding);
    }
}

const LANE: LaneId = LaneId::RUN;
/// Number of the first event of the run's own lane, which names the runs before it.
const SEQ: u64 = 1;

pub(super) fn check(journal: &Journal) -> Result<RunPlaces, JournalError> {
    let identity = journal.identity()?;
    let beginnings = journal.beginnings()?;
    let mut places = RunPlaces::default();
    let numbers: Vec<i64> = beginnings.iter().map(|beginning| beginning.run.number()).collect();
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
            First::Other => places.add(run, Finding::NotBegun { lane: LANE, seq: SEQ }),
            First::Alone(rules) => {
                if !identity.is_earlier(run, *rules) {
                    places.add(run, Finding::NotChained { lane: LANE, seq: SEQ });
                }
            }
            First::After(after) => {
                for finding in wrong_with(after, at, &beginnings, &is_there, &identity) {
                    places.add(run, finding);
                }
                for named in &after.runs {
                    if let Some(&before) = is_there.get(named.run.as_str()) {
                        let before = beginnings[before].run;
                        for finding in not_as_named(journal, before, named, &beginning.id)? {
                            places.add(before, finding);
                        }
                    }
                }
            }
        }
    }
    for beginning in beginnings {
        if let First::After(after) = beginning.first {
            places.of_runs.entry(beginning.run).or_default().after = Some(after);
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

/// Checks that the lanes of a run are at least as long as a later run found them, and unchanged up to there.
fn not_as_named(
    journal: &Journal,
    run: RunKey,
    named: &Predecessor,
    named_by: &str,
) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    for (lane, seq, hash) in &named.heads {
        let found = match seq {
            0 => Some(chain::genesis(&named.run, *lane)),
            seq => journal.hash_at(run, *lane, *seq)?,
        };
        if found.map(|found| hex(&found)).as_ref() != Some(hash) {
            let named_by = named_by.to_owned();
            findings.push(Finding::NotAsNamed { lane: *lane, seq: *seq, named_by });
        }
    }
    Ok(findings)
}
