//! LimitRanger: a container without requests or limits gets those of the namespace's LimitRanges; then
//! containers, pods and claims are held to their minima, maxima and ratios; so are resized pods
//! (`plugin/pkg/admission/limitranger`).

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use k3s_kinds::amounts::{Amounts, amounts, pod_limits, pod_requests};
use k3s_meta::quantity::Quantity;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::{Map, Value};

use super::listers::{LimitItem, LimitKind, LimitRange, Listers};
use super::{Step, forbidden, is_resize, is_write_of};

/// Says what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) struct LimitRanger(Arc<Listers>);

impl LimitRanger {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }
}

fn items(ranges: &[Arc<LimitRange>]) -> impl Iterator<Item = &LimitItem> + Clone {
    ranges.iter().flat_map(|range| &range.limits)
}

/// What containers get that state nothing.
#[derive(Default)]
struct Defaults {
    limits: Map<String, Value>,
    requests: Map<String, Value>,
}

impl Defaults {
    fn of<'a>(items: impl Iterator<Item = &'a LimitItem>) -> Self {
        let mut defaults = Self::default();
        for item in items.filter(|item| item.kind == LimitKind::Container) {
            add_missing(&mut defaults.limits, &item.default_limits);
            add_missing(&mut defaults.requests, &item.default_requests);
        }
        defaults
    }

    fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.requests.is_empty()
    }
}

/// Of several ranges the first decides.
fn add_missing(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, quantity) in from {
        to.entry(name).or_insert_with(|| quantity.clone());
    }
}

/// Fills one list of a container; the names of what was missing, sorted.
fn fill_list(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut filled = Vec::new();
    if !defaults.is_empty()
        && let Some(map) = tree::ensure(container, &format!("resources.{field}"))
    {
        for (name, quantity) in defaults {
            if !map.contains_key(name) {
                map.insert(name.clone(), quantity.clone());
                filled.push(name.clone());
            }
        }
    }
    filled.sort();
    filled
}

/// Fills both lists of a container and notes what was filled; `role` is `container` or
/// `init container`.
fn fill_container(container: &mut Value, role: &str, defaults: &Defaults, notes: &mut Vec<String>) {
    let name = tree::text(container, "name").to_owned();
    let lists = [
        ("requests", "request", &defaults.requests),
        ("limits", "limit", &defaults.limits),
    ];
    for (field, word, defaults) in lists {
        let filled = fill_list(container, field, defaults);
        if !filled.is_empty() {
            let names = filled.join(", ");
            notes.push(format!("{names} {word} for {role} {name}"));
        }
    }
}

fn fill_pod(pod: &mut Value, defaults: &Defaults) {
    let mut notes = Vec::new();
    for (list, role) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        let containers = pod
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            fill_container(container, role, defaults, &mut notes);
        }
    }
    if !notes.is_empty()
        && let Some(annotations) = tree::ensure(pod, "metadata.annotations")
    {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        annotations.insert(ANNOTATION.to_owned(), note.into());
    }
}

/// What one container, pod or claim asks for, held against limits.
struct Check<'a> {
    requests: &'a Amounts,
    limits: &'a Amounts,
    /// What breaks a limit, in upstream's words.
    broken: &'a mut Vec<String>,
}

impl Check<'_> {
    fn run(&mut self, item: &LimitItem) {
        let kind = item.kind;
        for (name, least) in &item.min {
            self.check_min(kind, name, *least);
        }
        for (name, most) in &item.max {
            match kind {
                // A claim has no limit: its request is what it gets.
                LimitKind::PersistentVolumeClaim => self.check_max_request(kind, name, *most),
                _ => self.check_max(kind, name, *most),
            }
        }
        for (name, most) in &item.max_limit_request_ratio {
            self.check_ratio(kind, name, *most);
        }
    }

    fn check_min(&mut self, kind: LimitKind, name: &str, least: Quantity) {
        let start = format!("minimum {name} usage per {} is {least}", kind.as_str());
        match (self.requests.get(name), self.limits.get(name)) {
            (None, _) => self.add(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < least => {
                self.add(format!("{start}, but request is {request}"));
            }
            (_, Some(limit)) if *limit < least => {
                self.add(format!("{start}, but limit is {limit}"));
            }
            _ => {}
        }
    }

    fn check_max(&mut self, kind: LimitKind, name: &str, most: Quantity) {
        let start = format!("maximum {name} usage per {} is {most}", kind.as_str());
        match self.limits.get(name) {
            None => self.add(format!("{start}.  No limit is specified")),
            Some(limit) if *limit > most => self.add(format!("{start}, but limit is {limit}")),
            Some(_) => self.check_max_request(kind, name, most),
        }
    }

    fn check_max_request(&mut self, kind: LimitKind, name: &str, most: Quantity) {
        if let Some(request) = self.requests.get(name).filter(|request| **request > most) {
            let kind = kind.as_str();
            self.add(format!(
                "maximum {name} usage per {kind} is {most}, but request is {request}"
            ));
        }
    }

    fn check_ratio(&mut self, kind: LimitKind, name: &str, most: Quantity) {
        let kind = kind.as_str();
        let start = format!("{name} max limit to request ratio per {kind} is {most}, but");
        let stated = |amounts: &Amounts| {
            let amount = amounts.get(name).copied();
            amount.filter(|amount| !amount.is_zero())
        };
        match (stated(self.requests), stated(self.limits)) {
            (None, _) => self.add(format!("{start} no request is specified or request is 0")),
            (_, None) => self.add(format!("{start} no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                if ratio > most.as_f64() {
                    self.add(format!("{start} provided ratio is {ratio:.6}"));
                }
            }
        }
    }

    fn add(&mut self, text: String) {
        self.broken.push(text);
    }
}

/// What of a pod breaks the limits.
fn check_pod<'a>(items: impl Iterator<Item = &'a LimitItem>, spec: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for item in items {
        match item.kind {
            LimitKind::Container => check_containers(item, spec, &mut broken),
            LimitKind::Pod => Check {
                requests: &pod_requests(spec),
                limits: &pod_limits(spec),
                broken: &mut broken,
            }
            .run(item),
            LimitKind::PersistentVolumeClaim | LimitKind::Other => {}
        }
    }
    broken
}

fn check_containers(item: &LimitItem, spec: &Value, broken: &mut Vec<String>) {
    let lists = ["containers", "initContainers"];
    for container in lists.iter().flat_map(|list| tree::list(spec, list)) {
        Check {
            requests: &amounts(container, "resources.requests"),
            limits: &amounts(container, "resources.limits"),
            broken: &mut *broken,
        }
        .run(item);
    }
}

fn check_claim<'a>(items: impl Iterator<Item = &'a LimitItem>, claim: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let requests = amounts(claim, "spec.resources.requests");
    for item in items.filter(|item| item.kind == LimitKind::PersistentVolumeClaim) {
        Check {
            requests: &requests,
            limits: &Amounts::new(),
            broken: &mut broken,
        }
        .run(item);
    }
    broken
}

/// Several errors as Go's aggregate prints them.
fn aggregate(mut broken: Vec<String>) -> Option<String> {
    let mut seen = HashSet::new();
    broken.retain(|text| seen.insert(text.clone()));
    match broken.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

/// Whether the request says what a pod's containers get: later their resources change by a resize only.
fn states_resources(attributes: &Attributes<'_>) -> bool {
    let creates = attributes.operation == Operation::Create;
    (creates && is_write_of(attributes, "", "pods")) || is_resize(attributes)
}

/// What is deleted already may end as it is.
fn is_deleting(old: Option<&Value>) -> bool {
    old.is_some_and(|old| object::deletion_timestamp(old).is_some())
}

#[async_trait]
impl Step for LimitRanger {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        pod: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if !states_resources(attributes) || is_deleting(old) {
            return Ok(());
        }
        let ranges = self.0.limit_ranges.list(attributes.namespace)?;
        let defaults = Defaults::of(items(&ranges));
        if !defaults.is_empty() {
            fill_pod(pod, &defaults);
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let creates = attributes.operation == Operation::Create;
        let is_pod = states_resources(attributes);
        let is_claim = (creates || attributes.operation == Operation::Update)
            && is_write_of(attributes, "", "persistentvolumeclaims");
        let Some(new) = new.filter(|_| is_pod || is_claim) else {
            return Ok(());
        };
        if is_deleting(old) {
            return Ok(());
        }
        let ranges = self.0.limit_ranges.list(attributes.namespace)?;
        let broken = match tree::get(new, "spec") {
            Some(spec) if is_pod => check_pod(items(&ranges), spec),
            _ => check_claim(items(&ranges), new),
        };
        match aggregate(broken) {
            None => Ok(()),
            Some(text) => Err(forbidden(attributes, object::name(new), &text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_held_in_upstreams_words() {
        let items = |item: Value| vec![LimitItem::read(&item)];
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
                aggregate(check_pod(items(item).iter(), &spec(requests, limits))).as_deref(),
                Some(want)
            );
        }
        let fine = json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}});
        assert_eq!(
            aggregate(check_pod(
                items(fine).iter(),
                &spec(json!({"cpu": "500m"}), json!({"cpu": "1"}))
            )),
            None
        );
        let claim = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let range = items(json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}));
        let want = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
        assert_eq!(
            aggregate(check_claim(range.iter(), &claim)).as_deref(),
            Some(want)
        );
    }

    #[test]
    fn defaults_are_filled_and_noted() {
        let item = LimitItem::read(
            &json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m", "memory": "1Mi"}}),
        );
        let defaults = Defaults::of([&item].into_iter());
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "2Mi"}}}]}});
        fill_pod(&mut pod, &defaults);
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
