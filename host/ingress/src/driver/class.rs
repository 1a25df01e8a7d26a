//! The IngressClass `traefik`, and what goes with it: statuses of Ingresses that nobody serves any more.

use std::collections::BTreeSet;

use k3s_client::{Client, Error, ListParams, Obj, Patch, resources};
use k3s_meta::object::annotation;
use k3s_meta::tree;
use serde_json::{Value, json};

/// Its name.
pub(crate) const CLASS: &str = "traefik";
/// Says that it is ours.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const US: &str = "k3s-ingress";
const CONTROLLER: &str = "traefik.io/ingress-controller";
/// The annotation that came before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// As K3s' chart makes it.
pub(crate) fn object() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": CLASS,
            "labels": {"app.kubernetes.io/name": CLASS, "app.kubernetes.io/instance": "traefik-kube-system", MANAGED_BY: US},
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": CONTROLLER},
    })
}

/// Empties the status of every Ingress that was served by the classes of a data plane that is to go.
/// Does nothing where our class is not there: what other controllers write, also under its name, is
/// theirs. So it has to be done before the class is taken away.
pub(crate) async fn release(client: &Client) -> Result<(), Error> {
    match client.get(&resources::INGRESS_CLASSES, None, CLASS).await {
        Ok(class) if class.label(MANAGED_BY) == Some(US) => {}
        Err(error) if !error.is_not_found() => return Err(error),
        _ => return Ok(()),
    }
    let classes = client
        .list_all(&resources::INGRESS_CLASSES, None, &ListParams::default())
        .await?
        .items;
    let ours = classes
        .iter()
        .filter(|class| tree::text(class.value(), "spec.controller") == CONTROLLER);
    let ours: BTreeSet<&str> = ours.map(|class| class.name()).collect();
    let ingresses = client
        .list_all(&resources::INGRESSES, None, &ListParams::default())
        .await?
        .items;
    for ingress in ingresses
        .iter()
        .filter(|ingress| is_shown(ingress) && is_of(ingress, &ours))
    {
        let empty = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": null}}}));
        match client
            .patch_status(&resources::INGRESSES, ingress.ns(), ingress.name(), &empty)
            .await
        {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {
                tracing::info!(ingress = %ingress.key(), "nobody serves it any more: its addresses were removed")
            }
        }
    }
    Ok(())
}

fn is_shown(ingress: &Obj) -> bool {
    tree::has(ingress.value(), "status.loadBalancer.ingress")
}

/// Whether an Ingress names one of the classes, or none at all.
fn is_of(ingress: &Obj, classes: &BTreeSet<&str>) -> bool {
    let named = match tree::text(ingress.value(), "spec.ingressClassName") {
        "" => annotation(ingress.value(), CLASS_ANNOTATION).unwrap_or_default(),
        named => named,
    };
    named.is_empty() || classes.contains(named)
}

#[cfg(test)]
mod tests {
    use k3s_base::Clock;
    use k3s_client::fake::FakeApi;

    use super::*;

    fn ingress(name: &str, class: Option<&str>) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"ingressClassName": class},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}},
        })
    }

    fn shown(api: &FakeApi, name: &str) -> bool {
        let ingress = api.get(&resources::INGRESSES, "default", name).unwrap();
        tree::has(&ingress, "status.loadBalancer.ingress")
    }

    #[tokio::test]
    async fn only_what_our_class_served_is_emptied() {
        let api = FakeApi::new(Clock::system());
        let client = api.client("supervisor");
        for (name, class) in [
            ("ours", Some(CLASS)),
            ("default", None),
            ("other", Some("nginx")),
        ] {
            api.seed(&resources::INGRESSES, ingress(name, class));
        }
        release(&client).await.unwrap();
        assert!(
            shown(&api, "ours"),
            "without our class somebody else serves it"
        );
        api.seed(&resources::INGRESS_CLASSES, object());
        release(&client).await.unwrap();
        assert_eq!(
            ["ours", "default", "other"].map(|name| shown(&api, name)),
            [false, false, true]
        );
    }
}
