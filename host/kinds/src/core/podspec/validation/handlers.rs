//! Probes and lifecycle hooks.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// Validates the three probes of a container; hooks and probes of a pod with this grace period, in seconds.
pub(super) fn probes(errors: &mut ErrorList, container: &Value, path: &Path, grace: Option<i64>) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = tree::get(container, name) else {
            continue;
        };
        let at = path.child(name);
        self::probe(errors, probe, &at, grace);
        // Only readiness can come back after several successes in a row.
        let successes = tree::int(probe, "successThreshold").unwrap_or(1);
        if name != "readinessProbe" && successes != 1 {
            errors.push(field::invalid(
                &at.child("successThreshold"),
                successes,
                "must be 1",
            ));
        }
        // A container that is not ready is not stopped.
        let period = tree::int(probe, "terminationGracePeriodSeconds");
        if let Some(seconds) = period.filter(|_| name == "readinessProbe") {
            errors.push(field::invalid(
                &at.child("terminationGracePeriodSeconds"),
                seconds,
                "must not be set for readinessProbes",
            ));
        }
    }
}

fn probe(errors: &mut ErrorList, probe: &Value, path: &Path, grace: Option<i64>) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc"];
    handler(errors, probe, path, &kinds, grace);
    for number in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        checks::not_negative(errors, probe, number, path);
    }
    if let Some(seconds) =
        tree::int(probe, "terminationGracePeriodSeconds").filter(|seconds| *seconds <= 0)
    {
        errors.push(field::invalid(
            &path.child("terminationGracePeriodSeconds"),
            seconds,
            "must be greater than 0",
        ));
    }
}

/// Validates the hooks of a container in a pod with this grace period, in seconds.
pub(super) fn lifecycle(
    errors: &mut ErrorList,
    container: &Value,
    path: &Path,
    grace: Option<i64>,
) {
    let kinds = ["exec", "httpGet", "tcpSocket", "sleep"];
    for name in ["postStart", "preStop"] {
        if let Some(hook) = tree::get(container, &format!("lifecycle.{name}")) {
            let at = path.child("lifecycle").child(name);
            handler(errors, hook, &at, &kinds, grace);
        }
    }
}

fn handler(
    errors: &mut ErrorList,
    holder: &Value,
    path: &Path,
    kinds: &[&str],
    grace: Option<i64>,
) {
    let mut given = 0;
    for kind in kinds {
        let Some(action) = tree::get(holder, kind) else {
            continue;
        };
        let at = path.child(kind);
        given += 1;
        if given > 1 {
            errors.push(field::forbidden(
                &at,
                "may not specify more than 1 handler type",
            ));
            continue;
        }
        match *kind {
            "exec" => {
                checks::required(errors, action, "command", &at, "");
            }
            "httpGet" => http_get(errors, action, &at),
            "sleep" => sleep(errors, action, &at, grace),
            _ => port(errors, action, &at.child("port")),
        }
    }
    if given == 0 {
        errors.push(field::required(path, "must specify a handler type"));
    }
}

fn sleep(errors: &mut ErrorList, action: &Value, path: &Path, grace: Option<i64>) {
    let seconds = tree::int(action, "seconds").unwrap_or(0);
    if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(field::invalid(path, seconds, detail));
    }
}

fn http_get(errors: &mut ErrorList, action: &Value, path: &Path) {
    checks::required(errors, action, "path", path, "");
    port(errors, action, &path.child("port"));
    checks::one_of(errors, action, "scheme", path, &["HTTP", "HTTPS"]);
    for header in tree::list(action, "httpHeaders") {
        let name = tree::text(header, "name");
        errors.check(
            &path.child("httpHeaders"),
            name,
            names::is_http_header_name(name),
        );
    }
}

/// A port by number or by name.
fn port(errors: &mut ErrorList, action: &Value, path: &Path) {
    match tree::get(action, "port") {
        Some(Value::String(name)) => errors.check(path, name, names::is_port_name(name)),
        value => {
            let number = value.and_then(Value::as_i64).unwrap_or(0);
            errors.check(path, number, names::is_port_number(number));
        }
    }
}
