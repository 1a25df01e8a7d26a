//! Which finished Jobs of a CronJob are too many.

use k3s_client::Object;
use k3s_meta::tree;
use serde_json::Value;

use super::model;
use crate::common::number::length;

/// The oldest of the Jobs that ended in some way, beyond as many as the CronJob keeps of them.
pub(super) fn excess(cron: &Value, jobs: &[Object]) -> Vec<Object> {
    let mut excess = Vec::new();
    for (end, limit) in [
        ("Complete", "spec.successfulJobsHistoryLimit"),
        ("Failed", "spec.failedJobsHistoryLimit"),
    ] {
        let Some(limit) = tree::int(cron, limit) else {
            continue;
        };
        let ended = |job: &&Object| model::end(job.value()) == Some(end);
        let mut ended: Vec<Object> = jobs.iter().filter(ended).cloned().collect();
        ended.sort_by_cached_key(age);
        let kept = length(limit).min(ended.len());
        ended.truncate(ended.len() - kept);
        excess.extend(ended);
    }
    excess
}

/// Jobs without a start are the newest.
fn age(job: &Object) -> (bool, String, String) {
    let start = tree::text(job.value(), "status.startTime").to_owned();
    (start.is_empty(), start, job.name().to_owned())
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::*;

    fn job(name: &str, start: &str, end: &str) -> Object {
        let mut job = json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": end, "status": "True"}]},
        });
        if !start.is_empty() {
            tree::set(&mut job, "status.startTime", start);
        }
        Obj::from_value(job).unwrap()
    }

    #[test]
    fn the_oldest_jobs_of_each_end_are_too_many() {
        let jobs = [
            job("e", "", "Complete"),
            job("d", "2026-01-01T00:02:00Z", "Complete"),
            job("b", "2026-01-01T00:01:00Z", "Complete"),
            job("a", "2026-01-01T00:01:00Z", "Complete"),
            job("f", "2026-01-01T00:01:00Z", "Failed"),
            job("g", "2026-01-01T00:01:00Z", "Suspended"),
        ];
        let cases = [
            (json!({}), ""),
            (json!({"successfulJobsHistoryLimit": 2}), "ab"),
            (
                json!({"successfulJobsHistoryLimit": 9, "failedJobsHistoryLimit": 0}),
                "f",
            ),
            (
                json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 1}),
                "abde",
            ),
        ];
        for (spec, expected) in cases {
            let excess = excess(&json!({"spec": spec}), &jobs);
            let names: String = excess.iter().map(|job| job.name()).collect();
            assert_eq!(names, expected, "{spec}");
        }
    }
}
