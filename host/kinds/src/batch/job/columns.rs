//! `kubectl get jobs`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Status", "Status of the job."),
    Column::text("Completions", "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. However, it may decrease in reaction to scale down of elastic indexed jobs."),
    Column::text("Duration", "Time required to complete the job."),
    Column::AGE,
    Column::CONTAINERS,
    Column::IMAGES,
    Column::text("Selector", "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (containers, images) = print::containers(tree::get(object, "spec.template.spec"));
    vec![
        print::name(object),
        status(object).into(),
        completions(object).into(),
        duration(object, now).into(),
        print::age(object, now),
        containers,
        images,
        print::selector(tree::get(object, "spec.selector")).into(),
    ]
}

fn status(job: &Value) -> &'static str {
    let holds = |kind: &str| {
        let found = tree::list(job, "status.conditions")
            .iter()
            .find(|condition| tree::text(condition, "type") == kind);
        found.is_some_and(|condition| tree::text(condition, "status") == "True")
    };
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if tree::has(job, "metadata.deletionTimestamp") {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let succeeded = tree::int(job, "status.succeeded").unwrap_or(0);
    match (
        tree::int(job, "spec.completions"),
        tree::int(job, "spec.parallelism").unwrap_or(0),
    ) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let start = tree::text(job, "status.startTime");
    if start.is_empty() {
        return String::new();
    }
    print::since(
        start,
        tree::text(job, "status.completionTime")
            .parse()
            .unwrap_or(now),
    )
}
