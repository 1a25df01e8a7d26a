//! Which volume fits a claim (`component-helpers/storage/volume/pv_helpers.go`).

use std::cmp::Ordering;

use k3s_meta::object::{deletion_timestamp, labels, name, namespace, uid};
use k3s_meta::quantity::Quantity;
use k3s_meta::selector::LabelSelector;
use k3s_meta::tree;
use serde_json::Value;

use crate::class::class_of;

/// The storage a claim asks for.
#[must_use]
pub fn request(claim: &Value) -> Option<Quantity> {
    Quantity::from_json(tree::get(claim, "spec.resources.requests.storage")?).ok()
}

fn capacity(volume: &Value) -> Option<Quantity> {
    Quantity::from_json(tree::get(volume, "spec.capacity.storage")?).ok()
}

/// Whether a volume is reserved for or bound to this claim.
#[must_use]
pub fn is_bound_to(volume: &Value, claim: &Value) -> bool {
    let Some(reference) = tree::get(volume, "spec.claimRef") else {
        return false;
    };
    let reserved_for = tree::text(reference, "uid");
    tree::text(reference, "name") == name(claim)
        && tree::text(reference, "namespace") == namespace(claim)
        && (reserved_for.is_empty() || reserved_for == uid(claim))
}

fn is_free(volume: &Value) -> bool {
    tree::get(volume, "spec.claimRef").is_none()
}

fn mode(object: &Value) -> &str {
    match tree::text(object, "spec.volumeMode") {
        "" => "Filesystem",
        mode => mode,
    }
}

fn offers_modes(volume: &Value, claim: &Value) -> bool {
    let offered = tree::list(volume, "spec.accessModes");
    tree::list(claim, "spec.accessModes")
        .iter()
        .all(|wanted| offered.contains(wanted))
}

fn is_large_enough(volume: &Value, claim: &Value) -> bool {
    match (capacity(volume), request(claim)) {
        (Some(capacity), Some(request)) => capacity >= request,
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

fn attributes_class(object: &Value) -> &str {
    tree::text(object, "spec.volumeAttributesClassName")
}

/// Whether a claim can be bound to the volume that it asks for by name.
///
/// # Errors
/// With upstream's words for the first thing that does not fit.
pub fn fits_requested(volume: &Value, claim: &Value) -> Result<(), &'static str> {
    if !is_large_enough(volume, claim) {
        return Err("requested PV is too small");
    }
    if class_of(volume) != class_of(claim) {
        return Err("storageClassName does not match");
    }
    if attributes_class(volume) != attributes_class(claim) {
        return Err("volumeAttributesClassName does not match");
    }
    if mode(volume) != mode(claim) {
        return Err("incompatible volumeMode");
    }
    if !offers_modes(volume, claim) {
        return Err("incompatible accessMode");
    }
    Ok(())
}

/// The volume for a claim: the one reserved for it, or the smallest free one that fits. The scheduler
/// passes `node_fits`, which says whether a volume can be used on the node in question. The binder
/// passes none, and `delayed` for classes that wait for a consumer, whose free volumes are left to
/// the scheduler.
pub fn best_match<'a>(
    claim: &Value,
    volumes: impl IntoIterator<Item = &'a Value>,
    node_fits: Option<&dyn Fn(&Value) -> bool>,
    delayed: bool,
) -> Option<&'a Value> {
    let selector = match tree::get(claim, "spec.selector") {
        Some(selector) => Some(LabelSelector::from_value(selector).ok()?),
        None => None,
    };
    let node_fits = |volume: &Value| node_fits.is_none_or(|fits| fits(volume));
    let mut best: Option<&Value> = None;
    for volume in volumes {
        let reserved = is_bound_to(volume, claim);
        let possible = (reserved || is_free(volume))
            && deletion_timestamp(volume).is_none()
            && is_large_enough(volume, claim)
            && mode(volume) == mode(claim)
            && attributes_class(volume) == attributes_class(claim)
            && offers_modes(volume, claim);
        if !possible {
            continue;
        }
        if reserved {
            // No other volume will do for this claim, so a node that this one does not fit is out.
            return node_fits(volume).then_some(volume);
        }
        let free = !delayed
            && tree::text(volume, "status.phase") == "Available"
            && selector
                .as_ref()
                .is_none_or(|s| s.matches_labels(&labels(volume)))
            && class_of(volume) == class_of(claim)
            && node_fits(volume);
        if free && best.is_none_or(|best| preference(volume, best) == Ordering::Less) {
            best = Some(volume);
        }
    }
    best
}

/// The fewest access modes, then the smallest, then by name so that all parties choose alike.
fn preference(a: &Value, b: &Value) -> Ordering {
    let modes = |volume: &Value| tree::list(volume, "spec.accessModes").len();
    let size = |volume: &Value| capacity(volume).map_or(i128::MAX, Quantity::nano);
    (modes(a), size(a), name(a)).cmp(&(modes(b), size(b), name(b)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(name: &str, size: &str, extra: &Value) -> Value {
        let mut volume = json!({"metadata": {"name": name, "labels": {"disk": name}},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "s"},
            "status": {"phase": "Available"}});
        k3s_meta::patch::merge_patch(&mut volume, extra).unwrap();
        volume
    }

    fn claim(extra: &Value) -> Value {
        let mut claim = json!({"metadata": {"name": "c", "namespace": "n", "uid": "1"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "resources": {"requests": {"storage": "5Gi"}}}});
        k3s_meta::patch::merge_patch(&mut claim, extra).unwrap();
        claim
    }

    fn chosen(claim: &Value, volumes: &[Value]) -> String {
        best_match(claim, volumes, None, false).map_or_else(String::new, |v| name(v).to_owned())
    }

    #[test]
    fn the_smallest_that_fits_is_chosen() {
        let none = json!({});
        let all = [
            volume("big", "50Gi", &none),
            volume("fit", "10Gi", &none),
            volume("small", "1Gi", &none),
        ];
        assert_eq!(chosen(&claim(&none), &all), "fit");
        for (change, expected) in [
            (json!({"spec": {"storageClassName": ""}}), ""),
            (json!({"spec": {"accessModes": ["ReadWriteMany"]}}), ""),
            (json!({"spec": {"volumeMode": "Block"}}), ""),
            (
                json!({"spec": {"selector": {"matchLabels": {"disk": "big"}}}}),
                "big",
            ),
            (
                json!({"spec": {"resources": {"requests": {"storage": "20Gi"}}}}),
                "big",
            ),
            (
                json!({"spec": {"resources": {"requests": {"storage": "51Gi"}}}}),
                "",
            ),
        ] {
            assert_eq!(chosen(&claim(&change), &all), expected, "{change}");
        }
    }

    #[test]
    fn reserved_volumes_go_to_their_claim_only() {
        let for_claim = |name: &str, uid: &str| json!({"spec": {"claimRef": {"name": name, "namespace": "n", "uid": uid}}});
        let free = volume("free", "5Gi", &json!({}));
        let mine = volume("mine", "50Gi", &for_claim("c", ""));
        let other = volume("other", "5Gi", &for_claim("c", "2"));
        let none = json!({});
        assert_eq!(chosen(&claim(&none), &[free.clone(), mine.clone()]), "mine");
        assert_eq!(chosen(&claim(&none), &[other]), "");
        assert!(
            best_match(&claim(&none), [&free], None, true).is_none(),
            "left to the scheduler"
        );
        assert!(best_match(&claim(&none), [&mine], None, true).is_some());
        assert!(best_match(&claim(&none), [&mine], Some(&|_| false), true).is_none());
    }

    #[test]
    fn a_requested_volume_says_what_does_not_fit() {
        let small = volume("v", "1Gi", &json!({}));
        assert_eq!(
            fits_requested(&small, &claim(&json!({}))),
            Err("requested PV is too small")
        );
        let other = volume("v", "9Gi", &json!({"spec": {"storageClassName": "t"}}));
        assert_eq!(
            fits_requested(&other, &claim(&json!({}))),
            Err("storageClassName does not match")
        );
    }
}
