//! One container's probes: a startup probe first, then liveness and readiness side by side.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_client::EventType;
use k3s_cri::Code;
use k3s_lifecycle::Tasks;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, Pod, Probe, TCPSocketAction,
};
use tokio::sync::{mpsc, watch};

use super::dial::{dial, port_number};
use super::outcome::Outcome;
use super::{grpc, http};
use crate::cri::Cri;
use crate::events::Events;
use crate::model::{self, Slot};
use crate::node::state::NodeState;
use crate::pod::handle::Published;

/// What every prober of the node shares.
pub(crate) struct ProbeContext {
    pub(crate) cri: Cri,
    pub(crate) events: Events,
    pub(crate) node: Arc<NodeState>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// A verdict that differs from the prober's last.
#[derive(Debug)]
pub(super) struct ProbeResult {
    pub(super) container_id: String,
    pub(super) kind: Kind,
    pub(super) success: bool,
}

/// See the module.
pub(super) struct Prober {
    pub(super) ctx: Arc<ProbeContext>,
    pub(super) published: watch::Receiver<Published>,
    pub(super) results: mpsc::Sender<ProbeResult>,
    pub(super) pod: Arc<Pod>,
    pub(super) slot: Slot,
    pub(super) container: Container,
    pub(super) id: String,
    pub(super) started_ns: i64,
    /// The startup probe has succeeded before.
    pub(super) started: bool,
}

/// Equal outcomes in a row.
#[derive(Clone, Copy, Default)]
struct Streak {
    success: bool,
    length: i32,
}

impl Streak {
    fn extend(&mut self, success: bool) {
        self.length = if self.success == success {
            self.length.saturating_add(1)
        } else {
            1
        };
        self.success = success;
    }

    /// Whether the streak is long enough to be a verdict.
    fn crosses(self, probe: &Probe) -> bool {
        let threshold = if self.success {
            probe.success_threshold.unwrap_or(1)
        } else {
            probe.failure_threshold.unwrap_or(3)
        };
        self.length >= threshold.max(1)
    }
}

fn seconds_or(value: Option<i32>, default: u64) -> Duration {
    let value = value.and_then(|value| u64::try_from(value).ok());
    let positive = value.filter(|value| *value > 0);
    Duration::from_secs(positive.unwrap_or(default))
}

impl Prober {
    pub(super) async fn run(self) {
        if let Some(probe) = &self.container.startup_probe
            && !self.started
            && !self.until_started(probe).await
        {
            return;
        }
        let liveness = async {
            if let Some(probe) = &self.container.liveness_probe {
                self.repeat(probe, Kind::Liveness).await;
            }
        };
        let readiness = async {
            if let Some(probe) = &self.container.readiness_probe {
                self.repeat(probe, Kind::Readiness).await;
            }
        };
        tokio::join!(liveness, readiness);
    }

    /// Waits out `initialDelaySeconds`, counted from the container's start.
    async fn initial_delay(&self, probe: &Probe) {
        let delay = seconds_or(probe.initial_delay_seconds, 0);
        let now_ns = self.ctx.clock.now().as_nanosecond();
        let now_ns = i64::try_from(now_ns).unwrap_or(i64::MAX);
        let ran_ns = now_ns.saturating_sub(self.started_ns);
        let ran_ns = u64::try_from(ran_ns).unwrap_or(0);
        let left = delay.saturating_sub(Duration::from_nanos(ran_ns));
        tokio::time::sleep(left).await;
    }

    /// True once started, false when the threshold was crossed.
    async fn until_started(&self, probe: &Probe) -> bool {
        self.initial_delay(probe).await;
        let threshold = probe.failure_threshold.unwrap_or(3);
        let threshold = threshold.max(1);
        let mut failures = 0;
        loop {
            let success = self.probe(probe, Kind::Startup).await;
            if success {
                self.send(Kind::Startup, true).await;
                return true;
            }
            failures += 1;
            if failures >= threshold {
                self.send(Kind::Startup, false).await;
                return false;
            }
            tokio::time::sleep(seconds_or(probe.period_seconds, 10)).await;
        }
    }

    /// Probes until it is stopped. A liveness failure beyond the threshold ends it, since the
    /// container is killed then.
    async fn repeat(&self, probe: &Probe, kind: Kind) {
        self.initial_delay(probe).await;
        let mut streak = Streak::default();
        let mut sent = None;
        loop {
            let success = self.probe(probe, kind).await;
            streak.extend(success);
            if streak.crosses(probe) && sent != Some(success) {
                self.send(kind, success).await;
                sent = Some(success);
                if kind == Kind::Liveness && !success {
                    return;
                }
            }
            tokio::time::sleep(seconds_or(probe.period_seconds, 10)).await;
        }
    }

    async fn send(&self, kind: Kind, success: bool) {
        let result = ProbeResult {
            container_id: self.id.clone(),
            kind,
            success,
        };
        // The worker is gone only when the prober is about to be stopped.
        let _stopping = self.results.send(result).await;
    }

    /// Probes once and says so in an event when that fails.
    async fn probe(&self, probe: &Probe, kind: Kind) -> bool {
        let (what, message) = match self.attempt(probe).await {
            Outcome::Success => return true,
            Outcome::Failure(message) => ("failed", message),
            Outcome::Error(message) => ("errored and resulted in failure", message),
        };
        let text = format!("{kind:?} probe {what}: {message}");
        let (pod, slot) = (&self.pod, self.slot);
        self.ctx
            .events
            .container(pod, slot, EventType::Warning, "Unhealthy", text);
        false
    }

    async fn attempt(&self, probe: &Probe) -> Outcome {
        let timeout = seconds_or(probe.timeout_seconds, 1);
        if let Some(action) = &probe.exec {
            return self.exec(action, timeout).await;
        }
        if let Some(action) = &probe.http_get {
            return self.http_get(action, timeout).await;
        }
        if let Some(action) = &probe.tcp_socket {
            return self.tcp_socket(action, timeout).await;
        }
        if let Some(action) = &probe.grpc {
            let service = action.service.as_deref().unwrap_or_default();
            return grpc::check(&self.pod_ip(), action.port, service, timeout).await;
        }
        Outcome::Error("missing probe handler".to_owned())
    }

    async fn exec(&self, action: &ExecAction, timeout: Duration) -> Outcome {
        let command = action.command.as_deref().unwrap_or_default();
        let ended = self.ctx.cri.exec_sync(&self.id, command, timeout).await;
        match ended {
            Ok(answer) if answer.exit_code == 0 => Outcome::Success,
            Ok(answer) => {
                let output = [answer.stdout, answer.stderr].concat();
                let text = String::from_utf8_lossy(&output);
                Outcome::Failure(text.into_owned())
            }
            Err(error) if error.code == Code::DeadlineExceeded => {
                let command = command.join(" ");
                let limit = timeout.as_secs();
                Outcome::Failure(format!(
                    "command timed out: \"{command}\" timed out after {limit}s"
                ))
            }
            Err(error) => Outcome::Error(error.message),
        }
    }

    async fn http_get(&self, action: &HTTPGetAction, timeout: Duration) -> Outcome {
        let ip = self.pod_ip();
        let target = match http::Target::new(action, &self.container, &ip) {
            Ok(target) => target,
            Err(error) => return Outcome::Error(chain(&error)),
        };
        match http::get(&target, timeout, "kube-probe/1.36").await {
            Ok(answer) if (200..400).contains(&answer.status) => Outcome::Success,
            Ok(answer) => Outcome::Failure(format!(
                "HTTP probe failed with statuscode: {}",
                answer.status
            )),
            Err(error) => Outcome::Failure(chain(&error)),
        }
    }

    async fn tcp_socket(&self, action: &TCPSocketAction, timeout: Duration) -> Outcome {
        let host = action.host.clone().unwrap_or_default();
        let host = if host.is_empty() { self.pod_ip() } else { host };
        let port = match port_number(&action.port, &self.container) {
            Ok(port) => port,
            Err(error) => return Outcome::Error(error.to_string()),
        };
        match dial(&host, port, timeout).await {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::Failure(chain(&error)),
        }
    }

    fn pod_ip(&self) -> String {
        if model::host_network(&self.pod) {
            let ip = self.ctx.node.ip_texts().first();
            return ip.cloned().unwrap_or_default();
        }
        let published = self.published.borrow();
        let sandbox = published.observed.ready_sandbox();
        let ip = sandbox.and_then(|sandbox| sandbox.ips.first());
        ip.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_a_streak_of_its_threshold() {
        let probe = Probe {
            failure_threshold: Some(2),
            success_threshold: Some(1),
            ..Probe::default()
        };
        let mut streak = Streak::default();
        for (success, crosses) in [(true, true), (false, false), (false, true), (true, true)] {
            streak.extend(success);
            assert_eq!(streak.crosses(&probe), crosses);
        }
    }
}
