//! `/metrics`, `/metrics/resource` and `/metrics/cadvisor`, in upstream's names.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::Server;
use super::usage::{ContainerUse, container_uses, node_use};
use crate::cri::CriError;
use crate::model::State;
use crate::pod::table::PodTable;

/// Text in the Prometheus exposition format. Samples carry `time_ms` where it is set.
#[derive(Default)]
struct Exposition {
    out: String,
    time_ms: Option<i64>,
}

impl Exposition {
    /// Begins a family; `kind` is `counter` or `gauge`.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample; `labels` are in braces or empty.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match self.time_ms {
            Some(time) => writeln!(self.out, "{name}{labels} {value} {time}"),
            None => writeln!(self.out, "{name}{labels} {value}"),
        };
    }

    /// A family of one sample without labels.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    /// A family with one sample per container that has a value.
    fn per_container<T: Display>(
        &mut self,
        containers: &[ContainerUse],
        (name, kind, help): (&str, &str, &str),
        labels: impl Fn(&ContainerUse) -> String,
        value: impl Fn(&ContainerUse) -> Option<T>,
    ) {
        self.family(name, kind, help);
        for container in containers {
            if let Some(value) = value(container) {
                self.sample(name, &labels(container), value);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// `/metrics/resource`: what metrics-server reads.
pub(super) async fn resource(server: &Server) -> Result<String, CriError> {
    let containers = container_uses(&server.cri).await?;
    let mut text = Exposition {
        time_ms: Some(server.config.clock.now().as_millisecond()),
        ..Exposition::default()
    };
    resource_of_containers(&mut text, &containers, &server.pods);
    let node = node_use();
    text.single(
        "node_cpu_usage_seconds_total",
        "counter",
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
        node.cpu_seconds,
    );
    text.single(
        "node_memory_working_set_bytes",
        "gauge",
        "[STABLE] Current working set of the node in bytes",
        node.memory_used_bytes,
    );
    resource_of_pods(&mut text, &containers);
    text.time_ms = None;
    text.single(
        "resource_scrape_error",
        "gauge",
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
        0,
    );
    Ok(text.out)
}

fn resource_of_containers(text: &mut Exposition, containers: &[ContainerUse], pods: &PodTable) {
    let labels = |c: &ContainerUse| {
        format!(
            "{{container=\"{}\",namespace=\"{}\",pod=\"{}\"}}",
            c.name, c.namespace, c.pod
        )
    };
    let cpu = (
        "container_cpu_usage_seconds_total",
        "counter",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
    );
    text.per_container(containers, cpu, labels, |c| Some(seconds(c.cpu_nanos)));
    let memory = (
        "container_memory_working_set_bytes",
        "gauge",
        "[STABLE] Current working set of the container in bytes",
    );
    text.per_container(containers, memory, labels, |c| Some(c.working_set));
    let start = (
        "container_start_time_seconds",
        "gauge",
        "[STABLE] Start time of the container since unix epoch in seconds",
    );
    text.per_container(containers, start, labels, |c| started(pods, c));
}

/// When the container started, in seconds since the Unix epoch.
fn started(pods: &PodTable, container: &ContainerUse) -> Option<f64> {
    let observed = pods.get(&container.uid)?.observed();
    let mut records = observed.containers.iter();
    let record = records.find(|record| record.id == container.id)?;
    let nanos = u64::try_from(record.started_at_ns).unwrap_or(0);
    Some(seconds(nanos))
}

fn resource_of_pods(text: &mut Exposition, containers: &[ContainerUse]) {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for container in containers {
        let key = (container.namespace.as_str(), container.pod.as_str());
        let (cpu_nanos, working_set) = sums.entry(key).or_default();
        *cpu_nanos += container.cpu_nanos;
        *working_set += container.working_set;
    }
    let cpu = "pod_cpu_usage_seconds_total";
    let help = "[STABLE] Cumulative cpu time consumed by the pod in core-seconds";
    text.family(cpu, "counter", help);
    for (pod, (cpu_nanos, _)) in &sums {
        let labels = pod_labels(*pod);
        text.sample(cpu, &labels, seconds(*cpu_nanos));
    }
    let memory = "pod_memory_working_set_bytes";
    let help = "[STABLE] Current working set of the pod in bytes";
    text.family(memory, "gauge", help);
    for (pod, (_, working_set)) in &sums {
        let labels = pod_labels(*pod);
        text.sample(memory, &labels, working_set);
    }
}

fn pod_labels((namespace, pod): (&str, &str)) -> String {
    format!("{{namespace=\"{namespace}\",pod=\"{pod}\"}}")
}

/// `/metrics/cadvisor`: the container and machine series that dashboards use most.
pub(super) async fn cadvisor(server: &Server) -> Result<String, CriError> {
    let containers = container_uses(&server.cri).await?;
    let mut text = Exposition::default();
    let labels = |c: &ContainerUse| {
        format!(
            "{{container=\"{}\",id=\"{}\",name=\"{}\",namespace=\"{}\",pod=\"{}\"}}",
            c.name, c.id, c.id, c.namespace, c.pod
        )
    };
    let cpu = (
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed in seconds.",
    );
    text.per_container(&containers, cpu, labels, |c| Some(seconds(c.cpu_nanos)));
    let memory = (
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set in bytes.",
    );
    text.per_container(&containers, memory, labels, |c| Some(c.working_set));
    let rss = ("container_memory_rss", "gauge", "Size of RSS in bytes.");
    text.per_container(&containers, rss, labels, |c| Some(c.rss));
    let machine = &server.node.machine;
    text.single(
        "machine_cpu_cores",
        "gauge",
        "Number of logical CPU cores.",
        machine.cpus,
    );
    text.single(
        "machine_memory_bytes",
        "gauge",
        "Amount of memory installed on the machine.",
        machine.memory_bytes,
    );
    Ok(text.out)
}

/// `/metrics`: the kubelet's own.
pub(super) fn own(server: &Server) -> String {
    let mut text = Exposition::default();
    let handles = server.pods.list();
    let observed: Vec<_> = handles.iter().map(|handle| handle.observed()).collect();
    let name = "kubelet_node_name";
    let help = "[ALPHA] The node's name. The count is always 1.";
    text.family(name, "gauge", help);
    let labels = format!("{{node=\"{}\"}}", server.config.node_name);
    text.sample(name, &labels, 1);
    let ready = observed.iter().filter(|o| o.ready_sandbox().is_some());
    text.single(
        "kubelet_running_pods",
        "gauge",
        "[ALPHA] Number of pods that have a running pod sandbox",
        ready.count(),
    );
    let name = "kubelet_running_containers";
    let help = "[ALPHA] Number of containers currently running";
    text.family(name, "gauge", help);
    for (state, label) in [
        (State::Created, "created"),
        (State::Running, "running"),
        (State::Exited, "exited"),
        (State::Unknown, "unknown"),
    ] {
        let containers = observed.iter().flat_map(|o| &o.containers);
        let count = containers.filter(|c| c.state == state).count();
        let labels = format!("{{container_state=\"{label}\"}}");
        text.sample(name, &labels, count);
    }
    text.single(
        "kubelet_desired_pods",
        "gauge",
        "[ALPHA] The number of pods the kubelet is being instructed to run",
        handles.len(),
    );
    text.out
}
