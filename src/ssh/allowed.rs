//! People who may sign, and by which key: an `allowed_signers` file as `ssh-keygen -Y verify -f` takes it.
//!
//! Unknown options are refused and never ignored: ignoring one that restricts a key would extend what the key may do.
//!
//! source: ssh-keygen(1), ALLOWED SIGNERS

use jiff::Timestamp;
use jiff::civil::DateTime;
use ssh_key::{Algorithm, PublicKey};

use super::signature::{Purpose, Signer, signer};

/// List of keys and their holders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    lines: Vec<AllowedLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct AllowedLine {
    /// Patterns of names, separated by commas.
    principals: String,
    signer: Signer,
    /// Purposes that the key is for; `None` for all.
    namespaces: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// Reason for which a line is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {problem}")]
pub struct BadLine {
    pub line: usize,
    pub problem: String,
}

/// Reason for which a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error("the key {0} is not listed for that name")]
    NotListed(String),
    #[error("the key {0} is listed for that name, and not for `{1}`")]
    OtherPurpose(String, &'static str),
    #[error("the key {0} is listed for that name, and was not valid then or is not valid now")]
    NotValid(String),
}

impl Allowed {
    pub fn read(text: &str) -> Result<Self, BadLine> {
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if !text.is_empty() && !text.starts_with('#') {
                lines.push(AllowedLine::read(text).map_err(|problem| BadLine { line, problem })?);
            }
        }
        Ok(Self { lines })
    }

    /// Checks that a signer may sign under a name at all of these times: the stated time of the signature, and now.
    pub fn allows(&self, name: &str, by: &Signer, purpose: Purpose, at: &[Timestamp]) -> Result<(), NotAllowed> {
        let key = || by.fingerprint.clone();
        let mut why = NotAllowed::NotListed(key());
        for line in self.lines.iter().filter(|line| line.signer == *by && is_among(name, &line.principals)) {
            let is_in_time = |at: &Timestamp| {
                line.after.is_none_or(|after| *at >= after) && line.before.is_none_or(|before| *at < before)
            };
            if line.namespaces.as_deref().is_some_and(|of| !is_among(purpose.namespace(), of)) {
                why = NotAllowed::OtherPurpose(key(), purpose.namespace());
            } else if at.iter().all(is_in_time) {
                return Ok(());
            } else {
                why = NotAllowed::NotValid(key());
            }
        }
        Err(why)
    }
}

impl AllowedLine {
    fn read(text: &str) -> Result<Self, String> {
        let (principals, rest) = word(text);
        let mut line = Self {
            principals: principals.trim_matches('"').to_owned(),
            signer: Signer { fingerprint: String::new(), public_key: String::new() },
            namespaces: None,
            after: None,
            before: None,
        };
        let key = if let Ok(key) = PublicKey::from_openssh(rest) {
            key
        } else {
            const NO_KEY: &str = "has no public key as `ssh-keygen` writes it behind names and options";
            let (options, rest) = word(rest);
            if Algorithm::new(options).is_ok() {
                return Err(NO_KEY.to_owned());
            }
            for option in split(options).filter(|_| !options.is_empty()) {
                line.option(option)?;
            }
            PublicKey::from_openssh(rest).map_err(|_| NO_KEY)?
        };
        if line.principals.is_empty() {
            return Err("names nobody".to_owned());
        }
        if key.algorithm().as_str().contains("-cert-") {
            return Err("has a certificate: list each person's own key".to_owned());
        }
        line.signer = signer(&key);
        Ok(line)
    }

    fn option(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "cert-authority" => {
                return Err(
                    "is of an authority for certificates, which are not taken: list each person's own key".to_owned()
                );
            }
            "namespaces" => self.namespaces = Some(value.to_owned()),
            "valid-after" => self.after = Some(time(value)?),
            "valid-before" => self.before = Some(time(value)?),
            _ => return Err(format!("has the option `{name}`, which is not known here")),
        }
        Ok(())
    }
}

/// Splits off the first word of a line; blanks inside quotes do not end it.
fn word(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let ends = text.find(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    });
    let (word, rest) = text.split_at(ends.unwrap_or(text.len()));
    (word, rest.trim_start())
}

/// Splits options at commas that are not inside quotes.
fn split(options: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    options.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

/// Parses `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`: in UTC with `Z`, otherwise in the machine's time zone.
fn time(text: &str) -> Result<Timestamp, String> {
    let bad = || {
        format!(
            "has the time `{text}`, which is not written as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z or without"
        )
    };
    let (digits, is_utc) = text.strip_suffix('Z').map_or((text, false), |digits| (digits, true));
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let at = DateTime::strptime("%Y%m%d%H%M%S", format!("{digits:0<14}")).map_err(|_| bad())?;
    let zone = if is_utc { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    zone.to_timestamp(at).map_err(|_| bad())
}

/// Tells whether a name is among patterns: one of them matches, and none that begins with `!` does.
fn is_among(name: &str, patterns: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(name.as_bytes(), pattern.as_bytes()) => return false,
            Some(_) => (),
            None => found |= matches(name.as_bytes(), pattern.as_bytes()),
        }
    }
    found
}

/// Matches a pattern in which `*` is any text and `?` any byte. It only ever backtracks to the last star, so that its time is bounded.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[at] => (at, of) = (at + 1, of + 1),
            Some(_) | None => {
                let Some((starred, from)) = star else { return false };
                star = Some((starred, from + 1));
                (at, of) = (from + 1, starred + 1);
            }
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::signature::tests::{public_key, signed};
    use crate::ssh::signature::verify;

    fn by(seed: u8) -> Signer {
        verify("x", Purpose::Approval, &signed("x", Purpose::Approval, seed)).unwrap()
    }

    fn allows(line: &str, name: &str, at: &str) -> Result<(), NotAllowed> {
        let allowed = Allowed::read(&line.replace("KEY", &public_key(1))).unwrap();
        allowed.allows(name, &by(1), Purpose::Approval, &[at.parse().unwrap()])
    }

    const AT: &str = "2026-11-27T12:00:00Z";

    #[test]
    fn a_key_counts_for_the_names_the_purposes_and_the_times_that_it_is_listed_for() {
        for line in [
            "ada KEY a comment",
            "# of us\n\n  ada KEY",
            "bob,ada KEY",
            "\"ada\" KEY",
            "a?a KEY",
            "*,!bob KEY",
            "ada namespaces=\"file,cutover-approval\" KEY",
            "ada namespaces=\"cutover-*\",valid-after=\"20261127Z\",valid-before=20261128Z KEY",
            "ada valid-before=\"202611271201Z\" KEY",
        ] {
            assert_eq!(allows(line, "ada", AT), Ok(()), "{line}");
        }
        let key = by(1).fingerprint;
        for line in ["bob KEY", "*,!ada KEY", "adam KEY", "ad KEY", "Ada KEY"] {
            assert_eq!(allows(line, "ada", AT), Err(NotAllowed::NotListed(key.clone())), "{line}");
        }
        assert!(matches!(allows("ada namespaces=\"file\" KEY", "ada", AT), Err(NotAllowed::OtherPurpose(..))));
        for line in ["ada valid-before=\"20261127Z\" KEY", "ada valid-after=\"20261127120001Z\" KEY"] {
            assert_eq!(allows(line, "ada", AT), Err(NotAllowed::NotValid(key.clone())), "{line}");
        }
        assert!(allows("ada KEY", "bob", AT).is_err());
        let other = Allowed::read(&format!("ada {}", public_key(2))).unwrap();
        assert!(other.allows("ada", &by(1), Purpose::Approval, &[]).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (line, problem) in [
            ("ada cert-authority KEY", "authority for certificates"),
            ("ada no-touch-required KEY", "`no-touch-required`, which is not known"),
            ("ada valid-before=\"tomorrow\" KEY", "the time `tomorrow`"),
            ("ada valid-before=\"20261399Z\" KEY", "the time `20261399Z`"),
            ("ada", "no public key"),
            ("ada ssh-ed25519 AAAA", "no public key"),
        ] {
            let error = Allowed::read(&format!("# keys\n{}", line.replace("KEY", &public_key(1)))).unwrap_err();
            assert!(error.line == 2 && error.to_string().contains(problem), "{line}: {error}");
        }
    }
}
