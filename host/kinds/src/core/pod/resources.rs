//! Which resources may be promised more than once.

/// Native resources may be promised more than once; huge pages and extended ones may not.
pub(crate) fn is_overcommit_allowed(name: &str) -> bool {
    (!name.contains('/') || name.contains("kubernetes.io/")) && !name.starts_with("hugepages-")
}
