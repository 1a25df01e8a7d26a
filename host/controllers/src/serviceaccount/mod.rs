//! The `default` ServiceAccount of every namespace.

use k3s_client::resources::{NAMESPACES, SERVICE_ACCOUNTS};
use k3s_client::{Client, Informer, InformerEvent};
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
        .watch(&accounts, account_changed)
        .run(reconciler, &context.statuses, &context.tasks);
}

/// A default account that was deleted is created again.
fn account_changed(event: &InformerEvent) -> Vec<Key> {
    let account = event.object();
    if !event.is_deleted() || account.name() != NAME {
        return Vec::new();
    }
    vec![account.namespace().into()]
}

impl Reconciler for ServiceAccountController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let is_alive = self
            .namespaces
            .get(key)
            .is_some_and(|namespace| !namespace.is_deleting());
        let is_there = self.accounts.get(&format!("{key}/{NAME}")).is_some();
        if is_there || !is_alive {
            return Ok(Outcome::Done);
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": NAME,
                "namespace": &**key,
            },
        });
        let created = self
            .client
            .create(&SERVICE_ACCOUNTS, Some(key), &body)
            .await;
        match created {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_already_exists() => Ok(Outcome::Done),
            Err(error) if error.is_namespace_terminating() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}
