//! Validation of cron jobs.

use jiff::tz::TimeZone;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::schedule::{self, Schedule};
use crate::batch::job::validation as job;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;

/// A job's name is this name, a dash and ten digits, and must fit a label.
const MAX_NAME_BYTES: usize = 52;

pub(super) fn validate(cron: &Value) -> ErrorList {
    let mut errors = spec(cron, None);
    let name = tree::text(cron, "metadata.name");
    if name.len() > MAX_NAME_BYTES {
        let detail = format!("must be no more than {MAX_NAME_BYTES} characters");
        errors.push(field::invalid(&Path::new("metadata.name"), name, detail));
    }
    errors
}

/// What an older rule let in stays: a long name, an unknown zone, and a zone in the schedule.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    spec(new, Some(old))
}

fn spec(cron: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(cron, "spec").unwrap_or(&Value::Null);
    let old = old.map(|old| tree::get(old, "spec").unwrap_or(&Value::Null));
    schedule(&mut errors, spec, old, &path.child("schedule"));
    checks::not_negative(&mut errors, spec, "startingDeadlineSeconds", &path);
    let zone = tree::get(spec, "timeZone");
    if old.is_none_or(|old| tree::get(old, "timeZone") != zone) {
        self::zone(&mut errors, zone, &path.child("timeZone"));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    checks::required_one_of(&mut errors, spec, "concurrencyPolicy", &path, &policies);
    template(&mut errors, spec, &path.child("jobTemplate.spec"));
    for name in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        checks::not_negative(&mut errors, spec, name, &path);
    }
    errors
}

fn schedule(errors: &mut ErrorList, spec: &Value, old: Option<&Value>, path: &Path) {
    let text = tree::text(spec, "schedule");
    if text.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    if let Err(message) = Schedule::parse(text, TimeZone::UTC) {
        errors.push(field::invalid(path, text, message));
    }
    let had_zone = old.is_some_and(|old| tree::text(old, "schedule").contains("TZ"));
    let detail = match (had_zone, tree::get(spec, "timeZone")) {
        _ if !text.contains("TZ") => return,
        (true, Some(_)) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        (true, None) => return,
        (false, _) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    };
    errors.push(field::invalid(path, text, detail));
}

fn zone(errors: &mut ErrorList, zone: Option<&Value>, path: &Path) {
    let Some(zone) = zone.and_then(Value::as_str) else {
        return;
    };
    if zone.is_empty() {
        let detail = "timeZone must be nil or non-empty string";
        errors.push(field::invalid(path, zone, detail));
        return;
    }
    let unknown = format!("unknown time zone {zone}");
    if !zone.split('/').all(is_part_of_zone) {
        errors.push(field::invalid(path, zone, unknown));
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(field::invalid(path, zone, detail));
    }
    if zone != "Local" && schedule::zone(zone).is_none() {
        errors.push(field::invalid(path, zone, unknown));
    }
}

/// The form of a zone's name.
fn is_part_of_zone(part: &str) -> bool {
    let is_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    (1..=14).contains(&part.len())
        && !matches!(part, "." | "..")
        && !part.starts_with('-')
        && part.chars().all(is_char)
}

/// The selector of a job that is made is always the server's.
fn template(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let job = tree::get(spec, "jobTemplate.spec").unwrap_or(&Value::Null);
    job::spec(errors, job, path);
    if let Some(selector) = tree::get(job, "selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(field::invalid(&path.child("selector"), selector, detail));
    }
    if tree::flag(job, "manualSelector") {
        let at = path.child("manualSelector");
        errors.push(field::not_supported(&at, true, &["nil", "false"]));
    }
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.jobTemplate.spec.template")
}

pub(super) fn warnings(cron: &Value) -> Vec<String> {
    spec_warnings::named_template(cron, "spec.jobTemplate.spec.template")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::cronjob::defaults;

    fn cron(change: impl Fn(&mut Value)) -> Value {
        let mut cron = json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}});
        change(&mut cron);
        defaults::default(&mut cron);
        cron
    }

    #[test]
    fn mistakes_are_worded_as_upstream() {
        type Case = (fn(&mut Value), &'static str);
        let cases: [Case; 6] = [
            (
                |it| tree::set(it, "spec.timeZone", "Europe/Atlantis"),
                "spec.timeZone: Invalid value: \"Europe/Atlantis\": unknown time zone Europe/Atlantis",
            ),
            (
                |it| tree::set(it, "spec.timeZone", "Europe/Berlin-and-more"),
                "spec.timeZone: Invalid value: \"Europe/Berlin-and-more\": unknown time zone Europe/Berlin-and-more",
            ),
            (
                |it| tree::set(it, "spec.timeZone", "LOCAL"),
                "[spec.timeZone: Invalid value: \"LOCAL\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones, spec.timeZone: Invalid value: \"LOCAL\": unknown time zone LOCAL]",
            ),
            (
                |it| tree::set(it, "spec.jobTemplate.spec.selector", json!({})),
                "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
            ),
            (
                |it| {
                    tree::set(
                        it,
                        "spec.jobTemplate.metadata",
                        json!({"labels": {"-bad": "x"}}),
                    )
                },
                "[]",
            ),
            (
                |it| drop(tree::remove(it, "spec.jobTemplate")),
                "[spec.jobTemplate.spec.template.spec.containers: Required value, spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"]",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(validate(&cron(change)).to_string(), message);
        }
    }

    #[test]
    fn what_is_stored_is_tolerated() {
        let old = cron(|it| {
            tree::set(it, "metadata.name", "n".repeat(60));
            tree::set(it, "spec.timeZone", "no zone");
        });
        assert!(validate_update(&old, &old).is_empty());
        assert_eq!(validate(&old).len(), 2);
    }
}
