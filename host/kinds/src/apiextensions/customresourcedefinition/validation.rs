//! Validation of custom resource definitions.
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/validation`.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::versions;
use crate::checks::{self, Check};

/// Groups that belong to the Kubernetes project, whose kinds need an approval.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
/// The annotation that says who.
pub(super) const APPROVED: &str = "api-approved.kubernetes.io";

pub(super) fn validate(definition: &Value) -> ErrorList {
    let mut errors = rest(definition);
    errors.append(versions::schemas(definition, None));
    errors
}

/// Everything but schemas.
fn rest(definition: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(definition, "spec").unwrap_or(&Value::Null);
    let (group, plural) = (tree::text(spec, "group"), tree::text(spec, "names.plural"));
    let name = tree::text(definition, "metadata.name");
    if name != format!("{plural}.{group}") {
        errors.push(field::invalid(
            &Path::new("metadata.name"),
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if group.is_empty() {
        errors.push(field::required(&path.child("group"), ""));
    } else {
        errors.check(
            &path.child("group"),
            group,
            names::is_dns1123_subdomain(group),
        );
        if group.split('.').count() < 2 {
            errors.push(field::invalid(
                &path.child("group"),
                group,
                "should be a domain with at least one dot",
            ));
        }
    }
    checks::required_one_of(
        &mut errors,
        spec,
        "scope",
        &path,
        &["Cluster", "Namespaced"],
    );
    if tree::flag(spec, "preserveUnknownFields") {
        let detail = "must be false in order to use apiextensions.k8s.io/v1; set x-kubernetes-preserve-unknown-fields in the schema instead";
        errors.push(field::invalid(
            &path.child("preserveUnknownFields"),
            true,
            detail,
        ));
    }
    approval(&mut errors, definition, group);
    versions::versions(&mut errors, spec, &path.child("versions"));
    names_of(&mut errors, spec, &path.child("names"));
    conversion(&mut errors, spec, &path.child("conversion"));
    errors
}

/// Whether a group belongs to the Kubernetes project.
pub(super) fn is_protected(group: &str) -> bool {
    PROTECTED
        .iter()
        .any(|suffix| group == *suffix || group.ends_with(&format!(".{suffix}")))
}

fn approval(errors: &mut ErrorList, definition: &Value, group: &str) {
    if !is_protected(group) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVED);
    let given = tree::map(definition, "metadata.annotations")
        .get(APPROVED)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    if given.is_empty() {
        let detail =
            format!("protected groups must have approval annotation \"{APPROVED}\", {see}");
        errors.push(field::required(&path, detail));
    } else if !given.starts_with("https://")
        && !given.starts_with("http://")
        && !given.starts_with("unapproved")
    {
        let detail = format!(
            "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", {see}"
        );
        errors.push(field::invalid(&path, given, detail));
    }
}

fn names_of(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let found = tree::get(spec, "names").unwrap_or(&Value::Null);
    for name in ["plural", "singular", "kind", "listKind"] {
        let text = tree::text(found, name);
        if text.is_empty() {
            errors.push(field::required(&path.child(name), ""));
        } else {
            // Kinds are written in camel case and still become part of a DNS name.
            errors.check(
                &path.child(name),
                text,
                names::is_dns1035_label(&text.to_lowercase()),
            );
        }
    }
    for list in ["shortNames", "categories"] {
        for (index, text) in tree::texts(found, list).iter().enumerate() {
            errors.check(
                &path.child(list).index(index),
                *text,
                names::is_dns1035_label(text),
            );
        }
    }
    if tree::has(found, "kind") && tree::text(found, "kind") == tree::text(found, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(field::invalid(
            &path.child("listKind"),
            tree::text(found, "listKind"),
            detail,
        ));
    }
}

fn conversion(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let conversion = tree::get(spec, "conversion").unwrap_or(&Value::Null);
    checks::required_one_of(errors, conversion, "strategy", path, &["None", "Webhook"]);
    if tree::text(conversion, "strategy") == "Webhook" {
        let detail = "conversion webhooks are not called by this server; use None";
        errors.push(field::forbidden(&path.child("strategy"), detail));
    }
    if tree::text(conversion, "strategy") != "Webhook" {
        if tree::get(conversion, "webhook").is_some() {
            let detail = "should not be set when strategy is not set to Webhook";
            errors.push(field::forbidden(&path.child("webhook"), detail));
        }
        return;
    }
    let at = path.child("webhook");
    match tree::get(conversion, "webhook.clientConfig") {
        None => errors.push(field::required(
            &at.child("clientConfig"),
            "required when strategy is set to Webhook",
        )),
        Some(client) => {
            let given = ["url", "service"]
                .iter()
                .filter(|name| tree::get(client, name).is_some())
                .count();
            if given != 1 {
                errors.push(field::required(
                    &at.child("clientConfig"),
                    "exactly one of url or service is required",
                ));
            }
        }
    }
    if !tree::has(conversion, "webhook.conversionReviewVersions") {
        errors.push(field::required(&at.child("conversionReviewVersions"), ""));
    }
}

/// Stored objects keep their names; a version that is in the store stays known.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = rest(new);
    errors.append(versions::schemas(new, Some(old)));
    let established = tree::list(old, "status.conditions")
        .iter()
        .any(|condition| {
            tree::text(condition, "type") == "Established"
                && tree::text(condition, "status") == "True"
        });
    if established {
        for name in ["scope", "names.kind"] {
            checks::immutable(&mut errors, new, old, &format!("spec.{name}"));
        }
    }
    for name in ["group", "names.plural"] {
        checks::immutable(&mut errors, new, old, &format!("spec.{name}"));
    }
    let versions: Vec<&str> = tree::list(new, "spec.versions")
        .iter()
        .map(|version| tree::text(version, "name"))
        .collect();
    for (index, stored) in tree::texts(new, "status.storedVersions").iter().enumerate() {
        if !versions.contains(stored) {
            let at = Path::new("status.storedVersions").index(index);
            let mut error = field::invalid(&at, *stored, "missing from spec.versions; ");
            error.detail.push_str(&format!("{stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {stored} and removes {stored} from status.storedVersions"));
            errors.push(error);
        }
    }
    errors
}
