//! Options that only Windows knows.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::core::podspec::defaults::CONTAINER_LISTS;

const MAX_CREDENTIAL_KIB: usize = 64;
const MAX_DOMAIN_BYTES: usize = 255;
const MAX_USER_BYTES: usize = 104;
/// Longest name of a domain of NetBIOS.
const MAX_NETBIOS_CHARS: usize = 15;
const MAX_LABEL_BYTES: usize = 63;

/// Validates `windowsOptions` of the security context `context`, at `path`
/// (`validateWindowsSecurityContextOptions`).
pub(super) fn options(errors: &mut ErrorList, context: &Value, path: &Path) {
    let Some(options) = tree::get(context, "windowsOptions") else {
        return;
    };
    let text = |name: &str| tree::get(options, name).and_then(Value::as_str);
    let path = path.child("windowsOptions");
    if let Some(name) = text("gmsaCredentialSpecName") {
        let outcome = names::is_dns1123_subdomain(name);
        errors.check(&path.child("gmsaCredentialSpecName"), name, outcome);
    }
    if let Some(credential) = text("gmsaCredentialSpec") {
        let at = path.child("gmsaCredentialSpec");
        if credential.is_empty() {
            let detail = "gmsaCredentialSpec cannot be an empty string";
            errors.push(field::invalid(&at, credential, detail));
        } else if credential.len() > MAX_CREDENTIAL_KIB * 1024 {
            let detail = format!("gmsaCredentialSpec size must be under {MAX_CREDENTIAL_KIB} KiB");
            errors.push(field::invalid(&at, credential, detail));
        }
    }
    if let Some(name) = text("runAsUserName") {
        for detail in run_as(name) {
            errors.push(field::invalid(&path.child("runAsUserName"), name, detail));
        }
    }
}

/// What is wrong with `DOMAIN\USER` or `USER`.
fn run_as(name: &str) -> Vec<String> {
    let alone = if name.is_empty() {
        "runAsUserName cannot be an empty string"
    } else if name.contains(|c: char| c.is_ascii_control()) {
        "runAsUserName cannot contain control characters"
    } else if name.matches('\\').count() > 1 {
        "runAsUserName cannot contain more than one backslash"
    } else {
        ""
    };
    if !alone.is_empty() {
        return vec![alone.to_owned()];
    }
    let (domain, user) = match name.split_once('\\') {
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    let mut found = domain.map(of_domain).unwrap_or_default();
    found.extend(of_user(user));
    found
}

fn of_domain(domain: &str) -> Vec<String> {
    let mut found = Vec::new();
    if domain.len() > MAX_DOMAIN_BYTES {
        found.push(format!(
            "runAsUserName's Domain length must be under {} characters",
            MAX_DOMAIN_BYTES + 1
        ));
    }
    if !is_netbios(domain) && !domain.split('.').all(is_label) {
        let text = "runAsUserName's Domain doesn't match the NetBios nor the DNS format";
        found.push(text.to_owned());
    }
    found
}

fn is_netbios(domain: &str) -> bool {
    let count = domain.chars().count();
    (1..=MAX_NETBIOS_CHARS).contains(&count)
        && !domain.starts_with('.')
        && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL_BYTES
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn of_user(user: &str) -> Vec<String> {
    let mut found = Vec::new();
    if user.is_empty() {
        found.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > MAX_USER_BYTES {
        found.push(format!(
            "runAsUserName's User length must not be longer than {MAX_USER_BYTES} characters"
        ));
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        let text = "runAsUserName's User cannot contain only periods or spaces";
        found.push(text.to_owned());
    }
    let refused = [
        '"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']',
    ];
    if user.contains(refused) {
        let text =
            r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#;
        found.push(text.to_owned());
    }
    found
}

/// Containers that are processes of the host: all of a pod, on the host's network
/// (`validateWindowsHostProcessPod`).
pub(super) fn host_processes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    const FLAG: &str = "securityContext.windowsOptions.hostProcess";
    let flag = |holder| tree::get(holder, FLAG).and_then(Value::as_bool);
    let of_pod = flag(spec);
    let (mut all, mut processes) = (0, 0);
    for list in CONTAINER_LISTS {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            let own = flag(container);
            if let (Some(pod), Some(own)) = (of_pod, own)
                && pod != own
            {
                let at = path.child(list).index(index).child(FLAG);
                let detail = format!(
                    "pod hostProcess value must be identical if both are specified, was {pod}"
                );
                errors.push(field::invalid(&at, own, detail));
            }
            all += 1;
            processes += i32::from(own.or(of_pod).unwrap_or(false));
        }
    }
    if processes == 0 {
        return;
    }
    if processes != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(field::invalid(path, "", detail));
    }
    if !tree::flag(spec, "hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(field::invalid(&path.child("hostNetwork"), false, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_users_are_worded_as_upstream() {
        for name in [
            "User",
            "NT AUTHORITY\\SYSTEM",
            "a.b-c.example\\x",
            "DOMAIN\\a b",
        ] {
            assert!(run_as(name).is_empty(), "{name}");
        }
        for (name, text) in [
            ("", "runAsUserName cannot be an empty string"),
            ("a\tb", "runAsUserName cannot contain control characters"),
            (
                "a\\b\\c",
                "runAsUserName cannot contain more than one backslash",
            ),
            (
                "a:b\\c",
                "runAsUserName's Domain doesn't match the NetBios nor the DNS format",
            ),
            ("a\\", "runAsUserName's User cannot be empty"),
            (
                ". .",
                "runAsUserName's User cannot contain only periods or spaces",
            ),
            (
                "::1",
                "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]",
            ),
        ] {
            assert_eq!(run_as(name), [text], "{name}");
        }
    }

    #[test]
    fn all_containers_of_a_pod_are_processes_of_the_host_or_none() {
        let process = |flag: bool| json!({"windowsOptions": {"hostProcess": flag}});
        let errors = |spec: Value| {
            let mut errors = ErrorList::new();
            host_processes(&mut errors, &spec, &Path::new("spec"));
            errors.to_string()
        };
        let one = json!({"securityContext": process(true)});
        assert_eq!(
            errors(json!({"hostNetwork": true, "containers": [one, {}]})),
            "spec: Invalid value: \"\": If pod contains any hostProcess containers then all containers must be HostProcess containers"
        );
        assert_eq!(
            errors(json!({"containers": [one]})),
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers"
        );
        assert_eq!(
            errors(
                json!({"securityContext": process(false), "hostNetwork": true, "containers": [one]})
            ),
            "spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: true: pod hostProcess value must be identical if both are specified, was false"
        );
        assert_eq!(
            errors(
                json!({"securityContext": process(true), "hostNetwork": true, "containers": [{}]})
            ),
            "[]"
        );
    }
}
