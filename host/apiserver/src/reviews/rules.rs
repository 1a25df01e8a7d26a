//! SelfSubjectRulesReview: what RBAC allows the caller in a namespace (`kubectl auth can-i --list`).

use k3s_meta::{Status, tree};
use k3s_registry::Result;
use serde_json::{Value, json};

use crate::authz::rbac::rule::Rule;
use crate::context::Context;

pub(super) fn review(context: &Context, review: &Value) -> Result<Value> {
    let namespace = tree::text(review, "spec.namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request").into());
    }
    let (rules, missing) = context
        .core
        .authorizer
        .rbac
        .rules_for(&context.user, namespace);
    let (paths, resources): (Vec<Rule>, Vec<Rule>) =
        rules.into_iter().partition(|rule| !rule.paths.is_empty());
    let show = |rules: Vec<Rule>| rules.iter().map(Rule::to_value).collect::<Value>();
    // Nodes have rights that no role holds.
    let node = crate::authz::node::node_of(&context.user).is_some();
    let mut status = json!({
        "resourceRules": show(resources),
        "nonResourceRules": show(paths),
        "incomplete": node || !missing.is_empty(),
    });
    if !missing.is_empty() {
        tree::set(&mut status, "evaluationError", missing.join(", "));
    } else if node {
        tree::set(
            &mut status,
            "evaluationError",
            "node authorizer does not support user rule resolution",
        );
    }
    Ok(status)
}
