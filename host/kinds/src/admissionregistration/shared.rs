//! What webhook configurations and admission policies have in common.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::{self, Check, Unique};
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

/// Validates one webhook.
pub(super) fn validate_webhook(errors: &mut ErrorList, webhook: &Value, path: &Path) {
    let name = tree::text(webhook, "name");
    qualified_domain(errors, name, &path.child("name"));
    for (index, rule) in tree::list(webhook, "rules").iter().enumerate() {
        validate_rule(errors, rule, &path.child("rules").index(index));
    }
    checks::one_of(errors, webhook, "failurePolicy", path, &["Fail", "Ignore"]);
    checks::one_of(
        errors,
        webhook,
        "matchPolicy",
        path,
        &["Equivalent", "Exact"],
    );
    checks::required_one_of(
        errors,
        webhook,
        "sideEffects",
        path,
        &["None", "NoneOnDryRun"],
    );
    checks::one_of(
        errors,
        webhook,
        "reinvocationPolicy",
        path,
        &["IfNeeded", "Never"],
    );
    if let Some(seconds) =
        tree::int(webhook, "timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds))
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(field::invalid(
            &path.child("timeoutSeconds"),
            seconds,
            detail,
        ));
    }
    selectors(errors, webhook, path);
    client(errors, webhook, &path.child("clientConfig"));
    let versions = tree::texts(webhook, "admissionReviewVersions");
    let at = path.child("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(field::required(&at, "must specify one of v1, v1beta1"));
    } else if !versions
        .iter()
        .any(|version| matches!(*version, "v1" | "v1beta1"))
    {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(field::invalid(
            &at,
            tree::get(webhook, "admissionReviewVersions"),
            detail,
        ));
    }
}

fn qualified_domain(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    errors.check(path, name, names::is_dns1123_subdomain(name));
    if name.split('.').count() < 3 {
        errors.push(field::invalid(
            path,
            name,
            "should be a domain with at least three segments separated by dots",
        ));
    }
}

fn client(errors: &mut ErrorList, webhook: &Value, path: &Path) {
    let url = tree::get(webhook, "clientConfig.url").and_then(Value::as_str);
    match (url, tree::get(webhook, "clientConfig.service")) {
        (Some(_), Some(_)) | (None, None) => errors.push(field::required(
            path,
            "exactly one of url or service is required",
        )),
        (Some(url), None) if !url.starts_with("https://") => {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            let detail =
                "'https' is the only allowed URL scheme; desired format: https://host[/path]";
            errors.push(field::invalid(&path.child("url"), scheme, detail));
        }
        (Some(_), None) => {}
        (None, Some(service)) => {
            for name in ["name", "namespace"] {
                let what = if name == "name" {
                    "service name is required"
                } else {
                    "service namespace is required"
                };
                checks::required(errors, service, name, &path.child("service"), what);
            }
            let port = tree::int(service, "port").unwrap_or(443);
            if names::is_port_number(port).is_err() {
                let at = path.child("service.port");
                errors.push(field::invalid(
                    &at,
                    port,
                    "port is not valid: must be between 1 and 65535, inclusive",
                ));
            }
        }
    }
}

fn selectors(errors: &mut ErrorList, holder: &Value, path: &Path) {
    for name in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = tree::get(holder, name) {
            errors.append(checks::label_selector(selector, &path.child(name)));
        }
    }
}

fn validate_rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (name, detail) in [
        ("operations", ""),
        ("apiGroups", ""),
        ("apiVersions", ""),
        ("resources", ""),
    ] {
        checks::required(errors, rule, name, path, detail);
        let values = tree::texts(rule, name);
        if values.contains(&"*") && values.len() > 1 && name != "resources" {
            let detail = "if '*' is present, must not specify other ".to_owned()
                + match name {
                    "operations" => "operations",
                    "apiGroups" => "API groups",
                    _ => "API versions",
                };
            errors.push(field::invalid(
                &path.child(name),
                tree::get(rule, name),
                detail,
            ));
        }
    }
    for (index, operation) in tree::texts(rule, "operations").iter().enumerate() {
        if !operations.contains(operation) {
            errors.push(field::not_supported(
                &path.child("operations").index(index),
                *operation,
                &operations,
            ));
        }
    }
    checks::one_of(errors, rule, "scope", path, &["*", "Cluster", "Namespaced"]);
}

/// Validates the webhooks of a configuration; names are unique in it.
pub(super) fn validate_configuration(configuration: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = Unique::new();
    for (index, webhook) in tree::list(configuration, "webhooks").iter().enumerate() {
        let path = Path::new("webhooks").index(index);
        validate_webhook(&mut errors, webhook, &path);
        let name = tree::text(webhook, "name");
        if !name.is_empty() {
            seen.insert(&mut errors, name, &path.child("name"));
        }
    }
    errors
}

/// Validates what all admission policies have: failure policy and match constraints.
pub(super) fn validate_policy(policy: &Value, rules: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(policy, "spec").unwrap_or(&Value::Null);
    checks::one_of(
        &mut errors,
        spec,
        "failurePolicy",
        &path,
        &["Fail", "Ignore"],
    );
    match tree::get(spec, "matchConstraints") {
        None => errors.push(field::required(&path.child("matchConstraints"), "")),
        Some(matches) => {
            let at = path.child("matchConstraints");
            selectors(&mut errors, matches, &at);
            if !tree::has(matches, "resourceRules") {
                errors.push(field::required(&at.child("resourceRules"), ""));
            }
            for (index, rule) in tree::list(matches, "resourceRules").iter().enumerate() {
                validate_rule(&mut errors, rule, &at.child("resourceRules").index(index));
            }
        }
    }
    if let Some(kind) = tree::get(spec, "paramKind") {
        for name in ["apiVersion", "kind"] {
            checks::required(&mut errors, kind, name, &path.child("paramKind"), "");
        }
    }
    let audited = rules == "validations" && tree::has(spec, "auditAnnotations");
    if !tree::has(spec, rules) && !audited {
        let detail = if rules == "validations" {
            "validations or auditAnnotations must be specified"
        } else {
            "mutations must contain at least one item"
        };
        errors.push(field::required(&path.child(rules), detail));
    }
    errors
}

/// Validates what a binding of either policy has.
pub(super) fn validate_binding(binding: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(binding, "spec").unwrap_or(&Value::Null);
    checks::required(&mut errors, spec, "policyName", &path, "");
    if let Some(reference) = tree::get(spec, "paramRef") {
        let at = path.child("paramRef");
        let named = tree::has(reference, "name");
        match (named, tree::get(reference, "selector").is_some()) {
            (true, true) => errors.push(field::forbidden(
                &at.child("name"),
                "name and selector are mutually exclusive",
            )),
            (false, false) => errors.push(field::required(
                &at,
                "one of name or selector must be specified",
            )),
            _ => {}
        }
        checks::required_one_of(
            &mut errors,
            reference,
            "parameterNotFoundAction",
            &at,
            &["Allow", "Deny"],
        );
    }
    errors
}
