//! Proxy from the environment: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, and the same in lower case.
//!
//! A proxy that is set and cannot be used is an error: requests that silently bypassed it would leave by a way that
//! nobody allowed. No text here repeats an address, which may hold a password.

use std::ffi::OsString;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

use super::endpoint::Endpoint;
use super::secrets::guarded::Guarded;

/// Proxy that can be used; its address may hold a user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    url: Url,
    shown: String,
}

/// Variable that does not hold a usable proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub(crate) struct BadProxy {
    variable: &'static str,
    problem: &'static str,
}

const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
/// Proxy for addresses without TLS, which are on this machine and reached without a proxy. Its value is checked all the same.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Variables with a proxy whose address has a user or a password in it.
pub(crate) fn variables_with_secrets(get: Environment<'_>) -> Vec<&'static str> {
    let has_user = |name: &&str| get(name).is_some_and(|value| value.to_string_lossy().contains('@'));
    [HTTPS, ALL, HTTP].into_iter().flatten().filter(has_user).collect()
}

/// Passwords of the proxies that are set, each as it is written and as it is meant: a text may repeat one without the rest of the address.
pub(crate) fn passwords(get: Environment<'_>) -> Vec<Guarded> {
    let urls = variables_with_secrets(get).into_iter().filter_map(|name| parse(get(name)?.to_str()?).ok());
    let passwords = urls.filter_map(|url| url.password().map(str::to_owned));
    let forms = |written: String| {
        let meant = percent_decode_str(&written).decode_utf8_lossy().into_owned();
        [written, meant].map(|form| Guarded::new(SecretString::from(form)))
    };
    passwords.flat_map(forms).collect()
}

/// Looks up a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Proxy {
    /// Returns the proxy for requests to an endpoint, if there is one. Requests to this machine, or to its host's
    /// metadata service, bypass it.
    pub(super) fn on_the_way(endpoint: &Endpoint, get: Environment<'_>) -> Result<Option<Self>, BadProxy> {
        if endpoint.is_plain() || endpoint.is_loopback() {
            return Ok(None);
        }
        let (https, all, _) = (named(HTTPS, get)?, named(ALL, get)?, named(HTTP, get)?);
        let Some(proxy) = https.or(all) else { return Ok(None) };
        let exceptions = set(NONE, get).and_then(|(_, text)| text.into_string().ok()).unwrap_or_default();
        let (host, port) = endpoint.host_and_port();
        Ok((!goes_without(&exceptions, &host, port)).then_some(proxy))
    }

    /// Address and port, or else the name of the variable: what looks like a host name may be a password that was set in its place,
    /// or the end of one that contains `@`.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }
}

/// Returns the first of these variables that is set and not empty.
fn set(names: [&'static str; 2], get: Environment<'_>) -> Option<(&'static str, OsString)> {
    names.into_iter().find_map(|name| Some((name, get(name).filter(|text| !text.is_empty())?)))
}

fn named(names: [&'static str; 2], get: Environment<'_>) -> Result<Option<Proxy>, BadProxy> {
    let Some((variable, text)) = set(names, get) else { return Ok(None) };
    let text = text.into_string().map_err(|_| BadProxy { variable, problem: "is not UTF-8" })?;
    let url = parse(&text).map_err(|problem| BadProxy { variable, problem })?;
    let shown = address(&url, &text).unwrap_or_else(|| format!("of {variable}"));
    Ok(Some(Proxy { url, shown }))
}

/// Returns address and port where the text spells them out. A bare number is an address, too, but may also be a password.
fn address(url: &Url, text: &str) -> Option<String> {
    let host = match url.host()? {
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => format!("[{address}]"),
        Host::Domain(_) => return None,
    };
    text.contains(&host).then(|| format!("{host}:{}", url.port_or_known_default().unwrap_or_default()))
}

/// Parses `http://HOST:PORT` or `https://…`, with a user and a password or without; the scheme may be left out.
fn parse(text: &str) -> Result<Url, &'static str> {
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err("has a blank or a line break in it, and is no proxy");
    }
    if text.contains(['"', '\'']) {
        return Err("has a quotation mark in it, and is no proxy");
    }
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| "is not the address of a proxy such as http://HOST:3128")?;
    match url.scheme() {
        "http" | "https" => (),
        "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => {
            return Err("names a SOCKS proxy, which is not supported: name one for HTTP, http://HOST:3128");
        }
        _ => return Err("names a proxy that is neither http:// nor https://"),
    }
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
        return Err("names no host, or the port 0");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "has more behind host and port, and is no proxy (a password with `/`, `?` or `#` is written as %2F, %3F, %23)",
        );
    }
    Ok(url)
}

/// Tells whether a host is among the exceptions that no proxy is used for: names with all subdomains, addresses, networks, each
/// with a port or for all ports; `*` is everything.
fn goes_without(exceptions: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    exceptions.split([',', ' ', '\t', '\n']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, only_port) = without_port(entry);
        only_port.is_none_or(|only| only == port) && covers(name, &host, address)
    })
}

/// Splits off the port of `host:port`, `1.2.3.4:port` or `[::1]:port`, if there is one.
fn without_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        // More than one colon is an IPv6 address.
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        Some(_) | None => (entry, None),
    }
}

fn covers(entry: &str, host: &str, address: Option<IpAddr>) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some(address) = address {
        return match entry.split_once('/') {
            Some((network, bits)) => is_within(network, bits, address),
            None => entry.parse() == Ok(address),
        };
    }
    let entry = entry.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_lowercase();
    // Normalized as the host of a URL is.
    let entry = match Host::parse(&entry) {
        Ok(Host::Domain(name)) => name,
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => return false,
    };
    host == entry || host.strip_suffix(&entry).is_some_and(|above| above.ends_with('.'))
}

fn is_within(network: &str, bits: &str, address: IpAddr) -> bool {
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) if bits <= 32 => {
            (u32::from(network) ^ u32::from(address)).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) if bits <= 128 => {
            (u128::from(network) ^ u128::from(address)).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)], endpoint: &str) -> Result<Option<String>, String> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text));
        let found = Proxy::on_the_way(&endpoint.parse().unwrap(), &get);
        found.map(|proxy| proxy.map(|proxy| proxy.shown().to_owned())).map_err(|bad| bad.to_string())
    }

    const SERVICE: &str = "https://sms.example.com";

    #[test]
    fn the_first_that_is_set_is_gone_by_and_its_password_is_not_shown() {
        for (variables, shown) in [
            (&[("HTTPS_PROXY", "http://me:hunter2@proxy:3128")][..], Some("of HTTPS_PROXY")),
            (&[("https_proxy", "proxy:3128/")], Some("of https_proxy")),
            (&[("HTTPS_PROXY", "https://192.0.2.1")], Some("192.0.2.1:443")),
            (&[("HTTPS_PROXY", "http://me:hunter2@192.0.2.1:3128")], Some("192.0.2.1:3128")),
            (&[("ALL_PROXY", "http://[2001:db8::1]:3128")], Some("[2001:db8::1]:3128")),
            (&[("all_proxy", "hunter2")], Some("of all_proxy")),
            (&[("all_proxy", "20202020")], Some("of all_proxy")),
            (&[("all_proxy", "http://me:hun@ter2:3128")], Some("of all_proxy")),
            (&[("HTTPS_PROXY", ""), ("ALL_PROXY", "proxy:1")], Some("of ALL_PROXY")),
            (&[("HTTP_PROXY", "http://proxy:3128")], None),
            (&[("HTTPS_PROXY", "")], None),
            (&[], None),
        ] {
            assert_eq!(by(variables, SERVICE), Ok(shown.map(str::to_owned)), "{variables:?}");
        }
        // Requests to this machine never leave it.
        assert_eq!(by(&[("HTTPS_PROXY", "proxy:3128"), ("HTTP_PROXY", "no use")], "http://127.0.0.1:80"), Ok(None));
        assert_eq!(by(&[("HTTPS_PROXY", "proxy:3128")], "https://localhost:8443"), Ok(None));
    }

    #[test]
    fn one_that_cannot_be_used_is_an_error_that_names_its_variable_and_no_part_of_it() {
        for text in [
            "socks5://me:hunter2@proxy:1080",
            "socks5h://proxy:1080",
            "ftp://me:hunter2@proxy",
            "http://",
            "http://me:hunter2@",
            "http://me:hunter2@proxy:notaport",
            "http://me:hunter2@proxy:99999",
            "http://me:hunter2@proxy:0",
            "http://me:hun/ter2@proxy:3128",
            "http://me:hunter2@proxy:3128/path",
            "http://me:hunter2@proxy:3128?x",
            "http://me:hunter2#x@proxy:3128",
            "\"http://me:hunter2@proxy:3128\"",
            " http://me:hunter2@proxy:3128",
            "http://me:hunter2@proxy:3128\n",
            "http:// me:hunter2@proxy:3128",
            ":3128",
            "hunter2://proxy",
        ] {
            for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"] {
                let bad = by(&[(variable, text)], SERVICE).expect_err(text);
                assert!(bad.starts_with(&format!("{variable} ")), "{bad}");
                assert!(!bad.contains("hunter2") && !bad.contains("hun") && !bad.contains("me:"), "{bad}");
            }
        }
    }

    #[test]
    fn what_goes_without_is_written_in_many_ways() {
        for (exceptions, host, port, expected) in [
            ("sms.example.com", "sms.example.com", 443, true),
            ("SMS.Example.COM", "sms.example.com", 443, true),
            ("example.com", "sms.example.com", 443, true),
            (".example.com", "sms.example.com", 443, true),
            ("*.example.com", "sms.example.com", 443, true),
            ("example.com.", "sms.example.com", 443, true),
            ("ample.com", "sms.example.com", 443, false),
            ("sms.example.com.evil.org", "sms.example.com", 443, false),
            ("sms.example.com:443", "sms.example.com", 443, true),
            ("sms.example.com:8443", "sms.example.com", 443, false),
            (".example.com:443", "sms.example.com", 443, true),
            ("other.org, sms.example.com ,x", "sms.example.com", 443, true),
            ("other.org sms.example.com", "sms.example.com", 443, true),
            ("*", "sms.example.com", 443, true),
            ("a, *", "sms.example.com", 443, true),
            ("", "sms.example.com", 443, false),
            (",", "sms.example.com", 443, false),
            ("10.0.0.0/8", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "11.1.2.3", 443, false),
            ("0.0.0.0/0", "11.1.2.3", 443, true),
            ("10.1.2.3/32", "10.1.2.3", 443, true),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3:443", "10.1.2.3", 443, true),
            ("10.1.2.3:80", "10.1.2.3", 443, false),
            ("10.0.0.0/33", "10.1.2.3", 443, false),
            ("10.0.0.0/8", "ten.example.com", 443, false),
            ("3", "10.1.2.3", 443, false),
            ("2001:db8::1", "2001:db8::1", 443, true),
            ("[2001:db8::1]", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "2001:db8::1", 443, true),
            ("[2001:db8::1]:80", "2001:db8::1", 443, false),
            ("2001:db8::/32", "2001:db8::1", 443, true),
            ("2001:db9::/32", "2001:db8::1", 443, false),
            ("::/0", "2001:db8::1", 443, true),
        ] {
            assert_eq!(goes_without(exceptions, host, port), expected, "{exceptions} {host}:{port}");
        }
    }
}
