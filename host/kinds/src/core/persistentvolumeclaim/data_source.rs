//! What a claim is filled from: the two fields that say so mirror one another
//! (`pkg/api/persistentvolumeclaim/util.go`).

use k3s_meta::tree;
use serde_json::Value;

const SOURCE: &str = "spec.dataSource";
const REFERENCE: &str = "spec.dataSourceRef";

/// Drops what older clients may have sent without meaning, and mirrors the rest. `old` is the stored claim
/// of an update, null for a new one.
pub(super) fn prepare(claim: &mut Value, old: &Value) {
    let has_namespace = tree::has(claim, "spec.dataSourceRef.namespace");
    // Sources in other namespaces are a feature that is off.
    if has_namespace && tree::get(old, REFERENCE).is_none() {
        tree::remove(claim, REFERENCE);
    }
    let in_use = [SOURCE, REFERENCE]
        .iter()
        .any(|at| tree::get(old, at).is_some());
    if !in_use && tree::get(claim, REFERENCE).is_none() && !is_claim_or_snapshot(claim) {
        tree::remove(claim, SOURCE);
    }
    mirror(claim);
}

/// What `dataSource` could name before `dataSourceRef` came; all else was ignored.
fn is_claim_or_snapshot(claim: &Value) -> bool {
    let source = tree::get(claim, SOURCE).unwrap_or(&Value::Null);
    matches!(
        (tree::text(source, "kind"), tree::text(source, "apiGroup")),
        ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
    )
}

/// Fills in the field that is missing, unless the reference has a namespace, which the other cannot say.
fn mirror(claim: &mut Value) {
    let [source, reference] = [SOURCE, REFERENCE].map(|at| tree::get(claim, at).cloned());
    match (source, reference) {
        (Some(source), None) => tree::set(claim, REFERENCE, source),
        (None, Some(mut reference)) if !tree::has(&reference, "namespace") => {
            tree::remove(&mut reference, "namespace");
            tree::set(claim, SOURCE, reference);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_mirrored_or_dropped() {
        let copy = json!({"kind": "PersistentVolumeClaim", "name": "a"});
        let other = json!({"apiGroup": "example.com", "kind": "Bucket", "name": "a"});
        let far = json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "b"});
        let both = json!({"dataSource": copy, "dataSourceRef": copy});
        for (spec, old, expected) in [
            (json!({"dataSource": copy}), json!({}), both.clone()),
            (json!({"dataSourceRef": copy}), json!({}), both.clone()),
            (json!({"dataSource": other}), json!({}), json!({})),
            (json!({"dataSource": {}}), json!({}), json!({})),
            (
                json!({"dataSource": other}),
                both.clone(),
                json!({"dataSource": other, "dataSourceRef": other}),
            ),
            (
                json!({"dataSource": copy, "dataSourceRef": other}),
                json!({}),
                json!({"dataSource": copy, "dataSourceRef": other}),
            ),
            (json!({"dataSourceRef": far}), json!({}), json!({})),
            (
                json!({"dataSourceRef": far}),
                both.clone(),
                json!({"dataSourceRef": far}),
            ),
        ] {
            let mut claim = json!({"spec": spec});
            prepare(&mut claim, &json!({"spec": old}));
            assert_eq!(claim["spec"], expected);
        }
    }
}
