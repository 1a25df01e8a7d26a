//! What discovery shows of a kind.

use super::order::priorities;
use crate::kind::{self, Kind, Subresource};

/// A resource at a version.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// `v1`
    pub version: &'a str,
    /// `deployments`
    pub plural: &'a str,
    /// `deployment`
    pub singular: &'a str,
    /// `Deployment`
    pub kind: &'a str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// API verbs, sorted.
    pub verbs: &'a [&'a str],
    /// `deploy`
    pub short_names: &'a [&'a str],
    /// `all`
    pub categories: &'a [&'a str],
    /// Sorted by name.
    pub subresources: Vec<SubRow<'a>>,
    /// Group, version and kind in which objects are stored; None for what is not stored.
    pub stored: Option<(&'a str, &'a str, &'a str)>,
    /// `groupPriorityMinimum` and `versionPriority` of the APIService of its group and version: those of upstream
    /// until someone says otherwise.
    pub priorities: (u32, u32),
}

/// A subresource.
#[derive(Clone, Debug)]
pub struct SubRow<'a> {
    /// `status`
    pub name: &'a str,
    /// Group, version and kind of the bodies.
    pub kind: (&'a str, &'a str, &'a str),
    /// API verbs, sorted.
    pub verbs: &'a [&'a str],
}

/// Group, version and kind.
type Stored = (&'static str, &'static str, &'static str);

/// Where a kind is stored; the two that are served beside what they are stored as have a group and version of
/// their own.
fn stored(k: &'static Kind) -> Option<Stored> {
    let at = match (k.group, k.version) {
        ("autoscaling", "v1") => ("autoscaling", "v2", k.kind),
        ("events.k8s.io", "v1") => ("", "v1", k.kind),
        (group, version) => (group, version, k.kind),
    };
    (k.has_verb("create") && k.has_verb("get")).then_some(at)
}

/// Rows of the kinds that are compiled in.
pub fn built_in() -> impl Iterator<Item = Row<'static>> {
    kind::kinds().iter().map(Row::from)
}

impl From<&'static Kind> for Row<'static> {
    fn from(k: &'static Kind) -> Self {
        Self {
            group: k.group,
            version: k.version,
            plural: k.plural,
            singular: k.singular,
            kind: k.kind,
            namespaced: k.namespaced,
            verbs: k.verbs,
            short_names: k.short_names,
            categories: k.categories,
            subresources: k.subresources.iter().map(SubRow::from).collect(),
            stored: stored(k),
            priorities: priorities(k.group, k.version),
        }
    }
}

impl From<&'static Subresource> for SubRow<'static> {
    fn from(s: &'static Subresource) -> Self {
        Self {
            name: s.name,
            kind: (s.group, s.version, s.kind),
            verbs: s.verbs,
        }
    }
}
