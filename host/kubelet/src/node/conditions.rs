//! The node's conditions, in upstream's reasons and messages (`pkg/kubelet/nodestatus/setters.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::eviction::Conditions;

/// What the conditions are decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why the runtime or its network is not ready; empty when they are.
    pub(crate) not_ready: Vec<String>,
    pub(crate) pressure: Conditions,
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
                health.pressure.memory,
                (
                    "KubeletHasInsufficientMemory",
                    "kubelet has insufficient memory available",
                ),
                (
                    "KubeletHasSufficientMemory",
                    "kubelet has sufficient memory available",
                ),
            ),
        ),
        (
            "DiskPressure",
            pick(
                health.pressure.disk,
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ),
        ),
        (
            "PIDPressure",
            pick(
                health.pressure.pid,
                (
                    "KubeletHasInsufficientPID",
                    "kubelet has insufficient PID available",
                ),
                (
                    "KubeletHasSufficientPID",
                    "kubelet has sufficient PID available",
                ),
            ),
        ),
        (
            "Ready",
            if ready {
                (
                    true,
                    "KubeletReady",
                    "kubelet is posting ready status".to_owned(),
                )
            } else {
                (false, "KubeletNotReady", health.not_ready.join(", "))
            },
        ),
    ];
    list.into_iter()
        .map(|(kind, verdict)| condition(kind, verdict, before, now))
        .collect()
}

fn condition(kind: &str, verdict: (bool, &str, String), before: &[Value], now: Timestamp) -> Value {
    let (on, reason, message) = verdict;
    let status = if on { "True" } else { "False" };
    let now = k3s_base::clock::rfc3339(now);
    let old = before
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some(kind));
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
        let pressure = Conditions {
            disk: true,
            ..Conditions::default()
        };
        let later = conditions(
            &Health {
                pressure,
                ..Health::default()
            },
            &first,
            at("2026-01-01T01:00:00Z"),
        );
        assert_eq!(later[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(later[1]["lastTransitionTime"], "2026-01-01T01:00:00Z");
        assert_eq!(later[1]["reason"], "KubeletHasDiskPressure");
        assert_eq!(later[3]["reason"], "KubeletReady");
    }
}
