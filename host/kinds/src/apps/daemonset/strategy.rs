//! The generation of a daemon set's template, which the API shows as an annotation
//! (`pkg/registry/apps/daemonset/strategy.go`).

use k3s_meta::{object, tree};
use serde_json::Value;

use crate::context::Context;
use crate::equality::semantic_eq;

const GENERATION: &str = "deprecated.daemonset.template.generation";

/// A new set keeps the count that a client gives it, as one does that moves it from another cluster.
pub(super) fn prepare_create(set: &mut Value, _: &Context<'_>) {
    let given = count(set);
    put(set, given.max(1));
}

/// The server counts; what the client sends is not looked at.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    let (template, stored) = (
        tree::get(new, "spec.template"),
        tree::get(old, "spec.template"),
    );
    let changed = !semantic_eq(template, stored);
    put(new, count(old).saturating_add(i64::from(changed)));
}

fn count(set: &Value) -> i64 {
    let text = object::annotation(set, GENERATION);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn put(set: &mut Value, generation: i64) {
    if let Some(annotations) = tree::ensure(set, "metadata.annotations") {
        annotations.insert(GENERATION.to_owned(), generation.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    fn generation(set: &Value) -> &str {
        object::annotation(set, GENERATION).unwrap_or("none")
    }

    #[test]
    fn a_new_set_keeps_its_count() {
        let user = UserInfo::default();
        for (given, kept) in [("7", "7"), ("-2", "1"), ("x", "1")] {
            let mut set = json!({"metadata": {"annotations": {GENERATION: given}}});
            prepare_create(&mut set, &Context::at_epoch(&user));
            assert_eq!(generation(&set), kept);
        }
    }

    #[test]
    fn a_change_of_the_template_is_counted() {
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        let set = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
        let mut old = set("a");
        prepare_create(&mut old, &context);
        assert_eq!(generation(&old), "1");
        for (image, counted) in [("a", "1"), ("b", "2")] {
            let mut new = set(image);
            prepare_update(&mut new, &old, &context);
            assert_eq!(generation(&new), counted);
        }
    }
}
