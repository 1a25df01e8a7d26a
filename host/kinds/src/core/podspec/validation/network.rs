//! DNS and host names of a pod.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

/// Validates `dnsPolicy` and `dnsConfig`.
pub(super) fn dns(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    checks::one_of(errors, spec, "dnsPolicy", path, &policies);
    let config_path = path.child("dnsConfig");
    let servers = tree::texts(spec, "dnsConfig.nameservers");
    if tree::text(spec, "dnsPolicy") == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        let at = if tree::get(spec, "dnsConfig").is_some() {
            config_path.child("nameservers")
        } else {
            config_path.clone()
        };
        errors.push(field::required(&at, detail));
    }
    let Some(config) = tree::get(spec, "dnsConfig") else {
        return;
    };
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
        // A trailing dot marks a name as complete, and underscores occur in service names.
        let name = search.strip_suffix('.').unwrap_or(search).replace('_', "-");
        if !name.is_empty() {
            errors.check(
                &path.index(index),
                *search,
                names::is_dns1123_subdomain(name.trim_start_matches('-')),
            );
        }
    }
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
