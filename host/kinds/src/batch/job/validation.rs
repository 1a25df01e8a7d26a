//! Validation of jobs.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::{failure_policy, success_policy};
use crate::apps::workload;
use crate::checks;
use crate::core::podspec::{validation, warnings as spec_warnings};
use crate::equality::semantic_eq;

/// Most pods at once of a job that counts its pods.
const MAX_INDEXED_PARALLELISM: i64 = 100_000;

pub(crate) fn validate(job: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(job, "spec").unwrap_or(&Value::Null);
    self::spec(&mut errors, spec, &path);
    match tree::get(spec, "selector") {
        None => errors.push(field::required(&path.child("selector"), "")),
        Some(selector) => {
            errors.append(checks::label_selector(selector, &path.child("selector")));
            workload::matches(&mut errors, spec, &path);
        }
    }
    if !tree::flag(spec, "manualSelector") {
        generated(&mut errors, job);
    }
    errors
}

/// Labels of a selector that the server made are those of this job.
fn generated(errors: &mut ErrorList, job: &Value) {
    let name = tree::text(job, "metadata.name");
    let uid = tree::text(job, "metadata.uid");
    let path = Path::new("spec.template.metadata.labels");
    let labels = tree::map(job, "spec.template.metadata.labels");
    for (key, expected) in [
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
        ("controller-uid", uid),
        ("job-name", name),
    ] {
        let found = labels.get(key).and_then(Value::as_str);
        match found {
            None => errors.push(field::required(
                &path.key(key),
                format!("must be '{expected}'"),
            )),
            Some(found) if found != expected => {
                errors.push(field::invalid(
                    &path,
                    tree::get(job, "spec.template.metadata.labels"),
                    format!("must be '{expected}'"),
                ));
            }
            Some(_) => {}
        }
    }
}

/// Validates a job spec, in a job or in a cron job's template.
pub(crate) fn spec(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        checks::not_negative(errors, spec, name, path);
    }
    completion_mode(errors, spec, path);
    max_failed_indexes(errors, spec, path);
    checks::one_of(
        errors,
        spec,
        "podReplacementPolicy",
        path,
        &["Failed", "TerminatingOrFailed"],
    );
    failure_policy::validate(errors, spec, path);
    success_policy::validate(errors, spec, path);
    errors.append(validation::template(
        tree::get(spec, "template"),
        &path.child("template"),
    ));
    let policy = tree::text(spec, "template.spec.restartPolicy");
    if !matches!(policy, "OnFailure" | "Never") {
        let at = path.child("template.spec.restartPolicy");
        errors.push(field::required(
            &at,
            "valid values: \"OnFailure\", \"Never\"",
        ));
    }
    if tree::get(spec, "podFailurePolicy").is_some() && policy != "Never" {
        let at = path.child("template.spec.restartPolicy");
        errors.push(field::invalid(
            &at,
            policy,
            "only \"Never\" is supported when podFailurePolicy is specified",
        ));
    }
}

fn completion_mode(errors: &mut ErrorList, spec: &Value, path: &Path) {
    checks::one_of(
        errors,
        spec,
        "completionMode",
        path,
        &["Indexed", "NonIndexed"],
    );
    if tree::text(spec, "completionMode") != "Indexed" {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if tree::get(spec, name).is_some() {
                let detail = "requires indexed completion mode";
                errors.push(field::invalid(
                    &path.child(name),
                    tree::get(spec, name),
                    detail,
                ));
            }
        }
        return;
    }
    if tree::get(spec, "completions").is_none() {
        errors.push(field::required(
            &path.child("completions"),
            "when completion mode is Indexed",
        ));
    }
    if let Some(parallelism) =
        tree::int(spec, "parallelism").filter(|number| *number > MAX_INDEXED_PARALLELISM)
    {
        let detail = format!(
            "must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        );
        errors.push(field::invalid(
            &path.child("parallelism"),
            parallelism,
            detail,
        ));
    }
}

fn max_failed_indexes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(max) = tree::int(spec, "maxFailedIndexes") else {
        return;
    };
    if tree::get(spec, "backoffLimitPerIndex").is_none() {
        errors.push(field::required(
            &path.child("backoffLimitPerIndex"),
            "when maxFailedIndexes is specified",
        ));
    }
    if tree::int(spec, "completions").is_some_and(|completions| max > completions) {
        let detail = "must be less than or equal to completions";
        errors.push(field::invalid(&path.child("maxFailedIndexes"), max, detail));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    completions(&mut errors, new, old);
    checks::immutable(&mut errors, new, old, "spec.selector");
    template(&mut errors, new, old);
    for name in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        checks::immutable(&mut errors, new, old, &format!("spec.{name}"));
    }
    errors
}

/// An indexed job whose completions follow its parallelism may change both together.
fn completions(errors: &mut ErrorList, new: &Value, old: &Value) {
    let [after, before] = [new, old].map(|job| tree::int(job, "spec.completions"));
    if after == before {
        return;
    }
    let elastic =
        tree::text(new, "spec.completionMode") == "Indexed" && after.is_some() && before.is_some();
    if !elastic {
        errors.push(field::immutable(
            &Path::new("spec.completions"),
            tree::get(new, "spec.completions"),
        ));
    } else if after != tree::int(new, "spec.parallelism") {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(field::invalid(
            &Path::new("spec.completions"),
            tree::get(new, "spec.completions"),
            detail,
        ));
    }
}

/// Where a suspended job that never ran will run may still change.
fn template(errors: &mut ErrorList, new: &Value, old: &Value) {
    let mut expected = tree::get(old, "spec.template").cloned().unwrap_or_default();
    let found = tree::get(new, "spec.template");
    let held = tree::flag(old, "spec.suspend") && !tree::has(old, "status.startTime");
    if let Some(found) = found.filter(|_| held) {
        for open in [
            "metadata.annotations",
            "metadata.labels",
            "spec.nodeSelector",
            "spec.affinity",
            "spec.tolerations",
            "spec.schedulingGates",
        ] {
            tree::copy(&mut expected, found, open);
        }
    }
    if !semantic_eq(found, Some(&expected)) {
        errors.push(field::immutable(&Path::new("spec.template"), found));
    }
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        checks::not_negative(&mut errors, status, name, &path);
    }
    let holds = |kind: &str| {
        let conditions = tree::list(status, "conditions").iter();
        conditions
            .filter(|it| tree::text(it, "type") == kind)
            .any(|it| tree::text(it, "status") == "True")
    };
    if holds("Complete") && holds("Failed") {
        let detail = "cannot set Complete=True and Failed=true conditions";
        errors.push(field::invalid(
            &path.child("conditions"),
            tree::get(status, "conditions"),
            detail,
        ));
    }
    if tree::has(status, "completionTime") && !holds("Complete") {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.push(field::invalid(
            &path.child("completionTime"),
            tree::get(status, "completionTime"),
            detail,
        ));
    }
    errors
}

pub(super) fn warnings(job: &Value) -> Vec<String> {
    spec_warnings::template(job, "spec.template")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use k3s_meta::UserInfo;

    use crate::batch::job::{defaults, strategy};
    use crate::context::Context;

    fn job() -> Value {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
        defaults::default(&mut job);
        let user = UserInfo::default();
        strategy::prepare_create(&mut job, &Context::at_epoch(&user));
        job
    }

    #[test]
    fn pods_of_a_job_end() {
        assert!(validate(&job()).is_empty(), "{}", validate(&job()));
        let mut always = job();
        tree::set(&mut always, "spec.template.spec.restartPolicy", "Always");
        assert_eq!(
            validate(&always).to_string(),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
        );
    }

    #[test]
    fn limits_of_indexes_belong_together() {
        let mut indexed = job();
        tree::set(&mut indexed, "spec.completionMode", "Indexed");
        tree::set(&mut indexed, "spec.completions", 3);
        tree::set(&mut indexed, "spec.maxFailedIndexes", 4);
        let rules =
            json!([{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}]);
        tree::set(
            &mut indexed,
            "spec.podFailurePolicy",
            json!({"rules": rules}),
        );
        let fields = |job: &Value| -> Vec<String> {
            let errors = validate(job);
            errors.iter().map(|error| error.field.clone()).collect()
        };
        assert_eq!(
            fields(&indexed),
            [
                "spec.backoffLimitPerIndex",
                "spec.maxFailedIndexes",
                "spec.podFailurePolicy.rules[0].action"
            ]
        );
        tree::set(&mut indexed, "spec.backoffLimitPerIndex", 1);
        tree::set(&mut indexed, "spec.maxFailedIndexes", 3);
        assert_eq!(fields(&indexed), Vec::<String>::new());
    }

    #[test]
    fn the_template_is_immutable() {
        let mut new = job();
        tree::set(
            &mut new,
            "spec.template.spec.terminationGracePeriodSeconds",
            1,
        );
        let errors = validate_update(&new, &job());
        assert!(
            errors.to_string().ends_with("field is immutable"),
            "{errors}"
        );
        assert_eq!(
            errors
                .iter()
                .map(|error| error.field.clone())
                .collect::<Vec<_>>(),
            ["spec.template"]
        );
    }
}
