//! Documented rules of `changestate`, as a function of the current state and the body.

use serde_json::Value;

use super::answer::{self, HttpAnswer};
use super::scenario::ApiEdition;
use crate::model::state::TargetState;
use crate::model::words::{self, Pairing, Word};

/// source: the historical table, SMS.2004.
pub(super) const LONGEST_BODY: usize = 10_240;

/// Decision about one change.
#[derive(Debug)]
pub(super) enum Ruling {
    /// The change is recorded, and answered with success.
    Records(TargetState),
    /// The change is answered with success, and nothing is recorded.
    Swallows,
    Refuses(HttpAnswer),
}

pub(super) fn rule(edition: ApiEdition, copystate: &Word, body: &[u8]) -> Ruling {
    if body.len() > LONGEST_BODY {
        return Ruling::Refuses(answer::too_large());
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Ruling::Refuses(answer::not_json());
    };
    // The page says that in these states the parameters are not even checked. source: CN api-sms/UpdateCopyState.html
    if words::swallows_updates(copystate) {
        return Ruling::Swallows;
    }
    match read_target(edition, &body) {
        Ok(wants) => Ruling::Records(wants),
        Err(problem) => Ruling::Refuses(answer::invalid(&problem)),
    }
}

/// Returns both fields as the body has them, known words or not, for the ledger.
pub(super) fn as_sent(body: &[u8]) -> Option<TargetState> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let field = |name: &str| body.get(name)?.as_str().map(Word::new);
    Some(TargetState { copystate: field("copystate"), migrationcycle: field("migrationcycle") })
}

fn read_target(edition: ApiEdition, body: &Value) -> Result<TargetState, String> {
    let wants = TargetState {
        copystate: read_word(edition, body, "copystate", Word::is_copystate)?,
        migrationcycle: read_word(edition, body, "migrationcycle", Word::is_migrationcycle)?,
    };
    if let (Some(copystate), Some(migrationcycle)) = (&wants.copystate, &wants.migrationcycle) {
        // The Go SDK's comment says that such an update fails with an error; status and code are not documented.
        match words::pairing(copystate, migrationcycle) {
            Pairing::Outside => return Err(format!("{copystate} does not go with {migrationcycle}")),
            Pairing::Allowed | Pairing::NoRule => (),
        }
    }
    Ok(wants)
}

fn read_word(edition: ApiEdition, body: &Value, name: &str, known: fn(&Word) -> bool) -> Result<Option<Word>, String> {
    match (body.get(name), edition) {
        (None | Some(Value::Null), ApiEdition::Y2025M11) => Ok(None),
        (None | Some(Value::Null), ApiEdition::Y2026M01) => Err(format!("{name} is mandatory")),
        (Some(value), _) => {
            let word = value.as_str().map(Word::new).filter(known);
            word.map(Some).ok_or_else(|| format!("{name} is not one of the documented values"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(edition: ApiEdition, current: &str, body: &str) -> (u16, String) {
        match rule(edition, &Word::new(current), body.as_bytes()) {
            Ruling::Records(wants) => (200, wants.to_string()),
            Ruling::Swallows => (200, "swallowed".into()),
            Ruling::Refuses(answer) => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                (answer.status, body["error_code"].as_str().unwrap().into())
            }
        }
    }

    #[test]
    fn each_edition_has_its_own_idea_of_a_missing_field() {
        let half = r#"{"copystate": "STOPPED"}"#;
        assert_eq!(status(ApiEdition::Y2025M11, "syncing", half), (200, "stopped/*".into()));
        assert_eq!(status(ApiEdition::Y2026M01, "syncing", half), (400, "SMS.9001".into()));
    }

    #[test]
    fn in_seven_states_not_even_nonsense_is_refused() {
        let swallowing: Vec<_> = words::COPYSTATES
            .into_iter()
            .filter(|state| {
                status(ApiEdition::Y2026M01, state, r#"{"copystate": "banana"}"#) == (200, "swallowed".into())
            })
            .collect();
        assert_eq!(
            swallowing,
            ["unavailable", "stopping", "stopped", "deleting", "clearing", "clearfailed", "finished"]
        );
    }

    #[test]
    fn every_pair_outside_the_matrix_is_refused_and_every_other_recorded() {
        for copystate in words::COPYSTATES {
            for cycle in words::MIGRATIONCYCLES {
                let body = format!(r#"{{"copystate": "{copystate}", "migrationcycle": "{}"}}"#, cycle.to_uppercase());
                let expected = match words::pairing(&Word::new(copystate), &Word::new(cycle)) {
                    Pairing::Outside => (400, "SMS.9001".into()),
                    Pairing::Allowed | Pairing::NoRule => (200, format!("{copystate}/{cycle}")),
                };
                assert_eq!(status(ApiEdition::Y2026M01, "error", &body), expected);
            }
        }
    }

    #[test]
    fn bad_bodies_get_the_documented_codes() {
        let at = |body: &str| status(ApiEdition::Y2026M01, "syncing", body);
        assert_eq!(at("not json"), (400, "SMS.6010".into()));
        assert_eq!(at(""), (400, "SMS.6010".into()));
        assert_eq!(at("[]"), (400, "SMS.9001".into()));
        assert_eq!(at(r#"{"copystate": 3, "migrationcycle": "syncing"}"#), (400, "SMS.9001".into()));
        assert_eq!(at(r#"{"copystate": "banana", "migrationcycle": "syncing"}"#), (400, "SMS.9001".into()));
        assert_eq!(at(&" ".repeat(10_241)), (401, "SMS.2004".into()));
        assert_eq!(at(&" ".repeat(10_240)), (400, "SMS.6010".into()));
    }
}
