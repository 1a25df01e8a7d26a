//! Defaults of cron jobs.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::batch::job::defaults as job_defaults;

pub(super) fn default(cron: &mut Value) {
    tree::set_missing(cron, "status", json!({}));
    tree::ensure(cron, "spec.jobTemplate.spec.template.spec");
    let Some(spec) = tree::get_mut(cron, "spec") else {
        return;
    };
    tree::set_zero(spec, "concurrencyPolicy", "Allow");
    tree::set_missing(spec, "suspend", false);
    tree::set_missing(spec, "successfulJobsHistoryLimit", 3);
    tree::set_missing(spec, "failedJobsHistoryLimit", 1);
    if let Some(template) = tree::get_mut(spec, "jobTemplate") {
        tree::set_missing(template, "metadata", json!({}));
        if let Some(job) = tree::get_mut(template, "spec") {
            job_defaults::template(job);
        }
    }
}
