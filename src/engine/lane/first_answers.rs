//! A lane's first answered changes: all the same 403 are about us and not about the rows. They count over launches.

use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneStop};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::verdict::Verdict;
use crate::model::RowId;

/// Sum of the lane's events in the journal, to which each answer is added as it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FirstAnswers {
    n: usize,
    /// Rows of these answers that are settled as refused.
    refused: Vec<RowId>,
    code: Option<String>,
    pub(crate) verdict: FirstVerdict,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FirstVerdict {
    #[default]
    Open,
    /// The rows are refused one by one.
    AboutRows,
    /// The lane stops.
    AboutUs,
}

const ENOUGH: usize = 5;

impl FirstAnswers {
    /// Counts one answered change. When the fifth is the same 403, gives the rows that were settled as refused before it.
    pub(crate) fn count(&mut self, outcome: &Outcome) -> Option<Vec<RowId>> {
        let was_open = self.verdict == FirstVerdict::Open;
        self.answered(outcome);
        (was_open && self.verdict == FirstVerdict::AboutUs).then(|| std::mem::take(&mut self.refused))
    }

    /// Notes that the row of the answer that was just counted is settled as refused.
    pub(crate) fn refuse(&mut self, row: RowId) {
        if self.verdict == FirstVerdict::Open {
            self.refused.push(row);
        }
    }

    /// A row that somebody opened again is not opened again for the lane's sake.
    pub(crate) fn reopened(&mut self, row: RowId) {
        self.refused.retain(|refused| *refused != row);
    }

    fn answered(&mut self, outcome: &Outcome) {
        if self.verdict != FirstVerdict::Open {
            return;
        }
        match outcome {
            Outcome::Rejected { status: 403, code, .. } if self.n == 0 || self.code == *code => {
                self.code.clone_from(code);
                self.n += 1;
                if self.n == ENOUGH {
                    self.verdict = FirstVerdict::AboutUs;
                }
            }
            Outcome::Accepted { .. } | Outcome::Rejected { .. } => self.verdict = FirstVerdict::AboutRows,
            // No answer to the change.
            Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => (),
        }
    }
}

/// Replay of the events that earlier launches recorded of a lane.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) answers: FirstAnswers,
    /// A refusal, which counts where the verdict was recorded with it: for a row in doubt only a look settles it.
    refusal: Option<(u64, RowId, Outcome)>,
}

impl Replay {
    /// Adds an event. Returns false once no later event would change anything.
    pub(crate) fn add(&mut self, event: &Event) -> bool {
        let refusal = self.refusal.take();
        if let EventKind::Row(row, what) = &event.kind {
            self.add_of_row(event.seq, *row, what, refusal);
        } else if let EventKind::Lane(LaneEvent::Stopped { cause: LaneStop::Forbidden, .. }) = &event.kind {
            // An operator who resumes after that has seen to the cause.
            self.answers = FirstAnswers::default();
        }
        self.answers.verdict != FirstVerdict::AboutRows
    }

    fn add_of_row(&mut self, seq: u64, row: RowId, event: &RowEvent, refusal: Option<(u64, RowId, Outcome)>) {
        if let RowEvent::AttemptEnded { outcome, .. } = event {
            if let Outcome::Rejected { .. } = outcome {
                self.refusal = Some((seq, row, outcome.clone()));
            } else {
                self.answers.answered(outcome);
            }
        } else if let RowEvent::Settled { verdict: Verdict::Refused, .. } = event {
            if let Some((before, of, outcome)) = refusal
                && (before + 1, of) == (seq, row)
            {
                self.answers.answered(&outcome);
                self.answers.refuse(row);
            }
        } else if let RowEvent::Reopened { .. } = event {
            self.answers.reopened(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::{LaneEvent, LaneId};
    use crate::event::row::RowEvent;

    fn forbidden(code: &str) -> Outcome {
        Outcome::Rejected { status: 403, code: Some(code.to_owned()), message: String::new() }
    }

    /// Does with an answer as a launch does.
    fn answer(answers: &mut FirstAnswers, row: u32, outcome: &Outcome) -> Option<Vec<RowId>> {
        let reopened = answers.count(outcome);
        if matches!(outcome, Outcome::Rejected { .. }) {
            answers.refuse(RowId(row));
        }
        reopened
    }

    fn count(answers: &mut FirstAnswers, outcomes: &[Outcome]) -> Option<Vec<RowId>> {
        let counted = |(row, outcome)| answer(answers, row, outcome);
        (1..).zip(outcomes).map(counted).collect::<Vec<_>>().into_iter().flatten().next()
    }

    /// Events of a row with this answer.
    fn recorded(row: u32, outcome: &Outcome) -> Vec<EventKind> {
        let row = RowId(row);
        let ended =
            RowEvent::AttemptEnded { attempt: 1, outcome: outcome.clone(), request_id: None, took_ms: 0, via: None }
                .about(row);
        let refused =
            RowEvent::Settled { verdict: Verdict::Refused, seen: None, reason: None, ground: None }.about(row);
        if matches!(outcome, Outcome::Rejected { .. }) { vec![ended, refused] } else { vec![ended] }
    }

    /// Replays events as a launch reads them: without looks.
    fn replayed(kinds: impl IntoIterator<Item = EventKind>) -> FirstAnswers {
        let mut replay = Replay::default();
        let is_look = |kind: &EventKind| matches!(kind, EventKind::Row(_, RowEvent::Seen { .. }));
        for (seq, kind) in (1..).zip(kinds).filter(|(_, kind)| !is_look(kind)) {
            if !replay.add(&Event { lane: LaneId::FIRST, seq, at: jiff::Timestamp::UNIX_EPOCH, kind }) {
                break;
            }
        }
        replay.answers
    }

    #[test]
    fn five_times_the_same_403_is_about_us() {
        let mut answers = FirstAnswers::default();
        let rows = count(&mut answers, &vec![forbidden("SMS.9004"); 5]);
        assert_eq!(rows, Some(vec![RowId(1), RowId(2), RowId(3), RowId(4)]));
        assert_eq!(answers.verdict, FirstVerdict::AboutUs);
    }

    #[test]
    fn one_accepted_change_or_another_code_makes_it_about_the_rows() {
        for other in [Outcome::Accepted { status: 200 }, forbidden("SMS.2248")] {
            let mut answers = FirstAnswers::default();
            let mut outcomes = vec![forbidden("SMS.9004"); 4];
            outcomes.push(other);
            outcomes.extend(vec![forbidden("SMS.9004"); 5]);
            assert_eq!(count(&mut answers, &outcomes), None);
            assert_eq!(answers.verdict, FirstVerdict::AboutRows);
        }
    }

    #[test]
    fn what_is_no_answer_to_a_change_is_not_counted() {
        let mut answers = FirstAnswers::default();
        let mut outcomes = vec![forbidden("SMS.9004"); 4];
        outcomes.push(Outcome::Unsent { cause: "refused".into() });
        outcomes.push(forbidden("SMS.9004"));
        assert!(count(&mut answers, &outcomes).is_some());
    }

    #[test]
    fn answers_of_earlier_launches_count_wherever_these_were_cut_off() {
        let live = |outcomes: &[Outcome], cut: usize| {
            let before = (1..).zip(&outcomes[..cut]).flat_map(|(row, outcome)| recorded(row, outcome));
            let mut answers = replayed(before);
            let mut stops = None;
            for (row, outcome) in (1..).zip(outcomes).skip(cut) {
                stops = stops.or(answer(&mut answers, row, outcome));
            }
            (answers.verdict, stops.map(|rows| rows.len()))
        };
        let accepted = Outcome::Accepted { status: 200 };
        let lost = Outcome::Lost { status: Some(503), code: None, cause: String::new() };
        let same = vec![forbidden("SMS.9004"); 8];
        let among = [vec![forbidden("SMS.9004"); 3], vec![lost], vec![forbidden("SMS.9004"); 2]].concat();
        let good = [vec![forbidden("SMS.9004"); 2], vec![accepted], vec![forbidden("SMS.9004"); 6]].concat();
        for (outcomes, expected) in [
            (same, (FirstVerdict::AboutUs, Some(4))),
            (among, (FirstVerdict::AboutUs, Some(4))),
            (good, (FirstVerdict::AboutRows, None)),
        ] {
            for cut in 0..5 {
                assert_eq!(live(&outcomes, cut), expected, "{cut}");
            }
        }
    }

    #[test]
    fn a_refusal_that_a_look_had_to_confirm_says_nothing_about_us() {
        let kinds = recorded(1, &forbidden("SMS.9004"));
        let seen = RowEvent::Seen { seen: None }.about(RowId(1));
        let confirmed = [kinds[0].clone(), seen, kinds[1].clone()];
        assert_eq!(replayed(confirmed), FirstAnswers::default());
    }

    #[test]
    fn a_lane_that_stopped_for_it_begins_anew_and_rows_opened_again_meanwhile_are_let_be() {
        let four = || (1..5).flat_map(|row| recorded(row, &forbidden("SMS.9004")));
        let stopped = LaneEvent::Stopped { cause: LaneStop::Forbidden, message: String::new() }.into();
        assert_eq!(replayed(four().chain([stopped])), FirstAnswers::default());
        let reopened = RowEvent::Reopened { cause: "asked for".to_owned() }.about(RowId(2));
        let mut answers = replayed(four().chain([reopened]));
        assert_eq!(answer(&mut answers, 2, &forbidden("SMS.9004")), Some(vec![RowId(1), RowId(3), RowId(4)]));
    }
}
