//! The name servers in `resolv.conf`, read again when the file changes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k3s_base::Clock;
use k3s_base::error::chain;
use parking_lot::Mutex;

const DNS_PORT: u16 = 53;
/// How long the file's date is taken as unchanged.
const CHECK: Duration = Duration::from_secs(5);
/// Most servers that are asked; resolvers themselves stop at three.
const MAX_SERVERS: usize = 15;

pub(super) struct ResolvConf {
    path: PathBuf,
    /// Addresses at which we listen ourselves: asking them would be asking us.
    own: Vec<IpAddr>,
    own_port: u16,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    checked: Option<Duration>,
    date: Option<SystemTime>,
    servers: Arc<[SocketAddr]>,
}

impl ResolvConf {
    pub(super) fn new(path: PathBuf, own: Vec<IpAddr>, own_port: u16, clock: Clock) -> Self {
        Self {
            path,
            own,
            own_port,
            clock,
            state: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The servers to ask. The file is small and local, and its date is read only every few
    /// seconds, so this does not leave the async thread.
    pub(super) fn servers(&self) -> Arc<[SocketAddr]> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        if state
            .checked
            .is_some_and(|then| now.saturating_sub(then) < CHECK)
        {
            return state.servers.clone();
        }
        state.checked = Some(now);
        let date = std::fs::metadata(&self.path)
            .and_then(|m| m.modified())
            .ok();
        if date.is_none() || date != state.date {
            match std::fs::read_to_string(&self.path) {
                Ok(text) => state.servers = parse(&text, &self.own, self.own_port).into(),
                // The servers known so far are better than none.
                Err(error) => {
                    tracing::warn!(file = %self.path.display(), error = chain(&error), "name servers cannot be read")
                }
            }
            state.date = date;
        }
        state.servers.clone()
    }
}

fn parse(text: &str, own: &[IpAddr], own_port: u16) -> Vec<SocketAddr> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| {
            let address = rest.split_whitespace().next()?;
            // Link-local servers carry a zone, which tokio cannot take from text.
            address
                .parse::<IpAddr>()
                .ok()
                .filter(|a| *a != IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        });
    let others = addresses.filter(|a| own_port != DNS_PORT || !own.contains(a));
    others
        .take(MAX_SERVERS)
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_order_and_we_are_left_out() {
        let text = "# comment\nsearch a b\nnameserver 10.0.0.1\nnameserver\t127.0.0.53 # stub\nnameservers 1.1.1.1\nnameserver fe80::1%eth0\n";
        let servers = |own_port| parse(text, &[[10, 0, 0, 1].into()], own_port);
        assert_eq!(servers(53), ["127.0.0.53:53".parse().unwrap()]);
        assert_eq!(servers(10_053).len(), 2);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let config = ResolvConf::new(file.clone(), Vec::new(), 53, clock.clone());
        assert_eq!(config.servers().len(), 0);
        std::fs::write(&file, "nameserver 10.0.0.1\n").unwrap();
        clock.advance(CHECK);
        assert_eq!(config.servers().len(), 1);
        std::fs::remove_file(&file).unwrap();
        clock.advance(CHECK);
        assert_eq!(config.servers().len(), 1, "what was known is kept");
    }
}
