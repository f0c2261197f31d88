//! The meaning of an answer: pure functions from what came over the wire to an outcome.
//!
//! The status decides before the code: one that says that the request was handled, or may have been (2xx, 5xx), leaves
//! doubt whatever the body says, and so does an answer that is not the service's own word (see [`between`]). Of what is
//! left, the code decides where the vendor's table has it (see [`codes`]), else the status. When in doubt the answer
//! counts as lost: then somebody looks, and nobody sends again blind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::codes::{self, Class};
use super::text;
use super::wire::{Described, Descriptions, ErrorBody, Plain, Scalar, Server, Servers};
use super::{InInventory, Inventoried, Listed, Page, Shown, between, quota};
use crate::event::Outcome;
use crate::model::words::Word;
use crate::model::{SeenState, SourceId};
use crate::transport::secrets::Secrets;
use crate::transport::{Body, LARGEST_BODY};

/// An answer with a status line, as it came.
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    pub location: Option<String>,
    pub request_id: Option<String>,
    /// Name that the answering program gives itself.
    pub server: Option<String>,
    /// Encoding of the body that nobody asked for.
    pub encoding: Option<String>,
    /// The server's clock, if it told the time.
    pub date: Option<jiff::Timestamp>,
    pub body: Body,
    /// Secrets that no text of the outcome may repeat.
    pub secrets: Secrets,
}

/// Outcome of a change by its answer.
pub(crate) fn change(answer: &Answer) -> Outcome {
    let body = match answer.success_text() {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    if text::is_html(answer.content_type.as_deref(), &body) {
        return answer.unreadable("a page", &text::of_html(&body));
    }
    match error_in_success(&body) {
        Some(error) => answer.error_with_success(error),
        // `{ }`, nothing at all, or a bare text: the documentation and its example disagree, so the status decides.
        None => Outcome::Accepted { status: answer.status },
    }
}

/// State of one source, as the service showed it.
pub(crate) fn shown(answer: &Answer, source: &SourceId) -> Shown {
    if answer.says_no_such_source() {
        return Shown::Absent;
    }
    let body = match answer.success_text() {
        Ok(body) => body,
        Err(outcome) => return Shown::Failed(outcome),
    };
    match serde_json::from_str::<Server<'_>>(&body) {
        Ok(server) if server.says_nothing() => Shown::Failed(answer.not_the_right_json(&body)),
        Ok(server) if !server.is_about(source) => Shown::Failed(match error_in_success(&body) {
            Some(error) => answer.error_with_success(error),
            None if server.id.0.is_none() => answer.lost(None, "the answer does not say which source it is about"),
            None => answer.lost(None, "the answer is about another source"),
        }),
        Ok(server) => match error_in_success(&body) {
            Some(error) => Shown::Failed(answer.error_with_success(error)),
            None => Shown::Seen(without_secrets(server.seen(), &answer.secrets)),
        },
        Err(_) => Shown::Failed(answer.not_the_right_json(&body)),
    }
}

/// State words as they go into the journal. One that is known is none of our secrets; any other may be.
fn without_secrets(seen: SeenState, secrets: &Secrets) -> SeenState {
    let harmless = |word: &Word| word.is_copystate() || word.is_migrationcycle() || !secrets.are_in(word.as_str());
    SeenState { copystate: seen.copystate.filter(harmless), migrationcycle: seen.migrationcycle.filter(harmless) }
}

/// All that the service says of one source, without our secrets.
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
        // There may be nothing to put into an array.
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

/// Id of the source; none, if it has none and so is no source.
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

/// Each source once, and apart from them those that the page shows twice and not the same: what contradicts itself is a failed
/// look at it, and it is asked for by its id.
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

/// The id by which the vendor's support finds this request: from the header, else from an error's body.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    const LONGEST: usize = 128;
    let mut id = match &answer.request_id {
        Some(id) => id.clone(),
        None if answer.is_success() => return None,
        None => answer.error().request_id?,
    };
    // What is left out may have stood between the letters of a secret.
    id.retain(|c| c.is_ascii_graphic());
    id.truncate(LONGEST);
    let hidden = match answer.secrets.hide(&id) {
        Cow::Borrowed(_) => None,
        Cow::Owned(hidden) => Some(hidden),
    };
    Some(hidden.unwrap_or(id)).filter(|id| !id.is_empty())
}

/// Headers and body stay out: they may echo what we sent.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a success, or what the answer is instead.
    fn success_text(&self) -> Result<Cow<'_, str>, Outcome> {
        match &self.body {
            _ if !self.is_success() => Err(self.refusal()),
            Body::Whole(_) if let Some(encoding) = &self.encoding => {
                Err(self.lost(None, &format!("the answer is {}", not_asked_for(encoding))))
            }
            // Nearly every body is UTF-8, which this finds faster.
            Body::Whole(bytes) => {
                Ok(str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed))
            }
            Body::TooLarge => Err(self.lost(None, "the answer is too large")),
            Body::CutOff { cause } => Err(self.lost(None, &format!("the answer was cut off: {cause}"))),
        }
    }

    /// Meaning of an answer without success.
    fn refusal(&self) -> Outcome {
        let status = self.status;
        let error = self.error();
        let class = error.code.as_deref().map_or(Class::ByStatus, codes::class);
        let said = error.message.unwrap_or_else(|| "no text".to_owned());
        let code = error.code.map(|code| self.secrets.short(&code));

        // Whoever says so, this one means that the request went no further.
        if status == 429 {
            return self.throttled(&said);
        }
        if !self.is_the_services_own_no() {
            return Outcome::Lost { status: Some(status), code, cause: self.secrets.short(&self.description(said)) };
        }
        let message = self.secrets.short(&said);
        match class {
            Class::Throttle => self.throttled(&said),
            Class::Acct | Class::Barred => Outcome::Barred { status, code, message },
            Class::Auth => Outcome::Unauthenticated { status, code, message },
            Class::Trans if status != 401 => Outcome::Lost { status: Some(status), code, cause: message },
            _ if status == 401 && !code.as_deref().is_some_and(codes::is_of_the_request_with_401) => {
                Outcome::Unauthenticated { status, code, message }
            }
            Class::Perm
            | Class::State
            | Class::Missing
            | Class::Deny
            | Class::Trans
            | Class::Agent
            | Class::ByStatus => Outcome::Rejected { status, code, message },
        }
    }

    /// Tells that this is the service's (or its gateway's) own no, and whole: a 4xx that it uses, with a JSON object, as
    /// every documented error has. Anything else may come from a proxy, a firewall or a load balancer.
    fn is_the_services_own_no(&self) -> bool {
        let Body::Whole(bytes) = &self.body else { return false };
        (400..500).contains(&self.status)
            && !between::speaks(self.status)
            && matches!(serde_json::from_slice(without_mark(bytes)), Ok(Value::Object(_)))
    }

    /// Names the thing that came instead of a word of the service, and its sender.
    fn description(&self, said: String) -> String {
        match self.status {
            304 => "not modified, which nobody had asked for".to_owned(),
            300..400 => self.redirection(),
            407 => format!("a proxy on the way{} wants a user and a password", self.from()),
            400..500 => match &self.body {
                Body::Whole(_) if self.encoding.is_some() => said,
                Body::Whole(bytes) if bytes.trim_ascii().is_empty() => format!("an empty body{}", self.from()),
                Body::Whole(bytes) if matches!(serde_json::from_slice(without_mark(bytes)), Ok(Value::Object(_))) => {
                    said
                }
                Body::Whole(bytes) if text::is_html(self.content_type.as_deref(), &String::from_utf8_lossy(bytes)) => {
                    format!("a page{}: {said}", self.from())
                }
                Body::Whole(_) => format!("a plain text{}: {said}", self.from()),
                Body::TooLarge | Body::CutOff { .. } => said,
            },
            // Of a server error the text alone is told.
            _ => said,
        }
    }

    fn from(&self) -> String {
        self.server.as_deref().map_or_else(String::new, |server| format!(" from `{server}`"))
    }

    fn throttled(&self, said: &str) -> Outcome {
        // A date in the answer counts from the server's clock where it told the time, else from ours.
        let now = || self.date.unwrap_or_else(jiff::Timestamp::now);
        let wait = self.retry_after.as_deref().and_then(|value| quota::retry_after(value, now()));
        Outcome::Throttled {
            status: (self.status != 429).then_some(self.status),
            retry_after_ms: wait.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
            quota: quota::stated(said),
            message: self.secrets.short(said),
        }
    }

    /// The host that a redirect points to, without the path and query that might carry something private.
    fn redirection(&self) -> String {
        let location = self.location.as_deref().and_then(|location| url::Url::parse(location).ok());
        let host = location.as_ref().and_then(url::Url::host_str);
        let to = host.map_or_else(String::new, |host| format!(" to {host}"));
        self.secrets.short(&format!("redirected{to}; redirects are not followed"))
    }

    /// Error in the body, whatever the body is.
    fn error(&self) -> ErrorBody {
        let bytes = match &self.body {
            Body::Whole(_) if let Some(encoding) = &self.encoding => {
                return ErrorBody { message: Some(not_asked_for(encoding)), ..Default::default() };
            }
            Body::Whole(bytes) => bytes,
            Body::TooLarge => return ErrorBody { message: Some("a text over 1 MiB".to_owned()), ..Default::default() },
            Body::CutOff { cause } => {
                return ErrorBody { message: Some(format!("the answer was cut off: {cause}")), ..Default::default() };
            }
        };
        let body = String::from_utf8_lossy(bytes);
        match serde_json::from_str::<Value>(&body) {
            Ok(Value::String(text)) => ErrorBody { message: Some(text), ..Default::default() },
            Ok(json) => ErrorBody::read(&json),
            Err(_) => {
                let html = text::is_html(self.content_type.as_deref(), &body);
                let said = if html { text::of_html(&body) } else { body.into_owned() };
                ErrorBody { message: (!said.trim().is_empty()).then_some(said), ..Default::default() }
            }
        }
    }

    /// Tells that the service, and not something before it, says that it has no such source.
    ///
    /// No code or status is documented for it. The vendor's Terraform provider takes 404 for gone; old codes came
    /// with 400 and 404, so that code and text count too. A 404 of the gateway means a wrong host or path, and a
    /// page, a plain text (`default backend - 404`) or nothing at all comes from something on the way: none of them says
    /// anything about the source.
    /// sources: terraform-provider-huaweicloud `resource_huaweicloud_sms_source_server.go`;
    /// intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html.
    fn says_no_such_source(&self) -> bool {
        if !matches!(self.status, 400 | 403 | 404) || !self.is_the_services_own_no() {
            return false;
        }
        let error = self.error();
        let code = error.code.as_deref().unwrap_or_default();
        let by_status = self.status == 404
            && codes::gateway_number(code).is_none()
            && matches!(codes::class(code), Class::Missing | Class::ByStatus);
        let by_code =
            [codes::NO_SUCH_SOURCE, codes::NO_TASK_FOR_SOURCE].iter().any(|known| known.eq_ignore_ascii_case(code));
        let by_text = codes::gateway_number(code).is_none()
            && error.message.is_some_and(|message| says_source_is_missing(&message));
        by_status || by_code || by_text
    }

    fn error_with_success(&self, error: ErrorBody) -> Outcome {
        let text = error.message.unwrap_or_else(|| "no text".to_owned());
        self.lost(error.code, &format!("an error with a success status: {text}"))
    }

    fn not_the_right_json(&self, body: &str) -> Outcome {
        // Of a long one the beginning says what it is.
        let body = &body[..body.floor_char_boundary(LARGEST_BODY)];
        if text::is_html(self.content_type.as_deref(), body) {
            return self.unreadable("a page", &text::of_html(body));
        }
        match error_in_success(body) {
            Some(error) => self.error_with_success(error),
            None => self.unreadable("not the expected JSON", body),
        }
    }

    fn unreadable(&self, what: &str, said: &str) -> Outcome {
        self.lost(None, &format!("the answer is {what}: {said}"))
    }

    fn lost(&self, code: Option<String>, cause: &str) -> Outcome {
        Outcome::Lost {
            status: Some(self.status),
            code: code.map(|code| self.secrets.short(&code)),
            cause: self.secrets.short(cause),
        }
    }
}

fn not_asked_for(encoding: &str) -> String {
    format!("in the encoding `{encoding}`, which was not asked for")
}

/// Some servers of JSON begin with a byte-order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fn error_in_success(body: &str) -> Option<ErrorBody> {
    ErrorBody::read_success(&serde_json::from_str(body).ok()?)
}

fn says_source_is_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    let missing = ["not exist", "n't exist", "not found", "no such"].iter().any(|words| message.contains(words));
    missing && ["source", "server"].iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StatedQuota;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            location: None,
            request_id: None,
            server: None,
            encoding: None,
            date: Some(jiff::Timestamp::UNIX_EPOCH),
            body: Body::Whole(body.as_bytes().to_vec()),
            secrets: Secrets::new(vec!["s3cret".into()]),
        }
    }

    fn html(status: u16, body: &str) -> Answer {
        Answer { content_type: Some("text/html".to_owned()), ..answer(status, body) }
    }

    fn failing(status: u16, code: &str) -> Answer {
        answer(status, &format!(r#"{{"error_code":"{code}","error_msg":"because"}}"#))
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Is {
        Accepted,
        Rejected,
        Unauthenticated,
        Barred,
        Throttled,
        Lost,
    }

    fn kind(outcome: &Outcome) -> Is {
        match outcome {
            Outcome::Accepted { .. } => Is::Accepted,
            Outcome::Rejected { .. } => Is::Rejected,
            Outcome::Unauthenticated { .. } => Is::Unauthenticated,
            Outcome::Barred { .. } => Is::Barred,
            Outcome::Throttled { .. } => Is::Throttled,
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } => panic!("an answer is neither: {outcome}"),
            Outcome::Lost { .. } => Is::Lost,
        }
    }

    /// Written down from the documentation, not from the table: status, outcome, codes.
    const CODES: &[(u16, Is, &[&str])] = &[
        (400, Is::Rejected, &["SMS.9001", "SMS.0204", "SMS.6010"]),
        (403, Is::Rejected, &["SMS.9004", "SMS.2002", "SMS.2248"]),
        (400, Is::Unauthenticated, &["SMS.0202", "SMS.0205", "SMS.0219"]),
        (403, Is::Unauthenticated, &["SMS.0202", "SMS.0219"]),
        (400, Is::Barred, &["SMS.6526", "SMS.6528"]),
        (403, Is::Barred, &["SMS.6526", "SMS.6528"]),
        (500, Is::Lost, &["SMS.6526", "APIGW.0302", "APIGW.0301"]),
        (400, Is::Lost, &["SMS.6301", "SMS.0201", "SMS.0203", "SMS.0208"]),
        (400, Is::Rejected, &["SMS.6001", "SMS.6002", "SMS.6003", "SMS.6004", "SMS.6005", "SMS.6006"]),
        (400, Is::Rejected, &["SMS.6031", "SMS.6032", "SMS.6033", "SMS.6102", "SMS.6302", "SMS.6303", "SMS.6306"]),
        (400, Is::Rejected, &["SMS.6603", "SMS.6602", "SMS.6562", "SMS.7101", "SMS.7111", "SMS.7605", "SMS.7703"]),
        (400, Is::Rejected, &["SMS.7711", "SMS.7719", "SMS.8115", "SMS.9007", "SMS.0007"]),
        (400, Is::Rejected, &["SMS.0206", "SMS.0207", "SMS.6504", "SMS.6509", "SMS.6511", "SMS.6517", "SMS.6533"]),
        (400, Is::Rejected, &["SMS.6537", "SMS.6563", "SMS.6564", "SMS.6616", "SMS.6617", "SMS.6531"]),
        (400, Is::Rejected, &["SMS.0210", "SMS.0211", "SMS.0303", "SMS.0304", "SMS.1807", "SMS.2802", "SMS.3802"]),
        (400, Is::Rejected, &["SMS.3803", "SMS.3804", "SMS.3805", "SMS.3806", "SMS.0212", "SMS.1414", "SMS.0410"]),
        (400, Is::Rejected, &["SMS.0412", "SMS.0515", "SMS.0601", "SMS.1104", "SMS.1105", "SMS.1106", "SMS.1113"]),
        (400, Is::Rejected, &["SMS.0609", "SMS.1204", "SMS.1205", "SMS.1351", "SMS.1352", "SMS.1353", "SMS.1402"]),
        (400, Is::Rejected, &["SMS.1404", "SMS.1901", "SMS.1902", "SMS.1904", "SMS.3102", "SMS.3205", "SMS.5102"]),
        (400, Is::Rejected, &["SMS.5105", "SMS.5108", "SMS.5112", "SMS.5113", "SMS.0805", "SMS.0806", "SMS.0807"]),
        (401, Is::Rejected, &["SMS.2003", "SMS.2004", "SMS.2005", "SMS.2006", "SMS.2013"]),
        (500, Is::Lost, &["SMS.2007", "SMS.9001"]),
        (400, Is::Lost, &["SMS.2007"]),
        (401, Is::Unauthenticated, &["SMS.6301", "SMS.9004", "SMS.9001", "SMS.2009", "SMS.1038", "SMS.9999"]),
        (400, Is::Rejected, &["SMS.2009", "SMS.2015", "SMS.2206", "SMS.2216", "SMS.1038", "SMS.1039", "SMS.1040"]),
        (404, Is::Rejected, &["SMS.2252", "APIGW.0101", "APIGW.0103"]),
        (400, Is::Rejected, &["APIGW.0104", "APIGW.0105", "APIGW.0106", "APIGW.0204", "APIGW.0602", "APIGW.0201"]),
        (413, Is::Rejected, &["APIGW.0201"]),
        (414, Is::Rejected, &["APIGW.0201"]),
        (494, Is::Rejected, &["APIGW.0201"]),
        (500, Is::Lost, &["APIGW.0201", "APIGW.0601", "APIGW.0605", "APIGW.0606", "APIGW.0705"]),
        (502, Is::Lost, &["APIGW.0201"]),
        (503, Is::Lost, &["APIGW.0613"]),
        (504, Is::Lost, &["APIGW.0201"]),
        (400, Is::Lost, &["APIGW.0601", "APIGW.0605", "APIGW.0606", "APIGW.0705", "APIGW.0613"]),
        (401, Is::Unauthenticated, &["APIGW.0301", "APIGW.0307", "APIGW.0303", "APIGW.0305"]),
        (400, Is::Unauthenticated, &["APIGW.0301", "APIGW.0307"]),
        (403, Is::Barred, &["APIGW.0302", "APIGW.0310", "APIGW.0401", "APIGW.0402", "APIGW.0802"]),
        (403, Is::Rejected, &["APIGW.0306"]),
        (405, Is::Rejected, &["APIGW.0501", "APIGW.0502"]),
        (429, Is::Throttled, &["APIGW.0308", "SMS.9001", "429"]),
        (403, Is::Throttled, &["APIGW.0308"]),
        (500, Is::Lost, &["APIGW.0308"]),
    ];

    #[test]
    fn each_known_code_ends_as_its_documentation_reads() {
        for (status, is, codes) in CODES {
            for code in *codes {
                for code in [(*code).to_owned(), code.replace("APIGW.", "APIG."), code.to_lowercase()] {
                    let outcome = change(&failing(*status, &code));
                    assert_eq!(kind(&outcome), *is, "{status} {code}");
                    if *is != Is::Throttled {
                        assert_eq!(outcome.code(), Some(code.as_str()));
                        assert_eq!(outcome.status(), Some(*status));
                    }
                    assert_eq!(outcome.message(), Some("because"));
                }
            }
        }
    }

    #[test]
    fn no_code_of_the_table_is_without_an_expectation() {
        for code in codes::all() {
            assert!(CODES.iter().any(|(_, _, codes)| codes.contains(&code.as_str())), "{code}");
        }
    }

    /// A body, and which columns of [`ANSWERS`] it stands in.
    const BODIES: [&str; 9] = [
        r#"{"error_code":"SMS.9001","error_msg":"m"}"#,
        r#"{"error_code":"SMS.6526","error_msg":"m"}"#,
        r#"{"error_code":"APIGW.0301","error_msg":"m"}"#,
        r#"{"error_code":"APIGW.0308","error_msg":"m"}"#,
        r#"{"error_code":"SMS.6301","error_msg":"m"}"#,
        r#"{"error_code":"SMS.9999","error_msg":"m"}"#,
        "<html><title>m</title></html>",
        "",
        "m",
    ];

    /// Meanings of each status and body for a change:
    ///
    /// | cell | the row | the lane |
    /// |---|---|---|
    /// | `ok` | accepted, to be proven | goes on |
    /// | `no` | refused for good | goes on |
    /// | `?`  | in doubt: looked at before anything else | goes on |
    /// | `?5` | in doubt | stops after five in a row |
    /// | `?~` | in doubt | slows down |
    /// | `?!` | in doubt | new credentials, or stops |
    /// | `~`  | due again, unharmed | waits and slows down |
    /// | `!`  | due again | new credentials, or stops |
    /// | `!!` | due again | stops at once |
    ///
    /// A read means the same for the lane, and for its row that nothing was learned; `no` is said to the read alone.
    #[rustfmt::skip]
    const ANSWERS: [(&[u16], [&str; 9]); 8] = [
        //       9001  6526  0301  0308   6301  9999  page  empty text
        (&[],   ["?",  "?5", "?5", "?~",  "?",  "?",  "?",  "ok", "ok"]), // 2xx
        (&[],   ["?5", "?5", "?5", "?5~", "?5", "?5", "?5", "?5", "?5"]), // 3xx
        (&[401],["!",  "!!", "!",  "~",   "!",  "!",  "?!", "?!", "?!"]),
        (&[429],["~",  "~",  "~",  "~",   "~",  "~",  "~",  "~",  "~"]),
        (&[407, 408, 418, 421, 425, 444, 460, 463, 495, 496, 497, 498, 499],
                ["?5", "?5", "?5", "?5~", "?5", "?5", "?5", "?5", "?5"]),
        (&[],   ["no", "!!", "!",  "~",   "?",  "no", "?5", "?5", "?5"]), // 4xx
        (&[511],["?",  "?5", "?5", "?~",  "?",  "?",  "?5", "?5", "?5"]),
        (&[],   ["?",  "?5", "?5", "?~",  "?",  "?",  "?",  "?",  "?"]), // 5xx and beyond
    ];

    fn row_of(status: u16) -> &'static [&'static str; 9] {
        let named = ANSWERS.iter().find(|(statuses, _)| statuses.contains(&status));
        let by_class = match status {
            200..300 => 0,
            300..400 => 1,
            400..500 => 5,
            _ => 7,
        };
        &named.unwrap_or(&ANSWERS[by_class]).1
    }

    fn cell(outcome: &Outcome) -> String {
        let row = match kind(outcome) {
            Is::Accepted => "ok",
            Is::Rejected => "no",
            Is::Unauthenticated => return "!".to_owned(),
            Is::Barred => return "!!".to_owned(),
            Is::Throttled => return "~".to_owned(),
            Is::Lost => "?",
        };
        let lane = match outcome {
            _ if outcome.refuses_us() => "!",
            _ if between::Strange::from_outcome(outcome).is_some() => "5",
            _ => "",
        };
        let pace = if codes::throttled_in_doubt(outcome).is_some() { "~" } else { "" };
        format!("{row}{lane}{pace}")
    }

    #[test]
    fn what_each_status_and_body_means_for_row_and_lane() {
        for status in (200..600).chain([600, 999]) {
            for (body, expected) in BODIES.iter().zip(row_of(status)) {
                let answer = answer(status, body);
                assert_eq!(cell(&change(&answer)), *expected, "change: {status} {body}");
                let (read, expected) = match (look(&answer), *expected) {
                    // The service's own, with a code that says nothing else.
                    (Shown::Absent, expected) => {
                        assert!(status == 404 && body.contains("SMS.9999"), "{status} {body}");
                        ("no".to_owned(), expected)
                    }
                    // A success without a source shows nothing.
                    (Shown::Failed(outcome), "ok") => (cell(&outcome), "?"),
                    (Shown::Failed(outcome), expected) => (cell(&outcome), expected),
                    (Shown::Seen(_), _) => panic!("{status} {body}"),
                };
                assert_eq!(read, expected, "read: {status} {body}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_not_the_services_own_says_what_it_is_and_from_whom() {
        let told = |answer: Answer| change(&answer).to_string();
        let by = |answer: Answer, server: &str| Answer { server: Some(server.to_owned()), ..answer };
        let to = |status, location: &str| Answer { location: Some(location.to_owned()), ..answer(status, "") };
        let moved = "redirected to login.example.com; redirects are not followed";
        for (answer, expected) in [
            (by(html(403, "<title>403 Forbidden</title>"), "nginx"), "(403): a page from `nginx`: 403 Forbidden"),
            (
                by(answer(404, "default backend - 404"), "s3cret"),
                "(404): a plain text from `[redacted]`: default backend",
            ),
            (answer(403, " \n"), "(403): an empty body"),
            (by(html(407, "<h1>Log in</h1>"), "squid/5.7"), "(407): a proxy on the way from `squid/5.7` wants a user"),
            (html(418, "<title>Blocked</title>"), "(418): a page: Blocked"),
            (to(302, "https://login.example.com/x?token=abc"), &format!("(302): {moved}")),
            (to(307, "/elsewhere"), "(307): redirected; redirects are not followed"),
            (to(304, "https://login.example.com/"), "(304): not modified, which nobody had asked for"),
            (failing(408, "SMS.9001"), "(408 SMS.9001): because"),
            (html(401, "<title>Who?</title>"), "(401): a page: Who?"),
        ] {
            let told = told(answer);
            assert!(told.contains(expected), "{told}\n{expected}");
        }
    }

    #[test]
    fn a_no_in_json_is_the_services_own_however_it_is_labelled_or_marked() {
        for body in [r#"{"error_code":"SMS.9001"}"#, "{}", "\u{feff}{\"error_msg\":\"no\"}", " {\"status\":409}"] {
            assert_eq!(kind(&change(&html(409, body))), Is::Rejected, "{body}");
        }
        for body in ["[]", "null", "\"no\"", "{", "no", "{\"a\":1} trailing"] {
            assert_eq!(kind(&change(&answer(409, body))), Is::Lost, "{body}");
        }
        assert_eq!(kind(&change(&Answer { body: Body::TooLarge, ..answer(409, "") })), Is::Lost);
    }

    #[test]
    fn success_is_judged_by_the_status_whatever_harmless_text_comes_with_it() {
        for status in [200, 201, 202, 204] {
            for body in ["", "{ }", "\"success\"", "ok", "null", "[]", r#"{"code":200,"message":"ok"}"#, "\u{feff}{}"] {
                assert_eq!(change(&answer(status, body)), Outcome::Accepted { status }, "{body}");
            }
        }
        let plain = Answer { content_type: Some("text/plain".to_owned()), ..answer(200, "done") };
        assert_eq!(kind(&change(&plain)), Is::Accepted);
        assert_eq!(kind(&change(&Answer { content_type: None, ..answer(200, "{ }") })), Is::Accepted);
        assert_eq!(kind(&change(&html(200, ""))), Is::Accepted);
    }

    #[test]
    fn a_page_a_flood_or_an_error_with_200_is_not_success() {
        for doubtful in [
            answer(200, " <!DOCTYPE html><title>Login</title>"),
            html(200, "welcome"),
            failing(200, "SMS.9004"),
            answer(200, r#"{"error":{"code":500,"message":"no"}}"#),
            Answer { body: Body::TooLarge, ..answer(200, "") },
            Answer { body: Body::CutOff { cause: "reset".to_owned() }, ..answer(200, "") },
        ] {
            let outcome = change(&doubtful);
            assert_eq!((kind(&outcome), outcome.status()), (Is::Lost, Some(200)), "{outcome}");
        }
        assert_eq!(change(&failing(200, "SMS.9004")).code(), Some("SMS.9004"));
        assert!(change(&answer(200, "<title>Login</title>")).to_string().contains("Login"));
    }

    #[test]
    fn a_refusal_that_was_cut_off_might_have_said_later() {
        let cut = |status| {
            let body = Body::CutOff { cause: "reset".to_owned() };
            kind(&change(&Answer { body, ..answer(status, "") }))
        };
        assert_eq!((cut(400), cut(403), cut(500)), (Is::Lost, Is::Lost, Is::Lost));
        // These two need no body for the lane, in which trying on would lock the key.
        assert_eq!((cut(401), cut(429)), (Is::Lost, Is::Throttled));
        let body = Body::CutOff { cause: "reset".to_owned() };
        assert!(change(&Answer { body, ..answer(401, "") }).refuses_us());
    }

    #[test]
    fn a_throttled_answer_tells_how_long_and_how_fast() {
        let said = r#"{"error_code":"APIGW.0308","error_msg":"policy user over ratelimit,limit:60,time:1 minute"}"#;
        let outcome = change(&Answer { retry_after: Some("7".to_owned()), ..answer(429, said) });
        assert_eq!(
            outcome,
            Outcome::Throttled {
                status: None,
                retry_after_ms: Some(7_000),
                quota: Some(StatedQuota { calls: 60, period_ms: 60_000 }),
                message: "policy user over ratelimit,limit:60,time:1 minute".to_owned(),
            }
        );
        let bare =
            Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: "no text".to_owned() };
        assert_eq!(change(&answer(429, "")), bare);
        let with_another_status = change(&answer(403, said));
        assert!(matches!(with_another_status, Outcome::Throttled { .. }) && with_another_status.status() == Some(403));
        // The figure counts even where the message is too long to keep.
        let long = format!("{} limit:5,time:1 second", "x".repeat(600));
        let Outcome::Throttled { quota, message, .. } = change(&answer(429, &long)) else { panic!() };
        assert_eq!((quota.map(|quota| quota.calls), message.chars().count()), (Some(5), 500));
    }

    #[test]
    fn a_page_is_reduced_to_what_it_says() {
        let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
        assert_eq!(change(&html(502, page)).message(), Some("502 Bad Gateway"));
        assert_eq!(change(&answer(502, "<h1>Down</h1>\n<p>back soon</p>")).message(), Some("Down back soon"));
        assert_eq!(change(&answer(502, "\u{1b}]0;down\u{7}")).message(), Some("]0;down"));
        assert_eq!(change(&answer(502, "\"quoted\"")).message(), Some("quoted"));
    }

    #[test]
    fn no_text_repeats_a_secret() {
        let echo = r#"{"error_code":"X.s3cret","error_msg":"bad header x-auth-token: s3cret","request_id":"s3cret"}"#;
        for status in [200, 302, 400, 401, 403, 404, 429, 500] {
            let mut answer = answer(status, echo);
            answer.location = Some("https://s3cret.example.com/".to_owned());
            answer.request_id = (status == 403).then(|| "s3cret".to_owned());
            let source = SourceId::new("vm-1").unwrap();
            let texts = format!(
                "{:?} {:?} {:?} {:?}",
                change(&answer),
                shown(&answer, &source),
                listed(&answer),
                request_id(&answer),
            );
            assert!(!texts.contains("s3cret"), "{texts}");
            assert!(!format!("{answer:?} {:?}", answer.secrets).contains("s3cret"));
        }
    }

    #[test]
    fn the_request_id_is_the_headers_or_else_the_errors() {
        let body = r#"{"error_code":"APIGW.0301","error_msg":"m","request_id":"from-body"}"#;
        let with =
            |header: Option<&str>, status| Answer { request_id: header.map(str::to_owned), ..answer(status, body) };
        assert_eq!(request_id(&with(Some("from-header"), 401)).as_deref(), Some("from-header"));
        assert_eq!(request_id(&with(None, 401)).as_deref(), Some("from-body"));
        assert_eq!(request_id(&with(None, 200)), None);
        assert_eq!(request_id(&with(Some(" a\tb☃ "), 200)).as_deref(), Some("ab"));
        assert_eq!(request_id(&with(Some(&"x".repeat(300)), 200)).map(|id| id.len()), Some(128));
        assert_eq!(request_id(&with(Some(" "), 200)), None);
    }

    fn look(answer: &Answer) -> Shown {
        shown(answer, &SourceId::new("vm-1").unwrap())
    }

    #[test]
    fn a_source_is_shown_by_what_has_its_states() {
        for body in [
            r#"{"id":"vm-1","state":"syncing","migration_cycle":"syncing"}"#,
            r#"{"id":"VM-1","state":"SYNCING","migration_cycle":"syncing","name":"x"}"#,
            r#"{"id":"vm-1","state":"syncing","migration_cycle":"syncing","error_code":""}"#,
        ] {
            let Shown::Seen(seen) = look(&answer(200, body)) else { panic!("{body}") };
            assert_eq!(seen.to_string(), "syncing/syncing");
        }
        assert!(
            matches!(look(&answer(200, r#"{"id":"vm-1","state":null}"#)), Shown::Seen(seen) if seen.copystate.is_none())
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
            assert!(matches!(&seen, Shown::Failed(outcome) if kind(outcome) == Is::Lost), "{seen:?}");
        }
        let failed = look(&answer(200, r#"{"error_code":"SMS.6301","error_msg":"busy"}"#));
        assert!(matches!(failed, Shown::Failed(outcome) if outcome.code() == Some("SMS.6301")));
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
            assert_eq!(look(&answer) == Shown::Absent, absent, "{} {}", answer.status, change(&answer));
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
            // The third agrees with the first, and makes it no truer.
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
