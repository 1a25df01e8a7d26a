//! Pure: the Pods of a Job, and their completion indexes.

use std::collections::BTreeSet;

use k3s_client::Object;
use k3s_client::resources::JOBS;
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::account::Account;
use super::model::{FINALIZER, INDEX, Job};
use crate::common::template;

const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// The index of a Pod of an indexed Job.
pub(super) fn index_of(object: &Object) -> Option<i64> {
    object.annotation(INDEX)?.parse().ok()
}

/// The lowest indexes that neither succeeded nor have a Pod.
pub(super) fn free_indexes(job: &Job, account: &Account, wanted: usize) -> Vec<i64> {
    let busy: BTreeSet<i64> = account.active.iter().filter_map(index_of).collect();
    let completed = &account.tally.completed;
    let all = 0..job.completions.unwrap_or(0);
    all.filter(|index| !completed.contains(*index))
        .filter(|index| !busy.contains(index))
        .take(wanted)
        .collect()
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
pub(super) fn pod(job: &Job, index: Option<i64>) -> Value {
    let mut pod = template::pod(job.template(), &job.object, &JOBS);
    let mut finalizers = tree::list(&pod, "metadata.finalizers").to_vec();
    finalizers.push(FINALIZER.into());
    tree::set(&mut pod, "metadata.finalizers", finalizers);
    if let Some(index) = index {
        set_index(&mut pod, job.object.name(), index);
    }
    pod
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
        let pod = pod(&job, Some(3));
        assert_eq!(pod["spec"]["hostname"], "j-3");
        assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], INDEX_ENV);
    }
}
