//! Endpoints: the older form of what serves a Service, still read by many.
//!
//! Watches Services, Pods and Endpoints. Upstream: `pkg/controller/endpoint`.

mod plan;

use k3s_client::resources::{ENDPOINTS, PODS, SERVICES};
use k3s_client::{Client, DeleteParams, Informer, split_key, uid_is};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

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
        let Some(service) = Service::read(&object).filter(|s| !s.object.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        let subsets = plan::subsets(&service, &service.pods(&self.pods));
        let labels = plan::labels(&service);
        let existing = self.endpoints.get(key);
        let mut body = match &existing {
            Some(existing) => existing.value().clone(),
            None => plan::skeleton(&service),
        };
        tree::set(&mut body, "metadata.labels", serde_json::json!(labels));
        if subsets.is_empty() {
            tree::remove(&mut body, "subsets");
        } else {
            tree::set(&mut body, "subsets", subsets);
        }
        match existing {
            Some(existing) if *existing.value() == body => {}
            Some(existing) => drop(self.client.update(&ENDPOINTS, existing.ns(), &body).await?),
            None => match self.client.create(&ENDPOINTS, object.ns(), &body).await {
                Err(error) if error.is_namespace_terminating() => {}
                result => drop(result?),
            },
        }
        Ok(Outcome::Done)
    }
}

impl EndpointsController {
    /// Deletes the Endpoints of a Service that was deleted; those of other components (such as old
    /// leader elections) stay.
    async fn clean_up(&self, key: &Key) -> Result<(), Error> {
        let Some(left) = self
            .endpoints
            .get(key)
            .filter(|e| e.label(plan::MANAGED_BY) == Some(plan::MANAGER))
        else {
            return Ok(());
        };
        let (namespace, name) = split_key(key);
        match self
            .client
            .delete(
                &ENDPOINTS,
                Some(namespace),
                name,
                &DeleteParams::default().preconditions(uid_is(left.uid())),
            )
            .await
        {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
