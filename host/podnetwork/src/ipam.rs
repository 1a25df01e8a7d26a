//! Leases on disk, in the form of the CNI `host-local` plugin: a file per address, whose first line is
//! its owner. A K3s node's leases are taken over as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use parking_lot::Mutex;

use crate::error::IpamError;

/// `host-local` remembers there where to go on, so that an address rests before it is given again.
const LAST_RESERVED: &str = "last_reserved_ip.0";
/// The interface named in the second line.
const INTERFACE: &str = "eth0";

/// The leases of all networks of this node.
#[derive(Debug)]
pub struct Ipam {
    /// `/var/lib/cni/networks`
    root: PathBuf,
    /// One change at a time: nobody may lease between a search and its lease.
    turn: Mutex<()>,
}

impl Ipam {
    /// Keeps leases below `root`, which is made when the first one is given.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            turn: Mutex::new(()),
        }
    }

    /// The owner's address in the subnet, or the next free one.
    pub fn allocate(
        &self,
        network: &str,
        subnet: Ipv4Net,
        gateway: Ipv4Addr,
        owner: &str,
    ) -> Result<Ipv4Addr, IpamError> {
        check_name(owner)?;
        let folder = self.folder(network)?;
        let _turn = self.turn.lock();
        fs::create_dir_all(&folder).map_err(|e| disk(&folder, e))?;
        let leases = read(&folder)?;
        for (address, lease) in leases.iter().filter(|(_, lease)| *lease == owner) {
            if subnet.contains(address) {
                return Ok(*address);
            }
            // The node's range has changed since.
            tracing::info!(%address, owner = %lease, "releasing a lease outside the range");
            remove(&folder, *address)?;
        }
        let last = fs::read_to_string(folder.join(LAST_RESERVED))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let address = next_free(subnet, gateway, last, |a| leases.contains_key(&a))
            .ok_or(IpamError::Exhausted(subnet))?;
        write_lease(&folder, address, owner)?;
        Ok(address)
    }

    /// Gives the owner's addresses back.
    pub fn release(&self, network: &str, owner: &str) -> Result<(), IpamError> {
        let folder = self.folder(network)?;
        let _turn = self.turn.lock();
        for (address, _) in read(&folder)?
            .into_iter()
            .filter(|(_, lease)| lease == owner)
        {
            remove(&folder, address)?;
        }
        Ok(())
    }

    /// Every lease: address and owner.
    pub fn leases(&self, network: &str) -> Result<BTreeMap<Ipv4Addr, String>, IpamError> {
        let folder = self.folder(network)?;
        let _turn = self.turn.lock();
        read(&folder)
    }

    fn folder(&self, network: &str) -> Result<PathBuf, IpamError> {
        check_name(network)?;
        Ok(self.root.join(network))
    }
}

/// Names become file names and lines.
fn check_name(name: &str) -> Result<(), IpamError> {
    let good = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if good {
        Ok(())
    } else {
        Err(IpamError::Invalid(format!(
            "{name:?} is not the name of a network or owner"
        )))
    }
}

fn read(folder: &Path) -> Result<BTreeMap<Ipv4Addr, String>, IpamError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(disk(folder, e)),
    };
    let mut leases = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(|e| disk(folder, e))?;
        // Other files (the lock of `host-local`, the last address) are not addresses.
        let Some(address) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let text = fs::read_to_string(entry.path()).map_err(|e| disk(&entry.path(), e))?;
        leases.insert(
            address,
            text.lines().next().unwrap_or_default().trim().to_owned(),
        );
    }
    Ok(leases)
}

/// The first free address after `last`, around the range; never its ends or the gateway.
fn next_free(
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
    last: Option<Ipv4Addr>,
    taken: impl Fn(Ipv4Addr) -> bool,
) -> Option<Ipv4Addr> {
    let first = u32::from(subnet.network()) + 1;
    let end = u32::from(subnet.broadcast());
    let size = end.checked_sub(first).filter(|size| *size > 0)?;
    let last = last.filter(|address| subnet.contains(address));
    let start = last.map_or(0, |address| u32::from(address).saturating_sub(first) + 1);
    let mut candidates = (0..size).map(|step| Ipv4Addr::from(first + (start + step) % size));
    candidates.find(|address| *address != gateway && !taken(*address))
}

/// Writes the lease. A crash between the two files only makes the next search begin earlier.
fn write_lease(folder: &Path, address: Ipv4Addr, owner: &str) -> Result<(), IpamError> {
    let path = folder.join(address.to_string());
    let write = || -> io::Result<()> {
        fs::File::create_new(&path)?.write_all(format!("{owner}\r\n{INTERFACE}").as_bytes())?;
        fs::write(folder.join(LAST_RESERVED), address.to_string())
    };
    write().map_err(|e| disk(&path, e))
}

fn remove(folder: &Path, address: Ipv4Addr) -> Result<(), IpamError> {
    let path = folder.join(address.to_string());
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk(&path, e)),
        _ => Ok(()),
    }
}

fn disk(path: &Path, source: io::Error) -> IpamError {
    IpamError::Disk {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 1);

    fn subnet(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn leases_survive_and_addresses_rest() {
        let folder = tempfile::tempdir().unwrap();
        let give = |owner| {
            Ipam::new(folder.path())
                .allocate("cbr0", subnet("10.42.0.0/24"), GATEWAY, owner)
                .unwrap()
        };
        assert_eq!(give("a"), Ipv4Addr::new(10, 42, 0, 2));
        assert_eq!(give("b"), Ipv4Addr::new(10, 42, 0, 3));
        assert_eq!(give("a"), Ipv4Addr::new(10, 42, 0, 2), "idempotent");
        Ipam::new(folder.path()).release("cbr0", "b").unwrap();
        Ipam::new(folder.path()).release("cbr0", "b").unwrap();
        assert_eq!(
            give("c"),
            Ipv4Addr::new(10, 42, 0, 4),
            "the one just freed rests"
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("cbr0/10.42.0.4")).unwrap(),
            "c\r\neth0"
        );
        assert_eq!(Ipam::new(folder.path()).leases("cbr0").unwrap().len(), 2);
    }

    #[test]
    fn a_full_range_says_so_and_wraps_around() {
        let folder = tempfile::tempdir().unwrap();
        let ipam = Ipam::new(folder.path());
        let give = |owner| ipam.allocate("cbr0", subnet("10.42.0.0/29"), GATEWAY, owner);
        for owner in ["a", "b", "c", "d", "e"] {
            give(owner).unwrap();
        }
        assert!(matches!(give("f"), Err(IpamError::Exhausted(_))));
        ipam.release("cbr0", "b").unwrap();
        assert_eq!(give("f").unwrap(), Ipv4Addr::new(10, 42, 0, 3));
    }

    #[test]
    fn a_new_range_replaces_the_owner_s_address() {
        let folder = tempfile::tempdir().unwrap();
        let ipam = Ipam::new(folder.path());
        ipam.allocate("cbr0", subnet("10.42.0.0/24"), GATEWAY, "a")
            .unwrap();
        let moved = ipam
            .allocate(
                "cbr0",
                subnet("10.42.7.0/24"),
                Ipv4Addr::new(10, 42, 7, 1),
                "a",
            )
            .unwrap();
        assert_eq!(
            ipam.leases("cbr0").unwrap().into_keys().collect::<Vec<_>>(),
            [moved]
        );
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let ipam = Ipam::new("/nonexistent");
        for bad in ["", "..", "a/b", ".hidden", "a\nb"] {
            assert!(
                matches!(ipam.leases(bad), Err(IpamError::Invalid(_))),
                "{bad:?}"
            );
            assert!(matches!(
                ipam.allocate("n", subnet("10.0.0.0/24"), GATEWAY, bad),
                Err(IpamError::Invalid(_))
            ));
        }
    }
}
