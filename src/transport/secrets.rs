//! Texts from peers, made fit to be journaled and printed: short, on one line, and without our secrets.
//!
//! A peer may repeat a secret that it was sent, and often in another form: text and secret are compared in a normal form (see
//! [`encodings`]), and so are parts of 12 characters and more. A secret of less than six characters is hidden only where it is a word
//! of its own, since its letters are in every text; no service issues such a short one.

use std::borrow::Cow;
use std::fmt;

mod encodings;
pub(crate) mod guarded;
mod signs;

use guarded::Guarded;

/// Limit of an outcome's text, in characters.
const LONGEST: usize = 500;
/// Limit of the text that is examined for that, in bytes: larger, since hiding a secret makes a text shorter.
const MOST_READ: usize = 2_048;

const HIDDEN: &str = "[redacted]";

/// Secrets that went out in one request and must not come back in any text about it.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Guarded>);

impl Secrets {
    pub(crate) fn new(secrets: Vec<Guarded>) -> Self {
        Self(secrets)
    }

    pub(crate) fn extend(&mut self, secrets: Vec<Guarded>) {
        self.0.extend(secrets);
    }

    /// Tells whether a text contains one of them, or a part of one. A text that is too long to be examined counts as if it did.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        text.len() > MOST_READ || !encodings::places(text, &self.0).is_empty()
    }

    /// Replaces each secret in the text; of a text that is too long, returns the beginning.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.hide_up_to(MOST_READ, text)
    }

    /// Does the same, and shows so many bytes of the text.
    pub(crate) fn hide_up_to<'a>(&self, most: usize, text: &'a str) -> Cow<'a, str> {
        // Reads beyond the end of what is shown, since the rest of a secret may be there.
        let read = &text[..text.floor_char_boundary(2 * most)];
        let shown = &text[..text.floor_char_boundary(most)];
        let is_whole = shown.len() == text.len();
        let mut places =
            encodings::places(read, &self.0).into_iter().filter(|place| place.start < shown.len()).peekable();
        if places.peek().is_none() && is_whole {
            return Cow::Borrowed(text);
        }
        let mut hidden = String::with_capacity(shown.len());
        let mut behind = 0;
        for place in places {
            hidden.push_str(&text[behind..place.start]);
            hidden.push_str(HIDDEN);
            behind = place.end;
        }
        hidden.push_str(shown.get(behind..).unwrap_or_default());
        if !is_whole {
            hidden.push('…');
        }
        Cow::Owned(hidden)
    }

    /// Returns the text on one line of at most 500 characters. It is cut after hiding, so that no part of a secret remains.
    pub(crate) fn short(&self, text: &str) -> String {
        let (line, is_whole) = on_one_line(text);
        let line = self.hide(&line);
        match line.char_indices().nth(LONGEST) {
            None if is_whole => line.into_owned(),
            None | Some(_) => line.chars().take(LONGEST - 1).chain(['…']).collect(),
        }
    }
}

/// Returns the beginning of a text without characters that control a terminal or make a line read differently from what it says,
/// and whether that is all of it.
fn on_one_line(text: &str) -> (String, bool) {
    let mut line = String::new();
    let mut is_apart = false;
    for c in text.chars() {
        if signs::takes_no_room(c) {
            is_apart = true;
            continue;
        }
        if line.len() >= MOST_READ {
            return (line, false);
        }
        if is_apart && !line.is_empty() {
            line.push(' ');
        }
        is_apart = false;
        line.push(c);
    }
    (line, true)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    fn secrets(secrets: &[&str]) -> Secrets {
        Secrets::new(secrets.iter().map(|secret| Guarded::from(*secret)).collect())
    }

    /// Uses a text made of parts of the secret, which costs most.
    #[test]
    fn of_a_text_without_end_the_beginning_is_hidden_and_told() {
        let token = "MIIEpAIBAAKCAQEA7bq2-0wTzXfYk8_QhJvRn5sLdGc3";
        let text = token[..20].repeat(1 << 16);
        let began = std::time::Instant::now();
        assert_eq!(secrets(&[token]).hide(&text), "[redacted]…");
        assert!(secrets(&[token]).are_in(&text));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        // A secret across the end of what is shown leaves no part of it there.
        let over = format!("{}{token} and more", "word ".repeat(MOST_READ / 5));
        assert!(secrets(&[token]).hide(&over).ends_with("word [redacted]…"));
        assert_eq!(secrets(&[token]).hide(&"é".repeat(MOST_READ)).chars().count(), MOST_READ / 2 + 1);
    }

    #[test]
    fn a_text_is_one_line_without_control_characters() {
        let text = Secrets::default().short(" a\r\n\tb\u{1b}[31mc\u{202e}d\0 ");
        assert_eq!(text, "a b [31mc d");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let short = Secrets::default().short(&"☃".repeat(600));
        assert_eq!(short.chars().count(), 500);
        assert!(short.ends_with("☃…"));
        assert_eq!(Secrets::default().short(&"☃".repeat(500)).chars().count(), 500);
        assert!(!Secrets::default().short(&"☃".repeat(500)).contains('…'));
        // However long it is, no more of it is examined than is shown.
        assert_eq!(Secrets::default().short(&"a ".repeat(16 << 20)).chars().count(), 500);
    }

    #[test]
    fn a_secret_is_hidden_even_where_the_text_is_cut() {
        let secrets = secrets(&["s3cret-token"]);
        assert_eq!(secrets.short("bad token s3cret-token!"), "bad token [redacted]!");
        let across_the_cut = format!("{} s3cret-token", "x".repeat(492));
        assert!(!secrets.short(&across_the_cut).contains("s3c"));
        let across_the_end = format!("{} {}", "s3cret-token ".repeat(157), "s3cret-token");
        assert!(!secrets.short(&across_the_end).contains("s3c"), "{}", secrets.short(&across_the_end));
        assert_eq!(format!("{secrets:?}"), "[redacted]");
    }

    /// Secret with characters that programs escape.
    const ODD: &str = "pa\"ss/wo+rd\\=<&> #?7ß";

    fn percent(text: &str) -> String {
        crate::transport::request::encoded(text).to_string()
    }

    fn each<T>(of: impl Iterator<Item = T>, encode: impl Fn(T) -> String) -> String {
        of.map(encode).collect::<Vec<_>>().concat()
    }

    fn every_byte(text: &str, before: &str) -> String {
        each(text.bytes(), |byte| format!("{before}{byte:02X}"))
    }

    fn between(text: &str, what: &str) -> String {
        each(text.chars(), |c| format!("{c}{what}"))
    }

    fn json(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    fn in_base64(text: &str) -> impl Iterator<Item = String> {
        ["", "u", "us", "user:", "user: "].into_iter().flat_map(move |before| {
            let whole = format!("{before}{text}:more");
            [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole), STANDARD.encode(STANDARD.encode(&whole))]
        })
    }

    #[test]
    fn a_secret_is_known_in_other_encodings() {
        let token = "MIIEvgYJKoZIhvcNAQcC-oIIErzCCBKsCAQExDTALBglghkgBZQMEAgEwggMQ";
        for secret in [token, ODD] {
            let secrets = secrets(&[secret]);
            let wide: String = secret
                .chars()
                .map(|c| if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xFEE0).unwrap() } else { c })
                .collect();
            let html = secret.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&#x3e;");
            let mut encodings = vec![
                secret.to_owned(),
                secret.to_uppercase(),
                secret.to_lowercase(),
                wide,
                html,
                json(secret),
                json(&json(secret)),
                json(&percent(secret)),
                percent(secret),
                percent(&percent(secret)),
                percent(&json(secret)),
                percent(secret).to_lowercase(),
                every_byte(secret, "%"),
                every_byte(secret, ""),
                every_byte(secret, "").to_lowercase(),
                every_byte(secret, ":"),
                every_byte(secret, " "),
                every_byte(secret, "\\x"),
                every_byte(secret, ",0x"),
                every_byte(secret, "="),
                every_byte(&STANDARD.encode(secret), ""),
                each(secret.chars(), |c| format!("\\u{:04x}", u32::from(c))),
                each(secret.chars(), |c| format!("&#{};", u32::from(c))),
                each(secret.bytes(), |byte| format!("\\{byte:03o}")),
                between(secret, " "),
                between(secret, "\u{200b}"),
                between(secret, "\u{ad}\u{2060}"),
                between(secret, "\r\n"),
                between(secret, "\u{1b}"),
                between(&STANDARD.encode(secret), "\n"),
                between(&percent(secret), "\u{feff}"),
            ];
            encodings.extend(in_base64(secret));
            for encoded in encodings {
                for text in [encoded.clone(), format!("the key {encoded} is not good"), format!("key={encoded};")] {
                    let short = secrets.short(&text);
                    assert!(short.contains(HIDDEN), "{text}\n{short}");
                    // No rest of the encoded secret is as long as a part.
                    let rest = short.replace(HIDDEN, "").replace("the key", "").replace("is not good", "");
                    assert!(rest.trim().len() < 12, "{text}\n{short}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_twelve_characters_is_hidden_and_a_shorter_one_is_not() {
        let secrets = secrets(&["abcdefGHIJKL0123456789-xyz"]);
        assert_eq!(secrets.short("it begins abcdefghijkl and so on"), "it begins [redacted] and so on");
        assert_eq!(secrets.short("JKL01234567 is eleven"), "JKL01234567 is eleven");
        assert_eq!(secrets.short("JKL0-1-2-3-4-5-6.7.8"), "[redacted]");
        assert_eq!(secrets.short(&STANDARD.encode("JKL0123456789")), "[redacted]");
    }

    #[test]
    fn a_short_secret_is_hidden_as_a_whole_and_a_very_short_one_as_a_word() {
        let hidden = |secret: &str, text: &str| secrets(&[secret]).short(text);
        assert_eq!(hidden("s3cret", "bads3cretword S3-CRET"), "bad[redacted]word S3-CRET");
        assert_eq!(hidden("s3cret", "the secret"), "the secret");
        assert_eq!(hidden("pw1", "the pw1, not pw12 and not PW1"), "the [redacted], not pw12 and not [redacted]");
        assert_eq!(hidden("a", "a server has a name"), "[redacted] server has [redacted] name");
        assert_eq!(hidden("", "a server"), "a server");
    }

    #[test]
    fn harmless_texts_stay_as_they_are() {
        let secrets = secrets(&[
            "MIIEvgYJKoZIhvcNAQcC-oIIErzCCBKsCAQExDTALBglghkgBZQMEAgEwggMQ",
            "3030e8451556bd7797a07c39d1a3ae6cca6e423d7ccc67fecfd05926f04747f0",
            "sandbox-sk",
            ODD,
        ]);
        for text in [
            "0123456789abcdef0123456789abcdef",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "Incorrect IAM authentication information: verify aksk signature fail",
            "policy user over ratelimit,limit:60,time:1 minute",
            "redirected to login.example.com; redirects are not followed",
            "You do not have the permission (50% of 100%) for sms:server:updateState &c.",
            "源端不存在 <p>&nbsp;\\u0041",
            "SDK-HMAC-SHA256 Access=AK, SignedHeaders=content-type;host;x-sdk-date, Signature=",
        ] {
            assert_eq!(secrets.short(text), text);
        }
    }
}
