//! Service that answers as a test tells it to.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

/// A request as it arrived.
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path with the query.
    pub(crate) path: String,
    /// Headers by their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn is_change(&self) -> bool {
        self.method == "PUT"
    }

    pub(crate) fn is_page(&self) -> bool {
        self.path.starts_with("/v3/sources?")
    }

    /// Returns the source that is named in the path.
    pub(crate) fn id(&self) -> &str {
        self.path.trim_start_matches("/v3/sources/").split('/').next().unwrap()
    }

    pub(crate) fn offset(&self) -> usize {
        self.path.split("offset=").nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body: body.into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// Returns the JSON of a source.
pub(crate) fn server(id: &str, state: &str, cycle: &str) -> String {
    format!(r#"{{"id":"{id}","state":"{state}","migration_cycle":"{cycle}"}}"#)
}

/// Returns a page of the list.
pub(crate) fn page(count: usize, servers: &[String]) -> String {
    format!(r#"{{"count":{count},"source_servers":[{}]}}"#, servers.join(","))
}

/// Serves for as long as the process lives, with a connection for each request.
pub(crate) fn serve(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let asked = read(&stream)?;
                // A client that needs no answer may be gone by now.
                write(&stream, &answer(&asked)).ok()
            });
        }
    });
    endpoint
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let n = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; n];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8(body).ok()? })
}

fn write(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} So\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").expect("a text takes anything");
    }
    write!(head, "content-length: {}\r\n\r\n", answer.body.len()).expect("a text takes anything");
    stream.write_all(&[head.as_bytes(), &answer.body].concat())
}
