//! What Kubernetes knows of a pod, as the arguments of plugins that can use it.

use k3s_base::error::Sentence;
use k3s_runtime::{Bandwidth, PortMapping, Protocol, SandboxNetwork};
use serde_json::{Map, Value, json};

/// The burst of a limited rate, in bits: containerd's value, since Kubernetes does not define one.
const BURST_BITS: u64 = u32::MAX as u64;
/// The interface of a pod.
pub(crate) const INTERFACE: &str = "eth0";

/// `CNI_ARGS`, as every runtime of Kubernetes sets them.
pub(crate) fn args(pod: &SandboxNetwork) -> String {
    format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
        pod.namespace, pod.name, pod.id, pod.uid
    )
}

/// Values by capability (`CONVENTIONS.md` of the specification).
pub(crate) fn of(pod: &SandboxNetwork) -> Result<Map<String, Value>, Sentence> {
    let mut all = Map::new();
    let ports: Vec<Value> = pod
        .port_mappings
        .iter()
        .filter(|p| p.host_port != 0)
        .map(port)
        .collect();
    if !ports.is_empty() {
        all.insert("portMappings".into(), ports.into());
    }
    let Bandwidth { ingress, egress } = pod.bandwidth()?;
    if ingress.is_some() || egress.is_some() {
        let mut limits = Map::new();
        for (name, rate) in [("ingress", ingress), ("egress", egress)] {
            if let Some(rate) = rate {
                limits.insert(format!("{name}Rate"), rate.into());
                limits.insert(format!("{name}Burst"), BURST_BITS.into());
            }
        }
        all.insert("bandwidth".into(), limits.into());
    }
    if !pod.annotations.is_empty() {
        all.insert(
            "io.kubernetes.cri.pod-annotations".into(),
            json!(pod.annotations),
        );
    }
    Ok(all)
}

fn port(port: &PortMapping) -> Value {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let host_ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
    json!({"hostPort": port.host_port, "containerPort": port.container_port, "protocol": protocol, "hostIP": host_ip})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &[(&str, &str)]) -> SandboxNetwork {
        let annotations = annotations
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        SandboxNetwork {
            annotations,
            ..SandboxNetwork::default()
        }
    }

    #[test]
    fn bandwidth_comes_from_annotations() {
        let all = of(&pod(&[("kubernetes.io/ingress-bandwidth", "10M")])).unwrap();
        assert_eq!(
            all["bandwidth"],
            json!({"ingressRate": 10_000_000, "ingressBurst": 4_294_967_295_u64})
        );
        for (text, part) in [
            ("1", "between 1k and 1P"),
            ("fast", "annotation kubernetes.io/egress-bandwidth"),
        ] {
            let error = of(&pod(&[("kubernetes.io/egress-bandwidth", text)])).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(of(&pod(&[])).unwrap().is_empty());
    }
}
