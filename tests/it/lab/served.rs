//! A served sandbox: its process, and what it is asked over HTTP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::PATIENCE;
use super::machine::signal;

/// Token that a served sandbox accepts.
pub(crate) const TOKEN: &str = "sandbox-token";

/// Sandbox in another process, until it is dropped.
pub(crate) struct Served {
    pub(super) child: Child,
    pub(crate) url: String,
}

/// One line of the sandbox's ledger.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) at_us: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) source_id: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) effect: bool,
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    pub(crate) body: Option<Sent>,
}

/// Target of a change.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) copystate: Option<String>,
    pub(crate) migrationcycle: Option<String>,
}

impl Request {
    pub(crate) fn is_change(&self) -> bool {
        self.method == "PUT"
    }

    /// Tells whether this is an answered read that shows a source.
    pub(crate) fn shows(&self, id: &str) -> bool {
        self.method == "GET"
            && self.status.is_some()
            && (self.source_id.as_deref() == Some(id) || self.ids.iter().any(|shown| shown == id))
    }
}

/// True state of a source.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Truth {
    id: String,
    pub(crate) copystate: String,
    pub(crate) migrationcycle: String,
}

impl Served {
    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    pub(crate) fn ledger(&self) -> Vec<Request> {
        lines(&self.get("/_sandbox/ledger?ids=1"))
    }

    /// Returns the messages that were published to topics.
    pub(crate) fn messages(&self) -> Vec<serde_json::Value> {
        lines(&self.get("/_sandbox/messages"))
    }

    pub(crate) fn changes(&self) -> Vec<Request> {
        self.ledger().into_iter().filter(Request::is_change).collect()
    }

    /// Returns the requests for one source, as `PUT` and `GET`; a page that shows it is a `GET` as well.
    pub(crate) fn story_of(&self, id: &str) -> Vec<&'static str> {
        let of_source = |request: &Request| {
            if request.is_change() && request.source_id.as_deref() == Some(id) {
                Some("PUT")
            } else {
                request.shows(id).then_some("GET")
            }
        };
        self.ledger().iter().filter_map(of_source).collect()
    }

    pub(crate) fn truth(&self) -> HashMap<String, Truth> {
        lines(&self.get("/_sandbox/sources")).into_iter().map(|truth: Truth| (truth.id.clone(), truth)).collect()
    }

    pub(crate) fn reach(&self, n_changes: usize) {
        let until = Instant::now() + PATIENCE;
        while self.changes().len() < n_changes {
            assert!(Instant::now() < until, "no change arrived");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Moves a server like somebody else.
    pub(crate) fn move_to(&self, id: &str, copystate: &str, cycle: &str) {
        let body = format!(r#"{{"copystate":"{copystate}","migrationcycle":"{cycle}"}}"#);
        self.ask(&format!(
            "POST /_sandbox/move/{id} HTTP/1.0\r\nhost: sandbox\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    /// Voids every token issued so far.
    pub(crate) fn expire_tokens(&self) {
        self.ask("POST /_sandbox/expire HTTP/1.0\r\nhost: sandbox\r\ncontent-length: 0\r\n\r\n");
    }

    /// Returns a token issued now.
    pub(crate) fn fresh_token(&self) -> String {
        let body = format!(r#"{{"auth":{{"identity":{{"password":{{"user":{{"password":"{TOKEN}"}}}}}}}}}}"#);
        let request =
            format!("POST /v3/auth/tokens HTTP/1.0\r\nhost: sandbox\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (head, _) = self.exchange(&request);
        head.lines().find_map(|line| line.strip_prefix("x-subject-token: ")).unwrap().to_owned()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.0\r\nhost: sandbox\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> String {
        let (head, body) = self.exchange(request);
        assert!(head.split(' ').nth(1) == Some("200"), "{head}");
        body
    }

    /// Sends one request by HTTP/1.0, so that the answer ends with the connection.
    fn exchange(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
