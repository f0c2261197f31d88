//! The events that a run has by the million, read from their stored form as they were written: straight into their fields,
//! at a fraction of what it costs to go by way of a map.

use serde::Deserialize;

use crate::event::{EventKind, Ground, Outcome, Verdict};
use crate::model::{RowId, SeenState, TargetState};

/// None for every other kind and for anything unusual, a field that is there twice included.
pub(super) fn read(kind: &str, row: RowId, detail: &str) -> Option<EventKind> {
    // A list would pass for an object without names.
    if !detail.starts_with('{') {
        return None;
    }
    match kind {
        "row_seen" => {
            let RowSeen { seen } = serde_json::from_str(detail).ok()?;
            Some(EventKind::RowSeen { row, seen })
        }
        "attempt_started" => {
            let AttemptStarted { attempt, sends } = serde_json::from_str(detail).ok()?;
            Some(EventKind::AttemptStarted { row, attempt, sends })
        }
        "attempt_ended" => {
            let AttemptEnded { attempt, outcome, request_id, took_ms } = serde_json::from_str(detail).ok()?;
            Some(EventKind::AttemptEnded { row, attempt, outcome, request_id, took_ms })
        }
        "row_settled" => {
            let RowSettled { verdict, seen, reason, ground } = serde_json::from_str(detail).ok()?;
            Some(EventKind::RowSettled { row, verdict, seen, reason, ground })
        }
        _ => None,
    }
}

#[derive(Deserialize)]
struct RowSeen {
    seen: Option<SeenState>,
}

#[derive(Deserialize)]
struct AttemptStarted {
    attempt: u32,
    sends: TargetState,
}

#[derive(Deserialize)]
struct AttemptEnded {
    attempt: u32,
    outcome: Outcome,
    request_id: Option<String>,
    took_ms: u64,
}

#[derive(Deserialize)]
struct RowSettled {
    verdict: Verdict,
    seen: Option<SeenState>,
    reason: Option<String>,
    ground: Option<Ground>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Stored, from_stored_form, stored_form};
    use crate::model::words::Word;

    const ROW: RowId = RowId(7);

    fn state() -> SeenState {
        SeenState { copystate: Some(Word::new("stopped")), migrationcycle: None }
    }

    #[test]
    fn what_was_written_is_read_back_without_a_map() {
        let sends =
            TargetState { copystate: Some(Word::new("stopped")), migrationcycle: Some(Word::new("new_\"word")) };
        let refused = Outcome::Rejected { status: 400, code: Some("SMS.1".to_owned()), message: "no\n☃".to_owned() };
        let kinds = [
            EventKind::RowSeen { row: ROW, seen: Some(state()) },
            EventKind::RowSeen { row: ROW, seen: None },
            EventKind::AttemptStarted { row: ROW, attempt: 3, sends },
            EventKind::AttemptEnded { row: ROW, attempt: 1, outcome: refused, request_id: None, took_ms: 9 },
            EventKind::AttemptEnded {
                row: ROW,
                attempt: 1,
                outcome: Outcome::Accepted { status: 200 },
                request_id: Some("r".to_owned()),
                took_ms: u64::MAX,
            },
            EventKind::RowSettled {
                row: ROW,
                verdict: Verdict::Applied,
                seen: Some(state()),
                reason: None,
                ground: None,
            },
            EventKind::RowSettled {
                row: ROW,
                verdict: Verdict::Blocked,
                seen: None,
                reason: Some("policy".to_owned()),
                ground: Some(Ground::Skipped),
            },
            EventKind::RowSettled {
                row: ROW,
                verdict: Verdict::Unverified,
                seen: None,
                reason: None,
                ground: Some(Ground::NotVerified),
            },
        ];
        for kind in kinds {
            let mut text = String::new();
            let Stored { kind: name, row: _, detail } = stored_form(&kind, &mut text);
            assert_eq!(read(name, ROW, detail), Some(kind));
        }
    }

    #[test]
    fn what_was_not_written_so_is_read_as_a_map_reads_it() {
        let seen = "{\"seen\":{\"copystate\":\"stopped\"}}";
        let settled = "{\"verdict\":\"applied\",\"verdict\":\"failed\"}";
        assert_eq!(read("row_seen", ROW, &seen.replace("{\"s", " {\"s")), None);
        assert_eq!(read("row_settled", ROW, settled), None);
        let last = EventKind::RowSettled { row: ROW, verdict: Verdict::Failed, seen: None, reason: None, ground: None };
        assert_eq!(from_stored_form("row_settled", Some(7), settled).unwrap(), last);
        // The columns say which row and what kind it is.
        let elsewhere = seen.replace("{\"s", "{\"row\":8,\"kind\":\"row_left\",\"s");
        let expected = EventKind::RowSeen { row: ROW, seen: Some(state()) };
        assert_eq!(from_stored_form("row_seen", Some(7), &elsewhere).unwrap(), expected);
        for bad in ["[null]", "{\"seen\":7}", "{\"seen\":null}}", "7"] {
            assert!(from_stored_form("row_seen", Some(7), bad).is_err(), "{bad}");
        }
        assert!(from_stored_form("row_seen", None, seen).is_err());
    }
}
