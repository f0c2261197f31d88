//! Client of a server of the log that speaks its protocol by hand: it hears what it likes, and says what no program of ours would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::server::Server;

/// Bound of an answer of the server itself.
const ANSWER: Duration = Duration::from_secs(10);

/// Message as it was heard.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) headers: String,
    pub(super) payload: Vec<u8>,
}

impl Message {
    /// Tells whether this is a word between head and worker.
    pub(super) fn is(&self, word: &str) -> bool {
        self.headers.contains(&format!("Cutover-Word: {word}\r\n"))
    }
}

pub(super) struct ByHand {
    stream: Arc<Mutex<TcpStream>>,
    messages: Receiver<Message>,
    pongs: Receiver<()>,
}

/// Returns the headers of a word between head and worker.
pub(super) fn word(word: &str) -> String {
    format!("NATS/1.0\r\nCutover-Hand: 1\r\nCutover-Word: {word}\r\n\r\n")
}

impl ByHand {
    /// Connects, and listens to these subjects from there on.
    pub(super) fn hears(server: &Server, subjects: &[&str]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let stream = Arc::new(Mutex::new(stream));
        let ((message, messages), (pong, pongs)) = (channel(), channel());
        let answers = Arc::clone(&stream);
        std::thread::spawn(move || read(reader, &answers, &message, &pong));
        let by_hand = Self { stream, messages, pongs };
        by_hand.write(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n");
        for (number, subject) in subjects.iter().enumerate() {
            by_hand.write(format!("SUB {subject} {number}\r\n").as_bytes());
        }
        by_hand.flush();
        by_hand
    }

    fn write(&self, bytes: &[u8]) {
        self.stream.lock().unwrap().write_all(bytes).unwrap();
    }

    /// Waits until the server has taken all that was said.
    pub(super) fn flush(&self) {
        self.write(b"PING\r\n");
        self.pongs.recv_timeout(ANSWER).unwrap();
    }

    pub(super) fn says(&self, subject: &str, reply: &str, headers: &str, payload: &[u8]) {
        let of_headers = if headers.is_empty() { "NATS/1.0\r\n\r\n" } else { headers };
        let (n_headers, n_all) = (of_headers.len(), of_headers.len() + payload.len());
        let line = format!("HPUB {subject} {reply} {n_headers} {n_all}\r\n{of_headers}");
        self.write(&[line.as_bytes(), payload, b"\r\n"].concat());
    }

    /// Returns the next message, if one comes in time.
    pub(super) fn next(&self, within: Duration) -> Option<Message> {
        self.messages.recv_timeout(within).ok()
    }

    /// Returns all that was heard until now.
    pub(super) fn heard(&self) -> Vec<Message> {
        self.flush();
        self.messages.try_iter().collect()
    }

    /// Returns the next message that is of some kind.
    pub(super) fn next_that(&self, what: &str, is_one: impl Fn(&Message) -> bool) -> Message {
        let until = Instant::now() + ANSWER;
        loop {
            let message =
                self.next(until.saturating_duration_since(Instant::now())).unwrap_or_else(|| panic!("{what}"));
            if is_one(&message) {
                return message;
            }
        }
    }
}

fn read(mut from: BufReader<TcpStream>, to: &Mutex<TcpStream>, message: &Sender<Message>, pong: &Sender<()>) {
    let mut line = String::new();
    while matches!(from.read_line(&mut line), Ok(1..)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => _ = to.lock().unwrap().write_all(b"PONG\r\n"),
            ["PONG"] => _ = pong.send(()),
            ["MSG", subject, _, reply @ .., n] => {
                let payload = bytes(&mut from, n);
                _ = message.send(told(subject, reply, String::new(), payload));
            }
            ["HMSG", subject, _, reply @ .., n_headers, n] => {
                let mut headers = bytes(&mut from, n);
                let payload = headers.split_off(n_headers.parse().unwrap());
                _ = message.send(told(subject, reply, String::from_utf8_lossy(&headers).into_owned(), payload));
            }
            _ => (),
        }
        line.clear();
    }
}

/// Reads so many bytes and the end of their line.
fn bytes(from: &mut BufReader<TcpStream>, n: &str) -> Vec<u8> {
    let n: usize = n.parse().unwrap();
    let mut bytes = vec![0; n + 2];
    from.read_exact(&mut bytes).unwrap();
    bytes.truncate(n);
    bytes
}

fn told(subject: &str, reply: &[&str], headers: String, payload: Vec<u8>) -> Message {
    Message { subject: subject.to_owned(), reply: reply.first().map(|reply| (*reply).to_owned()), headers, payload }
}
