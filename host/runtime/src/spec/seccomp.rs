//! The system call filter: the default one made from [`super::syscalls`], or a file of the node's.

use std::collections::BTreeSet;
use std::path::Path;

use k3s_cri::v1::LinuxContainerSecurityContext;
use k3s_cri::v1::security_profile::ProfileType;
use serde_json::{Value, json};

use super::syscalls::{ALWAYS, ARCHITECTURE, BY_CAPABILITY, NAMESPACE_FLAGS, PERSONALITIES};
use crate::error::{Context, Error, Result};

const MASKED_EQUAL: &str = "SCMP_CMP_MASKED_EQ";
/// A profile is some kilobytes of JSON.
const PROFILE_LIMIT_BYTES: u64 = 4 << 20;

/// The `linux.seccomp` section; none = unconfined.
pub(super) fn of(
    security: &LinuxContainerSecurityContext,
    capabilities: &BTreeSet<String>,
) -> Result<Option<Value>> {
    if security.privileged {
        return Ok(None);
    }
    let Some(profile) = &security.seccomp else {
        return deprecated(security, capabilities);
    };
    match ProfileType::try_from(profile.profile_type) {
        Ok(ProfileType::Unconfined) => Ok(None),
        Ok(ProfileType::RuntimeDefault) => Ok(Some(default_profile(capabilities))),
        Ok(ProfileType::Localhost) => load(Path::new(&profile.localhost_ref)).map(Some),
        Err(_) => Err(Error::Invalid(format!(
            "unknown seccomp profile type {}",
            profile.profile_type
        ))),
    }
}

#[allow(deprecated, reason = "an old client may still set it")]
fn deprecated(
    security: &LinuxContainerSecurityContext,
    capabilities: &BTreeSet<String>,
) -> Result<Option<Value>> {
    match security.seccomp_profile_path.as_str() {
        "" | "unconfined" => Ok(None),
        "runtime/default" | "docker/default" => Ok(Some(default_profile(capabilities))),
        path => load(Path::new(path.strip_prefix("localhost/").unwrap_or(path))).map(Some),
    }
}

fn default_profile(capabilities: &BTreeSet<String>) -> Value {
    let has = |capability: &str| capabilities.contains(capability);
    let mut names: BTreeSet<&str> = ALWAYS.iter().chain(ARCHITECTURE).copied().collect();
    for (capability, syscalls) in BY_CAPABILITY {
        if has(capability) {
            names.extend(*syscalls);
        }
    }
    let mut rules = vec![allow_if(&["socket"], 0, 40, "SCMP_CMP_NE", None)];
    rules.extend(
        PERSONALITIES
            .iter()
            .map(|&persona| allow_if(&["personality"], 0, persona, "SCMP_CMP_EQ", None)),
    );
    if !has("CAP_SYS_ADMIN") {
        rules.push(masked_equal(&["clone"], NAMESPACE_FLAGS, 0));
        // The flags of clone3 are in memory that no filter sees; with "not implemented" the C
        // libraries fall back to clone.
        rules.push(
            json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": nix::libc::ENOSYS}),
        );
    }
    rules.insert(0, json!({"names": names, "action": "SCMP_ACT_ALLOW"}));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": nix::libc::EPERM,
        "architectures": architectures(),
        "syscalls": rules,
    })
}

fn allow_if(names: &[&str], index: u32, value: u64, op: &str, value_two: Option<u64>) -> Value {
    json!({"names": names, "action": "SCMP_ACT_ALLOW", "args": [{"index": index, "value": value, "valueTwo": value_two.unwrap_or(0), "op": op}]})
}

/// `argument & mask == wanted`. The specification puts the mask in `value`; libcontainer 0.7 reads
/// it from `valueTwo`, so the two are swapped.
fn masked_equal(names: &[&str], mask: u64, wanted: u64) -> Value {
    allow_if(names, 0, wanted, MASKED_EQUAL, Some(mask))
}

fn architectures() -> &'static [&'static str] {
    if cfg!(target_arch = "x86_64") {
        &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    } else if cfg!(target_arch = "aarch64") {
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    } else {
        &["SCMP_ARCH_NATIVE"]
    }
}

/// What is wrong with the file of a profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("larger than {PROFILE_LIMIT_BYTES} bytes")]
    TooLarge,
    #[error("malformed")]
    Malformed(#[from] serde_json::Error),
    #[error("no defaultAction")]
    NoDefaultAction,
}

fn parse(bytes: &[u8]) -> Result<Value, ProfileError> {
    let profile: Value = serde_json::from_slice(bytes)?;
    if profile.get("defaultAction").is_none() {
        return Err(ProfileError::NoDefaultAction);
    }
    Ok(profile)
}

/// A `Localhost` profile: the file the kubelet names.
fn load(path: &Path) -> Result<Value> {
    let read = || format!("read seccomp profile {}", path.display());
    let bytes = if std::fs::metadata(path).context(read)?.len() > PROFILE_LIMIT_BYTES {
        Err(ProfileError::TooLarge)
    } else {
        Ok(std::fs::read(path).context(read)?)
    };
    let parsed = bytes.and_then(|bytes| parse(&bytes));
    let mut profile = parsed.map_err(|source| Error::Profile {
        path: path.to_path_buf(),
        source,
    })?;
    for rule in profile
        .get_mut("syscalls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if rule.get("action").and_then(Value::as_str) == Some("SCMP_ACT_NOTIFY") {
            return Err(Error::Unsupported(
                "SCMP_ACT_NOTIFY in a seccomp profile".into(),
            ));
        }
        for argument in rule
            .get_mut("args")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            swap_mask(argument);
        }
    }
    Ok(profile)
}

/// See [`masked_equal`].
fn swap_mask(argument: &mut Value) {
    if argument.get("op").and_then(Value::as_str) == Some(MASKED_EQUAL) {
        let number = |key: &str| argument.get(key).cloned().unwrap_or(json!(0));
        let (value, value_two) = (number("value"), number("valueTwo"));
        super::insert(argument, "value", value_two);
        super::insert(argument, "valueTwo", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sys_admin_no_namespace_can_be_made() {
        let profile = default_profile(&BTreeSet::new());
        let rules = profile["syscalls"].as_array().unwrap();
        let allowed = rules[0]["names"].as_array().unwrap();
        assert!(
            allowed.contains(&json!("execve"))
                && !allowed.contains(&json!("unshare"))
                && !allowed.contains(&json!("clone"))
        );
        let clone = rules
            .iter()
            .find(|rule| rule["names"][0] == "clone")
            .unwrap();
        assert_eq!(
            (
                clone["args"][0]["value"].as_u64(),
                clone["args"][0]["valueTwo"].as_u64()
            ),
            (Some(0), Some(NAMESPACE_FLAGS))
        );
    }

    #[test]
    fn files_are_taken_with_their_masks_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        std::fs::write(&path, r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["clone"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":7,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#).unwrap();
        let profile = load(&path).unwrap();
        assert_eq!(profile["syscalls"][0]["args"][0]["valueTwo"], 7);
        std::fs::write(
            &path,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_NOTIFY"}]}"#,
        )
        .unwrap();
        assert!(load(&path).is_err());
        assert!(load(&dir.path().join("missing")).is_err());
    }
}
