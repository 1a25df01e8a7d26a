//! The contract's functions.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::load_balancer::{Assignment, Cluster, LoadBalancer};

use crate::config::Config;
use crate::model::{NODE_FIELDS, Node, SERVICE_FIELDS, Service};
use crate::plan;

/// The load balancer: its settings.
#[derive(Debug)]
pub(crate) struct Klipper {
    config: Config,
}

impl LoadBalancer for Klipper {
    type Config = Config;
    type Service = Service;
    type Node = Node;

    const NAME: &'static str = "klipper";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SERVICE_FIELDS: &'static [&'static str] = SERVICE_FIELDS;
    const NODE_FIELDS: &'static [&'static str] = NODE_FIELDS;

    fn new(config: Config) -> Result<Self, Sentence> {
        Ok(Self { config })
    }

    fn assign(&self, cluster: &Cluster<Service, Node>) -> Vec<Assignment> {
        let assignments = plan::assign(cluster, &self.config.reserved);
        assignments.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use k3s_plugin_sdk::load_balancer::{Incremental, Object, ObjectKey};

    use super::*;

    fn service(name: &str, port: u16) -> Object {
        let json = format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "n"}}, "spec": {{"type": "LoadBalancer",
            "ports": [{{"port": {port}}}]}}}}"#
        );
        Object {
            key: key("Service", "n", name),
            json: json.into_bytes(),
        }
    }

    fn node() -> Object {
        let json = br#"{"metadata": {"name": "n1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}"#;
        Object {
            key: key("Node", "", "n1"),
            json: json.to_vec(),
        }
    }

    fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn klipper() -> Incremental<Klipper> {
        let config = Config::default();
        Incremental::new(Klipper { config })
    }

    fn keys(state: &mut Incremental<Klipper>, limit: u32) -> Vec<String> {
        let assignments = state.assign(limit).into_iter();
        assignments.map(|assignment| assignment.service).collect()
    }

    #[test]
    fn only_differences_are_returned() {
        let mut state = klipper();
        state.upsert(vec![node()]).unwrap();
        let services = [service("a", 80), service("b", 81), service("c", 82)];
        state.upsert(services.to_vec()).unwrap();
        assert_eq!(keys(&mut state, 2), ["n/a", "n/b"]);
        assert_eq!(keys(&mut state, 2), ["n/c"]);
        assert!(keys(&mut state, 2).is_empty());
        state.upsert(vec![service("b", 81)]).unwrap();
        assert!(keys(&mut state, 2).is_empty(), "the same again");
        state.upsert(vec![service("d", 80)]).unwrap();
        state.remove(&[key("Service", "n", "a")]);
        assert_eq!(keys(&mut state, 9), ["n/d"]);
        state.remove(&[key("Node", "", "n1")]);
        assert_eq!(keys(&mut state, 9), ["n/b", "n/c", "n/d"]);
    }

    #[test]
    fn an_unreadable_service_changes_nothing() {
        let mut state = klipper();
        state.upsert(vec![service("a", 80)]).unwrap();
        let broken = Object {
            json: br#"{"spec": {"ports": "x"}}"#.to_vec(),
            ..service("b", 81)
        };
        assert!(state.upsert(vec![broken]).is_err());
        assert_eq!(keys(&mut state, 9), ["n/a"]);
    }
}
