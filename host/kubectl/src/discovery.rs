//! What the server serves, and which resource a word means.

use k3s_client::Resource;
use kube::client::{APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery};

use crate::error::Failure;
use crate::session::Session;

/// One served resource.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) resource: Resource,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    /// Not the group's preferred version.
    pub(crate) secondary: bool,
}

impl Served {
    /// `deployment.apps/web`.
    pub(crate) fn qualified(&self, name: &str) -> String {
        let group = &self.resource.group;
        if group.is_empty() {
            format!("{}/{name}", self.singular)
        } else {
            format!("{}.{group}/{name}", self.singular)
        }
    }
}

/// Everything served, in the server's order of preference.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) all: Vec<Served>,
}

impl Discovery {
    /// Reads the aggregated documents of the core group and of all others.
    pub(crate) async fn load(session: &Session) -> Result<Self, Failure> {
        let kube = session.client.kube();
        let core = kube.list_core_api_versions_aggregated().await;
        let others = kube.list_api_groups_aggregated().await;
        let mut found = Self::default();
        for document in [core, others] {
            let document: APIGroupDiscoveryList = document.map_err(Failure::kube)?;
            // A server without aggregated discovery answers with another kind, which has no items.
            if document.items.is_empty() {
                return Err(Failure::local(
                    "the server does not serve aggregated discovery (Kubernetes 1.30 or newer is needed)",
                ));
            }
            for group in document.items {
                found.add_group(group);
            }
        }
        Ok(found)
    }

    fn add_group(&mut self, group: APIGroupDiscovery) {
        let name = group
            .metadata
            .and_then(|meta| meta.name)
            .unwrap_or_default();
        for (rank, version) in group.versions.into_iter().enumerate() {
            let version_name = version.version.unwrap_or_default();
            for resource in version.resources {
                let served = served(&name, &version_name, rank > 0, resource);
                self.all.push(served);
            }
        }
    }

    /// The resource a word names: `pods`, `pod`, `po`, `deployments.apps`, `deployments.v1.apps`.
    pub(crate) fn resource(&self, word: &str) -> Result<&Served, Failure> {
        let lower = word.to_lowercase();
        let named = |s: &&Served| {
            lower == s.resource.plural || lower == s.singular || s.short_names.contains(&lower)
        };
        let qualified = |s: &&Served| {
            let (group, version) = (&s.resource.group, &s.resource.version);
            [&*s.resource.plural, &s.singular].iter().any(|n| {
                lower == format!("{n}.{group}") || lower == format!("{n}.{version}.{group}")
            })
        };
        self.all
            .iter()
            .find(named)
            .or_else(|| self.all.iter().find(qualified))
            .ok_or_else(|| {
                Failure::local(format!(
                    "the server doesn't have a resource type \"{word}\""
                ))
            })
    }

    /// The resources a word names: one, or all of a category.
    pub(crate) fn resources(&self, word: &str) -> Result<Vec<&Served>, Failure> {
        let in_category: Vec<_> = self
            .all
            .iter()
            .filter(|s| !s.secondary && s.categories.iter().any(|c| c == word))
            .collect();
        if in_category.is_empty() {
            Ok(vec![self.resource(word)?])
        } else {
            Ok(in_category)
        }
    }

    /// The resource of a manifest's kind.
    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Result<&Served, Failure> {
        let is = |s: &&Served| s.resource.kind == kind && s.resource.api_version() == api_version;
        self.all.iter().find(is).ok_or_else(|| {
            Failure::local(format!(
                "resource mapping not found for kind \"{kind}\" in version \"{api_version}\": no matches for kind \"{kind}\" in version \"{api_version}\"\nensure CRDs are installed first"
            ))
        })
    }
}

fn served(group: &str, version: &str, secondary: bool, found: APIResourceDiscovery) -> Served {
    let kind = found.response_kind.and_then(|kind| kind.kind);
    Served {
        resource: Resource {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            plural: found.resource.unwrap_or_default().into(),
            kind: kind.unwrap_or_default().into(),
            namespaced: found.scope.as_deref() == Some("Namespaced"),
        },
        singular: found.singular_resource.unwrap_or_default(),
        short_names: found.short_names,
        categories: found.categories,
        verbs: found.verbs,
        secondary,
    }
}
