//! Validation of flow schemas.

use std::sync::LazyLock;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::Check;
use crate::equality::semantic_eq;
use crate::flowcontrol::shared;

const MAX_PRECEDENCE: i64 = 10_000;
const METHODS: [&str; 2] = ["ByNamespace", "ByUser"];
const SUBJECTS: [&str; 3] = ["Group", "ServiceAccount", "User"];
/// The field of each kind of subject, and the kind's name in messages.
const FIELDS: [(&str, &str); 3] = [
    ("serviceAccount", "ServiceAccount"),
    ("user", "User"),
    ("group", "Group"),
];
const VERBS: [&str; 9] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

/// Schemas whose spec is what it is in every cluster (`apis/flowcontrol/bootstrap`).
static FIXED: LazyLock<[(&str, Value); 2]> = LazyLock::new(|| {
    let everything = |groups: &[&str]| {
        let subjects = groups.iter();
        let subjects = subjects.map(|name| json!({"kind": "Group", "group": {"name": name}}));
        json!([{
            "subjects": subjects.collect::<Vec<_>>(),
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                "namespaces": ["*"], "clusterScope": true}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    let exempt = json!({
        "matchingPrecedence": 1,
        "priorityLevelConfiguration": {"name": "exempt"},
        "rules": everything(&["system:masters"]),
    });
    let catch_all = json!({
        "matchingPrecedence": 10_000,
        "priorityLevelConfiguration": {"name": "catch-all"},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": everything(&["system:unauthenticated", "system:authenticated"]),
    });
    [("exempt", exempt), ("catch-all", catch_all)]
});

pub(super) fn validate(schema: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(schema, "spec").unwrap_or(&Value::Null);
    let name = tree::text(schema, "metadata.name");
    precedence(&mut errors, spec, name, &path.child("matchingPrecedence"));
    if let Some(method) = tree::get(spec, "distinguisherMethod")
        && !METHODS.contains(&tree::text(method, "type"))
    {
        let at = path.child("distinguisherMethod").child("type");
        errors.push(field::not_supported(&at, method, &METHODS));
    }
    let level = tree::text(spec, "priorityLevelConfiguration.name");
    let at = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.push(field::required(&at, "must reference a priority level"));
    } else {
        errors.check(&at, level, names::is_dns1123_subdomain(level));
    }
    for (index, rule) in tree::list(spec, "rules").iter().enumerate() {
        self::rule(&mut errors, rule, &path.child("rules").index(index));
    }
    let fixed = FIXED.iter().find(|(fixed, _)| *fixed == name);
    if let Some((_, fixed)) = fixed
        && !semantic_eq(Some(spec), Some(fixed))
    {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.push(field::invalid(&path, spec, detail));
    }
    errors
}

fn precedence(errors: &mut ErrorList, spec: &Value, name: &str, path: &Path) {
    let precedence = tree::int(spec, "matchingPrecedence").unwrap_or(0);
    let mut refuse = |refused: bool, detail: &str| {
        if refused {
            errors.push(field::invalid(path, precedence, detail));
        }
    };
    refuse(precedence <= 0, "must be a positive value");
    let above = format!("must not be greater than {MAX_PRECEDENCE}");
    refuse(precedence > MAX_PRECEDENCE, &above);
    refuse(
        precedence == 1 && name != "exempt",
        "only the schema named 'exempt' may have matchingPrecedence 1",
    );
}

fn rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let subjects = tree::list(rule, "subjects");
    if subjects.is_empty() {
        let detail = "subjects must contain at least one value";
        errors.push(field::required(&path.child("subjects"), detail));
    }
    for (index, subject) in subjects.iter().enumerate() {
        self::subject(errors, subject, &path.child("subjects").index(index));
    }
    if !tree::has(rule, "resourceRules") && !tree::has(rule, "nonResourceRules") {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(field::required(path, detail));
    }
    for (index, rule) in tree::list(rule, "resourceRules").iter().enumerate() {
        resource_rule(errors, rule, &path.child("resourceRules").index(index));
    }
    for (index, rule) in tree::list(rule, "nonResourceRules").iter().enumerate() {
        url_rule(errors, rule, &path.child("nonResourceRules").index(index));
    }
}

fn subject(errors: &mut ErrorList, subject: &Value, path: &Path) {
    let kind = tree::text(subject, "kind");
    let Some((own, _)) = FIELDS.iter().find(|(_, name)| *name == kind) else {
        errors.push(field::not_supported(&path.child("kind"), kind, &SUBJECTS));
        return;
    };
    let at = path.child(own);
    match tree::get(subject, own) {
        None => {
            let detail = format!("{own} is required when subject kind is '{kind}'");
            errors.push(field::required(&at, detail));
        }
        Some(found) => {
            let name = tree::text(found, "name");
            if name.is_empty() {
                errors.push(field::required(&at.child("name"), ""));
            } else if kind == "ServiceAccount" && name != "*" {
                errors.check(&at.child("name"), name, names::is_dns1123_subdomain(name));
            }
            if kind == "ServiceAccount" {
                account_namespace(errors, found, &at.child("namespace"));
            }
        }
    }
    for (other, name) in FIELDS.iter().filter(|(other, _)| other != own) {
        if tree::get(subject, other).is_some() {
            let detail = format!("{other} is forbidden when subject kind is not '{name}'");
            errors.push(field::forbidden(&path.child(other), detail));
        }
    }
}

fn account_namespace(errors: &mut ErrorList, account: &Value, path: &Path) {
    let namespace = tree::text(account, "namespace");
    if namespace.is_empty() {
        let detail = "must specify namespace for service account";
        errors.push(field::required(path, detail));
    } else {
        errors.check(path, namespace, names::is_dns1123_label(namespace));
    }
}

fn verbs(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let verbs = tree::texts(rule, "verbs");
    let at = path.child("verbs");
    if !shared::filled(
        errors,
        rule,
        "verbs",
        path,
        ("verbs must contain at least one value", "verbs"),
    ) {
        return;
    }
    if !verbs.contains(&"*") && !verbs.iter().all(|verb| VERBS.contains(verb)) {
        let value = tree::get(rule, "verbs");
        errors.push(field::not_supported(&at, value, &VERBS));
    }
}

fn resource_rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    verbs(errors, rule, path);
    for (name, required, others) in [
        (
            "apiGroups",
            "resource rules must supply at least one api group",
            "api groups",
        ),
        (
            "resources",
            "resource rules must supply at least one resource",
            "resources",
        ),
    ] {
        shared::filled(errors, rule, name, path, (required, others));
    }
    let namespaces = tree::texts(rule, "namespaces");
    if namespaces.is_empty() && tree::flag(rule, "clusterScope") {
        return;
    }
    let required = "resource rules that are not cluster scoped must supply at least one namespace";
    let detail = (required, "namespaces");
    shared::filled(errors, rule, "namespaces", path, detail);
    if namespaces.contains(&"*") {
        return;
    }
    for (index, namespace) in namespaces.into_iter().enumerate() {
        let at = path.child("namespaces").index(index);
        let violations = names::is_dns1123_label(namespace).err();
        for violation in violations.into_iter().flatten() {
            let intro = "each member of this list must be '*' or a DNS-1123 label; ";
            errors.push(field::invalid(
                &at,
                namespace,
                format!("{intro}{violation}"),
            ));
        }
    }
}

fn url_rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    verbs(errors, rule, path);
    let required = "nonResourceURLs must contain at least one value";
    let detail = (required, "non-resource URLs");
    shared::filled(errors, rule, "nonResourceURLs", path, detail);
    let urls = tree::texts(rule, "nonResourceURLs");
    if urls.contains(&"*") {
        return;
    }
    for (index, url) in urls.into_iter().enumerate() {
        let wildcards = url.matches('*').count();
        let detail = match url {
            "" => "must not be empty",
            "/" => continue,
            _ if !url.starts_with('/') => "must start with slash",
            _ if url.contains(' ') => "must not contain white-space",
            _ if url.contains("//") => "must not contain double slash",
            _ if wildcards > 1 || (wildcards == 1 && !url.ends_with("/*")) => {
                "wildcard can only do suffix matching"
            }
            _ => continue,
        };
        let at = path.child("nonResourceURLs").index(index);
        errors.push(field::invalid(&at, url, detail));
    }
}
