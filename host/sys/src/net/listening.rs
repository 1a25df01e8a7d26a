//! What processes of this machine listen on.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// `TCP_LISTEN` of `net/tcp_states.h`.
const LISTEN: &str = "0A";

/// TCP sockets that take connections to IPv4 addresses, in the network namespace of the calling thread; the
/// unspecified address stands for all addresses.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn tcp_listeners() -> io::Result<Vec<SocketAddrV4>> {
    let mut all = read(Path::new("/proc/thread-self/net/tcp"))?;
    // A machine may be without IPv6.
    all.extend(read(Path::new("/proc/thread-self/net/tcp6")).unwrap_or_default());
    Ok(all)
}

fn read(path: &Path) -> io::Result<Vec<SocketAddrV4>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().skip(1).filter_map(parse).collect())
}

/// One line: number, local address, remote address, state, and more.
fn parse(line: &str) -> Option<SocketAddrV4> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddrV4::new(address_of(address)?, port))
}

/// The kernel prints the words of an address in the machine's byte order. Of IPv6, the unspecified address takes
/// connections to IPv4 too, as do mapped ones.
fn address_of(hex: &str) -> Option<Ipv4Addr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok();
    let v4 = |word: u32| Ipv4Addr::from(word.to_ne_bytes());
    if hex.len() == 8 {
        return word(0).map(v4);
    }
    let mapped = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    match [word(0)?, word(1)?, word(2)?, word(3)?] {
        [0, 0, 0, 0] => Some(Ipv4Addr::UNSPECIFIED),
        [0, 0, middle, last] if middle == mapped => Some(v4(last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_that_listen_are_found_by_address_and_port() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let any = TcpListener::bind("0.0.0.0:0").unwrap();
        let all = tcp_listeners().unwrap();
        let has = |address: [u8; 4], listener: &TcpListener| {
            let port = listener.local_addr().unwrap().port();
            all.contains(&SocketAddrV4::new(address.into(), port))
        };
        assert!(has([127, 0, 0, 1], &one) && has([0; 4], &any));
        let port = one.local_addr().unwrap().port();
        drop(one);
        let now = tcp_listeners().unwrap();
        assert!(!now.contains(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)));
    }

    #[test]
    fn sockets_of_both_families_take_connections_to_ipv4() {
        let line = |local: &str, state: &str| {
            parse(&format!(
                "  0: {local} 00000000:0000 {state} 00000000:00000000"
            ))
        };
        let zero = "00000000000000000000000000000000:1F90";
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080);
        assert_eq!(line(zero, LISTEN), Some(any));
        assert_eq!(line(zero, "01"), None, "a connection");
        let mapped = format!(
            "0000000000000000{:08X}{:08X}:0050",
            u32::from_ne_bytes([0, 0, 0xff, 0xff]),
            u32::from_ne_bytes([10, 0, 0, 1])
        );
        let one = SocketAddrV4::new([10, 0, 0, 1].into(), 80);
        assert_eq!(line(&mapped, LISTEN), Some(one));
        let other = "B80D01200000000000000000 01000000:0050".replace(' ', "");
        assert_eq!(line(&other, LISTEN), None, "an IPv6 address");
    }
}
