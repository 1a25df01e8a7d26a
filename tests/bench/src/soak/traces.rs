//! What pods, Services and volumes add to a machine, listed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use k3s_harness::Cluster;

use crate::stats::pss_kib;

const SERVER: &str = "k3s server";

/// A name, and a line that lists the things of the kind, one a line.
const LISTS: &[(&str, &str)] = &[
    ("mounts", "cut -d' ' -f2 /proc/mounts"),
    ("links", "ls /sys/class/net"),
    ("addresses", "ip -o address show | awk '{print $2, $4}'"),
    ("routes", "ip route show"),
    // Chains stay by design: one for each number of endpoints that a Service ever had.
    (
        "elements of the packet filter",
        "nft --stateless list ruleset | awk '/elements = \\{/,/\\}/' | tr ',' '\\n' | sed 's/elements = {//; s/}//'",
    ),
    (
        "network namespaces",
        "ls /run/netns /var/run/netns /run/k3s/netns 2>/dev/null | grep -v : || true",
    ),
    (
        "address leases",
        "find /var/lib/cni -type f 2>/dev/null | grep -v last_reserved || true",
    ),
    (
        "pod folders",
        "ls /var/lib/kubelet/pods 2>/dev/null || true",
    ),
    (
        "logs",
        "ls /var/log/pods /var/log/containers 2>/dev/null | grep -v : || true",
    ),
    (
        "volumes",
        "ls /var/lib/rancher/k3s/storage 2>/dev/null || true",
    ),
    ("shims", "ps -eo args | grep '[k]3s-shim' || true"),
    ("zombies", "ps -eo stat,args | grep '^Z' || true"),
];

/// The things by kind.
pub(super) struct Traces(Vec<(&'static str, BTreeSet<String>)>);

impl Traces {
    pub(super) fn take(cluster: &Cluster) -> Result<Self> {
        let corner = cluster.corner();
        let mut all = Vec::new();
        for (kind, line) in LISTS {
            let text = corner.sh(line)?.ok().with_context(|| (*kind).to_owned())?;
            all.push((*kind, numbered(text.lines())));
        }
        let groups = corner.cgroups_below();
        let groups = groups.iter().map(|path| path.display().to_string());
        all.push(("control groups", groups.collect()));
        let objects = ["pv", "ipaddresses"];
        for kind in objects {
            let names = cluster.kubectl(&["get", kind, "-o", "name"])?.ok()?;
            all.push((kind, numbered(names.lines())));
        }
        Ok(Self(all))
    }

    /// # Errors
    /// With what is there now and was not before, or the other way round.
    pub(super) fn same_as(&self, before: &Self) -> Result<()> {
        let mut differences = String::new();
        for ((kind, now), (_, then)) in self.0.iter().zip(&before.0) {
            for added in now.difference(then) {
                let _ = writeln!(differences, "{kind}: + {added}");
            }
            for missing in then.difference(now) {
                let _ = writeln!(differences, "{kind}: - {missing}");
            }
        }
        ensure!(
            differences.is_empty(),
            "different from before:\n{differences}"
        );
        Ok(())
    }
}

/// A set that keeps how often a line occurs.
fn numbered<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let mut named = line.to_owned();
        let mut count = 1;
        while !set.insert(named) {
            count += 1;
            named = format!("{line} ({count})");
        }
    }
    set
}

/// What one process holds.
pub(super) struct Process {
    pub(super) id: String,
    pub(super) pss_kib: u64,
    pub(super) descriptors: usize,
}

impl Process {
    pub(super) fn of_server(cluster: &Cluster) -> Result<Self> {
        let corner = cluster.corner();
        let id = corner.sh(&format!("pgrep -of '{SERVER}'"))?.ok()?;
        let id = id.trim().to_owned();
        let descriptors = corner.sh(&format!("ls /proc/{id}/fd"))?.ok()?;
        let pss = pss_kib(cluster, SERVER)?;
        Ok(Self {
            pss_kib: pss.first().copied().context("no server")?,
            descriptors: descriptors.lines().count(),
            id,
        })
    }
}
