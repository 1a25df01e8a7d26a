//! Pure: the Pod failure policy.

use k3s_client::Object;
use k3s_meta::tree;
use serde_json::Value;

use super::model::Job;
use crate::common::pod;

/// What a failed Pod means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Count,
    Ignore,
    /// Counts, and the index is not tried again.
    FailIndex,
    FailJob(String),
}

/// The first rule that fits decides; without one the failure counts.
pub(super) fn ruling(job: &Job, object: &Object) -> Ruling {
    for (number, rule) in tree::list(job.value(), "spec.podFailurePolicy.rules")
        .iter()
        .enumerate()
    {
        let Some(why) = matches(rule, object) else {
            continue;
        };
        return match tree::text(rule, "action") {
            "Ignore" => Ruling::Ignore,
            "FailIndex" => Ruling::FailIndex,
            "FailJob" => Ruling::FailJob(format!("{why} matching FailJob rule at index {number}")),
            _ => Ruling::Count,
        };
    }
    Ruling::Count
}

fn matches(rule: &Value, object: &Object) -> Option<String> {
    if let Some(codes) = rule.get("onExitCodes") {
        return exit_code(codes, object);
    }
    let view = pod::of(object);
    for wanted in tree::list(rule, "onPodConditions") {
        let kind = tree::text(wanted, "type");
        let status = match tree::text(wanted, "status") {
            "" => "True",
            status => status,
        };
        let matches = view
            .condition(kind)
            .is_some_and(|condition| condition.status == status);
        if matches {
            return Some(format!("Pod {} has condition {kind}", object.key()));
        }
    }
    None
}

fn exit_code(codes: &Value, object: &Object) -> Option<String> {
    let status = &pod::of(object).status;
    let container = tree::text(codes, "containerName");
    let wants_in = tree::text(codes, "operator") == "In";
    let listed: Vec<i64> = tree::list(codes, "values")
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    let containers = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses);
    for status in containers {
        let is_meant = container.is_empty() || status.name == container;
        let Some(end) = &status.state.terminated else {
            continue;
        };
        let code = end.exit_code;
        let is_listed = listed.contains(&code);
        // Success is never a failure to rule on.
        if is_meant && code != 0 && is_listed == wants_in {
            let name = &status.name;
            let pod = object.key();
            return Some(format!(
                "Container {name} for pod {pod} failed with exit code {code}"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_fitting_rule_decides() {
        let job = Job::read(
            &Obj::from_value(json!({"metadata": {"name": "j"}, "spec": {"podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
                {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [43]}},
                {"action": "FailJob", "onPodConditions": [{"type": "Bad", "status": "True"}]}]}}}))
            .unwrap(),
        );
        let pod = |status: Value| {
            Obj::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "status": status}))
                .unwrap()
        };
        let exited = |code: i64| json!({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}]});
        assert_eq!(
            ruling(
                &job,
                &pod(json!({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}))
            ),
            Ruling::Ignore
        );
        assert_eq!(
            ruling(&job, &pod(exited(42))),
            Ruling::FailJob(
                "Container c for pod n/p failed with exit code 42 matching FailJob rule at index 1"
                    .into()
            )
        );
        let bad = json!({"conditions": [{"type": "Bad", "status": "True"}]});
        assert_eq!(
            ruling(&job, &pod(bad)),
            Ruling::FailJob("Pod n/p has condition Bad matching FailJob rule at index 3".into())
        );
        assert_eq!(ruling(&job, &pod(exited(43))), Ruling::FailIndex);
        assert_eq!(ruling(&job, &pod(exited(1))), Ruling::Count);
    }
}
