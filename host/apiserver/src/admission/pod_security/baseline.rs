//! The Baseline standard: nothing that is known to lead out of a container
//! (`pod-security-admission/policy/check_*_baseline.go` and the checks common to both standards).

use std::collections::BTreeSet;

use k3s_meta::object::string_map;
use k3s_meta::tree;
use serde_json::Value;

use super::Violation;
use super::policy::{Level, Setting};
use super::subject::{Subject, containers, name, plural, quoted, setters};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Probes and hooks could reach other hosts through the node until this version took their host away.
const HOST_PROBES_SINCE: u32 = 34;

pub(super) fn check(subject: &Subject<'_>, setting: &Setting, found: &mut Vec<Violation>) {
    // The Restricted standard has stricter checks in the place of some. The order is that of upstream's
    // names for the checks.
    let alone = setting.level == Level::Baseline;
    apparmor(subject, found);
    if alone {
        capabilities(subject, found);
    }
    host_namespaces(subject, found);
    if alone {
        host_paths(subject, found);
    }
    host_ports(subject, found);
    if setting.is_since(HOST_PROBES_SINCE) {
        host_probes(subject, found);
    }
    privileged(subject, found);
    proc_mount(subject, found);
    selinux(subject, found);
    if alone {
        seccomp(subject, found);
    }
    sysctls(subject, found);
    host_process(subject, found);
}

fn host_namespaces(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let shared: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| tree::flag(subject.spec, field))
        .map(|field| format!("{field}=true"))
        .collect();
    if !shared.is_empty() {
        found.push(("host namespaces", shared.join(", ")));
    }
}

fn host_paths(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let volumes: Vec<_> = subject
        .volumes()
        .iter()
        .filter(|v| v.get("hostPath").is_some())
        .map(name)
        .collect();
    if !volumes.is_empty() {
        found.push((
            "hostPath volumes",
            format!("{} {}", plural("volume", volumes.len()), quoted(&volumes)),
        ));
    }
}

fn host_ports(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let ports = |c: &Value| -> Vec<i64> {
        tree::list(c, "ports")
            .iter()
            .filter_map(|p| p.get("hostPort")?.as_i64().filter(|port| *port != 0))
            .collect()
    };
    let names = subject.named(|c| !ports(c).is_empty());
    if names.is_empty() {
        return;
    }
    let mut all: Vec<i64> = subject.containers().flat_map(ports).collect();
    all.sort_unstable();
    all.dedup();
    let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let text = format!(
        "{} {verb} {} {}",
        containers(&names),
        plural("hostPort", shown.len()),
        shown.join(", ")
    );
    found.push(("hostPort", text));
}

fn capabilities(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let added = |c: &Value| -> Vec<String> {
        let list = tree::list(c, "securityContext.capabilities.add")
            .iter()
            .filter_map(Value::as_str);
        list.filter(|capability| !CAPABILITIES.contains(capability))
            .map(str::to_owned)
            .collect()
    };
    let names = subject.named(|c| !added(c).is_empty());
    if names.is_empty() {
        return;
    }
    let mut all: Vec<String> = subject.containers().flat_map(added).collect();
    all.sort();
    all.dedup();
    let text = format!(
        "{} must not include {} in securityContext.capabilities.add",
        containers(&names),
        quoted(&all)
    );
    found.push(("non-default capabilities", text));
}

fn sysctls(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let all = tree::list(subject.spec, "securityContext.sysctls");
    let forbidden: Vec<_> = all
        .iter()
        .map(name)
        .filter(|sysctl| !SYSCTLS.contains(sysctl))
        .collect();
    if !forbidden.is_empty() {
        found.push(("forbidden sysctls", forbidden.join(", ")));
    }
}

/// What a pod sets of SELinux that it may not.
#[derive(Default)]
struct SelinuxOptions {
    types: BTreeSet<String>,
    sets_user: bool,
    sets_role: bool,
}

impl SelinuxOptions {
    /// Adds what the pod or container sets; true where some of it is forbidden.
    fn collect(&mut self, holder: &Value) -> bool {
        let Some(options) = tree::get(holder, "securityContext.seLinuxOptions") else {
            return false;
        };
        let kind = tree::text(options, "type");
        let has_bad_type = !SELINUX_TYPES.contains(&kind);
        let has_user = !tree::text(options, "user").is_empty();
        let has_role = !tree::text(options, "role").is_empty();
        if has_bad_type {
            self.types.insert(kind.to_owned());
        }
        self.sets_user |= has_user;
        self.sets_role |= has_role;
        has_bad_type || has_user || has_role
    }

    fn describe(&self) -> Vec<String> {
        let types: Vec<&String> = self.types.iter().collect();
        let mut parts = Vec::new();
        if !types.is_empty() {
            let word = plural("type", types.len());
            parts.push(format!("{word} {}", quoted(&types)));
        }
        parts.extend(self.sets_user.then(|| "user may not be set".to_owned()));
        parts.extend(self.sets_role.then(|| "role may not be set".to_owned()));
        parts
    }
}

fn selinux(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let mut options = SelinuxOptions::default();
    let pod = options.collect(subject.spec);
    let containers = subject.containers();
    let names: Vec<_> = containers
        .filter(|c| options.collect(c))
        .map(name)
        .collect();
    if !pod && names.is_empty() {
        return;
    }
    let parts = options.describe();
    let text = format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters(pod, &names, "and"),
        parts.join("; ")
    );
    found.push(("seLinuxOptions", text));
}

fn apparmor(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let forbidden = |holder: &Value| {
        let kind = tree::text(holder, "securityContext.appArmorProfile.type");
        !matches!(kind, "" | "RuntimeDefault" | "Localhost")
    };
    let mut details = Vec::new();
    let (pod, names) = (forbidden(subject.spec), subject.named(forbidden));
    if pod || !names.is_empty() {
        let who = setters(pod, &names, "and");
        details.push(format!(
            "{who} must not set securityContext.appArmorProfile.type to \"Unconfined\""
        ));
    }
    let annotations = string_map(tree::get(subject.metadata, "annotations"));
    let bad = annotations.iter().filter(|(key, value)| {
        let fine =
            value.is_empty() || *value == "runtime/default" || value.starts_with("localhost/");
        key.starts_with(APPARMOR_ANNOTATION) && !fine
    });
    let bad: Vec<String> = bad.map(|(key, value)| format!("{key}={value:?}")).collect();
    if !bad.is_empty() {
        details.push(format!(
            "{} {}",
            plural("annotation", bad.len()),
            bad.join(", ")
        ));
    }
    if !details.is_empty() {
        found.push(("forbidden AppArmor profile", details.join("; ")));
    }
}

fn seccomp(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let unconfined = |holder: &Value| {
        let kind = tree::text(holder, "securityContext.seccompProfile.type");
        !matches!(kind, "" | "RuntimeDefault" | "Localhost")
    };
    let (pod, names) = (unconfined(subject.spec), subject.named(unconfined));
    if pod || !names.is_empty() {
        let who = setters(pod, &names, "and");
        let text =
            format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"");
        found.push((super::restricted::SECCOMP, text));
    }
}

fn privileged(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let privileged = subject.named(|c| tree::flag(c, "securityContext.privileged"));
    if !privileged.is_empty() {
        let text = format!(
            "{} must not set securityContext.privileged=true",
            containers(&privileged)
        );
        found.push(("privileged", text));
    }
}

fn proc_mount(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let unmasked =
        subject.named(|c| !matches!(tree::text(c, "securityContext.procMount"), "" | "Default"));
    if !unmasked.is_empty() {
        let text = format!(
            "{} must not set securityContext.procMount to \"Unmasked\"",
            containers(&unmasked)
        );
        found.push(("procMount", text));
    }
}

fn host_process(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let host_process =
        |holder: &Value| tree::flag(holder, "securityContext.windowsOptions.hostProcess");
    let (pod, names) = (host_process(subject.spec), subject.named(host_process));
    if pod || !names.is_empty() {
        let who = setters(pod, &names, "and");
        found.push((
            "hostProcess",
            format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
        ));
    }
}

/// `httpGet.host` and `tcpSocket.host` of probes and hooks.
fn host_probes(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    const HANDLERS: [&str; 5] = [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle.postStart",
        "lifecycle.preStop",
    ];
    let hosts = |c: &Value| -> Vec<String> {
        let handlers = HANDLERS.into_iter().filter_map(|path| tree::get(c, path));
        let actions = handlers.flat_map(|h| {
            ["httpGet", "tcpSocket"].map(|action| tree::text(h, &format!("{action}.host")))
        });
        actions
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let names = subject.named(|c| !hosts(c).is_empty());
    if names.is_empty() {
        return;
    }
    let mut all: Vec<String> = subject.containers().flat_map(hosts).collect();
    all.sort();
    all.dedup();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let text = format!(
        "{} {verb} probe or lifecycle {} {}",
        containers(&names),
        plural("host", all.len()),
        quoted(&all)
    );
    found.push(("probe or lifecycle host", text));
}
