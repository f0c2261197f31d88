//! Connections: limited in all and for each address, and closed when a client does not send its request or take its answer in
//! time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, pin};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::neighbor;

/// Most connections: each takes a buffer or two, and a file handle.
const MOST: usize = 512;
/// Most connections of one address, which may be a proxy for a whole war room.
const MOST_OF_ONE: usize = 256;
/// Time in which the head of a request has to arrive; a connection between requests is kept as long.
const SAYS_WITHIN: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes; no page here needs a longer one.
const LONGEST_HEAD: usize = 96 << 10;
/// Time without a single byte taken after which a connection is closed.
const TAKES_WITHIN: Duration = Duration::from_secs(30);

/// All present connections.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<Present>>);

#[derive(Default)]
struct Present {
    /// Connections in the order in which they came.
    all: BTreeMap<u64, Seat>,
    n_came: u64,
}

struct Seat {
    network: IpAddr,
    /// True once a token or cookie was brought.
    is_known: bool,
    leaves: CancellationToken,
}

/// A connection, until it is dropped.
pub(super) struct Guest {
    number: u64,
    guests: Guests,
    pub(super) address: SocketAddr,
    /// Local address of the connection.
    here: SocketAddr,
    user: OnceLock<Option<u32>>,
    is_known: AtomicBool,
    leaves: CancellationToken,
}

impl Guests {
    /// Adds a connection. Where there is no room, the oldest one without a token is closed for it. Returns `None` if all have
    /// one.
    pub(super) fn enter(&self, address: SocketAddr, here: SocketAddr) -> Option<Guest> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let network = network(address.ip());
        let leaves = CancellationToken::new();
        let mut present = self.lock();
        if !present.makes_room(network) {
            return None;
        }
        let number = present.n_came;
        present.n_came += 1;
        present.all.insert(number, Seat { network, is_known: false, leaves: leaves.clone() });
        drop(present);
        let (is_known, user) = (AtomicBool::new(false), OnceLock::new());
        Some(Guest { number, guests: self.clone(), address, here, user, is_known, leaves })
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn makes_room(&mut self, network: IpAddr) -> bool {
        let n_of_one = self.all.values().filter(|seat| seat.network == network).count();
        let of_one = n_of_one >= MOST_OF_ONE;
        if !of_one && self.all.len() < MOST {
            return true;
        }
        let stranger = self.all.iter().find(|(_, seat)| !seat.is_known && (!of_one || seat.network == network));
        let Some(number) = stranger.map(|(number, _)| *number) else { return false };
        if let Some(seat) = self.all.remove(&number) {
            seat.leaves.cancel();
        }
        true
    }
}

/// Returns the network that counts as one address: for IPv6, the first 64 bits, since one site has all of them.
/// source: RFC 6177, section 2
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Guest {
    /// Returns the user on this machine who is connected; `None` for another machine, or if it cannot be found out.
    pub(super) fn user(&self) -> Option<u32> {
        *self.user.get_or_init(|| neighbor::user_of(self.address, self.here))
    }

    /// Marks the guest as known, so that it need not make room for others.
    pub(super) fn is_let_in(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed)
            && let Some(seat) = self.guests.lock().all.get_mut(&self.number)
        {
            seat.is_known = true;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.lock().all.remove(&self.number);
    }
}

/// Answers requests on one connection until either side closes it.
pub(super) async fn answer(stream: TcpStream, guest: Arc<Guest>, app: Router, stop: CancellationToken) {
    let stream = TokioIo::new(Taking { stream, stalled: None });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SAYS_WITHIN).max_buf_size(LONGEST_HEAD);
    let mut talk = pin::pin!(http.serve_connection(stream, TowerToHyperService::new(app)));
    // Errors of the connection concern only the client.
    tokio::select! {
        _ = talk.as_mut() => (),
        () = guest.leaves.cancelled() => (),
        () = stop.cancelled() => {
            talk.as_mut().graceful_shutdown();
            _ = talk.await;
        }
    }
}

/// Answers a connection for which there is no room.
pub(super) fn turn_away(stream: &TcpStream) {
    let text = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    // Nobody waits for a client that does not take it.
    _ = stream.try_write(text.as_bytes());
}

/// A stream that fails if the other side takes nothing for [`TAKES_WITHIN`].
struct Taking {
    stream: TcpStream,
    /// Timer since the last byte was taken, while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Taking {
    /// Returns the result of a write, or an error once writes have waited for too long.
    fn in_time<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(TAKES_WITHIN)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Taking {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Enters as a connection from this address.
    fn enter(guests: &Guests, from: IpAddr) -> Option<Guest> {
        guests.enter(SocketAddr::new(from, 1), "127.0.0.1:8787".parse().unwrap())
    }

    #[test]
    fn strangers_make_room_and_who_is_let_in_does_not() {
        let guests = Guests::default();
        let here = address("127.0.0.1");
        let mut seated: Vec<Guest> = (0..MOST_OF_ONE).map(|_| enter(&guests, here).unwrap()).collect();
        seated[0].is_let_in();
        let next = enter(&guests, address("::ffff:127.0.0.1")).unwrap();
        assert!(!seated[0].leaves.is_cancelled() && seated[1].leaves.is_cancelled());
        assert!(!seated[2].leaves.is_cancelled());
        next.is_let_in();
        seated.iter().skip(2).for_each(Guest::is_let_in);
        assert!(enter(&guests, here).is_none(), "nobody is a stranger");
        assert!(enter(&guests, address("10.0.0.1")).is_some(), "there is room for others");
        seated.truncate(10);
        assert!(enter(&guests, here).is_some());
    }

    #[test]
    fn there_are_so_many_in_all() {
        let guests = Guests::default();
        let others = |n: usize| address(&format!("10.0.{}.{}", n / 256, n % 256));
        let seated: Vec<Guest> = (0..MOST).map(|n| enter(&guests, others(n)).unwrap()).collect();
        let one_more = enter(&guests, others(MOST)).unwrap();
        assert!(seated[0].leaves.is_cancelled() && !seated[1].leaves.is_cancelled());
        seated.iter().chain([&one_more]).for_each(Guest::is_let_in);
        assert!(enter(&guests, others(MOST + 1)).is_none());
    }

    #[test]
    fn a_network_of_the_sixth_version_is_one() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2:3:4:5")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
    }
}
