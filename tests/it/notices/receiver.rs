//! Receivers of notices on loopback: each keeps what it was sent, and answers well or badly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time that a test waits for a notice.
const PATIENCE: Duration = Duration::from_mins(1);

/// Behaviour of a receiver.
#[derive(Clone, Copy)]
pub(super) enum Does {
    Answers(u16, &'static str),
    /// Takes the request, and says nothing.
    Hangs,
    /// Closes the connection without an answer.
    Closes,
    /// Sends its answer byte by byte, and never all of it.
    Drips,
    /// Answers without end.
    Floods,
    /// Answers with a document that repeats what proves who writes, between these texts.
    Echoes(u16, &'static str, &'static str),
}

/// Request as it came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) at: Instant,
    pub(super) path: String,
    /// Head without the first line, with names in lower case.
    head: Vec<(String, String)>,
    pub(super) body: String,
}

impl Came {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Address, signatures and tokens that came.
    fn proofs(&self) -> Vec<String> {
        let headers = ["authorization", "x-auth-token", "webhook-signature"].map(|name| self.header(name));
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let all = headers.into_iter().chain([body["sign"].as_str()]).flatten().map(str::to_owned);
        std::iter::once(self.path.clone()).chain(all).collect()
    }

    /// The signatures alone; one that stands in a query as it is there, and as it is meant.
    pub(super) fn signatures(&self) -> Vec<String> {
        let of_query = self.path.split_once("&sign=").map(|(_, sign)| sign.to_owned());
        let meant = of_query
            .clone()
            .map(|sign| percent_encoding::percent_decode_str(&sign).decode_utf8().unwrap().into_owned());
        let behind = |proof: &String| {
            proof.rsplit_once("Signature=").or(proof.rsplit_once(',')).map(|(_, sign)| sign.to_owned())
        };
        let others = self.proofs().into_iter().skip(1).map(|proof| behind(&proof).unwrap_or(proof));
        of_query.into_iter().chain(meant).chain(others).collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(super) struct Hook {
    pub(super) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    news: Receiver<Came>,
}

impl Hook {
    pub(super) fn that(does: Does) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came = Arc::<Mutex<Vec<Came>>>::default();
        let (sender, news) = channel();
        let kept = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, sender) = (Arc::clone(&kept), sender.clone());
                std::thread::spawn(move || serve(stream, does, &kept, &sender));
            }
        });
        Self { url, came, news }
    }

    pub(super) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// Waits for the next request, and returns it.
    pub(super) fn next(&self) -> Came {
        self.news.recv_timeout(PATIENCE).expect("a notice comes")
    }

    /// Occasions of the documents that came, in their order.
    pub(super) fn told(&self) -> Vec<String> {
        self.came().iter().map(|came| came.json()["about"].as_str().unwrap().to_owned()).collect()
    }
}

fn answer_with(stream: &mut TcpStream, status: u16, body: &str) {
    let location = if (300..400).contains(&status) { "location: /elsewhere\r\n" } else { "" };
    let length = body.len();
    _ = write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: {length}\r\n{location}connection: close\r\n\r\n{body}");
}

fn serve(stream: TcpStream, does: Does, kept: &Mutex<Vec<Came>>, sender: &Sender<Came>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        head.push((name.to_lowercase(), value.to_owned()));
    }
    let length =
        head.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let came = Came { at: Instant::now(), path, head, body: String::from_utf8(body).unwrap() };
    kept.lock().unwrap().push(came.clone());
    _ = sender.send(came.clone());
    answer(&mut reader.into_inner(), does, &came);
}

fn answer(stream: &mut TcpStream, does: Does, came: &Came) {
    match does {
        Does::Answers(status, body) => answer_with(stream, status, body),
        Does::Echoes(status, before, behind) => {
            let proofs = came.proofs().join(" ");
            answer_with(stream, status, &format!("{before}{proofs}{behind}"));
        }
        // Until the other side has gone.
        Does::Hangs => _ = stream.read(&mut [0]),
        Does::Closes => (),
        Does::Drips => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\nconnection: close\r\n\r\n";
            for byte in head.bytes().chain(std::iter::repeat(b'.')) {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Does::Floods => {
            let piece = vec![b'.'; 64 << 10];
            _ = stream.write_all(b"HTTP/1.1 500 So\r\nconnection: close\r\n\r\n");
            while stream.write_all(&piece).is_ok() {}
        }
    }
}
