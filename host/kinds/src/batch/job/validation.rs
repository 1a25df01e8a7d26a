//! Validation of jobs (`pkg/apis/batch/validation`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::{failure_policy, success_policy};
use crate::apps::workload;
use crate::checks;
use crate::core::podspec::{validation, warnings as spec_warnings};
use crate::equality::semantic_eq;

/// Most indexes of a job that are at work or failed at once, and where a job counts as large.
const MAX_INDEXES: i64 = 100_000;
/// The same of a large job that limits its retries per index.
const MAX_OF_LARGE: i64 = 10_000;
const MAX_MANAGER_BYTES: usize = 63;

pub(crate) fn validate(job: &Value) -> ErrorList {
    create(job, true)
}

/// The errors of a new job. Jobs from before the labels had a domain need not have those.
fn create(job: &Value, has_domain: bool) -> ErrorList {
    let mut errors = generated(job, has_domain);
    errors.append(selected_spec(job));
    hostname(&mut errors, job);
    errors
}

/// A pod of an indexed job is called after the job and its index.
fn hostname(errors: &mut ErrorList, job: &Value) {
    let completions = tree::int(job, "spec.completions").filter(|completions| *completions > 0);
    let Some(last) = completions.map(|completions| completions.saturating_sub(1)) else {
        return;
    };
    let name = tree::text(job, "metadata.name");
    let hostname = format!("{name}-{last}");
    let is_indexed = tree::text(job, "spec.completionMode") == "Indexed";
    if is_indexed && names::is_dns1123_label(&hostname).is_err() {
        let detail = format!("will not able to create pod with invalid DNS label: {hostname}");
        errors.push(field::invalid(&Path::new("metadata.name"), name, detail));
    }
}

/// The spec of a job, which has a selector.
fn selected_spec(job: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(job, "spec").unwrap_or(&Value::Null);
    self::spec(&mut errors, spec, &path);
    let at = path.child("selector");
    match tree::get(spec, "selector") {
        None => errors.push(field::required(&at, "")),
        Some(selector) => errors.append(checks::label_selector(selector, &at)),
    }
    workload::matches(&mut errors, spec, &path);
    errors
}

/// Labels of a selector that the server made are those of this job.
fn generated(job: &Value, has_domain: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let selector = tree::get(job, "spec.selector");
    if tree::flag(job, "spec.manualSelector") || selector.is_none() {
        return errors;
    }
    let (name, uid) = (
        tree::text(job, "metadata.name"),
        tree::text(job, "metadata.uid"),
    );
    if uid.is_empty() {
        errors.push(field::required(&Path::new("metadata.uid"), ""));
    }
    let expected = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    let legacy = 2;
    let wanted = if has_domain { expected.len() } else { legacy };
    let expected = expected.get(..wanted).unwrap_or(&expected);
    let at = Path::new("spec.template.metadata.labels");
    let labels = tree::map(job, "spec.template.metadata.labels");
    for (key, expected) in expected {
        let (at, detail) = (at.key(key), format!("must be '{expected}'"));
        match labels.get(*key).and_then(Value::as_str) {
            None => errors.push(field::required(&at, detail)),
            Some(found) if found != *expected => {
                let shown = tree::get(job, "spec.template.metadata.labels");
                errors.push(field::invalid(&at, shown, detail));
            }
            Some(_) => {}
        }
    }
    let made = |key: &str| {
        expected
            .iter()
            .find(|(made, _)| *made == key)
            .map(|(_, value)| *value)
    };
    if checks::read_selector(selector).is_some_and(|selector| !selector.matches(made)) {
        let detail = "`selector` not auto-generated";
        errors.push(field::invalid(
            &Path::new("spec.selector"),
            selector,
            detail,
        ));
    }
    errors
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
    let is_set = |name: &str| tree::get(spec, name).is_some();
    if is_set("maxFailedIndexes") && !is_set("backoffLimitPerIndex") {
        let at = path.child("backoffLimitPerIndex");
        errors.push(field::required(&at, "when maxFailedIndexes is specified"));
    }
    managed_by(errors, spec, &path.child("managedBy"));
    completion_mode(errors, spec, path);
    failure_policy::validate(errors, spec, path);
    success_policy::validate(errors, spec, path);
    if is_set("podReplacementPolicy") {
        let supported = if is_set("podFailurePolicy") {
            &["Failed"][..]
        } else {
            &["Failed", "TerminatingOrFailed"][..]
        };
        checks::is_one_of(errors, spec, "podReplacementPolicy", path, supported);
    }
    errors.append(validation::template(
        tree::get(spec, "template"),
        &path.child("template"),
    ));
    restart_policy(errors, spec, &path.child("template.spec.restartPolicy"));
}

fn managed_by(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(manager) = tree::get(spec, "managedBy").and_then(Value::as_str) else {
        return;
    };
    checks::domain_prefixed_path(errors, manager, path);
    if manager.len() > MAX_MANAGER_BYTES {
        errors.push(field::too_long(path, MAX_MANAGER_BYTES));
    }
}

/// The pods of a job end.
fn restart_policy(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let has_failure_policy = tree::get(spec, "podFailurePolicy").is_some();
    let error = match tree::text(spec, "template.spec.restartPolicy") {
        "" | "Always" => field::required(path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if has_failure_policy => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            field::invalid(path, "OnFailure", detail)
        }
        "OnFailure" | "Never" => return,
        other => field::not_supported(path, other, &["OnFailure", "Never"]),
    };
    errors.push(error);
}

fn completion_mode(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let modes = ["NonIndexed", "Indexed"];
    if tree::get(spec, "completionMode").is_some() {
        checks::is_one_of(errors, spec, "completionMode", path, &modes);
    }
    match tree::get(spec, "completionMode").and_then(Value::as_str) {
        Some("Indexed") => indexed(errors, spec, path),
        None | Some("NonIndexed") => {
            for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                if let Some(found) = tree::get(spec, name) {
                    let detail = "requires indexed completion mode";
                    errors.push(field::invalid(&path.child(name), found, detail));
                }
            }
        }
        Some(_) => {}
    }
}

/// Limits that keep the lists of indexes in the status short.
fn indexed(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let completions = tree::int(spec, "completions");
    if completions.is_none() {
        let detail = "when completion mode is Indexed";
        errors.push(field::required(&path.child("completions"), detail));
    }
    let at_most = format!("must be less than or equal to {MAX_INDEXES}");
    let of_mode = format!("{at_most} when completion mode is Indexed");
    limit(errors, spec, "parallelism", MAX_INDEXES, &of_mode, path);
    if let Some(completions) = completions {
        let detail = "must be less than or equal to completions";
        limit(errors, spec, "maxFailedIndexes", completions, detail, path);
    }
    limit(
        errors,
        spec,
        "maxFailedIndexes",
        MAX_INDEXES,
        &at_most,
        path,
    );
    let is_large = completions.is_some_and(|completions| completions > MAX_INDEXES);
    if !is_large || tree::get(spec, "backoffLimitPerIndex").is_none() {
        return;
    }
    if tree::get(spec, "maxFailedIndexes").is_none() {
        let detail = format!("must be specified when completions is above {MAX_INDEXES}");
        errors.push(field::required(&path.child("maxFailedIndexes"), detail));
    }
    let of_large = format!(
        "must be less than or equal to {MAX_OF_LARGE} when completions are above {MAX_INDEXES} and used with backoff limit per index"
    );
    for name in ["parallelism", "maxFailedIndexes"] {
        limit(errors, spec, name, MAX_OF_LARGE, &of_large, path);
    }
}

fn limit(errors: &mut ErrorList, spec: &Value, name: &str, most: i64, detail: &str, path: &Path) {
    if let Some(number) = tree::int(spec, name).filter(|number| *number > most) {
        errors.push(field::invalid(&path.child(name), number, detail));
    }
}

/// Upstream looks at the new job twice, as one that is made and as one that is changed.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let labels = tree::map(old, "spec.template.metadata.labels");
    let has_domain = ["job-name", "controller-uid"]
        .iter()
        .all(|name| labels.contains_key(&format!("batch.kubernetes.io/{name}")));
    let mut errors = create(new, has_domain);
    errors.append(selected_spec(new));
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
    if tree::text(new, "spec.completionMode") != "Indexed" {
        checks::immutable(errors, new, old, "spec.completions");
        return;
    }
    let [after, before] = [new, old].map(|job| tree::int(job, "spec.completions"));
    let Some(after) = after.filter(|after| Some(*after) != before) else {
        return;
    };
    if tree::int(new, "spec.parallelism") != Some(after) {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(field::invalid(
            &Path::new("spec.completions"),
            after,
            detail,
        ));
    }
}

/// Where a suspended job without pods will run, and with what, may still change.
fn template(errors: &mut ErrorList, new: &Value, old: &Value) {
    let mut expected = tree::get(old, "spec.template").cloned().unwrap_or_default();
    let empty = Value::Null;
    let found = tree::get(new, "spec.template").unwrap_or(&empty);
    let path = Path::new("spec.template");
    if !is_held(old) {
        if !semantic_eq(Some(found), Some(&expected)) {
            errors.push(field::immutable(&path, found));
        }
        return;
    }
    for open in [
        "spec.nodeSelector",
        "spec.affinity.nodeAffinity",
        "spec.tolerations",
        "spec.schedulingGates",
    ] {
        tree::copy(&mut expected, found, open);
    }
    for list in ["spec.containers", "spec.initContainers"] {
        copy_resources(&mut expected, found, list);
    }
    let [after, before] = [found, &expected].map(|template| tree::get(template, "spec"));
    if !semantic_eq(after, before) {
        errors.push(field::immutable(&path.child("spec"), after));
    }
}

fn is_held(job: &Value) -> bool {
    let is_suspended = tree::list(job, "status.conditions")
        .iter()
        .any(|it| tree::text(it, "type") == "Suspended" && tree::text(it, "status") == "True");
    tree::flag(job, "spec.suspend")
        && (is_suspended || tree::get(job, "status.startTime").is_none())
        && tree::int(job, "status.active").unwrap_or(0) == 0
}

fn copy_resources(expected: &mut Value, found: &Value, list: &str) {
    let found = tree::list(found, list);
    if tree::list(expected, list).len() != found.len() {
        return;
    }
    for (container, found) in tree::each_mut(expected, list).zip(found) {
        if tree::text(container, "name") == tree::text(found, "name") {
            tree::copy(container, found, "resources");
        }
    }
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.template")
}

pub(super) fn warnings(job: &Value) -> Vec<String> {
    spec_warnings::named_template(job, "spec.template")
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
        tree::set(&mut indexed, "spec.podReplacementPolicy", "Failed");
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

    #[test]
    fn mistakes_are_worded_as_upstream() {
        type Case = (fn(&mut Value), &'static str);
        let labels = "spec.template.metadata.labels";
        let cases: [Case; 7] = [
            (
                |it| tree::set(it, "spec.template.spec.restartPolicy", "Sometimes"),
                "[spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\", spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"OnFailure\", \"Never\"]",
            ),
            (
                |it| tree::set(it, "spec.managedBy", "a"),
                "spec.managedBy: Invalid value: \"a\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ),
            (
                |it| tree::set(it, "spec.managedBy", "example.com/a b"),
                "spec.managedBy: Invalid value: \"a b\": Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
            ),
            (
                |it| tree::set(it, "spec.completionMode", "x"),
                "spec.completionMode: Unsupported value: \"x\": supported values: \"NonIndexed\", \"Indexed\"",
            ),
            (
                |it| {
                    tree::set(it, "spec.completionMode", "Indexed");
                    tree::set(it, "spec.completions", 200_000);
                    tree::set(it, "spec.parallelism", 20_000);
                    tree::set(it, "spec.backoffLimitPerIndex", 1);
                },
                "[spec.maxFailedIndexes: Required value: must be specified when completions is above 100000, spec.parallelism: Invalid value: 20000: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index]",
            ),
            (
                |it| tree::set(it, "metadata.uid", ""),
                "metadata.uid: Required value",
            ),
            (
                |it| tree::set(it, "spec.selector", json!({"matchLabels": {"a": "b"}})),
                "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` not auto-generated",
            ),
        ];
        for (change, message) in cases {
            let mut job = job();
            change(&mut job);
            let text = validate(&job).to_string();
            let shown = text.trim_start_matches('[');
            assert!(shown.starts_with(message.trim_start_matches('[')), "{text}");
        }
        let mut job = job();
        tree::set(&mut job, "spec.completionMode", "Indexed");
        tree::set(&mut job, "metadata.name", "j.k");
        for name in ["job-name", "batch.kubernetes.io/job-name"] {
            tree::ensure(&mut job, labels)
                .unwrap()
                .insert(name.into(), json!("j.k"));
        }
        assert_eq!(
            validate(&job).to_string(),
            "metadata.name: Invalid value: \"j.k\": will not able to create pod with invalid DNS label: j.k-0"
        );
    }

    #[test]
    fn where_a_held_job_will_run_may_change() {
        let mut old = job();
        tree::set(&mut old, "spec.suspend", true);
        let mut new = old.clone();
        tree::set(
            &mut new,
            "spec.template.spec.nodeSelector",
            json!({"a": "b"}),
        );
        let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}});
        tree::set(
            &mut new,
            "spec.template.spec.containers",
            json!([container]),
        );
        defaults::default(&mut new);
        assert!(validate_update(&new, &old).is_empty());
        tree::set(&mut new, "spec.template.spec.hostname", "h");
        let fields = |errors: ErrorList| -> Vec<String> {
            errors.iter().map(|error| error.field.clone()).collect()
        };
        assert_eq!(fields(validate_update(&new, &old)), ["spec.template.spec"]);
        tree::set(
            &mut old,
            "status",
            json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}),
        );
        assert_eq!(fields(validate_update(&new, &old)), ["spec.template"]);
    }
}
