//! Validation of custom resource definitions.
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/validation`.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::names as own_names;
use super::versions;
use crate::checks;
use crate::webhook_client;

/// Groups that belong to the Kubernetes project, whose kinds need an approval.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
/// The annotation that says who.
const APPROVED: &str = "api-approved.kubernetes.io";
const SCOPES: [&str; 2] = ["Cluster", "Namespaced"];
const STRATEGIES: [&str; 2] = ["None", "Webhook"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn validate(definition: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    name(&mut errors, definition);
    spec(&mut errors, definition, None);
    rest(&mut errors, definition, None);
    errors
}

/// The name says what is defined.
fn name(errors: &mut ErrorList, definition: &Value) {
    let [plural, group] =
        ["spec.names.plural", "spec.group"].map(|path| tree::text(definition, path));
    let wanted = format!("{plural}.{group}");
    let detail = "must be spec.names.plural+\".\"+spec.group";
    for field in ["generateName", "name"] {
        let text = tree::text(definition, &format!("metadata.{field}"));
        if !text.is_empty() && text != wanted {
            let path = Path::new("metadata").child(field);
            errors.push(field::invalid(&path, text, detail));
        }
    }
}

fn spec(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    let path = Path::new("spec");
    let spec = tree::get(definition, "spec").unwrap_or(&Value::Null);
    group(errors, tree::text(spec, "group"), &path.child("group"));
    checks::required_one_of(errors, spec, "scope", &path, &SCOPES);
    versions::validate(errors, definition, old);
    let found = tree::get(spec, "names").unwrap_or(&Value::Null);
    own_names::required(errors, found, &path.child("names"));
    own_names::form(errors, found, &path.child("names"));
    versions::shared(errors, definition, old);
    conversion(errors, spec, old, &path.child("conversion"));
}

fn group(errors: &mut ErrorList, group: &str, path: &Path) {
    if group.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let violations = names::is_dns1123_subdomain(group).err();
    let texts: Vec<String> = violations.into_iter().flatten().collect();
    if !texts.is_empty() {
        errors.push(field::invalid(path, group, texts.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(field::invalid(path, group, detail));
    }
}

/// Everything behind the spec: status, approval, and what older versions of the API allowed.
fn rest(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    accepted_names(errors, definition);
    stored_versions(errors, definition);
    approval(errors, definition, old);
    let keeps_unknown = |it: &Value| tree::flag(it, "spec.preserveUnknownFields");
    if keeps_unknown(definition) && !old.is_some_and(keeps_unknown) {
        let path = Path::new("spec").child("preserveUnknownFields");
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(field::invalid(&path, true, detail));
    }
}

fn accepted_names(errors: &mut ErrorList, definition: &Value) {
    let accepted = tree::get(definition, "status.acceptedNames").unwrap_or(&Value::Null);
    let path = Path::new("status").child("acceptedNames");
    own_names::form(errors, accepted, &path);
}

/// A version that is in the store stays known.
fn stored_versions(errors: &mut ErrorList, definition: &Value) {
    let path = Path::new("status").child("storedVersions");
    let stored = tree::texts(definition, "status.storedVersions");
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        errors.push(field::invalid(&path, &Value::Null, detail));
        return;
    }
    let versions = tree::list(definition, "spec.versions");
    let name = |version| tree::text(version, "name");
    for version in versions.iter().filter(|it| tree::flag(it, "storage")) {
        if !stored.contains(&name(version)) {
            let detail = format!("must have the storage version {}", name(version));
            let value = tree::get(definition, "status.storedVersions");
            errors.push(field::invalid(&path, value, detail));
        }
    }
    let known: HashSet<&str> = versions.iter().map(name).collect();
    for (index, stored) in stored.into_iter().enumerate() {
        if !known.contains(stored) {
            let detail = format!(
                "missing from spec.versions; {stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {stored} and removes {stored} from status.storedVersions"
            );
            errors.push(field::invalid(&path.index(index), stored, detail));
        }
    }
}

/// Whether a group belongs to the Kubernetes project.
pub(super) fn is_protected(group: &str) -> bool {
    PROTECTED
        .iter()
        .any(|suffix| group == *suffix || group.ends_with(&format!(".{suffix}")))
}

/// What the annotation says of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

impl Approval {
    fn of(definition: &Value) -> (Self, &str) {
        let annotations = tree::map(definition, "metadata.annotations");
        let text = annotations.get(APPROVED).and_then(Value::as_str);
        let text = text.unwrap_or_default();
        let has_host = text
            .split_once("://")
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.starts_with('/'));
        let approval = match text {
            "" => Self::Missing,
            _ if text.starts_with("unapproved") => Self::Bypassed,
            _ if has_host => Self::Approved,
            _ => Self::Invalid,
        };
        (approval, text)
    }
}

/// An update that leaves the approval as it was is not refused for it.
fn approval(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    let (approval, given) = Approval::of(definition);
    let same = old.is_some_and(|old| Approval::of(old).0 == approval);
    if same || !is_protected(tree::text(definition, "spec.group")) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVED);
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let intro = format!("protected groups must have approval annotation \"{APPROVED}\"");
    match approval {
        Approval::Missing => {
            errors.push(field::required(&path, format!("{intro}, {see}")));
        }
        Approval::Invalid => {
            let detail = format!(
                "{intro} with either a URL or a reason starting with \"unapproved\", {see}"
            );
            errors.push(field::invalid(&path, given, detail));
        }
        Approval::Bypassed | Approval::Approved => {}
    }
}

fn conversion(errors: &mut ErrorList, spec: &Value, old: Option<&Value>, path: &Path) {
    let Some(conversion) = tree::get(spec, "conversion") else {
        return;
    };
    checks::required_one_of(errors, conversion, "strategy", path, &STRATEGIES);
    let client = tree::get(conversion, "webhook.clientConfig");
    let reviews = "webhook.conversionReviewVersions";
    let at = path.child("webhookClientConfig");
    let versions = path.child("conversionReviewVersions");
    if tree::text(conversion, "strategy") != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.push(field::forbidden(&at, detail));
        }
        if tree::has(conversion, reviews) {
            errors.push(field::forbidden(&versions, detail));
        }
        return;
    }
    let detail = "conversion webhooks are not called by this server; use None";
    errors.push(field::forbidden(&path.child("strategy"), detail));
    match client {
        None => {
            let detail = "required when strategy is set to Webhook";
            errors.push(field::required(&at, detail));
        }
        Some(client) => webhook_client::validate(errors, client, &at),
    }
    let stored =
        old.map(|old| tree::texts(old, "spec.conversion.webhook.conversionReviewVersions"));
    let strict = stored.is_none_or(|stored| stored.is_empty() || is_known(&stored));
    review_versions(errors, conversion, strict, &versions);
}

fn is_known(versions: &[&str]) -> bool {
    versions.iter().any(|it| REVIEW_VERSIONS.contains(it))
}

fn review_versions(errors: &mut ErrorList, conversion: &Value, strict: bool, path: &Path) {
    const FIELD: &str = "webhook.conversionReviewVersions";
    let versions = tree::texts(conversion, FIELD);
    if versions.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if !seen.insert(version) {
            errors.push(field::invalid(&at, *version, "duplicate version"));
            continue;
        }
        let violations = names::is_dns1035_label(version).err();
        for violation in violations.into_iter().flatten() {
            errors.push(field::invalid(&at, *version, violation));
        }
    }
    if strict && !is_known(&versions) {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(field::invalid(path, tree::get(conversion, FIELD), detail));
    }
}

/// Stored objects keep their names; a version that is in the store stays known.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(&mut errors, new, Some(old));
    let conditions = tree::list(old, "status.conditions");
    let established = conditions.iter().any(|condition| {
        tree::text(condition, "type") == "Established" && tree::text(condition, "status") == "True"
    });
    if established {
        checks::immutable_text(&mut errors, new, old, "spec.scope");
        checks::immutable_text(&mut errors, new, old, "spec.names.kind");
    }
    checks::immutable_text(&mut errors, new, old, "spec.group");
    checks::immutable_text(&mut errors, new, old, "spec.names.plural");
    rest(&mut errors, new, Some(old));
    errors
}

pub(super) fn validate_status_update(new: &Value, _: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    accepted_names(&mut errors, new);
    errors
}
