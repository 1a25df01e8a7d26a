//! Defaults of custom resource definitions.

use serde_json::{Value, json};

use crate::tree;

pub(super) fn default(definition: &mut Value) {
    for field in ["kind", "plural"] {
        tree::set_missing(definition, &format!("status.acceptedNames.{field}"), "");
    }
    for field in ["conditions", "storedVersions"] {
        tree::set_missing(definition, &format!("status.{field}"), json!([]));
    }
    let Some(spec) = tree::at_mut(definition, "spec") else {
        return;
    };
    let kind = tree::text(spec, "names.kind").to_owned();
    if !kind.is_empty() {
        tree::set_zero(spec, "names.singular", kind.to_lowercase());
        tree::set_zero(spec, "names.listKind", format!("{kind}List"));
    }
    tree::set_missing(spec, "conversion", json!({"strategy": "None"}));
    if let Some(service) = tree::at_mut(spec, "conversion.webhook.clientConfig.service") {
        tree::set_missing(service, "port", 443);
    }
}
