//! Facts about the machine, read once at start from `/proc`, `/sys` and `/etc`.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// Facts that do not change while the node is up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) kernel_version: String,
    pub(crate) os_image: String,
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) cpus: i64,
    pub(crate) memory_bytes: i64,
    /// `(hugepages-2Mi, bytes)`.
    pub(crate) hugepages: Vec<(String, i64)>,
}

impl Machine {
    /// Reads the machine.
    pub(crate) fn read() -> Self {
        let machine_id = line("/etc/machine-id");
        let uuid = line("/sys/class/dmi/id/product_uuid").to_lowercase();
        Self {
            kernel_version: line("/proc/sys/kernel/osrelease"),
            os_image: os_image(&text("/etc/os-release")),
            system_uuid: if uuid.is_empty() {
                machine_id.clone()
            } else {
                uuid
            },
            machine_id,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            cpus: cpus(&text("/proc/cpuinfo")),
            memory_bytes: meminfo(&text("/proc/meminfo"), "MemTotal").unwrap_or(0),
            hugepages: hugepages(Path::new("/sys/kernel/mm/hugepages")),
        }
    }
}

/// GOARCH of this build.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn text(path: &str) -> String {
    // Not every machine has every file; the field stays empty then, as upstream's does.
    fs::read_to_string(path).unwrap_or_default()
}

fn line(path: &str) -> String {
    text(path).trim().to_owned()
}

fn os_image(os_release: &str) -> String {
    let mut lines = os_release.lines();
    let pretty = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let Some(pretty) = pretty else {
        return "Unknown".to_owned();
    };
    let name = pretty.trim_matches(['"', '\'']);
    name.to_owned()
}

fn cpus(cpuinfo: &str) -> i64 {
    let count = cpuinfo
        .lines()
        .filter(|l| l.starts_with("processor"))
        .count();
    i64::try_from(count.max(1)).unwrap_or(1)
}

/// A field of `/proc/meminfo`, in bytes.
pub(crate) fn meminfo(text: &str, field: &str) -> Option<i64> {
    let line = text.lines().find(|l| l.split(':').next() == Some(field))?;
    let kib: i64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

fn hugepages(dir: &Path) -> Vec<(String, i64)> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(kib) = page_kib(&name.to_string_lossy()) else {
            continue;
        };
        let pages = page_count(&entry.path()).unwrap_or(0);
        let size = match kib {
            k if k % (1 << 20) == 0 => format!("{}Gi", k >> 20),
            k if k % (1 << 10) == 0 => format!("{}Mi", k >> 10),
            k => format!("{k}Ki"),
        };
        let resource = format!("hugepages-{size}");
        found.push((resource, pages * kib * 1024));
    }
    found.sort();
    found
}

/// The size in a folder's name: `hugepages-2048kB`.
fn page_kib(name: &str) -> Option<i64> {
    let size = name.strip_prefix("hugepages-")?;
    let kib = size.strip_suffix("kB")?;
    kib.parse().ok()
}

fn page_count(dir: &Path) -> Option<i64> {
    let file = dir.join("nr_hugepages");
    let text = fs::read_to_string(file).ok()?;
    text.trim().parse().ok()
}

/// How many processes there are, and how many there may be.
pub(crate) fn pids() -> Option<(i64, i64)> {
    let loadavg = fs::read_to_string("/proc/loadavg").ok()?;
    let running = loadavg
        .split_whitespace()
        .nth(3)?
        .split('/')
        .nth(1)?
        .parse()
        .ok()?;
    let max = fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some((running, max))
}

/// The address the kernel would send from: no packet leaves, connecting a datagram socket only
/// picks the route.
pub(crate) fn default_route_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_parsed() {
        assert_eq!(os_image("ID=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!(cpus("processor : 0\nmodel\nprocessor : 1\n"), 2);
        assert_eq!(
            meminfo("MemFree: 1 kB\nMemTotal:  8 kB\n", "MemTotal"),
            Some(8192)
        );
    }
}
