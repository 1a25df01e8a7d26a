//! Pure: whether a Job has ended, and how many Pods it should have.

use std::cmp::Reverse;
use std::time::Duration;

use super::account::Account;
use super::model::Job;
use super::pods::{ended_at, failures_before, free_indexes};
use super::success;
use crate::common::number::{count, length};
use crate::common::{condition, pod, time};
use jiff::Timestamp;
use k3s_client::Object;

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
    Complete {
        reason: &'static str,
        message: String,
    },
    Failed {
        reason: &'static str,
        message: String,
    },
}

const COMPLETIONS_REACHED: &str = "CompletionsReached";
const SUCCESS_POLICY: &str = "SuccessPolicy";
/// Reasons of a failure that an earlier pass may have announced.
const FAILURES: [&str; 5] = [
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
];

impl End {
    pub(super) fn completed() -> Self {
        Self::succeeded(
            COMPLETIONS_REACHED,
            "Reached expected number of succeeded pods",
        )
    }

    fn succeeded(reason: &'static str, message: &str) -> Self {
        Self::Complete {
            reason,
            message: message.to_owned(),
        }
    }

    fn failed(reason: &'static str, message: &str) -> Self {
        Self::Failed {
            reason,
            message: message.to_owned(),
        }
    }
}

/// Nothing while the Job goes on.
pub(super) fn end(job: &Job, account: &Account, now: Timestamp) -> Option<End> {
    announced(job)
        .or_else(|| failure(job, account, now))
        .or_else(|| failure_of_indexes(job, account))
        .or_else(|| success(job, account))
}

/// The outcome that an earlier pass put into the status.
fn announced(job: &Job) -> Option<End> {
    let holds = |kind| {
        let found = condition::find(job.value(), kind);
        found.filter(|found| condition::text(found, "status") == "True")
    };
    if let Some(met) = holds("SuccessCriteriaMet") {
        return Some(match condition::text(met, "reason") {
            SUCCESS_POLICY => End::succeeded(SUCCESS_POLICY, condition::text(met, "message")),
            _ => End::completed(),
        });
    }
    let target = holds("FailureTarget")?;
    let reason = condition::text(target, "reason");
    let known = FAILURES.into_iter().find(|known| *known == reason);
    let message = condition::text(target, "message");
    Some(End::failed(
        known.unwrap_or("BackoffLimitExceeded"),
        message,
    ))
}

fn failure(job: &Job, account: &Account, now: Timestamp) -> Option<End> {
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
    None
}

fn failure_of_indexes(job: &Job, account: &Account) -> Option<End> {
    let (succeeded, failed) = (&account.tally.completed, &account.tally.failed_indexes);
    if job.max_failed_indexes.is_some_and(|max| failed.len() > max) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(End::failed("MaxFailedIndexesExceeded", message));
    }
    let ended = failed.len() + succeeded.len();
    let is_ended = job.completions.is_some_and(|wanted| ended >= wanted);
    (failed.len() > 0 && is_ended).then(|| End::failed("FailedIndexes", "Job has failed indexes"))
}

fn success(job: &Job, account: &Account) -> Option<End> {
    if let Some(message) = success::met(job, &account.tally.completed) {
        return Some(End::succeeded(SUCCESS_POLICY, &message));
    }
    let succeeded = account.tally.all_succeeded();
    let is_complete = match job.completions {
        Some(wanted) => succeeded >= wanted,
        // A work queue is empty once one worker says so and the others have ended.
        None => succeeded > 0 && account.active.is_empty(),
    };
    is_complete.then(End::completed)
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
    /// Of a Job with indexes: those for which Pods are made.
    pub(super) indexes: Vec<i64>,
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
        count(account.terminating.len())
    } else {
        0
    };
    let missing = length(wanted - active - held);
    if missing == 0 {
        return sizing;
    }
    let missing = missing.min(BURST);
    if job.limit_per_index.is_some() {
        return due_indexes(job, account, missing, now);
    }
    match backoff(account, pods, now) {
        Some(left) => sizing.wait = Some(left),
        None if job.indexed => {
            sizing.indexes = free_indexes(job, account, missing);
            sizing.create = sizing.indexes.len();
        }
        None => sizing.create = missing,
    }
    sizing
}

/// Of the next indexes those whose own back-off is over. Where none is, the first is waited for.
fn due_indexes(job: &Job, account: &Account, wanted: usize, now: Timestamp) -> Sizing {
    let mut sizing = Sizing::default();
    let mut waits = Vec::new();
    for index in free_indexes(job, account, wanted) {
        let last = account.replaceable.get(&index);
        let wait = last.and_then(|last| {
            let doublings = u32::try_from(failures_before(last)).unwrap_or(u32::MAX);
            time::until(now, ended_at(last)?, BACKOFF.delay(doublings))
        });
        match wait {
            Some(wait) => waits.push(wait),
            None => sizing.indexes.push(index),
        }
    }
    sizing.create = sizing.indexes.len();
    sizing.wait = waits.into_iter().min();
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
        .filter_map(ended_at)
        .collect()
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
        assert_eq!(
            end(&done, &account(&done, &[]), now()),
            Some(End::completed())
        );
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

    fn indexed(more: Value, status: Value) -> Job {
        let mut spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
        let (spec_map, more) = (
            spec.as_object_mut().unwrap(),
            more.as_object().unwrap().clone(),
        );
        spec_map.extend(more);
        job(spec, status)
    }

    #[test]
    fn indexes_that_failed_end_the_job() {
        let limit = json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1});
        for (status, expected) in [
            (json!({"completedIndexes": "0", "failedIndexes": "1"}), None),
            (
                json!({"completedIndexes": "0,1", "failedIndexes": "2"}),
                Some("FailedIndexes"),
            ),
            (
                json!({"failedIndexes": "0,1"}),
                Some("MaxFailedIndexesExceeded"),
            ),
        ] {
            let job = indexed(limit.clone(), status);
            let reason = match end(&job, &account(&job, &[]), now()) {
                Some(End::Failed { reason, .. }) => Some(reason),
                other => {
                    assert_eq!(other, None);
                    None
                }
            };
            assert_eq!(reason, expected);
        }
    }

    #[test]
    fn an_announced_outcome_stays() {
        let condition = |kind: &str, reason: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": reason, "message": "m"}]});
        for reason in FAILURES {
            let job = job(json!({}), condition("FailureTarget", reason));
            let expected = End::failed(reason, "m");
            assert_eq!(end(&job, &account(&job, &[]), now()), Some(expected));
        }
        let met = job(json!({}), condition("SuccessCriteriaMet", "SuccessPolicy"));
        let expected = End::succeeded(SUCCESS_POLICY, "m");
        assert_eq!(end(&met, &account(&met, &[]), now()), Some(expected));
    }

    #[test]
    fn a_success_policy_ends_the_job_early() {
        let policy = json!({"successPolicy": {"rules": [{"succeededCount": 2}]}});
        let one = indexed(policy.clone(), json!({"completedIndexes": "0"}));
        assert_eq!(end(&one, &account(&one, &[]), now()), None);
        let two = indexed(policy, json!({"completedIndexes": "0,2"}));
        let expected = End::succeeded(SUCCESS_POLICY, "Matched rules at index 0");
        assert_eq!(end(&two, &account(&two, &[]), now()), Some(expected));
    }

    #[test]
    fn each_index_waits_for_its_own_backoff() {
        let failed = |index: &str, before: &str, finished: &str| {
            let mut pod = pod(index, "Failed", finished).value().clone();
            pod["metadata"]["annotations"] = json!({
                "batch.kubernetes.io/job-completion-index": index,
                "batch.kubernetes.io/job-index-failure-count": before});
            Obj::from_value(pod).unwrap()
        };
        let job = indexed(json!({"backoffLimitPerIndex": 9}), json!({}));
        // Ten seconds are over for the first; of the twenty of the second, fifteen are left.
        let pods = [
            failed("0", "0", "2026-01-01T00:00:45Z"),
            failed("1", "1", "2026-01-01T00:00:55Z"),
        ];
        let sizing = sized(&job, &pods);
        assert_eq!(sizing.indexes, [0, 2]);
        assert_eq!(sizing.wait, Some(Duration::from_secs(15)));
    }
}
