//! What an answer means: pure functions from what came over the wire to an outcome.
//!
//! The code decides before the status where the vendor's table has it (see [`codes`]); otherwise the status does.
//! When in doubt the answer counts as lost: then somebody looks, and nobody sends again blind.

use std::borrow::Cow;

use serde_json::Value;

use super::codes::{self, Class};
use super::text::{self, Secrets};
use super::wire::{ErrorBody, Server, Servers};
use super::{Listed, Page, Shown, quota};
use crate::event::Outcome;
use crate::model::SourceId;

/// An answer with a status line, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    pub location: Option<String>,
    pub request_id: Option<String>,
    /// The server's clock if it told the time, else ours: what a date in the answer counts from.
    pub at: jiff::Timestamp,
    pub body: Body,
    /// What no text of the outcome may repeat.
    pub secrets: Secrets,
}

#[derive(Debug)]
pub(crate) enum Body {
    Whole(Vec<u8>),
    /// Longer than anything the service has to say; the rest was not read.
    TooLarge,
    /// The connection failed while it came.
    CutOff {
        cause: String,
    },
}

/// What the service said to a change.
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

/// What the service showed of one source.
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
        Ok(server) if server.id.0.as_deref().is_some_and(|id| !id.eq_ignore_ascii_case(source.as_str())) => {
            Shown::Failed(answer.lost(None, "the answer is about another source"))
        }
        Ok(server) => match error_in_success(&body) {
            Some(error) => Shown::Failed(answer.error_with_success(error)),
            None => Shown::Seen(server.seen()),
        },
        Err(_) => Shown::Failed(answer.not_the_right_json(&body)),
    }
}

/// What the service listed.
pub(crate) fn listed(answer: &Answer) -> Listed {
    let body = match answer.success_text() {
        Ok(body) => body,
        Err(outcome) => return Listed::Failed(outcome),
    };
    match serde_json::from_str::<Servers<'_>>(&body) {
        Ok(servers) => Listed::Page(Page { count: servers.count(), servers: servers.by_id() }),
        Err(_) => Listed::Failed(answer.not_the_right_json(&body)),
    }
}

/// The id by which the vendor's support finds this request: from the header, else from an error's body.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    const LONGEST: usize = 128;
    let id = match &answer.request_id {
        Some(id) => id.clone(),
        None if answer.is_success() => return None,
        None => answer.error().request_id?,
    };
    let id: String = answer.secrets.short(&id).chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
    (!id.is_empty()).then_some(id)
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a success, or what the answer is instead.
    fn success_text(&self) -> Result<Cow<'_, str>, Outcome> {
        match &self.body {
            _ if !self.is_success() => Err(self.refusal()),
            Body::Whole(bytes) => Ok(String::from_utf8_lossy(bytes)),
            Body::TooLarge => Err(self.lost(None, "the answer is over 1 MiB")),
            Body::CutOff { cause } => Err(self.lost(None, &format!("the answer was cut off: {cause}"))),
        }
    }

    /// What an answer without success means.
    fn refusal(&self) -> Outcome {
        let status = self.status;
        let error = self.error();
        let class = error.code.as_deref().map_or(Class::ByStatus, codes::class);
        let said = error.message.unwrap_or_else(|| "no text".to_owned());
        let message = self.secrets.short(&said);
        let code = error.code.map(|code| self.secrets.short(&code));

        if status == 429 || class == Class::Throttle {
            return self.throttled(&said);
        }
        match (status, class) {
            (300..400, _) => Outcome::Rejected { status, code, message: self.redirection() },
            (400.., Class::Acct | Class::Barred) => Outcome::Barred { status, code, message },
            (400..500, Class::Auth) => Outcome::Unauthenticated { status, code, message },
            // Old codes say with a 401 that the request was wrong.
            (401, Class::Perm | Class::State) => Outcome::Rejected { status, code, message },
            (401, _) => Outcome::Unauthenticated { status, code, message },
            (408, _) | (400..500, Class::Trans) => Outcome::Lost { status: Some(status), code, cause: message },
            // Whether the code that did not arrive would have said "later" cannot be known.
            (400..500, _) if matches!(self.body, Body::CutOff { .. }) => self.lost(code, &said),
            (400..500, _) => Outcome::Rejected { status, code, message },
            // 5xx, and what no server of HTTP/1.1 answers.
            (_, _) => Outcome::Lost { status: Some(status), code, cause: message },
        }
    }

    fn throttled(&self, said: &str) -> Outcome {
        let wait = self.retry_after.as_deref().and_then(|value| quota::retry_after(value, self.at));
        Outcome::Throttled {
            retry_after_ms: wait.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
            quota: quota::stated(said),
            message: self.secrets.short(said),
        }
    }

    /// Where a redirect points, without the path and query that might carry something private.
    fn redirection(&self) -> String {
        let location = self.location.as_deref().and_then(|location| url::Url::parse(location).ok());
        let host = location.as_ref().and_then(url::Url::host_str);
        let to = host.map_or_else(String::new, |host| format!(" to {host}"));
        self.secrets.short(&format!("redirected{to}; redirects are not followed"))
    }

    /// What the body says about an error, whatever it is.
    fn error(&self) -> ErrorBody {
        let bytes = match &self.body {
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

    /// Whether the service, and not something before it, says that it has no such source.
    ///
    /// No code or status is documented for it. The vendor's Terraform provider takes 404 for gone; old codes came
    /// with 400 and 404, so that code and text count too. A 404 of the gateway means a wrong host or path, and a
    /// page comes from a proxy: neither says anything about the source.
    /// sources: terraform-provider-huaweicloud `resource_huaweicloud_sms_source_server.go`;
    /// intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html.
    fn says_no_such_source(&self) -> bool {
        if !matches!(self.status, 400 | 403 | 404) {
            return false;
        }
        let Body::Whole(bytes) = &self.body else { return false };
        if text::is_html(self.content_type.as_deref(), &String::from_utf8_lossy(bytes)) {
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

fn error_in_success(body: &str) -> Option<ErrorBody> {
    ErrorBody::read_success(&serde_json::from_str(body).ok()?)
}

fn says_source_is_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    let missing = ["not exist", "n't exist", "not found", "no such"].iter().any(|words| message.contains(words));
    missing && ["source", "server"].iter().any(|word| message.contains(word))
}
