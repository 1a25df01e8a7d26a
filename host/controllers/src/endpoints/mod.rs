//! Endpoints: the older form of what serves a Service, still read by many.
//!
//! Watches Services, Pods and Endpoints. Upstream: `pkg/controller/endpoint`.

mod plan;

use k3s_client::resources::{ENDPOINTS, PODS, SERVICES};
use k3s_client::{Client, DeleteParams, Informer, split_key, uid_is};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::common::service::{Service, services_of_pod};
use crate::context::Context;

struct EndpointsController {
    client: Client,
    services: Informer,
    pods: Informer,
    endpoints: Informer,
}

pub(crate) fn start(context: &Context) {
    let services = context.informers.all(&SERVICES);
    let pods = context.informers.all(&PODS);
    let endpoints = context.informers.all(&ENDPOINTS);
    let reconciler = EndpointsController {
        client: context.client("endpoint-controller"),
        services: services.clone(),
        pods: pods.clone(),
        endpoints: endpoints.clone(),
    };
    let of_pods = services.clone();
    Controller::new("endpoint-controller")
        .workers(5)
        .watch_own(&services)
        .watch(&pods, move |event| services_of_pod(event, &of_pods))
        .watch_own(&endpoints)
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for EndpointsController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(object) = self.services.get(key) else {
            self.clean_up(key).await?;
            return Ok(Outcome::Done);
        };
        let Some(service) = Service::read(&object) else {
            return Ok(Outcome::Done);
        };
        if object.is_deleting() {
            return Ok(Outcome::Done);
        }
        let pods = service.pods(&self.pods);
        let subsets = plan::subsets(&service, &pods);
        let labels = plan::labels(&service);
        let existing = self.endpoints.get(key);
        let mut body = match &existing {
            Some(existing) => existing.value().clone(),
            None => plan::skeleton(&service),
        };
        tree::set(&mut body, "metadata.labels", json!(labels));
        if subsets.is_empty() {
            tree::remove(&mut body, "subsets");
        } else {
            tree::set(&mut body, "subsets", subsets);
        }
        match existing {
            Some(existing) if *existing.value() == body => {}
            Some(existing) => {
                self.client.update(&ENDPOINTS, existing.ns(), &body).await?;
            }
            None => self.create(&service, &body).await?,
        }
        Ok(Outcome::Done)
    }
}

impl EndpointsController {
    /// Deletes the Endpoints of a Service that was deleted; those of other components (such as old
    /// leader elections) stay.
    async fn clean_up(&self, key: &Key) -> Result<(), Error> {
        let Some(left) = self.endpoints.get(key) else {
            return Ok(());
        };
        if left.label(plan::MANAGED_BY) != Some(plan::MANAGER) {
            return Ok(());
        }
        let (namespace, name) = split_key(key);
        let params = DeleteParams::default().preconditions(uid_is(left.uid()));
        let deleted = self
            .client
            .delete(&ENDPOINTS, Some(namespace), name, &params)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self, service: &Service<'_>, body: &Value) -> Result<(), Error> {
        let namespace = service.object.ns();
        let created = self.client.create(&ENDPOINTS, namespace, body).await;
        match created {
            Ok(_) => Ok(()),
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
