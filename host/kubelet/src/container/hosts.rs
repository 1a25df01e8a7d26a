//! The pod's name and its `/etc/hosts` (`pkg/kubelet/kubelet_pods.go`).

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::error::HostnameError;
use crate::model;

/// The longest hostname Linux takes is 64; Kubernetes cuts pod names at 63.
const HOSTNAME_LIMIT: usize = 63;
const FQDN_LIMIT: usize = 64;

/// `(hostname, domain)`; the domain is empty unless the pod has a subdomain.
pub(crate) fn hostname(pod: &Pod, cluster_domain: &str) -> Result<(String, String), HostnameError> {
    let spec = pod.spec.as_ref();
    let name_override = spec.and_then(|spec| spec.hostname_override.as_ref());
    if let Some(name) = filled(name_override) {
        return Ok((name, String::new()));
    }
    let own = spec.and_then(|spec| spec.hostname.as_ref());
    let host = filled(own).unwrap_or_else(|| from_name(pod));
    let subdomain = spec.and_then(|spec| spec.subdomain.as_ref());
    let Some(subdomain) = filled(subdomain) else {
        return Ok((host, String::new()));
    };
    let namespace = model::namespace(pod);
    let domain = format!("{subdomain}.{namespace}.svc.{cluster_domain}");
    let as_fqdn = spec.and_then(|spec| spec.set_hostname_as_fqdn);
    if as_fqdn != Some(true) {
        return Ok((host, domain));
    }
    let fqdn = format!("{host}.{domain}");
    if fqdn.len() > FQDN_LIMIT {
        return Err(HostnameError {
            fqdn,
            limit: FQDN_LIMIT,
        });
    }
    Ok((fqdn, domain))
}

fn filled(field: Option<&String>) -> Option<String> {
    let text = field?;
    if text.is_empty() {
        return None;
    }
    Some(text.clone())
}

/// The pod's name, shortened to what a host may be called.
fn from_name(pod: &Pod) -> String {
    let name = model::name(pod).chars();
    let name: String = name.take(HOSTNAME_LIMIT).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

/// The file for a pod with its own network.
pub(crate) fn managed(ips: &[String], host: &str, domain: &str, aliases: &[HostAlias]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let short = host.split('.').next().unwrap_or(host);
    for ip in ips {
        if domain.is_empty() {
            text.push_str(&format!("{ip}\t{host}\n"));
        } else {
            text.push_str(&format!("{ip}\t{short}.{domain}\t{short}\n"));
        }
    }
    push_aliases(&mut text, aliases);
    text
}

/// The file for a pod in the node's network: the node's own, marked, with the pod's aliases.
pub(crate) fn from_node(node_file: &str, aliases: &[HostAlias]) -> String {
    let mut text = format!("# Kubernetes-managed hosts file (host network).\n{node_file}");
    push_aliases(&mut text, aliases);
    text
}

fn push_aliases(text: &mut String, aliases: &[HostAlias]) {
    if aliases.is_empty() {
        return;
    }
    text.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.as_deref();
        let names = names.unwrap_or_default().join("\t");
        let line = format!("{}\t{names}\n", alias.ip);
        text.push_str(&line);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, spec: serde_json::Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn long_names_are_cut_and_subdomains_give_a_domain() {
        let long = "a".repeat(62) + "-bcd";
        assert_eq!(
            hostname(&pod(&long, json!({})), "c.l").unwrap().0,
            "a".repeat(62)
        );
        let (host, domain) =
            hostname(&pod("p", json!({"hostname": "h", "subdomain": "s"})), "c.l").unwrap();
        assert_eq!((host.as_str(), domain.as_str()), ("h", "s.ns.svc.c.l"));
        let long = json!({"hostname": "a".repeat(60), "subdomain": "s", "setHostnameAsFQDN": true});
        assert!(
            hostname(&pod("p", long), "c.l")
                .unwrap_err()
                .to_string()
                .contains("is too long")
        );
    }

    #[test]
    fn the_file_names_the_pod_and_its_aliases() {
        let alias = HostAlias {
            ip: "1.2.3.4".into(),
            hostnames: Some(vec!["x".into(), "y".into()]),
        };
        let text = managed(&["10.42.0.5".into()], "h", "s.ns.svc.c.l", &[alias]);
        assert!(text.contains("10.42.0.5\th.s.ns.svc.c.l\th\n"));
        assert!(text.ends_with("# Entries added by HostAliases.\n1.2.3.4\tx\ty\n"));
    }
}
