//! The node's conditions, in upstream's reasons and messages (`pkg/kubelet/nodestatus/setters.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::node::pressure::NodePressure;

/// What the conditions are decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why the runtime or its network is not ready; empty when they are.
    pub(crate) not_ready: Vec<String>,
    pub(crate) pressure: NodePressure,
}

/// The four conditions. `before` is the list in the object: transition times are kept where the
/// status did not change.
pub(crate) fn conditions(health: &Health, before: &[Value], now: Timestamp) -> Vec<Value> {
    let pressure = health.pressure;
    let resources = [
        (&MEMORY, pressure.memory),
        (&DISK, pressure.disk),
        (&PID, pressure.pid),
    ];
    let mut list: Vec<Value> = resources
        .into_iter()
        .map(|(texts, short)| {
            let (reason, message) = if short { texts.short } else { texts.enough };
            let verdict = Verdict {
                on: short,
                reason,
                message,
            };
            condition(texts.kind, verdict, before, now)
        })
        .collect();
    let problems = health.not_ready.join(", ");
    let ready = if health.not_ready.is_empty() {
        Verdict {
            on: true,
            reason: "KubeletReady",
            message: "kubelet is posting ready status",
        }
    } else {
        Verdict {
            on: false,
            reason: "KubeletNotReady",
            message: &problems,
        }
    };
    list.push(condition("Ready", ready, before, now));
    list
}

/// Reason and message of a pressure condition for either state.
struct PressureTexts {
    kind: &'static str,
    short: (&'static str, &'static str),
    enough: (&'static str, &'static str),
}

const MEMORY: PressureTexts = PressureTexts {
    kind: "MemoryPressure",
    short: (
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
    ),
    enough: (
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
};

const DISK: PressureTexts = PressureTexts {
    kind: "DiskPressure",
    short: ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    enough: ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
};

const PID: PressureTexts = PressureTexts {
    kind: "PIDPressure",
    short: (
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
    ),
    enough: (
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
};

struct Verdict<'a> {
    on: bool,
    reason: &'static str,
    message: &'a str,
}

fn condition(kind: &str, verdict: Verdict<'_>, before: &[Value], now: Timestamp) -> Value {
    let status = if verdict.on { "True" } else { "False" };
    let now = k3s_base::clock::rfc3339(now);
    let since = before
        .iter()
        .find(|condition| text(condition, "type") == kind)
        .filter(|condition| text(condition, "status") == status)
        .map(|condition| text(condition, "lastTransitionTime"))
        .filter(|time| !time.is_empty());
    json!({
        "type": kind,
        "status": status,
        "reason": verdict.reason,
        "message": verdict.message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": since.unwrap_or(&now),
    })
}

fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    let text = condition.get(field).and_then(Value::as_str);
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let first = conditions(&Health::default(), &[], at("2026-01-01T00:00:00Z"));
        let pressure = NodePressure {
            disk: true,
            ..NodePressure::default()
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
