//! The default policy as data (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`), one
//! file per area.

mod controllers;
mod discovery;
mod distribution;
mod namespaced;
mod nodes;
mod system;
mod users;

use crate::authz::rbac::rule::Rule;

/// Verbs that read.
const READ: &str = "get,list,watch";
/// Verbs that change.
const WRITE: &str = "create,delete,deletecollection,patch,update";
/// Both.
const READ_WRITE: &str = "create,delete,deletecollection,get,list,patch,update,watch";
/// What the writer of events needs.
const EVENTS: PolicyRule = Resources(",events.k8s.io", "events", "create,patch,update");

/// One rule; lists are separated by commas, and the empty text is the core group.
#[derive(Clone, Copy)]
enum PolicyRule {
    /// Groups, resources, verbs.
    Resources(&'static str, &'static str, &'static str),
    /// Groups, resources, names, verbs.
    Named(&'static str, &'static str, &'static str, &'static str),
    /// Paths, verbs.
    Paths(&'static str, &'static str),
}

use PolicyRule::{Named, Paths, Resources};

/// A role.
#[derive(Clone, Copy)]
pub(super) struct Role {
    pub(super) name: &'static str,
    rules: &'static [PolicyRule],
    /// Roles that this one's rules become part of.
    pub(super) aggregates_to: &'static [&'static str],
    /// The role is the sum of others.
    pub(super) aggregated: bool,
}

/// A binding of a cluster role.
pub(super) struct Binding {
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    pub(super) subjects: Vec<Subject>,
}

/// A role in a namespace and who has it.
pub(super) struct NamespacedRole {
    pub(super) namespace: &'static str,
    pub(super) role: Role,
    pub(super) subjects: &'static [Subject],
}

/// Who a binding is for.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    User(&'static str),
    Group(&'static str),
    /// Namespace and name.
    Account(&'static str, &'static str),
}

impl Role {
    const fn new(name: &'static str, rules: &'static [PolicyRule]) -> Self {
        Self {
            name,
            rules,
            aggregates_to: &[],
            aggregated: false,
        }
    }

    const fn part(
        name: &'static str,
        to: &'static [&'static str],
        rules: &'static [PolicyRule],
    ) -> Self {
        Self {
            name,
            rules,
            aggregates_to: to,
            aggregated: false,
        }
    }

    const fn sum(name: &'static str, to: &'static [&'static str]) -> Self {
        Self {
            name,
            rules: &[],
            aggregates_to: to,
            aggregated: true,
        }
    }

    /// A name with nothing behind it, for bindings.
    pub(super) const fn plain(name: &'static str) -> Self {
        Self::new(name, &[])
    }

    /// The rules of the role itself.
    pub(super) fn rules(&self) -> Vec<Rule> {
        self.rules
            .iter()
            .copied()
            .map(PolicyRule::to_rule)
            .collect()
    }

    /// Whether the rules become part of the role `name`, directly or through another sum.
    pub(super) fn reaches(&self, name: &str) -> bool {
        // The sums form a chain, so this ends.
        let through = |to: &str| SUMS.iter().any(|sum| sum.name == to && sum.reaches(name));
        self.aggregates_to
            .iter()
            .any(|to| *to == name || through(to))
    }
}

impl PolicyRule {
    fn to_rule(self) -> Rule {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Resources(groups, resources, verbs) => Rule {
                groups: list(groups),
                resources: list(resources),
                verbs: list(verbs),
                ..Rule::default()
            },
            Named(groups, resources, names, verbs) => Rule {
                groups: list(groups),
                resources: list(resources),
                names: list(names),
                verbs: list(verbs),
                ..Rule::default()
            },
            Paths(paths, verbs) => Rule {
                paths: list(paths),
                verbs: list(verbs),
                ..Rule::default()
            },
        }
    }
}

/// The roles that are sums.
const SUMS: [Role; 3] = [
    Role::sum("admin", &[]),
    Role::sum("edit", &["admin"]),
    Role::sum("view", &["edit"]),
];

/// All cluster roles.
pub(super) fn cluster_roles() -> Vec<Role> {
    let areas: [&[Role]; 6] = [
        &SUMS,
        users::ROLES,
        discovery::ROLES,
        nodes::ROLES,
        system::ROLES,
        distribution::ROLES,
    ];
    let mut roles: Vec<Role> = areas.concat();
    roles.extend(controllers::roles());
    roles
}

/// All bindings of cluster roles.
pub(super) fn cluster_role_bindings() -> Vec<Binding> {
    let mut bindings = Vec::new();
    bindings.extend(users::bindings());
    bindings.extend(discovery::bindings());
    bindings.extend(nodes::bindings());
    bindings.extend(system::bindings());
    bindings.extend(distribution::bindings());
    bindings.extend(controllers::bindings());
    bindings
}

/// All roles in namespaces.
pub(super) fn namespaced_roles() -> &'static [NamespacedRole] {
    namespaced::ALL
}

fn bind(name: &'static str, subjects: &[Subject]) -> Binding {
    Binding {
        name,
        role: name,
        subjects: subjects.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_bindings_name_roles() {
        let roles = cluster_roles();
        let names: BTreeSet<&str> = roles.iter().map(|role| role.name).collect();
        assert_eq!(names.len(), roles.len());
        for binding in cluster_role_bindings() {
            assert!(names.contains(binding.role), "{}", binding.role);
        }
    }

    #[test]
    fn what_viewers_may_admins_may() {
        let parts = cluster_roles();
        let sum = |name: &str| {
            parts
                .iter()
                .filter(|p| p.reaches(name))
                .flat_map(Role::rules)
                .collect::<Vec<_>>()
        };
        let (view, admin) = (sum("view"), sum("admin"));
        assert!(!view.is_empty());
        assert!(view.iter().all(|rule| admin.contains(rule)));
    }
}
