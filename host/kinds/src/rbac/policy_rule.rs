//! Rules of roles.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

/// Validates the rules of a role; only cluster roles may speak of URLs.
pub(super) fn validate(role: &Value, namespaced: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, rule) in tree::list(role, "rules").iter().enumerate() {
        self::rule(
            &mut errors,
            rule,
            namespaced,
            &Path::new("rules").index(index),
        );
    }
    errors
}

fn rule(errors: &mut ErrorList, rule: &Value, namespaced: bool, path: &Path) {
    if !tree::has(rule, "verbs") {
        errors.push(field::required(
            &path.child("verbs"),
            "verbs must contain at least one value",
        ));
    }
    if tree::has(rule, "nonResourceURLs") {
        let urls = tree::get(rule, "nonResourceURLs");
        let at = path.child("nonResourceURLs");
        if namespaced {
            errors.push(field::invalid(
                &at,
                urls,
                "namespaced rules cannot apply to non-resource URLs",
            ));
        }
        if ["apiGroups", "resources", "resourceNames"]
            .iter()
            .any(|name| tree::has(rule, name))
        {
            errors.push(field::invalid(
                &at,
                urls,
                "rules cannot apply to both regular resources and non-resource URLs",
            ));
        }
        return;
    }
    if !tree::has(rule, "apiGroups") {
        errors.push(field::required(
            &path.child("apiGroups"),
            "resource rules must supply at least one api group",
        ));
    }
    if !tree::has(rule, "resources") {
        errors.push(field::required(
            &path.child("resources"),
            "resource rules must supply at least one resource",
        ));
    }
}
