//! Where each resource lives in the datastore: upstream's layout
//! (`pkg/kubeapiserver/default_storage_factory_builder.go`), so that a K3s database can be read.

/// Everything starts here.
pub(crate) const ROOT: &str = "/registry/";

/// The prefix of the keys of a resource that is stored at `path`, with a slash at the end. Groups do
/// not show in it; events of both groups share one.
pub(crate) fn prefix(path: &str) -> String {
    format!("{ROOT}{path}/")
}

/// The prefix of a resource that is defined at run time. Its group has a dot, so the prefix differs
/// from those of built-in resources.
pub(crate) fn prefix_in_group(group: &str, plural: &str) -> String {
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
