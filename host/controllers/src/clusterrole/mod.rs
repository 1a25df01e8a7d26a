//! ClusterRole aggregation: a role with an aggregation rule holds the rules of those it selects.

use k3s_client::resources::CLUSTER_ROLES;
use k3s_client::{Client, Informer, Object};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::selector;
use crate::context::Context;
use crate::error::ControllerError;

struct ClusterRoleAggregationController {
    client: Client,
    roles: Informer,
}

pub(crate) fn start(context: &Context) {
    let roles = context.informers.all(&CLUSTER_ROLES);
    let reconciler = ClusterRoleAggregationController {
        client: context.client("clusterrole-aggregation-controller"),
        roles: roles.clone(),
    };
    let cache = roles.clone();
    Controller::new("clusterrole-aggregation-controller")
        .watch(&roles, move |_| {
            // Any role may be selected, or no longer be, by any rule; there are few of them.
            cache
                .list()
                .into_iter()
                .filter(aggregates)
                .map(|role| role.key().clone())
                .collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

fn aggregates(role: &Object) -> bool {
    !tree::list(role.value(), "aggregationRule.clusterRoleSelectors").is_empty()
}

impl Reconciler for ClusterRoleAggregationController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(role) = self.roles.get(key) else {
            return Ok(Outcome::Done);
        };
        if role.is_deleting() || !aggregates(&role) {
            return Ok(Outcome::Done);
        }
        let mut others = self.roles.list();
        others.retain(|other| other.name() != role.name());
        others.sort_by(|a, b| a.name().cmp(b.name()));
        let rules = rules(&role, &others)?;
        let present = tree::list(role.value(), "rules");
        if present == rules.as_slice() {
            return Ok(Outcome::Done);
        }
        let mut body = role.value().clone();
        tree::set(&mut body, "rules", rules);
        self.client.update(&CLUSTER_ROLES, None, &body).await?;
        Ok(Outcome::Done)
    }
}

/// The rules of the selected roles, each once, in a stable order.
fn rules(role: &Object, others: &[Object]) -> Result<Vec<Value>, ControllerError> {
    let mut rules: Vec<Value> = Vec::new();
    for selector in tree::list(role.value(), "aggregationRule.clusterRoleSelectors") {
        let selector = selector::read(role, selector)?;
        for other in others {
            let labels = &other.meta().labels;
            if !selector.matches_labels(labels) {
                continue;
            }
            for rule in tree::list(other.value(), "rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::*;

    #[test]
    fn selected_rules_come_once() {
        let role = Obj::from_value(json!({"metadata": {"name": "view"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "x"}}, {"matchLabels": {"b": "y"}}]}}))
        .unwrap();
        let part = |name: &str, labels: Value, verb: &str| {
            Obj::from_value(
                json!({"metadata": {"name": name, "labels": labels}, "rules": [{"verbs": [verb]}]}),
            )
            .unwrap()
        };
        let others = [
            part("1", json!({"a": "x", "b": "y"}), "get"),
            part("2", json!({"b": "y"}), "list"),
            part("3", json!({}), "delete"),
        ];
        assert_eq!(
            rules(&role, &others).unwrap(),
            [json!({"verbs": ["get"]}), json!({"verbs": ["list"]})]
        );
    }
}
