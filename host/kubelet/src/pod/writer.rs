//! Writes a pod's status to the API when it differs, the newest one only, and deletes the object
//! when the pod is gone from the node (upstream's status manager, per pod).

use std::sync::Arc;
use std::time::Duration;

use k3s_client::{DeleteParams, Error, Object, Patch, resources};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::conditions::OWN;
use super::model;
use super::table::{Handle, Source};
use crate::context::Ctx;
use crate::labels;

const RETRY_BASE: Duration = Duration::from_millis(200);
const RETRY_CAP: Duration = Duration::from_secs(10);

/// Fields of the status that the node writes.
const FIELDS: [&str; 13] = [
    "phase",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "qosClass",
    "observedGeneration",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
];

/// Follows the worker's statuses until it ends.
pub(crate) async fn run(ctx: Ctx, handle: Arc<Handle>, mut updates: watch::Receiver<PodStatus>) {
    let mut last: Option<Object> = None;
    while updates.changed().await.is_ok() {
        let mut wait = RETRY_BASE;
        loop {
            let status = updates.borrow_and_update().clone();
            match write(&ctx, &handle, &status, &mut last).await {
                Ok(()) => break,
                Err(error) if error.is_not_found() || handle.source == Source::Orphan => break,
                Err(error) => {
                    tracing::debug!(%error, pod = %model::pod_key(&handle.pod()), "pod status not written")
                }
            }
            let ended = updates.has_changed().is_err();
            if ended && handle.is_removed() {
                return;
            }
            // A newer status cuts the wait short; there is none after the worker's end.
            tokio::select! {
                go_on = ctx.tasks.sleep(wait) => if !go_on { return },
                _ = updates.changed(), if !ended => {}
            }
            wait = (wait * 2).min(RETRY_CAP);
        }
    }
}

async fn write(
    ctx: &Ctx,
    handle: &Handle,
    status: &PodStatus,
    last: &mut Option<Object>,
) -> Result<(), Error> {
    if handle.source == Source::Orphan {
        return Ok(());
    }
    let pod = handle.pod();
    let base = base(ctx, handle, &pod, last).await?;
    let Some(base) = base else { return Ok(()) };
    let old = base.value().get("status").cloned().unwrap_or(Value::Null);
    let Ok(new) = serde_json::to_value(status) else {
        return Ok(());
    };
    let Some(patch) = patch(base.uid(), &old, &new) else {
        return Ok(());
    };
    let written = ctx
        .client
        .patch_status(
            &resources::PODS,
            Some(base.namespace()),
            base.name(),
            &Patch::Strategic(patch),
        )
        .await?;
    handle.wrote(version(&written));
    *last = Some(written);
    Ok(())
}

/// The object as the API has it: the newer of the last answer and the informer's; for a static pod
/// its mirror.
async fn base(
    ctx: &Ctx,
    handle: &Handle,
    pod: &Pod,
    last: &Option<Object>,
) -> Result<Option<Object>, Error> {
    let key = model::pod_key(pod);
    let cached = super::manager::informer(ctx).get(&key);
    let found = match (cached, last) {
        (Some(cached), Some(last))
            if cached.uid() == last.uid() && version(last) > version(&cached) =>
        {
            Some(last.clone())
        }
        (Some(cached), _) => Some(cached),
        (None, _) => match ctx
            .client
            .get(
                &resources::PODS,
                Some(model::namespace(pod)),
                model::name(pod),
            )
            .await
        {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        },
    };
    Ok(found.filter(|object| belongs(handle, object)))
}

/// Whether the API object is this pod, or the mirror of this static pod.
pub(crate) fn belongs(handle: &Handle, object: &Object) -> bool {
    match handle.source {
        Source::File => object.annotation(labels::CONFIG_MIRROR) == Some(handle.uid.as_str()),
        _ => object.uid() == handle.uid,
    }
}

fn version(object: &Object) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

/// The strategic merge patch from the old status to the new one; `None` when they agree.
fn patch(uid: &str, old: &Value, new: &Value) -> Option<Value> {
    let mut status = Map::new();
    for field in FIELDS {
        let (before, after) = (old.get(field), new.get(field));
        if before == after {
            continue;
        }
        let value = match (field, after) {
            (_, None) => Value::Null,
            // Merged by address: one that is gone would stay, so then the list is replaced.
            ("podIPs" | "hostIPs", Some(Value::Array(list))) if loses(before, list) => {
                [json!({"$patch": "replace"})]
                    .into_iter()
                    .chain(list.iter().cloned())
                    .collect()
            }
            (_, Some(value)) => value.clone(),
        };
        status.insert(field.to_owned(), value);
    }
    let conditions = changed_conditions(old, new);
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    (!status.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": status}))
}

/// Whether an entry of the old list is not in the new one.
fn loses(before: Option<&Value>, after: &[Value]) -> bool {
    before
        .and_then(Value::as_array)
        .is_some_and(|old| old.iter().any(|entry| !after.contains(entry)))
}

/// Conditions merge by type, so only the node's own are sent, and only what differs.
fn changed_conditions(old: &Value, new: &Value) -> Vec<Value> {
    let list = |status: &Value| {
        status
            .get("conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let kind = |c: &Value| {
        c.get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let before = list(old);
    let stale = ["reason", "message"];
    list(new)
        .into_iter()
        .filter(|c| OWN.contains(&kind(c).as_str()))
        .filter_map(|mut c| {
            let old = before.iter().find(|b| kind(b) == kind(&c));
            // lastProbeTime is null in what upstream writes and absent here.
            let same = old.is_some_and(|o| {
                [
                    "status",
                    "reason",
                    "message",
                    "lastTransitionTime",
                    "observedGeneration",
                ]
                .iter()
                .all(|f| o.get(*f) == c.get(*f))
            });
            if same {
                return None;
            }
            for field in stale {
                if c.get(field).is_none() && old.is_some_and(|o| o.get(field).is_some()) {
                    c.as_object_mut()?.insert(field.to_owned(), Value::Null);
                }
            }
            Some(c)
        })
        .collect()
}

/// The node is done with the pod: the object goes, if it is still this pod's and deletion was asked
/// for.
pub(crate) async fn delete(ctx: &Ctx, handle: &Handle) {
    let pod = handle.pod();
    if handle.source != Source::Api || pod.metadata.deletion_timestamp.is_none() {
        return;
    }
    let params = DeleteParams::now().with_uid(handle.uid.clone());
    let mut wait = RETRY_BASE;
    loop {
        match ctx
            .client
            .delete(
                &resources::PODS,
                Some(model::namespace(&pod)),
                model::name(&pod),
                &params,
            )
            .await
        {
            Ok(_) => return,
            Err(error) if error.is_not_found() || error.is_conflict() => return,
            Err(error) => {
                tracing::debug!(%error, pod = %model::pod_key(&pod), "pod not deleted yet")
            }
        }
        if !ctx.tasks.sleep(wait).await {
            return;
        }
        wait = (wait * 2).min(RETRY_CAP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_sent_and_foreign_conditions_stay() {
        let ready =
            |status: &str| json!({"type": "Ready", "status": status, "lastTransitionTime": "t"});
        let foreign = json!({"type": "Gate", "status": "True"});
        let old =
            json!({"phase": "Pending", "podIP": "1", "conditions": [ready("False"), foreign]});
        let same = json!({"phase": "Pending", "podIP": "1", "conditions": [ready("False")]});
        assert_eq!(patch("u", &old, &same), None);
        let new = json!({"phase": "Running", "conditions": [ready("True")]});
        assert_eq!(
            patch("u", &old, &new).unwrap(),
            json!({"metadata": {"uid": "u"}, "status": {"phase": "Running", "podIP": null, "conditions": [ready("True")]}})
        );
    }
}
