//! Tells the cluster where its DNS is: the `kube-dns` Service, and an EndpointSlice with this server's
//! address.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, DeleteParams, Error, ListParams, Patch, Resource, resources};
use k3s_objects::endpoint_slice::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use serde_json::{Value, json};
use tokio::sync::Notify;

const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "kube-dns";
/// `namespace/name` of the Service.
pub(crate) const SERVICE_KEY: &str = "kube-system/kube-dns";
const US: &str = "dns.k3s.io";
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};

/// Keeps both objects as they should be.
pub(crate) struct Publisher {
    pub(crate) client: Client,
    pub(crate) random: Random,
    pub(crate) node: String,
    pub(crate) service_ip: Ipv4Addr,
    pub(crate) address: SocketAddr,
    /// Signals that the Service was deleted.
    pub(crate) service_deleted: Arc<Notify>,
}

impl Publisher {
    /// Publishes, again whenever the Service disappears. `announce` is called after each success.
    pub(crate) async fn run(self, announce: impl Fn()) {
        loop {
            let mut backoff = RETRY.start();
            while let Err(error) = self.publish().await {
                let delay = backoff.next_delay(&self.random);
                report(&error, delay);
                tokio::time::sleep(delay).await;
            }
            announce();
            self.service_deleted.notified().await;
        }
    }

    async fn publish(&self) -> Result<(), Error> {
        self.ensure(&resources::SERVICES, SERVICE, self.service())
            .await?;
        self.ensure(
            &resources::ENDPOINT_SLICES,
            &self.slice_name(),
            self.slice(),
        )
        .await
    }

    /// Creates the object, or puts right what differs.
    async fn ensure(&self, resource: &Resource, name: &str, wanted: Value) -> Result<(), Error> {
        let existing = match self.client.get(resource, Some(NAMESPACE), name).await {
            Ok(existing) => existing,
            Err(error) if error.is_not_found() => {
                return self
                    .client
                    .create(resource, Some(NAMESPACE), &wanted)
                    .await
                    .map(drop);
            }
            Err(error) => return Err(error),
        };
        if covers(existing.value(), &wanted) {
            return Ok(());
        }
        self.client
            .patch(resource, Some(NAMESPACE), name, &Patch::Merge(wanted))
            .await
            .map(drop)
    }

    fn service(&self) -> Value {
        let mut service = service(self.service_ip, self.address.port());
        // One with a selector would get endpoints that are not ours.
        if let Some(Value::Object(spec)) = service.get_mut("spec") {
            spec.insert("selector".to_owned(), Value::Null);
        }
        service
    }

    fn slice_name(&self) -> String {
        format!("{SERVICE}-{}", self.node)
    }

    fn slice(&self) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": self.slice_name(),
                "namespace": NAMESPACE,
                "labels": {
                    SERVICE_NAME_LABEL: SERVICE,
                    MANAGED_BY_LABEL: US,
                },
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": [self.address.ip().to_string()],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": self.node,
            }],
            "ports": [
                {"name": "dns", "port": self.address.port(), "protocol": "UDP"},
                {"name": "dns-tcp", "port": self.address.port(), "protocol": "TCP"},
            ],
        })
    }
}

/// The packaged manifest holds the same Service: to meet it is no failure.
fn report(error: &Error, delay: Duration) {
    let (error, is_race) = (
        chain(error),
        error.is_already_exists() || error.is_conflict(),
    );
    if is_race {
        tracing::debug!(
            error,
            ?delay,
            "the kube-dns Service is written by another client"
        );
    } else {
        tracing::warn!(error, ?delay, "the kube-dns Service is not published");
    }
}

/// The `kube-dns` Service. As in K3s' manifest, but without a selector: the endpoints are ours to write.
#[must_use]
pub fn service(service_ip: Ipv4Addr, port: u16) -> Value {
    let ip = service_ip.to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": port},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": port},
            ],
        },
    })
}

/// Takes back the endpoints that servers published, in a cluster that is to have no DNS of ours: whose
/// Service of the name `kube-dns` there is then must not be sent here.
///
/// # Errors
/// When the API refuses.
pub async fn withdraw(client: &Client) -> Result<(), Error> {
    let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={US}"));
    client
        .delete_collection(
            &resources::ENDPOINT_SLICES,
            Some(NAMESPACE),
            &DeleteParams::default(),
            &ours,
        )
        .await
}

/// Whether everything wanted is there; defaults that the server added do not count as a difference.
fn covers(existing: &Value, wanted: &Value) -> bool {
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match existing.get(key) {
                Some(found) => covers(found, value),
                None => value.is_null(),
            })
        }
        (Value::Array(existing), Value::Array(wanted)) => {
            existing.len() == wanted.len() && existing.iter().zip(wanted).all(|(e, w)| covers(e, w))
        }
        (existing, wanted) => existing == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_defaults_are_no_difference() {
        let existing =
            json!({"spec": {"ports": [{"port": 53, "protocol": "UDP"}], "type": "ClusterIP"}});
        assert!(covers(
            &existing,
            &json!({"spec": {"ports": [{"port": 53}], "selector": null}})
        ));
        assert!(!covers(
            &existing,
            &json!({"spec": {"ports": [{"port": 54}]}})
        ));
        assert!(!covers(&existing, &json!({"spec": {"ports": []}})));
    }
}
