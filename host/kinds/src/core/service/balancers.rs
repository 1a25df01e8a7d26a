//! Validation of what belongs to load balancers, their status included.

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const OF_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
const CLASS: &str = "spec.loadBalancerClass";

fn is_balancer(service: &Value) -> bool {
    tree::text(service, "spec.type") == "LoadBalancer"
}

/// Validates sources, node ports and class; `old` is the stored service of an update.
pub(super) fn validate(errors: &mut ErrorList, service: &Value, old: Option<&Value>) {
    if tree::has(service, "spec.loadBalancerSourceRanges") {
        source_ranges(errors, service, old);
    } else {
        annotated_ranges(errors, service, old);
    }
    let allocates = "allocateLoadBalancerNodePorts";
    let has_choice = tree::get(service, &format!("spec.{allocates}")).is_some();
    if has_choice && !is_balancer(service) {
        let at = Path::new("spec").child(allocates);
        errors.push(field::forbidden(&at, OF_BALANCERS));
    } else if !has_choice && is_balancer(service) {
        // Upstream leaves the spec out here.
        errors.push(field::required(&Path::new(allocates), ""));
    }
    let Some(class) = tree::get(service, CLASS).and_then(Value::as_str) else {
        return;
    };
    if is_balancer(service) {
        errors.check(&Path::new(CLASS), class, names::is_qualified_name(class));
    } else {
        errors.push(field::forbidden(&Path::new(CLASS), OF_BALANCERS));
    }
}

/// Ranges with blanks around them, as annotations had them; those that the service has already are good.
fn source_ranges(errors: &mut ErrorList, service: &Value, old: Option<&Value>) {
    let path = Path::new("spec.LoadBalancerSourceRanges");
    if !is_balancer(service) {
        errors.push(field::forbidden(&path, OF_BALANCERS));
    }
    let ranges = |service| -> Vec<&str> {
        let texts = tree::texts(service, "spec.loadBalancerSourceRanges");
        texts.into_iter().map(str::trim).collect()
    };
    let kept = old.map(ranges).unwrap_or_default();
    for (index, range) in ranges(service).into_iter().enumerate() {
        if !kept.contains(&range) {
            errors.check(&path.index(index), range, names::is_cidr(range));
        }
    }
}

fn annotated_ranges(errors: &mut ErrorList, service: &Value, old: Option<&Value>) {
    let noted = |service| tree::map(service, "metadata.annotations").get(SOURCE_RANGES);
    let Some(text) = noted(service).and_then(Value::as_str) else {
        return;
    };
    let path = Path::new("metadata.annotations").key(SOURCE_RANGES);
    if !is_balancer(service) {
        errors.push(field::forbidden(&path, OF_BALANCERS));
    }
    let is_kept = old.is_some_and(|old| noted(old) == noted(service));
    if is_kept || text.trim().is_empty() {
        return;
    }
    for range in text.trim().split(',').map(str::trim) {
        errors.check(&path, range, names::is_cidr(range));
    }
}

/// A load balancer keeps its class.
pub(super) fn keeps_class(errors: &mut ErrorList, new: &Value, old: &Value) {
    let [after, before] = [new, old].map(|service| tree::get(service, CLASS));
    if is_balancer(new) && is_balancer(old) && after != before {
        let detail = "may not change once set";
        errors.push(field::invalid(&Path::new(CLASS), after, detail));
    }
}

/// `ValidateLoadBalancerStatus`
pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = "status.loadBalancer.ingress";
    let (path, ingress) = (Path::new(at), tree::list(new, at));
    if !ingress.is_empty() && !is_balancer(new) {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        return field::forbidden(&path, detail).into();
    }
    let stored = tree::list(old, at).iter();
    let kept: Vec<&str> = stored.map(|point| tree::text(point, "ip")).collect();
    for (index, point) in ingress.iter().enumerate() {
        self::point(&mut errors, point, &kept, &path.index(index));
    }
    errors
}

fn point(errors: &mut ErrorList, point: &Value, kept: &[&str], path: &Path) {
    let (ip, host) = (tree::text(point, "ip"), tree::text(point, "hostname"));
    if !ip.is_empty() && !kept.contains(&ip) {
        errors.check(&path.child("ip"), ip, names::is_ip(ip));
    }
    let at = path.child("ipMode");
    match (tree::get(point, "ipMode").is_some(), ip.is_empty()) {
        (false, false) => {
            let detail = "must be specified when `ip` is set";
            errors.push(field::required(&at, detail));
        }
        (true, true) => {
            let detail = "may not be specified when `ip` is not set";
            errors.push(field::forbidden(&at, detail));
        }
        _ => checks::supported(errors, point, "ipMode", path, &["Proxy", "VIP"]),
    }
    if !host.is_empty() {
        let at = path.child("hostname");
        errors.check(&at, host, names::is_dns1123_subdomain(host));
        if parse_loosely(host).is_some() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(field::invalid(&at, host, detail));
        }
    }
}
