//! Pure: the status of a budget.

use std::time::Duration;

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use k3s_client::Object;
use k3s_meta::tree;
use serde_json::{Map, Value, json};

use crate::common::condition::{self, Condition};
use crate::common::number::{count, scaled};
use crate::common::{pod, time};

/// An eviction that was granted and has not happened after this no longer counts.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(120);

/// A pod without a controller whose size is known. The text is that of upstream's condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found no controllers for pod \"{0}\"")]
pub(super) struct NoController(pub(super) String);

/// The status, and when it will change without any event.
pub(super) fn status(
    budget: &Value,
    pods: &[Object],
    expected: &Result<i64, NoController>,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let (granted, wait) = granted(budget, pods, now);
    let is_healthy = |object: &&Object| {
        let is_going = object.is_deleting() || granted.contains_key(object.name());
        !is_going && pod::of(object).is_ready()
    };
    let healthy = count(pods.iter().filter(is_healthy).count());
    let sizes = sizes(budget, pods, expected);
    let (expected, desired) = match &sizes {
        Ok(sizes) => *sizes,
        Err(_) => (0, 0),
    };
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let new = verdict(sizes.err(), allowed);
    let mut conditions = condition::of(budget);
    condition::set(&mut conditions, &new, &rfc3339(now), None);
    if let Some(entry) = conditions.last_mut() {
        tree::set_missing(entry, "message", "");
    }
    let mut status = json!({
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": conditions,
        "observedGeneration": tree::get(budget, "metadata.generation").cloned(),
    });
    if !granted.is_empty() {
        tree::set(&mut status, "disruptedPods", granted);
    }
    (status, wait)
}

fn verdict(failure: Option<NoController>, allowed: i64) -> Condition {
    let (status, reason) = match &failure {
        Some(_) => ("False", "SyncFailed"),
        None if allowed > 0 => ("True", "SufficientPods"),
        None => ("False", "InsufficientPods"),
    };
    let message = match failure {
        Some(why) => why.to_string(),
        None => String::new(),
    };
    Condition::new("DisruptionAllowed", status, reason, message)
}

/// Granted evictions that are still to come.
fn granted(
    budget: &Value,
    pods: &[Object],
    now: Timestamp,
) -> (Map<String, Value>, Option<Duration>) {
    let mut granted = tree::map(budget, "status.disruptedPods").clone();
    let mut wait = None;
    granted.retain(|name, at| {
        let is_there = pods
            .iter()
            .any(|object| object.name() == name && !object.is_deleting());
        if !is_there {
            return false;
        }
        let since = at.as_str().and_then(time::parse);
        let left = since.and_then(|since| time::until(now, since, EVICTION_TIMEOUT));
        let Some(left) = left else {
            return false;
        };
        wait = Some(time::sooner(wait, left));
        true
    });
    (granted, wait)
}

/// Expected Pods, and how many of them have to be healthy. A plain `minAvailable` counts the Pods
/// there are; everything else needs their controllers' sizes.
fn sizes(
    budget: &Value,
    pods: &[Object],
    expected: &Result<i64, NoController>,
) -> Result<(i64, i64), NoController> {
    let there = count(pods.len());
    if let Some(unavailable) = tree::get(budget, "spec.maxUnavailable") {
        let expected = expected.clone()?;
        let unavailable = scaled(Some(unavailable), expected, true).unwrap_or(0);
        let desired = (expected - unavailable).max(0);
        return Ok((expected, desired));
    }
    match tree::get(budget, "spec.minAvailable") {
        None => Ok((there, 1)),
        Some(Value::Number(number)) => {
            let desired = number.as_i64().unwrap_or(0);
            Ok((there, desired))
        }
        Some(percent) => {
            let expected = expected.clone()?;
            let desired = scaled(Some(percent), expected, true).unwrap_or(0);
            Ok((expected, desired))
        }
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    fn pods(ready: usize, all: usize) -> Vec<Object> {
        let pod = |n: usize| {
            let status = if n < ready { "True" } else { "False" };
            Obj::from_value(json!({"metadata": {"name": format!("p{n}")}, "status": {"conditions": [{"type": "Ready", "status": status}]}})).unwrap()
        };
        (0..all).map(pod).collect()
    }

    fn allowed(spec: Value, ready: usize, all: usize, expected: Result<i64, NoController>) -> i64 {
        let budget = json!({"spec": spec});
        status(&budget, &pods(ready, all), &expected, Timestamp::UNIX_EPOCH).0["disruptionsAllowed"]
            .as_i64()
            .unwrap()
    }

    #[test]
    fn what_may_be_disrupted() {
        assert_eq!(
            allowed(
                json!({"minAvailable": 2}),
                3,
                3,
                Err(NoController("p0".into()))
            ),
            1
        );
        assert_eq!(allowed(json!({"minAvailable": 2}), 2, 3, Ok(3)), 0);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 3, 3, Ok(3)), 1);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 2, 3, Ok(3)), 0);
        assert_eq!(allowed(json!({"minAvailable": "50%"}), 3, 3, Ok(4)), 1);
        assert_eq!(
            allowed(
                json!({"maxUnavailable": 1}),
                3,
                3,
                Err(NoController("p0".into()))
            ),
            0
        );
    }

    #[test]
    fn a_granted_eviction_counts_until_it_happens_or_is_too_old() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let budget = |at: &str| json!({"spec": {"minAvailable": 1}, "status": {"disruptedPods": {"p0": at, "gone": at}}});
        let (fresh, wait) = status(&budget("2026-01-01T00:00:00Z"), &pods(2, 2), &Ok(2), now);
        assert_eq!(
            (fresh["currentHealthy"].as_i64(), wait),
            (Some(1), Some(Duration::from_secs(60)))
        );
        assert!(fresh["disruptedPods"].get("gone").is_none());
        let (old, _) = status(&budget("2025-12-31T00:00:00Z"), &pods(2, 2), &Ok(2), now);
        assert_eq!(old["currentHealthy"], 2);
    }
}
