//! Roles by name and bindings by subject.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_base::error::chain;
use k3s_meta::{UserInfo, object, tree};
use k3s_registry::Resource;
use k3s_registry::mirror::Index;
use k3s_store::Entry;
use serde_json::Value;

use super::rule::Rule;

/// The policy as it is asked for.
#[derive(Default)]
pub(super) struct PolicyIndex {
    roles: HashMap<RoleName, Arc<[Rule]>>,
    /// By store key, so that an event can replace or remove what it concerns.
    role_keys: HashMap<Arc<str>, RoleName>,
    bindings: HashMap<Arc<str>, Arc<Binding>>,
    by_subject: HashMap<Subject, Vec<Keyed>>,
}

/// A binding and the key it is stored under.
type Keyed = (Arc<str>, Arc<Binding>);

/// Namespace (empty for cluster roles) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RoleName {
    namespace: String,
    name: String,
}

struct Binding {
    /// Empty for cluster role bindings.
    namespace: String,
    role: RoleName,
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

impl Index for PolicyIndex {
    fn clear(&mut self, resource: &Resource) {
        let prefix = &*resource.prefix;
        let of_resource = |key: &&Arc<str>| key.starts_with(prefix);
        let roles = self.role_keys.keys().filter(of_resource);
        let bindings = self.bindings.keys().filter(of_resource);
        let keys: Vec<Arc<str>> = roles.chain(bindings).cloned().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    fn upsert(&mut self, resource: &Resource, entry: &Arc<Entry>) {
        self.forget(&entry.key);
        match serde_json::from_slice::<Value>(&entry.value) {
            Ok(object) if is_binding(resource) => self.put_binding(&entry.key, &object),
            Ok(object) => self.put_role(&entry.key, &object),
            // No rule is better than a guessed one.
            Err(error) => {
                tracing::error!(error = chain(&error), key = %entry.key, "a stored policy cannot be decoded");
            }
        }
    }

    fn remove(&mut self, _: &Resource, entry: &Arc<Entry>) {
        self.forget(&entry.key);
    }
}

fn is_binding(resource: &Resource) -> bool {
    resource.kind.plural.ends_with("bindings")
}

impl PolicyIndex {
    fn put_role(&mut self, key: &Arc<str>, value: &Value) {
        let name = RoleName {
            namespace: object::namespace(value).into(),
            name: object::name(value).into(),
        };
        let rules = Rule::read_all(value).into();
        self.roles.insert(name.clone(), rules);
        self.role_keys.insert(key.clone(), name);
    }

    fn put_binding(&mut self, key: &Arc<str>, value: &Value) {
        let namespace = object::namespace(value);
        let role_namespace = if tree::text(value, "roleRef.kind") == "Role" {
            namespace
        } else {
            ""
        };
        let role = RoleName {
            namespace: role_namespace.to_owned(),
            name: tree::text(value, "roleRef.name").to_owned(),
        };
        let subjects = tree::list(value, "subjects")
            .iter()
            .filter_map(|s| Subject::read(s, namespace))
            .collect();
        let binding = Arc::new(Binding {
            namespace: namespace.to_owned(),
            role,
            subjects,
        });
        for subject in &binding.subjects {
            self.by_subject
                .entry(subject.clone())
                .or_default()
                .push((key.clone(), binding.clone()));
        }
        self.bindings.insert(key.clone(), binding);
    }

    /// Forgets what is stored under a key.
    fn forget(&mut self, key: &Arc<str>) {
        if let Some(name) = self.role_keys.remove(key) {
            self.roles.remove(&name);
        }
        if let Some(binding) = self.bindings.remove(key) {
            self.forget_subjects(key, &binding);
        }
    }

    fn forget_subjects(&mut self, key: &Arc<str>, binding: &Binding) {
        for subject in &binding.subjects {
            let Some(list) = self.by_subject.get_mut(subject) else {
                continue;
            };
            list.retain(|(other, _)| other != key);
            if list.is_empty() {
                self.by_subject.remove(subject);
            }
        }
    }

    pub(super) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<[Rule]>> {
        let namespace = if kind == "Role" { namespace } else { "" };
        self.roles.get(&RoleName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Shows every rule that applies to the user in the namespace until one satisfies. Roles that
    /// bindings name without effect are recorded.
    pub(super) fn visit(
        &self,
        user: &UserInfo,
        namespace: &str,
        missing: &mut Vec<String>,
        mut satisfied: impl FnMut(&Rule) -> bool,
    ) -> bool {
        let subjects = std::iter::once(Subject::User(user.name.clone())).chain(
            user.groups
                .iter()
                .map(|group| Subject::Group(group.clone())),
        );
        for subject in subjects {
            for (_, binding) in self.by_subject.get(&subject).into_iter().flatten() {
                if !binding.namespace.is_empty() && binding.namespace != namespace {
                    continue;
                }
                match self.roles.get(&binding.role) {
                    Some(rules) if rules.iter().any(&mut satisfied) => return true,
                    Some(_) => {}
                    None => missing.push(binding.role.not_found()),
                }
            }
        }
        false
    }
}

impl RoleName {
    fn not_found(&self) -> String {
        let kind = if self.namespace.is_empty() {
            "clusterrole"
        } else {
            "role"
        };
        format!("{kind}.rbac.authorization.k8s.io {:?} not found", self.name)
    }
}

impl Subject {
    fn read(value: &Value, binding_namespace: &str) -> Option<Self> {
        let name = tree::text(value, "name");
        match tree::text(value, "kind") {
            "User" => Some(Self::User(name.to_owned())),
            "Group" => Some(Self::Group(name.to_owned())),
            "ServiceAccount" => {
                let namespace = tree::text(value, "namespace");
                let namespace = if namespace.is_empty() {
                    binding_namespace
                } else {
                    namespace
                };
                Some(Self::User(format!(
                    "system:serviceaccount:{namespace}:{name}"
                )))
            }
            _ => None,
        }
    }
}
