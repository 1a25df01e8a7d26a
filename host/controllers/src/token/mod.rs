//! Clean-up of ServiceAccount token Secrets whose account is gone.
//!
//! Such Secrets are made by hand nowadays; Pods use projected tokens. Filling one with a token
//! takes the signing key, which this crate never sees, and is not done here.

use k3s_client::resources::{SECRETS, SERVICE_ACCOUNTS};
use k3s_client::{Client, DeleteParams, Informer, InformerEvent, Obj, Scope, key, uid_is};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::context::Context;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

struct TokenCleaner {
    client: Client,
    secrets: Informer,
    accounts: Informer,
}

pub(crate) fn start(context: &Context) {
    let scope = Scope::fields("type=kubernetes.io/service-account-token");
    let secrets = context.informers.of(&SECRETS, scope);
    let accounts = context.informers.all(&SERVICE_ACCOUNTS);
    // As upstream: no service account may touch every Secret, the controller manager may.
    let reconciler = TokenCleaner {
        client: context.manager(),
        secrets: secrets.clone(),
        accounts: accounts.clone(),
    };
    let of_accounts = secrets.clone();
    Controller::new("tokens-controller")
        .watch_own(&secrets)
        .watch(&accounts, move |event| account_gone(event, &of_accounts))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn account_gone(event: &InformerEvent, secrets: &Informer) -> Vec<Key> {
    if !event.is_deleted() {
        return Vec::new();
    }
    let account = event.object();
    let name = Some(account.name());
    secrets
        .in_namespace(account.namespace())
        .into_iter()
        .filter(|secret| secret.annotation(ACCOUNT_NAME) == name)
        .map(|secret| secret.key().clone())
        .collect()
}

impl Reconciler for TokenCleaner {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(secret) = self.secrets.get(key) else {
            return Ok(Outcome::Done);
        };
        if secret.is_deleting() {
            return Ok(Outcome::Done);
        }
        let Some(account) = secret.annotation(ACCOUNT_NAME) else {
            return Ok(Outcome::Done);
        };
        if self.valid(&secret, account).await? {
            return Ok(Outcome::Done);
        }
        let params = DeleteParams::default().preconditions(uid_is(secret.uid()));
        let deleted = self
            .client
            .delete(&SECRETS, secret.ns(), secret.name(), &params)
            .await;
        match deleted {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

impl TokenCleaner {
    async fn valid(&self, secret: &Obj, account: &str) -> Result<bool, Error> {
        let uid = secret.annotation(ACCOUNT_UID);
        let matches = |found: &Obj| match uid {
            Some(uid) => uid == found.uid(),
            None => true,
        };
        let cached = self.accounts.get(&key(secret.namespace(), account));
        if let Some(cached) = cached
            && matches(&cached)
        {
            return Ok(true);
        }
        // The cache may lag: ask before deleting a credential.
        let found = self
            .client
            .get(&SERVICE_ACCOUNTS, secret.ns(), account)
            .await;
        match found {
            Ok(found) => Ok(matches(&found)),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
