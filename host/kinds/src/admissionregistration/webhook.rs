//! Validation of the webhooks of a configuration.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::{expressions, rules};
use crate::checks::{self, Check, Unique};
use crate::equality::semantic_eq;
use crate::webhook_client;

const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
const NO_SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What an update may keep because the stored configuration has it.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    conditions: bool,
    side_effects: bool,
    review_versions: bool,
    names: bool,
    selector_values: bool,
}

/// Errors of a new configuration.
pub(super) fn validate(configuration: &Value) -> ErrorList {
    validate_with(configuration, Kept::default())
}

/// Errors of an update; what was stored under older rules is not held against new ones.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let stored = tree::list(old, "webhooks");
    let any = |test: fn(&Value) -> bool| stored.iter().any(test);
    let mut names: Vec<&str> = stored.iter().map(|it| tree::text(it, "name")).collect();
    names.sort_unstable();
    let kept = Kept {
        conditions: same_conditions(new, old),
        side_effects: any(|it| !NO_SIDE_EFFECTS.contains(&tree::text(it, "sideEffects"))),
        review_versions: any(|it| {
            tree::has(it, "admissionReviewVersions") && !has_known_version(it)
        }),
        names: names.windows(2).any(|pair| pair.first() == pair.last()),
        selector_values: any(|it| {
            let mut errors = ErrorList::new();
            selectors(&mut errors, it, &Path::root(), false);
            !errors.is_empty()
        }),
    };
    validate_with(new, kept)
}

fn same_conditions(new: &Value, old: &Value) -> bool {
    let [new, old] = [new, old].map(|it| tree::list(it, "webhooks"));
    let conditions = |it| tree::get(it, "matchConditions");
    new.len() == old.len()
        && new
            .iter()
            .zip(old)
            .all(|(new, old)| semantic_eq(conditions(new), conditions(old)))
}

fn validate_with(configuration: &Value, kept: Kept) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = Unique::new();
    for (index, webhook) in tree::list(configuration, "webhooks").iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let path = Path::new("webhooks").index(index);
        self::webhook(&mut errors, webhook, kept, &path);
        review_versions(&mut errors, webhook, kept, &path);
        let name = tree::text(webhook, "name");
        if !kept.names && !name.is_empty() {
            seen.insert(&mut errors, name, &path.child("name"));
        }
    }
    errors
}

fn webhook(errors: &mut ErrorList, webhook: &Value, kept: Kept, path: &Path) {
    let name = tree::text(webhook, "name");
    webhook_client::qualified_domain(errors, name, &path.child("name"));
    for (index, rule) in tree::list(webhook, "rules").iter().enumerate() {
        rules::validate(errors, rule, &path.child("rules").index(index));
    }
    for (name, supported) in [
        ("failurePolicy", &["Fail", "Ignore"]),
        ("matchPolicy", &rules::MATCH_POLICIES),
    ] {
        checks::supported(errors, webhook, name, path, supported);
    }
    let side_effects: &[&str] = if kept.side_effects {
        &SIDE_EFFECTS
    } else {
        &NO_SIDE_EFFECTS
    };
    if tree::get(webhook, "sideEffects").is_none() {
        let detail = format!("must specify one of {}", side_effects.join(", "));
        errors.push(field::required(&path.child("sideEffects"), detail));
    }
    checks::supported(errors, webhook, "sideEffects", path, side_effects);
    let seconds = tree::int(webhook, "timeoutSeconds");
    if let Some(seconds) = seconds.filter(|it| !(1..=30).contains(it)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        let at = path.child("timeoutSeconds");
        errors.push(field::invalid(&at, seconds, detail));
    }
    selectors(errors, webhook, path, kept.selector_values);
    let policies = ["IfNeeded", "Never"];
    checks::supported(errors, webhook, "reinvocationPolicy", path, &policies);
    let client = tree::get(webhook, "clientConfig").unwrap_or(&Value::Null);
    webhook_client::validate(errors, client, &path.child("clientConfig"));
    if !kept.conditions {
        expressions::match_conditions(errors, webhook, false, path);
    }
}

fn selectors(errors: &mut ErrorList, webhook: &Value, path: &Path, any_value: bool) {
    for name in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = tree::get(webhook, name) {
            let found = checks::label_selector(selector, &path.child(name));
            let of_value = |field: &str| any_value && field.contains("].values[");
            errors.extend(found.into_iter().filter(|it| !of_value(&it.field)));
        }
    }
}

fn has_known_version(webhook: &Value) -> bool {
    let versions = tree::texts(webhook, "admissionReviewVersions");
    versions.iter().any(|it| REVIEW_VERSIONS.contains(it))
}

fn review_versions(errors: &mut ErrorList, webhook: &Value, kept: Kept, path: &Path) {
    let path = path.child("admissionReviewVersions");
    let versions = tree::texts(webhook, "admissionReviewVersions");
    if versions.is_empty() {
        errors.push(field::required(&path, "must specify one of v1, v1beta1"));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if !seen.insert(version) {
            errors.push(field::invalid(&at, *version, "duplicate version"));
        } else {
            errors.check(&at, *version, names::is_dns1035_label(version));
        }
    }
    if !kept.review_versions && !has_known_version(webhook) {
        let value = tree::get(webhook, "admissionReviewVersions");
        let detail = "must include at least one of v1, v1beta1";
        errors.push(field::invalid(&path, value, detail));
    }
}
