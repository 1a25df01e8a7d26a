//! Defaults and texts that webhook configurations and admission policies have in common.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::print;

/// Defaults of one webhook.
pub(super) fn default_webhook(webhook: &mut Value) {
    tree::set_missing(webhook, "failurePolicy", "Fail");
    tree::set_missing(webhook, "matchPolicy", "Equivalent");
    tree::set_missing(webhook, "namespaceSelector", json!({}));
    tree::set_missing(webhook, "objectSelector", json!({}));
    tree::set_missing(webhook, "timeoutSeconds", 10);
    tree::set_missing(webhook, "clientConfig", json!({}));
    if let Some(service) = tree::get_mut(webhook, "clientConfig.service") {
        tree::set_missing(service, "port", 443);
    }
    for rule in tree::each_mut(webhook, "rules") {
        tree::set_missing(rule, "scope", "*");
    }
}

/// Defaults of the match resources at `path` of a policy or a binding.
pub(super) fn default_match(object: &mut Value, path: &str) {
    let Some(matches) = tree::get_mut(object, path) else {
        return;
    };
    tree::set_missing(matches, "matchPolicy", "Equivalent");
    tree::set_missing(matches, "namespaceSelector", json!({}));
    tree::set_missing(matches, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in tree::each_mut(matches, list) {
            tree::set_missing(rule, "scope", "*");
        }
    }
}

/// What a binding names as parameters.
pub(super) fn parameters(binding: &Value) -> String {
    let Some(reference) = tree::get(binding, "spec.paramRef") else {
        return print::UNSET.to_owned();
    };
    match (
        tree::text(reference, "namespace"),
        tree::text(reference, "name"),
    ) {
        (_, "") => match tree::get(reference, "selector") {
            Some(selector) => print::selector(Some(selector)),
            None => print::UNSET.to_owned(),
        },
        // Whether the parameter is cluster scoped is not known here.
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// Names with this end are meant for configurations that the server reads from files.
const STATIC_SUFFIX: &str = ".static.k8s.io";

/// Warnings of every kind of the group.
pub(super) fn warnings(object: &Value) -> Vec<String> {
    let name = tree::text(object, "metadata.name");
    let warning = format!(
        "metadata.name: names ending with {STATIC_SUFFIX:?} are reserved for static manifest-based configurations and cannot be managed via the API"
    );
    let is_static = name.ends_with(STATIC_SUFFIX);
    is_static.then_some(warning).into_iter().collect()
}
