//! Security contexts of pods and containers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::windows;
use crate::checks::{self, Check};
use crate::core::podspec::defaults::CONTAINER_LISTS;

/// Largest user and group ID.
pub(crate) const MAX_ID: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;
/// Longest name of an AppArmor profile.
const MAX_PROFILE_BYTES: usize = 4095;
/// Types of seccomp and AppArmor profiles.
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// Fields of a pod spec that a pod for Windows may not have.
const LINUX_POD: &[&str] = &[
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
];
/// The same for the security context of its containers.
const LINUX_CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// Validates the context of a container at `path`; `host_users` says that the pod has the host's user
/// namespace.
pub(super) fn container(errors: &mut ErrorList, container: &Value, path: &Path, host_users: bool) {
    let Some(context) = tree::get(container, "securityContext") else {
        return;
    };
    ids(errors, context, path, &["runAsUser", "runAsGroup"]);
    checks::supported(errors, context, "procMount", path, &["Default", "Unmasked"]);
    // Root of the host's user namespace writes the kernel's settings through an unmasked /proc.
    if host_users && tree::text(context, "procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(field::invalid(&path.child("procMount"), "Unmasked", detail));
    }
    seccomp(errors, context, path);
    escalation(errors, context, path);
    windows::options(errors, context, path);
    app_armor(errors, context, path);
}

/// What lets a process have more rights than its parent.
fn escalation(errors: &mut ErrorList, context: &Value, path: &Path) {
    if tree::get(context, "allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
        return;
    }
    if tree::flag(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(field::invalid(path, context, detail));
    }
    for capability in tree::texts(context, "capabilities.add") {
        if capability == "CAP_SYS_ADMIN" {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(field::invalid(path, context, detail));
        }
    }
}

/// Validates what concerns the pod as a whole.
pub(super) fn pod(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(context) = tree::get(spec, "securityContext") else {
        return;
    };
    let path = path.child("securityContext");
    ids(
        errors,
        context,
        &path,
        &["fsGroup", "runAsUser", "runAsGroup"],
    );
    for (index, group) in tree::list(context, "supplementalGroups").iter().enumerate() {
        if let Some(group) = group.as_i64() {
            errors.check(
                &path.child("supplementalGroups").index(index),
                group,
                names::in_range(group, 0, MAX_ID),
            );
        }
    }
    if tree::flag(spec, "hostPID") && tree::flag(spec, "shareProcessNamespace") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        let at = path.child("shareProcessNamespace");
        errors.push(field::invalid(&at, true, detail));
    }
    sysctls(errors, spec, &path.child("sysctls"));
    let changes = ["Always", "OnRootMismatch"];
    checks::supported(errors, context, "fsGroupChangePolicy", &path, &changes);
    seccomp(errors, context, &path);
    windows::options(errors, context, &path);
    app_armor(errors, context, &path);
    let groups = ["Merge", "Strict"];
    checks::supported(errors, context, "supplementalGroupsPolicy", &path, &groups);
    let labels = ["MountOption", "Recursive"];
    checks::supported(errors, context, "seLinuxChangePolicy", &path, &labels);
}

/// A pod with a user namespace of its own shares no other namespace with the host (`validateHostUsers`,
/// which writes some fields as Go does).
pub(super) fn host_users(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if tree::get(spec, "hostUsers") != Some(&Value::Bool(false)) {
        return;
    }
    let detail = "when `hostUsers` is false";
    let shared = [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ];
    for (_, shown) in shared.iter().filter(|(name, _)| tree::flag(spec, name)) {
        errors.push(field::forbidden(&path.child(shown), detail));
    }
    for list in CONTAINER_LISTS {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            if tree::has(container, "volumeDevices") {
                let at = path.child(list).index(index).child("volumeDevices");
                errors.push(field::forbidden(&at, detail));
            }
        }
    }
}

/// What only the other system knows (`validateLinux`, `validateWindows`).
pub(super) fn of_system(errors: &mut ErrorList, spec: &Value, system: &str, path: &Path) {
    let (detail, pod, container): (&str, &[&str], &[&str]) = match system {
        "linux" => (
            "windows options cannot be set for a linux pod",
            &["securityContext.windowsOptions"],
            &["windowsOptions"],
        ),
        "windows" => (
            "cannot be set for a windows pod",
            LINUX_POD,
            LINUX_CONTAINER,
        ),
        _ => return,
    };
    let is_set = |holder: &Value, name: &str| match tree::get(holder, name) {
        Some(Value::Bool(flag)) if name.starts_with("host") => *flag || name == "hostUsers",
        value => value.is_some(),
    };
    for name in pod.iter().filter(|name| is_set(spec, name)) {
        errors.push(field::forbidden(&path.child(name), detail));
    }
    for list in CONTAINER_LISTS {
        for (index, holder) in tree::list(spec, list).iter().enumerate() {
            let at = path.child(list).index(index).child("securityContext");
            let context = tree::get(holder, "securityContext").unwrap_or(&Value::Null);
            for name in container.iter().filter(|name| is_set(context, name)) {
                errors.push(field::forbidden(&at.child(name), detail));
            }
        }
    }
}

fn ids(errors: &mut ErrorList, context: &Value, path: &Path, names: &[&str]) {
    for name in names {
        if let Some(id) = tree::int(context, name) {
            errors.check(&path.child(name), id, names::in_range(id, 0, MAX_ID));
        }
    }
}

fn sysctls(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut seen = checks::Unique::new();
    let sysctls = tree::list(spec, "securityContext.sysctls");
    for (index, sysctl) in sysctls.iter().enumerate() {
        let at = path.index(index).child("name");
        let name = tree::text(sysctl, "name");
        if name.is_empty() {
            errors.push(field::required(&at, ""));
        } else if !is_sysctl(name) {
            errors.push(field::invalid(
                &at,
                name,
                format!(
                    "must have at most {SYSCTL_MAX} characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
                ),
            ));
        } else {
            seen.insert(errors, name, &at);
        }
        if let Some(shared) = host_namespace(name).filter(|field| tree::flag(spec, field)) {
            let detail = format!("may not be specified when '{shared}' is true");
            errors.push(field::invalid(&at, name, detail));
        }
    }
}

/// The field by which a pod shares the namespace of a sysctl with the host (`utilsysctl.GetNamespace`).
fn host_namespace(sysctl: &str) -> Option<&'static str> {
    let name = sysctl.replace('/', ".");
    let is_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if name.starts_with("net.") {
        Some("hostNetwork")
    } else if is_ipc || name == "kernel.sem" {
        Some("hostIPC")
    } else {
        None
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || matches!(c, '-' | '_'))
    };
    name.len() <= SYSCTL_MAX && name.split(['.', '/']).all(part)
}

/// A seccomp profile: a file is named exactly when the type calls for one.
fn seccomp(errors: &mut ErrorList, context: &Value, path: &Path) {
    let Some(profile) = tree::get(context, "seccompProfile") else {
        return;
    };
    let path = path.child("seccompProfile");
    let detail = "type is required when seccompProfile is set";
    if checks::required(errors, profile, "type", &path, detail) {
        checks::one_of(errors, profile, "type", &path, &PROFILES);
    }
    let at = path.child("localhostProfile");
    let file = tree::get(profile, "localhostProfile").and_then(Value::as_str);
    match (tree::text(profile, "type") == "Localhost", file) {
        (true, None) => errors.push(field::required(
            &at,
            "must be set when seccomp type is Localhost",
        )),
        (true, Some(file)) => super::volumes::relative_path(errors, file, &at),
        (false, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(field::invalid(&at, profile, detail));
        }
        (false, None) => {}
    }
}

/// An AppArmor profile, likewise (`ValidateAppArmorProfileField`).
fn app_armor(errors: &mut ErrorList, context: &Value, path: &Path) {
    let Some(profile) = tree::get(context, "appArmorProfile") else {
        return;
    };
    let path = path.child("appArmorProfile");
    let at = path.child("localhostProfile");
    let name = tree::get(profile, "localhostProfile").and_then(Value::as_str);
    match tree::text(profile, "type") {
        "" => errors.push(field::required(
            &path.child("type"),
            "type is required when appArmorProfile is set",
        )),
        "Localhost" => local_app_armor(errors, name.unwrap_or_default(), &at),
        "RuntimeDefault" | "Unconfined" => {
            if let Some(name) = name {
                let detail = "can only be set when AppArmor type is Localhost";
                errors.push(field::invalid(&at, name, detail));
            }
        }
        other => errors.push(field::not_supported(&path.child("type"), other, &PROFILES)),
    }
}

fn local_app_armor(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        let detail = "must be set when AppArmor type is Localhost";
        errors.push(field::required(path, detail));
    } else if name.trim() != name {
        let detail = "must not be padded with whitespace";
        errors.push(field::invalid(path, name, detail));
    }
    if name.len() > MAX_PROFILE_BYTES {
        errors.push(field::too_long(path, MAX_PROFILE_BYTES));
    }
}
