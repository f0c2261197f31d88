//! Address that is a secret itself: whoever knows the URL of a webhook can write to it.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::endpoint::{BadEndpoint, Endpoint};
use super::secrets::guarded::Guarded;

/// URL with a path, https or http to this very machine. Only its host is ever shown.
#[derive(Clone)]
pub(crate) struct Address {
    endpoint: Endpoint,
    /// Path and query as on the wire.
    rest: Guarded,
    /// Parts of them that are secrets wherever they stand; all of it if no part is.
    anywhere: Vec<Guarded>,
    /// Values that the query calls a secret, and that are too short for one: in another text they are words like any other.
    from_peer: Vec<Guarded>,
}

/// Length from which on a text is taken for a secret, if there is a digit in it: `services` and `v2` are none.
const SHORTEST_SECRET: usize = 6;
/// Length from which on it is taken for one in any case: words are shorter.
const LONGEST_WORD: usize = 20;
/// Length from which on a path without such a part is a secret as a whole: `/notify` is none.
const SHORTEST_PATH: usize = 12;
/// Parts of the names of secret values in a query.
const SECRET_NAMES: [&str; 5] = ["token", "key", "sign", "secret", "pass"];

/// Reason for which a text is not such an address. No message repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAddress {
    #[error("has a blank or a line break in it")]
    Blank,
    #[error("is not a URL ({0})")]
    NotAUrl(url::ParseError),
    #[error("is neither https:// nor http://")]
    Scheme,
    #[error("is http://, which is for loopback only: anybody on the way could read it")]
    Insecure,
    #[error("carries a user name or password")]
    UserInfo,
    #[error("has a fragment")]
    Fragment,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        // A parser drops line breaks without a word.
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(BadAddress::Blank);
        }
        let url = Url::parse(text).map_err(BadAddress::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadAddress::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(BadAddress::Fragment);
        }
        let mut base = url.clone();
        base.set_path("");
        base.set_query(None);
        let endpoint = base.as_str().parse().map_err(|bad| match bad {
            BadEndpoint::NotAUrl(error) => BadAddress::NotAUrl(error),
            BadEndpoint::Scheme => BadAddress::Scheme,
            BadEndpoint::Insecure => BadAddress::Insecure,
            BadEndpoint::UserInfo => BadAddress::UserInfo,
            // Both are gone by now, and a path is allowed.
            BadEndpoint::Path | BadEndpoint::Query | BadEndpoint::Fragment => BadAddress::Fragment,
        })?;
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let rest = format!("{}{query}", url.path());
        let segments = url.path().split('/').filter(|segment| is_like_a_secret(segment));
        let mut anywhere: Vec<Guarded> = segments.map(Guarded::from).collect();
        let mut from_peer = Vec::new();
        for (name, value) in url.query_pairs() {
            let is_named_so = is_name_of_a_secret(&name);
            if is_like_a_secret(&value) || is_named_so && value.len() >= SHORTEST_SECRET {
                anywhere.push(Guarded::from(&*value));
            } else if is_named_so && !value.is_empty() {
                from_peer.push(Guarded::from(&*value));
            }
        }
        let rest_is_long = rest.len() >= SHORTEST_PATH;
        let rest = Guarded::from(rest.as_str());
        if anywhere.is_empty() && rest_is_long {
            anywhere.push(rest.clone());
        }
        Ok(Self { endpoint, rest, anywhere, from_peer })
    }
}

fn is_like_a_secret(text: &str) -> bool {
    let has_digit = || text.contains(|character: char| character.is_ascii_digit());
    text.len() >= LONGEST_WORD || text.len() >= SHORTEST_SECRET && has_digit()
}

fn is_name_of_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

impl Address {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Host alone, to be shown.
    pub(crate) fn host(&self) -> String {
        self.endpoint.host_and_port().0
    }

    /// Path and query as on the wire: a secret.
    pub(crate) fn path_and_query(&self) -> &Guarded {
        &self.rest
    }

    /// Secrets in it that no text may repeat. Shorter parts are not among them: they stand in many texts that know nothing of it.
    pub(crate) fn secrets(&self) -> Vec<Guarded> {
        self.anywhere.clone()
    }

    /// Secrets in it that no text about an answer may repeat: whoever answers knows it, and may repeat the whole or a short part.
    pub(crate) fn secrets_from_peer(&self) -> Vec<Guarded> {
        std::iter::once(&self.rest).chain(&self.from_peer).chain(&self.anywhere).cloned().collect()
    }

    /// Adds a segment to the path, before the query.
    pub(crate) fn below(&self, segment: &str) -> String {
        let rest = self.rest.expose_secret();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        format!("{}/{segment}{query}", path.trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/[redacted]", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::secrets::Secrets;

    #[test]
    fn an_address_has_a_path_and_a_query_and_shows_its_host_alone() {
        let address: Address = "https://Hooks.Example.org:8443/T0/hunter2?key=hunter2".parse().unwrap();
        assert_eq!(address.path_and_query().expose_secret(), "/T0/hunter2?key=hunter2");
        assert_eq!(address.host(), "hooks.example.org");
        assert_eq!(format!("{address:?}"), "https://hooks.example.org:8443/[redacted]");
        assert_eq!(address.below("start"), "/T0/hunter2/start?key=hunter2");
        let ping: Address = "http://127.0.0.1:8000/ping/".parse().unwrap();
        assert_eq!(ping.below("0"), "/ping/0");
    }

    #[test]
    fn a_part_of_an_address_is_hidden_where_it_stands_alone() {
        let address: Address = "https://h.example/robot/v2/send/T0-hunter2?access_token=a1b&to=x".parse().unwrap();
        let secrets = Secrets::new(address.secrets_from_peer());
        let said = "v2: T0-hunter2 with a1b";
        assert_eq!(secrets.short(said), "v2: [redacted] with [redacted]");
    }

    #[test]
    fn a_word_that_an_address_has_too_stays_in_texts_that_know_nothing_of_it() {
        for (address, said, of_peer, of_others) in [
            ("/api/7f3a9c?wait=true&v=1", "change 1 of 20: true", "change 1 of 20: true", "change 1 of 20: true"),
            ("/send?token=ok&sign=", "it is ok", "it is [redacted]", "it is ok"),
            ("/", "this / that", "this [redacted] that", "this / that"),
            ("/notify", "GET /notify", "GET [redacted]", "GET /notify"),
            ("/in/supersecret", "GET /in/supersecret", "GET [redacted]", "GET [redacted]"),
            ("/?wait=true&v=1", "change 1 of 20: true", "change 1 of 20: true", "change 1 of 20: true"),
            ("/x?access_token=hunter", "a hunter", "a [redacted]", "a [redacted]"),
            ("/x?to=hunter2", "a hunter2", "a [redacted]", "a [redacted]"),
            ("/in/AbCdEfGhIjKlMnOpQrSt", "AbCdEfGhIjKlMnOpQrSt", "[redacted]", "[redacted]"),
        ] {
            let address: Address = format!("https://h.example{address}").parse().unwrap();
            let short = |secrets| Secrets::new(secrets).short(said);
            assert_eq!((&*short(address.secrets_from_peer()), &*short(address.secrets())), (of_peer, of_others));
        }
    }

    #[test]
    fn each_fault_has_its_own_name_and_repeats_nothing() {
        for (text, fault) in [
            ("hooks.example.org/hunter2", BadAddress::NotAUrl(url::ParseError::RelativeUrlWithoutBase)),
            ("https://hooks.example.org/x\nhunter2", BadAddress::Blank),
            ("https://hooks.example.org/hunter2 ", BadAddress::Blank),
            ("ftp://hooks.example.org/hunter2", BadAddress::Scheme),
            ("http://hooks.example.org/hunter2", BadAddress::Insecure),
            ("https://me:hunter2@hooks.example.org/", BadAddress::UserInfo),
            ("https://hooks.example.org/x#hunter2", BadAddress::Fragment),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, fault, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
