//! Pure: the exact count of ended Pods.

use std::collections::BTreeSet;

use k3s_client::Object;

use super::model::{FINALIZER, Job, Tally};
use super::pods::index_of;
use super::policy::{self, Ruling};
use crate::common::number::count;
use crate::common::pod;

/// The state of a Job's Pods after the books are brought up to date.
pub(super) struct Account {
    pub(super) tally: Tally,
    pub(super) active: Vec<Object>,
    /// Being deleted, not ended yet.
    pub(super) terminating: usize,
    /// Pods whose end the tally holds: their finalizer may go once it is stored.
    pub(super) settled: Vec<Object>,
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
        terminating: 0,
        settled: Vec::new(),
        fatal: None,
    };
    for object in pods {
        account.take(job, object);
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
        self.active.is_empty() && self.terminating == 0 && !self.tally.has_uncounted()
    }

    fn take(&mut self, job: &Job, object: &Object) {
        let is_deleting = object.is_deleting();
        if is_deleting && !pod::of(object).is_terminal() {
            self.terminating += 1;
        }
        let Some(end) = end_of(job, object) else {
            if !is_deleting {
                self.active.push(object.clone());
            }
            return;
        };
        if !object.has_finalizer(FINALIZER) {
            return;
        }
        if !self.tally.names(object.uid()) {
            self.record(job, object, end);
        }
        self.settled.push(object.clone());
    }

    fn record(&mut self, job: &Job, object: &Object, end: End) {
        let uid = object.uid().to_owned();
        match end {
            End::Succeeded if job.indexed => {
                // An index counts once, however many Pods succeed for it.
                if let Some(index) = index_of(object)
                    && job.has_index(index)
                {
                    self.tally.completed.insert(index);
                }
            }
            End::Succeeded => {
                self.tally.uncounted_succeeded.insert(uid);
            }
            End::Failed => match policy::ruling(job, object) {
                Ruling::Count => {
                    self.tally.uncounted_failed.insert(uid);
                }
                Ruling::Ignore => {}
                Ruling::FailJob(message) => {
                    self.tally.uncounted_failed.insert(uid);
                    self.fatal.get_or_insert(message);
                }
            },
        }
    }
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
}
