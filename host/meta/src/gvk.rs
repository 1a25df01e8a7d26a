//! Group, version, kind and resource names, and how Kubernetes prints and parses them.

use std::borrow::Cow;
use std::fmt;

use k3s_base::error::Sentence;

/// A name that is static for built-in kinds and owned for those defined at run time.
pub type Name = Cow<'static, str>;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            $(#[allow(missing_docs)] pub $field: Name,)+
        }

        impl $name {
            /// Builds the name from static or owned parts.
            pub fn new($($field: impl Into<Name>),+) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }
    };
}

names!(
    /// An API group at a version. The core group is empty.
    GroupVersion { group, version }
);
names!(
    /// A kind without its version.
    GroupKind { group, kind }
);
names!(
    /// A resource (plural) without its version.
    GroupResource { group, resource }
);
names!(
    /// A kind at a version.
    GroupVersionKind { group, version, kind }
);
names!(
    /// A resource (plural) at a version.
    GroupVersionResource { group, version, resource }
);

/// Joins group and version as `apiVersion` has them: `v1`, `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Splits an `apiVersion` into group and version.
///
/// # Errors
///
/// The text has more than one slash; worded as upstream's `ParseGroupVersion`.
pub fn split_api_version(text: &str) -> Result<(&str, &str), Sentence> {
    match text.split_once('/') {
        None => Ok(("", text)),
        Some((_, version)) if version.contains('/') => {
            Err(format!("unexpected GroupVersion string: {text}").into())
        }
        Some((group, version)) => Ok((group, version)),
    }
}

impl GroupVersion {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

impl GroupVersionKind {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion {
            group: self.group.clone(),
            version: self.version.clone(),
        }
    }
}

impl GroupVersionResource {
    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion {
            group: self.group.clone(),
            version: self.version.clone(),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.api_version())
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, &self.kind, &self.group)
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, &self.resource, &self.group)
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.group_version_text(), self.kind)
    }
}

impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}, Resource={}",
            self.group, self.version, self.resource
        )
    }
}

impl GroupVersionKind {
    /// Upstream prints the slash even for the core group here.
    fn group_version_text(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }
}

fn dotted(f: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    if group.is_empty() {
        f.write_str(name)
    } else {
        write!(f, "{name}.{group}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_upstream() {
        assert_eq!(
            GroupResource::new("apps", "deployments").to_string(),
            "deployments.apps"
        );
        assert_eq!(GroupResource::new("", "pods").to_string(), "pods");
        assert_eq!(
            GroupKind::new("apps", "Deployment").to_string(),
            "Deployment.apps"
        );
        assert_eq!(
            GroupVersionKind::new("", "v1", "Pod").to_string(),
            "/v1, Kind=Pod"
        );
        assert_eq!(
            GroupVersionResource::new("apps", "v1", "x").to_string(),
            "apps/v1, Resource=x"
        );
    }

    #[test]
    fn splits_api_versions() {
        assert_eq!(split_api_version("v1").unwrap(), ("", "v1"));
        assert_eq!(split_api_version("apps/v1").unwrap(), ("apps", "v1"));
        assert_eq!(
            split_api_version("a/b/c").unwrap_err(),
            "unexpected GroupVersion string: a/b/c".into()
        );
    }
}
