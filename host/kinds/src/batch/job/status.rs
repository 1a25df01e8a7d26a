//! Validation of the status of jobs. Whoever manages a job, its status moves as clients expect it to
//! (`getStatusValidationOptions`): most rules are about what an update changes.

use std::collections::HashSet;

use jiff::Timestamp;
use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::indexes;
use crate::checks;
use crate::equality::semantic_eq;

/// The two states of a job.
struct Step<'a> {
    new: &'a Value,
    old: &'a Value,
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let step = Step { new, old };
    let path = Path::new("status");
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        checks::not_negative(&mut errors, status, name, &path);
    }
    uncounted(&mut errors, status, &path.child("uncountedTerminatedPods"));
    step.completion(&mut errors);
    step.announced(&mut errors);
    step.finished(&mut errors);
    step.indexes(&mut errors);
    step.pods(&mut errors);
    step.success(&mut errors);
    step.transition(&mut errors);
    errors
}

fn uncounted(errors: &mut ErrorList, status: &Value, path: &Path) {
    let mut seen = HashSet::new();
    for list in ["succeeded", "failed"] {
        let uids = tree::list(status, &format!("uncountedTerminatedPods.{list}"));
        for (index, uid) in uids.iter().enumerate() {
            let at = path.child(list).index(index);
            let uid = uid.as_str().unwrap_or_default();
            if uid.is_empty() {
                errors.push(field::invalid(&at, uid, "must not be empty"));
            } else if !seen.insert(uid) {
                errors.push(field::duplicate(&at, uid));
            }
        }
    }
}

/// Whether a condition is true.
fn holds(job: &Value, kind: &str) -> bool {
    let mut conditions = tree::list(job, "status.conditions").iter();
    conditions.any(|it| tree::text(it, "type") == kind && tree::text(it, "status") == "True")
}

fn is_finished(job: &Value) -> bool {
    holds(job, "Complete") || holds(job, "Failed")
}

fn count(job: &Value, name: &str) -> i64 {
    tree::int(job, &format!("status.{name}")).unwrap_or(0)
}

fn time(job: &Value, name: &str) -> Option<Timestamp> {
    tree::text(job, &format!("status.{name}")).parse().ok()
}

fn at(name: &str) -> Path {
    Path::new("status").child(name)
}

fn bad_conditions(errors: &mut ErrorList, detail: impl Into<String>) {
    errors.push(field::invalid(&at("conditions"), BadValue::Omitted, detail));
}

impl<'a> Step<'a> {
    fn status(&self, name: &str) -> Option<&'a Value> {
        tree::get(self.new, &format!("status.{name}"))
    }

    fn changes(&self, name: &str) -> bool {
        let name = format!("status.{name}");
        !semantic_eq(tree::get(self.new, &name), tree::get(self.old, &name))
    }

    fn changes_whether(&self, is: impl Fn(&Value) -> bool) -> bool {
        is(self.new) != is(self.old)
    }

    fn switches(&self, kind: &str) -> bool {
        self.changes_whether(|job| holds(job, kind))
    }

    /// Times and conditions of a job that is complete.
    fn completion(&self, errors: &mut ErrorList) {
        let is_complete = holds(self.new, "Complete");
        let switches = self.switches("Complete");
        let (path, completed) = (at("completionTime"), self.status("completionTime"));
        if is_complete && holds(self.new, "Failed") && (switches || self.switches("Failed")) {
            bad_conditions(
                errors,
                "cannot set Complete=True and Failed=true conditions",
            );
        }
        let targets = switches || self.switches("FailureTarget");
        if is_complete && holds(self.new, "FailureTarget") && targets {
            bad_conditions(
                errors,
                "cannot set Complete=True and FailureTarget=true conditions",
            );
        }
        if switches || self.changes("completionTime") {
            if completed.is_some() && !is_complete {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.push(field::invalid(&path, completed, detail));
            }
            if completed.is_none() && is_complete {
                let detail = "completionTime is required for Complete jobs";
                errors.push(field::required(&path, detail));
            }
        }
        let times = (
            time(self.new, "startTime"),
            time(self.new, "completionTime"),
        );
        let moved = self.changes("startTime") || self.changes("completionTime");
        if moved && matches!(times, (Some(start), Some(end)) if end < start) {
            let detail = "must be equal to or after `startTime`";
            errors.push(field::invalid(&path, completed, detail));
        }
    }

    /// Every end is announced by a condition before it.
    fn announced(&self, errors: &mut ErrorList) {
        let failed = self.switches("Failed") || self.changes("failedIndexes");
        if failed && holds(self.new, "Failed") && !holds(self.new, "FailureTarget") {
            let detail =
                "cannot set Failed=True condition without the FailureTarget=true condition";
            bad_conditions(errors, detail);
        }
        let complete = self.switches("Complete") || self.switches("SuccessCriteriaMet");
        if complete && holds(self.new, "Complete") && !holds(self.new, "SuccessCriteriaMet") {
            let detail =
                "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            bad_conditions(errors, detail);
        }
    }

    /// A finished job has run and has nothing left.
    fn finished(&self, errors: &mut ErrorList) {
        if !is_finished(self.new) {
            return;
        }
        let finishes = self.changes_whether(is_finished);
        let active = count(self.new, "active");
        if (finishes || self.changes("active")) && active > 0 {
            let detail = "active>0 is invalid for finished job";
            errors.push(field::invalid(&at("active"), active, detail));
        }
        let is_nothing = tree::flag(self.new, "spec.suspend")
            && tree::int(self.new, "spec.completions") == Some(0);
        let starts = (finishes || self.changes("startTime")) && !is_nothing;
        if starts && self.status("startTime").is_none() {
            let detail = "startTime is required for finished job";
            errors.push(field::required(&at("startTime"), detail));
        }
        let uncounted = self.status("uncountedTerminatedPods");
        let has = |list: &str| uncounted.is_some_and(|uncounted| tree::has(uncounted, list));
        let moved = finishes || self.changes("uncountedTerminatedPods");
        if moved && (has("succeeded") || has("failed")) {
            let path = at("uncountedTerminatedPods");
            let detail = "must be empty for finished job";
            errors.push(field::invalid(&path, uncounted, detail));
        }
    }

    fn indexes(&self, errors: &mut ErrorList) {
        let completions = tree::int(self.new, "spec.completions");
        let is_limited = tree::get(self.new, "spec.backoffLimitPerIndex").is_some();
        let is_indexed = tree::text(self.new, "spec.completionMode") == "Indexed";
        let completed = tree::text(self.new, "status.completedIndexes");
        let failed = self.status("failedIndexes").and_then(Value::as_str);
        let (completes, fails) = (self.changes("completedIndexes"), self.moves_failed());
        let mut form = |name: &str, text: &str, completions: i64| {
            if let Err(why) = indexes::count(text, completions) {
                let detail = format!("error parsing {name}: {why}");
                errors.push(field::invalid(&at(name), text, detail));
            }
        };
        if let Some(completions) = completions.filter(|_| completes) {
            form("completedIndexes", completed, completions);
        }
        if let (Some(completions), Some(failed), true) = (completions, failed, fails && is_limited)
        {
            form("failedIndexes", failed, completions);
        }
        if completes && !completed.is_empty() && !is_indexed {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(field::invalid(&at("completedIndexes"), completed, detail));
        }
        let Some(failed) = failed else { return };
        if fails && !is_limited {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(field::invalid(&at("failedIndexes"), failed, detail));
        }
        let shared = completions
            .filter(|_| completes || fails)
            .and_then(|completions| indexes::overlap(completed, failed, completions));
        if let Some(index) = shared {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.push(field::invalid(&at("failedIndexes"), failed, detail));
        }
    }

    /// An empty list of failed indexes is another thing than none.
    fn moves_failed(&self) -> bool {
        self.status("failedIndexes") != tree::get(self.old, "status.failedIndexes")
    }

    fn pods(&self, errors: &mut ErrorList) {
        let [active, ready, terminating] =
            ["active", "ready", "terminating"].map(|name| count(self.new, name));
        let moved = self.changes_whether(is_finished) || self.changes("terminating");
        if moved && terminating > 0 && is_finished(self.new) {
            let detail = "terminating>0 is invalid for finished job";
            errors.push(field::invalid(&at("terminating"), terminating, detail));
        }
        if (self.changes("ready") || self.changes("active")) && ready > active {
            let detail = "cannot set more ready pods than active";
            errors.push(field::invalid(&at("ready"), ready, detail));
        }
    }

    fn success(&self, errors: &mut ErrorList) {
        let is_met = holds(self.new, "SuccessCriteriaMet");
        for (kind, word) in [
            ("Failed", "Failed=true"),
            ("FailureTarget", "FailureTarget=true"),
        ] {
            if is_met && holds(self.new, kind) {
                let detail = format!("cannot set SuccessCriteriaMet=True and {word} conditions");
                bad_conditions(errors, detail);
            }
        }
        let has_policy = tree::get(self.new, "spec.successPolicy").is_some();
        if has_policy && !is_met && holds(self.new, "Complete") {
            let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            bad_conditions(errors, detail);
        }
    }

    /// What has been reached stays reached.
    fn transition(&self, errors: &mut ErrorList) {
        for kind in ["Failed", "Complete", "FailureTarget"] {
            if holds(self.old, kind) && !holds(self.new, kind) {
                bad_conditions(
                    errors,
                    format!("cannot disable the terminal {kind}=True condition"),
                );
            }
        }
        self.counters(errors);
        let stored = |name: &str| tree::has(self.old, &format!("status.{name}"));
        let completed = self.status("completionTime");
        if completed.is_some() && stored("completionTime") && self.changes("completionTime") {
            errors.push(field::immutable(&at("completionTime"), completed));
        }
        let resumes = holds(self.old, "Suspended") && {
            let mut conditions = tree::list(self.new, "status.conditions").iter();
            let is_false = |it: &Value| tree::text(it, "status") == "False";
            conditions.any(|it| tree::text(it, "type") == "Suspended" && is_false(it))
        };
        let restarts = stored("startTime") && self.changes("startTime") && !resumes;
        if restarts && !tree::flag(self.new, "spec.suspend") {
            let detail = "field is immutable for unsuspended job once set";
            errors.push(field::invalid(
                &at("startTime"),
                self.status("startTime"),
                detail,
            ));
        }
        let [is_met, was_met] = [self.new, self.old].map(|job| holds(job, "SuccessCriteriaMet"));
        if was_met && !is_met {
            bad_conditions(
                errors,
                "cannot disable the SuccessCriteriaMet=True condition",
            );
        }
        if holds(self.old, "Complete") && !was_met && is_met {
            let detail =
                "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            bad_conditions(errors, detail);
        }
    }

    /// Counters grow, but for an indexed job that can be scaled down.
    fn counters(&self, errors: &mut ErrorList) {
        let number = |name: &str| tree::int(self.new, &format!("spec.{name}"));
        let is_elastic = tree::text(self.new, "spec.completionMode") == "Indexed"
            && number("completions") == number("parallelism");
        for (name, is_fixed) in [("failed", true), ("succeeded", !is_elastic)] {
            let [after, before] = [self.new, self.old].map(|job| count(job, name));
            if is_fixed && after < before {
                let detail = format!("cannot decrease the {name} counter");
                errors.push(field::invalid(&at(name), after, detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(spec: &Value, status: &Value) -> Value {
        json!({"spec": spec, "status": status})
    }

    fn conditions(kinds: &[&str]) -> Value {
        let condition = |kind: &&str| json!({"type": kind, "status": "True"});
        kinds.iter().map(condition).collect()
    }

    #[test]
    fn a_status_moves_as_clients_expect() {
        let plain = json!({"completions": 3, "parallelism": 1});
        let indexed = json!({"completions": 3, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 1});
        let start = "2026-01-01T00:00:00Z";
        let complete = json!({"startTime": start, "completionTime": start,
            "conditions": conditions(&["SuccessCriteriaMet", "Complete"])});
        for (spec, old, new, expected) in [
            (&plain, json!({}), complete.clone(), vec![]),
            (
                &plain,
                json!({}),
                json!({"conditions": conditions(&["Complete"])}),
                vec![
                    "completionTime: Required value: completionTime is required for Complete jobs",
                    "conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
                    "startTime: Required value: startTime is required for finished job",
                ],
            ),
            (
                &plain,
                json!({}),
                json!({"startTime": start, "active": 1, "terminating": 2, "conditions": conditions(&["Failed"])}),
                vec![
                    "conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
                    "active: Invalid value: 1: active>0 is invalid for finished job",
                    "terminating: Invalid value: 2: terminating>0 is invalid for finished job",
                ],
            ),
            (
                &plain,
                json!({"startTime": start, "succeeded": 2, "failed": 1}),
                json!({"startTime": "2026-01-02T00:00:00Z", "ready": 1, "completedIndexes": "0"}),
                vec![
                    "completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed completion mode",
                    "ready: Invalid value: 1: cannot set more ready pods than active",
                    "failed: Invalid value: 0: cannot decrease the failed counter",
                    "succeeded: Invalid value: 0: cannot decrease the succeeded counter",
                    "startTime: Invalid value: \"2026-01-02T00:00:00Z\": field is immutable for unsuspended job once set",
                ],
            ),
            (
                &indexed,
                json!({}),
                json!({"completedIndexes": "0,2", "failedIndexes": "1-2"}),
                vec![
                    "failedIndexes: Invalid value: \"1-2\": failedIndexes and completedIndexes overlap at index: 2",
                ],
            ),
            (
                &indexed,
                json!({}),
                json!({"completedIndexes": "3", "uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}}),
                vec![
                    "uncountedTerminatedPods.succeeded[1]: Invalid value: \"\": must not be empty",
                    "uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
                    "completedIndexes: Invalid value: \"3\": error parsing completedIndexes: too large index: \"3\"",
                ],
            ),
            (
                &plain,
                complete,
                json!({"startTime": start}),
                vec![
                    "conditions: Invalid value: cannot disable the terminal Complete=True condition",
                    "conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
                ],
            ),
        ] {
            let errors = validate_update(&job(spec, &new), &job(spec, &old));
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|text| format!("status.{text}"))
                .collect();
            assert_eq!(texts, expected, "{new}");
        }
    }
}
