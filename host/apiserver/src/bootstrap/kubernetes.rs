//! The `kubernetes` service: how pods reach this server.

use k3s_meta::tree;
use k3s_objects::endpoint_slice::SERVICE_NAME_LABEL;
use k3s_registry::Result;
use serde_json::{Value, json};

use super::{Bootstrapper, Settings};

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

pub(super) async fn ensure(bootstrapper: &Bootstrapper<'_>, settings: &Settings) -> Result<()> {
    if bootstrapper
        .find("", "services", NAMESPACE, NAME)?
        .is_none()
    {
        bootstrapper
            .create("", "services", NAMESPACE, service(settings))
            .await?;
    }
    put(
        bootstrapper,
        "",
        "endpoints",
        "subsets",
        endpoints(settings),
    )
    .await?;
    put(
        bootstrapper,
        "discovery.k8s.io",
        "endpointslices",
        "endpoints",
        slice(settings),
    )
    .await?;
    if bootstrapper
        .find("networking.k8s.io", "servicecidrs", "", NAME)?
        .is_none()
    {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": NAME}, "spec": {"cidrs": settings.service_cidrs},
        });
        bootstrapper
            .create("networking.k8s.io", "servicecidrs", "", object)
            .await?;
    }
    Ok(())
}

/// Creates the object, or brings one field of it (and the ports) up to date.
async fn put(
    bootstrapper: &Bootstrapper<'_>,
    group: &str,
    plural: &str,
    field: &str,
    wanted: Value,
) -> Result<()> {
    let Some(found) = bootstrapper.find(group, plural, NAMESPACE, NAME)? else {
        return bootstrapper.create(group, plural, NAMESPACE, wanted).await;
    };
    let same = |key: &str| found.get(key) == wanted.get(key);
    if same(field) && same("ports") {
        return Ok(());
    }
    let change = |object: &mut Value| {
        for key in [field, "ports"] {
            if let Some(value) = wanted.get(key) {
                tree::set(object, key, value.clone());
            }
        }
    };
    bootstrapper
        .change((group, plural), (NAMESPACE, NAME), change)
        .await
}

fn service(settings: &Settings) -> Value {
    let address = settings.service_address.to_string();
    let family = if settings.service_address.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    };
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME, "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ipFamilies": [family], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": settings.advertise_port}],
        },
    })
}

fn endpoints(settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{
            "addresses": [{"ip": settings.advertise_address.to_string()}],
            "ports": [{"name": "https", "port": settings.advertise_port, "protocol": "TCP"}],
        }],
    })
}

fn slice(settings: &Settings) -> Value {
    let family = if settings.advertise_address.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": NAME, "labels": {SERVICE_NAME_LABEL: NAME}},
        "addressType": family,
        "endpoints": [{"addresses": [settings.advertise_address.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": settings.advertise_port, "protocol": "TCP"}],
    })
}
