//! DNS and host names of a pod.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

/// Longest host name of a machine.
const MAX_HOSTNAME_BYTES: usize = 64;

/// Validates `dnsPolicy`.
pub(super) fn dns_policy(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    checks::one_of(errors, spec, "dnsPolicy", path, &policies);
}

/// Validates `dnsConfig`, at `path`.
pub(super) fn dns_config(errors: &mut ErrorList, spec: &Value, config_path: &Path) {
    let is_alone = tree::text(spec, "dnsPolicy") == "None";
    let servers = tree::texts(spec, "dnsConfig.nameservers");
    let Some(config) = tree::get(spec, "dnsConfig") else {
        if is_alone {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(field::required(config_path, detail));
        }
        return;
    };
    if is_alone && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(field::required(&config_path.child("nameservers"), detail));
        return;
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(field::invalid(
            &config_path.child("nameservers"),
            tree::get(config, "nameservers"),
            detail,
        ));
    }
    for (index, server) in servers.iter().enumerate() {
        errors.check(
            &config_path.child("nameservers").index(index),
            *server,
            names::is_ip(server),
        );
    }
    searches(errors, config, &config_path.child("searches"));
    for (index, option) in tree::list(config, "options").iter().enumerate() {
        if !tree::has(option, "name") {
            errors.push(field::required(
                &config_path.child("options").index(index),
                "must not be empty",
            ));
        }
    }
}

fn searches(errors: &mut ErrorList, config: &Value, path: &Path) {
    let searches = tree::texts(config, "searches");
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(field::invalid(path, tree::get(config, "searches"), detail));
    }
    if searches.join(" ").len() > MAX_SEARCH_BYTES {
        let detail =
            "must not have more than 2048 characters (including spaces) in the search list";
        errors.push(field::invalid(path, tree::get(config, "searches"), detail));
    }
    for (index, search) in searches.iter().enumerate() {
        if *search == "." {
            continue;
        }
        // A trailing dot marks a name as complete.
        let name = search.strip_suffix('.').unwrap_or(search);
        errors.check(
            &path.index(index),
            name,
            names::is_dns1123_subdomain_with_underscore(name),
        );
    }
}

/// Validates `hostnameOverride` (`validatePodHostName`).
pub(super) fn hostname_override(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(name) = tree::get(spec, "hostnameOverride").and_then(Value::as_str) else {
        return;
    };
    let at = path.child("hostnameOverride");
    for other in ["setHostnameAsFQDN", "hostNetwork"] {
        if tree::flag(spec, other) {
            let detail = format!("may not be specified when {other} is true");
            errors.push(field::forbidden(&at, detail));
        }
    }
    if name.len() > MAX_HOSTNAME_BYTES {
        errors.push(field::too_long(&at, MAX_HOSTNAME_BYTES));
    }
    errors.check(&at, name, names::is_dns1123_subdomain(name));
}

/// Validates `hostAliases`.
pub(super) fn hosts(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for (index, alias) in tree::list(spec, "hostAliases").iter().enumerate() {
        let at = path.child("hostAliases").index(index);
        let ip = tree::text(alias, "ip");
        errors.check(&at.child("ip"), ip, names::is_ip(ip));
        for (number, name) in tree::texts(alias, "hostnames").iter().enumerate() {
            errors.check(
                &at.child("hostnames").index(number),
                *name,
                names::is_dns1123_subdomain(name),
            );
        }
    }
}
