//! Nobody hands out more than they hold: writing a role needs its permissions (or `escalate`),
//! binding one needs them too (or `bind`).

use k3s_meta::{Status, object};
use k3s_registry::Resource;
use serde_json::Value;

use super::rule::Rule;
use crate::Result;
use crate::authz::{Attributes, Decision, MASTERS};
use crate::context::Context;

/// Rules named in a refusal; the list can be long.
const SHOWN: usize = 10;

/// Checks a new or changed policy object of `context`'s user.
///
/// # Errors
/// 403 in upstream's words.
pub(crate) fn check(
    context: &Context,
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
) -> Result<()> {
    if resource.kind.group != super::GROUP || context.user.in_group(MASTERS) {
        return Ok(());
    }
    match resource.kind.kind {
        "Role" | "ClusterRole" => check_role(context, resource, new, old),
        "RoleBinding" | "ClusterRoleBinding" => check_binding(context, resource, new, old),
        _ => Ok(()),
    }
}

fn check_role(
    context: &Context,
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
) -> Result<()> {
    let unchanged = |field: &str| old.is_some_and(|old| old.get(field) == new.get(field));
    if unchanged("rules") && unchanged("aggregationRule") {
        return Ok(());
    }
    let namespace = &context.info.namespace;
    if allowed(context, "escalate", resource.kind.plural, object::name(new)) {
        return Ok(());
    }
    let mut wanted = Rule::read_all(new);
    if new
        .get("aggregationRule")
        .is_some_and(|rule| !rule.is_null())
    {
        // Aggregation can bring in anything.
        let all = "*".to_owned();
        wanted = vec![
            Rule {
                verbs: vec![all.clone()],
                groups: vec![all.clone()],
                resources: vec![all.clone()],
                ..Rule::default()
            },
            Rule {
                verbs: vec![all.clone()],
                paths: vec![all],
                ..Rule::default()
            },
        ];
    }
    confirm(context, resource, object::name(new), namespace, &wanted)
}

fn check_binding(
    context: &Context,
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
) -> Result<()> {
    let same = |field: &str| old.is_some_and(|old| old.get(field) == new.get(field));
    if same("roleRef") && same("subjects") {
        return Ok(());
    }
    let (kind, name) = (
        object::at_str(new, &["roleRef", "kind"]),
        object::at_str(new, &["roleRef", "name"]),
    );
    let plural = if kind == "Role" {
        "roles"
    } else {
        "clusterroles"
    };
    if allowed(context, "bind", plural, name) {
        return Ok(());
    }
    let namespace = &context.info.namespace;
    let Some(rules) = context.core.authorizer.rbac.rules_of(kind, namespace, name) else {
        let gr = k3s_meta::GroupResource::new(super::GROUP, plural.to_owned());
        return Err(Status::not_found(&gr, name).into());
    };
    confirm(context, resource, object::name(new), namespace, &rules)
}

fn allowed(context: &Context, verb: &str, plural: &str, name: &str) -> bool {
    let attributes = Attributes {
        user: &context.user,
        verb,
        namespace: &context.info.namespace,
        group: super::GROUP,
        resource: plural,
        subresource: "",
        name,
        path: "",
        is_resource: true,
        field_selector: None,
    };
    context.core.authorizer.authorize(&attributes) == Decision::Allow
}

fn confirm(
    context: &Context,
    resource: &Resource,
    name: &str,
    namespace: &str,
    wanted: &[Rule],
) -> Result<()> {
    let (held, _) = context
        .core
        .authorizer
        .rbac
        .rules_for(&context.user, namespace);
    let missing: Vec<Rule> = wanted
        .iter()
        .filter(|rule| {
            rule.simple()
                .iter()
                .any(|one| !held.iter().any(|have| have.covers(one)))
        })
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let user = &context.user;
    let shown: Vec<String> = missing.iter().take(SHOWN).map(Rule::show).collect();
    let groups: Vec<String> = user
        .groups
        .iter()
        .map(|group| format!("{group:?}"))
        .collect();
    let message = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        shown.join("\n")
    );
    Err(Status::forbidden(&resource.gr(), name, &message).into())
}
