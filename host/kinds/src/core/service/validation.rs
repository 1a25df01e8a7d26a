//! Validation of services.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::cluster_validation::{is_headless, validate_cluster_fields, validate_step};
use super::{balancers, port_validation};
use crate::checks::{self, Check};
use crate::object_meta;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
/// Longest session affinity, one day.
const MAX_AFFINITY_SECONDS: i64 = 86_400;
const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY: &str = "service.kubernetes.io/topology-mode";

pub(super) fn validate(service: &Value) -> ErrorList {
    of_service(service, None)
}

/// `validateService`; `old` is the stored service of an update.
fn of_service(service: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(service, "spec").unwrap_or(&Value::Null);
    topology(&mut errors, service);
    of_type(&mut errors, service, &path);
    port_validation::validate(&mut errors, spec, &path);
    errors.append(object_meta::validate_labels(
        spec,
        "selector",
        &path.child("selector"),
    ));
    affinity(&mut errors, spec, &path);
    errors.append(validate_cluster_fields(service, old));
    external_ips(&mut errors, spec, old, &path.child("externalIPs"));
    checks::required_one_of(&mut errors, spec, "type", &path, &TYPES);
    port_validation::of_nodes(&mut errors, spec, &path);
    port_validation::duplicates(&mut errors, spec, &path);
    balancers::validate(&mut errors, service, old);
    traffic(&mut errors, spec, &path);
    errors
}

/// Both names of one annotation say the same.
fn topology(errors: &mut ErrorList, service: &Value) {
    let annotations = tree::map(service, "metadata.annotations");
    let [mode, hints] = [TOPOLOGY, HINTS].map(|key| annotations.get(key));
    if mode.is_some() && hints.is_some() && mode != hints {
        let at = Path::new("metadata.annotations").key(TOPOLOGY);
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(field::invalid(&at, mode, detail));
    }
}

fn of_type(errors: &mut ErrorList, service: &Value, path: &Path) {
    let kind = tree::text(service, "spec.type");
    let is_headless = is_headless(service);
    if !tree::has(service, "spec.ports") && !is_headless && kind != "ExternalName" {
        errors.push(field::required(&path.child("ports"), ""));
    }
    if is_headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let detail = format!("may not be set to 'None' for {kind} services");
        let at = path.child("clusterIPs").index(0);
        errors.push(field::invalid(&at, "None", detail));
    }
    if kind != "ExternalName" {
        return;
    }
    let spec = tree::get(service, "spec").unwrap_or(&Value::Null);
    let has_policy = tree::get(spec, "ipFamilyPolicy").is_some();
    for (name, is_set) in [
        ("clusterIPs", tree::has(spec, "clusterIPs")),
        ("ipFamilies", tree::has(spec, "ipFamilies")),
        ("ipFamilyPolicy", has_policy),
    ] {
        if is_set {
            let detail = "may not be set for ExternalName services";
            errors.push(field::forbidden(&path.child(name), detail));
        }
    }
    external_name(errors, spec, &path.child("externalName"));
}

fn external_name(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let name = tree::text(spec, "externalName");
    // A trailing dot marks the name as complete.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        errors.push(field::required(path, ""));
    } else {
        errors.check(path, name, names::is_dns1123_subdomain(name));
    }
}

fn affinity(errors: &mut ErrorList, spec: &Value, path: &Path) {
    checks::required_one_of(errors, spec, "sessionAffinity", path, &["ClientIP", "None"]);
    let config = path.child("sessionAffinityConfig");
    match tree::text(spec, "sessionAffinity") {
        "ClientIP" => client_ip(errors, spec, &config),
        "None" if tree::get(spec, "sessionAffinityConfig").is_some() => {
            let detail = "must not be set when session affinity is None";
            errors.push(field::forbidden(&config, detail));
        }
        _ => {}
    }
}

fn client_ip(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let at = path.child("clientIP.timeoutSeconds");
    let Some(seconds) = tree::int(spec, "sessionAffinityConfig.clientIP.timeoutSeconds") else {
        let detail = "when session affinity type is ClientIP";
        errors.push(field::required(&at, detail));
        return;
    };
    if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) {
        let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
        errors.push(field::invalid(&at, seconds, detail));
    }
}

/// Addresses outside; those that the service has already are good.
fn external_ips(errors: &mut ErrorList, spec: &Value, old: Option<&Value>, path: &Path) {
    let kept = old.map(|old| tree::texts(old, "spec.externalIPs"));
    let kept = kept.unwrap_or_default();
    for (index, ip) in tree::texts(spec, "externalIPs").into_iter().enumerate() {
        let at = path.index(index);
        match names::is_ip(ip) {
            Err(violations) if !kept.contains(&ip) => errors.check(&at, ip, Err(violations)),
            _ => errors.append(checks::special_ip(ip, &at)),
        }
    }
}

fn traffic(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let kind = tree::text(spec, "type");
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && tree::has(spec, "externalIPs"));
    let policies = ["Cluster", "Local"];
    let name = "externalTrafficPolicy";
    let policy = tree::text(spec, name);
    if external {
        checks::required_one_of(errors, spec, name, path, &policies);
    } else if !policy.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(field::invalid(&path.child(name), policy, detail));
    }
    health_check(errors, spec, &path.child("healthCheckNodePort"));
    let name = "internalTrafficPolicy";
    let is_inside = matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer");
    if is_inside && tree::get(spec, name).is_none() {
        errors.push(field::required(&path.child(name), ""));
    }
    checks::supported(errors, spec, name, path, &policies);
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    checks::supported(errors, spec, "trafficDistribution", path, &distributions);
}

fn health_check(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let number = tree::int(spec, "healthCheckNodePort").unwrap_or(0);
    let is_needed = needs_health_check(spec);
    if is_needed && number == 0 {
        errors.push(field::required(path, ""));
    } else if is_needed {
        checks::port_number(errors, number, path);
    } else if number != 0 {
        let detail =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(field::invalid(path, number, detail));
    }
}

fn needs_health_check(spec: &Value) -> bool {
    tree::text(spec, "type") == "LoadBalancer"
        && tree::text(spec, "externalTrafficPolicy") == "Local"
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_step(new, old);
    balancers::keeps_class(&mut errors, new, old);
    let [after, before] = [new, old].map(|it| tree::get(it, "spec").unwrap_or(&Value::Null));
    let port = |spec| tree::int(spec, "healthCheckNodePort").unwrap_or(0);
    let both = needs_health_check(after) && needs_health_check(before);
    if both && port(after) != port(before) {
        let at = Path::new("spec.healthCheckNodePort");
        errors.push(field::forbidden(&at, "field is immutable"));
    }
    errors.append(of_service(new, Some(old)));
    errors
}

pub(super) fn warnings(service: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if tree::map(service, "metadata.annotations").contains_key(HINTS) {
        warnings.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    warnings.extend(ignored_fields(service));
    if tree::text(service, "spec.trafficDistribution") == "PreferClose" {
        warnings.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""
                .to_owned(),
        );
    }
    warnings
}

/// What says nothing for a service of this type (`pkg/api/service/warnings.go`).
fn ignored_fields(service: &Value) -> Vec<String> {
    let kind = tree::text(service, "spec.type");
    let is_external = kind == "ExternalName";
    let is_headless = kind == "ClusterIP" && tree::text(service, "spec.clusterIP") == "None";
    let has_ips = !tree::list(service, "spec.externalIPs").is_empty();
    let table = [
        (
            is_headless && !tree::text(service, "spec.loadBalancerIP").is_empty(),
            "spec.loadBalancerIP is ignored for headless services",
        ),
        (
            is_headless && has_ips,
            "spec.externalIPs is ignored for headless services",
        ),
        (
            is_headless && tree::text(service, "spec.sessionAffinity") != "None",
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            has_ips && !is_headless && !is_external,
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
        (
            has_ips && is_external,
            "spec.externalIPs is ignored when spec.type is \"ExternalName\"",
        ),
        (
            !is_external && !tree::text(service, "spec.externalName").is_empty(),
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ),
    ];
    let applies = table.into_iter().filter(|(applies, _)| *applies);
    applies.map(|(_, text)| text.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::service::defaults;

    fn service(spec: Value) -> Value {
        let mut service = json!({"metadata": {"name": "s"}, "spec": spec});
        defaults::default(&mut service);
        service
    }

    #[test]
    fn what_is_ignored_or_old_is_warned_of() {
        let port = json!({"port": 80});
        let cases = [
            (
                json!({"ports": [port], "externalIPs": ["10.0.0.1"]}),
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            ),
            (
                json!({"clusterIP": "None", "ports": [port], "externalIPs": ["10.0.0.1"]}),
                "spec.externalIPs is ignored for headless services",
            ),
            (
                json!({"type": "ExternalName", "externalName": "a.b", "externalIPs": ["10.0.0.1"]}),
                "spec.externalIPs is ignored when spec.type is \"ExternalName\"",
            ),
            (
                json!({"ports": [port], "externalName": "a.b"}),
                "spec.externalName is ignored when spec.type is not \"ExternalName\"",
            ),
            (
                json!({"ports": [port], "trafficDistribution": "PreferClose"}),
                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
            ),
        ];
        for (spec, text) in cases {
            assert_eq!(warnings(&service(spec)), [text]);
        }
        assert!(warnings(&service(json!({"ports": [port]}))).is_empty());
    }

    #[test]
    fn mistakes_are_worded_as_upstream() {
        let port = json!({"port": 80});
        let cases = [
            (json!({}), "spec.ports: Required value"),
            (
                json!({"ports": [{"port": 0, "targetPort": 80}]}),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"type": "Odd", "ports": [port]}),
                "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
            (
                json!({"ports": [{"port": 80, "nodePort": 30000}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                json!({"type": "ExternalName"}),
                "spec.externalName: Required value",
            ),
            (
                json!({"ports": [{"port": 80}, {"port": 81}]}),
                "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]",
            ),
        ];
        for (spec, message) in cases {
            let text = validate(&service(spec)).to_string();
            assert!(text.starts_with(message), "{text}");
        }
    }

    #[test]
    fn load_balancer_fields_are_checked() {
        let balancer = |more: Value| {
            let mut spec = json!({"type": "LoadBalancer", "ports": [{"port": 80}], "clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"]});
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            service(spec)
        };
        let local = |port: i64| {
            balancer(json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": port}))
        };
        assert!(validate(&local(30_000)).is_empty());
        assert_eq!(
            validate_update(&local(30_001), &local(30_000)).to_string(),
            "spec.healthCheckNodePort: Forbidden: field is immutable"
        );
        let shown = |ingress: Value| {
            let mut service = balancer(json!({}));
            service["status"] = json!({"loadBalancer": {"ingress": [ingress]}});
            balancers::validate_status_update(&service, &Value::Null)
        };
        assert!(shown(json!({"ip": "192.0.2.1", "ipMode": "VIP"})).is_empty());
        let path = "status.loadBalancer.ingress[0].ipMode";
        assert_eq!(
            shown(json!({"ip": "192.0.2.1"})).to_string(),
            format!("{path}: Required value: must be specified when `ip` is set")
        );
        assert_eq!(
            shown(json!({"hostname": "a.b", "ipMode": "VIP"})).to_string(),
            format!("{path}: Forbidden: may not be specified when `ip` is not set")
        );
        let odd = shown(json!({"ip": "192.0.2.1", "ipMode": "Odd"})).to_string();
        assert_eq!(
            odd,
            format!("{path}: Unsupported value: \"Odd\": supported values: \"Proxy\", \"VIP\"")
        );
    }

    #[test]
    fn the_cluster_ip_stays() {
        let with = |ip: &str| {
            service(json!({"ports": [{"port": 80}], "clusterIP": ip, "clusterIPs": [ip]}))
        };
        assert_eq!(
            validate_update(&with("10.43.0.2"), &with("10.43.0.1")).to_string(),
            "spec.clusterIPs[0]: Invalid value: [\"10.43.0.2\"]: may not change once set"
        );
    }
}
