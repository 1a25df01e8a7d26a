//! The version, in the form that Kubernetes clients parse.

/// What nodes and `/version` report.
pub(crate) const VERSION: &str = "v1.36.0+k3s1";

/// The commit of the checkout this was built from, where the build knew it.
pub(crate) const COMMIT: &str = match option_env!("K3S_BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// When that commit was made, RFC 3339.
pub(crate) const BUILD_DATE: &str = match option_env!("K3S_BUILD_DATE") {
    Some(date) => date,
    None => "1970-01-01T00:00:00Z",
};
