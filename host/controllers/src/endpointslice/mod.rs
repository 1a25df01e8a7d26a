//! EndpointSlice: what serves a Service, in slices of at most a hundred.
//!
//! Watches Services, Pods, Nodes (for zones) and its own slices. Upstream:
//! `pkg/controller/endpointslice`. Endpoints objects of Services without a selector are not
//! mirrored.

mod model;
mod plan;

use std::sync::Arc;

use k3s_client::resources::{ENDPOINT_SLICES, NODES, PODS, SERVICES};
use k3s_client::{
    Client, DeleteParams, Expectations, Informer, InformerEvent, Obj, Object, key, uid_is,
};
use k3s_objects::endpoint_slice::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::service::{Service, services_of_pod};
use crate::context::Context;
use model::MANAGER;
use plan::Action;

/// Index of slices by the key of their Service.
const BY_SERVICE: &str = "service";

struct EndpointSliceController {
    client: Client,
    expectations: Arc<Expectations>,
    services: Informer,
    pods: Informer,
    nodes: Informer,
    slices: Informer,
}

pub(crate) fn start(context: &Context) {
    let services = context.informers.all(&SERVICES);
    let pods = context.informers.all(&PODS);
    let nodes = context.informers.all(&NODES);
    let slices = context.informers.all(&ENDPOINT_SLICES);
    slices.add_index(BY_SERVICE, by_service);
    let expectations = Arc::new(Expectations::new(context.clock()));
    let reconciler = EndpointSliceController {
        client: context.client("endpointslice-controller"),
        expectations: expectations.clone(),
        services: services.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        slices: slices.clone(),
    };
    let of_pods = services.clone();
    let of_nodes = services.clone();
    let cache = pods.clone();
    Controller::new("endpointslice-controller")
        .workers(5)
        .watch_own(&services)
        .watch(&pods, move |event| services_of_pod(event, &of_pods))
        .watch(&nodes, move |event| zone_changed(event, &cache, &of_nodes))
        .watch(&slices, move |event| slice_changed(event, &expectations))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn by_service(slice: &Obj) -> Vec<String> {
    match service_of(slice) {
        Some(key) => vec![key.to_string()],
        None => Vec::new(),
    }
}

/// The Service of a slice that this controller manages.
fn service_of(slice: &Obj) -> Option<Key> {
    if slice.label(MANAGED_BY_LABEL) != Some(MANAGER) {
        return None;
    }
    let name = slice.label(SERVICE_NAME_LABEL)?;
    if name.is_empty() {
        return None;
    }
    Some(key(slice.namespace(), name))
}

fn slice_changed(event: &InformerEvent, expectations: &Expectations) -> Vec<Key> {
    let slice = event.object();
    let Some(service) = service_of(slice) else {
        return Vec::new();
    };
    match event {
        InformerEvent::Added(_) => expectations.creation_observed(&service),
        InformerEvent::Deleted(_) => expectations.deletion_observed(&service, slice.uid()),
        InformerEvent::Updated { .. } => {}
    }
    vec![service]
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
            self.expectations.forget(key);
            return Ok(Outcome::Done);
        };
        if !self.expectations.satisfied(key) {
            // The slices on their way bring this key back.
            return Ok(Outcome::Done);
        }
        let Some(service) = Service::read(&object) else {
            return Ok(Outcome::Done);
        };
        let existing = self.slices.by_index(BY_SERVICE, key);
        let pods = service.pods(&self.pods);
        let groups = model::groups(&service, &pods, |node| self.zone(node));
        let actions = plan::plan(&service, &groups, &existing);
        self.apply(&service, actions).await?;
        Ok(Outcome::Done)
    }
}

impl EndpointSliceController {
    fn zone(&self, node: &str) -> Option<String> {
        let node = self.nodes.get(node)?;
        let zone = node.label(model::ZONE)?;
        Some(zone.to_owned())
    }

    async fn apply(&self, service: &Service<'_>, actions: Vec<Action>) -> Result<(), Error> {
        let key = service.object.key();
        let mut creations = 0;
        let mut deletions = Vec::new();
        for action in &actions {
            match action {
                Action::Create(_) => creations += 1,
                Action::Delete(slice) => deletions.push(slice.uid().to_owned()),
                Action::Update(_) => {}
            }
        }
        if creations > 0 || !deletions.is_empty() {
            self.expectations.expect(key, creations, deletions);
        }
        let mut result = Ok(());
        for action in actions {
            if result.is_ok() {
                result = self.perform(service, &action).await;
            }
            // After a failure the rest is not done, and no event of it will come.
            if result.is_err() {
                match &action {
                    Action::Create(_) => self.expectations.creation_observed(key),
                    Action::Delete(slice) => self.expectations.deletion_observed(key, slice.uid()),
                    Action::Update(_) => {}
                }
            }
        }
        result
    }

    async fn perform(&self, service: &Service<'_>, action: &Action) -> Result<(), Error> {
        let namespace = service.object.ns();
        match action {
            Action::Create(body) => self.create(service, body).await,
            Action::Update(body) => {
                self.client
                    .update(&ENDPOINT_SLICES, namespace, body)
                    .await?;
                Ok(())
            }
            Action::Delete(slice) => self.delete(service, slice).await,
        }
    }

    async fn create(&self, service: &Service<'_>, body: &Value) -> Result<(), Error> {
        let namespace = service.object.ns();
        let created = self.client.create(&ENDPOINT_SLICES, namespace, body).await;
        match created {
            Ok(_) => Ok(()),
            Err(error) if error.is_namespace_terminating() => {
                let key = service.object.key();
                self.expectations.creation_observed(key);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, service: &Service<'_>, slice: &Object) -> Result<(), Error> {
        let same_slice = uid_is(slice.uid());
        let params = DeleteParams::default().preconditions(same_slice);
        let deleted = self
            .client
            .delete(&ENDPOINT_SLICES, slice.ns(), slice.name(), &params)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => {
                let key = service.object.key();
                self.expectations.deletion_observed(key, slice.uid());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
