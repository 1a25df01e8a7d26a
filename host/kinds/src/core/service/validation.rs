//! Validation of services.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::port_validation;
use crate::checks::{self, Check};
use crate::equality::semantic_eq;
use crate::object_meta;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
/// Longest session affinity, one day.
const MAX_AFFINITY_SECONDS: i64 = 86_400;

pub(super) fn validate(service: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(service, "spec").unwrap_or(&Value::Null);
    let kind = tree::text(spec, "type");
    if is_headless(spec) && matches!(kind, "LoadBalancer" | "NodePort") {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(field::invalid(
            &path.child("clusterIPs").index(0),
            "None",
            detail,
        ));
    }
    if kind == "ExternalName" {
        external_name(&mut errors, spec, &path);
    }
    port_validation::validate(&mut errors, spec, &path, is_headless(spec));
    errors.append(object_meta::validate_labels(
        spec,
        "selector",
        &path.child("selector"),
    ));
    affinity(&mut errors, spec, &path);
    for (index, ip) in tree::texts(spec, "externalIPs").iter().enumerate() {
        let at = path.child("externalIPs").index(index);
        errors.check(&at, *ip, names::is_ip(ip));
        errors.append(checks::special_ip(ip, &at));
    }
    checks::required_one_of(&mut errors, spec, "type", &path, &TYPES);
    balancer(&mut errors, spec, &path);
    traffic(&mut errors, spec, &path);
    addresses(&mut errors, spec, &path);
    errors
}

fn is_headless(spec: &Value) -> bool {
    tree::texts(spec, "clusterIPs").first() == Some(&"None")
        || tree::text(spec, "clusterIP") == "None"
}

fn external_name(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if tree::has(spec, "clusterIPs") {
        errors.push(field::forbidden(
            &path.child("clusterIPs"),
            "may not be set for ExternalName services",
        ));
    }
    // A trailing dot marks the name as complete.
    let name = tree::text(spec, "externalName").trim_end_matches('.');
    if name.is_empty() {
        errors.push(field::required(&path.child("externalName"), ""));
    } else {
        errors.check(
            &path.child("externalName"),
            name,
            names::is_dns1123_subdomain(name),
        );
    }
}

fn affinity(errors: &mut ErrorList, spec: &Value, path: &Path) {
    checks::required_one_of(errors, spec, "sessionAffinity", path, &["ClientIP", "None"]);
    let config = path.child("sessionAffinityConfig");
    match tree::text(spec, "sessionAffinity") {
        "ClientIP" => {
            let seconds =
                tree::int(spec, "sessionAffinityConfig.clientIP.timeoutSeconds").unwrap_or(0);
            if seconds <= 0 || seconds > MAX_AFFINITY_SECONDS {
                let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                errors.push(field::invalid(
                    &config.child("clientIP.timeoutSeconds"),
                    seconds,
                    detail,
                ));
            }
        }
        "None" if tree::get(spec, "sessionAffinityConfig").is_some() => {
            let detail = "must not be set when session affinity is None";
            errors.push(field::forbidden(&config, detail));
        }
        _ => {}
    }
}

fn balancer(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let is_balancer = tree::text(spec, "type") == "LoadBalancer";
    if tree::has(spec, "loadBalancerSourceRanges") {
        let at = path.child("loadBalancerSourceRanges");
        if !is_balancer {
            errors.push(field::forbidden(
                &at,
                "may only be used when `type` is 'LoadBalancer'",
            ));
        }
        for (index, range) in tree::texts(spec, "loadBalancerSourceRanges")
            .iter()
            .enumerate()
        {
            if range.trim().parse::<ipnet::IpNet>().is_err() {
                let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                errors.push(field::invalid(&at.index(index), *range, detail));
            }
        }
    }
    for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if !is_balancer && tree::get(spec, name).is_some() {
            errors.push(field::forbidden(
                &path.child(name),
                "may only be used when `type` is 'LoadBalancer'",
            ));
        }
    }
    let class = tree::text(spec, "loadBalancerClass");
    if !class.is_empty() {
        errors.check(
            &path.child("loadBalancerClass"),
            class,
            names::is_qualified_name(class),
        );
    }
}

fn traffic(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let kind = tree::text(spec, "type");
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && tree::has(spec, "externalIPs"));
    let at = path.child("externalTrafficPolicy");
    match tree::text(spec, "externalTrafficPolicy") {
        "" if external => errors.push(field::required(&at, "")),
        "" => {}
        policy if !external => {
            errors.push(field::invalid(
                &at,
                policy,
                "may only be set for externally-accessible services",
            ));
        }
        _ => checks::one_of(
            errors,
            spec,
            "externalTrafficPolicy",
            path,
            &["Cluster", "Local"],
        ),
    }
    let health = tree::int(spec, "healthCheckNodePort").unwrap_or(0);
    if health != 0
        && !(kind == "LoadBalancer" && tree::text(spec, "externalTrafficPolicy") == "Local")
    {
        let detail =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(field::invalid(
            &path.child("healthCheckNodePort"),
            health,
            detail,
        ));
    }
    if matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer") {
        checks::required_one_of(
            errors,
            spec,
            "internalTrafficPolicy",
            path,
            &["Cluster", "Local"],
        );
    }
    checks::one_of(
        errors,
        spec,
        "trafficDistribution",
        path,
        &["PreferClose", "PreferSameNode", "PreferSameZone"],
    );
}

fn addresses(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let (primary, all) = (
        tree::text(spec, "clusterIP"),
        tree::texts(spec, "clusterIPs"),
    );
    let at = path.child("clusterIPs");
    if all.first().is_some_and(|first| *first != primary) {
        let detail = "must match `clusterIPs[0]`";
        errors.push(field::invalid(&path.child("clusterIP"), primary, detail));
    }
    if all.len() > 2 {
        errors.push(field::invalid(
            &at,
            tree::get(spec, "clusterIPs"),
            "may only hold up to 2 values",
        ));
    }
    for (index, ip) in all.iter().enumerate() {
        match *ip {
            "None" if index == 0 && all.len() == 1 => {}
            "None" => errors.push(field::invalid(
                &at.index(index),
                *ip,
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            )),
            "" => {}
            ip => errors.check(&at.index(index), ip, names::is_ip(ip)),
        }
    }
    for (index, family) in tree::texts(spec, "ipFamilies").iter().enumerate() {
        if !matches!(*family, "IPv4" | "IPv6") {
            errors.push(field::not_supported(
                &path.child("ipFamilies").index(index),
                *family,
                &["IPv4", "IPv6"],
            ));
        }
    }
    checks::one_of(
        errors,
        spec,
        "ipFamilyPolicy",
        path,
        &["PreferDualStack", "RequireDualStack", "SingleStack"],
    );
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    keeps_cluster_ip(&mut errors, new, old);
    keeps_load_balancer(&mut errors, new, old);
    errors.append(validate(new));
    errors
}

/// The primary cluster IP stays, unless the Service is or was a name outside the cluster.
fn keeps_cluster_ip(errors: &mut ErrorList, new: &Value, old: &Value) {
    let is_external = |service| tree::text(service, "spec.type") == "ExternalName";
    if is_external(new) || is_external(old) {
        return;
    }
    let primary = |service| tree::texts(service, "spec.clusterIPs").first().copied();
    let detail = match (primary(new), primary(old)) {
        (None, Some(_)) => "primary clusterIP can not be unset",
        (Some(after), Some(before)) if after != before => "may not change once set",
        _ => return,
    };
    let at = Path::new("spec").child("clusterIPs").index(0);
    let found = tree::get(new, "spec.clusterIPs");
    errors.push(field::invalid(&at, found, detail));
}

/// A load balancer keeps its class, and its port for health checks while it needs one.
fn keeps_load_balancer(errors: &mut ErrorList, new: &Value, old: &Value) {
    let is_load_balancer = |service| tree::text(service, "spec.type") == "LoadBalancer";
    if !is_load_balancer(new) || !is_load_balancer(old) {
        return;
    }
    let class = "spec.loadBalancerClass";
    let found = tree::get(new, class);
    if !semantic_eq(found, tree::get(old, class)) {
        errors.push(field::invalid(
            &Path::new(class),
            found,
            "may not change once set",
        ));
    }
    let needs_health = |service| tree::text(service, "spec.externalTrafficPolicy") == "Local";
    let port = |service| tree::int(service, "spec.healthCheckNodePort").unwrap_or(0);
    if needs_health(new) && needs_health(old) && port(new) != port(old) {
        let at = Path::new("spec").child("healthCheckNodePort");
        let detail = "cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update";
        errors.push(field::invalid(&at, port(new), detail));
    }
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status.loadBalancer.ingress");
    let ingress = tree::list(new, "status.loadBalancer.ingress");
    if !ingress.is_empty() && tree::text(new, "spec.type") != "LoadBalancer" {
        errors.push(field::forbidden(
            &path,
            "may only be used when `spec.type` is \"LoadBalancer\"",
        ));
    }
    for (index, point) in ingress.iter().enumerate() {
        let at = path.index(index);
        let (ip, host) = (tree::text(point, "ip"), tree::text(point, "hostname"));
        if !ip.is_empty() {
            errors.check(&at.child("ip"), ip, names::is_ip(ip));
        }
        ip_mode(
            &mut errors,
            tree::text(point, "ipMode"),
            ip,
            &at.child("ipMode"),
        );
        if !host.is_empty() {
            errors.check(
                &at.child("hostname"),
                host,
                names::is_dns1123_subdomain(host),
            );
        }
    }
    errors
}

/// `ValidateLoadBalancerStatus` of `pkg/apis/core/validation`.
fn ip_mode(errors: &mut ErrorList, mode: &str, ip: &str, path: &Path) {
    match mode {
        "" if ip.is_empty() => {}
        "" => errors.push(field::required(path, "must be specified when `ip` is set")),
        _ if ip.is_empty() => errors.push(field::forbidden(
            path,
            "may not be specified when `ip` is not set",
        )),
        "Proxy" | "VIP" => {}
        mode => errors.push(field::not_supported(path, mode, &["Proxy", "VIP"])),
    }
}

pub(super) fn warnings(service: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if tree::map(service, "metadata.annotations")
        .contains_key("service.kubernetes.io/topology-aware-hints")
    {
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
            "spec.healthCheckNodePort: Invalid value: 30001: cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update"
        );
        let shown = |ingress: Value| {
            let mut service = balancer(json!({}));
            service["status"] = json!({"loadBalancer": {"ingress": [ingress]}});
            validate_status_update(&service, &Value::Null)
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
