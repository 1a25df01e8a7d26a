//! Roles by name and bindings by subject.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_meta::{UserInfo, object};
use serde_json::Value;

use super::rule::Rule;

/// The policy as it is asked for.
#[derive(Default)]
pub(super) struct Index {
    /// By kind's plural and key, so that an event can replace or remove what it concerns.
    roles: HashMap<RoleName, Arc<[Rule]>>,
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
    plural: String,
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

impl Index {
    pub(super) fn put(&mut self, plural: &str, key: &Arc<str>, value: &Value) {
        self.remove(plural, key);
        if plural.ends_with("bindings") {
            self.put_binding(plural, key, value);
        } else {
            let name = RoleName {
                namespace: object::namespace(value).into(),
                name: object::name(value).into(),
            };
            self.roles
                .insert(name.clone(), Rule::read_all(value).into());
            self.role_keys.insert(key.clone(), name);
        }
    }

    fn put_binding(&mut self, plural: &str, key: &Arc<str>, value: &Value) {
        let namespace = object::namespace(value);
        let role_namespace = if object::at_str(value, &["roleRef", "kind"]) == "Role" {
            namespace
        } else {
            ""
        };
        let role = RoleName {
            namespace: role_namespace.to_owned(),
            name: object::at_str(value, &["roleRef", "name"]).to_owned(),
        };
        let subjects = object::at_list(value, &["subjects"])
            .iter()
            .filter_map(|s| Subject::read(s, namespace))
            .collect();
        let binding = Arc::new(Binding {
            plural: plural.to_owned(),
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

    pub(super) fn remove(&mut self, plural: &str, key: &Arc<str>) {
        if !plural.ends_with("bindings") {
            if let Some(name) = self.role_keys.remove(key) {
                self.roles.remove(&name);
            }
            return;
        }
        let Some(binding) = self.bindings.remove(key) else {
            return;
        };
        for subject in &binding.subjects {
            if let Some(list) = self.by_subject.get_mut(subject) {
                list.retain(|(other, _)| other != key);
                if list.is_empty() {
                    self.by_subject.remove(subject);
                }
            }
        }
    }

    /// Forgets everything of one kind.
    pub(super) fn clear(&mut self, plural: &str) {
        let of_kind = |namespaced: bool| move |namespace: &str| namespaced != namespace.is_empty();
        let keys: Vec<Arc<str>> = if plural.ends_with("bindings") {
            self.bindings
                .iter()
                .filter(|(_, b)| b.plural == plural)
                .map(|(key, _)| key.clone())
                .collect()
        } else {
            let matches = of_kind(plural == "roles");
            self.role_keys
                .iter()
                .filter(|(_, name)| matches(&name.namespace))
                .map(|(key, _)| key.clone())
                .collect()
        };
        for key in keys {
            self.remove(plural, &key);
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
    /// bindings name in vain are noted.
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
        let name = object::at_str(value, &["name"]);
        match object::at_str(value, &["kind"]) {
            "User" => Some(Self::User(name.to_owned())),
            "Group" => Some(Self::Group(name.to_owned())),
            "ServiceAccount" => {
                let namespace = object::at_str(value, &["namespace"]);
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
