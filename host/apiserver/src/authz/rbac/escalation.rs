//! No user hands out more rights than they hold: writing a role needs its permissions (or
//! `escalate`), binding one needs them too (or `bind`). Upstream: `pkg/registry/rbac`.

use k3s_meta::{GroupResource, Status, UserInfo, object, tree};
use k3s_registry::{Resource, Result};
use serde_json::Value;

use super::rule::Rule;
use crate::authz::{Attributes, Authorizer, Decision, MASTERS};

/// Rules named in a refusal; the list can be long.
const SHOWN: usize = 10;

/// A user who writes policy in a namespace (empty for cluster-wide policy).
pub(crate) struct Grantor<'a> {
    pub(crate) authorizer: &'a Authorizer,
    pub(crate) user: &'a UserInfo,
    pub(crate) namespace: &'a str,
}

impl Grantor<'_> {
    /// Checks a new or changed object; objects that are no policy pass.
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub(crate) fn check(
        &self,
        resource: &Resource,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if resource.kind.group != super::GROUP || self.user.in_group(MASTERS) {
            return Ok(());
        }
        match resource.kind.kind {
            "Role" | "ClusterRole" => self.check_role(resource, new, old),
            "RoleBinding" | "ClusterRoleBinding" => self.check_binding(resource, new, old),
            _ => Ok(()),
        }
    }

    fn check_role(&self, resource: &Resource, new: &Value, old: Option<&Value>) -> Result<()> {
        if old.is_some_and(|old| only_serves_deletion(old, new)) {
            return Ok(());
        }
        let name = object::name(new);
        if self.may("escalate", resource.kind.plural, name) {
            return Ok(());
        }
        let is_aggregated = new
            .get("aggregationRule")
            .is_some_and(|rule| !rule.is_null());
        let granted = if is_aggregated {
            // Aggregation can bring in anything.
            everything()
        } else {
            Rule::read_all(new)
        };
        self.check_held(resource, name, &granted)
    }

    fn check_binding(&self, resource: &Resource, new: &Value, old: Option<&Value>) -> Result<()> {
        if old.is_some_and(|old| only_serves_deletion(old, new)) {
            return Ok(());
        }
        let kind = tree::text(new, "roleRef.kind");
        let name = tree::text(new, "roleRef.name");
        let plural = match kind {
            "Role" => "roles",
            _ => "clusterroles",
        };
        if self.may("bind", plural, name) {
            return Ok(());
        }
        let rbac = &self.authorizer.rbac;
        let Some(granted) = rbac.rules_of(kind, self.namespace, name) else {
            let roles = GroupResource::new(super::GROUP, plural.to_owned());
            return Err(Status::not_found(&roles, name).into());
        };
        self.check_held(resource, object::name(new), &granted)
    }

    /// Whether the user has the right that stands in for holding what is granted.
    fn may(&self, verb: &str, plural: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: self.user,
            verb,
            namespace: self.namespace,
            group: super::GROUP,
            resource: plural,
            subresource: "",
            name,
            path: "",
            is_resource: true,
            field_selector: None,
        };
        self.authorizer.authorize(&attributes) == Decision::Allow
    }

    fn check_held(&self, resource: &Resource, name: &str, granted: &[Rule]) -> Result<()> {
        let (held, _) = self.authorizer.rbac.rules_for(self.user, self.namespace);
        let is_held = |rule: &Rule| held.iter().any(|own| own.covers(rule));
        let missing: Vec<&Rule> = granted
            .iter()
            .filter(|rule| !rule.simple().iter().all(is_held))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = refusal(self.user, &missing);
        Err(Status::forbidden(&resource.gr(), name, &message).into())
    }
}

/// Whether a change leaves all but owners and finalizers as it is, which the garbage collector writes
/// (upstream `IsOnlyMutatingGCFields`). Labels count: they put a role into aggregated ones.
fn only_serves_deletion(old: &Value, new: &Value) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        for field in [
            "ownerReferences",
            "finalizers",
            "managedFields",
            "resourceVersion",
        ] {
            tree::remove(&mut rest, &format!("metadata.{field}"));
        }
        rest
    };
    rest(old) == rest(new)
}

/// All verbs on all resources and paths.
fn everything() -> Vec<Rule> {
    let all = || vec!["*".to_owned()];
    let resources = Rule {
        verbs: all(),
        groups: all(),
        resources: all(),
        ..Rule::default()
    };
    let paths = Rule {
        verbs: all(),
        paths: all(),
        ..Rule::default()
    };
    vec![resources, paths]
}

fn refusal(user: &UserInfo, missing: &[&Rule]) -> String {
    let shown: Vec<String> = missing.iter().take(SHOWN).map(|rule| rule.show()).collect();
    let groups: Vec<String> = user.groups.iter().map(|g| format!("{g:?}")).collect();
    format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        shown.join("\n")
    )
}
