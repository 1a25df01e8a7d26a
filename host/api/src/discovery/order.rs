//! The order of groups and versions. Groups of built-in kinds have the priorities that they have in
//! kube-apiserver; clients resolve ambiguous resource names by this order (`kubectl get events`).

use super::row::Row;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// Upstream's priority of groups of custom resources.
const CUSTOM_GROUP: u32 = 1000;
/// Upstream's priority of their versions.
const CUSTOM_VERSION: u32 = 100;

/// From `pkg/controlplane/apiserver/aggregator.go` and `cmd/kube-apiserver/app/aggregator.go`. Higher comes first.
fn group_priority(group: &str) -> u32 {
    match group {
        // Above all that an APIService may have (`handler_discovery.go` of kube-aggregator).
        "apiregistration.k8s.io" => 20_001,
        "" => 18_000,
        "apps" => 17_800,
        "events.k8s.io" => 17_750,
        "authentication.k8s.io" => 17_700,
        "authorization.k8s.io" => 17_600,
        "autoscaling" => 17_500,
        "batch" => 17_400,
        "certificates.k8s.io" => 17_300,
        "networking.k8s.io" => 17_200,
        "policy" => 17_100,
        "rbac.authorization.k8s.io" => 17_000,
        "storage.k8s.io" => 16_800,
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => 16_700,
        "scheduling.k8s.io" => 16_600,
        "coordination.k8s.io" => 16_500,
        "node.k8s.io" => 16_300,
        "discovery.k8s.io" | "resource.k8s.io" => 16_200,
        "flowcontrol.apiserver.k8s.io" => 16_100,
        "internal.apiserver.k8s.io" => 16_000,
        "storagemigration.k8s.io" => 15_800,
        _ => CUSTOM_GROUP,
    }
}

/// `groupPriorityMinimum` and `versionPriority` of the APIService of a group and version that is served here.
#[must_use]
pub fn priorities(group: &str, version: &str) -> (u32, u32) {
    let group_priority = group_priority(group);
    let version_priority = match (group, version) {
        _ if group_priority == CUSTOM_GROUP => CUSTOM_VERSION,
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io" | "resource.k8s.io", _) => 21,
        _ => 15,
    };
    (group_priority, version_priority)
}

/// Rows by group and version: groups by priority, then name; versions by priority; resources by name.
pub(super) type Groups<'a> = Vec<(&'a str, Vec<(&'a str, Vec<Row<'a>>)>)>;

pub(super) fn arrange<'a>(rows: impl Iterator<Item = Row<'a>>) -> Groups<'a> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Row<'a>>>> = BTreeMap::new();
    for row in rows {
        groups
            .entry(row.group)
            .or_default()
            .entry(row.version)
            .or_default()
            .push(row);
    }
    let mut out: Groups<'a> = groups
        .into_iter()
        .map(|(group, versions)| (group, arrange_versions(versions)))
        .collect();
    out.sort_by_key(|(group, versions)| (Reverse(highest(versions)), *group));
    out
}

/// The priority of a group is the highest that one of its versions asks for.
fn highest(versions: &[(&str, Vec<Row<'_>>)]) -> Option<u32> {
    let rows = versions.iter().flat_map(|(_, rows)| rows);
    rows.map(|row| row.priorities.0).max()
}

fn arrange_versions<'a>(versions: BTreeMap<&'a str, Vec<Row<'a>>>) -> Vec<(&'a str, Vec<Row<'a>>)> {
    let mut versions: Vec<_> = versions.into_iter().collect();
    let priority = |rows: &[Row<'_>]| rows.first().map(|row| row.priorities.1);
    versions.sort_by(|(a, of_a), (b, of_b)| {
        let higher = priority(of_b).cmp(&priority(of_a));
        higher.then_with(|| by_version_priority(a, b))
    });
    for (_, rows) in &mut versions {
        rows.sort_by_key(|row| row.plural);
    }
    versions
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` before names that are not versions.
pub(super) fn by_version_priority(a: &str, b: &str) -> Ordering {
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability, major and minor.
fn parts(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    for (stability, word) in [(1, "beta"), (0, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word) {
            return Some((stability, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((2, rest.parse().ok()?, 0))
}
