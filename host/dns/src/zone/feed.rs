//! From the informers into the zone.

use std::sync::Arc;

use k3s_client::{Informer, InformerEvent, Informers, Obj, Subscription, resources};
use k3s_objects::endpoint_slice::SERVICE_NAME_LABEL;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{Zone, entry};

const BY_SERVICE: &str = "service";

/// Follows Services, EndpointSlices, Namespaces and Nodes.
pub(crate) struct Feed {
    zone: Arc<RwLock<Zone>>,
    services: Informer,
    slices: Informer,
    service_events: Subscription,
    slice_events: Subscription,
    namespace_events: Subscription,
    node_events: Subscription,
    /// A Service whose removal is signalled.
    watched: &'static str,
    gone: Arc<Notify>,
}

impl Feed {
    pub(crate) fn new(
        informers: &Informers,
        zone: Arc<RwLock<Zone>>,
        watched: &'static str,
        gone: Arc<Notify>,
    ) -> Self {
        let services = informers.all(&resources::SERVICES);
        let slices = informers.all(&resources::ENDPOINT_SLICES);
        slices.add_index(BY_SERVICE, service_of_slice);
        Self {
            zone,
            service_events: services.subscribe(),
            slice_events: slices.subscribe(),
            namespace_events: informers.all(&resources::NAMESPACES).subscribe(),
            node_events: informers.all(&resources::NODES).subscribe(),
            services,
            slices,
            watched,
            gone,
        }
    }

    /// Waits for the first lists and takes them in.
    pub(crate) async fn sync(&mut self) {
        self.service_events.informer().has_synced().await;
        self.slice_events.informer().has_synced().await;
        self.namespace_events.informer().has_synced().await;
        self.node_events.informer().has_synced().await;
        while let Some(event) = self.service_events.try_next() {
            self.service(&event);
        }
        while let Some(event) = self.slice_events.try_next() {
            self.slice(&event);
        }
        while let Some(event) = self.namespace_events.try_next() {
            self.namespace(&event);
        }
        while let Some(event) = self.node_events.try_next() {
            self.node(&event);
        }
    }

    /// Follows changes without end.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                event = self.service_events.next() => self.service(&event),
                event = self.slice_events.next() => self.slice(&event),
                event = self.namespace_events.next() => self.namespace(&event),
                event = self.node_events.next() => self.node(&event),
            }
        }
    }

    fn service(&self, event: &InformerEvent) {
        let key = event.object().key();
        if event.is_deleted() && **key == *self.watched {
            self.gone.notify_one();
        }
        self.refresh(key);
    }

    fn slice(&self, event: &InformerEvent) {
        for key in service_of_slice(event.object()) {
            self.refresh(&key.into());
        }
    }

    /// Reads one Service and its slices again.
    fn refresh(&self, key: &Arc<str>) {
        let entry = self
            .services
            .get(key)
            .and_then(|s| entry::read(&s, &self.slices.by_index(BY_SERVICE, key)));
        self.zone.write().set_service(key, entry);
    }

    fn namespace(&self, event: &InformerEvent) {
        self.zone
            .write()
            .set_namespace(event.object().name(), !event.is_deleted());
    }

    fn node(&self, event: &InformerEvent) {
        let addresses = if event.is_deleted() {
            Vec::new()
        } else {
            entry::node_addresses(event.object())
        };
        self.zone.write().set_node(event.object().name(), addresses);
    }
}

fn service_of_slice(slice: &Obj) -> Vec<String> {
    let name = slice.label(SERVICE_NAME_LABEL);
    name.map(|name| format!("{}/{name}", slice.namespace()))
        .into_iter()
        .collect()
}
