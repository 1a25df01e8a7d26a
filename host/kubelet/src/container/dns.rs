//! A pod's resolver configuration by `dnsPolicy` (`pkg/kubelet/network/dns/dns.go`).

use k3s_cri::v1::DnsConfig;
use k8s_openapi::api::core::v1::Pod;

use crate::config::KubeletConfig;
use crate::model;

/// glibc reads three servers; upstream cuts the list there.
const MAX_SERVERS: usize = 3;
/// Search paths and their total length (`MaxDNSSearchPaths`, `MaxDNSSearchListChars`).
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

/// The host's resolver file, parsed.
pub(crate) fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let server = words.next();
                config.servers.extend(server.map(str::to_owned));
            }
            Some("search") => {
                let searches = words.map(trim_dot);
                config.searches = searches.map(str::to_owned).collect();
            }
            Some("options") => {
                let options = words.map(str::to_owned);
                config.options = options.collect();
            }
            _ => {}
        }
    }
    config
}

fn trim_dot(word: &str) -> &str {
    word.strip_suffix('.')
        .filter(|w| !w.is_empty())
        .unwrap_or(word)
}

/// The file's text, in the order containerd writes it.
pub(crate) fn file(dns: &DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

/// The configuration for one pod; `host` is the parsed host file.
pub(crate) fn pod_dns(config: &KubeletConfig, pod: &Pod, host: DnsConfig) -> DnsConfig {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref());
    let policy = policy.unwrap_or("ClusterFirst");
    let wants_cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !model::host_network(pod),
        _ => false,
    };
    let has_cluster = !config.cluster_dns.is_empty();
    let mut dns = if policy == "None" {
        DnsConfig::default()
    } else if wants_cluster && has_cluster {
        let namespace = model::namespace(pod);
        cluster_first(config, namespace, host)
    } else {
        host
    };
    if let Some(own) = spec.and_then(|s| s.dns_config.as_ref()) {
        append(&mut dns.servers, own.nameservers.iter().flatten().cloned());
        append(
            &mut dns.searches,
            own.searches
                .iter()
                .flatten()
                .map(|s| trim_dot(s).to_owned()),
        );
        merge_options(&mut dns.options, own.options.as_deref().unwrap_or_default());
    }
    dns.servers.truncate(MAX_SERVERS);
    limit_searches(&mut dns.searches);
    dns
}

fn cluster_first(config: &KubeletConfig, namespace: &str, host: DnsConfig) -> DnsConfig {
    let domain = &config.cluster_domain;
    let mut searches = vec![
        format!("{namespace}.svc.{domain}"),
        format!("svc.{domain}"),
        domain.clone(),
    ];
    append(&mut searches, host.searches.into_iter());
    DnsConfig {
        servers: config.cluster_dns.iter().map(ToString::to_string).collect(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

fn append(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn merge_options(
    options: &mut Vec<String>,
    own: &[k8s_openapi::api::core::v1::PodDNSConfigOption],
) {
    for option in own {
        let name = option.name.as_deref().unwrap_or_default();
        options.retain(|o| o.split(':').next() != Some(name));
        options.push(match option.value.as_deref().filter(|v| !v.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        });
    }
}

fn limit_searches(searches: &mut Vec<String>) {
    searches.truncate(MAX_SEARCHES);
    let mut length = 0;
    searches.retain(|s| {
        length += s.len() + 1;
        length <= MAX_SEARCH_CHARS + 1
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dns(spec: serde_json::Value) -> DnsConfig {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).unwrap();
        let host = parse("nameserver 1.1.1.1 # x\nsearch corp.example.\noptions rotate\n");
        pod_dns(&KubeletConfig::new("n", "v"), &pod, host)
    }

    #[test]
    fn policies() {
        let first = dns(json!({}));
        assert_eq!(first.servers, ["10.43.0.10"]);
        assert_eq!(
            first.searches,
            [
                "ns.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local",
                "corp.example"
            ]
        );
        assert_eq!(first.options, ["ndots:5"]);
        assert_eq!(
            file(&first),
            "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.43.0.10\noptions ndots:5\n"
        );
        assert_eq!(dns(json!({"hostNetwork": true})).servers, ["1.1.1.1"]);
        assert_eq!(
            dns(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"})),
            first
        );
        assert_eq!(dns(json!({"dnsPolicy": "Default"})).options, ["rotate"]);
    }

    #[test]
    fn own_settings_add_and_override() {
        let got = dns(
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["a"],
            "options": [{"name": "ndots", "value": "2"}]}}),
        );
        assert_eq!(
            (got.servers, got.searches, got.options),
            (
                vec!["9.9.9.9".into()],
                vec!["a".into()],
                vec!["ndots:2".into()]
            )
        );
    }
}
