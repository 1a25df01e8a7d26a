//! Defaults of jobs.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::core::podspec::defaults;

pub(crate) fn default(job: &mut Value) {
    tree::set_missing(job, "status", json!({}));
    tree::ensure(job, "spec.template.spec");
    let labels = tree::map(job, "spec.template.metadata.labels").clone();
    if !labels.is_empty() && !tree::has(job, "metadata.labels") {
        tree::set(job, "metadata.labels", labels);
    }
    let Some(spec) = tree::get_mut(job, "spec") else {
        return;
    };
    template(spec);
    if tree::get(spec, "completions").is_none() && tree::get(spec, "parallelism").is_none() {
        tree::set(spec, "completions", 1);
    }
    tree::set_missing(spec, "parallelism", 1);
    // With a limit per index the limit of the whole job only guards against overflow.
    let limit = if tree::get(spec, "backoffLimitPerIndex").is_some() {
        i64::from(i32::MAX)
    } else {
        6
    };
    tree::set_missing(spec, "backoffLimit", limit);
    tree::set_missing(spec, "completionMode", "NonIndexed");
    tree::set_missing(spec, "suspend", false);
    tree::set_missing(spec, "manualSelector", false);
    let policy = if tree::get(spec, "podFailurePolicy").is_some() {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    tree::set_missing(spec, "podReplacementPolicy", policy);
}

/// Defaults that a job spec has also inside a cron job.
pub(crate) fn template(spec: &mut Value) {
    defaults::template(spec, "template");
    for rule in tree::each_mut(spec, "podFailurePolicy.rules") {
        for pattern in tree::each_mut(rule, "onPodConditions") {
            tree::set_zero(pattern, "status", "True");
        }
    }
}
