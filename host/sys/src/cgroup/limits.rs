//! Limits of a group, in the terms of the OCI runtime specification.

use std::collections::BTreeMap;

/// Limits of one group. None = leave as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Share of processor time under contention, 2 to 262144 (version 1 scale).
    pub cpu_shares: Option<u64>,
    /// Processor time per period; -1 without limit.
    pub cpu_quota_us: Option<i64>,
    /// The period.
    pub cpu_period_us: Option<u64>,
    /// Processors, as `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as `0-2,7`.
    pub cpuset_mems: Option<String>,
    /// Memory; -1 without limit.
    pub memory_bytes: Option<i64>,
    /// Memory and swap together; -1 without limit.
    pub memory_swap_bytes: Option<i64>,
    /// Tasks; -1 without limit.
    pub pids: Option<i64>,
    /// Huge pages: size (`2MB`) → octets.
    pub hugepages: BTreeMap<String, u64>,
    /// Files of version 2 set as they are.
    pub unified: BTreeMap<String, String>,
    /// The only devices that may be used.
    pub devices: Option<Vec<DeviceRule>>,
}

/// Kinds of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DeviceKind {
    /// Block and character devices.
    Any,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// Devices that may be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceRule {
    /// The kind of node.
    pub kind: DeviceKind,
    /// Major number; none = each.
    pub major: Option<u32>,
    /// Minor number; none = each.
    pub minor: Option<u32>,
    /// Letters of `rwm`: read, write, make the node.
    pub access: String,
}

impl DeviceRule {
    /// One device.
    #[must_use]
    pub fn allow(kind: DeviceKind, major: u32, minor: u32, access: &str) -> Self {
        Self {
            kind,
            major: Some(major),
            minor: Some(minor),
            access: access.to_owned(),
        }
    }

    /// Every device of a kind.
    #[must_use]
    pub fn allow_all(kind: DeviceKind, access: &str) -> Self {
        Self {
            kind,
            major: None,
            minor: None,
            access: access.to_owned(),
        }
    }
}
