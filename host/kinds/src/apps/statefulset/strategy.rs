//! Fields behind features that are off (`pkg/registry/apps/statefulset/strategy.go`).

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

const MAX_UNAVAILABLE: &str = "spec.updateStrategy.rollingUpdate.maxUnavailable";

/// `MaxUnavailableStatefulSet` is off by default.
pub(super) fn prepare_create(set: &mut Value, _: &Context<'_>) {
    tree::remove(set, MAX_UNAVAILABLE);
}

/// A set from where the feature was on keeps its field.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    if tree::get(old, MAX_UNAVAILABLE).is_none() {
        tree::remove(new, MAX_UNAVAILABLE);
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_of_unavailable_pods_is_dropped_unless_it_is_stored() {
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        let limited = json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}});
        let mut made = limited.clone();
        prepare_create(&mut made, &context);
        assert_eq!(tree::get(&made, MAX_UNAVAILABLE), None);
        for (old, kept) in [(&limited, true), (&made, false)] {
            let mut new = limited.clone();
            prepare_update(&mut new, old, &context);
            assert_eq!(tree::get(&new, MAX_UNAVAILABLE).is_some(), kept);
        }
    }
}
