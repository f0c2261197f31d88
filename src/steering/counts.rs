//! Counts of failures. A row that the service took is tried, one that came out badly is failed, and consecutive failures are
//! those of rows that were tried one after another.

use std::collections::{HashMap, VecDeque};

use crate::event::outcome::Outcome;
use crate::event::verdict::Verdict;
use crate::journal::read::steering::Tried;
use crate::ledger::standing::Standing;
use crate::values::share::Share;
use crate::waves::halt::{HaltRules, MIN_SAMPLE};

/// Number of causes that are counted apart; further ones are counted as one, because their texts come from outside.
const MOST_CAUSES: usize = 1_000;

/// Result of a row that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TryResult {
    Well,
    /// Failed, by the class of the failure and the code or status that came with it.
    Failed {
        cause: String,
    },
}

impl TryResult {
    /// Result of a row with this verdict; `None` if it says nothing about the run: nothing was sent for it, or it was blocked.
    pub(crate) fn from_verdict(standing: &Standing, verdict: Verdict, no_look_succeeded: bool) -> Option<Self> {
        if standing.attempts == 0 && verdict != Verdict::Applied {
            return None;
        }
        match verdict {
            Verdict::Applied | Verdict::Already => Some(TryResult::Well),
            Verdict::Blocked => None,
            Verdict::Unverified if !no_look_succeeded => Some(TryResult::Well),
            Verdict::Unverified | Verdict::NoEffect | Verdict::Overtaken => {
                Some(TryResult::Failed { cause: verdict.name().to_owned() })
            }
            Verdict::Refused | Verdict::Failed => {
                let said = [standing.http_status.map(|status| status.to_string()), standing.error_code.clone()];
                let said: Vec<String> = said.into_iter().flatten().collect();
                let said = if said.is_empty() { "no answer".to_owned() } else { said.join(" ") };
                Some(TryResult::Failed { cause: format!("{verdict} ({said})") })
            }
        }
    }

    /// Result of a row that was refused with this answer.
    pub(crate) fn from_refusal(outcome: &Outcome) -> Self {
        let standing = Standing {
            http_status: outcome.status(),
            error_code: outcome.code().map(str::to_owned),
            attempts: 1,
            ..Standing::default()
        };
        Self::from_verdict(&standing, Verdict::Refused, false).unwrap_or(Self::Well)
    }
}

/// Sample that a percentage is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// Rows that were tried so far: too few of them say nothing yet.
    SoFar,
    /// Rows of a stage that has come to its end, however few they are.
    Whole,
}

/// Count of the rows that were tried in one scope: a stage, or the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    tried: u64,
    failed: u64,
    /// Failures of earlier launches, which are part of the sample. They halt nothing again: the operator who resumed knows of
    /// them.
    failed_before: u64,
    order: TurnOrder,
    longest: u64,
    causes: HashMap<String, u64>,
}

/// Number of a row among those that were tried: in the order in which the service took them or they came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(u64);

impl Count {
    /// Begins the count at this turn: earlier ones are no part of its order.
    pub(crate) fn beginning_at(self, turn: Turn) -> Self {
        Self { order: TurnOrder { first: turn.0, ..TurnOrder::default() }, ..self }
    }

    /// Counts all rows that earlier launches settled.
    pub(crate) fn seed_all(&mut self, tried: &[Tried]) {
        for Tried { verdict, http_status, error_code, no_look_succeeded, n_rows } in tried {
            let standing = Standing {
                attempts: 1,
                http_status: *http_status,
                error_code: error_code.clone(),
                ..Standing::default()
            };
            if let Some(result) = TryResult::from_verdict(&standing, *verdict, *no_look_succeeded) {
                self.seed(&result, *n_rows);
            }
        }
    }

    /// Counts rows that earlier launches settled with one result.
    fn seed(&mut self, result: &TryResult, n_rows: u64) {
        self.tried += n_rows;
        if let TryResult::Failed { cause } = result {
            self.failed += n_rows;
            self.failed_before += n_rows;
            self.blame(cause, n_rows);
        }
    }

    /// Takes out rows with this result that are opened again, because the refusal was not about them.
    pub(crate) fn forget(&mut self, result: &TryResult, n_rows: u64) {
        let TryResult::Failed { cause } = result else { return };
        self.tried = self.tried.saturating_sub(n_rows);
        self.failed = self.failed.saturating_sub(n_rows).max(self.failed_before);
        if let Some(of_cause) = self.causes.get_mut(cause) {
            *of_cause = of_cause.saturating_sub(n_rows);
        }
    }

    /// Tells that something was tried, and nothing of it went well.
    pub(crate) fn all_failed(&self) -> bool {
        self.tried > 0 && self.failed == self.tried
    }

    fn blame(&mut self, cause: &str, n_rows: u64) {
        let cause = if self.causes.len() < MOST_CAUSES || self.causes.contains_key(cause) { cause } else { "others" };
        *self.causes.entry(cause.to_owned()).or_default() += n_rows;
    }

    /// Counts a row as tried as soon as the service has taken it. A failure is known at once and a success only after a look,
    /// so that a count of settled rows alone would look worse than the run is.
    pub(crate) fn begin(&mut self) -> Turn {
        self.tried += 1;
        self.order.begin()
    }

    /// Counts the result of a turn; `None` if its row is left for a later launch.
    pub(crate) fn end(&mut self, turn: Turn, result: Option<&TryResult>) {
        let Some(result) = result else {
            self.tried -= 1;
            self.order.end(turn, TurnFate::NotBad);
            return;
        };
        let TryResult::Failed { cause } = result else {
            self.order.end(turn, TurnFate::NotBad);
            return;
        };
        self.failed += 1;
        self.longest = self.longest.max(self.order.end(turn, TurnFate::Bad));
        self.blame(cause, 1);
    }

    /// Turn of the row that is tried next.
    pub(crate) fn next(&self) -> Turn {
        Turn(self.order.first + self.order.fates.len() as u64)
    }

    /// Reason to halt, if a rule has one.
    pub(crate) fn trips(&self, rules: &HaltRules, sample: Sample) -> Option<String> {
        let Count { tried, failed, failed_before, order: _, longest, causes } = self;
        if failed == failed_before {
            return None;
        }
        match rules.max_failed {
            Some(Share::Rows(most)) if *failed > most => {
                return Some(format!("{failed} of {tried} rows failed, and max_failed = {most}"));
            }
            Some(Share::Percent(most)) => {
                let enough = sample == Sample::Whole || *tried >= rules.min_sample.unwrap_or(MIN_SAMPLE);
                #[expect(clippy::cast_precision_loss, reason = "a percentage of rows")]
                let share = 100.0 * *failed as f64 / (*tried).max(1) as f64;
                if enough && share > most {
                    return Some(format!("{failed} of {tried} rows failed ({share:.0} %), and max_failed = {most}%"));
                }
            }
            Some(Share::Rows(_)) | None => (),
        }
        if let Some(most) = rules.consecutive_failures.filter(|most| longest >= most) {
            let rows = if *longest == 1 {
                "1 row failed".to_owned()
            } else {
                format!("{longest} rows failed one after another")
            };
            return Some(format!("{rows}, and consecutive_failures = {most}"));
        }
        let most = rules.same_cause?;
        let (cause, n_rows) = causes.iter().max_by_key(|(cause, n_rows)| (**n_rows, cause.as_str()))?;
        (*n_rows >= most).then(|| {
            let rows = if *n_rows == 1 { "1 row".to_owned() } else { format!("{n_rows} rows") };
            format!("{rows} failed for one cause, {cause}, and same_cause = {most}")
        })
    }
}

/// Results of the rows that were tried one after another, as far as a series of failures may still grow.
#[derive(Clone, Debug, Default)]
struct TurnOrder {
    /// Turn of the first fate that is kept.
    first: u64,
    /// Number of rows directly before it that failed one after another.
    failed_before: u64,
    fates: VecDeque<TurnFate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnFate {
    Open,
    Bad,
    NotBad,
}

impl TurnOrder {
    fn begin(&mut self) -> Turn {
        self.fates.push_back(TurnFate::Open);
        Turn(self.first + self.fates.len() as u64 - 1)
    }

    /// Length of the series of failures that the row of this turn stands in.
    fn end(&mut self, turn: Turn, fate: TurnFate) -> u64 {
        // A turn from before the beginning says nothing here.
        let Some(at) = turn.0.checked_sub(self.first) else { return 0 };
        let at = usize::try_from(at).expect("what is kept fits into memory");
        self.fates[at] = fate;
        let is_bad = |fate: &&TurnFate| **fate == TurnFate::Bad;
        let behind = self.fates.range(at..).take_while(is_bad).count();
        let before = self.fates.range(..at).rev().take_while(is_bad).count();
        let reaches_back = if before == at { self.failed_before } else { 0 };
        let run = if fate == TurnFate::Bad { (before + behind) as u64 + reaches_back } else { 0 };
        while let Some(fate) = self.fates.pop_front_if(|fate| *fate != TurnFate::Open) {
            self.first += 1;
            self.failed_before = if fate == TurnFate::Bad { self.failed_before + 1 } else { 0 };
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: TryResult = TryResult::Well;

    fn badly(cause: &str) -> TryResult {
        TryResult::Failed { cause: cause.to_owned() }
    }

    fn counted(all: impl IntoIterator<Item = TryResult>) -> Count {
        let mut count = Count::default();
        for result in all {
            let turn = count.begin();
            count.end(turn, Some(&result));
        }
        count
    }

    fn rules(text: &str) -> HaltRules {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_number_is_how_many_are_put_up_with() {
        let rules = rules(r#"{"max_failed":"2"}"#);
        assert_eq!(counted([badly("a"), WELL, badly("b")]).trips(&rules, Sample::Whole), None);
        let why = counted([badly("a"), badly("b"), badly("c")]).trips(&rules, Sample::SoFar).unwrap();
        assert_eq!(why, "3 of 3 rows failed, and max_failed = 2");
        let none = HaltRules { max_failed: Some(Share::Rows(0)), ..HaltRules::default() };
        assert!(counted([badly("a")]).trips(&none, Sample::SoFar).is_some());
    }

    #[test]
    fn a_percentage_needs_a_sample_or_the_end() {
        let rules = rules(r#"{"max_failed":"25%"}"#);
        let all_fail = || (0..19).map(|_| badly("a"));
        assert_eq!(counted(all_fail()).trips(&rules, Sample::SoFar), None);
        assert!(counted(all_fail()).trips(&rules, Sample::Whole).is_some());
        assert!(counted(all_fail().chain([badly("a")])).trips(&rules, Sample::SoFar).is_some());
        // Twenty unrelated agent errors among two hundred rows, one in ten.
        let one_in_ten = (0..200).map(|i| if i % 10 == 0 { badly(&format!("failed ({i})")) } else { WELL });
        let mut count = Count::default();
        for result in one_in_ten {
            let turn = count.begin();
            count.end(turn, Some(&result));
            assert_eq!(count.trips(&rules, Sample::SoFar), None);
        }
        assert_eq!(count.trips(&rules, Sample::Whole), None);
    }

    #[test]
    fn what_goes_well_ends_a_row_of_failures_and_no_count_of_a_cause() {
        let rules = rules(r#"{"consecutive_failures":3}"#);
        assert_eq!(counted([badly("a"), badly("a"), WELL, badly("a")]).trips(&rules, Sample::SoFar), None);
        assert!(counted([badly("a"), badly("b"), badly("c")]).trips(&rules, Sample::SoFar).is_some());
        let same = HaltRules { same_cause: Some(3), ..HaltRules::default() };
        assert_eq!(counted([badly("a"), badly("b"), badly("c")]).trips(&same, Sample::Whole), None);
        let why = counted([badly("a"), WELL, badly("a"), badly("b"), badly("a")]).trips(&same, Sample::SoFar).unwrap();
        assert_eq!(why, "3 rows failed for one cause, a, and same_cause = 3");
    }

    #[test]
    fn what_is_taken_and_not_proven_yet_is_part_of_the_sample() {
        let rules = rules(r#"{"max_failed":"25%"}"#);
        let mut count = Count::default();
        let open: Vec<Turn> = (0..60).map(|_| count.begin()).collect();
        for _ in 0..20 {
            let turn = count.begin();
            count.end(turn, Some(&badly("a")));
        }
        // 20 of 80 that the service answered, though all that are settled failed.
        assert_eq!(count.trips(&rules, Sample::Whole), None);
        count.end(open[0], Some(&badly("a")));
        assert_eq!(
            count.trips(&rules, Sample::Whole).as_deref(),
            Some("21 of 80 rows failed (26 %), and max_failed = 25%")
        );
    }

    #[test]
    fn one_after_another_is_the_order_in_which_rows_were_tried_and_not_in_which_they_were_proven() {
        let rules = rules(r#"{"consecutive_failures":3}"#);
        let mut count = Count::default();
        let turns: Vec<Turn> = (0..6).map(|_| count.begin()).collect();
        for bad in [1, 3, 5] {
            count.end(turns[bad], Some(&badly("a")));
        }
        assert_eq!(count.trips(&rules, Sample::SoFar), None);
        count.end(turns[0], Some(&WELL));
        count.end(turns[4], None);
        assert_eq!(count.tried, 5);
        assert_eq!(count.trips(&rules, Sample::SoFar), None);
        // Proven last, and it stands between two that failed.
        count.end(turns[2], Some(&badly("a")));
        assert_eq!(count.longest, 3);
        assert!(count.trips(&rules, Sample::SoFar).is_some());
        // Everything is known, so nothing is kept but how many failed up to here.
        assert_eq!((count.order.fates.len(), count.order.failed_before, count.next()), (0, 1, Turn(6)));
        let turn = count.begin();
        assert_eq!(count.order.end(turn, TurnFate::Bad), 2);
    }

    #[test]
    fn a_stage_counts_from_its_own_beginning() {
        let mut run = counted([badly("a"), badly("a")]);
        let mut stage = Count::default().beginning_at(run.next());
        let turn = run.begin();
        assert_eq!(stage.begin(), turn);
        run.end(turn, Some(&badly("a")));
        stage.end(turn, Some(&badly("a")));
        assert_eq!((run.longest, stage.longest), (3, 1));
    }

    #[test]
    fn what_earlier_launches_settled_is_part_of_the_sample_and_stops_nothing_again() {
        let percent = rules(r#"{"max_failed":"25%"}"#);
        let mut count = Count::default();
        count.seed(&WELL, 41);
        let turn = count.begin();
        count.end(turn, Some(&badly("a")));
        // One of 42 and not one of one.
        assert_eq!(count.trips(&percent, Sample::Whole), None);
        let number = rules(r#"{"max_failed":"2"}"#);
        let mut count = Count::default();
        count.seed(&badly("a"), 3);
        assert_eq!(count.trips(&number, Sample::Whole), None);
        let turn = count.begin();
        count.end(turn, Some(&badly("a")));
        assert_eq!(count.trips(&number, Sample::SoFar).as_deref(), Some("4 of 4 rows failed, and max_failed = 2"));
        assert!(count.all_failed());
    }

    #[test]
    fn only_rows_that_were_sent_are_counted_and_their_cause_is_class_and_code() {
        let untouched = Standing::default();
        assert_eq!(TryResult::from_verdict(&untouched, Verdict::Blocked, false), None);
        assert_eq!(TryResult::from_verdict(&untouched, Verdict::Already, false), None);
        let mut sent = Standing { attempts: 1, http_status: Some(403), ..Standing::default() };
        sent.error_code = Some("SMS.9004".to_owned());
        assert_eq!(TryResult::from_verdict(&sent, Verdict::Refused, false), Some(badly("refused (403 SMS.9004)")));
        let silent = Standing { attempts: 5, ..Standing::default() };
        assert_eq!(TryResult::from_verdict(&silent, Verdict::Failed, false), Some(badly("failed (no answer)")));
        assert_eq!(TryResult::from_verdict(&silent, Verdict::NoEffect, false), Some(badly("no_effect")));
        // What reads cannot show was the plan's choice; what no read showed was not.
        assert_eq!(TryResult::from_verdict(&silent, Verdict::Unverified, false), Some(WELL));
        assert_eq!(TryResult::from_verdict(&silent, Verdict::Unverified, true), Some(badly("unverified")));
    }
}
