//! Ports of the containers of a pod that stand for each other.

use std::collections::BTreeMap;

use k3s_meta::field::Path;
use k3s_meta::tree;
use serde_json::Value;

use super::{Warnings, each_container};

struct Port<'a> {
    at: Path,
    host_ip: &'a str,
    host_port: i64,
}

impl Port<'_> {
    /// How this port and an earlier one with the same number and protocol disagree.
    fn clash(&self, other: &Port<'_>) -> Option<&'static str> {
        let same_port = self.host_port == other.host_port;
        let one_without_ip = self.host_ip.is_empty() != other.host_ip.is_empty();
        if self.host_ip == other.host_ip && same_port {
            Some("duplicate")
        } else if self.host_port == 0 || other.host_port == 0 {
            Some("overlapping")
        } else if same_port && one_without_ip {
            Some("dangerously ambiguous")
        } else {
            None
        }
    }
}

/// Warns of ports in `spec`, which stands at `path`.
pub(super) fn warn(warnings: &mut Warnings, spec: &Value, path: &Path) {
    let mut known: BTreeMap<(i64, &str), Vec<Port<'_>>> = BTreeMap::new();
    each_port(spec, path, |value, at| {
        let port = Port {
            at,
            host_ip: tree::text(value, "hostIP"),
            host_port: tree::int(value, "hostPort").unwrap_or(0),
        };
        if !port.host_ip.is_empty() && port.host_port == 0 {
            let shown = shown(value);
            warnings.add(&port.at, &format!("hostIP set without hostPort: {shown}"));
        }
        let number = tree::int(value, "containerPort").unwrap_or(0);
        let same = known
            .entry((number, tree::text(value, "protocol")))
            .or_default();
        for other in same.iter() {
            if let Some(how) = port.clash(other) {
                let text = format!("{how} port definition with {}", other.at);
                warnings.add(&port.at, &text);
            }
        }
        same.push(port);
    });
    let mut names: BTreeMap<&str, Path> = BTreeMap::new();
    each_port(spec, path, |value, at| {
        let name = tree::text(value, "name");
        if name.is_empty() {
            return;
        }
        match names.get(name) {
            Some(first) => warnings.add(
                &at,
                &format!(
                    "duplicate port name {name:?} with {first}, services and probes that select ports by name will use {first}"
                ),
            ),
            None => drop(names.insert(name, at)),
        }
    });
}

fn each_port<'a>(spec: &'a Value, path: &Path, mut visit: impl FnMut(&'a Value, Path)) {
    each_container(spec, path, |container, at| {
        for (index, port) in tree::list(container, "ports").iter().enumerate() {
            visit(port, at.child("ports").index(index));
        }
    });
}

/// The port as Go prints its struct.
fn shown(port: &Value) -> String {
    let text = |field| tree::text(port, field);
    let number = |field| tree::int(port, field).unwrap_or(0);
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        text("name"),
        number("hostPort"),
        number("containerPort"),
        text("protocol"),
        text("hostIP")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn ports_that_stand_for_each_other_are_pointed_out() {
        let port = |extra: serde_json::Value| {
            let mut port = json!({"containerPort": 80, "protocol": "TCP"});
            port.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            port
        };
        for (first, second, want) in [
            (
                json!({}),
                json!({}),
                "duplicate port definition with spec.initContainers[0].ports[0]",
            ),
            (
                json!({}),
                json!({"hostPort": 8}),
                "overlapping port definition with spec.initContainers[0].ports[0]",
            ),
            (
                json!({"hostPort": 8}),
                json!({"hostPort": 8, "hostIP": "10.0.0.1"}),
                "dangerously ambiguous port definition with spec.initContainers[0].ports[0]",
            ),
            (
                json!({"name": "a", "hostPort": 8}),
                json!({"name": "a", "hostPort": 9}),
                "duplicate port name \"a\" with spec.initContainers[0].ports[0], services and probes that select ports by name will use spec.initContainers[0].ports[0]",
            ),
            (
                json!({"hostPort": 8}),
                json!({"containerPort": 81, "hostIP": "10.0.0.1"}),
                "hostIP set without hostPort: {Name: HostPort:0 ContainerPort:81 Protocol:TCP HostIP:10.0.0.1}",
            ),
        ] {
            let pod = json!({"spec": {
                "initContainers": [{"name": "a", "ports": [port(first)]}],
                "containers": [{"name": "b", "ports": [port(second)]}],
            }});
            let warnings = super::super::pod(&pod);
            assert_eq!(warnings, [format!("spec.containers[0].ports[0]: {want}")]);
        }
    }
}
