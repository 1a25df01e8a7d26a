//! CRI resources as control group limits.

use k3s_cri::v1::LinuxContainerResources;
use k3s_sys::cgroup::Limits;

/// 0 and the empty string mean "not given" in CRI.
pub(crate) fn limits(resources: &LinuxContainerResources) -> Limits {
    let positive = |value: i64| u64::try_from(value).ok().filter(|&value| value > 0);
    let given = |value: i64| (value != 0).then_some(value);
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    Limits {
        cpu_shares: positive(resources.cpu_shares),
        cpu_quota_us: given(resources.cpu_quota),
        cpu_period_us: positive(resources.cpu_period),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        memory_bytes: given(resources.memory_limit_in_bytes),
        memory_swap_bytes: given(resources.memory_swap_limit_in_bytes),
        pids: None,
        hugepages: resources
            .hugepage_limits
            .iter()
            .map(|limit| (limit.page_size.clone(), limit.limit))
            .collect(),
        unified: resources
            .unified
            .iter()
            .map(|(file, value)| (file.clone(), value.clone()))
            .collect(),
        devices: None,
    }
}

/// The resources after an update: given fields replace, the others stay.
pub(crate) fn merge(
    old: &LinuxContainerResources,
    new: &LinuxContainerResources,
) -> LinuxContainerResources {
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: &str, old: &str| {
        if new.is_empty() {
            old.to_owned()
        } else {
            new.to_owned()
        }
    };
    LinuxContainerResources {
        cpu_period: number(new.cpu_period, old.cpu_period),
        cpu_quota: number(new.cpu_quota, old.cpu_quota),
        cpu_shares: number(new.cpu_shares, old.cpu_shares),
        memory_limit_in_bytes: number(new.memory_limit_in_bytes, old.memory_limit_in_bytes),
        oom_score_adj: old.oom_score_adj,
        cpuset_cpus: text(&new.cpuset_cpus, &old.cpuset_cpus),
        cpuset_mems: text(&new.cpuset_mems, &old.cpuset_mems),
        hugepage_limits: if new.hugepage_limits.is_empty() {
            old.hugepage_limits.clone()
        } else {
            new.hugepage_limits.clone()
        },
        unified: old
            .unified
            .iter()
            .chain(&new.unified)
            .map(|(file, value)| (file.clone(), value.clone()))
            .collect(),
        memory_swap_limit_in_bytes: number(
            new.memory_swap_limit_in_bytes,
            old.memory_swap_limit_in_bytes,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_not_given_and_stays() {
        let old = LinuxContainerResources {
            cpu_shares: 512,
            memory_limit_in_bytes: 1 << 20,
            ..Default::default()
        };
        let limits = limits(&old);
        assert_eq!(
            (limits.cpu_shares, limits.cpu_quota_us, limits.memory_bytes),
            (Some(512), None, Some(1 << 20))
        );
        let merged = merge(
            &old,
            &LinuxContainerResources {
                cpu_quota: -1,
                memory_limit_in_bytes: 2 << 20,
                ..Default::default()
            },
        );
        assert_eq!(
            (
                merged.cpu_shares,
                merged.cpu_quota,
                merged.memory_limit_in_bytes
            ),
            (512, -1, 2 << 20)
        );
    }
}
