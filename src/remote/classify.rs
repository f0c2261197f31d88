//! Meaning of an answer: pure functions from what came over the wire to the outcome of a change, or of a read that failed.
//!
//! The status decides before the code: one that says that the request was handled, or may have been (2xx, 5xx), leaves
//! doubt whatever the body says, and so does an answer that is not the service's own word (see [`between`]). Of what is
//! left, the code decides where the vendor's table has it (see [`codes`]), else the status. When in doubt the answer
//! counts as lost: then somebody looks, and nobody sends again blind.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::codes::{self, Class};
use super::text;
use super::wire::ErrorBody;
use super::{between, quota};
use crate::event::outcome::Outcome;
use crate::transport::answer::Body;
use crate::transport::request::LARGEST_BODY;
use crate::transport::secrets::Secrets;

/// Answer with a status line, as it came.
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

/// Returns the id by which the vendor's support finds this request: from the header, else from an error's body.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    let id = match &answer.request_id {
        Some(id) => id.clone(),
        None if answer.is_success() => return None,
        None => answer.error().request_id?,
    };
    // Cleaned before secrets are searched: a character that is left out may have separated the letters of one.
    let id = clean_id(id);
    let hidden = match answer.secrets.hide(&id) {
        Cow::Borrowed(_) => None,
        Cow::Owned(hidden) => Some(hidden),
    };
    Some(hidden.unwrap_or(id)).filter(|id| !id.is_empty())
}

/// Returns such an id without what is none of it.
pub(super) fn clean_id(mut id: String) -> String {
    const LONGEST: usize = 128;
    id.retain(|c| c.is_ascii_graphic());
    id.truncate(LONGEST);
    id
}

/// Leaves out headers and body: they may echo what we sent.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body of a success; otherwise the outcome that the answer means.
    pub(super) fn success_text(&self) -> Result<Cow<'_, str>, Outcome> {
        match &self.body {
            _ if !self.is_success() => Err(self.refusal()),
            Body::Whole(_) if let Some(encoding) = &self.encoding => {
                Err(self.lost(None, &format!("the answer is {}", not_asked_for(encoding))))
            }
            Body::Whole(bytes) => Ok(String::from_utf8_lossy(bytes)),
            Body::TooLarge => Err(self.lost(None, "the answer is too large")),
            Body::CutOff { cause } => Err(self.lost(None, &format!("the answer was cut off: {cause}"))),
        }
    }

    /// Classifies an answer without success.
    fn refusal(&self) -> Outcome {
        let status = self.status;
        let error = self.error();
        let class = error.code.as_deref().map_or(Class::ByStatus, codes::class);
        let said = error.message.unwrap_or_else(|| "no text".to_owned());
        let code = error.code.map(|code| self.secrets.short(&code));

        // A 429 means that the request went no further, from whichever hop it comes.
        if status == 429 {
            return self.throttled(&said);
        }
        if !self.is_refusal_of_service() {
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

    /// Tells whether this is a complete refusal by the service or its gateway: a 4xx that they use, with a JSON object, as
    /// every documented error has. Anything else may come from a proxy, a firewall or a load balancer.
    fn is_refusal_of_service(&self) -> bool {
        let Body::Whole(bytes) = &self.body else { return false };
        (400..500).contains(&self.status)
            && !between::speaks(self.status)
            && matches!(serde_json::from_slice(without_mark(bytes)), Ok(Value::Object(_)))
    }

    /// Describes an answer that is not the service's own, with its sender.
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
            // A server error is described by its text alone.
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

    /// Names the host that a redirect points to, without path and query, which might carry something private.
    fn redirection(&self) -> String {
        let location = self.location.as_deref().and_then(|location| url::Url::parse(location).ok());
        let host = location.as_ref().and_then(url::Url::host_str);
        let to = host.map_or_else(String::new, |host| format!(" to {host}"));
        self.secrets.short(&format!("redirected{to}; redirects are not followed"))
    }

    /// Reads code and message of the error from a body in any form; a body that cannot be read is described in the message.
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

    /// Tells whether the service itself, and not something on the way, says that it has no such source.
    ///
    /// No code or status is documented for it. The vendor's Terraform provider takes 404 for gone; old codes came
    /// with 400 and 404, so that code and text count too. A 404 of the gateway means a wrong host or path, and a
    /// page, a plain text (`default backend - 404`) or nothing at all comes from something on the way: none of them says
    /// anything about the source.
    /// sources: terraform-provider-huaweicloud `resource_huaweicloud_sms_source_server.go`;
    /// intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html.
    pub(super) fn says_no_such_source(&self) -> bool {
        if !matches!(self.status, 400 | 403 | 404) || !self.is_refusal_of_service() {
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

    pub(super) fn error_with_success(&self, error: ErrorBody) -> Outcome {
        let text = error.message.unwrap_or_else(|| "no text".to_owned());
        self.lost(error.code, &format!("an error with a success status: {text}"))
    }

    pub(super) fn not_the_right_json(&self, body: &str) -> Outcome {
        // The beginning of a long body is enough to recognize it.
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

    pub(super) fn lost(&self, code: Option<String>, cause: &str) -> Outcome {
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

/// Drops the byte-order mark that some servers put before JSON.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

pub(super) fn error_in_success(body: &str) -> Option<ErrorBody> {
    ErrorBody::read_success(&serde_json::from_str(body).ok()?)
}

fn says_source_is_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    let missing = ["not exist", "n't exist", "not found", "no such"].iter().any(|words| message.contains(words));
    missing && ["source", "server"].iter().any(|word| message.contains(word))
}

#[cfg(test)]
pub(super) mod tests;
