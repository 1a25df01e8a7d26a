//! Pure: the status of a Job.

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::model::{Job, Tally};
use super::plan::End;
use crate::common::condition::{self, Condition};
use crate::common::number::count;
use crate::common::{pod, write};

/// The whole status. `ended` says that the decision `end` is final: no Pod is left to wait for.
pub(super) fn status(
    job: &Job,
    account: &Account,
    end: Option<&End>,
    ended: bool,
    now: Timestamp,
) -> Value {
    let stamp = rfc3339(now);
    let mut status = counts(job, account);
    let uncounted = uncounted(&account.tally);
    status.insert("uncountedTerminatedPods".into(), uncounted.into());
    let is_held = job.suspended && end.is_none();
    if !is_held {
        let started = job.started.unwrap_or(now);
        status.insert("startTime".into(), rfc3339(started).into());
    }
    let is_complete = matches!(end, Some(End::Complete { .. }));
    if ended && is_complete {
        status.insert("completionTime".into(), stamp.as_str().into());
    }
    let conditions = conditions(job, end, ended, &stamp);
    status.insert("conditions".into(), conditions.into());
    Value::Object(status)
}

fn counts(job: &Job, account: &Account) -> Map<String, Value> {
    let tally = &account.tally;
    let active = count(account.active.len());
    let ready = account
        .active
        .iter()
        .filter(|object| pod::of(object).is_ready())
        .count();
    let mut counts = Map::new();
    let numbers = [
        ("active", active),
        ("succeeded", tally.succeeded),
        ("failed", tally.failed),
    ];
    write::set_counts(&mut counts, &numbers);
    // These two are pointers upstream, so zero is written.
    counts.insert("ready".into(), count(ready).into());
    counts.insert(
        "terminating".into(),
        count(account.terminating.len()).into(),
    );
    let completed = tally.completed.text();
    if !completed.is_empty() {
        counts.insert("completedIndexes".into(), completed.into());
    }
    if job.limit_per_index.is_some() {
        let failed = tally.failed_indexes.text();
        counts.insert("failedIndexes".into(), failed.into());
    }
    counts
}

/// UIDs of Pods that have ended and still carry the finalizer.
fn uncounted(tally: &Tally) -> Map<String, Value> {
    let lists = [
        ("succeeded", &tally.uncounted_succeeded),
        ("failed", &tally.uncounted_failed),
    ];
    lists
        .into_iter()
        .filter(|(_, uids)| !uids.is_empty())
        .map(|(field, uids)| (field.to_owned(), json!(uids)))
        .collect()
}

fn conditions(job: &Job, end: Option<&End>, ended: bool, stamp: &str) -> Vec<Value> {
    let mut conditions = condition::of(job.value());
    for new in news(job, end, ended) {
        condition::set(&mut conditions, &new, stamp, Some("lastProbeTime"));
    }
    conditions
}

/// The conditions that follow from the decision. The final one is set only once no Pod is left; the
/// one before it announces the outcome (KEP-3998).
fn news(job: &Job, end: Option<&End>, ended: bool) -> Vec<Condition> {
    let (announced, last, reason, message) = match end {
        Some(End::Complete { reason, message }) => {
            ("SuccessCriteriaMet", "Complete", *reason, message.as_str())
        }
        Some(End::Failed { reason, message }) => {
            ("FailureTarget", "Failed", *reason, message.as_str())
        }
        None => return suspension(job).into_iter().collect(),
    };
    let kinds = [Some(announced), ended.then_some(last)];
    kinds
        .into_iter()
        .flatten()
        .map(|kind| Condition::new(kind, "True", reason, message))
        .collect()
}

fn suspension(job: &Job) -> Option<Condition> {
    if job.suspended {
        let message = "Job suspended";
        Some(Condition::new("Suspended", "True", "JobSuspended", message))
    } else if condition::is_true(job.value(), "Suspended") {
        let message = "Job resumed";
        Some(Condition::new("Suspended", "False", "JobResumed", message))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;
    use crate::job::account::account;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn of(spec: Value, end: Option<&End>, ended: bool) -> Value {
        let value = json!({"metadata": {"name": "j", "uid": "j"}, "spec": spec});
        let job = Job::read(&Obj::from_value(value).unwrap());
        let now = NOW.parse().unwrap();
        status(&job, &account(&job, &[]), end, ended, now)
    }

    fn kinds(status: &Value) -> Vec<&str> {
        let conditions = status["conditions"].as_array().unwrap().iter();
        conditions.map(|c| c["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_outcome_is_announced_and_becomes_final_when_no_pod_is_left() {
        let failed = End::Failed {
            reason: "BackoffLimitExceeded",
            message: "m".into(),
        };
        let complete = End::completed();
        for (end, ended, expected) in [
            (None, false, vec![]),
            (Some(&complete), false, vec!["SuccessCriteriaMet"]),
            (
                Some(&complete),
                true,
                vec!["SuccessCriteriaMet", "Complete"],
            ),
            (Some(&failed), false, vec!["FailureTarget"]),
            (Some(&failed), true, vec!["FailureTarget", "Failed"]),
        ] {
            let status = of(json!({}), end, ended);
            assert_eq!(kinds(&status), expected, "{end:?} {ended}");
            let is_complete = ended && end == Some(&complete);
            assert_eq!(status.get("completionTime").is_some(), is_complete);
        }
    }

    #[test]
    fn failed_indexes_are_told_where_indexes_have_a_limit() {
        let spec =
            json!({"completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1});
        assert_eq!(of(spec, None, false)["failedIndexes"], "");
        assert_eq!(of(json!({}), None, false).get("failedIndexes"), None);
    }

    #[test]
    fn a_suspended_job_has_not_started() {
        let suspended = of(json!({"suspend": true}), None, false);
        assert_eq!(kinds(&suspended), ["Suspended"]);
        assert_eq!(suspended.get("startTime"), None);
        let running = of(json!({}), None, false);
        assert_eq!(running["startTime"], NOW);
        assert_eq!(
            (&running["ready"], &running["terminating"]),
            (&json!(0), &json!(0))
        );
    }
}
