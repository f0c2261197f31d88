//! A proxy that holds a connection up at a chosen moment, and tells of it: whoever is killed then is killed there.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Moment at which a connection is held up: before or after something was carried to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Before(&'static str),
    /// After it was carried: no answer comes back from there on.
    AnswerTo(&'static str),
}

impl Moment {
    fn text(self) -> &'static str {
        match self {
            Moment::Before(text) | Moment::AnswerTo(text) => text,
        }
    }
}

/// Moment that is waited for, until it came once.
type Due = Arc<Mutex<Option<(Moment, Sender<()>)>>>;

pub(super) struct Stalls {
    pub(super) port: u16,
    due: Due,
}

impl Stalls {
    pub(super) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let due = Due::default();
        let of_all = Arc::clone(&due);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (due, is_held) = (Arc::clone(&of_all), Arc::new(Mutex::new(false)));
                let is_held_too = Arc::clone(&is_held);
                std::thread::spawn(move || carry_requests(client, to_server, &due, &is_held));
                std::thread::spawn(move || carry_answers(server, to_client, &is_held_too));
            }
        });
        Self { port, due }
    }

    /// Holds the next connection up on which the moment comes.
    pub(super) fn hold_up_at(&self, moment: Moment) -> Receiver<()> {
        let (came, comes) = channel();
        *self.due.lock().unwrap() = Some((moment, came));
        comes
    }
}

/// Waits until a connection is held up.
pub(super) fn is_held_up(comes: &Receiver<()>) {
    comes.recv_timeout(Duration::from_secs(30)).expect("the moment comes");
}

fn carry_requests(mut from: TcpStream, mut to: TcpStream, due: &Due, is_held: &Mutex<bool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if *is_held.lock().unwrap() {
            continue;
        }
        let came = due.lock().unwrap().take_if(|(moment, _)| has(&bytes[..n], moment.text()));
        if let Some((moment, came)) = came {
            *is_held.lock().unwrap() = true;
            if let Moment::AnswerTo(_) = moment {
                _ = to.write_all(&bytes[..n]);
            }
            _ = came.send(());
        } else if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Both);
}

fn carry_answers(mut from: TcpStream, mut to: TcpStream, is_held: &Mutex<bool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        let is_held = is_held.lock().unwrap();
        if !*is_held && to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Both);
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
