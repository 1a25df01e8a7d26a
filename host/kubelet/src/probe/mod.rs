//! Startup, liveness and readiness probes: one task per probed container while it runs
//! (`pkg/kubelet/prober`).

mod grpc;
pub(crate) mod http;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_client::EventType;
use k3s_lifecycle::CancellationToken;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::context::Ctx;
use crate::pod::model::{self, ContainerRecord, Observed, Slot, State, all_containers, is_sidecar};
use crate::pod::plan::Verdicts;
use crate::pod::table::Handle;

/// The probers of one pod; dropping them stops them.
pub(crate) struct Probers {
    ctx: Ctx,
    handle: Arc<Handle>,
    running: HashMap<String, CancellationToken>,
}

/// One verdict of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure(String),
    /// The probe itself could not be made; upstream counts it as a failure.
    Error(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Probers {
    pub(crate) fn new(ctx: &Ctx, handle: &Arc<Handle>) -> Self {
        Self {
            ctx: ctx.clone(),
            handle: handle.clone(),
            running: HashMap::new(),
        }
    }

    /// Starts probers of containers that run now and stops those of containers that do not.
    pub(crate) fn sync(&mut self, pod: &Arc<Pod>, observed: &Observed) {
        let live = |id: &str| {
            observed
                .containers
                .iter()
                .any(|c| c.id == id && c.state == State::Running)
        };
        self.running.retain(|id, stop| {
            let keep = live(id);
            if !keep {
                stop.cancel();
            }
            keep
        });
        self.handle.retain_verdicts(live);
        let Some(spec) = &pod.spec else { return };
        for (slot, container) in all_containers(spec) {
            let probed = container.startup_probe.is_some()
                || container.liveness_probe.is_some()
                || container.readiness_probe.is_some();
            let probed = probed && (matches!(slot, Slot::Main(_)) || is_sidecar(container));
            let Some(record) = observed
                .latest(&container.name)
                .filter(|r| probed && r.state == State::Running)
            else {
                continue;
            };
            if !self.running.contains_key(&record.id) {
                let stop = self.ctx.tasks.stopping().child_token();
                self.running.insert(record.id.clone(), stop.clone());
                self.adopt(pod, container, record);
                self.start(pod, slot, container, record, stop);
            }
        }
    }

    /// Stops all of them.
    pub(crate) fn stop(&mut self) {
        self.running.drain().for_each(|(_, stop)| stop.cancel());
    }

    /// A container that ran before this process did keeps the verdict its status shows, so that an
    /// adopted pod does not flap.
    fn adopt(&self, pod: &Pod, container: &Container, record: &ContainerRecord) {
        let status = pod.status.iter();
        let statuses = status.flat_map(|s| {
            s.container_statuses
                .iter()
                .chain(s.init_container_statuses.iter())
                .flatten()
        });
        let suffix = format!("://{}", record.id);
        let Some(old) = statuses.into_iter().find(|s| {
            s.container_id
                .as_ref()
                .is_some_and(|id| id.ends_with(&suffix))
        }) else {
            return;
        };
        let (started, ready) = (old.started == Some(true), old.ready);
        self.handle.judge(&record.id, |v| {
            if container.startup_probe.is_some() && started && v.startup.is_none() {
                v.startup = Some(true);
            }
            if ready && v.readiness.is_none() {
                v.readiness = Some(true);
            }
        });
    }

    fn start(
        &self,
        pod: &Arc<Pod>,
        slot: Slot,
        container: &Container,
        record: &ContainerRecord,
        stop: CancellationToken,
    ) {
        let prober = Prober {
            ctx: self.ctx.clone(),
            handle: self.handle.clone(),
            pod: pod.clone(),
            slot,
            container: container.clone(),
            id: record.id.clone(),
            started_ns: record.started_at_ns,
        };
        self.ctx.tasks.spawn("prober", async move {
            tokio::select! {
                () = prober.run() => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Drop for Probers {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Prober {
    ctx: Ctx,
    handle: Arc<Handle>,
    pod: Arc<Pod>,
    slot: Slot,
    container: Container,
    id: String,
    started_ns: i64,
}

fn secs(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(
        value
            .and_then(|v| u64::try_from(v).ok())
            .filter(|v| *v > 0)
            .unwrap_or(default),
    )
}

impl Prober {
    async fn run(self) {
        if let Some(probe) = &self.container.startup_probe {
            let done = self
                .handle
                .verdicts()
                .get(&self.id)
                .is_some_and(|v: &Verdicts| v.startup == Some(true));
            if !done && !self.until_started(probe).await {
                return;
            }
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
        let delay = Duration::from_secs(
            probe
                .initial_delay_seconds
                .and_then(|v| u64::try_from(v).ok())
                .unwrap_or(0),
        );
        let now = i64::try_from(self.ctx.config.clock.now().as_nanosecond()).unwrap_or(i64::MAX);
        let ran =
            Duration::from_nanos(u64::try_from(now.saturating_sub(self.started_ns)).unwrap_or(0));
        tokio::time::sleep(delay.saturating_sub(ran)).await;
    }

    /// True once started, false when the threshold was crossed.
    async fn until_started(&self, probe: &Probe) -> bool {
        self.initial_delay(probe).await;
        let mut failures = 0;
        loop {
            match self.once(probe, Kind::Startup).await {
                Outcome::Success => {
                    self.handle.judge(&self.id, |v| v.startup = Some(true));
                    return true;
                }
                _ => failures += 1,
            }
            if failures >= probe.failure_threshold.unwrap_or(3).max(1) {
                self.handle.judge(&self.id, |v| v.startup = Some(false));
                return false;
            }
            tokio::time::sleep(secs(probe.period_seconds, 10)).await;
        }
    }

    /// Probes for ever; a liveness failure beyond the threshold ends it, the container is killed.
    async fn repeat(&self, probe: &Probe, kind: Kind) {
        self.initial_delay(probe).await;
        let mut row = (true, 0);
        loop {
            let good = self.once(probe, kind).await == Outcome::Success;
            row = if row.0 == good {
                (good, row.1 + 1)
            } else {
                (good, 1)
            };
            let threshold = if good {
                probe.success_threshold.unwrap_or(1)
            } else {
                probe.failure_threshold.unwrap_or(3)
            };
            if row.1 >= threshold.max(1) {
                self.handle.judge(&self.id, |v| match kind {
                    Kind::Liveness => v.liveness = Some(good),
                    _ => v.readiness = Some(good),
                });
                if kind == Kind::Liveness && !good {
                    return;
                }
            }
            tokio::time::sleep(secs(probe.period_seconds, 10)).await;
        }
    }

    async fn once(&self, probe: &Probe, kind: Kind) -> Outcome {
        let outcome = self.attempt(probe).await;
        let (Outcome::Failure(message) | Outcome::Error(message)) = &outcome else {
            return outcome;
        };
        let verb = if matches!(outcome, Outcome::Error(_)) {
            "errored and resulted in failure"
        } else {
            "failed"
        };
        let text = format!("{kind:?} probe {verb}: {message}");
        self.ctx
            .events
            .container(&self.pod, self.slot, EventType::Warning, "Unhealthy", text);
        outcome
    }

    async fn attempt(&self, probe: &Probe) -> Outcome {
        let timeout = secs(probe.timeout_seconds, 1);
        let ip = self.pod_ip();
        if let Some(exec) = &probe.exec {
            return self
                .exec(&exec.command.clone().unwrap_or_default(), timeout)
                .await;
        }
        if let Some(get) = &probe.http_get {
            let target = match http::Target::new(get, &self.container, &ip) {
                Ok(target) => target,
                Err(error) => return Outcome::Error(error),
            };
            return match http::get(&target, timeout, "kube-probe/1.36").await {
                Ok(answer) if (200..400).contains(&answer.status) => Outcome::Success,
                Ok(answer) => Outcome::Failure(format!(
                    "HTTP probe failed with statuscode: {}",
                    answer.status
                )),
                Err(error) => Outcome::Failure(error),
            };
        }
        if let Some(tcp) = &probe.tcp_socket {
            let host = tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or(ip);
            return match port_number(&tcp.port, &self.container) {
                Ok(port) => dial(&host, port, timeout)
                    .await
                    .map_or_else(Outcome::Failure, |_| Outcome::Success),
                Err(error) => Outcome::Error(error),
            };
        }
        if let Some(check) = &probe.grpc {
            return grpc::check(
                &ip,
                check.port,
                check.service.as_deref().unwrap_or_default(),
                timeout,
            )
            .await;
        }
        Outcome::Error("missing probe handler".to_owned())
    }

    async fn exec(&self, command: &[String], timeout: Duration) -> Outcome {
        match self.ctx.cri.exec_sync(&self.id, command, timeout).await {
            Ok(answer) if answer.exit_code == 0 => Outcome::Success,
            Ok(answer) => Outcome::Failure(
                String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned(),
            ),
            Err(error) if error.code == k3s_cri::Code::DeadlineExceeded => {
                Outcome::Failure(format!(
                    "command timed out: \"{}\" timed out after {}s",
                    command.join(" "),
                    timeout.as_secs()
                ))
            }
            Err(error) => Outcome::Error(error.message),
        }
    }

    fn pod_ip(&self) -> String {
        let first = |ips: Vec<String>| ips.into_iter().next().unwrap_or_default();
        if model::host_network(&self.pod) {
            return first(self.ctx.node.ip_texts());
        }
        first(
            self.handle
                .observed()
                .ready_sandbox()
                .map(|s| s.ips.clone())
                .unwrap_or_default(),
        )
    }
}

/// The number of a port given by number or by the name of a container port.
pub(crate) fn port_number(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container
                .ports
                .iter()
                .flatten()
                .find(|p| p.name.as_deref() == Some(name));
            named
                .map(|p| p.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("invalid port: {port:?}"))
}

/// Connects, with errors in Go's words.
pub(crate) async fn dial(
    host: &str,
    port: u16,
    timeout: Duration,
) -> Result<tokio::net::TcpStream, String> {
    let shown = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(format!("dial tcp {shown}: connect: connection refused"))
        }
        Ok(Err(error)) => Err(format!("dial tcp {shown}: connect: {error}")),
        Err(_) => Err(format!("dial tcp {shown}: i/o timeout")),
    }
}
