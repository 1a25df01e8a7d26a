//! Pod and container security contexts merged and turned into what CRI takes.
//!
//! A field that this node cannot honour refuses the pod ([`unsupported`]); nothing that would weaken
//! isolation is dropped silently.

use k3s_cri::v1;
use k8s_openapi::api::core::v1::{
    Container, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext, VolumeMount,
};

use super::error::NonRootError;
use crate::model::{self, Rejection, all_containers};
use crate::qos;

/// Sysctls that are namespaced and harmless (`pkg/kubelet/sysctl/safe_sysctls.go`).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
/// What K3s allows beyond the safe ones.
const ALLOWED_UNSAFE: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

/// Paths masked with `procMount: Default` (`pkg/securitycontext/util.go`).
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Paths that are read-only with `procMount: Default`.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What the runtime can do, as its `Status` reports, and what the kernel has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    pub(crate) recursive_read_only: bool,
    pub(crate) supplemental_groups_policy: bool,
    /// SELinux is switched on. Without it labels mean nothing, and every runtime ignores them.
    pub(crate) selinux: bool,
}

fn refuse(reason: &str, message: impl Into<String>) -> Option<Rejection> {
    Some(Rejection {
        reason: reason.to_owned(),
        message: message.into(),
    })
}

/// Why this node must not run the pod at all.
pub(crate) fn unsupported(pod: &Pod, features: Features) -> Option<Rejection> {
    let spec = pod.spec.as_ref()?;
    unsupported_pod(spec, features)
        .or_else(|| all_containers(spec).find_map(|(_, c)| unsupported_container(c, features)))
}

fn unsupported_pod(spec: &PodSpec, features: Features) -> Option<Rejection> {
    if spec.host_users == Some(false) {
        return refuse(
            "UserNamespacesNotSupported",
            "hostUsers: false is not supported by this node",
        );
    }
    if spec.resource_claims.as_ref().is_some_and(|c| !c.is_empty()) {
        return refuse(
            "UnsupportedPodFeature",
            "resourceClaims are not supported by this node",
        );
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return refuse(
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        );
    }
    if let Some(refused) = unsupported_resource(spec.resources.as_ref()) {
        return Some(refused);
    }
    unsupported_context(spec, spec.security_context.as_ref()?, features)
}

/// The part of the security context of the pod as a whole.
fn unsupported_context(
    spec: &PodSpec,
    context: &PodSecurityContext,
    features: Features,
) -> Option<Rejection> {
    let mut sysctls = context.sysctls.iter().flatten();
    if let Some(sysctl) = sysctls.find(|s| !sysctl_allowed(&s.name, spec)) {
        return refuse(
            "SysctlForbidden",
            format!("forbidden sysctl: \"{}\" not allowlisted", sysctl.name),
        );
    }
    if context.windows_options.is_some() {
        return refuse(
            "UnsupportedPodFeature",
            "windowsOptions are not supported by this node",
        );
    }
    if context.supplemental_groups_policy.as_deref() == Some("Strict")
        && !features.supplemental_groups_policy
    {
        return refuse(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        );
    }
    profiles(
        context.app_armor_profile.as_ref().map(|p| p.type_.as_str()),
        features.selinux && context.se_linux_options.is_some(),
    )
}

/// A resource that this node does not hand out: huge pages. Extended resources are counted, not handed
/// out, and admission looks at those that the node knows.
fn unsupported_resource(resources: Option<&ResourceRequirements>) -> Option<Rejection> {
    let lists = resources.map(|own| [own.limits.as_ref(), own.requests.as_ref()]);
    let mut amounts = lists.into_iter().flatten().flatten().flatten();
    let (name, _) = amounts.find(|(name, amount)| {
        let is_huge_page = name.starts_with(qos::HUGE_PAGES);
        is_huge_page && qos::whole(amount) > 0
    })?;
    refuse(
        "UnexpectedAdmissionError",
        format!("resource {name} is not supported by this node"),
    )
}

/// Why this node must not run the container.
pub(crate) fn unsupported_container(
    container: &Container,
    features: Features,
) -> Option<Rejection> {
    if container
        .volume_devices
        .as_ref()
        .is_some_and(|d| !d.is_empty())
    {
        return refuse(
            "UnsupportedPodFeature",
            "volumeDevices are not supported by this node",
        );
    }
    if let Some(refused) = unsupported_resource(container.resources.as_ref()) {
        return Some(refused);
    }
    let recursive = |m: &VolumeMount| m.recursive_read_only.as_deref() == Some("Enabled");
    if !features.recursive_read_only && container.volume_mounts.iter().flatten().any(recursive) {
        return refuse(
            "UnsupportedPodFeature",
            "recursiveReadOnly: Enabled is not supported by the container runtime",
        );
    }
    let context = container.security_context.as_ref()?;
    if context.windows_options.is_some() {
        return refuse(
            "UnsupportedPodFeature",
            "windowsOptions are not supported by this node",
        );
    }
    profiles(
        context.app_armor_profile.as_ref().map(|p| p.type_.as_str()),
        features.selinux && context.se_linux_options.is_some(),
    )
}

fn profiles(app_armor: Option<&str>, se_linux: bool) -> Option<Rejection> {
    if app_armor.is_some_and(|kind| kind != "Unconfined") {
        return refuse(
            "AppArmor",
            "Cannot enforce AppArmor: AppArmor is not supported by this node",
        );
    }
    if se_linux {
        return refuse(
            "SELinux",
            "Cannot enforce SELinux: seLinuxOptions are not supported by this node",
        );
    }
    None
}

fn sysctl_allowed(name: &str, spec: &PodSpec) -> bool {
    let name = name.replace('/', ".");
    let net = name.starts_with("net.");
    if net && spec.host_network.unwrap_or(false)
        || name.starts_with("kernel.shm") && spec.host_ipc.unwrap_or(false)
    {
        return false;
    }
    SAFE_SYSCTLS.contains(&name.as_str()) || ALLOWED_UNSAFE.contains(&name.as_str())
}

/// The pod's sysctls with dots as separators.
pub(crate) fn sysctls(spec: &PodSpec) -> std::collections::HashMap<String, String> {
    let list = spec
        .security_context
        .as_ref()
        .and_then(|c| c.sysctls.as_ref());
    list.into_iter()
        .flatten()
        .map(|s| (s.name.replace('/', "."), s.value.clone()))
        .collect()
}

/// The namespaces of one container. Where each container sees its own processes only, one with a
/// target sees the target's.
fn container_namespaces(spec: &PodSpec, target: Option<&str>) -> v1::NamespaceOption {
    let pod = namespaces(spec);
    match target {
        Some(id) if pod.pid == v1::NamespaceMode::Container as i32 => v1::NamespaceOption {
            pid: v1::NamespaceMode::Target as i32,
            target_id: id.to_owned(),
            ..pod
        },
        _ => pod,
    }
}

/// Namespaces shared with the node or between the pod's containers.
pub(crate) fn namespaces(spec: &PodSpec) -> v1::NamespaceOption {
    use v1::NamespaceMode::{Container, Node, Pod};
    let node_or_pod = |node: Option<bool>| if node.unwrap_or(false) { Node } else { Pod };
    let pid = match (
        spec.host_pid.unwrap_or(false),
        spec.share_process_namespace.unwrap_or(false),
    ) {
        (true, _) => Node,
        (_, true) => Pod,
        _ => Container,
    };
    v1::NamespaceOption {
        network: node_or_pod(spec.host_network) as i32,
        ipc: node_or_pod(spec.host_ipc) as i32,
        pid: pid as i32,
        ..v1::NamespaceOption::default()
    }
}

/// The seccomp profile: the container's, else the pod's, else unconfined as upstream's default.
fn seccomp(profile: Option<&SeccompProfile>, root: &std::path::Path) -> v1::SecurityProfile {
    use v1::security_profile::ProfileType;
    let (kind, reference) =
        match profile.map(|p| (p.type_.as_str(), p.localhost_profile.as_deref())) {
            Some(("RuntimeDefault", _)) => (ProfileType::RuntimeDefault, String::new()),
            Some(("Localhost", path)) => (
                ProfileType::Localhost,
                root.join(path.unwrap_or_default())
                    .to_string_lossy()
                    .into_owned(),
            ),
            _ => (ProfileType::Unconfined, String::new()),
        };
    v1::SecurityProfile {
        profile_type: kind as i32,
        localhost_ref: reference,
    }
}

fn int(value: i64) -> v1::Int64Value {
    v1::Int64Value { value }
}

fn groups(context: &PodSecurityContext) -> (Vec<i64>, i32) {
    let mut groups = context.supplemental_groups.clone().unwrap_or_default();
    groups.extend(context.fs_group);
    let strict = context.supplemental_groups_policy.as_deref() == Some("Strict");
    let policy = if strict {
        v1::SupplementalGroupsPolicy::Strict
    } else {
        v1::SupplementalGroupsPolicy::Merge
    };
    (groups, policy as i32)
}

/// The sandbox's part.
pub(crate) fn sandbox_security(
    pod: &Pod,
    seccomp_root: &std::path::Path,
) -> v1::LinuxSandboxSecurityContext {
    let (spec, context) = (PodSpec::default(), PodSecurityContext::default());
    let spec = pod.spec.as_ref().unwrap_or(&spec);
    let context = spec.security_context.as_ref().unwrap_or(&context);
    let (supplemental_groups, supplemental_groups_policy) = groups(context);
    let privileged = all_containers(spec).any(|(_, c)| {
        c.security_context
            .as_ref()
            .and_then(|s| s.privileged)
            .unwrap_or(false)
    });
    let default = SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    };
    v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec)),
        run_as_user: context.run_as_user.map(int),
        run_as_group: context.run_as_group.map(int),
        supplemental_groups,
        supplemental_groups_policy,
        privileged,
        // The sandbox runs nothing of the user's: always the default profile.
        seccomp: Some(seccomp(Some(&default), seccomp_root)),
        ..v1::LinuxSandboxSecurityContext::default()
    }
}

/// The container's part. `image_user` is what the image says: a number or a name.
pub(crate) fn container_security(
    pod: &Pod,
    container: &Container,
    image_uid: Option<i64>,
    image_user: &str,
    target: Option<&str>,
    seccomp_root: &std::path::Path,
) -> v1::LinuxContainerSecurityContext {
    let no_spec = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let no_pod_context = PodSecurityContext::default();
    let pod_context = spec.security_context.as_ref();
    let pod_context = pod_context.unwrap_or(&no_pod_context);
    let no_context = SecurityContext::default();
    let own = container.security_context.as_ref();
    let own = own.unwrap_or(&no_context);

    let privileged = own.privileged.unwrap_or(false);
    let namespaces = container_namespaces(spec, target);
    let (run_as_user, run_as_username) = user(own, pod_context, image_uid, image_user);
    let run_as_group = own.run_as_group.or(pod_context.run_as_group);
    let (supplemental_groups, supplemental_groups_policy) = groups(pod_context);
    let (masked_paths, readonly_paths) = proc_paths(own);
    let profile = own.seccomp_profile.as_ref();
    let profile = profile.or(pod_context.seccomp_profile.as_ref());
    // A privileged container is unconfined.
    let profile = profile.filter(|_| !privileged);
    v1::LinuxContainerSecurityContext {
        capabilities: capabilities(own),
        privileged,
        namespace_options: Some(namespaces),
        run_as_user: run_as_user.map(int),
        run_as_username,
        run_as_group: run_as_group.map(int),
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or(false),
        supplemental_groups,
        supplemental_groups_policy,
        no_new_privs: no_new_privs(own),
        masked_paths,
        readonly_paths,
        seccomp: Some(seccomp(profile, seccomp_root)),
        ..v1::LinuxContainerSecurityContext::default()
    }
}

/// The user's number and name. The pod's settings win over the image's; an image that names its user
/// has no number that counts.
fn user(
    own: &SecurityContext,
    pod_context: &PodSecurityContext,
    image_uid: Option<i64>,
    image_user: &str,
) -> (Option<i64>, String) {
    let configured = own.run_as_user.or(pod_context.run_as_user);
    if configured.is_some() {
        return (configured, String::new());
    }
    let image_uid = image_uid.filter(|_| image_user.is_empty());
    (image_uid, image_user.to_owned())
}

/// The paths of `/proc` and `/sys` that are masked, and those that are read-only.
fn proc_paths(context: &SecurityContext) -> (Vec<String>, Vec<String>) {
    let unmasked = context.proc_mount.as_deref() == Some("Unmasked");
    let privileged = context.privileged.unwrap_or(false);
    if unmasked || privileged {
        return (Vec::new(), Vec::new());
    }
    let owned = |list: &[&str]| {
        let paths = list.iter().map(|path| (*path).to_owned());
        paths.collect()
    };
    let masked = owned(&MASKED);
    let read_only = owned(&READ_ONLY);
    (masked, read_only)
}

fn capabilities(context: &SecurityContext) -> Option<v1::Capability> {
    let set = context.capabilities.as_ref()?;
    Some(v1::Capability {
        add_capabilities: set.add.clone().unwrap_or_default(),
        drop_capabilities: set.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    })
}

/// `allowPrivilegeEscalation: false`; privileged containers and `CAP_SYS_ADMIN` cannot have it (the
/// API refuses the combination).
fn no_new_privs(context: &SecurityContext) -> bool {
    context.allow_privilege_escalation == Some(false) && !context.privileged.unwrap_or(false)
}

/// Holds `runAsNonRoot` against the user the container would run as
/// (`pkg/kubelet/kuberuntime/security_context_others.go`).
pub(crate) fn verify_non_root(
    pod: &Pod,
    container: &Container,
    image_uid: Option<i64>,
    image_user: &str,
) -> Result<(), NonRootError> {
    let spec = pod.spec.as_ref();
    let pod_context = spec.and_then(|spec| spec.security_context.as_ref());
    let own = container.security_context.as_ref();
    let own_wanted = own.and_then(|own| own.run_as_non_root);
    let pod_wanted = pod_context.and_then(|context| context.run_as_non_root);
    if own_wanted.or(pod_wanted) != Some(true) {
        return Ok(());
    }
    let own_user = own.and_then(|own| own.run_as_user);
    let pod_user = pod_context.and_then(|context| context.run_as_user);
    let user = own_user.or(pod_user);
    let pod_name = model::pod_long(pod);
    let container_name = &container.name;
    let place = format!("(pod: \"{pod_name}\", container: {container_name})");
    match (user, image_uid) {
        (Some(0), _) => Err(NonRootError::RunAsUser { place }),
        (Some(_), _) => Ok(()),
        (None, _) if !image_user.is_empty() => Err(NonRootError::NamedUser {
            user: image_user.to_owned(),
            place,
        }),
        (None, Some(uid)) if uid != 0 => Ok(()),
        (None, _) => Err(NonRootError::Root { place }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec}),
        )
        .unwrap()
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for (spec, reason) in [
            (
                json!({"hostUsers": false, "containers": []}),
                "UserNamespacesNotSupported",
            ),
            (
                json!({"containers": [{"name": "c", "securityContext": {"seLinuxOptions": {"level": "s0"}}}]}),
                "SELinux",
            ),
            (
                json!({"containers": [{"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}]}),
                "AppArmor",
            ),
            (
                json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "containers": []}),
                "SysctlForbidden",
            ),
            (
                json!({"containers": [{"name": "c"}], "resources": {"limits": {"hugepages-2Mi": "2Mi"}}}),
                "UnexpectedAdmissionError",
            ),
        ] {
            let features = Features {
                selinux: true,
                ..Features::default()
            };
            let got = unsupported(&pod(spec.clone()), features);
            assert_eq!(got.map(|r| r.reason), Some(reason.to_owned()), "{spec}");
        }
        let labelled = json!({
            "securityContext": {"seLinuxOptions": {"level": "s0"}},
            "containers": [{"name": "c", "securityContext": {"seLinuxOptions": {"level": "s0"}}}],
        });
        let harmless = json!({"containers": [{"name": "c", "resources":
            {"limits": {"hugepages-2Mi": "0", "example.com/dongle": "1"}}}]});
        assert_eq!(unsupported(&pod(harmless), Features::default()), None);
        // The kernel has no SELinux, so there is nothing to enforce.
        assert_eq!(unsupported(&pod(labelled), Features::default()), None);
        assert_eq!(
            unsupported(
                &pod(json!({"containers": [{"name": "c"}]})),
                Features::default()
            ),
            None
        );
    }

    #[test]
    fn the_containers_context_wins_over_the_pods() {
        let pod = pod(
            json!({"securityContext": {"runAsUser": 1000, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": {"runAsUser": 5, "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}}}]}),
        );
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let got = container_security(&pod, container, None, "", None, std::path::Path::new("/s"));
        assert_eq!(got.run_as_user, Some(int(5)));
        assert_eq!(got.supplemental_groups, [2000]);
        assert!(got.no_new_privs && !got.masked_paths.is_empty());
        assert_eq!(
            got.seccomp.unwrap().profile_type,
            v1::security_profile::ProfileType::RuntimeDefault as i32
        );
    }

    #[test]
    fn non_root_is_verified_against_the_image() {
        let pod =
            pod(json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c"}]}));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        assert!(
            verify_non_root(&pod, container, Some(0), "")
                .unwrap_err()
                .to_string()
                .contains("will run as root")
        );
        assert!(
            verify_non_root(&pod, container, None, "www")
                .unwrap_err()
                .to_string()
                .contains("non-numeric user (www)")
        );
        assert!(verify_non_root(&pod, container, Some(7), "").is_ok());
    }
}
