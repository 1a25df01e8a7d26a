//! A PolicyRule and what it allows (`pkg/registry/rbac/validation`).

use k3s_meta::tree;
use serde_json::{Map, Value};

use crate::authz::Attributes;

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) paths: Vec<String>,
}

impl Rule {
    /// Reads a rule.
    pub(crate) fn read(value: &Value) -> Self {
        let list = |key| {
            tree::list(value, key)
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            paths: list("nonResourceURLs"),
        }
    }

    /// The rules of a role.
    pub(crate) fn read_all(role: &Value) -> Vec<Self> {
        tree::list(role, "rules").iter().map(Self::read).collect()
    }

    /// The rule as it stands in a role.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("verbs".to_owned(), self.verbs.clone().into());
        let rest = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ];
        for (key, list) in rest {
            if !list.is_empty() {
                map.insert(key.to_owned(), list.clone().into());
            }
        }
        Value::Object(map)
    }

    /// Whether the rule allows what is asked.
    pub(crate) fn allows(&self, asked: &Attributes<'_>) -> bool {
        let has = |list: &[String], want: &str| list.iter().any(|have| have == "*" || have == want);
        if !has(&self.verbs, asked.verb) {
            return false;
        }
        if !asked.is_resource {
            return self.paths.iter().any(|path| path_matches(path, asked.path));
        }
        has(&self.groups, asked.group)
            && self
                .resources
                .iter()
                .any(|rule| resource_matches(rule, asked.resource, asked.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }

    /// Whether the rule grants everything that `other`, which is [simple](Self::simple), grants.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let has = |list: &[String], wanted: &[String]| {
            list.iter().any(|have| have == "*") || wanted.iter().all(|want| list.contains(want))
        };
        let resource = |want: &String| {
            let (plural, sub) = want.split_once('/').unwrap_or((want, ""));
            self.resources
                .iter()
                .any(|rule| rule == want || resource_matches(rule, plural, sub))
        };
        let path = |want: &String| {
            self.paths
                .iter()
                .any(|rule| rule == want || path_matches(rule, want))
        };
        has(&self.verbs, &other.verbs)
            && has(&self.groups, &other.groups)
            && other.resources.iter().all(resource)
            && other.paths.iter().all(path)
            && (self.names.is_empty()
                || (!other.names.is_empty() && other.names.iter().all(|n| self.names.contains(n))))
    }

    /// The rule as one rule per verb, group, resource and name.
    pub(crate) fn simple(&self) -> Vec<Self> {
        let mut out = Vec::new();
        for verb in &self.verbs {
            for path in &self.paths {
                out.push(Self {
                    verbs: vec![verb.clone()],
                    paths: vec![path.clone()],
                    ..Self::default()
                });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let one = Self {
                        verbs: vec![verb.clone()],
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Self::default()
                    };
                    if self.names.is_empty() {
                        out.push(one);
                    } else {
                        out.extend(self.names.iter().map(|name| Self {
                            names: vec![name.clone()],
                            ..one.clone()
                        }));
                    }
                }
            }
        }
        out
    }

    /// As upstream prints a rule in a refusal.
    pub(crate) fn show(&self) -> String {
        let quoted = |list: &[String]| {
            list.iter()
                .map(|text| format!("{text:?}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut parts = Vec::new();
        for (name, list) in [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ] {
            if !list.is_empty() {
                parts.push(format!("{name}:[{}]", quoted(list)));
            }
        }
        format!("{{{}}}", parts.join(", "))
    }
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some(("*", sub)) => !subresource.is_empty() && sub == subresource,
        Some((plural, sub)) => plural == resource && sub == subresource && !subresource.is_empty(),
    }
}

fn path_matches(rule: &str, path: &str) -> bool {
    rule == "*"
        || rule == path
        || rule
            .strip_suffix('*')
            .is_some_and(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_and_paths_match_as_upstream() {
        assert!(resource_matches("*", "pods", "log"));
        assert!(resource_matches("pods/log", "pods", "log"));
        assert!(resource_matches("*/scale", "deployments", "scale"));
        assert!(!resource_matches("pods", "pods", "log"));
        assert!(!resource_matches("*/scale", "deployments", ""));
        assert!(
            path_matches("/healthz/*", "/healthz/ping")
                && !path_matches("/healthz", "/healthz/ping")
        );
    }

    #[test]
    fn a_rule_covers_what_it_grants() {
        let all = Rule::read(&json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        let pods = Rule::read(
            &json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}),
        );
        assert_eq!(pods.simple().len(), 4);
        assert!(
            pods.simple()
                .iter()
                .all(|rule| all.covers(rule) && pods.covers(rule))
        );
        assert!(!all.simple().iter().any(|rule| pods.covers(rule)));
        let one = Rule {
            names: vec!["a".into()],
            ..pods.clone()
        };
        assert!(!pods.simple().iter().any(|rule| one.covers(rule)));
    }
}
