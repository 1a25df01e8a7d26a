//! Validation of ingresses.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// The annotation that came before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn validate(ingress: &Value) -> ErrorList {
    let mut errors = spec(ingress);
    errors.append(class(ingress));
    errors
}

/// An ingress of old that names its class twice may still be updated.
pub(super) fn validate_update(new: &Value, _old: &Value) -> ErrorList {
    spec(new)
}

fn spec(ingress: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(ingress, "spec").unwrap_or(&Value::Null);
    let rules = tree::list(spec, "rules");
    match tree::get(spec, "defaultBackend") {
        Some(backend) => self::backend(&mut errors, backend, &path.child("defaultBackend")),
        None if rules.is_empty() => {
            let detail = "either `defaultBackend` or `rules` must be specified";
            errors.push(field::invalid(
                &path,
                tree::get(spec, "rules").unwrap_or(&Value::Array(Vec::new())),
                detail,
            ));
        }
        None => {}
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(&mut errors, rule, &path.child("rules").index(index));
    }
    for (index, tls) in tree::list(spec, "tls").iter().enumerate() {
        for (number, name) in tree::texts(tls, "hosts").iter().enumerate() {
            host(
                &mut errors,
                name,
                &path.child("tls").index(index).child("hosts").index(number),
            );
        }
    }
    let class = tree::text(spec, "ingressClassName");
    if !class.is_empty() {
        errors.check(
            &path.child("ingressClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
    }
    errors
}

/// On create, the class is given in one place only.
fn class(ingress: &Value) -> ErrorList {
    let annotated = tree::map(ingress, "metadata.annotations").contains_key(CLASS_ANNOTATION);
    if annotated && tree::get(ingress, "spec.ingressClassName").is_some() {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        let value = tree::map(ingress, "metadata.annotations").get(CLASS_ANNOTATION);
        return field::invalid(
            &path,
            value,
            "can not be set when the class field is also set",
        )
        .into();
    }
    ErrorList::new()
}

fn host(errors: &mut ErrorList, name: &str, path: &Path) {
    let outcome = if name.contains('*') {
        names::is_wildcard_dns1123_subdomain(name)
    } else {
        names::is_dns1123_subdomain(name)
    };
    errors.check(path, name, outcome);
}

fn rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let name = tree::text(rule, "host");
    if name.parse::<std::net::IpAddr>().is_ok() {
        errors.push(field::invalid(
            &path.child("host"),
            name,
            "must be a DNS name, not an IP address",
        ));
    } else if !name.is_empty() {
        host(errors, name, &path.child("host"));
    }
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
    let supported = ["Exact", "ImplementationSpecific", "Prefix"];
    match tree::text(found, "pathType") {
        "" => errors.push(field::required(
            &path.child("pathType"),
            "pathType must be specified",
        )),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.push(field::invalid(
                    &path.child("path"),
                    text,
                    "must be an absolute path",
                ));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    errors.push(field::invalid(
                        &path.child("path"),
                        text,
                        format!("must not contain '{part}'"),
                    ));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    errors.push(field::invalid(
                        &path.child("path"),
                        text,
                        format!("cannot end with '{end}'"),
                    ));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.push(field::invalid(
                    &path.child("path"),
                    text,
                    "must be an absolute path",
                ));
            }
        }
        kind => errors.push(field::not_supported(
            &path.child("pathType"),
            kind,
            &supported,
        )),
    }
    backend(
        errors,
        tree::get(found, "backend").unwrap_or(&Value::Null),
        &path.child("backend"),
    );
}

fn backend(errors: &mut ErrorList, backend: &Value, path: &Path) {
    match (
        tree::get(backend, "service"),
        tree::get(backend, "resource"),
    ) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            errors.push(field::invalid(path, "", detail));
        }
        (None, None) => errors.push(field::required(
            path,
            "resource or service backend is required",
        )),
        (None, Some(resource)) => {
            for name in ["kind", "name"] {
                checks::required(errors, resource, name, &path.child("resource"), "");
            }
        }
        (Some(service), None) => self::service(errors, service, &path.child("service")),
    }
}

fn service(errors: &mut ErrorList, service: &Value, path: &Path) {
    let name = tree::text(service, "name");
    if name.is_empty() {
        errors.push(field::required(&path.child("name"), ""));
    } else {
        errors.check(&path.child("name"), name, names::is_dns1035_label(name));
    }
    let (name, number) = (
        tree::text(service, "port.name"),
        tree::int(service, "port.number").unwrap_or(0),
    );
    match (name.is_empty(), number) {
        (true, 0) => errors.push(field::required(path, "port name or number is required")),
        (false, 0) => errors.check(&path.child("port.name"), name, names::is_port_name(name)),
        (false, _) => errors.push(field::invalid(
            path,
            "",
            "cannot set both port name & port number",
        )),
        (true, number) => checks::port_number(errors, number, &path.child("port.number")),
    }
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, point) in tree::list(new, "status.loadBalancer.ingress")
        .iter()
        .enumerate()
    {
        let at = Path::new("status.loadBalancer.ingress").index(index);
        let (ip, name) = (tree::text(point, "ip"), tree::text(point, "hostname"));
        if !ip.is_empty() {
            errors.check(&at.child("ip"), ip, names::is_ip(ip));
        }
        if !name.is_empty() {
            errors.check(
                &at.child("hostname"),
                name,
                names::is_dns1123_subdomain(name),
            );
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
