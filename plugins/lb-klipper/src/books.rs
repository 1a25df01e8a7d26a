//! What is known of the cluster, and what was said of it last.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::model::{Node, Service};
use crate::plan::{Assignment, Cluster, assign};

/// An instance's state.
#[derive(Debug, Default)]
pub(crate) struct Books {
    config: Config,
    cluster: Cluster,
    /// The cluster changed since the last plan.
    stale: bool,
    /// What the host was told, by Service.
    told: BTreeMap<String, Assignment>,
    /// Services to tell the host about.
    waiting: BTreeSet<String>,
}

impl Books {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    pub(crate) fn upsert_service(&mut self, json: &[u8]) -> Result<(), String> {
        let service = Service::parse(json)?;
        self.stale = true;
        self.cluster.services.insert(service.key.clone(), service);
        Ok(())
    }

    pub(crate) fn remove_service(&mut self, key: &str) {
        self.stale = true;
        self.cluster.services.remove(key);
        self.cluster.ready.remove(key);
        self.told.remove(key);
    }

    pub(crate) fn upsert_node(&mut self, json: &[u8]) -> Result<(), String> {
        let node = Node::parse(json)?;
        self.stale = true;
        self.cluster.nodes.insert(node.name.clone(), node);
        Ok(())
    }

    pub(crate) fn remove_node(&mut self, name: &str) {
        self.stale = true;
        self.cluster.nodes.remove(name);
    }

    pub(crate) fn set_ready_nodes(&mut self, service: String, nodes: Vec<String>) {
        self.stale = true;
        self.cluster
            .ready
            .insert(service, nodes.into_iter().collect());
    }

    /// Up to `limit` assignments that the host has not been told.
    pub(crate) fn assign(&mut self, limit: usize) -> Vec<(String, Assignment)> {
        if std::mem::take(&mut self.stale) {
            self.plan();
        }
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(key) = self.waiting.pop_first()
        {
            // One that was removed meanwhile is not named.
            due.extend(self.told.get(&key).cloned().map(|told| (key, told)));
        }
        due
    }

    fn plan(&mut self) {
        for (key, assignment) in assign(&self.cluster, &self.config.reserved) {
            if self.told.get(key) == Some(&assignment) {
                continue;
            }
            self.told.insert(key.to_owned(), assignment);
            // If it still waits from an earlier call it is told once, with what is true then.
            self.waiting.insert(key.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, port: u16) -> Vec<u8> {
        format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "n"}}, "spec": {{"type": "LoadBalancer",
            "ports": [{{"port": {port}}}]}}}}"#
        )
        .into_bytes()
    }

    const NODE: &[u8] =
        br#"{"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}"#;

    fn keys(books: &mut Books, limit: usize) -> Vec<String> {
        books
            .assign(limit)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn only_differences_are_told() {
        let mut books = Books::default();
        books.upsert_node(NODE).unwrap();
        books.upsert_service(&service("a", 80)).unwrap();
        books.upsert_service(&service("b", 81)).unwrap();
        books.upsert_service(&service("c", 82)).unwrap();
        assert_eq!(keys(&mut books, 2), ["n/a", "n/b"]);
        assert_eq!(keys(&mut books, 2), ["n/c"]);
        assert!(keys(&mut books, 2).is_empty());
        books.upsert_service(&service("b", 81)).unwrap();
        assert!(keys(&mut books, 2).is_empty(), "the same again");
        books.upsert_service(&service("d", 80)).unwrap();
        books.remove_service("n/a");
        assert_eq!(keys(&mut books, 9), ["n/d"]);
        books.remove_node("n1");
        assert_eq!(keys(&mut books, 9), ["n/b", "n/c", "n/d"]);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut books = Books::default();
        books.upsert_service(&service("a", 80)).unwrap();
        assert!(
            books
                .upsert_service(br#"{"spec": {"ports": "x"}}"#)
                .is_err()
        );
        assert_eq!(keys(&mut books, 9), ["n/a"]);
    }
}
