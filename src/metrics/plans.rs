//! Figures of every plan in a journal, by its latest run.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use jiff::Timestamp;

use super::exposition::Exposition;
use super::figures::{Figures, plan_name};
use crate::journal::read::outcomes::OutcomeCounts;
use crate::journal::{Journal, JournalError, RunKey};

/// Most plans that are told of: those of which a run was made last.
const MOST_PLANS: usize = 100;
/// Most runs among which plans and their successes are looked for.
const MOST_RUNS: u32 = 10_000;

/// What a journal tells of a plan's runs.
#[derive(Clone, Copy, Debug)]
struct PlanRuns {
    latest: RunKey,
    last_success: Option<Timestamp>,
}

/// Figures by run id, kept from one look to the next: a run without new events is not added up again.
#[derive(Default)]
pub(crate) struct KnownFigures(HashMap<String, KnownRun>);

struct KnownRun {
    n_events: u64,
    outcomes: OutcomeCounts,
    figures: Figures,
}

/// Returns the metrics of all plans.
pub(crate) fn text_of_all(journal: &Journal, known: &mut KnownFigures, now: Timestamp) -> Result<String, JournalError> {
    journal.at_one_instant(|| {
        let mut all = Exposition::default();
        let mut still_known = HashMap::new();
        for PlanRuns { latest, last_success } in plans(journal)?.into_values() {
            let id = journal.run(latest)?.id;
            let n_events = journal.n_events(latest)?;
            let before = known.0.remove(&id);
            let run = match before {
                Some(run) if run.n_events == n_events && run.figures.ended.is_some() => run,
                before => {
                    let mut outcomes = before.map(|run| run.outcomes).unwrap_or_default();
                    let figures = Figures::from_journal(journal, latest, &mut outcomes, now)?;
                    KnownRun { n_events, outcomes, figures }
                }
            };
            all.add(&Figures { last_success, ..run.figures.clone() });
            still_known.insert(id, run);
        }
        known.0 = still_known;
        Ok(all.text())
    })
}

/// Finds the latest run and the last success of each plan, by its name.
fn plans(journal: &Journal) -> Result<BTreeMap<String, PlanRuns>, JournalError> {
    let mut plans = BTreeMap::<String, PlanRuns>::new();
    journal.for_each_run_of_plans(MOST_RUNS, |run| {
        let name = plan_name(run.plan_name.as_deref(), &run.plan_path);
        let is_room = plans.len() < MOST_PLANS;
        if let Some(plan) = plans.get_mut(&name) {
            plan.last_success = plan.last_success.max(run.succeeded_at);
        } else if is_room {
            plans.insert(name, PlanRuns { latest: run.key, last_success: run.succeeded_at });
        }
        ControlFlow::Continue(())
    })?;
    Ok(plans)
}

/// Finds the last success of the plan of this name.
pub(crate) fn last_success(journal: &Journal, name: &str) -> Result<Option<Timestamp>, JournalError> {
    let mut found = None;
    journal.for_each_run_of_plans(MOST_RUNS, |run| {
        let is_it = plan_name(run.plan_name.as_deref(), &run.plan_path) == name;
        found = run.succeeded_at.filter(|_| is_it);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

/// Finds the name of the plan at this path, by the last run that was made from it.
pub(crate) fn name_at(journal: &Journal, path: &str) -> Result<Option<String>, JournalError> {
    let mut found = None;
    journal.for_each_run_of_plans(MOST_RUNS, |run| {
        if run.plan_path != path {
            return ControlFlow::Continue(());
        }
        found = Some(plan_name(run.plan_name.as_deref(), &run.plan_path));
        ControlFlow::Break(())
    })?;
    Ok(found)
}
