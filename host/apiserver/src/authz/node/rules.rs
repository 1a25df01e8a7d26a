//! What every node may do regardless of its pods: upstream's `NodeRules`, without what the graph and
//! the node's own objects decide.

use crate::authz::Attributes;

/// Group, resource (with subresource), verbs.
const RULES: &[(&str, &str, &[&str])] = &[
    ("", "events", &["create", "patch", "update"]),
    ("", "services", &["get", "list", "watch"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    (
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        &["create"],
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        &["create"],
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        &["create"],
    ),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    (
        "certificates.k8s.io",
        "certificatesigningrequests",
        &["create", "get", "list", "watch"],
    ),
    ("events.k8s.io", "events", &["create", "patch", "update"]),
    ("node.k8s.io", "runtimeclasses", &["get", "list", "watch"]),
    ("storage.k8s.io", "csidrivers", &["get", "list", "watch"]),
    ("storage.k8s.io", "volumeattachments", &["get"]),
];

pub(super) fn allows(asked: &Attributes<'_>) -> bool {
    let resource = asked.resource_path();
    RULES.iter().any(|(group, rule, verbs)| {
        *group == asked.group && *rule == resource && verbs.contains(&asked.verb)
    })
}
