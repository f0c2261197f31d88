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

/// Latest run and last success of a plan.
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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::outcome::Outcome;
    use crate::exit::Exit;
    use crate::report::lab::ReportLab;
    use crate::report::lab::night::{self, ACCEPTED, attempt, row};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn text(lab: &ReportLab, known: &mut KnownFigures) -> String {
        text_of_all(&lab.open().0, known, at(1_795_500_000_000)).unwrap()
    }

    #[test]
    fn a_known_night_reads_as_it_was() {
        assert_snapshot!("metrics.prom", text(&night::night(), &mut KnownFigures::default()));
    }

    #[test]
    fn what_happens_between_two_looks_is_added_to_what_is_known() {
        let mut lab = ReportLab::with(&[row(1, "vm-1"), row(2, "vm-2")]);
        let lost = || Outcome::Lost { status: None, code: None, cause: "timeout".into() };
        let mut known = KnownFigures::default();
        let looks = |lab: &ReportLab, known: &mut KnownFigures, sample: &str| {
            let told = text(lab, known);
            assert_eq!(told, text(lab, &mut KnownFigures::default()), "as if nothing were known");
            assert!(told.contains(sample), "{sample}: {told}");
        };
        lab.begins();
        lab.happens(LaneId::FIRST, attempt(1, 1, ACCEPTED));
        looks(&lab, &mut known, "outcome=\"accepted\"} 1\n");
        lab.happens(LaneId::FIRST, attempt(2, 1, lost()));
        looks(&lab, &mut known, "outcome=\"lost\"} 1\n");
        lab.ends(Exit::Halted, None);
        looks(&lab, &mut known, "cutover_run_exit_code{plan=\"plan.csv\",run=\"20261123-a1b2c3\"} 4\n");
        looks(&lab, &mut known, "outcome=\"accepted\"} 1\n");
    }

    #[test]
    fn the_latest_run_of_each_plan_is_told_with_the_success_of_any_and_no_more_than_so_many() {
        let mut lab = ReportLab::with(&[row(1, "vm-1")]);
        lab.begins();
        lab.ends(Exit::Done, None);
        // Runs of the first plan and of many others, none of which was launched.
        let made = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 120)
             INSERT INTO run (id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at)
             SELECT 'r' || n, 'plans/' || n || '.csv', '', 0, '', '', '{}', n FROM n UNION ALL
             SELECT 'last', 'other/plan.csv', '', 0, '', '', '{}', 1";
        lab.raw().execute(made, []).unwrap();
        let (journal, run) = lab.open();
        let told = text(&lab, &mut KnownFigures::default());
        let started = told.lines().filter(|line| line.starts_with("cutover_run_started_timestamp_seconds{"));
        let started: Vec<&str> = started.collect();
        assert_eq!(started.len(), MOST_PLANS, "{started:?}");
        assert!(started.contains(&"cutover_run_started_timestamp_seconds{plan=\"plan.csv\",run=\"last\"} 0.001"));
        assert!(started.iter().any(|line| line.contains("run=\"r120\"")), "{started:?}");
        let success = journal.run(run.key).unwrap().ended_at;
        assert_eq!(last_success(&journal, "plan.csv").unwrap(), success);
        assert!(success.is_some() && told.contains("cutover_run_last_success_timestamp_seconds{plan=\"plan.csv\"}"));
        assert_eq!(last_success(&journal, "120.csv").unwrap(), None);
        assert_eq!(name_at(&journal, "plans/7.csv").unwrap().as_deref(), Some("7.csv"));
        assert_eq!(name_at(&journal, "7.csv").unwrap(), None);
    }
}
