//! What the server serves, and which resource a word means.

use http::Method;
use k3s_client::Resource;
use serde_json::Value;

use crate::Failure;
use crate::session::Session;

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

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
    pub(crate) async fn load(session: &Session) -> Result<Self, Failure> {
        let mut found = Self::default();
        for path in ["/api", "/apis"] {
            let document = session.json(Method::GET, path, AGGREGATED, None).await?;
            if document.get("kind").and_then(Value::as_str) != Some("APIGroupDiscoveryList") {
                return Err(Failure::local(
                    "the server does not serve aggregated discovery (Kubernetes 1.30 or newer is needed)",
                ));
            }
            list(&document, "items")
                .iter()
                .for_each(|group| found.add_group(group));
        }
        Ok(found)
    }

    fn add_group(&mut self, group: &Value) {
        let name = text(group.get("metadata").unwrap_or(&Value::Null), "name");
        for (rank, version) in list(group, "versions").iter().enumerate() {
            for resource in list(version, "resources") {
                let kind = resource
                    .get("responseKind")
                    .map(|k| text(k, "kind"))
                    .unwrap_or_default();
                self.all.push(Served {
                    resource: Resource {
                        group: name.clone().into(),
                        version: text(version, "version").into(),
                        plural: text(resource, "resource").into(),
                        kind: kind.into(),
                        namespaced: text(resource, "scope") == "Namespaced",
                    },
                    singular: text(resource, "singularResource"),
                    short_names: texts(resource, "shortNames"),
                    categories: texts(resource, "categories"),
                    verbs: texts(resource, "verbs"),
                    secondary: rank > 0,
                });
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

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
