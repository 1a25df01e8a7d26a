//! The `default` ServiceAccount of every namespace.

use k3s_client::resources::{NAMESPACES, SERVICE_ACCOUNTS};
use k3s_client::{Client, Informer};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::json;

use crate::context::Context;

const NAME: &str = "default";

struct ServiceAccountController {
    client: Client,
    namespaces: Informer,
    accounts: Informer,
}

pub(crate) fn start(context: &Context) {
    let namespaces = context.informers.all(&NAMESPACES);
    let accounts = context.informers.all(&SERVICE_ACCOUNTS);
    let reconciler = ServiceAccountController {
        client: context.client("service-account-controller"),
        namespaces: namespaces.clone(),
        accounts: accounts.clone(),
    };
    Controller::new("serviceaccount-controller")
        .watch_own(&namespaces)
        .watch(&accounts, |event| {
            let lost = event.is_deleted() && event.object().name() == NAME;
            lost.then(|| event.object().namespace().into())
                .into_iter()
                .collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for ServiceAccountController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let alive = self
            .namespaces
            .get(key)
            .is_some_and(|namespace| !namespace.is_deleting());
        if !alive || self.accounts.get(&format!("{key}/{NAME}")).is_some() {
            return Ok(Outcome::Done);
        }
        let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": &**key}});
        match self
            .client
            .create(&SERVICE_ACCOUNTS, Some(key), &body)
            .await
        {
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => {
                Ok(Outcome::Done)
            }
            result => Ok(result.map(|_| Outcome::Done)?),
        }
    }
}
