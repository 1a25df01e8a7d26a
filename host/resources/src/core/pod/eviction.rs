//! `pods/NAME/eviction`: a deletion that disruption budgets may forbid
//! (`pkg/registry/core/pod/storage/eviction.go`).

use std::sync::Arc;

use k3s_base::clock::rfc3339;
use k3s_meta::{Cause, CauseType, LabelSelector, Status, condition, object, tree};
use k3s_registry::{
    Call, DeleteOptions, Deleted, Error, ListRequest, NoAdmission, Object, Registry, Resource,
    Result, Scope, Update, Updated,
};
use serde_json::{Value, json};

/// Seconds after which a refused eviction may be tried again.
const RETRY_SECONDS: u32 = 10;

/// Deletes the pod `name` if its disruption budget allows.
///
/// # Errors
/// 429 while a budget forbids it.
pub async fn evict(
    registry: &Registry,
    pods: &Arc<Resource>,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
    call: &Call<'_>,
) -> Result<Deleted> {
    let pod = registry.get(pods, namespace, name)?.to_value()?;
    if !ignores_budgets(&pod)
        && let Some(budget) = find_budget(registry, &pod, namespace).await?
    {
        take_disruption(registry, &budget, &pod, call).await?;
    }
    let options = mark_disrupted(registry, pods, namespace, name, options, call).await?;
    registry.delete(pods, namespace, name, &options, call).await
}

/// Says on the pod that its end is no failure of its own. The options come back with the version that this
/// makes, where they name the one before.
async fn mark_disrupted(
    registry: &Registry,
    pods: &Arc<Resource>,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
    call: &Call<'_>,
) -> Result<DeleteOptions> {
    let mut options = options.clone();
    if call.dry_run {
        return Ok(options);
    }
    let now = rfc3339(registry.clock().now());
    let mark = |current: Option<&Value>| {
        let mut pod = current.cloned().unwrap_or_default();
        options.preconditions.check(&pods.gk(), name, &pod)?;
        set_disrupted(&mut pod, &now);
        Ok(pod)
    };
    let marked = write_status(registry, pods, (namespace, name), call, mark).await?;
    if let Some(version) = &mut options.preconditions.resource_version {
        let marked = marked.object.to_value()?;
        tree::text(&marked, "metadata.resourceVersion").clone_into(version);
    }
    Ok(options)
}

fn set_disrupted(pod: &mut Value, now: &str) {
    let mut conditions = tree::list(pod, "status.conditions").to_vec();
    let disrupted = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    });
    condition::set(&mut conditions, disrupted, now);
    tree::set(pod, "status.conditions", conditions);
}

/// The one budget that selects the pod.
async fn find_budget(registry: &Registry, pod: &Value, namespace: &str) -> Result<Option<Object>> {
    let budgets = registry.resource("policy", "v1", "poddisruptionbudgets")?;
    let list = registry.list(budgets, &ListRequest::all(namespace)).await?;
    if let Some(budget) = list.unreadable.first() {
        // It may select the pod, so the error of reading it is the answer.
        budgets.decode(budget)?;
    }
    let mut found = None;
    for entry in list.entries {
        let object = Object::stored(budgets, entry);
        let budget = object.to_value()?;
        let selector = tree::get(&budget, "spec.selector").map(LabelSelector::from_value);
        let Some(Ok(selector)) = selector else {
            continue;
        };
        if !selector.matches_object(pod) {
            continue;
        }
        if found.is_some() {
            return Err(Status::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )
            .into());
        }
        found = Some(object);
    }
    Ok(found)
}

/// Takes one allowed disruption from the budget.
async fn take_disruption(
    registry: &Registry,
    budget: &Object,
    pod: &Value,
    call: &Call<'_>,
) -> Result<()> {
    let value = budget.to_value()?;
    if may_evict_unhealthy(&value, pod) {
        return Ok(());
    }
    let now = rfc3339(registry.clock().now());
    let change = |current: Option<&Value>| {
        let mut budget = current.cloned().unwrap_or_default();
        let allowed = tree::int(&budget, "status.disruptionsAllowed").unwrap_or(0);
        check(&budget, allowed)?;
        let left = allowed.saturating_sub(1);
        tree::set(&mut budget, "status.disruptionsAllowed", left);
        if let Some(disrupted) = tree::ensure(&mut budget, "status.disruptedPods") {
            disrupted.insert(object::name(pod).to_owned(), now.as_str().into());
        }
        Ok(budget)
    };
    let place = (object::namespace(&value), object::name(&value));
    write_status(registry, budget.resource(), place, call, change)
        .await
        .map(drop)
}

/// Changes the status of the object at a namespace and name. The server keeps these books itself: admission
/// judged the eviction.
async fn write_status<F>(
    registry: &Registry,
    resource: &Arc<Resource>,
    (namespace, name): (&str, &str),
    call: &Call<'_>,
    change: F,
) -> Result<Updated>
where
    F: FnMut(Option<&Value>) -> Result<Value> + Send,
{
    let update = Update {
        resource,
        namespace,
        name,
        scope: Scope::Status,
        create_missing: false,
    };
    let call = Call {
        admission: &NoAdmission,
        ..*call
    };
    registry.update(&update, &call, change).await
}

/// Refuses while the budget allows no disruption.
fn check(budget: &Value, allowed: i64) -> Result<()> {
    let name = object::name(budget);
    let observed = tree::int(budget, "status.observedGeneration").unwrap_or(0);
    if observed < object::generation(budget) {
        return Err(refuse(format!(
            "The disruption budget {name} is still being processed by the server."
        )));
    }
    if allowed > 0 {
        return Ok(());
    }
    let number = |field| tree::int(budget, &format!("status.{field}")).unwrap_or(0);
    Err(refuse(format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number("desiredHealthy"),
        number("currentHealthy")
    )))
}

fn refuse(why: String) -> Error {
    let mut status = Status::too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        RETRY_SECONDS,
    );
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: CauseType::DISRUPTION_BUDGET,
            message: why,
            field: String::new(),
        });
    }
    status.into()
}

/// A pod that does not run is not disrupted.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(
        tree::text(pod, "status.phase"),
        "Succeeded" | "Failed" | "Pending"
    ) || object::deletion_timestamp(pod).is_some()
}

/// `unhealthyPodEvictionPolicy`.
fn may_evict_unhealthy(budget: &Value, pod: &Value) -> bool {
    let ready = tree::list(pod, "status.conditions")
        .iter()
        .any(|condition| {
            tree::text(condition, "type") == "Ready" && tree::text(condition, "status") == "True"
        });
    if ready {
        return false;
    }
    let number = |field| tree::int(budget, &format!("status.{field}")).unwrap_or(0);
    match tree::text(budget, "spec.unhealthyPodEvictionPolicy") {
        "AlwaysAllow" => true,
        _ => number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"),
    }
}
