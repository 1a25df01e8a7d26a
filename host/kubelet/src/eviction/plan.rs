//! Pure: which thresholds are met, which conditions follow, and which pod is evicted first
//! (`pkg/kubelet/eviction/helpers.go`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::settings::{EvictionSettings, Signal};
use super::usage::PodUse;
use crate::node::pressure::NodePressure;
use crate::qos;

/// What a signal is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) available: u64,
    pub(super) capacity: u64,
}

pub(super) type Observations = BTreeMap<Signal, Observation>;

/// A threshold that is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) signal: Signal,
    /// As an amount, and as it was written.
    pub(super) quantity: u64,
    pub(super) threshold: String,
    pub(super) available: u64,
}

/// What was met at the last reading, and when each condition was last true.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    met: Vec<Signal>,
    memory: Option<Duration>,
    disk: Option<Duration>,
    pid: Option<Duration>,
}

impl Pressure {
    pub(super) fn met(&self) -> &[Signal] {
        &self.met
    }

    /// The conditions after a reading at `now`.
    pub(super) fn update(
        &mut self,
        met: &[Met],
        now: Duration,
        transition: Duration,
    ) -> NodePressure {
        self.met = met.iter().map(|m| m.signal).collect();
        let memory = self.met.contains(&Signal::Memory);
        let disk = self.met.iter().any(|signal| signal.is_disk());
        let pid = self.met.contains(&Signal::Pid);
        let holds = |last: &mut Option<Duration>, met: bool| {
            if met {
                *last = Some(now);
                return true;
            }
            let since = last.map(|last| now.saturating_sub(last));
            since.is_some_and(|since| since < transition)
        };
        NodePressure {
            memory: holds(&mut self.memory, memory),
            disk: holds(&mut self.disk, disk),
            pid: holds(&mut self.pid, pid),
        }
    }
}

/// Thresholds that are met; one that was before is so until the minimum reclaim is there too.
pub(super) fn met(
    settings: &EvictionSettings,
    observations: &Observations,
    before: &[Signal],
) -> Vec<Met> {
    let check = |(signal, amount): &(Signal, super::settings::Amount)| {
        let observation = observations.get(signal)?;
        let quantity = amount.of(observation.capacity);
        let more = settings
            .minimum_reclaim
            .iter()
            .filter(|(s, _)| s == signal && before.contains(s));
        let more: u64 = more
            .map(|(_, amount)| amount.of(observation.capacity))
            .sum();
        (observation.available < quantity.saturating_add(more)).then(|| Met {
            signal: *signal,
            quantity,
            threshold: amount.to_string(),
            available: observation.available,
        })
    };
    settings.hard.iter().filter_map(check).collect()
}

/// Memory comes before everything else (`byEvictionPriority`).
pub(super) fn worst(met: &[Met]) -> Option<&Met> {
    met.iter().min_by_key(|m| m.signal)
}

/// A pod that may be evicted.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) pod: Arc<Pod>,
    pub(super) usage: PodUse,
}

/// The order of eviction: over its request first, then by priority, then by how much over.
pub(super) fn ranked(mut candidates: Vec<Candidate>, signal: Signal) -> Vec<Candidate> {
    candidates.sort_by_cached_key(|candidate| {
        let priority = candidate
            .pod
            .spec
            .as_ref()
            .and_then(|s| s.priority)
            .unwrap_or(0);
        let (used, requested) = amounts(candidate, signal);
        (
            Reverse(used > requested),
            priority,
            Reverse(used - requested),
        )
    });
    candidates
}

fn amounts(candidate: &Candidate, signal: Signal) -> (i64, i64) {
    let requests = qos::pod_requests(&candidate.pod);
    let total = |used: u64| i64::try_from(used).unwrap_or(i64::MAX);
    match signal {
        Signal::Memory => (total(candidate.usage.memory_bytes()), requests.memory_bytes),
        Signal::NodeFs | Signal::ImageFs => (
            total(candidate.usage.disk_bytes()),
            requests.ephemeral_bytes,
        ),
        // Nothing can be requested of these.
        Signal::NodeFsInodes | Signal::ImageFsInodes => (total(candidate.usage.inodes), 0),
        Signal::Pid => (total(candidate.usage.processes), 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::usage::ContainerUse;
    use super::*;

    fn observations(pairs: &[(Signal, u64)]) -> Observations {
        pairs
            .iter()
            .map(|(signal, available)| {
                (
                    *signal,
                    Observation {
                        available: *available,
                        capacity: 1000,
                    },
                )
            })
            .collect()
    }

    #[test]
    fn a_shortage_ends_with_the_minimum_reclaim() {
        let mut settings = EvictionSettings::default();
        settings
            .set_hard("nodefs.available<5%,memory.available<100")
            .unwrap();
        let signals = |observed: &[(Signal, u64)], before: &[Signal]| -> Vec<Signal> {
            met(&settings, &observations(observed), before)
                .into_iter()
                .map(|m| m.signal)
                .collect()
        };
        assert_eq!(signals(&[(Signal::NodeFs, 50)], &[]), []);
        assert_eq!(
            signals(&[(Signal::NodeFs, 49), (Signal::Memory, 99)], &[]),
            [Signal::NodeFs, Signal::Memory]
        );
        assert_eq!(
            signals(&[(Signal::NodeFs, 149)], &[Signal::NodeFs]),
            [Signal::NodeFs]
        );
        assert_eq!(signals(&[(Signal::NodeFs, 150)], &[Signal::NodeFs]), []);
        let both = met(
            &settings,
            &observations(&[(Signal::NodeFs, 1), (Signal::Memory, 1)]),
            &[],
        );
        assert_eq!(worst(&both).map(|m| m.signal), Some(Signal::Memory));
    }

    #[test]
    fn conditions_stay_for_the_transition_period() {
        let (mut pressure, second) = (Pressure::default(), Duration::from_secs);
        let short = Met {
            signal: Signal::Memory,
            quantity: 1,
            threshold: "1".into(),
            available: 0,
        };
        assert!(
            pressure
                .update(std::slice::from_ref(&short), second(10), second(60))
                .memory
        );
        assert!(pressure.update(&[], second(69), second(60)).memory);
        assert_eq!(
            pressure.update(&[], second(70), second(60)),
            NodePressure::default()
        );
        assert_eq!(
            pressure.update(&[short], second(80), second(0)),
            NodePressure {
                memory: true,
                ..NodePressure::default()
            }
        );
    }

    #[test]
    fn those_over_their_request_go_first_then_the_less_important() {
        let candidate = |name: &str, priority: i32, request: &str, used: u64| {
            let pod = json!({"metadata": {"name": name}, "spec": {"priority": priority, "containers": [
                {"name": "c", "resources": {"requests": {"memory": request}}}]}});
            let container = ContainerUse {
                name: "c".into(),
                memory_bytes: used,
                ..ContainerUse::default()
            };
            let usage = PodUse {
                containers: vec![container],
                ..PodUse::default()
            };
            Candidate {
                pod: Arc::new(serde_json::from_value(pod).unwrap()),
                usage,
            }
        };
        let all = vec![
            candidate("within", 0, "1000", 900),
            candidate("important", 10, "0", 900),
            candidate("little", 0, "100", 200),
            candidate("much", 0, "100", 700),
        ];
        let order: Vec<_> = ranked(all, Signal::Memory)
            .into_iter()
            .map(|c| c.pod.metadata.name.clone().unwrap())
            .collect();
        assert_eq!(order, ["much", "little", "important", "within"]);
    }
}
