//! LimitRanger: a container without requests or limits gets those of the namespace's LimitRanges; then
//! containers, pods and claims are held to their minima, maxima and ratios
//! (`plugin/pkg/admission/limitranger`).

use async_trait::async_trait;
use k3s_kinds::amounts::{Amounts, amounts, pod_limits, pod_requests};
use k3s_meta::{Status, object};
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::{Map, Value};

use super::{Step, is};

/// Says what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) struct LimitRanger(Registry);

impl LimitRanger {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    /// `spec.limits` of all ranges of the namespace.
    async fn items(&self, namespace: &str) -> Result<Vec<Value>> {
        let ranges = self.0.resource("", "v1", "limitranges")?;
        let mut items = Vec::new();
        for entry in self
            .0
            .list(ranges, &ListRequest::all(namespace))
            .await?
            .entries
        {
            let range = Object::stored(ranges, entry).to_value()?;
            items.extend(object::at_list(&range, &["spec", "limits"]).to_vec());
        }
        Ok(items)
    }
}

/// Default limits and requests of containers.
fn defaults(items: &[Value]) -> (Map<String, Value>, Map<String, Value>) {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    for item in items
        .iter()
        .filter(|item| object::at_str(item, &["type"]) == "Container")
    {
        add(&mut limits, item.get("default"));
        add(&mut requests, item.get("defaultRequest"));
    }
    (limits, requests)
}

fn add(to: &mut Map<String, Value>, from: Option<&Value>) {
    for (name, quantity) in from.and_then(Value::as_object).into_iter().flatten() {
        to.entry(name.clone()).or_insert_with(|| quantity.clone());
    }
}

/// Fills one list of a container; the names of what was missing.
fn fill(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    if !defaults.is_empty()
        && let Some(map) = object::map_mut(container, &["resources", field])
    {
        for (name, quantity) in defaults {
            if !map.contains_key(name) {
                map.insert(name.clone(), quantity.clone());
                set.push(name.clone());
            }
        }
    }
    set.sort();
    set
}

fn fill_pod(pod: &mut Value, limits: &Map<String, Value>, requests: &Map<String, Value>) {
    let mut told = Vec::new();
    for (list, what) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        let containers = pod
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = object::at_str(container, &["name"]).to_owned();
            for (field, word, defaults) in [
                ("requests", "request", requests),
                ("limits", "limit", limits),
            ] {
                let set = fill(container, field, defaults);
                if !set.is_empty() {
                    told.push(format!("{} {word} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if !told.is_empty()
        && let Some(annotations) = object::map_mut(pod, &["metadata", "annotations"])
    {
        annotations.insert(
            ANNOTATION.to_owned(),
            format!("LimitRanger plugin set: {}", told.join("; ")).into(),
        );
    }
}

/// What one limit of a range is about.
struct Limit<'a> {
    /// `Container`, `Pod` or `PersistentVolumeClaim`.
    kind: &'a str,
    item: &'a Value,
}

impl Limit<'_> {
    /// What breaks this limit, in upstream's words.
    fn check(&self, requests: &Amounts, limits: &Amounts, broken: &mut Vec<String>) {
        let kind = self.kind;
        for (name, least) in amounts(self.item, "min") {
            match (requests.get(&name), limits.get(&name)) {
                (None, _) => {
                    broken.push(format!(
                        "minimum {name} usage per {kind} is {least}.  No request is specified"
                    ));
                }
                (Some(request), _) if *request < least => {
                    broken.push(format!(
                        "minimum {name} usage per {kind} is {least}, but request is {request}"
                    ));
                }
                (_, Some(limit)) if *limit < least => {
                    broken.push(format!(
                        "minimum {name} usage per {kind} is {least}, but limit is {limit}"
                    ));
                }
                _ => {}
            }
        }
        for (name, most) in amounts(self.item, "max") {
            match (requests.get(&name), limits.get(&name)) {
                // A claim has no limit: its request is what it gets.
                (request, _) if kind == "PersistentVolumeClaim" => {
                    if let Some(request) = request.filter(|request| **request > most) {
                        broken.push(format!(
                            "maximum {name} usage per {kind} is {most}, but request is {request}"
                        ));
                    }
                }
                (_, None) => broken.push(format!(
                    "maximum {name} usage per {kind} is {most}.  No limit is specified"
                )),
                (_, Some(limit)) if *limit > most => {
                    broken.push(format!(
                        "maximum {name} usage per {kind} is {most}, but limit is {limit}"
                    ));
                }
                (Some(request), _) if *request > most => {
                    broken.push(format!(
                        "maximum {name} usage per {kind} is {most}, but request is {request}"
                    ));
                }
                _ => {}
            }
        }
        self.check_ratio(requests, limits, broken);
    }

    fn check_ratio(&self, requests: &Amounts, limits: &Amounts, broken: &mut Vec<String>) {
        let kind = self.kind;
        for (name, most) in amounts(self.item, "maxLimitRequestRatio") {
            let given =
                |list: &Amounts| list.get(&name).copied().filter(|amount| !amount.is_zero());
            let start = format!("{name} max limit to request ratio per {kind} is {most}, but");
            match (given(requests), given(limits)) {
                (None, _) => {
                    broken.push(format!("{start} no request is specified or request is 0"))
                }
                (_, None) => broken.push(format!("{start} no limit is specified or limit is 0")),
                (Some(request), Some(limit)) => {
                    let ratio = limit.as_f64() / request.as_f64();
                    if ratio > most.as_f64() {
                        broken.push(format!("{start} provided ratio is {ratio:.6}"));
                    }
                }
            }
        }
    }
}

/// What of a pod breaks the limits.
fn check_pod(items: &[Value], spec: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for item in items {
        match object::at_str(item, &["type"]) {
            "Container" => {
                let limit = Limit {
                    kind: "Container",
                    item,
                };
                for container in ["containers", "initContainers"]
                    .iter()
                    .flat_map(|list| object::at_list(spec, &[list]))
                {
                    let (requests, limits) = (
                        amounts(container, "resources.requests"),
                        amounts(container, "resources.limits"),
                    );
                    limit.check(&requests, &limits, &mut broken);
                }
            }
            "Pod" => Limit { kind: "Pod", item }.check(
                &pod_requests(spec),
                &pod_limits(spec),
                &mut broken,
            ),
            _ => {}
        }
    }
    broken
}

fn check_claim(items: &[Value], claim: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let requests = amounts(claim, "spec.resources.requests");
    for item in items
        .iter()
        .filter(|item| object::at_str(item, &["type"]) == "PersistentVolumeClaim")
    {
        Limit {
            kind: "PersistentVolumeClaim",
            item,
        }
        .check(&requests, &Amounts::new(), &mut broken);
    }
    broken
}

/// Several errors as Go's aggregate prints them.
fn aggregate(mut broken: Vec<String>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    broken.retain(|text| seen.insert(text.clone()));
    match broken.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

#[async_trait]
impl Step for LimitRanger {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        pod: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        if attributes.operation != Operation::Create || !is(attributes, "", "pods") {
            return Ok(());
        }
        let (limits, requests) = defaults(&self.items(attributes.namespace).await?);
        if !limits.is_empty() || !requests.is_empty() {
            fill_pod(pod, &limits, &requests);
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        let creates = attributes.operation == Operation::Create;
        let is_pod = creates && is(attributes, "", "pods");
        let is_claim = (creates || attributes.operation == Operation::Update)
            && is(attributes, "", "persistentvolumeclaims");
        let Some(new) = new.filter(|_| is_pod || is_claim) else {
            return Ok(());
        };
        let items = self.items(attributes.namespace).await?;
        let broken = match object::at(new, &["spec"]) {
            Some(spec) if is_pod => check_pod(&items, spec),
            _ => check_claim(&items, new),
        };
        match aggregate(broken) {
            None => Ok(()),
            Some(text) => {
                Err(Status::forbidden(&attributes.resource.gr(), object::name(new), &text).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_held_in_upstreams_words() {
        let items = |item: Value| vec![item];
        let spec = |requests: Value, limits: Value| json!({"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]});
        for (item, requests, limits, want) in [
            (
                json!({"type": "Container", "max": {"cpu": "1"}}),
                json!({}),
                json!({"cpu": "2"}),
                "maximum cpu usage per Container is 1, but limit is 2",
            ),
            (
                json!({"type": "Container", "max": {"cpu": "1"}}),
                json!({}),
                json!({}),
                "maximum cpu usage per Container is 1.  No limit is specified",
            ),
            (
                json!({"type": "Container", "min": {"memory": "1Gi"}}),
                json!({"memory": "64Mi"}),
                json!({}),
                "minimum memory usage per Container is 1Gi, but request is 64Mi",
            ),
            (
                json!({"type": "Pod", "max": {"memory": "1Gi"}}),
                json!({}),
                json!({"memory": "2Gi"}),
                "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
            ),
            (
                json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}),
                json!({"cpu": "100m"}),
                json!({"cpu": "300m"}),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
            ),
        ] {
            assert_eq!(
                aggregate(check_pod(&items(item), &spec(requests, limits))).as_deref(),
                Some(want)
            );
        }
        let fine = json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}});
        assert_eq!(
            aggregate(check_pod(
                &items(fine),
                &spec(json!({"cpu": "500m"}), json!({"cpu": "1"}))
            )),
            None
        );
        let claim = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let range = items(json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}));
        let want = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
        assert_eq!(
            aggregate(check_claim(&range, &claim)).as_deref(),
            Some(want)
        );
    }

    #[test]
    fn defaults_are_filled_and_told() {
        let items = [
            json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m", "memory": "1Mi"}}),
        ];
        let (limits, requests) = defaults(&items);
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "2Mi"}}}]}});
        fill_pod(&mut pod, &limits, &requests);
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({"requests": {"memory": "2Mi", "cpu": "500m"}, "limits": {"cpu": "1"}})
        );
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
        );
    }
}
