//! Default policy: creates what is missing and adds rules and subjects that a newer release needs,
//! unless the object opts out (`rbac.authorization.kubernetes.io/autoupdate: "false"`).

use k3s_meta::{object, tree};
use k3s_registry::Result;
use serde_json::{Value, json};

use super::Bootstrapper;
use super::policy::{self, Binding, NamespacedRole, Role, Subject};
use crate::authz::rbac::rule::Rule;

const GROUP: &str = "rbac.authorization.k8s.io";
const API: &str = "rbac.authorization.k8s.io/v1";
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// The default policy but for the cluster roles in `without`.
pub(super) async fn ensure(bootstrapper: &Bootstrapper<'_>, without: &[String]) -> Result<()> {
    let is_left_out = |role: &str| without.iter().any(|name| name == role);
    for role in policy::cluster_roles() {
        let object = cluster_role(&role);
        match is_left_out(role.name) {
            false => reconcile(bootstrapper, "clusterroles", "", object, "rules").await?,
            true => withdraw(bootstrapper, "clusterroles", &object).await?,
        }
    }
    for binding in policy::cluster_role_bindings() {
        let object = cluster_role_binding(&binding);
        let plural = "clusterrolebindings";
        match is_left_out(binding.role) {
            false => reconcile(bootstrapper, plural, "", object, "subjects").await?,
            true => withdraw(bootstrapper, plural, &object).await?,
        }
    }
    for role in policy::namespaced_roles() {
        ensure_namespaced(bootstrapper, role).await?;
    }
    Ok(())
}

async fn ensure_namespaced(
    bootstrapper: &Bootstrapper<'_>,
    NamespacedRole {
        namespace,
        role,
        subjects,
    }: &NamespacedRole,
) -> Result<()> {
    let mut object = metadata("Role", role.name, role);
    tree::set(&mut object, "rules", rules(role));
    reconcile(bootstrapper, "roles", namespace, object, "rules").await?;
    if subjects.is_empty() {
        return Ok(());
    }
    let mut binding = metadata("RoleBinding", role.name, role);
    let role_ref = json!({"apiGroup": GROUP, "kind": "Role", "name": role.name});
    tree::set(&mut binding, "roleRef", role_ref);
    let subjects: Value = subjects.iter().map(subject).collect();
    tree::set(&mut binding, "subjects", subjects);
    reconcile(bootstrapper, "rolebindings", namespace, binding, "subjects").await
}

fn metadata(kind: &str, name: &str, role: &Role) -> Value {
    let mut object = json!({
        "apiVersion": API, "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {AUTOUPDATE: "true"},
        },
    });
    for to in role.aggregates_to {
        let key = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        object::set_label(&mut object, &key, "true");
    }
    object
}

fn rules(role: &Role) -> Value {
    role.rules().iter().map(Rule::to_value).collect()
}

fn cluster_role(role: &Role) -> Value {
    let mut object = metadata("ClusterRole", role.name, role);
    if role.aggregated {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{}", role.name);
        let rule = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        tree::set(&mut object, "aggregationRule", rule);
        // A controller keeps the sum; it has to be right before that controller runs.
        let parts = policy::cluster_roles()
            .into_iter()
            .filter(|part| part.reaches(role.name));
        let sum: Vec<Value> = parts
            .flat_map(|part| part.rules())
            .map(|rule| rule.to_value())
            .collect();
        tree::set(&mut object, "rules", sum);
    } else {
        tree::set(&mut object, "rules", rules(role));
    }
    object
}

fn cluster_role_binding(binding: &Binding) -> Value {
    let plain = Role::plain(binding.name);
    let mut object = metadata("ClusterRoleBinding", binding.name, &plain);
    tree::set(
        &mut object,
        "roleRef",
        json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": binding.role}),
    );
    tree::set(
        &mut object,
        "subjects",
        binding.subjects.iter().map(subject).collect::<Value>(),
    );
    object
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::User(name) => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
        Subject::Group(name) => json!({"kind": "Group", "apiGroup": GROUP, "name": name}),
        Subject::Account(namespace, name) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
    }
}

/// Deletes what an earlier start created; an object of the same name that a user created stays.
async fn withdraw(bootstrapper: &Bootstrapper<'_>, plural: &str, object: &Value) -> Result<()> {
    let name = object::name(object);
    let found = bootstrapper.find(GROUP, plural, "", name)?;
    let is_ours = |found: &Value| {
        object::annotation(found, AUTOUPDATE).is_some()
            && object::labels(found) == object::labels(object)
    };
    match found.is_some_and(|found| is_ours(&found)) {
        true => bootstrapper.delete(GROUP, plural, "", name).await,
        false => Ok(()),
    }
}

/// Creates the object, or adds the items of `list` that the stored one lacks.
async fn reconcile(
    bootstrapper: &Bootstrapper<'_>,
    plural: &str,
    namespace: &str,
    wanted: Value,
    list: &str,
) -> Result<()> {
    let name = object::name(&wanted).to_owned();
    let Some(found) = bootstrapper.find(GROUP, plural, namespace, &name)? else {
        return bootstrapper.create(GROUP, plural, namespace, wanted).await;
    };
    if object::annotation(&found, AUTOUPDATE) != Some("true")
        || wanted.get("aggregationRule").is_some()
    {
        return Ok(());
    }
    let missing = missing(&found, &wanted, list);
    if missing.is_empty() {
        return Ok(());
    }
    let change = |object: &mut Value| {
        let mut items = tree::list(object, list).to_vec();
        items.extend(missing.iter().cloned());
        tree::set(object, list, items);
    };
    bootstrapper
        .change((GROUP, plural), (namespace, &name), change)
        .await
}

fn missing(found: &Value, wanted: &Value, list: &str) -> Vec<Value> {
    let have = tree::list(found, list);
    let wanted = tree::list(wanted, list).iter();
    if list == "rules" {
        let have: Vec<Rule> = have.iter().map(Rule::read).collect();
        let covered = |rule: &Rule| {
            rule.simple()
                .iter()
                .all(|one| have.iter().any(|other| other.covers(one)))
        };
        wanted
            .filter(|rule| !covered(&Rule::read(rule)))
            .cloned()
            .collect()
    } else {
        wanted
            .filter(|subject| !have.contains(subject))
            .cloned()
            .collect()
    }
}
