//! Control groups version 1: one directory and one set of files per controller.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{DeviceKind, DeviceRule, Limits, Usage, keyed, or_max, read, write};

/// What the kernel shows where no memory limit is set: the largest page-aligned number.
const UNLIMITED_BYTES: u64 = 0x7fff_ffff_ffff_f000;

pub(super) fn create(controller: &str, root: &Path, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    if controller == "cpuset" {
        inherit_cpuset(root, dir)?;
    }
    Ok(())
}

/// A new cpuset is empty and accepts no process until it has processors and memory nodes.
fn inherit_cpuset(root: &Path, dir: &Path) -> io::Result<()> {
    if dir == root {
        return Ok(());
    }
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    inherit_cpuset(root, parent)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read(dir, file)?.trim().is_empty() {
            write(dir, file, read(parent, file)?.trim())?;
        }
    }
    Ok(())
}

pub(super) fn apply(dirs: &BTreeMap<String, PathBuf>, limits: &Limits) -> io::Result<()> {
    let dir = |controller: &str| {
        dirs.get(controller).map(PathBuf::as_path).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the kernel has no {controller} cgroup controller"),
            )
        })
    };
    let cpu = [
        ("cpu.shares", limits.cpu_shares.map(|it| it.to_string())),
        (
            "cpu.cfs_period_us",
            limits.cpu_period_us.map(|it| it.to_string()),
        ),
        (
            "cpu.cfs_quota_us",
            limits.cpu_quota_us.map(|it| it.to_string()),
        ),
    ];
    for (file, value) in cpu {
        if let Some(value) = value {
            write(dir("cpu")?, file, &value)?;
        }
    }
    if let Some(cpus) = &limits.cpuset_cpus {
        write(dir("cpuset")?, "cpuset.cpus", cpus)?;
    }
    if let Some(mems) = &limits.cpuset_mems {
        write(dir("cpuset")?, "cpuset.mems", mems)?;
    }
    if limits.memory_bytes.is_some() || limits.memory_swap_bytes.is_some() {
        apply_memory(dir("memory")?, limits)?;
    }
    if let Some(pids) = limits.pids {
        write(dir("pids")?, "pids.max", &or_max(pids))?;
    }
    for (size, bytes) in &limits.hugepages {
        let file = format!("hugetlb.{size}.limit_in_bytes");
        write(dir("hugetlb")?, &file, &bytes.to_string())?;
    }
    if let Some(rules) = &limits.devices {
        apply_devices(dir("devices")?, rules)?;
    }
    if limits.unified.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "unified resources need cgroup v2",
    ))
}

/// Memory with swap may never be below memory, not even for a moment: the order of the two writes
/// depends on the direction.
fn apply_memory(dir: &Path, limits: &Limits) -> io::Result<()> {
    const MEMORY: &str = "memory.limit_in_bytes";
    const SWAP: &str = "memory.memsw.limit_in_bytes";
    // Kernels without swap accounting lack the file; where there is no swap it limits nothing.
    let swap = limits.memory_swap_bytes.filter(|_| dir.join(SWAP).exists());
    let raised = match (limits.memory_bytes, swap) {
        (Some(_), Some(-1)) => true,
        (Some(memory), Some(_)) => u64::try_from(memory).is_ok_and(|memory| {
            read(dir, SWAP)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .is_some_and(|now: u64| memory > now)
        }),
        _ => false,
    };
    let memory = || {
        limits
            .memory_bytes
            .map_or(Ok(()), |bytes| write(dir, MEMORY, &bytes.to_string()))
    };
    let with_swap = || swap.map_or(Ok(()), |bytes| write(dir, SWAP, &bytes.to_string()));
    if raised {
        with_swap()?;
        memory()
    } else {
        memory()?;
        with_swap()
    }
}

fn apply_devices(dir: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    write(dir, "devices.deny", "a")?;
    for rule in rules {
        let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
        let numbers = format!(
            "{}:{} {}",
            number(rule.major),
            number(rule.minor),
            rule.access
        );
        let kinds: &[&str] = match rule.kind {
            DeviceKind::Any
                if rule.major.is_none() && rule.minor.is_none() && rule.access.len() == 3 =>
            {
                &["a"]
            }
            DeviceKind::Any => &["b", "c"],
            DeviceKind::Block => &["b"],
            DeviceKind::Char => &["c"],
        };
        kinds
            .iter()
            .try_for_each(|kind| write(dir, "devices.allow", &format!("{kind} {numbers}")))?;
    }
    Ok(())
}

pub(super) fn usage(dirs: &BTreeMap<String, PathBuf>) -> io::Result<Usage> {
    let number = |controller: &str, file: &str| -> io::Result<u64> {
        let Some(dir) = dirs.get(controller) else {
            return Ok(0);
        };
        read(dir, file)?.trim().parse().map_err(io::Error::other)
    };
    let stat = dirs
        .get("memory")
        .map_or(Ok(String::new()), |dir| read(dir, "memory.stat"))?;
    let memory_bytes = number("memory", "memory.usage_in_bytes")?;
    let limit = number("memory", "memory.limit_in_bytes")?;
    Ok(Usage {
        cpu_nanoseconds: number("cpuacct", "cpuacct.usage")?,
        memory_bytes,
        working_set_bytes: memory_bytes
            .saturating_sub(keyed(&stat, "total_inactive_file").unwrap_or(0)),
        rss_bytes: keyed(&stat, "total_rss").unwrap_or(0),
        page_faults: keyed(&stat, "total_pgfault").unwrap_or(0),
        major_page_faults: keyed(&stat, "total_pgmajfault").unwrap_or(0),
        memory_limit_bytes: (limit > 0 && limit < UNLIMITED_BYTES).then_some(limit),
        pids: number("pids", "pids.current")?,
    })
}
