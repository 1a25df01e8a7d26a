//! EndpointSlice: what serves a Service, in slices of at most a hundred.
//!
//! Watches Services, Pods, Nodes (for zones) and its own slices. Upstream:
//! `pkg/controller/endpointslice`.

mod model;
mod plan;

use k3s_client::resources::{ENDPOINT_SLICES, NODES, PODS, SERVICES};
use k3s_client::{Expectations, Informer, InformerEvent};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::endpoint_slices::{ManagedSlices, service_keys};
use crate::common::service::{Service, services_of_pod};
use crate::context::Context;
use model::MANAGER;

struct EndpointSliceController {
    services: Informer,
    pods: Informer,
    nodes: Informer,
    slices: ManagedSlices,
}

pub(crate) fn start(context: &Context) {
    let services = context.informers.all(&SERVICES);
    let pods = context.informers.all(&PODS);
    let nodes = context.informers.all(&NODES);
    let slices = context.informers.all(&ENDPOINT_SLICES);
    let managed = ManagedSlices::new(
        context.client("endpointslice-controller"),
        &slices,
        Expectations::new(context.clock()),
        MANAGER,
        |slice| service_keys(slice, MANAGER),
    );
    let reconciler = EndpointSliceController {
        services: services.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        slices: managed.clone(),
    };
    let of_pods = services.clone();
    let of_nodes = services.clone();
    let cache = pods.clone();
    Controller::new("endpointslice-controller")
        .workers(5)
        .watch_own(&services)
        .watch(&pods, move |event| services_of_pod(event, &of_pods))
        .watch(&nodes, move |event| zone_changed(event, &cache, &of_nodes))
        .watch(&slices, move |event| managed.changed(event))
        .run(reconciler, &context.statuses, &context.tasks);
}

/// Only a node's zone stands in slices; it is set once, after the node came.
fn zone_changed(event: &InformerEvent, pods: &Informer, services: &Informer) -> Vec<Key> {
    let InformerEvent::Updated { old, new } = event else {
        return Vec::new();
    };
    if old.label(model::ZONE) == new.label(model::ZONE) {
        return Vec::new();
    }
    let there = pods.by_index(k3s_client::informer::BY_NODE, new.name());
    there
        .into_iter()
        .flat_map(|pod| services_of_pod(&InformerEvent::Added(pod), services))
        .collect()
}

impl Reconciler for EndpointSliceController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let object = self.services.get(key);
        let Some(object) = object.filter(|service| !service.is_deleting()) else {
            // The slices go with their owner, by garbage collection.
            self.slices.forget(key);
            return Ok(Outcome::Done);
        };
        if !self.slices.seen(key) {
            return Ok(Outcome::Done);
        }
        let Some(service) = Service::read(&object) else {
            return Ok(Outcome::Done);
        };
        let pods = service.pods(&self.pods);
        let groups = model::groups(&service, &pods, |node| self.zone(node));
        let actions = plan::plan(&service, &groups, &self.slices.of(key));
        self.slices.apply(key, actions).await?;
        Ok(Outcome::Done)
    }
}

impl EndpointSliceController {
    fn zone(&self, node: &str) -> Option<String> {
        let node = self.nodes.get(node)?;
        let zone = node.label(model::ZONE)?;
        Some(zone.to_owned())
    }
}
