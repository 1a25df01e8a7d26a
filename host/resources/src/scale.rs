//! `scale`: the number of replicas of a workload as `autoscaling/v1` Scale.

use k3s_kinds::{ScalePaths, Subresource, validate_scale};
use k3s_meta::{GroupKind, LabelSelector, Status, object, tree};
use k3s_registry::{Resource, Result, Scope};
use serde_json::{Value, json};

/// The change that `scale` may make: [`apply`] makes no other.
pub const SCALE: Scope = Scope::Subresource(&Subresource {
    name: "scale",
    prepare: |_, _, _| {},
    validate: None,
    new_generation: true,
});

/// The scale of an object of `resource`.
///
/// # Errors
/// When the object lacks the field in which its definition says that the number is.
pub fn of(resource: &Resource, object: &Value) -> Result<Value> {
    match resource.strategy.scale() {
        None => Ok(of_workload(object)),
        Some(paths) => of_custom(paths, object),
    }
}

/// A definition says where its objects keep what a scale shows.
fn of_custom(paths: &ScalePaths, custom: &Value) -> Result<Value> {
    let number = |path: &[String]| ScalePaths::find(path, custom).and_then(Value::as_i64);
    let Some(replicas) = number(&paths.spec_replicas) else {
        let path = paths.spec_replicas.join(".");
        return Err(Status::internal(&format!(
            "the spec replicas field \".{path}\" does not exist"
        ))
        .into());
    };
    let mut scale =
        of_workload(&json!({"metadata": custom.get("metadata"), "spec": {"replicas": replicas}}));
    tree::set(
        &mut scale,
        "status.replicas",
        number(&paths.status_replicas).unwrap_or(0),
    );
    let selector = ScalePaths::find(&paths.selector, custom)
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !selector.is_empty() {
        tree::set(&mut scale, "status.selector", selector);
    }
    Ok(scale)
}

fn of_workload(workload: &Value) -> Value {
    let mut metadata = serde_json::Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = tree::get(workload, &format!("metadata.{field}")) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let number = |path| tree::int(workload, path).unwrap_or(0);
    let mut status = json!({"replicas": number("status.replicas")});
    let selector = selector_text(workload);
    if !selector.is_empty() {
        tree::set(&mut status, "selector", selector);
    }
    let replicas = number("spec.replicas");
    let spec = if replicas == 0 {
        json!({})
    } else {
        json!({"replicas": replicas})
    };
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// Takes over the replicas and the preconditions of `scale` into the object.
///
/// # Errors
/// 422 for a negative number or invalid metadata.
pub fn apply(resource: &Resource, workload: &mut Value, scale: &Value) -> Result<()> {
    let errors = validate_scale(scale, resource.dynamic.is_some());
    if !errors.is_empty() {
        let gk = GroupKind::new("autoscaling", "Scale");
        return Err(Status::invalid(&gk, object::name(scale), &errors).into());
    }
    let replicas = tree::int(scale, "spec.replicas").unwrap_or(0);
    match resource.strategy.scale() {
        None => tree::set(workload, "spec.replicas", replicas),
        Some(paths) => {
            tree::set(workload, &paths.spec_replicas.join("."), replicas);
        }
    }
    for field in ["resourceVersion", "uid"] {
        let named = tree::text(scale, &format!("metadata.{field}"));
        if !named.is_empty() {
            tree::set(workload, &format!("metadata.{field}"), named);
        }
    }
    Ok(())
}

/// The selector in text form. ReplicationControllers have a plain map.
fn selector_text(workload: &Value) -> String {
    let Some(selector) = tree::get(workload, "spec.selector") else {
        return String::new();
    };
    let structured = selector.get("matchLabels").is_some_and(Value::is_object)
        || selector.get("matchExpressions").is_some();
    if !structured {
        return LabelSelector::from_set(&object::string_map(Some(selector))).to_string();
    }
    // Labels show as `app=a` here, as clients expect them in a selector parameter.
    let labels = LabelSelector::from_set(&object::string_map(selector.get("matchLabels")));
    let expressions = json!({"matchExpressions": selector.get("matchExpressions")});
    let Ok(expressions) = LabelSelector::from_value(&expressions) else {
        return String::new();
    };
    let both = labels
        .requirements()
        .iter()
        .chain(expressions.requirements())
        .cloned()
        .collect();
    LabelSelector::new(both).to_string()
}
