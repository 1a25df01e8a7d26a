//! The node's conditions, in upstream's reasons and messages (`pkg/kubelet/nodestatus/setters.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

/// What the conditions are decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why the runtime or its network is not ready; empty when they are.
    pub(crate) not_ready: Vec<String>,
    pub(crate) memory_pressure: bool,
    pub(crate) disk_pressure: bool,
    pub(crate) pid_pressure: bool,
}

/// Memory below this is pressure (`memory.available<100Mi`).
const MEMORY_AVAILABLE_BYTES: i64 = 100 << 20;
/// Disk below this share is pressure; K3s sets 5 %.
const DISK_AVAILABLE_PERCENT: u64 = 5;
/// Process ids below this share of the maximum are pressure.
const PID_AVAILABLE_PERCENT: i64 = 5;

/// Whether the node is short of memory.
pub(crate) fn memory_pressure(available_bytes: Option<i64>) -> bool {
    available_bytes.is_some_and(|bytes| bytes < MEMORY_AVAILABLE_BYTES)
}

/// Whether a file system is short of space or inodes.
pub(crate) fn disk_pressure(usage: k3s_sys::volume::FsUsage) -> bool {
    let short = |free: u64, all: u64| all > 0 && free.saturating_mul(100) < all.saturating_mul(DISK_AVAILABLE_PERCENT);
    short(usage.available_bytes, usage.capacity_bytes) || short(usage.inodes_free, usage.inodes)
}

/// Whether the node is short of process ids.
pub(crate) fn pid_pressure(running: i64, max: i64) -> bool {
    max > 0 && (max - running) * 100 < max * PID_AVAILABLE_PERCENT
}

/// The four conditions. `before` is the list in the object: transition times are kept where the
/// status did not change.
pub(crate) fn conditions(health: &Health, before: &[Value], now: Timestamp) -> Vec<Value> {
    let pick = |bad: bool, yes: (&'static str, &'static str), no: (&'static str, &'static str)| {
        let (reason, message) = if bad { yes } else { no };
        (bad, reason, message.to_owned())
    };
    let ready = health.not_ready.is_empty();
    let list = [
        (
            "MemoryPressure",
            pick(
                health.memory_pressure,
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ),
        ),
        (
            "DiskPressure",
            pick(
                health.disk_pressure,
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ),
        ),
        (
            "PIDPressure",
            pick(
                health.pid_pressure,
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
                ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ),
        ),
        (
            "Ready",
            if ready {
                (true, "KubeletReady", "kubelet is posting ready status".to_owned())
            } else {
                (false, "KubeletNotReady", health.not_ready.join(", "))
            },
        ),
    ];
    list.into_iter().map(|(kind, verdict)| condition(kind, verdict, before, now)).collect()
}

fn condition(kind: &str, verdict: (bool, &str, String), before: &[Value], now: Timestamp) -> Value {
    let (on, reason, message) = verdict;
    let status = if on { "True" } else { "False" };
    let now = k3s_base::clock::rfc3339(now);
    let old = before.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind));
    let since = old
        .filter(|c| c.get("status").and_then(Value::as_str) == Some(status))
        .and_then(|c| c.get("lastTransitionTime").and_then(Value::as_str))
        .unwrap_or(&now);
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": since})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let first = conditions(&Health::default(), &[], at("2026-01-01T00:00:00Z"));
        let later =
            conditions(&Health { disk_pressure: true, ..Health::default() }, &first, at("2026-01-01T01:00:00Z"));
        assert_eq!(later[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(later[1]["lastTransitionTime"], "2026-01-01T01:00:00Z");
        assert_eq!(later[1]["reason"], "KubeletHasDiskPressure");
        assert_eq!(later[3]["reason"], "KubeletReady");
    }
}
