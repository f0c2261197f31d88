//! Users of this machine, found by their connections.
//!
//! source: `proc_net_tcp(5)`, and `net/ipv4/tcp_ipv4.c` of the kernel for the order of the fields

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Returns the user id of whoever on this machine has the other end of a connection. `None` if the other end is on another
/// machine or closed.
pub(super) fn user_of(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    tables.into_iter().find_map(|table| user_in(&std::fs::read_to_string(table).ok()?, peer, here))
}

fn user_in(table: &str, peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    let ends = (canonical(peer), canonical(here));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (its_own, other) = (address(fields.next()?)?, address(fields.next()?)?);
        if (its_own, other) != ends {
            return None;
        }
        // State, queues, timer and retransmissions are in between. A closed connection has inode 0 and no meaningful owner.
        let (user, inode) = (fields.nth(4)?, fields.nth(1)?);
        user.parse().ok().filter(|_| inode != "0")
    })
}

fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// Parses an address such as `0100007F:1F90`: words in the machine's byte order, and the port in hexadecimal digits.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for at in 0..4 {
                octets[4 * at..4 * at + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_owner_of_the_other_end_is_known_while_it_is_open() {
        let us = rustix::process::geteuid().as_raw();
        for listens_on in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(listens_on) else { continue };
            let here = listener.local_addr().unwrap();
            let stream = TcpStream::connect(here).unwrap();
            let peer = stream.local_addr().unwrap();
            assert_eq!(user_of(peer, here), Some(us), "{listens_on}");
            assert_eq!(user_of(here, SocketAddr::new(here.ip(), 1)), None);
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_of_the_table_is_of_one_end() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:2253 0100007F:A28A 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
                     1: 0100007F:A28A 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 12 1\n   \
                     2: 0100007F:A28B 0100007F:2253 06 00000000:00000000 03:00000000 00000000     0        0 0 3\n";
        let mapped = "0000000000000000FFFF00000100007F";
        let here = "127.0.0.1:8787".parse().unwrap();
        assert_eq!(user_in(table, "127.0.0.1:41610".parse().unwrap(), here), Some(1000));
        assert_eq!(user_in(table, "[::ffff:127.0.0.1]:41610".parse().unwrap(), here), Some(1000));
        assert_eq!(user_in(&table.replace("0100007F", mapped), "127.0.0.1:41610".parse().unwrap(), here), Some(1000));
        assert_eq!(user_in(table, "127.0.0.1:41611".parse().unwrap(), here), None, "it is closed");
        assert_eq!(user_in(table, "127.0.0.1:41612".parse().unwrap(), here), None);
    }
}
