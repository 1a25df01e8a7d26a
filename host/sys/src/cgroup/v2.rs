//! Control groups version 2: one hierarchy, controllers enabled from parent to child.

use std::io;
use std::path::Path;

use super::{Limits, Usage, devices, keyed, or_max, read, write};

pub(super) fn create(root: &Path, dir: &Path) -> io::Result<()> {
    if dir == root {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create(root, parent)?;
        delegate(parent);
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Enables, for the children of `dir`, each controller it has. One that cannot be enabled (a busy group,
/// a kernel without it) becomes an error when a limit needs it.
fn delegate(dir: &Path) {
    let available = read(dir, "cgroup.controllers").unwrap_or_default();
    let enabled = read(dir, "cgroup.subtree_control").unwrap_or_default();
    for controller in available.split_ascii_whitespace() {
        if !enabled
            .split_ascii_whitespace()
            .any(|name| name == controller)
        {
            let _ = write(dir, "cgroup.subtree_control", &format!("+{controller}"));
        }
    }
}

pub(super) fn apply(dir: &Path, limits: &Limits) -> io::Result<()> {
    apply_cpu(dir, limits)?;
    apply_memory(dir, limits)?;
    if let Some(pids) = limits.pids {
        write(dir, "pids.max", &or_max(pids))?;
    }
    for (size, bytes) in &limits.hugepages {
        write(dir, &format!("hugetlb.{size}.max"), &bytes.to_string())?;
    }
    for (file, value) in &limits.unified {
        if file.contains('/') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("unified resource {file:?} is not a file name"),
            ));
        }
        write(dir, file, value)?;
    }
    limits
        .devices
        .as_ref()
        .map_or(Ok(()), |rules| devices::restrict(dir, rules))
}

fn apply_cpu(dir: &Path, limits: &Limits) -> io::Result<()> {
    /// The kernel's default of `cpu.max`.
    const PERIOD_US: u64 = 100_000;
    if let Some(shares) = limits.cpu_shares.filter(|&shares| shares > 0) {
        write(dir, "cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    if limits.cpu_quota_us.is_some() || limits.cpu_period_us.is_some() {
        let quota = limits.cpu_quota_us.filter(|&quota| quota > 0);
        let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
        let period = limits.cpu_period_us.unwrap_or(PERIOD_US);
        write(dir, "cpu.max", &format!("{quota} {period}"))?;
    }
    if let Some(cpus) = &limits.cpuset_cpus {
        write(dir, "cpuset.cpus", cpus)?;
    }
    if let Some(mems) = &limits.cpuset_mems {
        write(dir, "cpuset.mems", mems)?;
    }
    Ok(())
}

/// CRI's limit of swap includes the memory; version 2 counts swap alone.
fn apply_memory(dir: &Path, limits: &Limits) -> io::Result<()> {
    if let Some(memory) = limits.memory_bytes {
        write(dir, "memory.max", &or_max(memory))?;
    }
    // The file is missing where the kernel has no swap; then nothing can be swapped either.
    let has_swap = || dir.join("memory.swap.max").exists();
    if let Some(total) = limits.memory_swap_bytes
        && has_swap()
    {
        let memory = limits.memory_bytes.unwrap_or(0).max(0);
        let swap = if total < 0 {
            total
        } else {
            total.saturating_sub(memory).max(0)
        };
        write(dir, "memory.swap.max", &or_max(swap))?;
    }
    Ok(())
}

/// The logarithmic mapping that opencontainers/cgroups uses since 2025: the default of one scale
/// (1024 shares) is the default of the other (weight 100), and so are the ends.
fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    let log = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    let weight = 10_f64.powf(exponent).ceil();
    // The formula stays within 1 to 10000 for the clamped range.
    (1..=10_000_u64)
        .rev()
        .find(|&whole| whole as f64 <= weight)
        .unwrap_or(1)
}

pub(super) fn usage(dir: &Path) -> io::Result<Usage> {
    let stat = read(dir, "memory.stat").unwrap_or_default();
    let number = |file: &str| {
        read(dir, file)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
    };
    let memory_bytes = number("memory.current").unwrap_or(0);
    Ok(Usage {
        cpu_nanoseconds: keyed(&read(dir, "cpu.stat")?, "usage_usec")
            .unwrap_or(0)
            .saturating_mul(1000),
        memory_bytes,
        working_set_bytes: memory_bytes.saturating_sub(keyed(&stat, "inactive_file").unwrap_or(0)),
        rss_bytes: keyed(&stat, "anon").unwrap_or(0),
        page_faults: keyed(&stat, "pgfault").unwrap_or(0),
        major_page_faults: keyed(&stat, "pgmajfault").unwrap_or(0),
        memory_limit_bytes: number("memory.max"),
        pids: number("pids.current").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_map_to_weights_end_to_end_and_default_to_default() {
        assert_eq!(
            (
                weight_of_shares(2),
                weight_of_shares(1024),
                weight_of_shares(262_144)
            ),
            (1, 100, 10_000)
        );
    }
}
