//! Validation of ingresses.

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, object, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// The annotation that came before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What an ingress of old may keep.
#[derive(Clone, Copy, Default)]
struct Tolerance {
    /// Any names of Secrets.
    secrets: bool,
    /// Any rules of wildcard hosts.
    wildcards: bool,
}

pub(super) fn validate(ingress: &Value) -> ErrorList {
    let mut errors = spec(ingress, Tolerance::default());
    errors.append(class(ingress));
    errors
}

/// An ingress of old that names its class twice may still be updated.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut secrets = ErrorList::new();
    for tls in tree::list(old, "spec.tls") {
        secret(&mut secrets, tls, &Path::root());
    }
    let mut wildcards = ErrorList::new();
    for rule in tree::list(old, "spec.rules") {
        if tree::text(rule, "host").contains('*') {
            http(&mut wildcards, rule, &Path::root());
        }
    }
    let tolerance = Tolerance {
        secrets: !secrets.is_empty(),
        wildcards: !wildcards.is_empty(),
    };
    spec(new, tolerance)
}

fn spec(ingress: &Value, tolerance: Tolerance) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(ingress, "spec").unwrap_or(&Value::Null);
    let rules = tree::list(spec, "rules");
    match tree::get(spec, "defaultBackend") {
        Some(backend) => self::backend(&mut errors, backend, &path.child("defaultBackend")),
        None if rules.is_empty() => {
            let detail = "either `defaultBackend` or `rules` must be specified";
            errors.push(field::invalid(&path, tree::get(spec, "rules"), detail));
        }
        None => {}
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = path.child("rules").index(index);
        self::rule(&mut errors, rule, tolerance, &at);
    }
    for (index, tls) in tree::list(spec, "tls").iter().enumerate() {
        let at = path.child("tls").index(index);
        for (number, name) in tree::texts(tls, "hosts").iter().enumerate() {
            host(&mut errors, name, &at.child("hosts").index(number));
        }
        if !tolerance.secrets {
            secret(&mut errors, tls, &at);
        }
    }
    let class = tree::get(spec, "ingressClassName").and_then(Value::as_str);
    if let Some(class) = class {
        let outcome = names::is_dns1123_subdomain(class);
        errors.check(&path.child("ingressClassName"), class, outcome);
    }
    errors
}

fn secret(errors: &mut ErrorList, tls: &Value, path: &Path) {
    let secret = tree::text(tls, "secretName");
    if !secret.is_empty() {
        let outcome = names::is_dns1123_subdomain(secret);
        errors.check(&path.child("secretName"), secret, outcome);
    }
}

/// On create, the class is the same in both places.
fn class(ingress: &Value) -> ErrorList {
    let annotated = object::annotation(ingress, CLASS_ANNOTATION);
    let class = tree::get(ingress, "spec.ingressClassName").and_then(Value::as_str);
    match (annotated, class) {
        (Some(annotated), Some(class)) if annotated != class => {
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            let detail = "must match `ingressClassName` when both are specified";
            field::invalid(&path, annotated, detail).into()
        }
        _ => ErrorList::new(),
    }
}

fn host(errors: &mut ErrorList, name: &str, path: &Path) {
    let outcome = if name.contains('*') {
        names::is_wildcard_dns1123_subdomain(name)
    } else {
        names::is_dns1123_subdomain(name)
    };
    errors.check(path, name, outcome);
}

/// A name that is no address, whatever zeros it is written with.
fn no_address(errors: &mut ErrorList, name: &str, path: &Path) {
    if parse_loosely(name).is_some() {
        let detail = "must be a DNS name, not an IP address";
        errors.push(field::invalid(path, name, detail));
    }
}

fn rule(errors: &mut ErrorList, rule: &Value, tolerance: Tolerance, path: &Path) {
    let name = tree::text(rule, "host");
    if !name.is_empty() {
        let at = path.child("host");
        no_address(errors, name, &at);
        host(errors, name, &at);
    }
    if !tolerance.wildcards || !name.contains('*') {
        http(errors, rule, path);
    }
}

fn http(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let Some(http) = tree::get(rule, "http") else {
        return;
    };
    let at = path.child("http.paths");
    if !tree::has(http, "paths") {
        errors.push(field::required(&at, ""));
    }
    for (index, found) in tree::list(http, "paths").iter().enumerate() {
        self::path(errors, found, &at.index(index));
    }
}

fn path(errors: &mut ErrorList, found: &Value, path: &Path) {
    let text = tree::text(found, "path");
    let at = path.child("path");
    let supported = ["Exact", "ImplementationSpecific", "Prefix"];
    match tree::get(found, "pathType").and_then(Value::as_str) {
        None => {
            let detail = "pathType must be specified";
            errors.push(field::required(&path.child("pathType"), detail));
            return;
        }
        Some("Exact" | "Prefix") => {
            absolute(errors, text, &at);
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    let detail = format!("must not contain '{part}'");
                    errors.push(field::invalid(&at, text, detail));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    let detail = format!("cannot end with '{end}'");
                    errors.push(field::invalid(&at, text, detail));
                }
            }
        }
        Some("ImplementationSpecific") if text.is_empty() => {}
        Some("ImplementationSpecific") => absolute(errors, text, &at),
        Some(kind) => {
            let at = path.child("pathType");
            errors.push(field::not_supported(&at, kind, &supported));
        }
    }
    let backend = tree::get(found, "backend").unwrap_or(&Value::Null);
    self::backend(errors, backend, &path.child("backend"));
}

fn absolute(errors: &mut ErrorList, text: &str, path: &Path) {
    if !text.starts_with('/') {
        errors.push(field::invalid(path, text, "must be an absolute path"));
    }
}

fn backend(errors: &mut ErrorList, backend: &Value, path: &Path) {
    let [service, resource] = ["service", "resource"].map(|name| tree::get(backend, name));
    match (service, resource) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            errors.push(field::invalid(path, "", detail));
        }
        (None, None) => {
            let detail = "resource or service backend is required";
            errors.push(field::invalid(path, "", detail));
        }
        (None, Some(resource)) => {
            let path = path.child("resource");
            if let Some(group) = tree::get(resource, "apiGroup").and_then(Value::as_str) {
                let outcome = names::is_dns1123_subdomain(group);
                errors.check(&path.child("apiGroup"), group, outcome);
            }
            for name in ["kind", "name"] {
                checks::required_segment(errors, resource, name, &path);
            }
        }
        (Some(service), None) => self::service(errors, service, path),
    }
}

/// Upstream names the backend where the port is missing or given twice.
fn service(errors: &mut ErrorList, service: &Value, path: &Path) {
    let at = path.child("service");
    if checks::required(errors, service, "name", &at, "") {
        let name = tree::text(service, "name");
        errors.check(&at.child("name"), name, names::is_dns1123_label(name));
    }
    let name = tree::text(service, "port.name");
    let number = tree::int(service, "port.number").unwrap_or(0);
    match (name.is_empty(), number) {
        (true, 0) => errors.push(field::required(path, "port name or number is required")),
        (false, 0) => errors.check(&at.child("port.name"), name, names::is_port_name(name)),
        (false, _) => {
            let detail = "cannot set both port name & port number";
            errors.push(field::invalid(path, "", detail));
        }
        (true, number) => checks::port_number(errors, number, &at.child("port.number")),
    }
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let points = |ingress| tree::list(ingress, "status.loadBalancer.ingress");
    let known = points(old).iter().map(|point| tree::text(point, "ip"));
    for (index, point) in points(new).iter().enumerate() {
        let at = Path::new("status.loadBalancer.ingress").index(index);
        let (ip, name) = (tree::text(point, "ip"), tree::text(point, "hostname"));
        if !ip.is_empty() && !known.clone().any(|known| known == ip) {
            errors.check(&at.child("ip"), ip, names::is_ip(ip));
        }
        if !name.is_empty() {
            let at = at.child("hostname");
            errors.check(&at, name, names::is_dns1123_subdomain(name));
            no_address(&mut errors, name, &at);
        }
    }
    errors
}

pub(super) fn warnings(ingress: &Value) -> Vec<String> {
    if !tree::map(ingress, "metadata.annotations").contains_key(CLASS_ANNOTATION) {
        return Vec::new();
    }
    vec![format!(
        "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
    )]
}
