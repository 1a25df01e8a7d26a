//! EndpointSlice mirroring: Endpoints that are kept by hand for a Service without a selector, as the
//! slices that all readers take.
//!
//! Watches Services, Endpoints and its own slices. Upstream: `pkg/controller/endpointslicemirroring`.

mod model;
mod plan;

use k3s_client::resources::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use k3s_client::{EventRecorder, Expectations, Informer, Object};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::endpoint_slices::{Action, ManagedSlices, service_keys};
use crate::context::Context;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";

struct MirroringController {
    services: Informer,
    endpoints: Informer,
    slices: ManagedSlices,
    recorder: EventRecorder,
}

pub(crate) fn start(context: &Context) {
    let services = context.informers.all(&SERVICES);
    let endpoints = context.informers.all(&ENDPOINTS);
    let slices = context.informers.all(&ENDPOINT_SLICES);
    let client = context.client("endpointslicemirroring-controller");
    let recorder = context.recorder(&client, "endpoint-slice-mirroring-controller");
    let managed = ManagedSlices::new(
        client,
        &slices,
        Expectations::new(context.clock()),
        MANAGER,
        |slice| service_keys(slice, MANAGER),
    );
    let reconciler = MirroringController {
        services: services.clone(),
        endpoints: endpoints.clone(),
        slices: managed.clone(),
        recorder,
    };
    Controller::new("endpointslicemirroring-controller")
        .workers(5)
        .watch_own(&services)
        .watch_own(&endpoints)
        .watch(&slices, move |event| managed.changed(event))
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for MirroringController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if !self.slices.seen(key) {
            return Ok(Outcome::Done);
        }
        let existing = self.slices.of(key);
        let actions = match self.mirrored(key) {
            Some(endpoints) => self.plan(&endpoints, &existing),
            None => existing.into_iter().map(Action::Delete).collect(),
        };
        self.slices.apply(key, actions).await?;
        Ok(Outcome::Done)
    }
}

impl MirroringController {
    /// The Endpoints with this key, if they are to be mirrored.
    fn mirrored(&self, key: &Key) -> Option<Object> {
        let endpoints = self.endpoints.get(key)?;
        let service = self.services.get(key)?;
        model::is_mirrored(&endpoints, &service).then_some(endpoints)
    }

    fn plan(&self, endpoints: &Object, existing: &[Object]) -> Vec<Action> {
        let desired = model::groups(endpoints.value());
        if desired.skipped > 0 {
            let (max, skipped) = (model::MAX_PER_SUBSET, desired.skipped);
            let message = format!(
                "A max of {max} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped"
            );
            self.recorder
                .warning(&**endpoints, "TooManyAddressesToMirror", message);
        }
        plan::plan(endpoints, desired.groups, existing)
    }
}
