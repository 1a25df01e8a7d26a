//! Which capabilities a container's processes may have.

use std::collections::BTreeSet;

use k3s_cri::v1::LinuxContainerSecurityContext;

use crate::error::{Context, Error, Result};

/// The default set of Docker and containerd.
const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
const ALL: &str = "ALL";

/// Names with `CAP_`; the bounding set, and for root the effective one too.
pub(crate) fn of(security: &LinuxContainerSecurityContext) -> Result<BTreeSet<String>> {
    let held = held()?;
    if security.privileged {
        return Ok(held);
    }
    let (add, drop) = security
        .capabilities
        .as_ref()
        .map(|capabilities| {
            (
                capabilities.add_capabilities.as_slice(),
                capabilities.drop_capabilities.as_slice(),
            )
        })
        .unwrap_or_default();
    decide(add, drop, &held)
}

/// `ALL` counts first on either side, then the single names, as containerd does it.
fn decide(add: &[String], drop: &[String], held: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let has_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(ALL));
    let mut set: BTreeSet<String> = DEFAULT.iter().map(|name| (*name).to_owned()).collect();
    if has_all(add) {
        set.clone_from(held);
    }
    if has_all(drop) {
        set.clear();
    }
    for name in add.iter().filter(|name| !name.eq_ignore_ascii_case(ALL)) {
        set.insert(full_name(name)?);
    }
    for name in drop.iter().filter(|name| !name.eq_ignore_ascii_case(ALL)) {
        set.remove(&full_name(name)?);
    }
    Ok(set)
}

fn full_name(name: &str) -> Result<String> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    };
    full.parse::<caps::Capability>()
        .map_err(|_| Error::Invalid(format!("unknown capability {name:?}")))?;
    Ok(full)
}

/// The runtime's own bounding set: a container cannot have more.
fn held() -> Result<BTreeSet<String>> {
    let bounding = caps::read(None, caps::CapSet::Bounding)
        .map_err(std::io::Error::other)
        .context(|| "read the bounding set of capabilities".into())?;
    Ok(bounding.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn all_counts_before_names() {
        let held: BTreeSet<_> = names(&["CAP_CHOWN", "CAP_SYS_ADMIN"]).into_iter().collect();
        assert_eq!(decide(&[], &[], &held).unwrap().len(), DEFAULT.len());
        assert_eq!(
            decide(&names(&["NET_ADMIN"]), &names(&["ALL"]), &held).unwrap(),
            BTreeSet::from(["CAP_NET_ADMIN".to_owned()])
        );
        assert_eq!(
            decide(&names(&["all"]), &names(&["cap_chown"]), &held).unwrap(),
            BTreeSet::from(["CAP_SYS_ADMIN".to_owned()])
        );
        assert!(decide(&names(&["NO_SUCH"]), &[], &held).is_err());
    }
}
