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
    /// Parts of them that are secrets by themselves: a peer may repeat one alone.
    parts: Vec<Guarded>,
}

/// Length from which on a part of an address is taken for a secret, if there is a digit in it: `services` and `v2` are none.
const SHORTEST_SECRET: usize = 6;

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
        let segments = url.path().split('/').filter(|part| {
            part.len() >= SHORTEST_SECRET && part.contains(|character: char| character.is_ascii_digit())
        });
        let mut parts: Vec<Guarded> = segments.map(Guarded::from).collect();
        parts.extend(url.query_pairs().filter(|(_, value)| !value.is_empty()).map(|(_, value)| Guarded::from(&*value)));
        Ok(Self { endpoint, rest: Guarded::from(format!("{}{query}", url.path()).as_str()), parts })
    }
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

    /// Secrets in it, none of which a text about an answer may repeat.
    pub(crate) fn secrets(&self) -> Vec<Guarded> {
        std::iter::once(&self.rest).chain(&self.parts).cloned().collect()
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
        let secrets = crate::transport::secrets::Secrets::new(address.secrets());
        let said = "v2: T0-hunter2 with a1b";
        assert_eq!(secrets.short(said), "v2: [redacted] with [redacted]");
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
