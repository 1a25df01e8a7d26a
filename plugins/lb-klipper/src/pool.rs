//! Which nodes may answer for a Service.

use std::collections::BTreeSet;

use crate::model::{Node, Service};

/// On nodes: once any node has it with the value `true`, only such nodes answer.
pub(crate) const ENABLE: &str = "svccontroller.k3s.cattle.io/enablelb";
/// On nodes and Services: where [`ENABLE`] is in use, a Service with it is answered by nodes with the
/// same value only.
pub(crate) const POOL: &str = "svccontroller.k3s.cattle.io/lbpool";
/// On nodes, whatever its value: no load balancer uses them (`node.kubernetes.io` well-known label).
pub(crate) const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The nodes of the cluster that take part at all.
pub(crate) struct Pool<'a> {
    nodes: Vec<&'a Node>,
    chosen_by_label: bool,
}

impl<'a> Pool<'a> {
    pub(crate) fn of(nodes: impl Iterator<Item = &'a Node> + Clone) -> Self {
        let enabled = |node: &Node| node.labels.get(ENABLE).is_some_and(|value| value == "true");
        let chosen_by_label = nodes.clone().any(enabled);
        let nodes = nodes
            .filter(|n| {
                n.ready && !n.labels.contains_key(EXCLUDE) && (!chosen_by_label || enabled(n))
            })
            .collect();
        Self {
            nodes,
            chosen_by_label,
        }
    }

    /// The nodes for a Service; `ready` are those with a ready endpoint of it.
    pub(crate) fn of_service(
        &self,
        service: &Service,
        ready: Option<&BTreeSet<String>>,
    ) -> Vec<&'a Node> {
        let pool = service
            .labels
            .get(POOL)
            .filter(|value| self.chosen_by_label && !value.is_empty());
        let in_pool = |node: &Node| pool.is_none_or(|pool| node.labels.get(POOL) == Some(pool));
        // Without an endpoint of its own a node would drop what comes from outside.
        let answers =
            |node: &Node| !service.local || ready.is_some_and(|ready| ready.contains(&node.name));
        self.nodes
            .iter()
            .copied()
            .filter(|n| in_pool(n) && answers(n))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{node, service};

    fn names(nodes: &[Node], service: &Service, ready: &[&str]) -> Vec<String> {
        let ready = ready.iter().map(|n| (*n).to_owned()).collect();
        Pool::of(nodes.iter())
            .of_service(service, Some(&ready))
            .iter()
            .map(|n| n.name.clone())
            .collect()
    }

    fn labelled(name: &str, labels: &[(&str, &str)]) -> Node {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Node {
            labels,
            ..node(name, 1)
        }
    }

    #[test]
    fn labels_choose_nodes_as_on_k3s() {
        let plain = service("a", &[80]);
        let mut pooled = plain.clone();
        pooled.labels.insert(POOL.into(), "x".into());
        let all = [labelled("n1", &[]), labelled("n2", &[(POOL, "x")])];
        assert_eq!(names(&all, &plain, &[]), ["n1", "n2"]);
        assert_eq!(
            names(&all, &pooled, &[]),
            ["n1", "n2"],
            "pools need an enabled node"
        );
        let some = [
            labelled("n1", &[]),
            labelled("n2", &[(ENABLE, "true")]),
            labelled("n3", &[(ENABLE, "true"), (POOL, "x")]),
            labelled("n4", &[(ENABLE, "false"), (POOL, "x")]),
        ];
        assert_eq!(names(&some, &plain, &[]), ["n2", "n3"]);
        assert_eq!(names(&some, &pooled, &[]), ["n3"]);
        assert!(names(&[labelled("n1", &[(EXCLUDE, "")])], &plain, &[]).is_empty());
        assert!(
            names(
                &[Node {
                    ready: false,
                    ..node("n1", 1)
                }],
                &plain,
                &[]
            )
            .is_empty()
        );
    }

    #[test]
    fn a_local_policy_needs_an_endpoint_on_the_node() {
        let local = Service {
            local: true,
            ..service("a", &[80])
        };
        let nodes = [node("n1", 1), node("n2", 2)];
        assert_eq!(names(&nodes, &local, &["n2"]), ["n2"]);
        assert!(Pool::of(nodes.iter()).of_service(&local, None).is_empty());
    }
}
