//! The CronJob controller against the in-memory API server.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod support;

use std::time::Duration;

use k3s_base::Clock;
use k3s_client::fake::FakeApi;
use k3s_client::resources::{CRON_JOBS, EVENTS, JOBS};
use serde_json::{Value, json};
use support::{Cluster, cluster_at};

/// Runs are due at each fifth minute; the clock starts half a minute after one.
async fn cluster_with(spec: Value) -> (Cluster, Clock) {
    let clock = Clock::manual("2026-01-01T00:05:30Z".parse().unwrap());
    let cluster = cluster_at(clock.clone()).await;
    let mut cron = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "schedule": "*/5 * * * *",
            "timeZone": "UTC",
            "jobTemplate": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}}},
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        cron["spec"][field] = value.clone();
    }
    cluster.api.seed(&CRON_JOBS, cron);
    (cluster, clock)
}

/// The Jobs of the runs at 00:05 and 00:10.
const FIRST: &str = "c-29453765";
const SECOND: &str = "c-29453770";

fn status(api: &FakeApi) -> Value {
    api.get(&CRON_JOBS, "n", "c").unwrap()["status"].clone()
}

fn active(api: &FakeApi) -> Vec<String> {
    let status = status(api);
    let active = status["active"].as_array().cloned().unwrap_or_default();
    let name = |job: &Value| job["name"].as_str().unwrap().to_owned();
    active.iter().map(name).collect()
}

/// The next run's time comes, and a change wakes the controller, whose waits do not follow this clock.
fn let_next_run_come(cluster: &Cluster, clock: &Clock) {
    clock.advance(Duration::from_secs(300));
    cluster.api.change(&CRON_JOBS, "n", "c", |cron| {
        cron["metadata"]["annotations"] = json!({"touched": "true"});
    });
}

fn end(cluster: &Cluster, job: &str, end: &str) {
    cluster.api.change(&JOBS, "n", job, |job| {
        job["status"] = json!({
            "completionTime": "2026-01-01T00:06:00Z",
            "conditions": [{"type": end, "status": "True"}],
        });
    });
}

#[tokio::test]
async fn a_run_that_is_due_makes_a_job_and_its_end_is_noted() {
    let (cluster, _) = cluster_with(json!({})).await;
    cluster
        .until("the job is active", |api| active(api) == [FIRST])
        .await;
    assert_eq!(
        status(&cluster.api)["lastScheduleTime"],
        "2026-01-01T00:05:00Z"
    );
    let job = cluster.api.get(&JOBS, "n", FIRST).unwrap();
    assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "c");
    assert_eq!(
        job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2026-01-01T00:05:00Z"
    );
    end(&cluster, FIRST, "Complete");
    cluster
        .until("its end is noted", |api| {
            active(api).is_empty() && status(api)["lastSuccessfulTime"] == "2026-01-01T00:06:00Z"
        })
        .await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert_eq!(cluster.api.all(&JOBS).len(), 1);
}

#[tokio::test]
async fn the_policy_says_what_happens_to_a_job_that_still_runs() {
    for (policy, expected) in [
        ("Allow", vec![FIRST, SECOND]),
        ("Forbid", vec![FIRST]),
        ("Replace", vec![SECOND]),
    ] {
        let (cluster, clock) = cluster_with(json!({"concurrencyPolicy": policy})).await;
        cluster
            .until("the first job is active", |api| active(api) == [FIRST])
            .await;
        let_next_run_come(&cluster, &clock);
        if policy == "Forbid" {
            // The controller has said that it leaves the run out.
            cluster
                .until("the run is left out", |api| {
                    let events = api.all(&EVENTS);
                    events.iter().any(|it| it["reason"] == "JobAlreadyActive")
                })
                .await;
        }
        cluster.until(policy, |api| active(api) == expected).await;
    }
}

#[tokio::test]
async fn a_suspended_cron_job_makes_no_job_until_it_is_resumed() {
    let (cluster, _) = cluster_with(json!({"suspend": true})).await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert!(cluster.api.all(&JOBS).is_empty());
    cluster.api.change(&CRON_JOBS, "n", "c", |cron| {
        cron["spec"]["suspend"] = false.into();
    });
    cluster
        .until("the job is active", |api| active(api) == [FIRST])
        .await;
}

#[tokio::test]
async fn finished_jobs_beyond_the_limit_and_deleted_ones_leave_the_status() {
    let (cluster, clock) = cluster_with(json!({"failedJobsHistoryLimit": 0})).await;
    cluster
        .until("the first job is active", |api| active(api) == [FIRST])
        .await;
    end(&cluster, FIRST, "Failed");
    cluster
        .until("the failed job is deleted", |api| {
            api.all(&JOBS).is_empty() && active(api).is_empty()
        })
        .await;
    let_next_run_come(&cluster, &clock);
    cluster
        .until("the second job is active", |api| active(api) == [SECOND])
        .await;
    cluster.api.remove(&JOBS, "n", SECOND);
    cluster
        .until("the missing job is not active", |api| {
            active(api).is_empty()
        })
        .await;
}

#[tokio::test]
async fn another_schedule_starts_with_its_next_run() {
    let (cluster, clock) = cluster_with(json!({"schedule": "0 12 * * *"})).await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    cluster.api.change(&CRON_JOBS, "n", "c", |cron| {
        cron["spec"]["schedule"] = "*/5 * * * *".into();
    });
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert!(cluster.api.all(&JOBS).is_empty());
    let_next_run_come(&cluster, &clock);
    cluster
        .until("the next run's job is active", |api| {
            active(api) == [SECOND]
        })
        .await;
}
