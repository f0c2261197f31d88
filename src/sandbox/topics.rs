//! The vendor's notification service, as far as a message is published to a topic: beside the other one, with the same token and keys.
//! Every topic whose name is well-formed is there, and its messages are kept for whoever asks (`GET /_sandbox/messages`).
//!
//! sources: support.huaweicloud.com/api-smn/PublishMessage.html; support.huaweicloud.com/intl/en-us/api-smn/smn_api_63001.html (form
//! of errors) and ErrorCode.html (SMN.0005; the code for a bad subject or message is not documented)

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::HttpAnswer;

/// Most bytes of a subject, and of a message.
const LONGEST_SUBJECT: usize = 512;
const LONGEST_MESSAGE: usize = 256 << 10;

/// Message that was published.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Published {
    topic: String,
    subject: String,
    message: String,
}

/// Takes a message for a topic, or refuses it.
pub(super) fn publish(
    messages: &mut Vec<Published>,
    project: &str,
    urn: &str,
    body: &[u8],
    request_id: &str,
) -> HttpAnswer {
    let refused = |code: &str, message: &str| {
        HttpAnswer::json(400, &json!({"request_id": request_id, "code": code, "message": message}))
    };
    let parts: Vec<&str> = urn.split(':').collect();
    let is_topic = matches!(parts[..], ["urn", "smn", region, of, name] if !region.is_empty() && of == project && !name.is_empty());
    if !is_topic {
        return refused("SMN.0005", "Parameter: TopicUrn is invalid.");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let (subject, message) =
        (body["subject"].as_str().unwrap_or_default(), body["message"].as_str().unwrap_or_default());
    let is_fit = !message.is_empty() && message.len() <= LONGEST_MESSAGE && subject.len() <= LONGEST_SUBJECT;
    if !is_fit || subject.chars().any(char::is_control) {
        return refused("SMN.0024", "Parameter: content is invalid.");
    }
    messages.push(Published { topic: urn.to_owned(), subject: subject.to_owned(), message: message.to_owned() });
    HttpAnswer::json(200, &json!({"request_id": request_id, "message_id": format!("{:032x}", messages.len())}))
}

/// Writes messages as lines of JSON.
pub(super) fn lines(messages: &[Published]) -> Vec<u8> {
    let mut lines = Vec::new();
    for message in messages {
        serde_json::to_writer(&mut lines, message).expect("plain data is JSON");
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_takes_what_its_documentation_says() {
        let urn = "urn:smn:ap-southeast-3:p1:ops";
        let subject = |n: usize| json!({"subject": "s".repeat(n), "message": "m"});
        for (project, urn, body, status) in [
            ("p1", urn, subject(512), 200),
            ("p1", urn, subject(513), 400),
            ("p1", urn, json!({"message": "m"}), 200),
            ("p1", urn, json!({"subject": "s"}), 400),
            ("p1", urn, json!({"subject": "a\nb", "message": "m"}), 400),
            ("p2", urn, subject(1), 400),
            ("p1", "urn:smn:ap-southeast-3:p1", subject(1), 400),
        ] {
            let mut messages = Vec::new();
            let answer = publish(&mut messages, project, urn, body.to_string().as_bytes(), "r");
            assert_eq!((answer.status, messages.len()), (status, usize::from(status == 200)), "{project} {urn} {body}");
        }
    }
}
