//! Security contexts of pods and containers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// Largest user and group ID.
const MAX_ID: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;

/// Validates the context of a container at `path`; `host_users` says that the pod has the host's user
/// namespace.
pub(super) fn container(errors: &mut ErrorList, container: &Value, path: &Path, host_users: bool) {
    let Some(context) = tree::get(container, "securityContext") else {
        return;
    };
    ids(errors, context, path, &["runAsUser", "runAsGroup"]);
    checks::one_of(errors, context, "procMount", path, &["Default", "Unmasked"]);
    // Root of the host's user namespace writes the kernel's settings through an unmasked /proc.
    if host_users && tree::text(context, "procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(field::invalid(&path.child("procMount"), "Unmasked", detail));
    }
    profiles(errors, context, path);
    let no_escalation = tree::get(context, "allowPrivilegeEscalation") == Some(&Value::Bool(false));
    if no_escalation {
        let at = path.child("allowPrivilegeEscalation");
        if tree::flag(context, "privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(field::invalid(&at, false, detail));
        }
        if tree::texts(context, "capabilities.add").contains(&"CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(field::invalid(&at, false, detail));
        }
    }
}

/// Validates what concerns the pod as a whole.
pub(super) fn pod(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if tree::flag(spec, "hostPID") && tree::flag(spec, "shareProcessNamespace") {
        let at = path.child("shareProcessNamespace");
        errors.push(field::invalid(
            &at,
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    if tree::get(spec, "hostUsers") == Some(&Value::Bool(false)) {
        for name in ["hostNetwork", "hostPID", "hostIPC"] {
            if tree::flag(spec, name) {
                let detail = "when `hostUsers` is false, this field cannot be set to true";
                errors.push(field::forbidden(&path.child(name), detail));
            }
        }
    }
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
    checks::one_of(
        errors,
        context,
        "fsGroupChangePolicy",
        &path,
        &["Always", "OnRootMismatch"],
    );
    checks::one_of(
        errors,
        context,
        "supplementalGroupsPolicy",
        &path,
        &["Merge", "Strict"],
    );
    sysctls(errors, context, &path.child("sysctls"));
    profiles(errors, context, &path);
}

fn ids(errors: &mut ErrorList, context: &Value, path: &Path, names: &[&str]) {
    for name in names {
        if let Some(id) = tree::int(context, name) {
            errors.check(&path.child(name), id, names::in_range(id, 0, MAX_ID));
        }
    }
}

fn sysctls(errors: &mut ErrorList, context: &Value, path: &Path) {
    let mut seen = checks::Unique::new();
    for (index, sysctl) in tree::list(context, "sysctls").iter().enumerate() {
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

/// Seccomp and AppArmor profiles: a file is named exactly when the type calls for one.
fn profiles(errors: &mut ErrorList, context: &Value, path: &Path) {
    for name in ["seccompProfile", "appArmorProfile"] {
        let Some(profile) = tree::get(context, name) else {
            continue;
        };
        let at = path.child(name);
        checks::required_one_of(
            errors,
            profile,
            "type",
            &at,
            &["Localhost", "RuntimeDefault", "Unconfined"],
        );
        let file = tree::text(profile, "localhostProfile");
        if tree::text(profile, "type") == "Localhost" {
            if file.is_empty() {
                let kind = if name == "seccompProfile" {
                    "seccomp"
                } else {
                    "AppArmor"
                };
                let detail = if kind == "seccomp" {
                    "must be set when seccomp type is Localhost"
                } else {
                    "must be set when AppArmor type is Localhost"
                };
                errors.push(field::required(&at.child("localhostProfile"), detail));
            } else if name == "seccompProfile" {
                super::volumes::relative_path(errors, file, &at.child("localhostProfile"));
            }
        } else if !file.is_empty() {
            let detail = if name == "seccompProfile" {
                "can only be set when seccomp type is Localhost"
            } else {
                "can only be set when AppArmor type is Localhost"
            };
            errors.push(field::invalid(&at.child("localhostProfile"), file, detail));
        }
    }
}
