//! Words to a server of the log, said by hand in its own protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::server::Server;

/// Bound of an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Says something to a server. Returns what it answers, up to where this is in it; `None` if that does not come in time.
pub(super) fn ask(server: &Server, text: &str, answer: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let all = format!("CONNECT {{\"verbose\":false,\"headers\":true}}\r\nSUB answers 1\r\n{text}PING\r\n");
    stream.write_all(all.as_bytes()).ok()?;
    let (mut said, mut bytes) = (String::new(), [0; 1 << 12]);
    while !said.contains(answer) {
        let n = stream.read(&mut bytes).ok().filter(|n| *n > 0)?;
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    Some(said)
}

/// Asks for something of the stream of a run.
pub(super) fn ask_stream(server: &Server, what: &str, run: &str, answer: &str) -> Option<String> {
    ask_stream_with(server, what, run, "", answer)
}

/// Asks for something of the stream of a run, which this text tells more of.
pub(super) fn ask_stream_with(server: &Server, what: &str, run: &str, text: &str, answer: &str) -> Option<String> {
    ask(server, &format!("PUB $JS.API.STREAM.{what}.cutover-{run} answers {}\r\n{text}\r\n", text.len()), answer)
}
