//! Validation of cron jobs.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::schedule;
use crate::batch::job::validation as job;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;
use crate::object_meta;

/// A job's name is this name, a dash and ten digits, and must fit a label.
const MAX_NAME_BYTES: usize = 52;

pub(super) fn validate(cron: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(cron, "spec").unwrap_or(&Value::Null);
    schedule(&mut errors, spec, &path);
    for name in [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ] {
        checks::not_negative(&mut errors, spec, name, &path);
    }
    checks::required_one_of(
        &mut errors,
        spec,
        "concurrencyPolicy",
        &path,
        &["Allow", "Forbid", "Replace"],
    );
    template(&mut errors, spec, &path.child("jobTemplate"));
    let name = tree::text(cron, "metadata.name");
    if name.len() > MAX_NAME_BYTES {
        let detail = format!("must be no more than {MAX_NAME_BYTES} characters");
        errors.push(field::invalid(&Path::new("metadata.name"), name, detail));
    }
    errors
}

fn schedule(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let at = path.child("schedule");
    let text = tree::text(spec, "schedule");
    if text.is_empty() {
        errors.push(field::required(&at, ""));
    } else if text.contains("TZ") {
        let detail = if tree::get(spec, "timeZone").is_some() {
            "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        } else {
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        };
        errors.push(field::invalid(&at, text, detail));
    } else if let Err(message) = schedule::check(text) {
        errors.push(field::invalid(&at, text, message));
    }
    let at = path.child("timeZone");
    match tree::get(spec, "timeZone").and_then(Value::as_str) {
        Some("") => errors.push(field::invalid(
            &at,
            "",
            "timeZone must be nil or non-empty string",
        )),
        Some(zone) if zone.eq_ignore_ascii_case("local") => {
            errors.push(field::invalid(
                &at,
                zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            ));
        }
        Some(zone) if !is_zone_name(zone) => {
            errors.push(field::invalid(
                &at,
                zone,
                format!("unknown time zone {zone}"),
            ));
        }
        _ => {}
    }
}

/// The form of a zone name; which zones exist depends on the data of the machine that runs the controller.
fn is_zone_name(zone: &str) -> bool {
    !zone.starts_with('/')
        && !zone.contains("..")
        && zone
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+'))
}

fn template(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(template) = tree::get(spec, "jobTemplate") else {
        errors.push(field::required(path, ""));
        return;
    };
    let meta = template.get("metadata").unwrap_or(&Value::Null);
    errors.append(object_meta::validate_labels(
        meta,
        "labels",
        &path.child("labels"),
    ));
    errors.append(object_meta::validate_annotations(
        meta,
        &path.child("annotations"),
    ));
    let empty = Value::Object(serde_json::Map::new());
    let job = tree::get(template, "spec").unwrap_or(&empty);
    job::spec(errors, job, &path.child("spec"));
    if tree::flag(job, "manualSelector") {
        let at = path.child("spec.manualSelector");
        errors.push(field::not_supported(
            &at,
            tree::get(job, "manualSelector"),
            &["nil", "false"],
        ));
    }
}

pub(super) fn warnings(cron: &Value) -> Vec<String> {
    spec_warnings::template(cron, "spec.jobTemplate.spec.template")
}
