//! Halt rules of the run and of the current stage, each applied to a count of its own.

use super::counts::{Count, Sample, TryResult, Turn};
use super::input::StageCounts;
use crate::waves::halt::HaltRules;
use crate::waves::{Part, Stage};

#[derive(Debug)]
pub(crate) struct Halt {
    of_run: Count,
    run_rules: HaltRules,
    of_stage: Count,
    stage_rules: HaltRules,
    /// Current stage, or else the last one; `None` until one has begun.
    stage: Option<Stage>,
    /// The run has halted already: the first reason is the one that is told.
    is_halted: bool,
}

impl Halt {
    pub(crate) fn new(run_rules: HaltRules) -> Self {
        Self {
            of_run: Count::default(),
            run_rules,
            of_stage: Count::default(),
            stage_rules: HaltRules::default(),
            stage: None,
            is_halted: false,
        }
    }

    /// Tells that a rule needs the results of earlier launches in a stage with these rules.
    pub(crate) fn counts_in_stage(&self, stage_rules: &HaltRules) -> bool {
        !(stage_rules.is_off() && self.run_rules.is_off())
    }

    /// Tells that a rule of the run needs the results of earlier launches, and they are not counted yet.
    pub(crate) fn counts_earlier_launches(&self) -> bool {
        self.stage.is_none() && !self.run_rules.is_off()
    }

    /// Begins the count of a stage where earlier launches left it. Returns the number of rows that may be on their way at once:
    /// no more of a canary than the rules tolerate.
    pub(crate) fn begin_stage(&mut self, stage: &Stage, rules: HaltRules, earlier: &StageCounts) -> Option<usize> {
        self.of_run.seed_all(&earlier.tried_in_run);
        let mut of_stage = Count::default();
        of_stage.seed_all(&earlier.tried_in_stage);
        self.of_stage = of_stage.beginning_at(self.of_run.next());
        let bound = [&rules, &self.run_rules].into_iter().filter_map(HaltRules::failures_until_halt).min();
        (self.stage_rules, self.stage) = (rules, Some(stage.clone()));
        bound.filter(|_| stage.part == Part::Canary).and_then(|bound| usize::try_from(bound).ok())
    }

    pub(crate) fn begin(&mut self) -> Turn {
        _ = self.of_stage.begin();
        self.of_run.begin()
    }

    /// Counts the result of a turn; `None` if its row is left for a later launch.
    pub(crate) fn end(&mut self, turn: Turn, result: Option<&TryResult>) {
        self.of_run.end(turn, result);
        self.of_stage.end(turn, result);
    }

    pub(crate) fn forget(&mut self, result: &TryResult, n_rows: u64) {
        self.of_run.forget(result, n_rows);
        self.of_stage.forget(result, n_rows);
    }

    /// Reason to halt, given once, while a stage goes on.
    pub(crate) fn trips(&mut self) -> Option<String> {
        self.trips_by(Sample::SoFar)
    }

    /// Reason to halt, given once, at the end of a stage: all of it is a large enough sample for the stage's own rules, and for
    /// those of the run only if nothing in it went well.
    pub(crate) fn trips_at_the_end(&mut self) -> Option<String> {
        self.trips_by(Sample::Whole)
    }

    fn trips_by(&mut self, sample: Sample) -> Option<String> {
        if self.is_halted {
            return None;
        }
        let Self { of_run, run_rules, of_stage, stage_rules, .. } = self;
        let all_failed = sample == Sample::Whole && of_stage.all_failed();
        let tripped = of_stage.trips(stage_rules, sample);
        let tripped = tripped.or_else(|| of_stage.trips(run_rules, Sample::Whole).filter(|_| all_failed));
        let why = match tripped.zip(self.stage.as_ref()) {
            Some((why, tripped_in)) => format!("{tripped_in}: {why}"),
            None => format!("the run: {}", of_run.trips(run_rules, Sample::SoFar)?),
        };
        self.is_halted = true;
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::verdict::Verdict;
    use crate::journal::read::steering::Tried;

    fn rules(text: &str) -> HaltRules {
        serde_json::from_str(text).unwrap()
    }

    fn stage(part: Part) -> Stage {
        Stage { wave_no: 0, wave: Some("pilot".to_owned()), part }
    }

    fn fail(halt: &mut Halt) {
        let turn = halt.begin();
        halt.end(turn, Some(&TryResult::Failed { cause: "a".to_owned() }));
    }

    #[test]
    fn the_first_reason_is_given_once_and_names_the_stage_or_the_run() {
        let mut halt = Halt::new(rules(r#"{"max_failed":"1"}"#));
        halt.begin_stage(&stage(Part::Rest), rules(r#"{"max_failed":"0"}"#), &StageCounts::default());
        assert_eq!(halt.trips(), None);
        fail(&mut halt);
        assert_eq!(halt.trips().as_deref(), Some("wave `pilot`: 1 of 1 rows failed, and max_failed = 0"));
        fail(&mut halt);
        assert_eq!((halt.trips(), halt.trips_at_the_end()), (None, None));

        let mut halt = Halt::new(rules(r#"{"max_failed":"1"}"#));
        for _ in 0..2 {
            halt.begin_stage(&stage(Part::Rest), HaltRules::default(), &StageCounts::default());
            assert_eq!(halt.trips(), None);
            fail(&mut halt);
        }
        assert_eq!(halt.trips().as_deref(), Some("the run: 2 of 2 rows failed, and max_failed = 1"));
    }

    #[test]
    fn a_stage_in_which_nothing_went_well_halts_by_the_runs_percentage_too() {
        for (n_well, expected) in
            [(0, Some("wave `pilot`: 2 of 2 rows failed (100 %), and max_failed = 25%")), (1, None)]
        {
            let mut halt = Halt::new(rules(r#"{"max_failed":"25%"}"#));
            halt.begin_stage(&stage(Part::Rest), HaltRules::default(), &StageCounts::default());
            fail(&mut halt);
            fail(&mut halt);
            for _ in 0..n_well {
                let turn = halt.begin();
                halt.end(turn, Some(&TryResult::Well));
            }
            assert_eq!(halt.trips(), None);
            assert_eq!(halt.trips_at_the_end().as_deref(), expected);
        }
    }

    #[test]
    fn no_more_rows_of_a_canary_go_at_once_than_its_rules_tolerate() {
        let at_once = |run: &str, of_stage: &str, part| {
            Halt::new(rules(run)).begin_stage(&stage(part), rules(of_stage), &StageCounts::default())
        };
        assert_eq!(at_once("{}", "{}", Part::Canary), None);
        assert_eq!(at_once(r#"{"max_failed":"4"}"#, r#"{"same_cause":2}"#, Part::Canary), Some(2));
        assert_eq!(at_once(r#"{"max_failed":"4"}"#, "{}", Part::Canary), Some(5));
        assert_eq!(at_once(r#"{"max_failed":"4"}"#, r#"{"same_cause":2}"#, Part::Rest), None);
    }

    #[test]
    fn earlier_launches_are_part_of_the_sample_and_halt_nothing_again() {
        let tried =
            |verdict, n_rows| Tried { verdict, http_status: None, error_code: None, no_look_succeeded: false, n_rows };
        let mut halt = Halt::new(rules(r#"{"max_failed":"2"}"#));
        assert!(halt.counts_earlier_launches() && halt.counts_in_stage(&HaltRules::default()));
        let earlier = StageCounts { tried_in_run: vec![tried(Verdict::Failed, 3)], ..StageCounts::default() };
        halt.begin_stage(&stage(Part::Rest), HaltRules::default(), &earlier);
        assert!(!halt.counts_earlier_launches());
        assert_eq!(halt.trips(), None);
        fail(&mut halt);
        assert_eq!(halt.trips().as_deref(), Some("the run: 4 of 4 rows failed, and max_failed = 2"));
    }
}
