//! Which resources a server serves, asked through its discovery documents.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

use crate::client::{Client, limited};
use crate::error::Result;
use crate::resource::Resource;

/// The core group has one version, which its own discovery document names beside no other.
const CORE: &str = "v1";

/// One resource as discovery describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// How to address it.
    pub resource: Resource,
    /// The verbs it takes.
    pub verbs: Vec<String>,
}

impl Served {
    /// Whether all of `verbs` are taken.
    #[must_use]
    pub fn takes(&self, verbs: &[&str]) -> bool {
        verbs
            .iter()
            .all(|verb| self.verbs.iter().any(|own| own == verb))
    }
}

impl Client {
    /// All resources, each at the version that its group prefers of those that have it, without
    /// subresources. Groups that cannot be read are named in the second part, so that a caller
    /// that must know all can wait.
    ///
    /// # Errors
    /// When the groups cannot be listed, or the server is not reached.
    pub async fn discover(&self) -> Result<(Vec<Served>, Vec<String>)> {
        let kube = self.kube();
        let groups = limited(async { Ok(kube.list_api_groups().await?) }).await?;
        let (mut served, mut failed) = (Vec::new(), Vec::new());
        // In order of preference within each group.
        let versions = groups.groups.into_iter().flat_map(|group| group.versions);
        let versions = versions.map(|version| version.group_version);
        for version in std::iter::once(CORE.to_owned()).chain(versions) {
            match self.resources_of(&version).await {
                Ok(list) => add_unknown(&mut served, list),
                Err(error) if error.is_unreachable() => return Err(error),
                Err(_) => failed.push(version),
            }
        }
        Ok((served, failed))
    }

    /// The resources of one group and version (`v1`, `apps/v1`), without subresources.
    ///
    /// # Errors
    /// Those of a GET; 404 where the server does not serve the version.
    pub async fn resources_of(&self, api_version: &str) -> Result<Vec<Served>> {
        let kube = self.kube();
        let list = limited(async {
            Ok(if api_version.contains('/') {
                kube.list_api_group_resources(api_version).await?
            } else {
                kube.list_core_api_resources(api_version).await?
            })
        })
        .await?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let own = list.resources.into_iter().filter(|r| !r.name.contains('/'));
        Ok(own.map(|r| served(r, group, version)).collect())
    }
}

fn served(found: APIResource, group: &str, version: &str) -> Served {
    Served {
        resource: Resource {
            group: Cow::Owned(group.to_owned()),
            version: Cow::Owned(version.to_owned()),
            plural: Cow::Owned(found.name),
            kind: Cow::Owned(found.kind),
            namespaced: found.namespaced,
        },
        verbs: found.verbs,
    }
}

/// Adds the resources that no preferred version of the same group has.
fn add_unknown(known: &mut Vec<Served>, list: Vec<Served>) {
    let is_new = |one: &Served| {
        !known.iter().any(|other| {
            other.resource.group == one.resource.group
                && other.resource.plural == one.resource.plural
        })
    };
    let fresh: Vec<Served> = list.into_iter().filter(is_new).collect();
    known.extend(fresh);
}
