//! Requests and limits as cgroup settings (`pkg/kubelet/cm/helpers_linux.go`,
//! `pkg/kubelet/qos/policy.go`).

use k3s_cri::v1::LinuxContainerResources;
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::model::has_critical_priority;
use crate::qos::{QosClass, limits, pod_level_memory_per_container, qos_class, requests};

/// CFS period: 100 ms, as upstream's default.
pub(crate) const PERIOD_US: i64 = 100_000;
const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
const MIN_QUOTA_US: i64 = 1_000;

/// `cpu.shares` for a request.
pub(crate) fn shares(milli_cpu: i64) -> i64 {
    (milli_cpu.saturating_mul(1024) / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// `cpu.cfs_quota_us` for a limit; 0 for none.
pub(crate) fn quota(milli_cpu: i64) -> i64 {
    if milli_cpu == 0 {
        0
    } else {
        (milli_cpu.saturating_mul(PERIOD_US) / 1000).max(MIN_QUOTA_US)
    }
}

/// `cpu.weight` (cgroup v2) for shares, as runc's `ConvertCPUSharesToCgroupV2Value` since 1.3.2:
/// quadratic, so that the default of 1024 shares becomes the default weight of 100.
pub(crate) fn weight(shares: i64) -> i64 {
    if shares <= MIN_SHARES {
        return 1;
    }
    if shares >= MAX_SHARES {
        return 10_000;
    }
    #[expect(clippy::cast_precision_loss, reason = "shares are at most 262144")]
    let l = (shares as f64).log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 10000")]
    let weight = 10_f64.powf(exponent).ceil() as i64;
    weight.clamp(1, 10_000)
}

/// How eagerly the kernel kills the container when memory runs out.
pub(crate) fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
    if has_critical_priority(pod) {
        return -997;
    }
    match qos_class(pod) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let own = requests(container).memory_bytes;
            let request = own.saturating_add(pod_level_memory_per_container(pod));
            let share = request.saturating_mul(1000) / node_memory_bytes.max(1);
            (1000 - share).clamp(3, 999)
        }
    }
}

/// The container's part of the cgroup settings.
pub(crate) fn container_resources(
    pod: &Pod,
    container: &Container,
    node_memory_bytes: i64,
) -> LinuxContainerResources {
    let (request, limit) = (requests(container), limits(container));
    LinuxContainerResources {
        cpu_shares: shares(request.milli_cpu),
        cpu_period: if limit.milli_cpu > 0 { PERIOD_US } else { 0 },
        cpu_quota: quota(limit.milli_cpu),
        memory_limit_in_bytes: limit.memory_bytes,
        // Same as the memory limit: no swap beyond it.
        memory_swap_limit_in_bytes: limit.memory_bytes,
        oom_score_adj: oom_score_adj(pod, container, node_memory_bytes),
        ..LinuxContainerResources::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_quota_and_weight_have_upstreams_edges() {
        assert_eq!((shares(0), shares(250), shares(1000)), (2, 256, 1024));
        assert_eq!((quota(0), quota(1), quota(500)), (0, 1000, 50_000));
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 100, 10_000));
    }

    #[test]
    fn oom_scores_by_class() {
        let pod = |resources: serde_json::Value| -> Pod {
            serde_json::from_value(serde_json::json!({"spec": {"containers": [{"name": "c", "resources": resources}]}}))
                .unwrap()
        };
        let score =
            |pod: &Pod| oom_score_adj(pod, &pod.spec.as_ref().unwrap().containers[0], 4 << 30);
        assert_eq!(score(&pod(serde_json::json!({}))), 1000);
        assert_eq!(
            score(&pod(serde_json::json!({"requests": {"memory": "1Gi"}}))),
            750
        );
        assert_eq!(
            score(&pod(
                serde_json::json!({"limits": {"memory": "1Gi", "cpu": "1"}})
            )),
            -997
        );
        // A container shares what the pod requests as a whole.
        let mut shared = pod(serde_json::json!({}));
        let own = serde_json::json!({"requests": {"memory": "2Gi"}});
        shared.spec.as_mut().unwrap().resources = serde_json::from_value(own).unwrap();
        assert_eq!(score(&shared), 500);
    }
}
