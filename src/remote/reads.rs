//! Meaning of what a read shows: sources, pages of them, and what people ask for. Pure functions from an answer to what was
//! learned; a read that cannot be understood teaches nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::classify::{Answer, error_in_success};
use super::service::{InInventory, Inventoried, Listed, Page, SourceShown};
use super::wire::{Described, Descriptions, Plain, Scalar, Server, Servers};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::transport::secrets::Secrets;

/// State of one source, as the service showed it.
pub(crate) fn shown(answer: &Answer, source: &SourceId) -> SourceShown {
    if answer.says_no_such_source() {
        return SourceShown::Absent;
    }
    let body = match answer.success_text() {
        Ok(body) => body,
        Err(outcome) => return SourceShown::Failed(outcome),
    };
    match serde_json::from_str::<Server<'_>>(&body) {
        Ok(server) if server.says_nothing() => SourceShown::Failed(answer.not_the_right_json(&body)),
        Ok(server) if !server.is_about(source) => SourceShown::Failed(match error_in_success(&body) {
            Some(error) => answer.error_with_success(error),
            None if server.id.0.is_none() => answer.lost(None, "the answer does not say which source it is about"),
            None => answer.lost(None, "the answer is about another source"),
        }),
        Ok(server) => match error_in_success(&body) {
            Some(error) => SourceShown::Failed(answer.error_with_success(error)),
            None => SourceShown::Seen(without_secrets(server.seen(), &answer.secrets)),
        },
        Err(_) => SourceShown::Failed(answer.not_the_right_json(&body)),
    }
}

/// Drops state words that contain a secret, since states go into the journal. Known words need no search.
fn without_secrets(seen: SeenState, secrets: &Secrets) -> SeenState {
    let harmless = |word: &Word| word.is_copystate() || word.is_migrationcycle() || !secrets.are_in(word.as_str());
    SeenState { copystate: seen.copystate.filter(harmless), migrationcycle: seen.migrationcycle.filter(harmless) }
}

/// Reads all fields of one source, without our secrets.
pub(crate) fn described(answer: &Answer, source: &SourceId) -> Result<Value, Outcome> {
    let body = answer.success_text()?;
    let Ok(mut json @ Value::Object(_)) = serde_json::from_str(&body) else {
        return Err(answer.not_the_right_json(&body));
    };
    if let Some(error) = error_in_success(&body) {
        return Err(answer.error_with_success(error));
    }
    let id = json.get("id").and_then(Value::as_str).map(str::trim);
    if !id.is_some_and(|id| id.eq_ignore_ascii_case(source.as_str())) {
        let whose = if id.is_some() { "is about another source" } else { "does not say which source it is about" };
        return Err(answer.lost(None, &format!("the answer {whose}")));
    }
    hide_in(&mut json, &answer.secrets);
    Ok(json)
}

fn hide_in(json: &mut Value, secrets: &Secrets) {
    match json {
        Value::String(text) => {
            if let Cow::Owned(hidden) = secrets.hide(text) {
                *text = hidden;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide_in(item, secrets)),
        Value::Object(entries) => {
            entries.retain(|name, _| !secrets.are_in(name));
            entries.values_mut().for_each(|value| hide_in(value, secrets));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

/// Page of sources with what people ask for, as the service listed it.
pub(crate) fn inventoried(answer: &Answer) -> Result<Inventoried, Outcome> {
    let body = answer.success_text()?;
    let Ok(page) = serde_json::from_str::<Descriptions<'_>>(&body) else {
        return Err(answer.not_the_right_json(&body));
    };
    let count = page.count.0.as_deref().and_then(|count| count.parse().ok());
    let Some(entries) = page.source_servers else {
        // An account without sources may have no array either.
        let is_none = count == Some(0);
        return if is_none { Ok(Inventoried::default()) } else { Err(answer.not_the_right_json(&body)) };
    };
    if let Some(too_many) = entries.too_many() {
        return Err(answer.lost(None, &too_many));
    }
    let n_entries = entries.n;
    let sources = entries.kept.into_iter().flatten().filter_map(|entry| inventory(entry, &answer.secrets)).collect();
    Ok(Inventoried { count, n_entries, sources })
}

/// Converts an entry of a page; `None` for one without an id, which is no source.
fn inventory(entry: Described<'_>, secrets: &Secrets) -> Option<InInventory> {
    let text = |text: Scalar<'_>| text.0.map(|text| secrets.hide(&text).into_owned());
    let time = |time: Plain<'_>| if let Plain::Number(ms) = time { i64::try_from(ms).ok() } else { None };
    Some(InInventory {
        id: text(entry.id)?,
        name: text(entry.name),
        hostname: text(entry.hostname),
        ip: text(entry.ip),
        state: text(entry.state),
        migration_cycle: text(entry.migration_cycle),
        connected: if let Plain::Flag(connected) = entry.connected { Some(connected) } else { None },
        os: text(entry.os_version),
        changed_ms: time(entry.state_action_time).max(time(entry.stage_action_time)),
        task: if let Plain::InState(state) = entry.current_task {
            Some(secrets.hide(&state).into_owned())
        } else {
            None
        },
    })
}

/// Page of sources, as the service listed it.
pub(crate) fn listed(answer: &Answer) -> Listed {
    let body = match answer.success_text() {
        Ok(body) => body,
        Err(outcome) => return Listed::Failed(outcome),
    };
    match serde_json::from_str::<Servers<'_>>(&body) {
        Ok(servers) if servers.says_nothing() => Listed::Failed(answer.not_the_right_json(&body)),
        Ok(servers) => {
            if let Some(too_many) = servers.too_many() {
                return Listed::Failed(answer.lost(None, &too_many));
            }
            let (count, n_entries) = (servers.count(), servers.n_entries());
            let (servers, contradicted) = agreed(servers.by_id());
            let harmless = |(id, seen)| (id, without_secrets(seen, &answer.secrets));
            Listed::Page(Page { count, n_entries, servers: servers.into_iter().map(harmless).collect(), contradicted })
        }
        Err(_) => Listed::Failed(answer.not_the_right_json(&body)),
    }
}

/// Separates a page into sources, each once, and those that it shows twice with different states. Such a contradiction counts
/// as a failed look, and the source is asked for by its id.
fn agreed(servers: Vec<(SourceId, SeenState)>) -> (Vec<(SourceId, SeenState)>, Vec<SourceId>) {
    let mut first = HashMap::with_capacity(servers.len());
    let mut contradicted = Vec::new();
    let mut is_certain = vec![true; servers.len()];
    for (i, (id, seen)) in servers.iter().enumerate() {
        if let Some((at, shown)) = first.get(id) {
            is_certain[i] = false;
            if *shown != seen && std::mem::replace(&mut is_certain[*at], false) {
                contradicted.push(id.clone());
            }
        } else {
            first.insert(id, (i, seen));
        }
    }
    drop(first);
    let certain = servers.into_iter().zip(is_certain).filter(|(_, is_certain)| *is_certain);
    (certain.map(|(server, _)| server).collect(), contradicted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::classify::change;
    use crate::remote::classify::tests::{Is, answer, failing, html, kind, look};
    use crate::transport::answer::Body;

    #[test]
    fn a_source_is_shown_by_what_has_its_states() {
        for body in [
            r#"{"id":"vm-1","state":"syncing","migration_cycle":"syncing"}"#,
            r#"{"id":"VM-1","state":"SYNCING","migration_cycle":"syncing","name":"x"}"#,
            r#"{"id":"vm-1","state":"syncing","migration_cycle":"syncing","error_code":""}"#,
        ] {
            let SourceShown::Seen(seen) = look(&answer(200, body)) else { panic!("{body}") };
            assert_eq!(seen.to_string(), "syncing/syncing");
        }
        assert!(
            matches!(look(&answer(200, r#"{"id":"vm-1","state":null}"#)), SourceShown::Seen(seen) if seen.copystate.is_none())
        );
    }

    #[test]
    fn a_look_that_cannot_be_read_teaches_nothing() {
        for unreadable in [
            answer(200, ""),
            answer(200, "{ }"),
            answer(200, "null"),
            answer(200, "<html>"),
            answer(200, "\"stopped\""),
            answer(200, r#"{"id":"vm-1","state":"stop"#),
            answer(200, r#"{"id":"vm-2","state":"stopped"}"#),
            answer(200, r#"{"state":"stopped","migration_cycle":"syncing"}"#),
            answer(200, r#"{"id":"vm-1","error_code":"SMS.6301","error_msg":"busy"}"#),
            answer(204, ""),
            Answer { body: Body::TooLarge, ..answer(200, "") },
            Answer { body: Body::CutOff { cause: "reset".to_owned() }, ..answer(404, "") },
            answer(503, ""),
        ] {
            let seen = look(&unreadable);
            assert!(matches!(&seen, SourceShown::Failed(outcome) if kind(outcome) == Is::Lost), "{seen:?}");
        }
        let failed = look(&answer(200, r#"{"error_code":"SMS.6301","error_msg":"busy"}"#));
        assert!(matches!(failed, SourceShown::Failed(outcome) if outcome.code() == Some("SMS.6301")));
    }

    #[test]
    fn only_the_service_itself_can_say_that_a_source_is_absent() {
        for (absent, answer) in [
            (false, answer(404, "")),
            (true, answer(404, "{}")),
            (false, answer(404, "default backend - 404")),
            (true, failing(404, "SMS.9999")),
            (true, failing(404, "SMS.2252")),
            (true, failing(400, "SMS.2216")),
            (true, failing(403, "SMS.2252")),
            (true, answer(400, r#"{"error_code":"SMS.7703","error_msg":"The source server does not exist."}"#)),
            (true, answer(403, r#"{"error_code":"SMS.0404","error_msg":"Server vm-1 not found"}"#)),
            (false, answer(400, r#"{"error_code":"SMS.7703","error_msg":"The task does not exist."}"#)),
            (false, failing(403, "SMS.2248")),
            (false, failing(403, "SMS.9004")),
            (false, failing(404, "SMS.9004")),
            (false, failing(404, "APIGW.0101")),
            (false, failing(404, "APIG.0103")),
            (false, failing(404, "APIGW.9999")),
            (false, answer(404, r#"{"error_code":"APIGW.0101","error_msg":"The API source does not exist"}"#)),
            (false, html(404, "<h1>Not Found</h1>")),
            (false, answer(500, r#"{"error_msg":"source not found"}"#)),
            (false, failing(401, "SMS.2216")),
        ] {
            assert_eq!(look(&answer) == SourceShown::Absent, absent, "{} {}", answer.status, change(&answer));
        }
    }

    #[test]
    fn what_a_page_shows_twice_is_there_once_and_not_at_all_where_it_is_not_the_same() {
        let entry = |id: &str, copystate: &str| {
            let seen = SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None };
            (SourceId::new(id).unwrap(), seen)
        };
        let (a, b) = (entry("a", "syncing"), entry("a", "stopped"));
        let other = entry("b", "syncing");
        let ids = |ids: &[&str]| ids.iter().map(|id| SourceId::new(id).unwrap()).collect::<Vec<_>>();
        for (shown, certain, contradicted) in [
            (vec![&a, &other, &a], vec![&a, &other], &[][..]),
            (vec![&a, &other, &b], vec![&other], &["a"]),
            (vec![&b, &other, &a], vec![&other], &["a"]),
            (vec![&a, &a, &b, &other], vec![&other], &["a"]),
            // A third entry that agrees with the first does not settle the contradiction.
            (vec![&a, &b, &a, &other], vec![&other], &["a"]),
            (vec![&a, &b, &b, &other], vec![&other], &["a"]),
        ] {
            let of =
                |entries: &[&(SourceId, SeenState)]| entries.iter().map(|entry| (*entry).clone()).collect::<Vec<_>>();
            assert_eq!(agreed(of(&shown)), (of(&certain), ids(contradicted)), "{shown:?}");
        }
    }

    #[test]
    fn a_page_is_the_array_and_nothing_else() {
        let body =
            r#"{"count":2,"source_servers":[{"id":"a","state":"error"},{"id":"b","migration_cycle":"setting"}]}"#;
        let Listed::Page(page) = listed(&answer(200, body)) else { panic!() };
        assert_eq!((page.count, page.servers.len()), (2, 2));
        assert_eq!(page.servers[1].1.to_string(), "*/setting");
        for body in ["", "{ }", "[]", "<html>", r#"{"count":1}"#, r#"{"source_servers":[{"id":"a""#] {
            assert!(
                matches!(listed(&answer(200, body)), Listed::Failed(outcome) if kind(&outcome) == Is::Lost),
                "{body}"
            );
        }
        assert!(matches!(listed(&failing(404, "SMS.9999")), Listed::Failed(outcome) if kind(&outcome) == Is::Rejected));
        assert!(
            matches!(listed(&failing(429, "APIGW.0308")), Listed::Failed(outcome) if kind(&outcome) == Is::Throttled)
        );
    }
}
