//! Writes a pod's status to the API when it differs, only the newest one, and deletes the object
//! once nothing of the pod is left on the node (upstream's status manager, per pod).

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, DeleteParams, Error, Informer, Object, Patch, resources, uid_is};
use k3s_lifecycle::Tasks;
use k3s_meta::tree;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};

use super::conditions::{OWN, PASSING};
use super::handle::{Desired, Source};
use crate::labels;
use crate::model;

/// Between failed writes.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(10),
    jitter: 0.0,
};

/// Fields of the status that the node writes.
const FIELDS: [&str; 15] = [
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
    "resources",
    "allocatedResources",
];

/// The writer of one pod.
pub(crate) struct StatusWriter {
    pub(crate) client: Client,
    /// Pods bound to this node, mirrors among them.
    pub(crate) objects: Informer,
    pub(crate) desired: watch::Receiver<Desired>,
    /// The object differs from what was written.
    pub(crate) rewrite: Arc<Notify>,
    /// The version of the object that the last write made.
    pub(crate) written: watch::Sender<u64>,
    pub(crate) random: Random,
    pub(crate) tasks: Tasks,
}

impl StatusWriter {
    /// Writes each status that comes, and the newest one again when the object lost it, until there are
    /// none to come.
    pub(crate) async fn run(&self, mut statuses: watch::Receiver<Arc<PodStatus>>) {
        let mut last: Option<Object> = None;
        // Before the first status there is none to write again.
        let mut goes_on = statuses.changed().await.is_ok();
        while goes_on {
            let mut retry = RETRY.start();
            while !self.try_write(&mut statuses, &mut last).await {
                let ended = statuses.has_changed().is_err();
                if ended && self.desired.borrow().removed {
                    return;
                }
                let wait = retry.next_delay(&self.random);
                // A newer status cuts the wait short; there is none after the worker's end.
                tokio::select! {
                    go_on = self.tasks.sleep(wait) => if !go_on { return },
                    _ = statuses.changed(), if !ended => {}
                }
            }
            goes_on = self.next(&mut statuses, last.as_ref()).await;
        }
    }

    /// Resolves when there is something to write; false when nothing will come any more.
    async fn next(
        &self,
        statuses: &mut watch::Receiver<Arc<PodStatus>>,
        last: Option<&Object>,
    ) -> bool {
        loop {
            tokio::select! {
                changed = statuses.changed() => return changed.is_ok(),
                () = self.rewrite.notified() => {}
            }
            if self.is_foreign(last) {
                return true;
            }
        }
    }

    /// Whether the object is not as the last write left it.
    fn is_foreign(&self, last: Option<&Object>) -> bool {
        let key = model::pod_key(&self.desired.borrow().pod);
        let cached = self.objects.get(&key);
        cached.is_some_and(|cached| {
            last.is_none_or(|last| cached.uid() != last.uid() || version(&cached) > version(last))
        })
    }

    /// True when the newest status is written or cannot be.
    async fn try_write(
        &self,
        statuses: &mut watch::Receiver<Arc<PodStatus>>,
        last: &mut Option<Object>,
    ) -> bool {
        let status = statuses.borrow_and_update().clone();
        let desired = self.desired.borrow().clone();
        if desired.source == Source::Orphan {
            return true;
        }
        match self.write(&desired, &status, last).await {
            Ok(()) => true,
            Err(error) if error.is_not_found() => true,
            Err(error) => {
                let pod = model::pod_key(&desired.pod);
                tracing::debug!(error = chain(&error), pod, "pod status not written");
                false
            }
        }
    }

    async fn write(
        &self,
        desired: &Desired,
        status: &PodStatus,
        last: &mut Option<Object>,
    ) -> Result<(), Error> {
        let Some(base) = self.base(desired, last.as_ref()).await? else {
            return Ok(());
        };
        let old = base.value().get("status");
        let old = old.unwrap_or(&Value::Null);
        let Ok(new) = serde_json::to_value(status) else {
            return Ok(());
        };
        let patch = patch(base.uid(), old, &new);
        let Some(patch) = patch else {
            return Ok(());
        };
        let namespace = base.namespace();
        let name = base.name();
        let patch = Patch::Strategic(patch);
        let written = self
            .client
            .patch_status(&resources::PODS, Some(namespace), name, &patch)
            .await?;
        let version = version(&written);
        self.written
            .send_modify(|known| *known = version.max(*known));
        *last = Some(written);
        Ok(())
    }

    /// The object as the API has it: the newer of the last answer and the informer's; for a static
    /// pod its mirror.
    async fn base(
        &self,
        desired: &Desired,
        last: Option<&Object>,
    ) -> Result<Option<Object>, Error> {
        let pod = &desired.pod;
        let key = model::pod_key(pod);
        let found = match self.objects.get(&key) {
            Some(cached) => {
                let newer = last.filter(|last| is_newer(last, &cached));
                Some(newer.cloned().unwrap_or(cached))
            }
            None => self.fetch(pod).await?,
        };
        Ok(found.filter(|object| belongs(desired, object)))
    }

    async fn fetch(&self, pod: &Pod) -> Result<Option<Object>, Error> {
        let namespace = model::namespace(pod);
        let name = model::name(pod);
        let found = self
            .client
            .get(&resources::PODS, Some(namespace), name)
            .await;
        match found {
            // A node may not ask about pods that are not bound to it, such as one that was deleted.
            Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
            other => other.map(Some),
        }
    }

    /// Deletes the object once nothing of the pod is left on the node, if it is still this pod's and
    /// deletion was asked for. Returns whether that is done: an object that stays has a finalizer, and what
    /// happens to it is not the node's affair.
    pub(crate) async fn delete_pod(&self) -> bool {
        let desired = self.desired.borrow().clone();
        let pod = &desired.pod;
        let is_deleted = pod.metadata.deletion_timestamp.is_some();
        if desired.source != Source::Api || !is_deleted {
            return false;
        }
        let namespace = model::namespace(pod);
        let name = model::name(pod);
        let params = DeleteParams::default()
            .grace_period(0)
            .preconditions(uid_is(model::uid(pod)));
        let mut retry = RETRY.start();
        loop {
            let deleted = self
                .client
                .delete(&resources::PODS, Some(namespace), name, &params)
                .await;
            match deleted {
                Ok(_) => return true,
                Err(error) if error.is_not_found() || error.is_conflict() => return true,
                Err(error) => {
                    let pod = model::pod_key(pod);
                    tracing::debug!(error = chain(&error), pod, "pod not deleted yet");
                }
            }
            let wait = retry.next_delay(&self.random);
            if !self.tasks.sleep(wait).await {
                return false;
            }
        }
    }
}

/// Whether the API object is this pod, or the mirror of this static pod.
fn belongs(desired: &Desired, object: &Object) -> bool {
    let uid = model::uid(&desired.pod);
    match desired.source {
        Source::File => object.annotation(labels::CONFIG_MIRROR) == Some(uid),
        Source::Api | Source::Orphan => object.uid() == uid,
    }
}

/// Whether `last` is a newer state of the same object.
fn is_newer(last: &Object, cached: &Object) -> bool {
    cached.uid() == last.uid() && version(last) > version(cached)
}

fn version(object: &Object) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

/// The strategic merge patch from the old status to the new one; `None` when they agree.
fn patch(uid: &str, old: &Value, new: &Value) -> Option<Value> {
    let mut status = Map::new();
    for field in FIELDS {
        let before = old.get(field);
        let after = new.get(field);
        let [stored, wanted] = [before, after].map(|value| value.unwrap_or(&Value::Null));
        if tree::same(stored, wanted) {
            continue;
        }
        let value = match (field, after) {
            (_, None) => Value::Null,
            // The API merges by address and keeps those that the patch does not name, so the list is replaced
            // when it loses one.
            ("podIPs" | "hostIPs", Some(Value::Array(list))) if loses(before, list) => {
                replacement(list)
            }
            (_, Some(value)) => value.clone(),
        };
        status.insert(field.to_owned(), value);
    }
    let conditions = changed_conditions(old, new);
    if !conditions.is_empty() {
        let conditions = Value::Array(conditions);
        status.insert("conditions".to_owned(), conditions);
    }
    if status.is_empty() {
        return None;
    }
    Some(json!({
        "metadata": {"uid": uid},
        "status": status,
    }))
}

/// The list with the directive of a strategic merge that it replaces the old one.
fn replacement(list: &[Value]) -> Value {
    let mut entries = vec![json!({"$patch": "replace"})];
    entries.extend_from_slice(list);
    Value::Array(entries)
}

/// Whether an entry of the old list is not in the new one.
fn loses(before: Option<&Value>, after: &[Value]) -> bool {
    let Some(Value::Array(old)) = before else {
        return false;
    };
    old.iter().any(|entry| !after.contains(entry))
}

/// Conditions merge by type, so only the node's own are sent, and of those only what differs.
fn changed_conditions(old: &Value, new: &Value) -> Vec<Value> {
    let before = conditions(old);
    let mut changed = Vec::new();
    for condition in conditions(new) {
        let kind_of_new = kind(condition);
        if OWN.contains(&kind_of_new) {
            let old = before.iter().find(|old| kind(old) == kind_of_new);
            changed.extend(changed_condition(old, condition));
        }
    }
    let is_there = |of: &str| {
        conditions(new)
            .iter()
            .any(|condition| kind(condition) == of)
    };
    let removed = before.iter().map(kind);
    let removed = removed.filter(|of| PASSING.contains(of) && !is_there(of));
    changed.extend(removed.map(|of| json!({"type": of, "$patch": "delete"})));
    changed
}

fn conditions(status: &Value) -> &[Value] {
    let list = status.get("conditions").and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn kind(condition: &Value) -> &str {
    let kind = condition.get("type").and_then(Value::as_str);
    kind.unwrap_or_default()
}

/// The condition as it is sent; `None` when nothing that counts differs. `lastProbeTime` does not:
/// it is null in what upstream writes and absent here.
fn changed_condition(old: Option<&Value>, new: &Value) -> Option<Value> {
    const COMPARED: [&str; 5] = [
        "status",
        "reason",
        "message",
        "lastTransitionTime",
        "observedGeneration",
    ];
    let same = |old: &Value| COMPARED.iter().all(|f| old.get(*f) == new.get(*f));
    if old.is_some_and(same) {
        return None;
    }
    let mut sent = new.clone();
    for field in ["reason", "message"] {
        let was_set = old.is_some_and(|old| old.get(field).is_some());
        let is_set = new.get(field).is_some();
        // A merge keeps what is not named.
        if was_set && !is_set {
            let fields = sent.as_object_mut()?;
            fields.insert(field.to_owned(), Value::Null);
        }
    }
    Some(sent)
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
        let resized = json!({"phase": "Pending", "podIP": "1",
            "conditions": [ready("False"), {"type": "PodResizeInProgress", "status": "True"}]});
        assert_eq!(
            patch("u", &resized, &same).unwrap()["status"],
            json!({"conditions": [{"type": "PodResizeInProgress", "$patch": "delete"}]})
        );
        let new = json!({"phase": "Running", "conditions": [ready("True")]});
        assert_eq!(
            patch("u", &old, &new).unwrap(),
            json!({"metadata": {"uid": "u"}, "status": {"phase": "Running", "podIP": null, "conditions": [ready("True")]}})
        );
    }
}
