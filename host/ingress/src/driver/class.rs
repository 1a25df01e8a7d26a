//! The IngressClass `traefik`: made where it is missing, and taken away with the battery.

use std::time::Duration;

use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, DeleteParams, Error, resources};
use serde_json::{Value, json};

/// Its name.
pub(crate) const CLASS: &str = "traefik";
/// Says that it is ours to remove.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const US: &str = "k3s-ingress";
const RETRY: BackoffPolicy =
    BackoffPolicy { base: Duration::from_millis(100), factor: 2.0, cap: Duration::from_secs(30), jitter: 0.2 };

/// As K3s' chart makes it.
fn object() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": CLASS,
            "labels": {"app.kubernetes.io/name": CLASS, "app.kubernetes.io/instance": "traefik-kube-system", MANAGED_BY: US},
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": "traefik.io/ingress-controller"},
    })
}

/// Makes the class, unless one of its name exists, which is left as it is.
pub(crate) async fn ensure(client: Client, random: Random) {
    let mut backoff = RETRY.start();
    loop {
        match client.create(&resources::INGRESS_CLASSES, None, &object()).await {
            Ok(_) => return,
            Err(error) if error.is_already_exists() => return,
            Err(error) => {
                let delay = backoff.next_delay(&random);
                tracing::warn!(error = error.chain(), ?delay, "cannot create IngressClass {CLASS}");
                tokio::time::sleep(delay).await;
            }
        }
    }
}

/// Removes the class if it was made by [`ensure`].
pub(crate) async fn remove(client: &Client) -> Result<(), Error> {
    let class = match client.get(&resources::INGRESS_CLASSES, None, CLASS).await {
        Ok(class) => class,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if class.label(MANAGED_BY) != Some(US) {
        return Ok(());
    }
    let params = DeleteParams::default().with_uid(class.uid());
    match client.delete(&resources::INGRESS_CLASSES, None, CLASS, &params).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
