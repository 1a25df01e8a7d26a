//! A CronJob and its Jobs as the decisions see them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k3s_base::clock::rfc3339;
use k3s_base::error::Sentence;
use k3s_client::Obj;
use k3s_client::resources::CRON_JOBS;
use k3s_kinds::schedule::{Schedule, zone};
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::common::condition;
use crate::common::template::controller_reference;

/// On a Job: when it was due, in the zone of its CronJob.
const DUE: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Why a CronJob has no runs. Validation lets no such CronJob pass.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSchedule {
    /// The tz database has no such zone.
    #[error("invalid timeZone: {0:?}: unknown time zone {0}")]
    Zone(String),
    /// The schedule is not in the cron format.
    #[error("unparseable schedule: {schedule:?} : {why}")]
    Text {
        /// The schedule.
        schedule: String,
        /// What is wrong with it.
        why: Sentence,
    },
}

impl NoSchedule {
    /// The reason of the event.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Zone(_) => "UnknownTimeZone",
            Self::Text { .. } => "UnparseableSchedule",
        }
    }
}

/// The schedule of a CronJob; `local` is the zone where it names none.
pub(super) fn schedule(cron: &Value, local: &TimeZone) -> Result<Schedule, NoSchedule> {
    let zone = match tree::text(cron, "spec.timeZone") {
        "" => local.clone(),
        name => zone(name).ok_or_else(|| NoSchedule::Zone(name.to_owned()))?,
    };
    let text = tree::text(cron, "spec.schedule");
    Schedule::parse(text, zone).map_err(|why| NoSchedule::Text {
        schedule: text.to_owned(),
        why,
    })
}

/// How a Job ended (`Complete` or `Failed`); nothing while it runs.
pub(super) fn end(job: &Value) -> Option<&'static str> {
    let ended = |entry: &Value| {
        if condition::text(entry, "status") != "True" {
            return None;
        }
        match condition::text(entry, "type") {
            "Complete" => Some("Complete"),
            "Failed" => Some("Failed"),
            _ => None,
        }
    };
    tree::list(job, "status.conditions").iter().find_map(ended)
}

/// The name of the Job of a run. It is the same for each try to make it.
pub(super) fn job_name(cron: &Obj, due: Timestamp) -> String {
    let minute = due.as_second().div_euclid(60);
    format!("{}-{minute}", cron.name())
}

/// The Job of a run.
pub(super) fn job(cron: &Obj, due: Timestamp) -> Value {
    let template = |path| tree::map(cron.value(), path).clone();
    let mut annotations = template("spec.jobTemplate.metadata.annotations");
    let zone = zone(tree::text(cron.value(), "spec.timeZone")).unwrap_or(TimeZone::UTC);
    annotations.insert(DUE.to_owned(), local_time(due, zone).into());
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cron, due),
            "namespace": cron.namespace(),
            "labels": template("spec.jobTemplate.metadata.labels"),
            "annotations": annotations,
            "ownerReferences": [controller_reference(cron, &CRON_JOBS)],
        },
        "spec": template("spec.jobTemplate.spec"),
    })
}

/// RFC 3339 with the zone's offset.
fn local_time(time: Timestamp, zone: TimeZone) -> String {
    let local = time.to_zoned(zone);
    if local.offset().seconds() == 0 {
        return rfc3339(time);
    }
    local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(spec: Value) -> k3s_client::Object {
        Obj::from_value(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "c", "namespace": "n", "uid": "u"},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_made_from_the_template_and_named_after_its_minute() {
        let cron = cron(json!({
            "timeZone": "Asia/Kolkata",
            "jobTemplate": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                "spec": {"suspend": false},
            },
        }));
        let job = job(&cron, "2026-01-01T00:05:00Z".parse().unwrap());
        assert_eq!(job["metadata"]["name"], "c-29453765");
        assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(
            job["metadata"]["annotations"],
            json!({"c": "d", DUE: "2026-01-01T05:35:00+05:30"})
        );
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(job["spec"], json!({"suspend": false}));
    }

    #[test]
    fn what_an_older_rule_let_in_has_no_runs() {
        let reason = |spec| {
            let object = cron(spec);
            schedule(object.value(), &TimeZone::UTC)
                .err()
                .map(|why| why.reason())
        };
        let good = json!({"schedule": "@hourly", "timeZone": "Europe/Berlin"});
        assert_eq!(reason(good), None);
        let strange = json!({"schedule": "@hourly", "timeZone": "Europe/Atlantis"});
        assert_eq!(reason(strange), Some("UnknownTimeZone"));
        assert_eq!(
            reason(json!({"schedule": "x"})),
            Some("UnparseableSchedule")
        );
    }
}
