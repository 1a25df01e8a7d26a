//! Which resources a server serves, asked through its discovery documents.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::resource::Resource;

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

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GroupList {
    groups: Vec<Group>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Group {
    /// In order of preference.
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GroupVersion {
    group_version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceList {
    group_version: String,
    resources: Vec<ApiResource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ApiResource {
    name: String,
    namespaced: bool,
    kind: String,
    verbs: Vec<String>,
}

impl Client {
    /// All resources, each at the version that its group prefers of those that have it, without
    /// subresources. Groups that cannot be read are named in the second part, so that a caller that must
    /// know all can wait.
    pub async fn discover(&self) -> Result<(Vec<Served>, Vec<String>)> {
        let groups: GroupList = decode(self.get_path("/apis").await?, "/apis")?;
        let mut paths = vec!["/api/v1".to_owned()];
        let versions = groups.groups.into_iter().flat_map(|group| group.versions);
        paths.extend(versions.map(|version| format!("/apis/{}", version.group_version)));
        let (mut served, mut failed): (Vec<Served>, Vec<String>) = (Vec::new(), Vec::new());
        for path in paths {
            match self
                .get_path(&path)
                .await
                .and_then(|doc| decode::<ResourceList>(doc, &path))
            {
                Ok(list) => {
                    let group = list
                        .group_version
                        .split_once('/')
                        .map_or("", |(group, _)| group)
                        .to_owned();
                    let same_group = served
                        .iter()
                        .rev()
                        .take_while(|s| s.resource.group == group);
                    let known: Vec<String> =
                        same_group.map(|s| s.resource.plural.to_string()).collect();
                    served.extend(
                        resources(list)
                            .filter(|s| !known.iter().any(|plural| *plural == s.resource.plural)),
                    );
                }
                Err(error @ (Error::Transport(_) | Error::Timeout(_))) => return Err(error),
                Err(_) => failed.push(path),
            }
        }
        Ok((served, failed))
    }
}

fn decode<T: for<'de> Deserialize<'de>>(doc: Value, path: &str) -> Result<T> {
    T::deserialize(doc).map_err(|e| Error::decode(path, e))
}

fn resources(list: ResourceList) -> impl Iterator<Item = Served> {
    let (group, version) = match list.group_version.split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), list.group_version),
    };
    list.resources
        .into_iter()
        .filter(|r| !r.name.contains('/'))
        .map(move |r| Served {
            resource: Resource {
                group: Cow::Owned(group.clone()),
                version: Cow::Owned(version.clone()),
                plural: Cow::Owned(r.name),
                kind: Cow::Owned(r.kind),
                namespaced: r.namespaced,
            },
            verbs: r.verbs,
        })
}
