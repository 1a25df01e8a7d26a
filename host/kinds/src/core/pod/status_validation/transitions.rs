//! Which containers may run again after they ended.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

/// A container that ended for good does not run again. The index of an error is that of the stored status.
pub(super) fn validate(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let spec = tree::get(old, "spec").unwrap_or(&Value::Null);
    let all_restart = may_restart_all(spec);
    for (statuses, containers) in [
        ("containerStatuses", Some("containers")),
        ("initContainerStatuses", Some("initContainers")),
        ("ephemeralContainerStatuses", None),
    ] {
        if all_restart && containers.is_some() {
            continue;
        }
        let [after, before] = [new, old].map(|pod| tree::list(pod, &format!("status.{statuses}")));
        for (index, stored) in before.iter().enumerate() {
            let Some(ended) = tree::get(stored, "state.terminated") else {
                continue;
            };
            let name = tree::text(stored, "name");
            let code = tree::int(ended, "exitCode").unwrap_or(0);
            let named = |one: &&Value| tree::text(one, "name") == name;
            let runs = |one: &&Value| named(one) && tree::get(one, "state.terminated").is_none();
            let again = after.iter().filter(runs).count();
            let container = containers.and_then(|list| tree::list(spec, list).iter().find(named));
            if again == 0 || container.is_some_and(|one| restarts(one, spec, code)) {
                continue;
            }
            // Of an ephemeral container upstream looks at every status that has its name.
            for _ in 0..containers.map_or(again, |_| 1) {
                let at = path.child(statuses).index(index).child("state");
                let detail = "may not be transitioned to non-terminated state";
                errors.push(field::forbidden(&at, detail));
            }
        }
    }
}

/// Whether the exit of some container restarts all of them (`AllContainersCouldRestart`).
fn may_restart_all(spec: &Value) -> bool {
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().flat_map(|list| tree::list(spec, list));
    containers
        .flat_map(|container| tree::list(container, "restartPolicyRules"))
        .any(|rule| tree::text(rule, "action") == "RestartAllContainers")
}

/// Whether the container runs again after it ended with `code`: its rules, then its own policy, then that of
/// the pod (`ContainerShouldRestart`).
fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let own = tree::get(container, "restartPolicy").and_then(Value::as_str);
    let rules = tree::list(container, "restartPolicyRules");
    let matching = rules.iter().find(|rule| matches_code(rule, code));
    let is_restart = |rule: &Value| {
        let action = tree::text(rule, "action");
        matches!(action, "Restart" | "RestartAllContainers")
    };
    if own.is_some() && matching.is_some_and(is_restart) {
        return true;
    }
    let known = own.filter(|policy| ["Always", "OnFailure", "Never"].contains(policy));
    match known.unwrap_or_else(|| tree::text(spec, "restartPolicy")) {
        "OnFailure" => code != 0,
        "Never" => false,
        _ => true,
    }
}

fn matches_code(rule: &Value, code: i64) -> bool {
    let Some(codes) = tree::get(rule, "exitCodes") else {
        return false;
    };
    let values = tree::list(codes, "values");
    let is_among = values.iter().any(|value| value.as_i64() == Some(code));
    match tree::text(codes, "operator") {
        "In" => is_among,
        "NotIn" => !is_among,
        _ => false,
    }
}
