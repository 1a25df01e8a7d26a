//! Pure: the Pods of a Job, and their completion indexes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k3s_client::Object;
use k3s_client::resources::JOBS;
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::account::Account;
use super::model::{FINALIZER, INDEX, INDEX_FAILURES, INDEX_IGNORED, Job};
use super::policy::{self, Ruling};
use crate::common::{pod, template, time};

const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// The index of a Pod of an indexed Job.
pub(super) fn index_of(object: &Object) -> Option<i64> {
    object.annotation(INDEX)?.parse().ok()
}

/// A count among the annotations of a Pod; 0 for what is none.
pub(super) fn failure_count(object: &Object, annotation: &str) -> i64 {
    let count = object
        .annotation(annotation)
        .and_then(|text| text.parse().ok());
    count.filter(|count: &i64| *count >= 0).unwrap_or(0)
}

/// How many Pods of the same index failed before this one, counted or not.
pub(super) fn failures_before(object: &Object) -> i64 {
    failure_count(object, INDEX_FAILURES).saturating_add(failure_count(object, INDEX_IGNORED))
}

/// The lowest indexes that neither succeeded nor failed for good nor have a Pod.
pub(super) fn free_indexes(job: &Job, account: &Account, wanted: usize) -> Vec<i64> {
    let mut busy: BTreeSet<i64> = account.active.iter().filter_map(index_of).collect();
    if job.replaces_ended_only() {
        busy.extend(account.terminating.iter().filter_map(index_of));
    }
    let tally = &account.tally;
    let is_done = |index| tally.completed.contains(index) || tally.failed_indexes.contains(index);
    let all = 0..job.completions.unwrap_or(0);
    all.filter(|index| !is_done(*index) && !busy.contains(index))
        .take(wanted)
        .collect()
}

/// When the Pod ended, as well as it can be told.
pub(super) fn ended_at(object: &Object) -> Option<Timestamp> {
    let status = &pod::of(object).status;
    let last = status
        .container_statuses
        .iter()
        .filter_map(|container| container.state.terminated.as_ref())
        .filter_map(|end| end.finished_at.as_deref())
        .filter_map(time::parse)
        .max();
    if last.is_some() {
        return last;
    }
    let meta = object.meta();
    if let Some(deleted) = meta.deletion_timestamp.as_deref()
        && let Some(deleted) = time::parse(deleted)
    {
        return Some(deleted);
    }
    time::parse(&meta.creation_timestamp)
}

/// Active Pods beyond the first of each index, or of an index that has no place.
pub(super) fn superfluous(job: &Job, account: &Account) -> Vec<Object> {
    let completed = &account.tally.completed;
    let mut seen = BTreeSet::new();
    let mut superfluous = Vec::new();
    for object in &account.active {
        let keeps = match index_of(object) {
            Some(index) => {
                let is_open = job.has_index(index) && !completed.contains(index);
                is_open && seen.insert(index)
            }
            None => false,
        };
        if !keeps {
            superfluous.push(object.clone());
        }
    }
    superfluous
}

/// A Pod of the Job, for an index where the Job has them.
pub(super) fn pod(job: &Job, account: &Account, index: Option<i64>) -> Value {
    let mut pod = template::pod(job.template(), &job.object, &JOBS);
    let mut finalizers = tree::list(&pod, "metadata.finalizers").to_vec();
    finalizers.push(FINALIZER.into());
    tree::set(&mut pod, "metadata.finalizers", finalizers);
    if let Some(index) = index {
        set_index(&mut pod, job.object.name(), index);
        if job.limit_per_index.is_some() {
            set_failures(&mut pod, job, account.replaceable.get(&index));
        }
    }
    pod
}

/// The failures of an index go from one Pod to its replacement.
fn set_failures(pod: &mut Value, job: &Job, replaced: Option<&Object>) {
    let before = |annotation| replaced.map_or(0, |object| failure_count(object, annotation));
    let (mut failures, mut ignored) = (before(INDEX_FAILURES), before(INDEX_IGNORED));
    match replaced.map(|object| policy::ruling(job, object)) {
        Some(Ruling::Ignore) => ignored = ignored.saturating_add(1),
        Some(_) => failures = failures.saturating_add(1),
        None => {}
    }
    object::set_annotation(pod, INDEX_FAILURES, failures.to_string());
    if ignored > 0 {
        object::set_annotation(pod, INDEX_IGNORED, ignored.to_string());
    }
}

/// The index stands in the name, an annotation, a label, and the environment of every container.
fn set_index(pod: &mut Value, job: &str, index: i64) {
    let name = format!("{job}-{index}");
    let prefix = format!("{name}-");
    tree::set(pod, "metadata.generateName", prefix);
    tree::set(pod, "spec.hostname", name);
    object::set_annotation(pod, INDEX, index.to_string());
    object::set_label(pod, INDEX, index.to_string());
    for list in ["spec.initContainers", "spec.containers"] {
        for container in tree::each_mut(pod, list) {
            name_index(container);
        }
    }
}

fn name_index(container: &mut Value) {
    let mut env = tree::list(container, "env").to_vec();
    let is_set = env
        .iter()
        .any(|entry| tree::text(entry, "name") == INDEX_ENV);
    if is_set {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    env.push(json!({
        "name": INDEX_ENV,
        "valueFrom": {
            "fieldRef": {
                "apiVersion": "v1",
                "fieldPath": path,
            },
        },
    }));
    tree::set(container, "env", env);
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::super::account::account;
    use super::*;

    #[test]
    fn indexes_are_handed_out_once() {
        let object = Obj::from_value(json!({"metadata": {"name": "j", "uid": "j", "namespace": "n"},
            "spec": {"completions": 4, "completionMode": "Indexed", "template": {"spec": {"containers": [{"name": "c"}]}}},
            "status": {"completedIndexes": "0"}}))
        .unwrap();
        let job = Job::read(&object);
        let running = |uid: &str| {
            Obj::from_value(json!({"metadata": {"name": uid, "uid": uid, "annotations": {INDEX: "2"}}, "status": {"phase": "Running"}})).unwrap()
        };
        let account = account(&job, &[running("a"), running("b")]);
        assert_eq!(free_indexes(&job, &account, 5), [1, 3]);
        assert_eq!(superfluous(&job, &account).len(), 1);
        let pod = pod(&job, &account, Some(3));
        assert_eq!(pod["spec"]["hostname"], "j-3");
        assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], INDEX_ENV);
    }

    #[test]
    fn a_replacement_carries_on_the_failures_of_its_index() {
        let rules = json!([{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
        let object = Obj::from_value(json!({"metadata": {"name": "j", "uid": "j", "namespace": "n"},
            "spec": {"completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 5,
                "podFailurePolicy": {"rules": rules}, "template": {"spec": {"containers": [{"name": "c"}]}}}}))
        .unwrap();
        let job = Job::read(&object);
        let failed = |index: &str, conditions: Value| {
            let annotations = json!({INDEX: index, INDEX_FAILURES: "2", INDEX_IGNORED: "1"});
            Obj::from_value(json!({"status": {"phase": "Failed", "conditions": conditions},
                "metadata": {"name": index, "uid": index, "annotations": annotations, "finalizers": [FINALIZER]}}))
            .unwrap()
        };
        let disrupted = json!([{"type": "DisruptionTarget", "status": "True"}]);
        let account = account(&job, &[failed("0", json!([])), failed("1", disrupted)]);
        for (index, failures, ignored) in [
            (0, "3", json!("1")),
            (1, "2", json!("2")),
            (2, "0", Value::Null),
        ] {
            let pod = pod(&job, &account, Some(index));
            let annotations = &pod["metadata"]["annotations"];
            assert_eq!(annotations[INDEX_FAILURES], failures, "{index}");
            assert_eq!(annotations[INDEX_IGNORED], ignored, "{index}");
        }
    }
}
