//! A way to the service that can be shut: connections are begun then and do not come about, as behind a listener whose queue is full.

use std::io::{ErrorKind, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// State of a connection that is begun, and of one that has come about. source: `include/net/tcp_states.h` of Linux
const BEGUN: &str = "02";
const MADE: &str = "01";

pub(super) struct Doorway {
    pub(super) port: u16,
    is_open: Arc<AtomicBool>,
    carried: Arc<Mutex<Vec<TcpStream>>>,
}

impl Doorway {
    pub(super) fn before(service: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let doorway = Self { port, is_open: Arc::new(AtomicBool::new(true)), carried: Arc::default() };
        let (is_open, carried) = (Arc::clone(&doorway.is_open), Arc::clone(&doorway.carried));
        std::thread::spawn(move || {
            loop {
                // Held, so that nobody comes through while it is shut.
                let mut carried = carried.lock().unwrap();
                if is_open.load(Ordering::SeqCst) {
                    match listener.accept() {
                        Ok((client, _)) => carried.extend(carry(&client, service)),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                        Err(error) => panic!("{error}"),
                    }
                }
                drop(carried);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        doorway
    }

    /// Ends all connections, and lets no other one come about.
    pub(super) fn shut(&self) {
        let mut carried = self.carried.lock().unwrap();
        self.is_open.store(false, Ordering::SeqCst);
        carried.drain(..).for_each(|stream| _ = stream.shutdown(Shutdown::Both));
        // Until its queue is full.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            carried.push(stream);
        }
    }

    pub(super) fn open(&self) {
        self.carried.lock().unwrap().clear();
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Counts connections to it that are begun and did not come about.
    pub(super) fn n_begun(&self) -> usize {
        self.n_in(BEGUN)
    }

    /// Counts connections to it that have come about.
    pub(super) fn n_made(&self) -> usize {
        self.n_in(MADE)
    }

    fn n_in(&self, state: &str) -> usize {
        let to = format!("0100007F:{:04X}", self.port);
        let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let columns = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        columns.filter(|columns| columns[2] == to && columns[3] == state).count()
    }
}

/// Carries a connection to the service and back. Returns its ends.
fn carry(client: &TcpStream, service: u16) -> Vec<TcpStream> {
    client.set_nonblocking(false).unwrap();
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, service)) else { return Vec::new() };
    let ends = vec![client.try_clone().unwrap(), server.try_clone().unwrap()];
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        std::thread::spawn(move || {
            _ = copy(&mut from, &mut to);
            _ = to.shutdown(Shutdown::Both);
        });
    }
    ends
}
