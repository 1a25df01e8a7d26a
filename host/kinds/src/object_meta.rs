//! Object metadata (`apimachinery/pkg/api/validation`), the same for every kind.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::{self, Check};
use crate::equality::semantic_eq;

/// Keys and values of all annotations together.
pub(crate) const ANNOTATIONS_LIMIT_BYTES: usize = 256 * 1024;

/// How an object of a kind may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Lower case DNS subdomain, up to 253 characters: the usual rule.
    Subdomain,
    /// DNS label of RFC 1123, up to 63 characters (namespaces, services).
    Label,
    /// Any path segment: not `.`, `..`, without `/` and `%` (RBAC).
    PathSegment,
    /// The canonical text of an IP address (`IPAddress`).
    IpAddress,
}

/// Errors of the metadata of an object.
pub(crate) fn validate_object_meta(object: &Value, namespaced: bool, rule: NameRule) -> ErrorList {
    let meta = object.get("metadata").unwrap_or(&Value::Null);
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    validate_names(&mut errors, meta, &path, rule);
    validate_namespace(&mut errors, meta, &path, namespaced);
    if tree::int(meta, "generation").is_some_and(|generation| generation < 0) {
        errors.push(field::invalid(
            &path.child("generation"),
            meta.get("generation"),
            NOT_NEGATIVE,
        ));
    }
    errors.append(validate_labels(meta, "labels", &path.child("labels")));
    errors.append(validate_annotations(meta, &path.child("annotations")));
    validate_owner_references(&mut errors, meta, &path.child("ownerReferences"));
    validate_finalizers(&mut errors, meta, &path.child("finalizers"));
    errors
}

/// Errors of the metadata of an object inside another one, which need not have a name.
pub(crate) fn validate_embedded_meta(object: &Value, path: &Path) -> ErrorList {
    let meta = object.get("metadata").unwrap_or(&Value::Null);
    let path = path.child("metadata");
    let mut errors = ErrorList::new();
    let name = tree::text(meta, "name");
    if !name.is_empty() {
        errors.check(&path.child("name"), name, NameRule::PathSegment.check(name));
    }
    let namespace = tree::text(meta, "namespace");
    if !namespace.is_empty() {
        errors.check(
            &path.child("namespace"),
            namespace,
            names::is_dns1123_label(namespace),
        );
    }
    errors.append(validate_labels(meta, "labels", &path.child("labels")));
    errors.append(validate_annotations(meta, &path.child("annotations")));
    validate_owner_references(&mut errors, meta, &path.child("ownerReferences"));
    validate_finalizers(&mut errors, meta, &path.child("finalizers"));
    errors
}

/// Wording for numbers below zero.
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Errors of the name and its prefix alone, by the rule for new objects.
pub(crate) fn validate_name(object: &Value, rule: NameRule) -> ErrorList {
    let meta = object.get("metadata").unwrap_or(&Value::Null);
    let mut errors = ErrorList::new();
    validate_names(&mut errors, meta, &Path::new("metadata"), rule);
    errors
}

fn validate_names(errors: &mut ErrorList, meta: &Value, path: &Path, rule: NameRule) {
    let prefix = tree::text(meta, "generateName");
    if !prefix.is_empty() {
        // The server appends to the prefix, so a trailing dash is fine.
        let masked = mask_trailing_dash(prefix);
        errors.check(&path.child("generateName"), prefix, rule.check(&masked));
    }
    let name = tree::text(meta, "name");
    if name.is_empty() {
        errors.push(field::required(
            &path.child("name"),
            "name or generateName is required",
        ));
    } else {
        errors.check(&path.child("name"), name, rule.check(name));
    }
}

/// The name that stands for those that begin with a prefix (`maskTrailingDash`, which replaces the
/// character before the dash as well).
fn mask_trailing_dash(prefix: &str) -> String {
    let mut masked = prefix.to_owned();
    if let [.., before, b'-'] = prefix.as_bytes()
        && before.is_ascii()
    {
        masked.truncate(prefix.len().saturating_sub(2));
        masked.push('a');
    }
    masked
}

fn validate_namespace(errors: &mut ErrorList, meta: &Value, path: &Path, namespaced: bool) {
    let namespace = tree::text(meta, "namespace");
    let path = path.child("namespace");
    if !namespaced {
        if !namespace.is_empty() {
            errors.push(field::forbidden(&path, "not allowed on this type"));
        }
    } else if namespace.is_empty() {
        errors.push(field::required(&path, ""));
    } else {
        errors.check(&path, namespace, names::is_dns1123_label(namespace));
    }
}

/// Errors of a label map.
pub(crate) fn validate_labels(holder: &Value, field: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in tree::map(holder, field) {
        errors.check(path, key.as_str(), names::is_qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        errors.check(path, value, names::is_label_value(value));
    }
    errors
}

/// Errors of an annotation map.
pub(crate) fn validate_annotations(meta: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for key in tree::map(meta, "annotations").keys() {
        // Keys are matched without regard to case.
        errors.check(
            path,
            key.as_str(),
            names::is_qualified_name(&key.to_lowercase()),
        );
    }
    if annotations_bytes(meta, "annotations") > ANNOTATIONS_LIMIT_BYTES {
        errors.push(field::too_long(path, ANNOTATIONS_LIMIT_BYTES));
    }
    errors
}

/// Bytes of all keys and values of the annotations `name`.
pub(crate) fn annotations_bytes(holder: &Value, name: &str) -> usize {
    let annotations = tree::map(holder, name).iter();
    let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().unwrap_or("").len();
    annotations.map(bytes).sum()
}

/// Fields of metadata that a template of another object may not have, in the order of the Go struct and with
/// the names that upstream makes of it.
const NOT_OF_TEMPLATES: [(&str, &str); 13] = [
    ("name", "name"),
    ("generateName", "generateName"),
    ("namespace", "namespace"),
    ("selfLink", "selfLink"),
    ("uid", "uID"),
    ("resourceVersion", "resourceVersion"),
    ("generation", "generation"),
    ("creationTimestamp", "creationTimestamp"),
    ("deletionTimestamp", "deletionTimestamp"),
    ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ("ownerReferences", "ownerReferences"),
    ("finalizers", "finalizers"),
    ("managedFields", "managedFields"),
];

/// Errors of the metadata of a template, at `path`: labels and annotations, and nothing else
/// (`ValidateTemplateObjectMeta`).
pub(crate) fn validate_template_meta(meta: &Value, path: &Path) -> ErrorList {
    let mut errors = validate_annotations(meta, &path.child("annotations"));
    errors.append(validate_labels(meta, "labels", &path.child("labels")));
    for (name, shown) in NOT_OF_TEMPLATES {
        let is_set = match tree::get(meta, name) {
            None => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(value) => name != "generation" || value.as_i64() != Some(0),
        };
        if is_set {
            errors.push(field::forbidden(&path.child(shown), "cannot be set"));
        }
    }
    errors
}

fn validate_owner_references(errors: &mut ErrorList, meta: &Value, path: &Path) {
    let mut controller: Option<String> = None;
    // Upstream names the list, not the reference in it.
    for owner in tree::list(meta, "ownerReferences") {
        let version = tree::text(owner, "apiVersion");
        if version.is_empty() || version.starts_with('/') {
            errors.push(field::invalid(
                &path.child("apiVersion"),
                version,
                "version must not be empty",
            ));
        }
        for part in ["kind", "name", "uid"] {
            if tree::text(owner, part).is_empty() {
                errors.push(field::invalid(&path.child(part), "", "must not be empty"));
            }
        }
        if version == "v1" && tree::text(owner, "kind") == "Event" {
            errors.push(field::invalid(
                path,
                owner,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if tree::flag(owner, "controller") {
            let this = format!(
                "{}/{}",
                tree::text(owner, "kind"),
                tree::text(owner, "name")
            );
            match &controller {
                Some(other) => errors.push(field::invalid(
                    path,
                    meta.get("ownerReferences"),
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {other} and {this}"),
                )),
                None => controller = Some(this),
            }
        }
    }
}

fn validate_finalizers(errors: &mut ErrorList, meta: &Value, path: &Path) {
    let finalizers = tree::texts(meta, "finalizers");
    for finalizer in &finalizers {
        errors.append(validate_finalizer_name(finalizer, path));
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        errors.push(field::invalid(
            path,
            meta.get("finalizers"),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

/// Errors of one finalizer: a qualified name, with a domain unless it is one of the system's own.
pub(crate) fn validate_finalizer_name(finalizer: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.check(path, finalizer, names::is_qualified_name(finalizer));
    errors
}

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];

/// Errors of finalizers without a domain that are not the system's own (`validateKubeFinalizerName`).
pub(crate) fn validate_domains(object: &Value) -> ErrorList {
    let path = Path::new("metadata").child("finalizers");
    let mut errors = ErrorList::new();
    let finalizers = tree::texts(object, "metadata.finalizers");
    for (index, finalizer) in finalizers.into_iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(field::invalid(&path.index(index), finalizer, detail));
        }
    }
    errors
}

/// All errors of the metadata of an update. A stored name is not held against today's rule for new
/// names.
pub(crate) fn validate_meta_update(new: &Value, old: &Value, namespaced: bool) -> ErrorList {
    let mut errors = validate_object_meta(new, namespaced, NameRule::PathSegment);
    errors.append(validate_object_meta_update(new, old));
    errors
}

/// Errors of a change of metadata.
pub(crate) fn validate_object_meta_update(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    validate_new_finalizers(&mut errors, new, old, &path.child("finalizers"));
    if tree::text(new, "metadata.resourceVersion").is_empty()
        && !tree::text(old, "metadata.resourceVersion").is_empty()
    {
        errors.push(field::invalid(
            &path.child("resourceVersion"),
            "",
            "must be specified for an update",
        ));
    }
    let generations =
        [new, old].map(|object| tree::int(object, "metadata.generation").unwrap_or(0));
    if let [new, old] = generations
        && new < old
    {
        errors.push(field::invalid(
            &path.child("generation"),
            new,
            "must not be decremented",
        ));
    }
    for name in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let at = format!("metadata.{name}");
        let (new, old) = (tree::get(new, &at), tree::get(old, &at));
        if !semantic_eq(new, old) {
            errors.push(field::immutable(&path.child(name), new));
        }
    }
    errors
}

/// An object that is being deleted takes no new finalizers.
fn validate_new_finalizers(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    if !tree::has(old, "metadata.deletionTimestamp") {
        return;
    }
    let before = tree::texts(old, "metadata.finalizers");
    let mut added = tree::texts(new, "metadata.finalizers");
    added.retain(|finalizer| !before.contains(finalizer));
    if !added.is_empty() {
        let list = added
            .iter()
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        errors.push(field::forbidden(
            path,
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
            ),
        ));
    }
}

impl NameRule {
    /// Checks a name against the rule.
    pub(crate) fn check(self, name: &str) -> Checked {
        match self {
            Self::Subdomain => names::is_dns1123_subdomain(name),
            Self::Label => names::is_dns1123_label(name),
            Self::PathSegment => names::is_path_segment(name),
            Self::IpAddress => checks::canonical_ip(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(errors: ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_follow_the_rule_of_the_kind() {
        let object = json!({"metadata": {"name": "A", "namespace": "default"}});
        assert_eq!(
            texts(validate_object_meta(&object, true, NameRule::Subdomain)),
            [
                "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert!(validate_object_meta(&object, true, NameRule::PathSegment).is_empty());
        let missing = json!({"metadata": {"namespace": "default"}});
        assert_eq!(
            texts(validate_object_meta(&missing, true, NameRule::Subdomain)),
            ["metadata.name: Required value: name or generateName is required"]
        );
    }

    #[test]
    fn generated_names_may_end_in_a_dash() {
        let object = json!({"metadata": {"name": "web-abcde", "generateName": "web-"}});
        assert!(validate_object_meta(&object, false, NameRule::Label).is_empty());
    }

    #[test]
    fn a_prefix_ends_in_a_dash_behind_any_character() {
        for (prefix, masked) in [
            ("web-", "wea"),
            ("a--", "aa"),
            ("-", "-"),
            ("ä-", "ä-"),
            ("", ""),
        ] {
            assert_eq!(mask_trailing_dash(prefix), masked);
        }
    }

    #[test]
    fn finalizers_have_a_domain_or_are_the_systems_own() {
        let object = json!({"metadata": {"finalizers": ["orphan", "example.com/a", "hold"]}});
        assert_eq!(
            texts(validate_domains(&object)),
            [
                "metadata.finalizers[2]: Invalid value: \"hold\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
    }

    #[test]
    fn identity_does_not_change() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}});
        let new = json!({"metadata": {"name": "a", "uid": "v"}});
        assert_eq!(
            texts(validate_object_meta_update(&new, &old)),
            [
                "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
                "metadata.uid: Invalid value: \"v\": field is immutable",
            ]
        );
    }
}
