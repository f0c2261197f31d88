//! A proxy between a writer and a server that can swallow what passes it, as a broken network does: no connection is closed.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Directions in which bytes are swallowed.
#[derive(Clone, Default)]
struct Holes {
    requests: Arc<AtomicBool>,
    answers: Arc<AtomicBool>,
    have_swallowed: Arc<AtomicBool>,
}

pub(super) struct Proxy {
    pub(super) port: u16,
    holes: Holes,
}

impl Proxy {
    pub(super) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), holes: Holes::default() };
        let holes = proxy.holes.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // A server that is down closes the connection.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let Holes { requests, answers, have_swallowed } = holes.clone();
                let swallowed = Arc::clone(&have_swallowed);
                std::thread::spawn(move || carry(client, to_server, &requests, &have_swallowed));
                std::thread::spawn(move || carry(server, to_client, &answers, &swallowed));
            }
        });
        proxy
    }

    /// Swallows the answers from here on.
    pub(super) fn swallow_answers(&self) {
        self.holes.answers.store(true, Ordering::SeqCst);
    }

    /// Swallows everything from here on.
    pub(super) fn swallow_all(&self) {
        self.holes.requests.store(true, Ordering::SeqCst);
        self.swallow_answers();
    }

    /// Swallows nothing more of what comes over connections that lost nothing so far.
    pub(super) fn swallow_nothing(&self) {
        self.holes.requests.store(false, Ordering::SeqCst);
        self.holes.answers.store(false, Ordering::SeqCst);
    }

    pub(super) fn has_swallowed(&self) -> bool {
        self.holes.have_swallowed.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, hole: &AtomicBool, has_swallowed: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    // A stream that lost a part of it is never carried on: what followed would be taken for something else.
    let mut is_broken = false;
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        is_broken |= hole.load(Ordering::SeqCst);
        if is_broken {
            has_swallowed.store(true, Ordering::SeqCst);
        } else if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    _ = to.shutdown(std::net::Shutdown::Both);
}
