//! What webhook configurations and admission policies have in common.

use serde_json::{Value, json};

use crate::{print, tree};

/// Defaults of one webhook.
pub(super) fn default_webhook(webhook: &mut Value) {
    tree::set_missing(webhook, "failurePolicy", "Fail");
    tree::set_missing(webhook, "matchPolicy", "Equivalent");
    tree::set_missing(webhook, "namespaceSelector", json!({}));
    tree::set_missing(webhook, "objectSelector", json!({}));
    tree::set_missing(webhook, "timeoutSeconds", 10);
    tree::set_missing(webhook, "clientConfig", json!({}));
    if let Some(service) = tree::at_mut(webhook, "clientConfig.service") {
        tree::set_missing(service, "port", 443);
    }
    for rule in tree::each_mut(webhook, "rules") {
        tree::set_missing(rule, "scope", "*");
    }
}

/// Defaults of the match resources at `path` of a policy or a binding.
pub(super) fn default_match(object: &mut Value, path: &str) {
    let Some(matches) = tree::at_mut(object, path) else { return };
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
    let Some(reference) = tree::at(binding, "spec.paramRef") else { return print::UNSET.to_owned() };
    match (tree::text(reference, "namespace"), tree::text(reference, "name")) {
        (_, "") => match tree::at(reference, "selector") {
            Some(selector) => print::selector(Some(selector)),
            None => print::UNSET.to_owned(),
        },
        // Whether the parameter is cluster scoped cannot be told from here.
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}
