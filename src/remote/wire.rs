//! Bodies on the wire: strict in what we send, tolerant in what we read.
//!
//! Writes say `copystate` and `migrationcycle`, reads say `state` and `migration_cycle`.
//! sources: api-sms/UpdateCopyState.html, api-sms/ShowServer.html, api-sms/ListServers.html.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::SourceId;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::remote::service::PAGE;

/// Body of a change: only the fields that the target has.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    copystate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrationcycle: Option<&'a str>,
}

pub(crate) fn change_body(sends: &TargetState) -> Vec<u8> {
    let change = Change {
        copystate: sends.copystate.as_ref().map(Word::as_str),
        migrationcycle: sends.migrationcycle.as_ref().map(Word::as_str),
    };
    serde_json::to_vec(&change).expect("two texts are always JSON")
}

/// Source server as reads show it; its many other fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Server<'a> {
    #[serde(borrow, default)]
    pub id: Scalar<'a>,
    #[serde(borrow, default)]
    state: Scalar<'a>,
    #[serde(borrow, default)]
    migration_cycle: Scalar<'a>,
}

impl Server<'_> {
    /// Tells whether a body has neither an id nor states: it is not a server but some other JSON.
    pub(crate) fn says_nothing(&self) -> bool {
        self.id.0.is_none() && self.state.0.is_none() && self.migration_cycle.0.is_none()
    }

    pub(crate) fn is_about(&self, source: &SourceId) -> bool {
        self.id.0.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(source.as_str()))
    }

    pub(crate) fn seen(&self) -> SeenState {
        SeenState {
            copystate: self.state.0.as_deref().and_then(word),
            migrationcycle: self.migration_cycle.0.as_deref().and_then(word),
        }
    }
}

/// Returns a state word, known or not. A text that could not be one is dropped (a number, or `-` for nothing, among others), since
/// it would go into the journal and pass for a state.
pub(super) fn word(text: &str) -> Option<Word> {
    const LONGEST: usize = 64;
    let is_word = text.len() <= LONGEST && !text.chars().any(char::is_control) && text.chars().any(char::is_alphabetic);
    is_word.then(|| Word::new(text))
}

/// Page of the list.
#[derive(Deserialize)]
pub(crate) struct Servers<'a> {
    #[serde(borrow, default)]
    count: Scalar<'a>,
    #[serde(borrow)]
    source_servers: Option<Entries<Option<Server<'a>>>>,
}

/// Entries of a page: those that are kept, at most as many as were asked for, and the number of all.
pub(crate) struct Entries<T> {
    pub(crate) kept: Vec<T>,
    pub(crate) n: usize,
}

impl<T> Entries<T> {
    /// Returns the objection to a page with more entries than were asked for.
    pub(crate) fn too_many(&self) -> Option<String> {
        (self.n > PAGE as usize).then(|| format!("the page has {} entries, and {PAGE} were asked for", self.n))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < PAGE as usize
            && let Some(entry) = items.next_element()?
        {
            kept.push(entry);
        }
        let mut n = kept.len();
        // Entries beyond those that were asked for are counted, and take no memory.
        while n >= PAGE as usize && items.next_element::<IgnoredAny>()?.is_some() {
            n += 1;
        }
        Ok(Entries { kept, n })
    }
}

impl Servers<'_> {
    /// Tells whether a body is some other JSON: it has no array of servers, and does not say that there are none.
    pub(crate) fn says_nothing(&self) -> bool {
        self.source_servers.is_none() && self.count.0.as_deref() != Some("0")
    }

    /// Number of sources in all, which may be more than a page has.
    pub(crate) fn count(&self) -> u64 {
        let count = self.count.0.as_deref().and_then(|count| count.parse().ok());
        count.unwrap_or(self.n_entries() as u64)
    }

    pub(crate) fn too_many(&self) -> Option<String> {
        self.source_servers.as_ref()?.too_many()
    }

    pub(crate) fn n_entries(&self) -> usize {
        self.source_servers.as_ref().map_or(0, |entries| entries.n)
    }

    /// Returns servers by their ids. Those without an id that a plan could name are left out.
    pub(crate) fn by_id(self) -> Vec<(SourceId, SeenState)> {
        let with_id = |server: Server<'_>| Some((SourceId::new(server.id.0.as_deref()?).ok()?, server.seen()));
        self.source_servers.into_iter().flat_map(|entries| entries.kept).flatten().filter_map(with_id).collect()
    }
}

/// Source with the fields that people ask for; its many other fields are ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Described<'a> {
    #[serde(borrow)]
    pub(crate) id: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) name: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) hostname: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) ip: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) state: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) migration_cycle: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) connected: Plain<'a>,
    #[serde(borrow)]
    pub(crate) os_version: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) state_action_time: Plain<'a>,
    #[serde(borrow)]
    pub(crate) stage_action_time: Plain<'a>,
    #[serde(borrow)]
    pub(crate) current_task: Plain<'a>,
}

/// Page of the list with the fields that people ask for.
#[derive(Deserialize)]
pub(crate) struct Descriptions<'a> {
    #[serde(borrow, default)]
    pub(crate) count: Scalar<'a>,
    #[serde(borrow)]
    pub(crate) source_servers: Option<Entries<Option<Described<'a>>>>,
}

/// Text, or a number in place of a text; `None` for anything else, also for an empty text.
#[derive(Default)]
pub(crate) struct Scalar<'a>(pub(crate) Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Scalar(match Plain::deserialize(deserializer)? {
            Plain::Text(text) => Some(text),
            Plain::Number(number) => Some(Cow::Owned(number.to_string())),
            Plain::Flag(_) | Plain::InState(_) | Plain::Nothing => None,
        }))
    }
}

/// JSON value of any kind, reduced to what is used of it.
#[derive(Default)]
pub(crate) enum Plain<'a> {
    /// Text without the blanks around it.
    Text(Cow<'a, str>),
    Number(i128),
    Flag(bool),
    /// `state` of an object.
    InState(String),
    #[default]
    Nothing,
}

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        let text = text.trim();
        Ok(if text.is_empty() { Plain::Nothing } else { Plain::Text(Cow::Borrowed(text)) })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let text = text.trim();
        Ok(if text.is_empty() { Plain::Nothing } else { Plain::Text(Cow::Owned(text.to_owned())) })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Plain::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Plain::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Plain::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Plain::Flag(flag))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Plain::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Plain::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut state = None;
        while let Some(key) = entries.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                // Only a text counts as a state: an object there is skipped, however deep it is.
                "state" => state = entries.next_value::<OnlyText>()?.0,
                _ => _ = entries.next_value::<IgnoredAny>()?,
            }
        }
        Ok(state.map_or(Plain::Nothing, Plain::InState))
    }
}

/// Text; `None` for anything else.
struct OnlyText(Option<String>);

impl<'de> Deserialize<'de> for OnlyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(OnlyText(match Plain::deserialize(deserializer)? {
            Plain::Text(text) => Some(text.into_owned()),
            Plain::Number(_) | Plain::Flag(_) | Plain::InState(_) | Plain::Nothing => None,
        }))
    }
}

/// Contents of an error body in any of the known shapes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub code: Option<String>,
    pub message: Option<String>,
    pub request_id: Option<String>,
}

impl ErrorBody {
    /// Reads the shape of the service and the gateway (`error_code`), of the identity service (`error` as an
    /// object, its `code` a number), and of older gateways. `encoded_authorization_message` is ignored: up
    /// to 64 KB that only a further call could decode.
    ///
    /// sources: api-sms/UpdateCopyState.html; devg-apisign/api-sign-errorcode.html; iam API reference;
    /// huaweicloud-sdk-python-v3 `huaweicloudsdkcore/exceptions/exception_handler.py`.
    pub(crate) fn read(body: &Value) -> Self {
        let nested = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
        let mut message = scalar(nested, &["error_msg", "errorMsg", "message", "error_message", "error"]);
        let code = scalar(nested, &["error_code", "errorCode", "code"]);
        if let Some(more) = first_detail(body)
            && !message.as_deref().is_some_and(|message| message.contains(&more))
        {
            message = Some(message.map_or_else(|| more.clone(), |message| format!("{message} ({more})")));
        }
        Self { code, message, request_id: scalar(body, &["request_id"]) }
    }

    /// Returns the error in a body with a success status. `code` alone is none: `{"code": 200}` means success.
    pub(crate) fn read_success(body: &Value) -> Option<Self> {
        let named = scalar(body, &["error_code", "errorCode"]).is_some_and(|code| code != "0");
        let nested = body.get("error").is_some_and(Value::is_object);
        (named || nested).then(|| Self::read(body))
    }
}

/// Returns the first of `details`, which repeats the code and text of the error, sometimes with more words.
fn first_detail(body: &Value) -> Option<String> {
    scalar(body.get("details")?.get(0)?, &["error_msg", "message"])
}

/// Returns the first of these fields that holds a text or a number.
fn scalar(object: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match object.get(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_only_the_fields_it_has() {
        let word = |text| Some(Word::new(text));
        for (sends, body) in [
            (TargetState { copystate: word("STOPPED"), migrationcycle: None }, r#"{"copystate":"stopped"}"#),
            (TargetState { copystate: None, migrationcycle: word("cutovered") }, r#"{"migrationcycle":"cutovered"}"#),
            (
                TargetState { copystate: word("init"), migrationcycle: word("replicating") },
                r#"{"copystate":"init","migrationcycle":"replicating"}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(change_body(&sends)).unwrap(), body);
        }
    }

    fn seen(body: &str) -> SeenState {
        serde_json::from_str::<Server<'_>>(body).unwrap().seen()
    }

    #[test]
    fn a_server_is_read_past_what_we_do_not_know() {
        let body = r#"{"id":"a","state":"SYNCING","migration_cycle":"syncing","disks":[{"x":[1]}],"current_task":{}}"#;
        assert_eq!(seen(body).to_string(), "syncing/syncing");
        assert_eq!(seen(r#"{"id":"a","state":null}"#), SeenState::default());
        assert_eq!(seen(r#"{"state":["x"],"migration_cycle":{"y":1}}"#), SeenState::default());
        assert_eq!(seen(r#"{"state":true,"migration_cycle":" "}"#), SeenState::default());
    }

    #[test]
    fn a_word_that_no_table_has_is_kept_in_lower_case_and_what_is_no_word_is_not() {
        assert_eq!(seen(r#"{"state":" Hibernating ","migration_cycle":"syncing"}"#).to_string(), "hibernating/syncing");
        assert_eq!(seen(r#"{"state":"SYNCING","migration_cycle":"Thawing_2"}"#).to_string(), "syncing/thawing_2");
        assert_eq!(seen(r#"{"state":"phase2","migration_cycle":"new\u0041"}"#).to_string(), "phase2/newa");
        assert_eq!(seen(r#"{"state":7,"migration_cycle":"-"}"#), SeenState::default());
        assert_eq!(seen(r#"{"state":1.5,"migration_cycle":null}"#), SeenState::default());
        assert_eq!(seen(r#"{"migration_cycle":"休眠"}"#).to_string(), "*/休眠");
        assert_eq!(seen("{}"), SeenState::default());
        let longest = format!(r#"{{"state":"{}"}}"#, "X".repeat(64));
        assert_eq!(seen(&longest).to_string(), format!("{}/*", "x".repeat(64)));
        for length in [65, 10_240] {
            let flood = format!(r#"{{"state":"{}","migration_cycle":"a\u0007b"}}"#, "x".repeat(length));
            assert_eq!(seen(&flood), SeenState::default(), "{length}");
        }
    }

    #[test]
    fn a_page_keeps_what_has_an_id_and_counts_what_it_was_told() {
        let page = r#"{"count":"450","source_servers":[{"id":"a","state":"error"},null,{"state":"error"},{"id":7}]}"#;
        let page: Servers<'_> = serde_json::from_str(page).unwrap();
        assert_eq!(page.count(), 450);
        let ids: Vec<String> = page.by_id().into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, ["a", "7"]);
        for count in ["", r#""count":null,"#, r#""count":-1,"#, r#""count":"many","#, r#""count":[],"#] {
            let page = format!(r#"{{{count}"source_servers":[{{"id":"a"}}]}}"#);
            assert_eq!(serde_json::from_str::<Servers<'_>>(&page).unwrap().count(), 1);
        }
        let says_nothing = |page| serde_json::from_str::<Servers<'_>>(page).unwrap().says_nothing();
        assert!(says_nothing(r#"{"count":3}"#) && says_nothing(r#"{"source_servers":null}"#) && says_nothing("{}"));
        assert!(!says_nothing(r#"{"count":0,"source_servers":null}"#) && !says_nothing(r#"{"source_servers":[]}"#));
    }

    #[test]
    fn error_bodies_of_every_shape_are_read() {
        let both = |code: &str, message: &str| (Some(code.to_owned()), Some(message.to_owned()));
        for (body, expected) in [
            (
                json!({"error_code": "SMS.6531", "error_msg": "no boot partition"}),
                both("SMS.6531", "no boot partition"),
            ),
            (json!({"errorCode": "X.1", "errorMsg": "no"}), both("X.1", "no")),
            (json!({"code": "X.1", "message": "no"}), both("X.1", "no")),
            (json!({"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}), both("401", "who?")),
            (json!({"error": {"error_code": "X.1", "error_msg": "no"}}), both("X.1", "no")),
            (json!({"error_code": 7, "error_msg": 8}), both("7", "8")),
            (json!({"status": 404, "error": "Not Found", "path": "/"}), (None, Some("Not Found".to_owned()))),
            (json!({"error_code": null, "error_msg": ["x"]}), (None, None)),
            (json!({}), (None, None)),
            (json!([]), (None, None)),
            (json!("text"), (None, None)),
            (
                json!({"error_code": "SMS.9004", "error_msg": "no", "encoded_authorization_message": "x".repeat(60_000),
                       "error_param": ["a"], "details": [{"error_code": "SMS.9004", "error_msg": "no right to update"}]}),
                both("SMS.9004", "no (no right to update)"),
            ),
            (
                json!({"error_code": "SMS.9004", "error_msg": "no right", "details": [{"error_msg": "no right"}]}),
                both("SMS.9004", "no right"),
            ),
            (json!({"error_code": "X.1", "details": [{"error_msg": "why"}]}), both("X.1", "why")),
            (json!({"error_code": "X.1", "error_msg": "no", "details": [7]}), both("X.1", "no")),
        ] {
            let error = ErrorBody::read(&body);
            assert_eq!((error.code, error.message), expected, "{body}");
        }
        let gateway = json!({"error_msg": "m", "error_code": "APIGW.0301", "request_id": "r-1"});
        assert_eq!(ErrorBody::read(&gateway).request_id.as_deref(), Some("r-1"));
    }

    #[test]
    fn a_success_carries_an_error_only_where_it_names_one() {
        assert!(ErrorBody::read_success(&json!({"error_code": "SMS.9001"})).is_some());
        assert!(ErrorBody::read_success(&json!({"error": {"code": 500}})).is_some());
        for harmless in
            [json!({}), json!({"error_code": "0"}), json!({"error_code": ""}), json!({"code": 200}), json!("ok")]
        {
            assert_eq!(ErrorBody::read_success(&harmless), None);
        }
    }
}
