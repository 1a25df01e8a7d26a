//! Pure: whether a Job has ended, and how many Pods it should have.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::Object;
use serde_json::Value;

use super::account::Account;
use super::model::Job;
use crate::common::number::{count, length};
use crate::common::{condition, pod, time};

/// Failed Pods are replaced after this and its doublings (upstream's defaults).
const BACKOFF: k3s_base::BackoffPolicy = k3s_base::BackoffPolicy {
    base: Duration::from_secs(10),
    factor: 2.0,
    cap: Duration::from_secs(600),
    jitter: 0.0,
};
/// At most so many Pods are made in one go.
const BURST: usize = 500;

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Failed {
        reason: &'static str,
        message: String,
    },
}

impl End {
    fn failed(reason: &'static str, message: &str) -> Self {
        Self::Failed {
            reason,
            message: message.to_owned(),
        }
    }
}

/// Nothing while the Job goes on.
pub(super) fn end(job: &Job, account: &Account, now: Timestamp) -> Option<End> {
    if let Some(target) = condition::find(job.value(), "FailureTarget")
        && condition::text(target, "status") == "True"
    {
        return Some(announced_failure(target));
    }
    if condition::is_true(job.value(), "SuccessCriteriaMet") {
        return Some(End::Complete);
    }
    if let Some(message) = &account.fatal {
        return Some(End::failed("PodFailurePolicy", message));
    }
    let is_over_limit = account.tally.all_failed() > job.backoff_limit;
    if is_over_limit || restarted_too_often(job, account) {
        let message = "Job has reached the specified backoff limit";
        return Some(End::failed("BackoffLimitExceeded", message));
    }
    let left = deadline_left(job, now);
    if !job.suspended && left == Some(Duration::ZERO) {
        let message = "Job was active longer than specified deadline";
        return Some(End::failed("DeadlineExceeded", message));
    }
    let succeeded = account.tally.all_succeeded();
    let is_complete = match job.completions {
        Some(wanted) => succeeded >= wanted,
        // A work queue is empty once one worker says so and the others have ended.
        None => succeeded > 0 && account.active.is_empty(),
    };
    if is_complete {
        return Some(End::Complete);
    }
    None
}

/// The failure that an earlier pass put into the status.
fn announced_failure(target: &Value) -> End {
    let reason = match condition::text(target, "reason") {
        "DeadlineExceeded" => "DeadlineExceeded",
        "PodFailurePolicy" => "PodFailurePolicy",
        _ => "BackoffLimitExceeded",
    };
    let message = condition::text(target, "message");
    End::failed(reason, message)
}

/// With `restartPolicy: OnFailure` the kubelet retries; its restarts count.
fn restarted_too_often(job: &Job, account: &Account) -> bool {
    let retrying = account
        .active
        .iter()
        .map(|object| pod::of(object))
        .filter(|view| view.spec.restart_policy == "OnFailure");
    let restarts: i64 = retrying.map(pod::restarts).sum();
    if job.backoff_limit == 0 {
        restarts > 0
    } else {
        restarts >= job.backoff_limit
    }
}

/// Time until the deadline, zero once it has passed.
pub(super) fn deadline_left(job: &Job, now: Timestamp) -> Option<Duration> {
    let started = job.started?;
    let deadline = job.deadline?;
    let left = time::until(now, started, deadline);
    Some(left.unwrap_or(Duration::ZERO))
}

/// Pods to make or to delete.
#[derive(Debug, Default)]
pub(super) struct Sizing {
    pub(super) create: usize,
    pub(super) delete: Vec<Object>,
    /// Creations wait for the back-off.
    pub(super) wait: Option<Duration>,
}

pub(super) fn size(job: &Job, account: &Account, pods: &[Object], now: Timestamp) -> Sizing {
    let mut sizing = Sizing::default();
    if job.suspended {
        sizing.delete = account.active.clone();
        return sizing;
    }
    let active = count(account.active.len());
    let succeeded = account.tally.all_succeeded();
    let wanted = match job.completions {
        Some(completions) => {
            let left = completions - succeeded;
            left.clamp(0, job.parallelism)
        }
        None if succeeded > 0 => active,
        None => job.parallelism,
    };
    if active > wanted {
        let surplus = length(active - wanted);
        sizing.delete = least_advanced(&account.active);
        sizing.delete.truncate(surplus);
        return sizing;
    }
    // Where only ended Pods are replaced, those on their way out still hold their place.
    let held = if job.replaces_ended_only() {
        count(account.terminating)
    } else {
        0
    };
    let missing = length(wanted - active - held);
    if missing == 0 {
        return sizing;
    }
    match backoff(account, pods, now) {
        Some(left) => sizing.wait = Some(left),
        None => sizing.create = missing.min(BURST),
    }
    sizing
}

/// The Pods in the order in which they are given up.
fn least_advanced(active: &[Object]) -> Vec<Object> {
    let mut ranked = active.to_vec();
    ranked.sort_by_cached_key(|object| {
        let view = pod::of(object);
        let created = object.meta().creation_timestamp.clone();
        (view.is_scheduled(), view.is_ready(), Reverse(created))
    });
    ranked
}

fn backoff(account: &Account, pods: &[Object], now: Timestamp) -> Option<Duration> {
    let successes = ends(pods, "Succeeded");
    let failures = ends(pods, "Failed");
    let last = failures.iter().max().copied()?;
    // Failures since the last success are a row.
    let row = match successes.iter().max() {
        Some(success) => {
            let since = failures.iter().filter(|at| *at > success);
            count(since.count())
        }
        // Failures that a policy ignores are not in the tally and are tried again all the same.
        None => account.tally.all_failed().max(count(failures.len())),
    };
    if row <= 0 {
        return None;
    }
    let doublings = u32::try_from(row - 1).unwrap_or(u32::MAX);
    let delay = BACKOFF.delay(doublings);
    time::until(now, last, delay)
}

/// When the Pods that ended in this phase did so.
fn ends(pods: &[Object], phase: &str) -> Vec<Timestamp> {
    pods.iter()
        .filter(|object| pod::of(object).status.phase == phase)
        .filter_map(ended)
        .collect()
}

fn ended(object: &Object) -> Option<Timestamp> {
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

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::{Value, json};

    use super::super::account::account;
    use super::super::model::FINALIZER;
    use super::*;

    fn job(spec: Value, status: Value) -> Job {
        Job::read(
            &Obj::from_value(
                json!({"metadata": {"name": "j", "uid": "j"}, "spec": spec, "status": status}),
            )
            .unwrap(),
        )
    }

    fn pod(uid: &str, phase: &str, finished: &str) -> Object {
        Obj::from_value(
            json!({"metadata": {"name": uid, "uid": uid, "finalizers": [FINALIZER]}, "status": {"phase": phase,
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1, "finishedAt": finished}}}]}}),
        )
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn sized(job: &Job, pods: &[Object]) -> Sizing {
        size(job, &account(job, pods), pods, now())
    }

    #[test]
    fn as_many_as_parallelism_and_what_is_left_allow() {
        assert_eq!(
            sized(
                &job(json!({"parallelism": 2, "completions": 5}), json!({})),
                &[]
            )
            .create,
            2
        );
        assert_eq!(
            sized(
                &job(
                    json!({"parallelism": 3, "completions": 5}),
                    json!({"succeeded": 4})
                ),
                &[]
            )
            .create,
            1
        );
        let running = [pod("a", "Running", "")];
        assert_eq!(
            sized(
                &job(
                    json!({"parallelism": 1, "completions": 1, "suspend": true}),
                    json!({})
                ),
                &running
            )
            .delete
            .len(),
            1
        );
    }

    #[test]
    fn a_failure_that_a_policy_ignores_delays_the_next_pod_as_well() {
        let one = [pod("a", "Failed", "2026-01-01T00:00:55Z")];
        let rules = json!([{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]);
        let lenient = job(
            json!({"parallelism": 1, "completions": 1, "podFailurePolicy": {"rules": rules}}),
            json!({}),
        );
        assert_eq!(account(&lenient, &one).tally.all_failed(), 0);
        assert_eq!(sized(&lenient, &one).wait, Some(Duration::from_secs(5)));
    }

    #[test]
    fn failures_delay_the_next_pod_and_end_the_job_beyond_the_limit() {
        let one = [pod("a", "Failed", "2026-01-01T00:00:55Z")];
        let patient = job(
            json!({"parallelism": 1, "completions": 1, "backoffLimit": 1}),
            json!({}),
        );
        assert_eq!(sized(&patient, &one).wait, Some(Duration::from_secs(5)));
        assert_eq!(end(&patient, &account(&patient, &one), now()), None);
        let strict = job(json!({"completions": 1, "backoffLimit": 0}), json!({}));
        assert!(matches!(
            end(&strict, &account(&strict, &one), now()),
            Some(End::Failed {
                reason: "BackoffLimitExceeded",
                ..
            })
        ));
    }

    #[test]
    fn completion_and_deadline() {
        let done = job(json!({"completions": 1}), json!({"succeeded": 1}));
        assert_eq!(end(&done, &account(&done, &[]), now()), Some(End::Complete));
        let late = job(
            json!({"completions": 1, "activeDeadlineSeconds": 30}),
            json!({"startTime": "2026-01-01T00:00:30Z"}),
        );
        assert!(matches!(
            end(&late, &account(&late, &[]), now()),
            Some(End::Failed {
                reason: "DeadlineExceeded",
                ..
            })
        ));
    }
}
