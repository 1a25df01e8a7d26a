//! Where each resource lives in the datastore: upstream's layout
//! (`pkg/kubeapiserver/default_storage_factory_builder.go`), so that a K3s database can be read.

/// Everything starts here.
pub(crate) const ROOT: &str = "/registry/";

/// Resources whose path is not their plural.
const SPECIAL: [(&str, &str, &str); 7] = [
    ("", "nodes", "minions"),
    ("", "services", "services/specs"),
    ("", "endpoints", "services/endpoints"),
    ("", "replicationcontrollers", "controllers"),
    ("networking.k8s.io", "ingresses", "ingress"),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "apiextensions.k8s.io/customresourcedefinitions",
    ),
    (
        "apiregistration.k8s.io",
        "apiservices",
        "apiregistration.k8s.io/apiservices",
    ),
];

/// The prefix of a resource's keys, with a slash at the end. Groups do not show in the path; events
/// of both groups share one.
pub(crate) fn prefix(group: &str, plural: &str) -> String {
    let path = SPECIAL
        .iter()
        .find(|(g, p, _)| *g == group && *p == plural)
        .map_or(plural, |(_, _, path)| path);
    format!("{ROOT}{path}/")
}

/// The prefix of a resource that is defined at run time. Groups have a dot, so it meets no other.
pub(crate) fn custom_prefix(group: &str, plural: &str) -> String {
    format!("{ROOT}{group}/{plural}/")
}

/// The parts of a key that name a resource's prefix: one segment or two.
pub(crate) fn prefixes_of(key: &str) -> impl Iterator<Item = &str> {
    let rest = key.strip_prefix(ROOT).unwrap_or_default();
    let ends = rest
        .match_indices('/')
        .take(2)
        .map(|(at, _)| ROOT.len().saturating_add(at).saturating_add(1));
    // The longer prefix wins: `services/specs/` before `services/`.
    let mut found: Vec<&str> = ends.filter_map(|end| key.get(..end)).collect();
    found.reverse();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_names_are_kept() {
        assert_eq!(prefix("", "nodes"), "/registry/minions/");
        assert_eq!(prefix("", "services"), "/registry/services/specs/");
        assert_eq!(prefix("apps", "deployments"), "/registry/deployments/");
    }

    #[test]
    fn a_key_names_its_prefixes() {
        let found: Vec<_> = prefixes_of("/registry/services/specs/default/a").collect();
        assert_eq!(found, ["/registry/services/specs/", "/registry/services/"]);
        assert_eq!(
            prefixes_of("/registry/minions/n").collect::<Vec<_>>(),
            ["/registry/minions/"]
        );
        assert_eq!(prefixes_of("compact_rev_key").count(), 0);
    }
}
