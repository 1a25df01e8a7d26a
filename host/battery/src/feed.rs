//! Objects for plugins: which ones a plugin wants and which fields of them, what it has not seen yet,
//! and how much of it goes into one call.
//!
//! An object that differs only in fields outside the mask is not sent again.

use std::collections::HashMap;
use std::hash::Hash;

use k3s_client::Obj;
use k3s_meta::mask::Mask;
use k3s_wit_bindings::feed::exports::k3s::common::feed::Interest;
use sha2::{Digest as _, Sha256};

/// Whether both are about the same kind of objects.
#[must_use]
pub fn is_same_kind(one: &Interest, other: &Interest) -> bool {
    (&one.group, &one.version, &one.plural, &one.kind)
        == (&other.group, &other.version, &other.plural, &other.kind)
}

/// Whether `field`, a dotted path, or something above it is among the fields of an interest.
#[must_use]
pub fn covers(interest: &Interest, field: &str) -> bool {
    interest.fields.iter().any(|part| {
        let rest = field.strip_prefix(part.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Half a SHA-256 of a masked object: at 128 bits of a cryptographic hash, two different
/// states never count as the same, by chance or by design. The bytes themselves would be a second copy
/// of every object.
type Fingerprint = [u8; FINGERPRINT_BYTES];

const FINGERPRINT_BYTES: usize = 16;

/// What a plugin sees of objects, and what it saw last. `K` names an object.
#[derive(Debug)]
pub struct View<K> {
    /// A dozen kinds at most: searched, not indexed.
    masks: Vec<(Interest, Mask)>,
    seen: HashMap<K, Fingerprint>,
}

impl<K> Default for View<K> {
    fn default() -> Self {
        Self {
            masks: Vec::new(),
            seen: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> View<K> {
    /// The view of a plugin with these interests that has seen nothing.
    #[must_use]
    pub fn new(interests: Vec<Interest>) -> Self {
        let masks = interests.into_iter().map(|interest| {
            let mask = Mask::new(&interest.fields);
            (interest, mask)
        });
        Self {
            masks: masks.collect(),
            seen: HashMap::new(),
        }
    }

    /// The object through the mask of its kind, if the plugin asked for that kind and the result differs
    /// from what the plugin saw last. From here on it counts as seen.
    pub fn difference(
        &mut self,
        (group, kind): (&str, &str),
        key: &K,
        object: &Obj,
    ) -> Option<Vec<u8>> {
        let is_asked = |(i, _): &&(Interest, Mask)| i.group == group && i.kind == kind;
        let (_, mask) = self.masks.iter().find(is_asked)?;
        let json = mask.apply(object.value());
        let fingerprint = fingerprint(&json);
        if self.seen.get(key) == Some(&fingerprint) {
            return None;
        }
        self.seen.insert(key.clone(), fingerprint);
        Some(json)
    }

    /// Forgets an object; true if the plugin had seen it.
    pub fn forget(&mut self, key: &K) -> bool {
        self.seen.remove(key).is_some()
    }
}

fn fingerprint(json: &[u8]) -> Fingerprint {
    let digest = Sha256::digest(json);
    let (half, _) = digest.split_at(FINGERPRINT_BYTES);
    half.try_into().unwrap_or_default()
}

/// Runs of items that fit into one call. An item larger than the limit is a run of its own.
#[must_use]
pub fn batches<T>(
    items: Vec<T>,
    size_bytes: impl Fn(&T) -> usize,
    limit_bytes: usize,
) -> Vec<Vec<T>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0_usize);
    for item in items {
        let size = size_bytes(&item);
        if bytes.saturating_add(size) > limit_bytes && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        batch.push(item);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn interest(kind: &str, field: &str) -> Interest {
        Interest {
            group: String::new(),
            version: "v1".into(),
            plural: String::new(),
            kind: kind.into(),
            namespaced: true,
            optional: false,
            fields: vec![field.into()],
        }
    }

    fn service(kind: &str, version: &str) -> k3s_client::Object {
        let object = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind},
            "metadata": {"name": "s", "namespace": "n", "resourceVersion": version}});
        Obj::from_value(object).unwrap()
    }

    #[test]
    fn only_visible_differences_are_passed() {
        let mut view = View::new(vec![interest("Service", "spec.type")]);
        let see = |view: &mut View<&str>, kind: &str, version: &str| {
            let object = service(kind, version);
            view.difference(("", "Service"), &"n/s", &object).is_some()
        };
        assert!(see(&mut view, "LoadBalancer", "1"));
        assert!(!see(&mut view, "LoadBalancer", "2"));
        assert!(see(&mut view, "NodePort", "3"));
        assert!(view.forget(&"n/s"));
        assert!(!view.forget(&"n/s"));
        assert!(see(&mut view, "NodePort", "4"));
        let mut blind = View::new(Vec::new());
        assert!(!see(&mut blind, "NodePort", "5"), "not asked for");
    }

    #[test]
    fn batches_are_bounded_by_bytes() {
        let sizes = |items: Vec<Vec<u8>>| {
            let batches = batches(items, Vec::len, 1000);
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec![vec![0; 500]; 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![vec![0; 1001], vec![0; 1]]), [1, 1]);
        assert!(sizes(Vec::new()).is_empty());
    }

    #[test]
    fn a_field_is_covered_by_what_lies_above_it() {
        let interest = interest("Service", "spec.ports");
        assert!(covers(&interest, "spec.ports") && covers(&interest, "spec.ports.port"));
        assert!(!covers(&interest, "spec.portsX") && !covers(&interest, "spec"));
    }
}
