//! Servers of the engine, as settings name them.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// Servers that keep the logs of runs, and all that is needed to reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineSettings {
    pub(crate) servers: EngineServers,
    /// Number of servers that keep the log of a new run, if it is set.
    pub(crate) n_replicas: Option<usize>,
    /// File with the secret that they are opened with.
    pub(crate) credentials: Option<PathBuf>,
    /// Certificates to trust in place of the system's.
    pub(crate) ca: Option<PathBuf>,
}

/// Addresses of servers of one cluster, at least one; none has a secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineServers(Vec<String>);

impl EngineServers {
    pub(super) fn addresses(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for EngineServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Reads addresses with commas between. An error repeats none that may have a secret in it.
pub(crate) fn servers(text: &str) -> Result<EngineServers, String> {
    text.split(',').map(|one| server(one.trim())).collect::<Result<_, _>>().map(EngineServers)
}

fn server(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "names no server: nats://HOST:PORT or tls://HOST:PORT".to_owned())?;
    let problem = if !["nats", "tls"].contains(&url.scheme()) {
        "begins with neither nats:// nor tls://"
    } else if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        "has a user or a password in it, which others would see in the list of processes and in the journal"
    } else if url.host_str().is_none_or(str::is_empty) {
        "names no host"
    } else if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
        "has more behind the host and its port"
    } else {
        return Ok(text.trim_end_matches('/').to_owned());
    };
    Err(problem.to_owned())
}

/// Reads the number of servers that keep the log of a run.
pub(crate) fn replicas(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("is neither 1 nor 3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_address_and_no_secret_is_in_one() {
        for good in ["nats://127.0.0.1:4222", "tls://nats.example", "nats://[::1]:4222", "nats://a:1,tls://b:2"] {
            assert_eq!(servers(good).map(|servers| servers.to_string()).as_deref(), Ok(good));
        }
        assert_eq!(
            servers("nats://a:1/, tls://b").map(|servers| servers.to_string()).as_deref(),
            Ok("nats://a:1,tls://b")
        );
        for (bad, why) in [
            ("", "names no server"),
            ("nats-1:4222", "begins with neither"),
            ("127.0.0.1:4222", "names no server"),
            ("https://a", "begins with neither"),
            ("nats://", "names no"),
            ("nats://a:99999", "names no server"),
            ("nats://ann:hunter2@a", "user or a password"),
            ("nats://hunter2@a", "user or a password"),
            ("nats://:hunter2@a", "user or a password"),
            ("nats://a/hunter2", "more behind"),
            ("nats://a?token=hunter2", "more behind"),
            ("nats://a,", "names no server"),
        ] {
            let problem = servers(bad).unwrap_err();
            assert!(problem.contains(why) && !problem.contains("hunter2"), "{bad}: {problem}");
        }
    }
}
