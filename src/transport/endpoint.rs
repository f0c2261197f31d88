//! Target of requests: a base address that cannot leak what we send.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// Base address of the service: https, or http to this very machine; nothing but scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(Url);

/// Reason for which a text is not an endpoint. No message repeats the text, which may carry a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadEndpoint {
    #[error("the endpoint is not a URL ({0})")]
    NotAUrl(url::ParseError),
    #[error("the endpoint is neither https:// nor http://")]
    Scheme,
    #[error("the endpoint is http://, which is for loopback only: anybody on the way could read the credentials")]
    Insecure,
    #[error("the endpoint carries a user name or password")]
    UserInfo,
    #[error("the endpoint has a path")]
    Path,
    #[error("the endpoint has a query")]
    Query,
    #[error("the endpoint has a fragment")]
    Fragment,
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let url = Url::parse(text).map_err(BadEndpoint::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(BadEndpoint::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadEndpoint::UserInfo);
        }
        if url.path() != "/" {
            return Err(BadEndpoint::Path);
        }
        if url.query().is_some() {
            return Err(BadEndpoint::Query);
        }
        if url.fragment().is_some() {
            return Err(BadEndpoint::Fragment);
        }
        let endpoint = Self(url);
        if endpoint.is_plain() && !endpoint.is_loopback() {
            return Err(BadEndpoint::Insecure);
        }
        Ok(endpoint)
    }
}

impl Endpoint {
    /// Parses the address of a service on this machine or its host, such as the metadata service: also without TLS.
    pub(crate) fn of_this_machine(text: &str) -> Result<Self, BadEndpoint> {
        match text.parse() {
            Err(BadEndpoint::Insecure) => {
                let url = Url::parse(text).map_err(BadEndpoint::NotAUrl)?;
                match url.host() {
                    Some(Host::Ipv4(address)) if address.is_link_local() => Ok(Self(url)),
                    Some(_) | None => Err(BadEndpoint::Insecure),
                }
            }
            parsed => parsed,
        }
    }

    /// Host as in the `Host` header: with its port, unless that is the scheme's own.
    pub(crate) fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Host and port that are looked up and connected to.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, self.0.port_or_known_default().unwrap_or(443))
    }

    /// Returns one text for all spellings of an address: without a trailing dot, and with one name for this machine.
    pub(crate) fn place(&self) -> String {
        let (host, port) = self.host_and_port();
        let host = host.trim_end_matches('.');
        let host = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V6(Ipv6Addr::LOCALHOST)) => Ipv4Addr::LOCALHOST.to_string(),
            Ok(address) => address.to_string(),
            Err(_) if host == "localhost" => Ipv4Addr::LOCALHOST.to_string(),
            Err(_) => host.to_owned(),
        };
        format!("{host}:{port}")
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Returns the URL of a path that is already encoded, and that may have a query of its own, which goes before the other.
    pub(crate) fn at(&self, path: &str, query: &str) -> Url {
        let (path, own) = path.split_once('?').unwrap_or((path, ""));
        let whole = [own, query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query((!whole.is_empty()).then_some(&whole));
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_place_however_it_is_spelled() {
        let place = |text: &str| text.parse::<Endpoint>().unwrap().place();
        for same in [
            "https://SMS.Example.com",
            "https://sms.example.com:443/",
            "https://sms.example.com.",
            "https://sms.example.com.:443",
        ] {
            assert_eq!(place(same), "sms.example.com:443", "{same}");
        }
        for same in [
            "http://localhost:80",
            "http://127.0.0.1",
            "http://[::1]:80",
            "http://0x7f.1",
            "https://[::ffff:127.0.0.1]:80",
        ] {
            assert_eq!(place(same), "127.0.0.1:80", "{same}");
        }
        assert_ne!(place("https://sms.example.com"), place("https://sms.example.com:8443"));
    }

    #[test]
    fn an_endpoint_is_https_or_http_to_this_machine() {
        for (text, shown) in [
            ("https://sms.ap-southeast-3.myhuaweicloud.com", "https://sms.ap-southeast-3.myhuaweicloud.com"),
            ("HTTPS://SMS.example.com:443/", "https://sms.example.com"),
            ("https://sms.example.com:8443", "https://sms.example.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://localhost:80/", "http://localhost"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn each_fault_of_an_endpoint_has_its_own_name() {
        for (text, fault) in [
            ("", BadEndpoint::NotAUrl(url::ParseError::RelativeUrlWithoutBase)),
            ("sms.example.com", BadEndpoint::NotAUrl(url::ParseError::RelativeUrlWithoutBase)),
            ("https://", BadEndpoint::NotAUrl(url::ParseError::EmptyHost)),
            ("localhost:8080", BadEndpoint::Scheme),
            ("ftp://sms.example.com", BadEndpoint::Scheme),
            ("http://sms.example.com", BadEndpoint::Insecure),
            ("http://localhost.example.com", BadEndpoint::Insecure),
            ("http://128.0.0.1", BadEndpoint::Insecure),
            ("http://[::2]", BadEndpoint::Insecure),
            ("https://me:hunter2@sms.example.com", BadEndpoint::UserInfo),
            ("https://:hunter2@sms.example.com", BadEndpoint::UserInfo),
            ("https://sms.example.com/v3", BadEndpoint::Path),
            ("https://sms.example.com/?", BadEndpoint::Query),
            ("https://sms.example.com?x=hunter2", BadEndpoint::Query),
            ("https://sms.example.com#hunter2", BadEndpoint::Fragment),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error, fault, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_path_that_is_encoded_stays_as_it_is() {
        let endpoint: Endpoint = "https://sms.example.com".parse().unwrap();
        let url = endpoint.at("/v3/sources/a%20b%2Fc%252F%E2%98%83%2B~._-/changestate", "limit=200");
        assert_eq!(url.path(), "/v3/sources/a%20b%2Fc%252F%E2%98%83%2B~._-/changestate");
        assert_eq!(url.query(), Some("limit=200"));
        let url = endpoint.at("/send?access_token=a%2Bb", "timestamp=1");
        assert_eq!((url.path(), url.query()), ("/send", Some("access_token=a%2Bb&timestamp=1")));
    }
}
