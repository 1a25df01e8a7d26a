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
    let all = 0..job.completions.unwrap_or(0);
    all.filter(|index| !account.tally.completed.contains(*index) && !busy.contains(index))
        .take(wanted)
        .collect()
}

/// Active Pods beyond the first of each index, or of an index that has no place.
pub(super) fn superfluous(job: &Job, account: &Account) -> Vec<Object> {
    let mut seen = BTreeSet::new();
    let keeps = |object: &&Object| {
        index_of(object).is_some_and(|index| {
            job.completions.is_none_or(|n| index < n)
                && !account.tally.completed.contains(index)
                && seen.insert(index)
        })
    };
    let kept: BTreeSet<&str> = account
        .active
        .iter()
        .filter(keeps)
        .map(|o| o.uid())
        .collect();
    account
        .active
        .iter()
        .filter(|o| !kept.contains(o.uid()))
        .cloned()
        .collect()
}

/// A Pod of the Job, for an index where the Job has them.
pub(super) fn pod(job: &Job, index: Option<i64>) -> Value {
    let mut pod = template::pod(job.template(), &job.object, &JOBS);
    let mut finalizers = tree::list(&pod, "metadata.finalizers").to_vec();
    finalizers.push(FINALIZER.into());
    tree::set(&mut pod, "metadata.finalizers", finalizers);
    let Some(index) = index else { return pod };
    let name = format!("{}-{index}", job.object.name());
    tree::set(&mut pod, "metadata.generateName", format!("{name}-"));
    object::set_annotation(&mut pod, INDEX, index.to_string());
    object::set_label(&mut pod, INDEX, index.to_string());
    tree::set(&mut pod, "spec.hostname", name);
    for list in ["initContainers", "containers"] {
        let containers = pod
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(name_index);
    }
    pod
}

fn name_index(container: &mut Value) {
    let mut env = tree::list(container, "env").to_vec();
    if env
        .iter()
        .any(|entry| entry.get("name").and_then(Value::as_str) == Some(INDEX_ENV))
    {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    env.push(json!({"name": INDEX_ENV, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}));
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
