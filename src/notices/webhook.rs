//! Webhooks: the body, the signature and the answer of each format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;

use super::notice::Notice;
use super::posting::{self, ReceiverAnswer};
use super::settings::WebhookFormat;
use crate::transport::Transport;
use crate::transport::address::Address;
use crate::transport::request::{Header, Outgoing};
use crate::transport::secrets::guarded::Guarded;

/// Webhook with all that it takes to write to it.
pub(super) struct Webhook {
    pub(super) format: WebhookFormat,
    pub(super) address: Address,
    pub(super) key: Option<SigningKey>,
    pub(super) transport: Transport,
}

/// Secret that the receiver checks signatures with: as a text, and as the key that it stands for.
pub(super) struct SigningKey {
    text: Guarded,
    bytes: Zeroizing<Vec<u8>>,
}

/// Reason for which a text is no secret of a webhook. No message repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSecret {
    #[error("is not base64 behind `whsec_`")]
    NotBase64,
    #[error("has nothing behind `whsec_`")]
    Empty,
    #[error("begins with `{0}`, as a key for signatures of another kind does")]
    OfAnotherKind(&'static str),
    #[error("is an address, and no secret")]
    Address,
}

/// Beginning of a secret of Standard Webhooks; base64 follows.
const SYMMETRIC: &str = "whsec_";
/// Beginnings of its private and public keys, which sign and check in another way.
const ASYMMETRIC: [&str; 2] = ["whsk_", "whpk_"];

impl SigningKey {
    /// Reads a secret. In the generic format `whsec_` and base64 is a key, and a text in any other form is the key itself.
    ///
    /// source: github.com/standard-webhooks/standard-webhooks `spec/standard-webhooks.md` (signature scheme)
    pub(super) fn new(format: WebhookFormat, text: &SecretString) -> Result<Self, BadSecret> {
        let secret = text.expose_secret();
        if secret.contains("://") {
            return Err(BadSecret::Address);
        }
        let of_generic = std::iter::once(SYMMETRIC).filter(|_| format != WebhookFormat::Generic);
        if let Some(other) = ASYMMETRIC.into_iter().chain(of_generic).find(|beginning| secret.starts_with(beginning)) {
            return Err(BadSecret::OfAnotherKind(other));
        }
        let bytes = match secret.strip_prefix(SYMMETRIC) {
            Some("") => return Err(BadSecret::Empty),
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| BadSecret::NotBase64)?,
            None => secret.as_bytes().to_vec(),
        };
        Ok(Self { text: Guarded::from(secret), bytes: Zeroizing::new(bytes) })
    }

    /// The text, and the key where that can stand in a text.
    fn secrets(&self) -> Vec<Guarded> {
        std::iter::once(self.text.clone()).chain(std::str::from_utf8(&self.bytes).map(Guarded::from)).collect()
    }
}

/// Longest text for a chat, in characters. source: open.feishu.cn, custom bot guide (20 KB for a request).
const LONGEST_TEXT: usize = 4_000;

impl Webhook {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let outgoing = self.outgoing(notice, Timestamp::now());
        let answer = posting::send(&self.transport, outgoing).await?.accepted()?;
        judged(self.format, &answer)
    }

    /// Secrets that no text may repeat: those of its address and its key.
    pub(super) fn secrets(&self) -> Vec<Guarded> {
        self.with_key(self.address.secrets())
    }

    fn with_key(&self, of_address: Vec<Guarded>) -> Vec<Guarded> {
        of_address.into_iter().chain(self.key.iter().flat_map(SigningKey::secrets)).collect()
    }

    /// Makes the request of this moment. Each try is dated and signed anew. Whoever has the signature can repeat it for a while, so that
    /// it is hidden like what it is made with.
    fn outgoing(&self, notice: &Notice, now: Timestamp) -> Outgoing {
        let path = self.address.path_and_query().expose_secret().to_owned();
        let mut hidden = self.with_key(self.address.secrets_from_peer());
        let mut sign = |signature: String| {
            hidden.push(Guarded::from(signature.as_str()));
            signature
        };
        let mut query = Vec::new();
        let mut headers = Vec::new();
        let body = match self.format {
            WebhookFormat::Generic => {
                let body = notice.document();
                let seconds = now.as_second();
                headers.push(Header::plain("webhook-id", notice.id.clone()));
                headers.push(Header::plain("webhook-timestamp", seconds.to_string()));
                if let Some(key) = &self.key {
                    let signature = sign(standard_signature(&key.bytes, &notice.id, seconds, &body));
                    headers.push(Header::sealed("webhook-signature", SecretString::from(format!("v1,{signature}"))));
                }
                body
            }
            WebhookFormat::Slack => json!({"text": slack_text(&text_of(notice))}).to_string(),
            WebhookFormat::Feishu => {
                let mut body = json!({"msg_type": "text", "content": {"text": without_tags(&text_of(notice))}});
                if let Some(key) = &self.key {
                    let seconds = now.as_second();
                    body["timestamp"] = seconds.to_string().into();
                    body["sign"] = sign(feishu_signature(key.text.expose_secret(), seconds)).into();
                }
                body.to_string()
            }
            WebhookFormat::Dingtalk => {
                if let Some(key) = &self.key {
                    let ms = now.as_millisecond();
                    let signature = sign(dingtalk_signature(key.text.expose_secret(), ms));
                    query = vec![("timestamp", ms.to_string()), ("sign", signature)];
                }
                json!({"msgtype": "text", "text": {"content": text_of(notice)}}).to_string()
            }
        };
        let mut outgoing = posting::outgoing("POST", path, body);
        outgoing.query = query;
        outgoing.headers.extend(headers);
        outgoing.hidden = hidden;
        outgoing
    }
}

/// Tells by the body whether a notice was taken: two of the formats answer 200 to what they refuse.
///
/// sources: docs.slack.dev "Sending messages using incoming webhooks" (`ok`); open.feishu.cn, custom bot guide (`code`);
/// open.dingtalk.com, custom robot (`errcode`)
fn judged(format: WebhookFormat, answer: &ReceiverAnswer) -> Result<(), String> {
    let (code, message) = match format {
        WebhookFormat::Generic => return Ok(()),
        WebhookFormat::Slack if answer.text.trim() == "ok" => return Ok(()),
        WebhookFormat::Slack => return Err(answer.problem("without the word `ok`")),
        WebhookFormat::Feishu => ("code", "msg"),
        WebhookFormat::Dingtalk => ("errcode", "errmsg"),
    };
    let said = answer.json();
    match said[code].as_i64() {
        Some(0) => Ok(()),
        Some(other) => Err(answer.problem(&format!("{code} {other}: {}", said[message].as_str().unwrap_or_default()))),
        None => Err(answer.problem(&format!("without `{code}`"))),
    }
}

fn text_of(notice: &Notice) -> String {
    notice.message().chars().take(LONGEST_TEXT).collect()
}

/// Escapes the characters that begin a mention, a link or an entity.
///
/// source: docs.slack.dev "Formatting message text" (escaping text)
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Replaces the signs of tags: `<at user_id="all">` in a text would call everybody, and there is no way to escape it.
///
/// source: open.feishu.cn, custom bot guide (`at` in a text)
fn without_tags(text: &str) -> String {
    text.replace('<', "\u{ff1c}").replace('>', "\u{ff1e}")
}

/// Signs as Standard Webhooks has it, without the version before it.
///
/// source: github.com/standard-webhooks/standard-webhooks `spec/standard-webhooks.md` (signature scheme)
fn standard_signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    hmac_sha256(key, format!("{id}.{seconds}.{body}").as_bytes())
}

/// Signs with time and secret as the key, and nothing as the message.
///
/// source: open.feishu.cn, custom bot guide (signature verification)
fn feishu_signature(secret: &str, seconds: i64) -> String {
    hmac_sha256(format!("{seconds}\n{secret}").as_bytes(), b"")
}

/// Signs time and secret with the secret as the key; the time is in milliseconds. The query encodes it.
///
/// source: open.dingtalk.com, custom robot (security settings)
fn dingtalk_signature(secret: &str, ms: i64) -> String {
    hmac_sha256(secret.as_bytes(), format!("{ms}\n{secret}").as_bytes())
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is a key");
    mac.update(message);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::notice::tests::sample;
    use super::*;
    use crate::transport::request::encoded;

    fn key(format: WebhookFormat, text: &str) -> Result<SigningKey, BadSecret> {
        SigningKey::new(format, &SecretString::from(text))
    }

    /// sources: `test_sign` of the libraries in github.com/standard-webhooks/standard-webhooks; open.feishu.cn, custom bot guide (the
    /// timestamp and the secret `demo` of its examples); open.dingtalk.com, custom robot (the secret of its examples). The last two
    /// were computed by the examples' own code in Python.
    #[test]
    fn each_signature_is_that_of_the_published_example() {
        let signed = standard_signature(
            &key(WebhookFormat::Generic, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().bytes,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(feishu_signature("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
        let signed = dingtalk_signature("this is secret", 1_577_262_236_757);
        assert_eq!(encoded(&signed).to_string(), "hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D");
    }

    #[test]
    fn a_text_that_is_no_secret_of_a_format_is_found_before_anything_is_signed() {
        let bad = |format, text| key(format, text).err();
        for (text, problem) in [
            ("whsec_###", Some(BadSecret::NotBase64)),
            ("whsec_aHVudGVyMg", Some(BadSecret::NotBase64)),
            ("whsec_", Some(BadSecret::Empty)),
            ("whsk_aHVudGVyMg==", Some(BadSecret::OfAnotherKind("whsk_"))),
            ("https://hooks.example.org/hunter2", Some(BadSecret::Address)),
            ("whsec_aHVudGVyMg==", None),
            ("hunter2", None),
        ] {
            assert_eq!(bad(WebhookFormat::Generic, text), problem, "{text}");
        }
        for format in [WebhookFormat::Feishu, WebhookFormat::Dingtalk] {
            assert_eq!(bad(format, "whsec_aHVudGVyMg=="), Some(BadSecret::OfAnotherKind("whsec_")));
            assert_eq!(bad(format, "SEC-hunter2"), None);
        }
    }

    #[test]
    fn foreign_text_is_no_markup_of_a_chat() {
        let text = sample().message();
        assert!(text.contains("<at user_id"));
        assert!(slack_text(&text).contains("&lt;at user_id=\"all\"&gt; &amp; "));
        assert!(!without_tags(&text).contains(['<', '>']));
    }
}
