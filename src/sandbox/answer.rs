//! Answers of the sandbox: every documented error body, and the undocumented shapes that occur in practice.
//!
//! sources: intl api-sms/UpdateCopyState.html (success and 403), intl api-sms/ErrorCode.html (SMS codes),
//! intl devg-apisign/api-sign-errorcode.html (gateway codes and texts).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::scenario::{BodyShape, FailureAnswer, QuotaRule};

/// End of a request on the wire.
#[derive(Debug)]
pub(super) enum WireReply {
    Answer(HttpAnswer),
    /// The connection is reset without a byte of answer.
    Reset,
    /// The connection stays open, and no answer comes.
    Silence,
}

#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Additional header, if the answer has one.
    pub(super) header: Option<(&'static str, String)>,
}

impl HttpAnswer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into_bytes())
    }

    fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, header: None }
    }

    pub(super) fn raw_json(body: Vec<u8>) -> Self {
        Self::new(200, "application/json", body)
    }

    pub(super) fn with_header(self, name: &'static str, value: String) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

/// Accepts a change, with the body of the documented example.
pub(super) fn accepted() -> HttpAnswer {
    HttpAnswer::new(200, "application/json", b"{ }".to_vec())
}

/// Answers with an error of the gateway, which repeats the request id in the body.
fn gateway(status: u16, code: &str, message: &str, request_id: &str) -> HttpAnswer {
    HttpAnswer::json(status, &json!({"error_msg": message, "error_code": code, "request_id": request_id}))
}

fn service(status: u16, code: &str, message: &str) -> HttpAnswer {
    HttpAnswer::json(status, &json!({"error_code": code, "error_msg": message}))
}

pub(super) fn no_such_api(request_id: &str) -> HttpAnswer {
    gateway(404, "APIGW.0101", "The API does not exist or has not been published in the environment", request_id)
}

pub(super) fn wrong_method(request_id: &str) -> HttpAnswer {
    gateway(405, "APIGW.0501", "The HTTP method is not supported by this API", request_id)
}

/// Refuses a request whose credential is missing or wrong, for one of the gateway's own reasons.
pub(super) fn not_authenticated(reason: &str, request_id: &str) -> HttpAnswer {
    gateway(401, "APIGW.0301", &format!("Incorrect IAM authentication information: {reason}"), request_id)
}

pub(super) fn project_unavailable(request_id: &str) -> HttpAnswer {
    gateway(403, "APIGW.0310", "The project is unavailable", request_id)
}

pub(super) fn token_expired(request_id: &str) -> HttpAnswer {
    gateway(401, "APIGW.0307", "The token must be updated", request_id)
}

pub(super) fn throttled(quota: &QuotaRule, wait_us: u64, request_id: &str) -> HttpAnswer {
    let mut message = String::from("The throttling threshold has been reached");
    if quota.stated {
        let unit = if quota.period.as_secs() == 1 { "second" } else { "minute" };
        _ = write!(message, ": policy user over ratelimit,limit:{},time:1 {unit}", quota.limit);
    }
    let answer = gateway(429, "APIGW.0308", &message, request_id);
    if quota.retry_after {
        return answer.with_header("retry-after", wait_us.div_ceil(1_000_000).max(1).to_string());
    }
    answer
}

/// Answers a request about an unknown source. Status and code are not documented for these calls: 404 is what the Terraform
/// provider takes for gone, and the code is that of the historical table for a source that does not exist.
pub(super) fn no_such_source() -> HttpAnswer {
    service(404, "SMS.2216", "The source server does not exist.")
}

/// Refuses a request with every field that the documentation has.
pub(super) fn forbidden(action: &str) -> HttpAnswer {
    let message = "You do not have permission to perform this operation.";
    HttpAnswer::json(
        403,
        &json!({
            "error_code": "SMS.9004",
            "error_msg": message,
            "encoded_authorization_message": "c2FuZGJveDogbm90aGluZyB0byBkZWNvZGU=",
            "error_param": [action],
            "details": [{"error_code": "SMS.9004", "error_msg": format!("{message} Missing action: {action}")}],
        }),
    )
}

pub(super) fn not_json() -> HttpAnswer {
    service(400, "SMS.6010", "The request body is not in JSON format.")
}

/// source: the historical table (intl/zh-cn/ae-ad-1-api-sms/sms_api_0047.html), which gives it status 401.
pub(super) fn too_large() -> HttpAnswer {
    service(401, "SMS.2004", "The request body exceeds 10240 bytes.")
}

pub(super) fn invalid(problem: &str) -> HttpAnswer {
    service(400, "SMS.9001", &format!("Invalid parameters: {problem}."))
}

/// Redirects; a client that followed would send another request, which the ledger would show.
pub(super) fn redirect() -> HttpAnswer {
    HttpAnswer::new(302, "text/html", b"<html>Found</html>".to_vec()).with_header("location", "/v3/redirected".into())
}

/// Answers 200 with a body that is not the JSON that its header announces.
pub(super) fn garbage() -> HttpAnswer {
    HttpAnswer::new(200, "application/json", b"{\"state\": \xff\xfe\x00<!DOCTYPE html>".to_vec())
}

pub(super) fn failure(failure: &FailureAnswer, request_id: &str) -> HttpAnswer {
    let status = failure.status;
    let code = failure.code.as_deref().unwrap_or_else(|| usual_code(status));
    let message = failure.message.as_deref().unwrap_or("The sandbox was told to fail here.");
    let html = || format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    match failure.body {
        BodyShape::Json if code.starts_with("API") => gateway(status, code, message, request_id),
        BodyShape::Json => service(status, code, message),
        BodyShape::Html => HttpAnswer::new(status, "text/html", html().into_bytes()),
        BodyShape::Empty => HttpAnswer::new(status, "text/plain", Vec::new()),
        BodyShape::Huge => service(status, code, &"x".repeat(1_500_000)),
        BodyShape::Text => HttpAnswer::new(status, "text/plain", message.as_bytes().to_vec()),
        BodyShape::Iam => {
            HttpAnswer::json(status, &json!({"error": {"code": status, "message": message, "title": "Refused"}}))
        }
        BodyShape::Nested => HttpAnswer::json(status, &json!({"error": {"error_code": code, "error_msg": message}})),
        BodyShape::AltCode => HttpAnswer::json(status, &json!({"errorCode": code, "errorMsg": message})),
    }
}

/// Returns the usual code for a status, where the scenario names none.
fn usual_code(status: u16) -> &'static str {
    match status {
        401 => "APIGW.0301",
        403 => "SMS.9004",
        404 => "SMS.2216",
        429 => "APIGW.0308",
        500 => "APIGW.0601",
        502 | 504 => "APIGW.0201",
        503 => "APIGW.0613",
        _ => "SMS.9001",
    }
}
