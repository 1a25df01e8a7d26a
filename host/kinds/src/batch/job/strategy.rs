//! The selector a job gives itself (`pkg/registry/batch/job`).

use k3s_meta::tree;
use serde_json::Value;

use super::defaults;
use crate::context::Context;

/// Label by which a job finds its pods.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// Labels of the template and the selector follow from name and UID, unless the client asked to
/// manage the selector itself.
pub(super) fn prepare_create(job: &mut Value, _: &Context<'_>) {
    if !tree::flag(job, "spec.manualSelector") {
        generate_selector(job);
    }
    defaults::default(job);
}

fn generate_selector(job: &mut Value) {
    let name = tree::text(job, "metadata.name").to_owned();
    let uid = tree::text(job, "metadata.uid").to_owned();
    if let Some(labels) = tree::ensure(job, "spec.template.metadata.labels") {
        for (key, value) in [
            ("job-name", &name),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            (CONTROLLER_UID, &uid),
        ] {
            // A label that is there already and differs is for validation to refuse.
            labels.entry(key).or_insert_with(|| value.clone().into());
        }
    }
    if let Some(selected) = tree::ensure(job, "spec.selector.matchLabels") {
        selected.entry(CONTROLLER_UID).or_insert_with(|| uid.into());
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    #[test]
    fn selector_and_labels_follow_from_name_and_uid() {
        let mut job =
            json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {}}}});
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        prepare_create(&mut job, &context);
        assert_eq!(
            tree::get(&job, "spec.selector"),
            Some(&json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}))
        );
        assert_eq!(
            tree::get(&job, "spec.template.metadata.labels"),
            Some(
                &json!({"job-name": "j", "batch.kubernetes.io/job-name": "j", "controller-uid": "u",
                "batch.kubernetes.io/controller-uid": "u"})
            )
        );
    }
}
