//! Stamping: a batch of events is held against what is known, numbered and chained. Neither the journal nor the clock is asked.

use crate::event::Event;
use crate::event::kind::EventKind;
use crate::journal::loaded::Loaded;
use crate::journal::stamped::{Stamped, Unchained};
use crate::journal::stored::StoredEvent;
use crate::ledger::fold::IllegalStep;

/// The first event of a batch that cannot follow those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Illegal {
    /// Its position in the batch, from 0 on.
    pub(crate) nth: usize,
    pub(crate) step: IllegalStep,
}

/// An event that was stamped elsewhere and cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error(transparent)]
    Illegal(#[from] IllegalStep),
    #[error(transparent)]
    Unchained(#[from] Unchained),
}

/// Stamps events, each as the next of its lane, and adds them to the standings of their rows. All lanes and rows of the batch have to be
/// known. After an error neither what is known nor the numbers of the events mean anything.
pub(super) fn stamp(known: &mut Loaded, events: &mut [Event]) -> Result<Stamped, Illegal> {
    let mut stamped = Stamped::default();
    for (nth, event) in events.iter_mut().enumerate() {
        stand(known, event).map_err(|step| Illegal { nth, step })?;
        stamped.put(event, known.heads.get_mut(&event.lane).expect(LOADED));
    }
    Ok(stamped)
}

/// Checks events that were stamped elsewhere as [`stamp`] does, and takes their texts unchanged. `events` are the same ones, parsed, in
/// the same order.
pub(super) fn take(known: &mut Loaded, events: &[Event], stored: &[StoredEvent<'_>]) -> Result<Stamped, NotTaken> {
    let mut stamped = Stamped::default();
    for (event, stored) in events.iter().zip(stored) {
        stand(known, event)?;
        stamped.put_verbatim(stored, known.heads.get_mut(&event.lane).expect(LOADED))?;
    }
    Ok(stamped)
}

const LOADED: &str = "what a batch stands on is loaded before it is stamped";

fn stand(known: &mut Loaded, event: &Event) -> Result<(), IllegalStep> {
    match &event.kind {
        EventKind::Row(row, what) => known.standings.get_mut(row).expect(LOADED).add(*row, what, event.at),
        EventKind::Lane(_) | EventKind::Run(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::outcome::Outcome;
    use crate::event::row::RowEvent;
    use crate::event::run::RunEvent;
    use crate::journal::chain::genesis;
    use crate::ledger::standing::{Phase, Standing};
    use crate::model::RowId;
    use crate::model::state::TargetState;

    fn known() -> Loaded {
        let lanes = [LaneId::RUN, LaneId(1), LaneId(2)];
        let heads = lanes.map(|lane| (lane, (0, genesis("r", lane)))).into();
        let standings = [1, 2].map(|row| (RowId(row), Box::new(Standing::default()))).into();
        Loaded { heads, standings }
    }

    fn event(lane: LaneId, kind: EventKind) -> Event {
        Event::unnumbered(lane, Some(Timestamp::UNIX_EPOCH), kind)
    }

    fn seen(lane: u32, row: u32) -> Event {
        event(LaneId(lane), RowEvent::Seen { seen: None }.about(RowId(row)))
    }

    fn begun(lane: u32, row: u32) -> Event {
        let begun = RowEvent::AttemptStarted { attempt: 1, sends: TargetState::default() };
        event(LaneId(lane), begun.about(RowId(row)))
    }

    #[test]
    fn each_lane_is_numbered_and_chained_by_itself() {
        let mut known = known();
        let mut events = vec![seen(1, 1), seen(2, 2), begun(1, 1), event(LaneId::RUN, RunEvent::WaitEnded.into())];
        let stamped = stamp(&mut known, &mut events).unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 1, 2, 1]);
        let stored: Vec<StoredEvent<'_>> = stamped.iter().collect();
        assert_eq!(stored[0].prev, genesis("r", LaneId(1)));
        assert_eq!(stored[2].prev, stored[0].hash);
        assert_eq!(known.heads[&LaneId(1)], (2, stored[2].hash));
        assert_eq!((stored[3].kind, stored[3].row, stored[3].detail), ("wait_ended", None, "{}"));
        assert_eq!(known.standings[&RowId(1)].phase, Phase::Open);
    }

    #[test]
    fn the_first_step_that_cannot_have_happened_is_named_by_its_place() {
        let outcome = Outcome::Accepted { status: 200 };
        let ended = RowEvent::AttemptEnded { attempt: 1, outcome, request_id: None, took_ms: 1, via: None };
        let mut events = vec![seen(1, 1), event(LaneId(2), ended.about(RowId(2))), begun(1, 1)];
        let illegal = stamp(&mut known(), &mut events).map(drop).unwrap_err();
        assert_eq!((illegal.nth, illegal.step.row), (1, RowId(2)));
    }

    #[test]
    fn a_text_that_was_stamped_elsewhere_is_taken_to_the_letter_or_not_at_all() {
        let mut events = vec![seen(1, 1), begun(1, 1)];
        let stamped = stamp(&mut known(), &mut events).unwrap();
        let stored = || stamped.iter().collect::<Vec<_>>();
        let texts =
            |stamped: &Stamped| stamped.iter().map(|event| (event.detail.to_owned(), event.hash)).collect::<Vec<_>>();
        assert_eq!(texts(&take(&mut known(), &events, &stored()).unwrap()), texts(&stamped));
        let refused = |change: &dyn Fn(&mut Vec<StoredEvent<'_>>)| {
            let mut stored = stored();
            change(&mut stored);
            match take(&mut known(), &events, &stored).map(drop).unwrap_err() {
                NotTaken::Unchained(why) => why,
                NotTaken::Illegal(step) => panic!("{step}"),
            }
        };
        let (lane, seq) = (LaneId(1), 1);
        assert_eq!(refused(&|stored| stored[0].detail = "{}"), Unchained::OtherHash { lane, seq });
        assert_eq!(refused(&|stored| stored[0].at_ms += 1), Unchained::OtherHash { lane, seq });
        assert_eq!(refused(&|stored| stored[1].seq = 3), Unchained::NotNext { lane, seq: 3, last: 1 });
        assert_eq!(refused(&|stored| stored[1].prev = [0; 32]), Unchained::NotNext { lane, seq: 2, last: 1 });
    }
}
