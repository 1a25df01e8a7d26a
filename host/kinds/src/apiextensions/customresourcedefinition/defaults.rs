//! Defaults of custom resource definitions.

use k3s_meta::tree;
use serde_json::{Value, json};

use super::strategy;

pub(super) fn default(definition: &mut Value) {
    for field in ["kind", "plural"] {
        tree::set_missing(definition, &format!("status.acceptedNames.{field}"), "");
    }
    if tree::list(definition, "status.storedVersions").is_empty() {
        strategy::remember_storage_version(definition);
    }
    let Some(spec) = tree::get_mut(definition, "spec") else {
        return;
    };
    let kind = tree::text(spec, "names.kind").to_owned();
    if !kind.is_empty() {
        tree::set_zero(spec, "names.singular", kind.to_lowercase());
        tree::set_zero(spec, "names.listKind", format!("{kind}List"));
    }
    tree::set_missing(spec, "conversion", json!({"strategy": "None"}));
    if let Some(service) = tree::get_mut(spec, "conversion.webhook.clientConfig.service") {
        tree::set_missing(service, "port", 443);
    }
}
