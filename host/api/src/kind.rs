//! Built-in kinds and their lookup.

use crate::generated::kinds::KINDS;
use crate::schema::{self, TypeId};
use k3s_meta::gvk::{GroupKind, GroupResource, GroupVersionKind, api_version};

/// One kind that is served, at one version.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// The resource: `deployments`.
    pub plural: &'static str,
    /// `deployment`
    pub singular: &'static str,
    /// `Deployment`
    pub kind: &'static str,
    /// `DeploymentList`; empty for kinds that are only created (reviews, bindings).
    pub list_kind: &'static str,
    /// `deploy`
    pub short_names: &'static [&'static str],
    /// `all`
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// API verbs, sorted.
    pub verbs: &'static [&'static str],
    /// The type of the objects.
    pub schema: TypeId,
    /// Sorted by name.
    pub subresources: &'static [Subresource],
}

/// A subresource of a kind.
#[derive(Debug)]
pub struct Subresource {
    /// `status`
    pub name: &'static str,
    /// Kind of the bodies; for connect subresources the kind of the options.
    pub kind: &'static str,
    /// Group of that kind, which can be another than the resource's (`autoscaling` of `scale`).
    pub group: &'static str,
    /// Version of that kind.
    pub version: &'static str,
    /// API verbs; for connect subresources those of their HTTP methods, as discovery shows them.
    pub verbs: &'static [&'static str],
    /// Whether requests are passed through (exec, proxy) instead of reading or writing an object.
    pub connect: bool,
    /// The type of the bodies; None for the options of connect subresources, which travel as query parameters.
    pub schema: Option<TypeId>,
}

/// All kinds, sorted by group, version and plural.
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// The kind behind a resource.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    let at = KINDS
        .binary_search_by_key(&(group, version, plural), |k| {
            (k.group, k.version, k.plural)
        })
        .ok()?;
    KINDS.get(at)
}

/// The kind of this name.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    let from = KINDS.partition_point(|k| (k.group, k.version) < (group, version));
    let rest = KINDS.get(from..)?.iter();
    rest.take_while(|k| k.group == group && k.version == version)
        .find(|k| k.kind == kind)
}

impl Kind {
    /// `apps/v1`
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    /// Group and kind.
    pub fn gk(&self) -> GroupKind {
        GroupKind::new(self.group, self.kind)
    }

    /// The group of upstream's internal type, which its errors name: Events of both groups are of one type.
    pub fn internal_group(&self) -> &'static str {
        match self.group {
            "events.k8s.io" => "",
            group => group,
        }
    }

    /// Group and resource.
    pub fn gr(&self) -> GroupResource {
        GroupResource::new(self.group, self.plural)
    }

    /// Whether the kind has the API verb.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.binary_search(&verb).is_ok()
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        let at = self
            .subresources
            .binary_search_by_key(&name, |s| s.name)
            .ok()?;
        self.subresources.get(at)
    }

    /// The type of the objects.
    pub fn object_type(&self) -> &'static schema::Type {
        self.schema.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_both_ways() {
        for kind in kinds() {
            assert!(std::ptr::eq(
                by_resource(kind.group, kind.version, kind.plural).unwrap(),
                kind
            ));
            assert!(std::ptr::eq(
                by_kind(kind.group, kind.version, kind.kind).unwrap(),
                kind
            ));
            assert!(kind.verbs.is_sorted(), "{}", kind.kind);
            assert!(
                kind.subresources.is_sorted_by_key(|s| s.name),
                "{}",
                kind.kind
            );
        }
        assert!(by_resource("apps", "v1", "pods").is_none());
        assert!(by_kind("", "v2", "Pod").is_none());
    }

    #[test]
    fn a_known_row() {
        let deployment = by_resource("apps", "v1", "deployments").unwrap();
        assert_eq!(
            (deployment.kind, deployment.singular, deployment.list_kind),
            ("Deployment", "deployment", "DeploymentList")
        );
        assert_eq!(
            (deployment.short_names, deployment.categories),
            (["deploy"].as_slice(), ["all"].as_slice())
        );
        assert_eq!(
            deployment.subresource("scale").unwrap().group,
            "autoscaling"
        );
        assert!(deployment.has_verb("deletecollection"));
        let exec = by_resource("", "v1", "pods")
            .unwrap()
            .subresource("exec")
            .unwrap();
        assert!(exec.connect && exec.kind == "PodExecOptions");
    }
}
