//! The status of a CronJob while a pass changes it.

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use k3s_client::Obj;
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::common::time;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status(Value);

impl Status {
    pub(super) fn of(cron: &Obj) -> Self {
        let status = tree::map(cron.value(), "status").clone();
        Self(Value::Object(status))
    }

    pub(super) fn into_value(self) -> Value {
        self.0
    }

    /// References to the Jobs that run.
    pub(super) fn active(&self) -> &[Value] {
        tree::list(&self.0, "active")
    }

    pub(super) fn is_active(&self, uid: &str) -> bool {
        self.active()
            .iter()
            .any(|job| tree::text(job, "uid") == uid)
    }

    pub(super) fn has_active_name(&self, name: &str) -> bool {
        self.active()
            .iter()
            .any(|job| tree::text(job, "name") == name)
    }

    /// Takes a Job from the active ones; says whether it was there.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        let was_active = self.is_active(uid);
        let mut active = self.active().to_vec();
        active.retain(|job| tree::text(job, "uid") != uid);
        tree::set(&mut self.0, "active", active);
        was_active
    }

    /// When the last Job was due.
    pub(super) fn last_run(&self) -> Option<Timestamp> {
        time::parse(tree::text(&self.0, "lastScheduleTime"))
    }

    pub(super) fn started(&mut self, job: &Obj, due: Timestamp) {
        let mut active = self.active().to_vec();
        active.push(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "namespace": job.namespace(),
            "name": job.name(),
            "uid": job.uid(),
            "resourceVersion": job.resource_version(),
        }));
        tree::set(&mut self.0, "active", active);
        tree::set(&mut self.0, "lastScheduleTime", rfc3339(due));
    }

    /// Notes the time of a Job that succeeded, if it is the latest.
    pub(super) fn succeeded(&mut self, job: &Value) {
        let completion = tree::text(job, "status.completionTime");
        let last = time::parse(tree::text(&self.0, "lastSuccessfulTime"));
        let completed = time::parse(completion);
        if completed > last {
            tree::set(&mut self.0, "lastSuccessfulTime", completion);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_active_from_its_start_until_it_is_removed() {
        let object = |value| Obj::from_value(value).unwrap();
        let cron = object(json!({"metadata": {"name": "c"}}));
        let job = object(json!({"metadata": {"name": "j", "namespace": "n", "uid": "u"}}));
        let mut status = Status::of(&cron);
        let due = "2026-01-01T00:05:00Z".parse().unwrap();
        status.started(&job, due);
        assert!(status.is_active("u") && status.has_active_name("j"));
        assert_eq!(status.last_run(), Some(due));
        assert!(status.remove("u"));
        assert!(!status.remove("u"));
    }

    #[test]
    fn the_latest_success_stays() {
        let cron = Obj::from_value(json!({"metadata": {"name": "c"}})).unwrap();
        let mut status = Status::of(&cron);
        for (completed, last) in [
            ("2026-01-01T00:05:00Z", "2026-01-01T00:05:00Z"),
            ("2026-01-01T00:04:00Z", "2026-01-01T00:05:00Z"),
            ("2026-01-01T00:06:00Z", "2026-01-01T00:06:00Z"),
        ] {
            status.succeeded(&json!({"status": {"completionTime": completed}}));
            assert_eq!(
                status.clone().into_value(),
                json!({"lastSuccessfulTime": last})
            );
        }
    }
}
