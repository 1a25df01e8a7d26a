//! Validation of events, as far as it is the same for both versions (`legacyValidateEvent` of
//! `pkg/apis/core/validation/events.go`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names as rules, tree};
use serde_json::Value;

use super::names::{CORE, Names};
use crate::checks::Check;

/// Longest instance, action and reason.
const MAX_WORD_BYTES: usize = 128;
const MAX_MESSAGE_BYTES: usize = 1024;

pub(super) fn validate(event: &Value) -> ErrorList {
    of_version(event, &CORE)
}

/// What every event must say. Errors have the names of the core version, but for the one who reports.
pub(crate) fn of_version(event: &Value, names: &Names) -> ErrorList {
    let mut errors = ErrorList::new();
    // Components have given this time since they report who they are.
    let is_new = tree::has(event, "eventTime");
    namespace(&mut errors, event, names, is_new);
    if is_new {
        reporter(&mut errors, event, names);
    }
    let namespace = tree::text(event, "metadata.namespace");
    let outcome = rules::is_dns1123_subdomain(namespace);
    errors.check(&Path::new("namespace"), namespace, outcome);
    errors
}

/// An event lives in the namespace of its object; one about a cluster object in `default`, or as a new one in
/// `kube-system`.
fn namespace(errors: &mut ErrorList, event: &Value, names: &Names, is_new: bool) {
    let own = tree::text(event, "metadata.namespace");
    let of_object = tree::text(event, &format!("{}.namespace", names.object));
    let is_right = match (of_object.is_empty(), is_new) {
        (true, true) => matches!(own, "default" | "kube-system"),
        (true, false) => matches!(own, "" | "default"),
        (false, true) => true,
        (false, false) => own == of_object,
    };
    if !is_right {
        let at = Path::new("involvedObject.namespace");
        let detail = "does not match event.namespace";
        errors.push(field::invalid(&at, of_object, detail));
    }
}

fn reporter(errors: &mut ErrorList, event: &Value, names: &Names) {
    let (reporter, at) = (tree::text(event, names.reporter), Path::new(names.reporter));
    if reporter.is_empty() {
        errors.push(field::required(&at, ""));
    }
    errors.check(&at, reporter, rules::is_qualified_name(reporter));
    for name in ["reportingInstance", "action", "reason"] {
        if tree::text(event, name).is_empty() {
            errors.push(field::required(&Path::new(name), ""));
        }
        at_most(errors, tree::text(event, name), name, MAX_WORD_BYTES);
    }
    let message = tree::text(event, names.message);
    at_most(errors, message, "message", MAX_MESSAGE_BYTES);
}

fn at_most(errors: &mut ErrorList, text: &str, name: &str, most: usize) {
    if text.len() > most {
        let detail = format!("can have at most {most} characters");
        errors.push(field::invalid(&Path::new(name), "", detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_of_an_old_component_needs_a_namespace_alone() {
        let event = |namespace: &str, object: &str| {
            let event = json!({"metadata": {"namespace": namespace}, "involvedObject": {"namespace": object}});
            validate(&event).to_string()
        };
        assert_eq!(event("a", "a"), "[]");
        assert_eq!(event("default", ""), "[]");
        for (namespace, object) in [("kube-system", ""), ("a", "b")] {
            assert_eq!(
                event(namespace, object),
                format!(
                    "involvedObject.namespace: Invalid value: {object:?}: does not match event.namespace"
                )
            );
        }
    }

    #[test]
    fn an_event_of_a_new_component_says_who_and_why() {
        let event = json!({
            "metadata": {"namespace": "kube-system"}, "eventTime": "2020-01-01T00:00:00.000000Z",
            "reportingComponent": "example.com/a", "reason": "r".repeat(129),
        });
        assert_eq!(
            validate(&event).to_string(),
            "[reportingInstance: Required value, action: Required value, reason: Invalid value: \"\": can have at most 128 characters]"
        );
    }
}
