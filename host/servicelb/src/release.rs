//! Takes back what an earlier load balancer wrote, in a cluster that no longer has one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k3s_client::{Client, Informer, Informers, resources};
use k3s_lifecycle::Tasks;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler, Statuses};

use crate::decide;
use crate::inputs::node_addresses;
use crate::write::write;

/// A status and a finalizer are two writes.
const STEPS: usize = 3;

/// Starts to clear the status and finalizer of Services that show addresses of nodes, now and when such
/// Services appear (from a backup, say). `client` has the identity of the cloud controller.
pub fn release(client: Client, informers: &Informers, tasks: &Tasks) {
    let (services, nodes) = (
        informers.all(&resources::SERVICES),
        informers.all(&resources::NODES),
    );
    let releaser = Releaser {
        client,
        services: services.clone(),
        nodes: nodes.clone(),
    };
    Controller::new("service-lb-release")
        .workers(1)
        .watch_own(&services)
        .requires(&nodes)
        .run(releaser, &Statuses::default(), tasks);
}

struct Releaser {
    client: Client,
    services: Informer,
    nodes: Informer,
}

impl Reconciler for Releaser {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(mut service) = self.services.get(key) else {
            return Ok(Outcome::Done);
        };
        let nodes: BTreeSet<IpAddr> = self
            .nodes
            .list()
            .iter()
            .flat_map(|node| node_addresses(node))
            .collect();
        for _ in 0..STEPS {
            let Some(step) = decide::release(service.value(), &nodes) else {
                break;
            };
            service = write(&self.client, &service, step).await?;
        }
        Ok(Outcome::Done)
    }
}
