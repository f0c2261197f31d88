//! Servers with which a sandbox begins: made up from a seed, or one for each row of a plan.

use super::dice;
use crate::event::verdict::Verdict;
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::{self, Word};

/// One server as it is at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    pub source_id: String,
    pub name: String,
    pub state: SeenState,
}

/// States of the servers of an ordinary estate, the more common ones several times.
const USUAL: [(&str, &str); 16] = [
    ("syncing", "syncing"),
    ("syncing", "syncing"),
    ("syncing", "syncing"),
    ("syncing", "syncing"),
    ("syncing", "syncing"),
    ("syncing", "syncing"),
    ("replicate", "replicating"),
    ("replicate", "replicating"),
    ("waiting", "setting"),
    ("waiting", "setting"),
    ("waiting", "checking"),
    ("premiged", "setting"),
    ("cutovering", "cutovering"),
    ("finished", "cutovered"),
    ("stopped", "syncing"),
    ("error", "replicating"),
];

const SYSTEMS: [&str; 20] = [
    "erp", "crm", "billing", "hr", "mail", "intranet", "shop", "wms", "mes", "bi", "ldap", "git", "build", "monitor",
    "backup", "sso", "crmtest", "archive", "print", "portal",
];

const ROLES: [&str; 8] = ["db", "app", "web", "batch", "cache", "file", "queue", "win"];

/// Makes up an estate of n servers; the same seed gives the same servers.
#[must_use]
pub fn made_up(n: usize, seed: u64) -> Vec<Seeded> {
    (0..n).map(|i| made_up_one(i, seed)).collect()
}

fn made_up_one(i: usize, seed: u64) -> Seeded {
    let system = SYSTEMS[i % SYSTEMS.len()];
    let role = ROLES[i / SYSTEMS.len() % ROLES.len()];
    let number = i / (SYSTEMS.len() * ROLES.len()) + 1;
    let source_id = uuid(seed, i as u64);
    let (copystate, cycle) = *dice::pick(dice::for_text(seed, "state", &source_id), &USUAL);
    Seeded { name: format!("{system}-{role}-{number:02}"), state: pair(copystate, cycle), source_id }
}

/// Makes an id in the shape of a random UUID (version 4), as in every published example.
fn uuid(seed: u64, n: u64) -> String {
    let hex = dice::hex_id(seed, "source", n);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// Makes the source of one row: in the state that the plan expects, else one step before its target, and always in a state in
/// which an update is heard and has something to change.
#[must_use]
pub fn seed_row(row: &Row) -> Seeded {
    let source_id = row.source_id.to_string();
    let name = row.name.clone().unwrap_or_else(|| format!("vm-{}", row.id));
    let state = if row.expects.is_empty() { before(&row.wants) } else { completed(&row.expects) };
    Seeded { source_id, name, state }
}

/// Returns the state in which the journal last has the source of a row: where somebody moved it, else where a look showed it,
/// else where it was before. `None` if it was never seen.
#[must_use]
pub fn left_at(row: &Row, standing: &Standing) -> Option<SeenState> {
    let before = standing.before.as_ref();
    if let Some(seen) = standing.moved.as_ref().or(standing.after.as_ref()) {
        return Some(over(before, seen.copystate.as_ref(), seen.migrationcycle.as_ref()));
    }
    // Applied, but without a look that showed it.
    let is_there = standing.phase == Phase::Settled(Verdict::Applied);
    let wants = is_there.then(|| over(before, row.wants.copystate.as_ref(), row.wants.migrationcycle.as_ref()));
    wants.or_else(|| before.cloned())
}

/// Fills the half of a state that is not known now from what was known before.
fn over(before: Option<&SeenState>, copystate: Option<&Word>, cycle: Option<&Word>) -> SeenState {
    SeenState {
        copystate: copystate.or_else(|| before?.copystate.as_ref()).cloned(),
        migrationcycle: cycle.or_else(|| before?.migrationcycle.as_ref()).cloned(),
    }
}

/// Completes a state of which the plan expects only one half.
fn completed(expects: &TargetState) -> SeenState {
    let copystate = expects.copystate.as_ref().map(Word::as_str);
    let cycle = expects.migrationcycle.as_ref().map(Word::as_str);
    match (copystate, cycle) {
        (Some(copystate), Some(cycle)) => pair(copystate, cycle),
        (Some(copystate), None) => pair(copystate, home(copystate)),
        (None, Some(cycle)) => pair(running(cycle), cycle),
        (None, None) => pair("syncing", "syncing"),
    }
}

/// Returns a plausible predecessor of a target.
///
/// source: SMS User Guide Issue 33 (the console's stages and what leads from one to the next), and the states of a
/// failed or a running server where the documented predecessor swallows updates.
fn before(wants: &TargetState) -> SeenState {
    let cycle = wants.migrationcycle.as_ref().map(Word::as_str);
    let Some(copystate) = wants.copystate.as_ref().map(Word::as_str) else {
        return before_cycle(cycle.unwrap_or("syncing"));
    };
    match copystate {
        // Deleting the target configuration of a failed server leads back to the beginning.
        "unavailable" | "premigready" | "premiging" | "init" | "initialize" => pair("waiting", "setting"),
        "waiting" if cycle == Some("setting") => pair("waiting", "checking"),
        "waiting" => pair("error", "replicating"),
        "premiged" | "premigfailed" => pair("premiging", "setting"),
        "replicate" => pair("init", "replicating"),
        "syncing" => pair("replicate", "replicating"),
        "cloning" | "cutovering" => pair("syncing", "syncing"),
        "finished" => pair("cutovering", "cutovering"),
        // Resources are cleared after the launch; `finished`, the documented predecessor, swallows updates.
        "clearing" | "cleared" | "clearfailed" => pair("error", "cutovered"),
        // Paused, deleted, failed or skipped while it was running in the same stage.
        "stopping" | "stopped" | "deleting" | "error" | "skipping" => while_running(cycle.unwrap_or("syncing")),
        _ => before_cycle(cycle.unwrap_or("syncing")),
    }
}

fn while_running(cycle: &str) -> SeenState {
    match cycle {
        "replicating" => pair("replicate", "replicating"),
        "cutovering" | "cutovered" => pair("cutovering", "cutovering"),
        "checking" | "setting" => pair("waiting", "setting"),
        _ => pair("syncing", "syncing"),
    }
}

fn before_cycle(cycle: &str) -> SeenState {
    match cycle {
        "checking" => pair("error", "replicating"),
        "setting" | "no_ready" => pair("waiting", "checking"),
        "syncing" => pair("replicate", "replicating"),
        "cutovering" => pair("syncing", "syncing"),
        "cutovered" => pair("cutovering", "cutovering"),
        _ => pair("waiting", "setting"),
    }
}

/// Returns the usual stage of a state.
fn home(copystate: &str) -> &'static str {
    match copystate {
        "unavailable" => "checking",
        "waiting" | "premigready" | "premiging" | "premiged" | "premigfailed" => "setting",
        "init" | "initialize" | "replicate" => "replicating",
        "cutovering" => "cutovering",
        "finished" | "clearing" | "cleared" | "clearfailed" => "cutovered",
        _ => "syncing",
    }
}

/// Returns the usual state of a server in a stage.
fn running(cycle: &str) -> &'static str {
    match cycle {
        "replicating" => "replicate",
        "syncing" => "syncing",
        "cutovering" => "cutovering",
        // Not `finished`: it would swallow the update.
        "cutovered" => "error",
        _ => "waiting",
    }
}

fn pair(copystate: &str, cycle: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) }
}

/// Returns the word by which reads show a state that can be written.
///
/// source: api-sms/ShowServer.html: `initialize` instead of `init`, and no `premiging`.
pub(super) fn as_read(copystate: &Word) -> Word {
    match copystate.as_str() {
        "init" => Word::new("initialize"),
        "premiging" => Word::new("premigready"),
        _ => copystate.clone(),
    }
}

/// Returns the stage that reads show after a change: four stages are never shown, and leave the last one in place.
pub(super) fn cycle_as_read(cycle: &Word, last: &Word) -> Word {
    if words::never_shown(cycle) { last.clone() } else { cycle.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::words::{COPYSTATES, MIGRATIONCYCLES, Pairing};

    fn row(copystate: Option<&str>, cycle: Option<&str>) -> Row {
        Row::first(TargetState { copystate: copystate.map(Word::new), migrationcycle: cycle.map(Word::new) })
    }

    #[test]
    fn every_target_is_seeded_where_an_update_is_heard_and_changes_something() {
        let states = COPYSTATES.iter().map(|word| Some(*word)).chain([None]);
        for copystate in states {
            for cycle in MIGRATIONCYCLES.iter().map(|word| Some(*word)).chain([None]) {
                let row = row(copystate, cycle);
                if row.wants.is_empty() {
                    continue;
                }
                let SeenState { copystate: Some(state), migrationcycle: Some(cycle_now) } = seed_row(&row).state else {
                    panic!("half a state for {}", row.wants)
                };
                assert!(!words::swallows_updates(&state), "{} begins at {state}", row.wants);
                assert_eq!(
                    words::pairing(&state, &cycle_now),
                    Pairing::Allowed,
                    "{} begins at {state}/{cycle_now}",
                    row.wants
                );
                let on_state = row.wants.copystate.as_ref().is_none_or(|wanted| as_read(wanted) == as_read(&state));
                let on_cycle = row.wants.migrationcycle.as_ref().is_none_or(|wanted| *wanted == cycle_now);
                assert!(!(on_state && on_cycle), "{} is there from the start", row.wants);
            }
        }
    }

    #[test]
    fn a_row_is_seeded_where_its_plan_expects_it() {
        let mut row = row(Some("finished"), None);
        row.expects.copystate = Some(Word::new("premiged"));
        assert_eq!(seed_row(&row).state, pair("premiged", "setting"));
        row.expects = TargetState { copystate: None, migrationcycle: Some(Word::new("replicating")) };
        assert_eq!(seed_row(&row).state, pair("replicate", "replicating"));
    }

    #[test]
    fn a_source_is_where_the_journal_has_it_last() {
        let row = row(Some("cutovering"), Some("cutovering"));
        let left = |phase, seen: [Option<SeenState>; 3]| {
            let [before, after, moved] = seen;
            left_at(&row, &Standing { phase, before, after, moved, ..Standing::default() })
        };
        let (at_first, there, away) =
            (pair("syncing", "syncing"), pair("cutovering", "cutovering"), pair("error", "cutovering"));
        let settled = Phase::Settled;
        let some = |state: &SeenState| Some(state.clone());
        assert_eq!(left(Phase::Untried, [None, None, None]), None);
        assert_eq!(left(Phase::Due, [some(&at_first), None, None]), some(&at_first));
        assert_eq!(left(settled(Verdict::NoEffect), [some(&at_first), some(&at_first), None]), some(&at_first));
        assert_eq!(left(settled(Verdict::Applied), [some(&at_first), some(&there), None]), some(&there));
        assert_eq!(left(settled(Verdict::Applied), [some(&at_first), some(&there), some(&away)]), some(&away));
        assert_eq!(left(settled(Verdict::Applied), [some(&at_first), None, None]), some(&there));
        let half = SeenState { copystate: Some(Word::new("cutovering")), migrationcycle: None };
        assert_eq!(
            left(settled(Verdict::NoEffect), [some(&at_first), Some(half), None]),
            some(&pair("cutovering", "syncing"))
        );
    }

    #[test]
    fn a_made_up_estate_has_no_id_and_no_name_twice() {
        let estate = made_up(2_000, 7);
        assert_eq!(estate, made_up(2_000, 7));
        assert_ne!(estate[0].source_id, made_up(1, 8)[0].source_id);
        let ids: HashSet<_> = estate.iter().map(|one| one.source_id.as_str()).collect();
        let names: HashSet<_> = estate.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((ids.len(), names.len()), (2_000, 2_000));
        assert!(estate.iter().all(|one| one.source_id.len() == 36));
        assert_eq!(estate[0].name, "erp-db-01");
    }
}
