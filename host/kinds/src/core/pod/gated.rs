//! What may change in a pod that scheduling gates hold back: where it may run becomes narrower.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::equality::same;

const AFFINITY: &str = "affinity.nodeAffinity";
const TERMS: &str = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// Takes what may change from the new pod into the `expected` spec; errors tell what is not narrower.
pub(super) fn allow(
    errors: &mut ErrorList,
    expected: &mut Value,
    new: &Value,
    old: &Value,
    path: &Path,
) {
    let [after, before] = [new, old].map(|pod| pod.get("spec").unwrap_or(&Value::Null));
    node_selector(errors, after, before, &path.child("nodeSelector"));
    tree::copy(expected, after, "nodeSelector");
    let [wanted, stored] = [after, before].map(|spec| tree::get(spec, AFFINITY));
    if same(wanted, stored) {
        return;
    }
    node_affinity(errors, after, before, &path.child(AFFINITY));
    if tree::get(after, "affinity").is_none() {
        tree::remove(expected, AFFINITY);
        if tree::map(expected, "affinity").is_empty() {
            tree::remove(expected, "affinity");
        }
    } else if let Some(wanted) = wanted {
        tree::set(expected, AFFINITY, wanted.clone());
    } else {
        tree::remove(expected, AFFINITY);
    }
}

/// `validateNodeSelectorMutation`
fn node_selector(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let after = tree::map(new, "nodeSelector");
    let mut before = tree::map(old, "nodeSelector").iter();
    if before.any(|(key, value)| after.get(key) != Some(value)) {
        let shown = tree::get(new, "nodeSelector");
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(field::invalid(path, shown, detail));
    }
}

/// `validateNodeAffinityMutation`
fn node_affinity(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let list = format!("{AFFINITY}.{TERMS}");
    let [after, before] = [new, old].map(|spec| tree::list(spec, &list));
    let path = path.child(TERMS);
    if !before.is_empty() && before.len() != after.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(field::invalid(&path, tree::get(new, &list), detail));
        return;
    }
    for (index, (before, after)) in before.iter().zip(after).enumerate() {
        if !only_adds(after, before) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(field::invalid(&path.index(index), after, detail));
        }
    }
}

/// Whether the term has all that it had, first. A term without requirements takes none, for it chose nothing.
fn only_adds(new: &Value, old: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let parts = lists.map(|list| (tree::list(new, list), tree::list(old, list)));
    let had_none = parts.iter().all(|(_, old)| old.is_empty());
    parts.into_iter().all(|(new, old)| {
        if had_none {
            return new.is_empty();
        }
        let kept = new.get(..old.len());
        kept.is_some_and(|kept| {
            kept.iter()
                .zip(old)
                .all(|(new, old)| same(Some(new), Some(old)))
        })
    })
}
