//! Pure: the exact count of ended Pods.

use std::collections::{BTreeMap, BTreeSet};

use k3s_client::Object;

use super::model::{FINALIZER, INDEX_FAILURES, Job, Tally};
use super::pods::{ended_at, failure_count, failures_before, index_of};
use super::policy::{self, Ruling};
use crate::common::number::count;
use crate::common::pod;

/// The state of a Job's Pods after the books are brought up to date.
pub(super) struct Account {
    pub(super) tally: Tally,
    pub(super) active: Vec<Object>,
    /// Being deleted, not ended yet.
    pub(super) terminating: Vec<Object>,
    /// Pods whose end the tally holds: their finalizer may go once it is stored.
    pub(super) settled: Vec<Object>,
    /// The last failed Pod of each index that is to be tried again. It stays until its replacement carries on
    /// its number of failures.
    pub(super) replaceable: BTreeMap<i64, Object>,
    /// A rule of the failure policy that ends the Job.
    pub(super) fatal: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
}

pub(super) fn account(job: &Job, pods: &[Object]) -> Account {
    let held: BTreeSet<&str> = pods
        .iter()
        .filter(|object| object.has_finalizer(FINALIZER))
        .map(|object| object.uid())
        .collect();
    let mut tally = job.tally.clone();
    tally.succeeded += settle(&mut tally.uncounted_succeeded, &held);
    tally.failed += settle(&mut tally.uncounted_failed, &held);
    let mut account = Account {
        tally,
        active: Vec::new(),
        terminating: Vec::new(),
        settled: Vec::new(),
        replaceable: BTreeMap::new(),
        fatal: None,
    };
    let mut ended = Vec::new();
    for object in pods {
        if let Some(end) = account.take(job, object) {
            account.mark_index(job, object, end);
            ended.push((object, end));
        }
    }
    if job.limit_per_index.is_some() {
        account.find_replaceable(&ended);
    }
    for (object, end) in ended {
        let mut kept = account.replaceable.values();
        if !kept.any(|other| other.uid() == object.uid()) {
            account.settle_pod(job, object, end);
        }
    }
    if job.indexed {
        account.tally.succeeded = account.tally.completed.len();
    }
    account
}

/// Removes the UIDs that were written down and whose finalizer is gone; returns how many there were.
fn settle(uncounted: &mut BTreeSet<String>, held: &BTreeSet<&str>) -> i64 {
    let before = uncounted.len();
    uncounted.retain(|uid| held.contains(uid.as_str()));
    count(before - uncounted.len())
}

impl Account {
    /// Whether no Pod is left to wait for and every end is counted.
    pub(super) fn is_closed(&self) -> bool {
        self.active.is_empty() && self.terminating.is_empty() && !self.tally.has_uncounted()
    }

    /// The Job ends: nothing is tried again.
    pub(super) fn give_up(&mut self, job: &Job) {
        for object in std::mem::take(&mut self.replaceable).into_values() {
            self.settle_pod(job, &object, End::Failed);
        }
    }

    /// Notes what the Pod does; returns its end if that is still to be counted.
    fn take(&mut self, job: &Job, object: &Object) -> Option<End> {
        let is_deleting = object.is_deleting();
        if is_deleting && !pod::of(object).is_terminal() {
            self.terminating.push(object.clone());
        }
        let end = end_of(job, object);
        if end.is_none() && !is_deleting {
            self.active.push(object.clone());
        }
        end.filter(|_| object.has_finalizer(FINALIZER))
    }

    /// What the end means for the Pod's index: one counts once, however many Pods succeed for it.
    fn mark_index(&mut self, job: &Job, object: &Object, end: End) {
        let index = index_of(object).filter(|index| job.indexed && job.has_index(*index));
        if end == End::Succeeded {
            if let Some(index) = index.filter(|index| !self.tally.failed_indexes.contains(*index)) {
                self.tally.completed.insert(index);
            }
            return;
        }
        let fails_index = match policy::ruling(job, object) {
            Ruling::FailIndex => true,
            Ruling::Ignore => false,
            Ruling::Count => over_limit(job, object),
            Ruling::FailJob(message) => {
                self.fatal.get_or_insert(message);
                over_limit(job, object)
            }
        };
        // What is decided about an index stays: the API refuses one that has both ends.
        let open = index.filter(|index| !self.tally.completed.contains(*index));
        if let (Some(index), true, Some(_)) = (open, fails_index, job.limit_per_index) {
            self.tally.failed_indexes.insert(index);
        }
    }

    fn find_replaceable(&mut self, ended: &[(&Object, End)]) {
        let busy: BTreeSet<i64> = self.active.iter().filter_map(index_of).collect();
        for &(object, end) in ended {
            let index = index_of(object).filter(|_| end == End::Failed);
            let Some(index) = index else { continue };
            let is_done =
                self.tally.completed.contains(index) || self.tally.failed_indexes.contains(index);
            if is_done || busy.contains(&index) {
                continue;
            }
            let rank = |object: &Object| (failures_before(object), ended_at(object));
            let last = self.replaceable.get(&index);
            if last.is_none_or(|last| rank(last) <= rank(object)) {
                self.replaceable.insert(index, object.clone());
            }
        }
    }

    fn settle_pod(&mut self, job: &Job, object: &Object, end: End) {
        self.settled.push(object.clone());
        let uid = object.uid().to_owned();
        if self.tally.names(&uid) {
            return;
        }
        match end {
            End::Succeeded if job.indexed => {}
            End::Succeeded => {
                self.tally.uncounted_succeeded.insert(uid);
            }
            End::Failed if policy::ruling(job, object) == Ruling::Ignore => {}
            End::Failed => {
                self.tally.uncounted_failed.insert(uid);
            }
        }
    }
}

/// Whether a counted failure is one too many for its index.
fn over_limit(job: &Job, object: &Object) -> bool {
    let counted = failure_count(object, INDEX_FAILURES);
    job.limit_per_index.is_some_and(|limit| counted >= limit)
}

fn end_of(job: &Job, object: &Object) -> Option<End> {
    match pod::of(object).status.phase.as_str() {
        "Succeeded" => Some(End::Succeeded),
        "Failed" => Some(End::Failed),
        // A Pod of a finished Job ends with it.
        _ if object.is_deleting() && (!job.replaces_ended_only() || job.is_finished()) => {
            Some(End::Failed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::{Value, json};

    use super::*;

    fn job(status: Value) -> Job {
        Job::read(
            &Obj::from_value(
                json!({"metadata": {"name": "j", "uid": "j"}, "spec": {"completions": 3}, "status": status}),
            )
            .unwrap(),
        )
    }

    fn pod(uid: &str, phase: &str, held: bool) -> Object {
        let finalizers = if held { json!([FINALIZER]) } else { json!([]) };
        Obj::from_value(
            json!({"metadata": {"name": uid, "uid": uid, "finalizers": finalizers}, "status": {"phase": phase}}),
        )
        .unwrap()
    }

    #[test]
    fn an_end_is_written_down_then_released_then_counted_once() {
        let pods = [
            pod("a", "Succeeded", true),
            pod("b", "Failed", true),
            pod("c", "Running", true),
        ];
        let first = account(&job(json!({})), &pods);
        assert_eq!(first.active.len(), 1);
        assert_eq!(first.settled.len(), 2);
        assert_eq!(
            (
                first.tally.succeeded,
                first.tally.all_succeeded(),
                first.tally.all_failed()
            ),
            (0, 1, 1)
        );
        let status = json!({"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]}});
        assert_eq!(
            account(&job(status.clone()), &pods).tally,
            first.tally,
            "a second pass changes nothing"
        );
        let released = [pod("a", "Succeeded", false), pod("c", "Running", true)];
        let second = account(&job(status), &released);
        assert_eq!((second.tally.succeeded, second.tally.failed), (1, 1));
        assert!(!second.tally.has_uncounted());
        let third = account(&job(json!({"succeeded": 1, "failed": 1})), &released);
        assert_eq!(
            third.tally, second.tally,
            "a released pod is not counted again"
        );
    }

    #[test]
    fn an_index_has_one_end() {
        let spec =
            json!({"completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0});
        let status = json!({"completedIndexes": "0", "failedIndexes": "1"});
        let job = Job::read(
            &Obj::from_value(
                json!({"metadata": {"name": "j", "uid": "j"}, "spec": spec, "status": status}),
            )
            .unwrap(),
        );
        let pod = |index: &str, phase: &str| {
            let annotations = json!({"batch.kubernetes.io/job-completion-index": index});
            let uid = format!("{index}-{phase}");
            Obj::from_value(json!({"status": {"phase": phase},
                "metadata": {"name": uid, "uid": uid, "finalizers": [FINALIZER], "annotations": annotations}}))
            .unwrap()
        };
        let pods = [
            pod("0", "Failed"),
            pod("1", "Succeeded"),
            pod("2", "Succeeded"),
        ];
        let tally = account(&job, &pods).tally;
        assert_eq!(tally.completed.text(), "0,2");
        assert_eq!(tally.failed_indexes.text(), "1");
    }

    #[test]
    fn an_index_fails_beyond_its_limit_or_by_a_rule() {
        let rules = json!([{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [43]}}]);
        let spec = json!({"completions": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
            "podFailurePolicy": {"rules": rules}});
        let job = Job::read(
            &Obj::from_value(json!({"metadata": {"name": "j", "uid": "j"}, "spec": spec})).unwrap(),
        );
        let failed = |index: i64, before: i64, code: i64| {
            let annotations = json!({"batch.kubernetes.io/job-completion-index": index.to_string(),
                INDEX_FAILURES: before.to_string()});
            let uid = format!("{index}-{before}");
            let ended = json!([{"name": "c", "state": {"terminated": {"exitCode": code}}}]);
            Obj::from_value(json!({
                "metadata": {"name": uid, "uid": uid, "finalizers": [FINALIZER], "annotations": annotations},
                "status": {"phase": "Failed", "containerStatuses": ended}}))
            .unwrap()
        };
        let pods = [
            failed(0, 0, 1),
            failed(1, 1, 1),
            failed(2, 0, 42),
            failed(3, 1, 43),
        ];
        let mut account = account(&job, &pods);
        assert_eq!(account.tally.failed_indexes.text(), "1,2");
        let waiting: Vec<i64> = account.replaceable.keys().copied().collect();
        assert_eq!(waiting, [0, 3], "they stay until they are replaced");
        assert_eq!((account.settled.len(), account.tally.all_failed()), (2, 2));
        account.give_up(&job);
        assert_eq!((account.settled.len(), account.tally.all_failed()), (4, 3));
    }
}
